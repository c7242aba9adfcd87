package standin

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Longhorn's words for why a node or a disk is not ready.
const (
	nodeGone        = "KubernetesNodeGone"
	nodeNotReady    = "KubernetesNodeNotReady"
	nodeCordoned    = "KubernetesNodeCordoned"
	managerMissing  = "ManagerPodMissing"
	managerDown     = "ManagerPodDown"
	diskChanged     = "DiskFilesystemChanged"
	diskNotReady    = "DiskNotReady"
	diskNodeUnready = "NodeNotReady"
)

// diskSize is what every disk here says it holds. Nothing is stored, so nothing fills up.
const diskSize = int64(1) << 40

// reportNodes writes the status of Longhorn's nodes and disks, and which replicas have to leave them.
func (c *standIn) reportNodes(ctx context.Context, s *state) error {
	for _, name := range slices.Sorted(maps.Keys(s.nodes)) {
		if err := c.reportNode(ctx, s, s.nodes[name]); err != nil {
			return err
		}
	}
	return nil
}

// reportNode brings one of Longhorn's nodes up to date (longhorn-manager node_controller.go, syncNode).
func (c *standIn) reportNode(ctx context.Context, s *state, object *unstructured.Unstructured) error {
	before := object.DeepCopy()
	node, err := c.cache.nodes.Get(object.GetName())
	if apierrors.IsNotFound(err) {
		return c.reportGone(ctx, s, before, object)
	}
	if err != nil {
		return fmt.Errorf("look up node %s: %w", object.GetName(), err)
	}
	reason, message, err := c.unready(s.namespace, node)
	if err != nil {
		return err
	}
	conditions := slices.Clone(conditionsOf(object))
	conditions = withCondition(conditions, c.now(), "Ready", conditionStatus(reason == ""), reason, message)
	cordoned := s.truth("disable-scheduling-on-cordoned-node") && node.Spec.Unschedulable
	if cordoned {
		conditions = withCondition(conditions, c.now(), "Schedulable", conditionStatus(false), nodeCordoned,
			fmt.Sprintf("Node %s is cordoned", node.Name))
	} else {
		conditions = withCondition(conditions, c.now(), "Schedulable", conditionStatus(true), "", "")
	}
	put(object, conditions, "status", "conditions")
	put(object, node.Labels[corev1.LabelTopologyRegion], "status", "region")
	put(object, node.Labels[corev1.LabelTopologyZone], "status", "zone")
	if reason != "" {
		c.stopDisks(object)
		return c.saveNode(ctx, s, before, object)
	}
	if err := c.reportDisks(ctx, s, node, object); err != nil {
		return err
	}
	if err := c.requestEvictions(ctx, s, node, object); err != nil {
		return err
	}
	return c.saveNode(ctx, s, before, object)
}

// saveNode also notes how many replicas the node has: the chart's admission policy refuses to delete it until there are
// none, and can see no other object.
func (c *standIn) saveNode(ctx context.Context, s *state, before, object *unstructured.Unstructured) error {
	number := fmt.Sprint(len(s.replicasOn(object.GetName())) + s.enginesOn(object.GetName()))
	if object.GetAnnotations()[instancesAnnotation] != number {
		annotate(object, instancesAnnotation, number)
	}
	return c.longhorn.save(ctx, longhornNodes, before, object)
}

// reportGone is for a node that Kubernetes does not have any more. Longhorn deletes its own as soon as its webhook lets
// it: once the user has disabled scheduling there, and nothing is left on it (webhook/resources/node/validator.go).
func (c *standIn) reportGone(ctx context.Context, s *state, before, object *unstructured.Unstructured) error {
	name := object.GetName()
	put(object, withCondition(conditionsOf(object), c.now(), "Ready", conditionStatus(false), nodeGone,
		fmt.Sprintf("Kubernetes node missing: node %s has been removed from the cluster", name)), "status", "conditions")
	if err := c.saveNode(ctx, s, before, object); err != nil {
		return err
	}
	if truthAt(object, "spec", "allowScheduling") || len(s.replicasOn(name)) > 0 || s.enginesOn(name) > 0 {
		return nil
	}
	delete(s.nodes, name)
	return c.longhorn.remove(ctx, longhornNodes, object)
}

