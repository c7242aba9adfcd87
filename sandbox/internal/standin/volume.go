package standin

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// volumeState is what of a Longhorn volume's status matters here.
type volumeState struct {
	// node that the volume is attached to; empty if it is detached.
	node string
	// scheduled: enough replicas found a node when the volume was created, or later.
	scheduled bool
}

// volumeStateOf returns nil if Longhorn has no such volume.
func (c *standIn) volumeStateOf(ctx context.Context, namespace, handle string) (*volumeState, error) {
	object, err := c.longhorn.get(ctx, namespace, longhornVolumes, handle)
	if err != nil || object == nil {
		return nil, err
	}
	node, _, err := unstructured.NestedString(object.Object, "status", "currentNodeID")
	if err != nil {
		return nil, fmt.Errorf("read state of Longhorn's volume %s: %w", handle, err)
	}
	conditions, _, err := unstructured.NestedSlice(object.Object, "status", "conditions")
	if err != nil {
		return nil, fmt.Errorf("read conditions of Longhorn's volume %s: %w", handle, err)
	}
	state := &volumeState{node: node}
	for _, condition := range conditions {
		fields, ok := condition.(map[string]any)
		if ok && fields["type"] == "Scheduled" {
			state.scheduled = fields["status"] == string(corev1.ConditionTrue)
		}
	}
	return state, nil
}

// schedule looks for nodes for the volume's replicas and reports whether it found enough. Longhorn creates a volume in
// any case; one whose replicas found no node cannot be attached (longhorn-manager volume_controller.go, api/model.go).
func (c *standIn) schedule(ctx context.Context, namespace, handle string) (bool, error) {
	object, err := c.longhorn.get(ctx, namespace, longhornVolumes, handle)
	if err != nil || object == nil {
		return false, err
	}
	wanted, _, err := unstructured.NestedInt64(object.Object, "spec", "numberOfReplicas")
	if err != nil {
		return false, fmt.Errorf("read Longhorn's volume %s: %w", handle, err)
	}
	enough, err := c.roomFor(ctx, namespace, int(wanted))
	if err != nil {
		return false, err
	}
	condition := map[string]any{"type": "Scheduled", "status": conditionStatus(enough)}
	if !enough {
		condition["reason"] = "ReplicaSchedulingFailure"
	}
	err = unstructured.SetNestedSlice(object.Object, []any{condition}, "status", "conditions")
	if err != nil {
		return false, fmt.Errorf("write conditions of Longhorn's volume %s: %w", handle, err)
	}
	return enough, c.longhorn.updateStatus(ctx, longhornVolumes, object)
}

// roomFor says whether Longhorn is content with the nodes there are: one per replica, or any at all if it may create
// degraded volumes or put replicas side by side.
func (c *standIn) roomFor(ctx context.Context, namespace string, replicas int) (bool, error) {
	nodes, err := c.schedulable(ctx, namespace)
	if err != nil {
		return false, err
	}
	degraded, err := c.longhorn.boolSetting(ctx, namespace, "allow-volume-creation-with-degraded-availability")
	if err != nil {
		return false, err
	}
	sharing, err := c.longhorn.boolSetting(ctx, namespace, "replica-soft-anti-affinity")
	if err != nil {
		return false, err
	}
	return len(nodes) >= replicas || len(nodes) > 0 && (degraded || sharing), nil
}

// setAttached writes that the volume is attached to the node, or detached if there is none.
func (c *standIn) setAttached(ctx context.Context, namespace, handle, node string) error {
	object, err := c.longhorn.get(ctx, namespace, longhornVolumes, handle)
	if err != nil || object == nil {
		return err
	}
	fields := map[string]string{"state": "detached", "robustness": "unknown", "currentNodeID": ""}
	if node != "" {
		fields = map[string]string{"state": "attached", "robustness": "healthy", "currentNodeID": node}
	}
	for name, value := range fields {
		if err := unstructured.SetNestedField(object.Object, value, "status", name); err != nil {
			return fmt.Errorf("write state of Longhorn's volume %s: %w", handle, err)
		}
	}
	return c.longhorn.updateStatus(ctx, longhornVolumes, object)
}
