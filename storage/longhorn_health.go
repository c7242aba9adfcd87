package storage

import (
	"context"
	"fmt"
	"slices"

	"ha-iris/internal/live"
)

const longhornPath = "/apis/longhorn.io/v1beta2/namespaces/" + namespaceName + "/"

// longhornItems is a list of Longhorn's objects of one kind, with what is read of all kinds.
type longhornItems struct {
	Items []struct {
		Metadata struct {
			Name string `json:"name"`
		} `json:"metadata"`
		Spec struct {
			// NumberOfReplicas is of a volume.
			NumberOfReplicas int `json:"numberOfReplicas"`
			// VolumeName is of a replica and an engine; the others of a replica.
			VolumeName string `json:"volumeName"`
			NodeID     string `json:"nodeID"`
			FailedAt   string `json:"failedAt"`
			HealthyAt  string `json:"healthyAt"`
		} `json:"spec"`
		Status struct {
			// State, Robustness and KubernetesStatus are of a volume.
			State            string `json:"state"`
			Robustness       string `json:"robustness"`
			KubernetesStatus struct {
				Namespace string `json:"namespace"`
				PVCName   string `json:"pvcName"`
			} `json:"kubernetesStatus"`
			// RebuildStatus is of an engine, by the address of the replica.
			RebuildStatus map[string]struct {
				IsRebuilding bool    `json:"isRebuilding"`
				Progress     float64 `json:"progress"`
				Error        string  `json:"error"`
			} `json:"rebuildStatus"`
			// Conditions are of a node.
			Conditions []struct {
				Type   string `json:"type"`
				Status string `json:"status"`
			} `json:"conditions"`
		} `json:"status"`
	} `json:"items"`
}

// longhornUnhealthy counts the replicas itself: a volume's robustness says nothing of a detached volume, and is a few seconds late
// when a node has gone.
func longhornUnhealthy(ctx context.Context, cluster *live.Cluster) ([]string, error) {
	lists := map[string]*longhornItems{"volumes": {}, "replicas": {}, "nodes": {}, "engines": {}}
	for kind, list := range lists {
		if _, err := cluster.Get(ctx, longhornPath+kind, list); err != nil {
			return nil, fmt.Errorf("list Longhorn's %s: %w", kind, err)
		}
	}
	ready := lists["nodes"].ready()
	var lines []string
	for _, volume := range lists["volumes"].Items {
		name, status := volume.Metadata.Name, volume.Status
		healthy := lists["replicas"].healthy(name, ready)
		attached := status.State == "attached"
		if healthy >= volume.Spec.NumberOfReplicas && (!attached || status.Robustness == "healthy") {
			continue
		}
		if status.KubernetesStatus.PVCName != "" {
			name = fmt.Sprintf("%s/%s (%s)", status.KubernetesStatus.Namespace, status.KubernetesStatus.PVCName, name)
		}
		line := fmt.Sprintf("volume %s has %d of %d healthy replicas", name, healthy, volume.Spec.NumberOfReplicas)
		switch rebuild := lists["engines"].rebuild(volume.Metadata.Name); {
		case rebuild != "":
			line += ", " + rebuild
		case !attached:
			line += ` and is "` + status.State + `": Longhorn rebuilds only while a volume is attached`
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// ready returns the nodes that Longhorn calls ready.
func (l *longhornItems) ready() []string {
	var names []string
	for _, node := range l.Items {
		for _, condition := range node.Status.Conditions {
			if condition.Type == "Ready" && condition.Status == "True" {
				names = append(names, node.Metadata.Name)
			}
		}
	}
	return names
}

// healthy counts the replicas of a volume that are good and on nodes of which each counts once: two on one node are lost together.
func (l *longhornItems) healthy(volume string, nodes []string) int {
	on := map[string]bool{}
	for _, replica := range l.Items {
		spec := replica.Spec
		if spec.VolumeName == volume && spec.FailedAt == "" && spec.HealthyAt != "" && slices.Contains(nodes, spec.NodeID) {
			on[spec.NodeID] = true
		}
	}
	return len(on)
}

// rebuild says how far the rebuilds of a volume are; "" when there is none.
func (l *longhornItems) rebuild(volume string) string {
	for _, engine := range l.Items {
		if engine.Spec.VolumeName != volume {
			continue
		}
		for _, status := range engine.Status.RebuildStatus {
			if status.Error != "" {
				return "a rebuild failed: " + status.Error
			}
			if status.IsRebuilding {
				return fmt.Sprintf("a rebuild is at %.0f %%", status.Progress)
			}
		}
	}
	return ""
}

// longhornLeave evicts nodes in Longhorn's sense: it rebuilds each replica elsewhere before it removes the one on the node.
func longhornLeave(ctx context.Context, cluster *live.Cluster, nodes []string) ([]string, error) {
	evict := map[string]any{"spec": map[string]any{"allowScheduling": false, "evictionRequested": true}}
	for _, node := range nodes {
		if _, err := cluster.Patch(ctx, longhornPath+"nodes/"+node, evict); err != nil {
			return nil, fmt.Errorf("evict Longhorn's node %s: %w", node, err)
		}
	}
	var replicas, engines longhornItems
	if _, err := cluster.Get(ctx, longhornPath+"replicas", &replicas); err != nil {
		return nil, fmt.Errorf("list Longhorn's replicas: %w", err)
	}
	if _, err := cluster.Get(ctx, longhornPath+"engines", &engines); err != nil {
		return nil, fmt.Errorf("list Longhorn's engines: %w", err)
	}
	var left []string
	for _, replica := range replicas.Items {
		if slices.Contains(nodes, replica.Spec.NodeID) {
			line := fmt.Sprintf("a replica of volume %s leaves node %s", replica.Spec.VolumeName, replica.Spec.NodeID)
			if rebuild := engines.rebuild(replica.Spec.VolumeName); rebuild != "" {
				line += ", " + rebuild
			}
			left = append(left, line)
		}
	}
	return left, nil
}