// unready says why Longhorn does not count on the node, and what it reports if it does.
func (c *standIn) unready(namespace string, node *corev1.Node) (reason, message string, err error) {
	down, err := c.down(node.Name)
	if err != nil {
		return "", "", err
	}
	if down {
		return nodeNotReady, fmt.Sprintf("Kubernetes node %s not ready: %s", node.Name, readyCondition(node).Reason), nil
	}
	pods, err := c.cache.podsBy(byNode, node.Name)
	if err != nil {
		return "", "", err
	}
	for _, pod := range pods {
		if pod.Namespace != namespace || pod.Labels["app"] != managerName {
			continue
		}
		if pod.Status.Phase != corev1.PodRunning || !podCondition(pod, corev1.PodReady) {
			return managerDown, fmt.Sprintf("Node %s is down: manager pod %s is not running", node.Name, pod.Name), nil
		}
		return "", fmt.Sprintf("Node %s is ready", node.Name), nil
	}
	return managerMissing, fmt.Sprintf("Manager pod is missing: node %s has no manager pod running on it", node.Name), nil
}

func conditionsOf(object *unstructured.Unstructured) []any {
	return conditionList(mapAt(object, "status"))
}

func conditionList(status map[string]any) []any {
	conditions, _ := status["conditions"].([]any)
	return conditions
}

// stopDisks marks the disks of a node that is not ready. What is scheduled on them stays noted.
func (c *standIn) stopDisks(object *unstructured.Unstructured) {
	for name, value := range mapAt(object, "status", "diskStatus") {
		disk, ok := value.(map[string]any)
		if !ok {
			continue
		}
		conditions := conditionList(disk)
		for kind, word := range map[string]string{"Ready": "ready", "Schedulable": "schedulable"} {
			conditions = withCondition(conditions, c.now(), kind, conditionStatus(false), diskNodeUnready,
				fmt.Sprintf("Waiting for disk %s (%v) on node %s to be %s", name, disk["diskPath"], object.GetName(), word))
		}
		disk["conditions"] = sorted(conditions)
	}
}

// reportDisks compares the disks that Longhorn has recorded with what the machine has.
func (c *standIn) reportDisks(ctx context.Context, s *state, node *corev1.Node, object *unstructured.Unstructured) error {
	recorded := mapAt(object, "status", "diskStatus")
	current := map[string]any{}
	for name, value := range mapAt(object, "spec", "disks") {
		spec, ok := value.(map[string]any)
		if !ok {
			continue
		}
		disk, _ := recorded[name].(map[string]any)
		if disk == nil {
			disk = map[string]any{}
		}
		path, _ := spec["path"].(string)
		reported, err := c.reportDisk(ctx, s, node, name, path, disk)
		if err != nil {
			return err
		}
		current[name] = reported
	}
	put(object, current, "status", "diskStatus")
	return nil
}

