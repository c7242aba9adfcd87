package survey

import (
	"context"
	"strings"

	"ha-iris/internal/live"
)

// What of the stack's own objects a quota counts, as the API server has it.

type claim struct {
	Spec struct {
		StorageClassName string `json:"storageClassName"`
		Resources        struct {
			Requests map[string]string `json:"requests"`
		} `json:"resources"`
	} `json:"spec"`
	Status struct {
		Phase string `json:"phase"`
		// AllocatedResources are larger than what is asked for after a growth that was taken back.
		AllocatedResources map[string]string `json:"allocatedResources"`
	} `json:"status"`
}

// bytes is the size that quotas count.
func (c claim) bytes() float64 {
	return max(parseAmounts(c.Spec.Resources.Requests)["storage"], parseAmounts(c.Status.AllocatedResources)["storage"])
}

type service struct {
	Spec struct {
		Type                          string `json:"type"`
		AllocateLoadBalancerNodePorts *bool  `json:"allocateLoadBalancerNodePorts"`
		Ports                         []struct {
			NodePort int `json:"nodePort"`
		} `json:"ports"`
	} `json:"spec"`
}

// amounts are those of kubernetes' pkg/quota/v1/evaluator/core/services.go.
func (s service) amounts() amounts {
	ports, withNodePort := len(s.Spec.Ports), 0
	for _, port := range s.Spec.Ports {
		if port.NodePort != 0 {
			withNodePort++
		}
	}
	switch allocate := s.Spec.AllocateLoadBalancerNodePorts; {
	case s.Spec.Type == "LoadBalancer" && allocate != nil && !*allocate:
		return serviceAmounts(1, withNodePort)
	case s.Spec.Type == "LoadBalancer":
		return serviceAmounts(1, ports)
	case s.Spec.Type == "NodePort":
		return serviceAmounts(0, ports)
	default:
		return serviceAmounts(0, 0)
	}
}

// readCounted asks for those objects that only quotas make interesting.
func (f *facts) readCounted(ctx context.Context, cluster *live.Cluster, needs Database) {
	perNode := amounts{}
	for _, pod := range needs.PerNode {
		perNode = perNode.plus(podAmounts(specOf(pod))).plus(amounts{countDaemonSets: 1})
	}
	hasService, hasDaemonSet := false, false
	for _, q := range f.quotas.value.Items {
		for resource := range q.Status.Hard {
			hasService = hasService || strings.Contains(resource, "services")
			hasDaemonSet = hasDaemonSet || perNode[resource] > 0
		}
	}
	if hasService {
		f.service = read[service](ctx, cluster, "/api/v1/namespaces/"+needs.Namespace+"/services/"+needs.Service)
	}
	if hasDaemonSet {
		f.daemonSet = read[object](ctx, cluster, "/apis/apps/v1/namespaces/"+needs.Namespace+"/daemonsets/"+needs.DaemonSet)
	}
}
