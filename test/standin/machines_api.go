package standin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"ha-iris/internal/live"
)

const (
	nodesPath = "/api/v1/nodes"
	podsPath  = "/api/v1/pods"
)

// metadata is what is read of an object.
type metadata struct {
	Name, Namespace, UID string
	Annotations          map[string]string
	OwnerReferences      []struct {
		Kind       string
		Controller bool
	}
}

type nodeObject struct {
	Metadata metadata
	Status   struct {
		Conditions []struct{ Type, Status string }
	}
}

type podObject struct {
	Metadata metadata
	Status   struct{ Phase string }
}

// connected follows the kubeconfig, which a test may have changed since.
func (f *fleet) connected() *live.Cluster {
	f.clouds.mu.Lock()
	defer f.clouds.mu.Unlock()
	f.api.Connect(string(f.clouds.connection.kubeconfig))
	return &f.api
}

// createNode registers a machine as its kubelet would, which sends the status along. kwok then keeps it Ready.
func (f *fleet) createNode(ctx context.Context, p pool, m *machine, n int) (uid string, err error) {
	labels := map[string]any{
		"kubernetes.io/hostname": m.name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
		"topology.kubernetes.io/region": p.region, "topology.kubernetes.io/zone": m.zone,
		"node.kubernetes.io/instance-type": p.instance,
	}
	for key, value := range p.labels {
		labels[key] = value
	}
	size := sizeOf(p.instance)
	resources := map[string]any{
		"cpu": fmt.Sprint(size.cpus), "memory": fmt.Sprintf("%dGi", size.memoryGB),
		"ephemeral-storage": fmt.Sprintf("%dGi", max(p.diskGB, 20)), "pods": "110",
	}
	node := map[string]any{
		"apiVersion": "v1", "kind": "Node",
		"metadata": map[string]any{"name": m.name, "labels": labels, "annotations": map[string]any{
			"kwok.x-k8s.io/node": "fake",
			// A kubelet sets it; without it the attach/detach controller leaves the node's volumes alone.
			"volumes.kubernetes.io/controller-managed-attach-detach": "true",
			diskAnnotation: diskName(n),
		}},
		"spec": map[string]any{"taints": p.taints},
		"status": map[string]any{
			"capacity": resources, "allocatable": maps.Clone(resources),
			"addresses": []any{
				map[string]any{"type": "InternalIP", "address": fmt.Sprintf("10.78.%d.%d", n/250, n%250+1)},
				map[string]any{"type": "Hostname", "address": m.name},
			},
			"nodeInfo": map[string]any{
				"architecture": "amd64", "operatingSystem": "linux", "osImage": "simulated (no machine)",
				"containerRuntimeVersion": "kwok://simulated", "kernelVersion": "simulated",
				"kubeletVersion": "v" + p.version, "bootID": "", "machineID": "", "systemUUID": "", "kubeProxyVersion": "",
			},
		},
	}
	var made nodeObject
	if err := f.connected().Create(ctx, nodesPath, node, &made); err != nil {
		return "", fmt.Errorf("register node %s: %w", m.name, err)
	}
	return made.Metadata.UID, nil
}

func (f *fleet) awaitReady(ctx context.Context, name string) error {
	return f.await(ctx, bootTimeout, func() (bool, error) {
		var node nodeObject
		_, err := f.connected().Get(ctx, nodesPath+"/"+name, &node)
		if err != nil {
			return false, err
		}
		ready := false
		for _, condition := range node.Status.Conditions {
			ready = ready || condition.Type == "Ready" && condition.Status == "True"
		}
		return ready, nil
	}, fmt.Errorf("node %s did not become ready", name))
}

// await asks again and again until something came about. It returns late when it did not in time.
func (f *fleet) await(ctx context.Context, limit time.Duration, done func() (bool, error), late error) error {
	deadline := time.Now().Add(limit)
	for {
		ok, err := done()
		switch {
		case err != nil:
			return err
		case ok:
			return nil
		case time.Now().After(deadline):
			return late
		}
		if err := f.pause(ctx, f.options.Retry); err != nil {
			return err
		}
	}
}

func (f *fleet) patchNode(ctx context.Context, m *machine, patch map[string]any) error {
	return f.patch(ctx, m, "", patch)
}

