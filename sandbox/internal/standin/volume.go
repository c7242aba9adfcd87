package standin

import (
	"context"
	"errors"
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
	// unready is why it is not ready for workloads, in Longhorn's words: its data are not there yet.
	unready string
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
	if moved(object) && !heldForClone(object) {
		node = "" // Longhorn lets go of it when somebody wants to use it
	}
	state := &volumeState{node: node, unready: unready(object)}
	for _, condition := range conditions {
		fields, ok := condition.(map[string]any)
		if ok && fields["type"] == "Scheduled" {
			state.scheduled = fields["status"] == string(corev1.ConditionTrue)
		}
	}
	return state, nil
}

// unready is why a volume whose data are not there is not ready for workloads (types/volumes.go, IsVolumeReady).
func unready(volume *unstructured.Unstructured) string {
	switch {
	case lacksData(volume) && textAt(volume, "status", "robustness") == faulted:
		return "volume is faulted"
	case lacksData(volume):
		return "volume request cloning data but has not finished copying data"
	case truthAt(volume, "status", "restoreRequired"):
		return "volume requires restoration"
	}
	return ""
}

// schedule looks for nodes for the volume's replicas and reports whether it found enough. Longhorn creates a volume in
// any case; one whose replicas found no node cannot be attached (longhorn-manager volume_controller.go, api/model.go).
func (c *standIn) schedule(ctx context.Context, namespace, handle string) (bool, error) {
	c.managing.Lock()
	defer c.managing.Unlock()
	s, err := c.current(ctx, namespace)
	if err != nil {
		return false, err
	}
	volume := s.volume(handle)
	if volume == nil {
		return false, nil
	}
	before := volume.DeepCopy()
	if count(s.replicas[handle], wasHealthy) == 0 {
		if err := c.fill(ctx, s, volume); err != nil {
			return false, err
		}
	}
	// Longhorn is content with one replica if it may create degraded volumes or put replicas side by side.
	placed, wanted := int64(len(s.replicas[handle])), numberAt(volume, "spec", "numberOfReplicas")
	lenient := s.truth("allow-volume-creation-with-degraded-availability") || s.truth("replica-soft-anti-affinity")
	enough, reason := placed >= wanted || placed > 0 && lenient, ""
	if !enough && placed > 0 && textAt(volume, "spec", "dataSource") != "" {
		// All replicas that there are have a place, so a clone is ready with its only one, but where all are asked for it has no
		// condition before it has all (reconcileVolumeCondition; types/volumes.go, IsVolumeReady).
		return true, c.settle(ctx, s, volume, before)
	}
	if !enough {
		reason = "ReplicaSchedulingFailure"
	}
	put(volume, withCondition(conditionsOf(volume), c.now(), "Scheduled", conditionStatus(enough), reason, ""), "status", "conditions")
	return enough, c.settle(ctx, s, volume, before)
}

func (s *state) volume(handle string) *unstructured.Unstructured {
	for _, volume := range s.volumes {
		if volume.GetName() == handle {
			return volume
		}
	}
	return nil
}

// usable says whether a replica of the volume can be started. What cannot is failed by the attempt to attach.
func (c *standIn) usable(ctx context.Context, namespace, handle string) (bool, error) {
	s, err := c.readState(ctx, namespace)
	if err != nil {
		return false, err
	}
	startable := count(s.replicas[handle], func(replica *unstructured.Unstructured) bool {
		return !failed(replica) && c.launchable(s, replica)
	})
	return startable > 0 || len(s.replicas[handle]) == 0, nil
}

// setAttached attaches the volume to the node, or detaches it if there is none. A replica that cannot be started then
// has failed: that is when Longhorn notices what happened to a detached volume's replicas.
func (c *standIn) setAttached(ctx context.Context, namespace, handle, node string) error {
	c.managing.Lock()
	defer c.managing.Unlock()
	s, err := c.current(ctx, namespace)
	if err != nil {
		return err
	}
	volume := s.volume(handle)
	if volume == nil {
		return nil
	}
	before := volume.DeepCopy()
	if node == "" && readByClone(s, volume) && textAt(volume, "status", "currentNodeID") != "" {
		annotate(volume, movingAnnotation, forClone) // Longhorn's own ticket is still there
		return c.settle(ctx, s, volume, before)
	}
	if node == "" {
		putDetached(volume)
		return c.settle(ctx, s, volume, before)
	}
	if err := c.takeOver(ctx, s, volume, node); err != nil {
		return err
	}
	if err := c.launch(ctx, s, volume, node); err != nil {
		return err
	}
	if err := c.settle(ctx, s, volume, before); err != nil {
		return err
	}
	if textAt(volume, "status", "currentNodeID") != node {
		return fmt.Errorf("volume %s is not ready for workloads", handle)
	}
	return nil
}

// takeOver ends the engine of a volume that Longhorn itself has attached to another node.
func (c *standIn) takeOver(ctx context.Context, s *state, volume *unstructured.Unstructured, node string) error {
	current := textAt(volume, "status", "currentNodeID")
	if !moved(volume) || current == node {
		return nil
	}
	if readByClone(s, volume) {
		return fmt.Errorf("volume %s is attached to node %s for a clone", volume.GetName(), current)
	}
	engine, err := c.engineOf(ctx, s, volume)
	if err != nil {
		return err
	}
	putDetached(volume)
	return c.settleDetached(ctx, s, volume, engine)
}

// forClone is what movingAnnotation says of the source of a clone in progress. Unlike those for a snapshot or a backup, that attachment
// is not given up when a workload wants the volume elsewhere (volume_attachment_controller.go, hasUninterruptibleTicket).
const forClone = "clone"

func heldForClone(volume *unstructured.Unstructured) bool {
	return volume.GetAnnotations()[movingAnnotation] == forClone
}

// holdForClone notes on a volume that Longhorn has attached whether it is for a clone.
func holdForClone(s *state, volume *unstructured.Unstructured) {
	switch reads := readByClone(s, volume); {
	case moved(volume) && reads:
		annotate(volume, movingAnnotation, forClone)
	case moved(volume):
		annotate(volume, movingAnnotation, "true")
	}
}

// launch starts the volume's replicas for an engine on the node.
func (c *standIn) launch(ctx context.Context, s *state, volume *unstructured.Unstructured, node string) error {
	handle := volume.GetName()
	if textAt(volume, "status", "currentNodeID") != node {
		replicas := copies(s.replicas[handle])
		for _, replica := range s.replicas[handle] {
			interrupted := fresh(replica) && count(s.replicas[handle], good) > 0
			if !failed(replica) && (interrupted || !c.launchable(s, replica)) {
				c.fail(replica)
			}
		}
		err := c.startProcesses(ctx, s, volume, node)
		if err := errors.Join(err, c.saveReplicas(ctx, s, handle, replicas)); err != nil {
			return err
		}
	}
	put(volume, node, "status", "currentNodeID")
	removeAnnotation(volume, movingAnnotation)
	return nil
}