func (c *standIn) reportDisk(ctx context.Context, s *state, node *corev1.Node, name, path string, disk map[string]any) (map[string]any, error) {
	c.measure(ctx, s, node, path)
	actual, total, available := c.diskUUID(node, path), diskSize, diskSize
	if real, known := c.diskOf(node.Name, path); known {
		total, available = real.Total, real.Available
	}
	recorded, _ := disk["diskUUID"].(string)
	conditions, scheduled, used := conditionList(disk), map[string]any{}, int64(0)
	if actual == "" { // a real node's instance manager has not told yet
		disk["diskName"], disk["diskPath"], disk["diskType"] = name, path, "filesystem"
		return disk, nil
	}
	if recorded != "" && recorded != actual {
		conditions = withCondition(conditions, c.now(), "Ready", conditionStatus(false), diskChanged,
			fmt.Sprintf("Disk %s(%s) on node %s is not ready: record diskUUID doesn't match the one on the disk ", name, path, node.Name))
		conditions = withCondition(conditions, c.now(), "Schedulable", conditionStatus(false), diskNotReady,
			fmt.Sprintf("Disk %s (%s) on the node %s is not ready", name, path, node.Name))
	} else {
		recorded = actual
		conditions = withCondition(conditions, c.now(), "Ready", conditionStatus(true), "",
			fmt.Sprintf("Disk %s(%s) on node %s is ready", name, path, node.Name))
		conditions = withCondition(conditions, c.now(), "Schedulable", conditionStatus(true), "",
			fmt.Sprintf("Disk %s(%s) on node %s is schedulable", name, path, node.Name))
		for _, replica := range s.replicasOnDisk(recorded) {
			if err := c.follow(ctx, replica, node.Name); err != nil {
				return nil, err
			}
			size := sizeOf(replica)
			scheduled[replica.GetName()] = size
			used += size
		}
	}
	return map[string]any{
		"conditions": sorted(conditions), "diskUUID": recorded, "diskName": name, "diskPath": path, "diskType": "filesystem",
		"filesystemType": defaultFSType, "scheduledReplica": scheduled, "storageScheduled": used,
		"storageMaximum": total, "storageAvailable": available, "instanceManagerName": instanceName(node.Name),
	}, nil
}

// follow moves a replica to the node that its disk is on now.
func (c *standIn) follow(ctx context.Context, replica *unstructured.Unstructured, node string) error {
	if textAt(replica, "spec", "nodeID") == node {
		return nil
	}
	before := replica.DeepCopy()
	put(replica, node, "spec", "nodeID")
	return c.longhorn.save(ctx, replicaKind, before, replica)
}

func (s *state) replicasOnDisk(uuid string) []*unstructured.Unstructured {
	var found []*unstructured.Unstructured
	for _, replicas := range s.replicas {
		for _, replica := range replicas {
			if textAt(replica, "spec", "diskID") == uuid {
				found = append(found, replica)
			}
		}
	}
	return found
}

// machineDisk is the identity of what the machine has under the path: the same text in its annotation is the same disk
// with its content. A machine that says nothing has a disk that comes and goes with the Node object.
func machineDisk(node *corev1.Node, path string) string {
	text := node.Annotations[diskAnnotation]
	if text == "" {
		text = "node " + string(node.UID)
	}
	sum := checksum(text+"\n"+path, 32)
	return fmt.Sprintf("%s-%s-%s-%s-%s", sum[:8], sum[8:12], sum[12:16], sum[16:20], sum[20:])
}

// sorted puts a status's conditions in an order that does not depend on chance.
func sorted(conditions []any) []any {
	slices.SortStableFunc(conditions, func(a, b any) int {
		return strings.Compare(conditionType(a), conditionType(b))
	})
	return conditions
}

func conditionType(condition any) string {
	fields, _ := condition.(map[string]any)
	kind, _ := fields["type"].(string)
	return kind
}

// sound says whether the disk that Longhorn knows by that id is ready, and whether it takes replicas. A disk whose node
// is away is neither.
func (s *state) sound(node, uuid string) (ready, schedulable bool) {
	object := s.nodes[node]
	if object == nil {
		return false, false
	}
	for name, value := range mapAt(object, "status", "diskStatus") {
		disk, ok := value.(map[string]any)
		if !ok || disk["diskUUID"] != uuid {
			continue
		}
		spec := mapAt(object, "spec", "disks", name)
		allowed := spec["allowScheduling"] == true && spec["evictionRequested"] != true
		return holds(conditionList(disk), "Ready"), holds(conditionList(disk), "Schedulable") && allowed
	}
	return false, false
}