func (f *fleet) patchStatus(ctx context.Context, m *machine, status map[string]any) error {
	return f.patch(ctx, m, "/status", map[string]any{"status": status})
}

func (f *fleet) patch(ctx context.Context, m *machine, part string, patch map[string]any) error {
	found, err := f.connected().Patch(ctx, nodesPath+"/"+m.name+part, patch)
	if err != nil {
		return fmt.Errorf("change node %s: %w", m.name, err)
	}
	if !found {
		return fmt.Errorf("change node %s: it is gone", m.name)
	}
	return nil
}

func (f *fleet) deleteNode(ctx context.Context, m *machine) error {
	if err := f.connected().Delete(ctx, nodesPath+"/"+m.name, m.uid); err != nil {
		return fmt.Errorf("delete node %s: %w", m.name, err)
	}
	return nil
}

// drainError says which pods did not leave a node in time.
type drainError struct {
	node string
	pods []string
}

func (e *drainError) Error() string {
	return fmt.Sprintf("node %s was not drained in time: %s", e.node, strings.Join(e.pods, ", "))
}

// drain evicts the pods of a node by the eviction API, which honours disruption budgets, until none is left or the time
// is up. Then the error is a drainError.
func (f *fleet) drain(ctx context.Context, p pool, m *machine, limit time.Duration) error {
	return f.event(NodeDrained, p, m, func() error {
		late := &drainError{node: m.name}
		return f.await(ctx, limit, func() (bool, error) {
			pods, err := f.podsOn(ctx, m)
			if err != nil {
				return false, err
			}
			late.pods = nil
			for _, pod := range pods {
				late.pods = append(late.pods, pod.Metadata.Namespace+"/"+pod.Metadata.Name)
				if err := f.evict(ctx, pod); err != nil {
					return false, err
				}
			}
			return len(pods) == 0, nil
		}, late)
	})
}

// podsOn are the pods that a drain has to get rid of. As kubectl's, it leaves alone what a DaemonSet or the kubelet would
// start again, and what has run to its end.
func (f *fleet) podsOn(ctx context.Context, m *machine) ([]podObject, error) {
	var list struct{ Items []podObject }
	query := url.Values{"fieldSelector": {"spec.nodeName=" + m.name}}
	if _, err := f.connected().Get(ctx, podsPath+"?"+query.Encode(), &list); err != nil {
		return nil, fmt.Errorf("list the pods of node %s: %w", m.name, err)
	}
	return slices.DeleteFunc(list.Items, func(pod podObject) bool {
		for _, owner := range pod.Metadata.OwnerReferences {
			if owner.Controller && owner.Kind == "DaemonSet" {
				return true
			}
		}
		_, mirror := pod.Metadata.Annotations["kubernetes.io/config.mirror"]
		return mirror || pod.Status.Phase == "Succeeded" || pod.Status.Phase == "Failed"
	}), nil
}

// evict asks for a pod's eviction. Refused for the time being (429), or gone, is fine: the caller looks again. So is a
// budget that the API server finds broken (500 for two budgets over one pod), which a drain tries until its time is up.
func (f *fleet) evict(ctx context.Context, pod podObject) error {
	path := "/api/v1/namespaces/" + pod.Metadata.Namespace + "/pods/" + pod.Metadata.Name
	err := f.connected().Create(ctx, path+"/eviction", map[string]any{
		"apiVersion": "policy/v1", "kind": "Eviction",
		"metadata": map[string]any{"name": pod.Metadata.Name, "namespace": pod.Metadata.Namespace},
	}, nil)
	var status *live.StatusError
	if errors.As(err, &status) && slices.Contains([]int{
		http.StatusTooManyRequests, http.StatusNotFound, http.StatusConflict, http.StatusInternalServerError,
	}, status.Code) {
		return nil
	}
	return err
}

// force deletes the pods of a node without asking their disruption budgets.
func (f *fleet) force(ctx context.Context, m *machine) error {
	pods, err := f.podsOn(ctx, m)
	if err != nil {
		return err
	}
	for _, pod := range pods {
		path := "/api/v1/namespaces/" + pod.Metadata.Namespace + "/pods/" + pod.Metadata.Name
		if err := f.connected().Delete(ctx, path, pod.Metadata.UID); err != nil {
			return fmt.Errorf("delete pod %s/%s: %w", pod.Metadata.Namespace, pod.Metadata.Name, err)
		}
	}
	return nil
}
