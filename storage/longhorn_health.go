package storage

import (
	"context"
	"fmt"
	"slices"

	"ha-iris/internal/live"
)

// offlineRebuilding is the field of a volume that says whether Longhorn attaches it to rebuild a replica; without one of its two values the
// setting of the same name counts.
const (
	offlineRebuilding = "offlineRebuilding"
	rebuildsOffline   = "enabled"
)

// rebuildOffline is the command that has a volume rebuilt while it is detached.
func rebuildOffline(volume string) string {
	return fmt.Sprintf(`kubectl -n %s patch volumes.longhorn.io %s --type merge --patch '{"spec":{%q:%q}}'`, namespaceName, volume,
		offlineRebuilding, rebuildsOffline)
}

// verifyCopy is the claim of a verification's copy, which has one replica (iris, copyName).
const verifyCopy = "iris-verify-copy"

const longhornPath = "/apis/longhorn.io/v1beta2/namespaces/" + namespaceName + "/"

// longhornItems is a list of Longhorn's objects of one kind, with what is read of all kinds.
type longhornItems struct {
	Items []struct {
		Metadata struct {
			Name string `json:"name"`
		} `json:"metadata"`
		Spec struct {
			// NumberOfReplicas and OfflineRebuilding are of a volume.
			NumberOfReplicas  int    `json:"numberOfReplicas"`
			OfflineRebuilding string `json:"offlineRebuilding"`
			// VolumeName is of a replica and an engine; the others of a replica.
			VolumeName string `json:"volumeName"`
			NodeID     string `json:"nodeID"`
			DiskID     string `json:"diskID"`
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
			// Conditions, Zone and DiskStatus are of a node.
			Conditions live.Conditions `json:"conditions"`
			Zone       string          `json:"zone"`
			DiskStatus map[string]struct {
				DiskUUID   string          `json:"diskUUID"`
				Conditions live.Conditions `json:"conditions"`
			} `json:"diskStatus"`
		} `json:"status"`
	} `json:"items"`
}

// longhornUnhealthy counts the replicas itself: a volume's robustness says nothing of a detached volume, nor of a disk that was
// emptied meanwhile, is a few seconds late when a node has gone, and is "healthy" with two replicas in one zone, which
// replicaZoneSoftAntiAffinity allows.
func longhornUnhealthy(ctx context.Context, cluster *live.Cluster) ([]string, error) {
	lists := map[string]*longhornItems{"volumes": {}, "replicas": {}, "nodes": {}, "engines": {}}
	for kind, list := range lists {
		if _, err := cluster.Get(ctx, longhornPath+kind, list); err != nil {
			return nil, fmt.Errorf("list Longhorn's %s: %w", kind, err)
		}
	}
	places, zones := lists["nodes"].places()
	var lines []string
	for _, volume := range lists["volumes"].Items {
		name, status, wanted := volume.Metadata.Name, volume.Status, volume.Spec.NumberOfReplicas
		healthy, inZones := lists["replicas"].healthy(name, places)
		attached, spread := status.State == "attached", inZones >= min(wanted, zones)
		if healthy >= wanted && spread && (!attached || status.Robustness == "healthy") {
			continue
		}
		if status.KubernetesStatus.PVCName != "" {
			name = fmt.Sprintf("%s/%s (%s)", status.KubernetesStatus.Namespace, status.KubernetesStatus.PVCName, name)
		}
		line := fmt.Sprintf("volume %s has %d of %d healthy replicas", name, healthy, wanted)
		if healthy >= wanted && !spread {
			line += fmt.Sprintf(" in %d of %d zones", inZones, min(wanted, zones))
		}
		switch rebuild := lists["engines"].rebuild(volume.Metadata.Name); {
		case status.KubernetesStatus.PVCName == verifyCopy:
			line += fmt.Sprintf(": it is the copy of a verification, which nothing rebuilds. It ends by itself, or with its job: kubectl -n %s delete jobs -l app.kubernetes.io/component=verify",
				status.KubernetesStatus.Namespace)
		case rebuild != "":
			line += ", " + rebuild
		case !attached && volume.Spec.OfflineRebuilding == rebuildsOffline && healthy < wanted:
			line += ` and is "` + status.State + `": Longhorn attaches it to rebuild it once there is a node for the replica`
		case !attached:
			line += ` and is "` + status.State + `": Longhorn rebuilds only while a volume is attached, or told to: ` + rebuildOffline(volume.Metadata.Name)
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// place is where replicas can be: a disk of a node that Longhorn calls ready.
type place struct{ node, disk string }

// places returns the zone of every ready place; one without a disk stands for the whole node. zones is how many there are.
func (l *longhornItems) places() (zoneOf map[place]string, zones int) {
	zoneOf = map[place]string{}
	seen := map[string]bool{}
	for _, node := range l.Items {
		if !node.Status.Conditions.Ready() {
			continue
		}
		zone := node.Status.Zone
		seen[zone] = true
		zoneOf[place{node: node.Metadata.Name}] = zone
		for _, disk := range node.Status.DiskStatus {
			if disk.Conditions.Ready() {
				zoneOf[place{node.Metadata.Name, disk.DiskUUID}] = zone
			}
		}
	}
	return zoneOf, len(seen)
}

// healthy counts the replicas of a volume that are good and on ready disks, and their zones. Those on one node count once, because
// they are lost together.
func (l *longhornItems) healthy(volume string, places map[place]string) (replicas, zones int) {
	nodes, in := map[string]bool{}, map[string]bool{}
	for _, replica := range l.Items {
		spec := replica.Spec
		zone, there := places[place{spec.NodeID, spec.DiskID}]
		if there && spec.VolumeName == volume && spec.FailedAt == "" && spec.HealthyAt != "" {
			nodes[spec.NodeID], in[zone] = true, true
		}
	}
	return len(nodes), len(in)
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
		// A failed one is no data: Longhorn keeps it for two days after its node has gone (staleReplicaTimeout).
		if slices.Contains(nodes, replica.Spec.NodeID) && replica.Spec.FailedAt == "" {
			line := fmt.Sprintf("a replica of volume %s leaves node %s", replica.Spec.VolumeName, replica.Spec.NodeID)
			if rebuild := engines.rebuild(replica.Spec.VolumeName); rebuild != "" {
				line += ", " + rebuild
			}
			left = append(left, line)
		}
	}
	return left, nil
}
