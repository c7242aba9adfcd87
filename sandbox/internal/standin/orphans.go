package standin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"ha-iris/sandbox/internal/datapath/imclient"
)

// The types of orphans that are played, in Longhorn's words, and those of the setting orphan-resource-auto-deletion for them.
const (
	orphanData    = "replica"
	orphanEngine  = "engine-instance"
	autoDataWord  = "replica-data"
	autoInstances = "instance"
)

// orphan is what lies or runs on a node and belongs to none of Longhorn's objects.
type orphan struct {
	node, kind string
	parameters map[string]any
}

func (o orphan) name() string {
	parts := []string{o.node, o.kind}
	for _, key := range slices.Sorted(maps.Keys(o.parameters)) {
		parts = append(parts, fmt.Sprint(o.parameters[key]))
	}
	return "orphan-" + checksum(strings.Join(parts, "-"), 64)
}

// syncOrphans lists what real nodes have too much, and removes what somebody deletes or the user wants removed
// (node_controller.go, instance_manager_controller.go, orphan_controller.go). Simulated nodes have nothing.
func (c *standIn) syncOrphans(ctx context.Context, s *state) error {
	found, known := map[string]orphan{}, map[string]bool{}
	for _, node := range slices.Sorted(maps.Keys(s.nodes)) {
		if !c.realNode(node) {
			continue
		}
		instances, err := c.look(ctx, s, node)
		if err != nil {
			continue // of a silent node nothing is known
		}
		known[node] = true
		for _, one := range slices.Concat(c.orphanedData(s, s.nodes[node]), c.orphanedEngines(s, node, instances)) {
			found[one.name()] = one
		}
	}
	var errs []error
	for _, object := range slices.Clone(s.others[orphanKind]) {
		errs = append(errs, c.syncOrphan(ctx, s, object, found, known))
		delete(found, object.GetName()) // also one that has just been removed
	}
	for _, one := range found {
		errs = append(errs, c.createOrphan(ctx, s, one))
	}
	return errors.Join(errs...)
}

// orphanedData are the replica directories that no replica claims, on disks that are the ones that Longhorn has recorded.
func (c *standIn) orphanedData(s *state, node *unstructured.Unstructured) []orphan {
	var found []orphan
	for name, value := range mapAt(node, "status", "diskStatus") {
		status, _ := value.(map[string]any)
		path, _ := status["diskPath"].(string)
		disk, seen := c.diskOf(node.GetName(), path)
		if !seen || status["diskUUID"] != disk.UUID {
			continue
		}
		for _, directory := range disk.Replicas {
			if s.claimed[disk.UUID+"/"+directory] {
				continue
			}
			found = append(found, orphan{node.GetName(), orphanData, map[string]any{
				"DataName": directory, "DiskName": name, "DiskUUID": disk.UUID, "DiskPath": path, "DiskType": "filesystem",
			}})
		}
	}
	return found
}

// orphanedEngines are the engines that run on a node, while Longhorn has them on another one or nowhere: those of a node that was cut
// off (longhorn-real.md, "Stale engine").
func (c *standIn) orphanedEngines(s *state, node string, instances imclient.Instances) []orphan {
	var found []orphan
	for _, process := range instances.Engines {
		object := s.engines[process.Volume]
		here := object != nil && textAt(object, "status", "currentState") == running &&
			textAt(object, "status", "instanceManagerName") == instanceName(node)
		if here || process.State == imclient.Starting || process.State == imclient.Stopping {
			continue
		}
		found = append(found, orphan{node, orphanEngine, map[string]any{
			"InstanceName": process.Name, "InstanceUUID": process.UUID, "InstanceManager": instanceName(node),
		}})
	}
	return found
}

func (c *standIn) createOrphan(ctx context.Context, s *state, one orphan) error {
	object := newObject(s.namespace, orphanKind, one.name())
	object.SetFinalizers([]string{longhornFinalizer})
	for name, value := range map[string]string{
		"longhorn.io/component": "orphan", "longhorn.io/managed-by": managerName, "longhornnode": one.node, "longhorn.io/orphan-type": one.kind,
	} {
		label(object, name, value)
	}
	object.Object["spec"] = map[string]any{"nodeID": one.node, "orphanType": one.kind, "parameters": one.parameters}
	if one.kind == orphanEngine {
		put(object, "v1", "spec", "dataEngine")
	}
	// The original's grace period begins with the object. Kept apart from it, because only tests' objects have no time of their own.
	annotate(object, startedAnnotation, c.now())
	c.orphanConditions(object, true)
	_, err := c.add(ctx, s, orphanKind, object)
	return err
}

// orphanConditions writes whether the orphan can be removed: it can while its node is ready.
func (c *standIn) orphanConditions(object *unstructured.Unstructured, reachable bool) {
	kind, reason := "DataCleanable", ""
	if textAt(object, "spec", "orphanType") == orphanEngine {
		kind = "InstanceExist"
	} else if !reachable {
		reason = "NodeUnavailable"
	}
	conditions := withCondition(conditionsOf(object), c.now(), kind, conditionStatus(reachable), reason, "")
	if !holds(conditions, "Error") {
		conditions = withCondition(conditions, c.now(), "Error", conditionStatus(false), "", "")
	}
	put(object, sorted(conditions), "status", "conditions")
}

// syncOrphan takes one orphan a step further. One that is gone, or whose owner is back, goes without being touched; so does one whose
// node is down.
func (c *standIn) syncOrphan(ctx context.Context, s *state, object *unstructured.Unstructured, found map[string]orphan, known map[string]bool) error {
	node := textAt(object, "spec", "nodeID")
	_, there := found[object.GetName()]
	if known[node] && !there {
		return c.drop(ctx, s, orphanKind, object)
	}
	if !known[node] {
		down, err := c.down(node)
		if err == nil && down {
			return c.drop(ctx, s, orphanKind, object)
		}
		return err
	}
	before := object.DeepCopy()
	c.orphanConditions(object, true)
	if object.GetDeletionTimestamp() == nil && !c.autoDeletes(s, object) {
		return c.longhorn.save(ctx, orphanKind, before, object)
	}
	if err := c.removeOrphan(ctx, s, object); err != nil {
		put(object, sorted(withCondition(conditionsOf(object), c.now(), "Error", conditionStatus(true), "", err.Error())), "status", "conditions")
		return c.longhorn.save(ctx, orphanKind, before, object)
	}
	if textAt(object, "spec", "orphanType") == orphanEngine {
		return c.longhorn.save(ctx, orphanKind, before, object) // it goes once the engine has ended
	}
	return c.drop(ctx, s, orphanKind, object)
}

// autoDeletes says whether the user wants the orphan removed by itself, and has waited long enough.
func (c *standIn) autoDeletes(s *state, object *unstructured.Unstructured) bool {
	word := autoDataWord
	if textAt(object, "spec", "orphanType") == orphanEngine {
		word = autoInstances
	}
	wanted := slices.ContainsFunc(strings.Split(s.setting("orphan-resource-auto-deletion"), ";"), func(one string) bool {
		return strings.TrimSpace(one) == word
	})
	return wanted && c.since(object.GetAnnotations()[startedAnnotation]) > s.seconds("orphan-resource-auto-deletion-grace-period")
}

func (c *standIn) removeOrphan(ctx context.Context, s *state, object *unstructured.Unstructured) error {
	manager := c.processes(s, textAt(object, "spec", "nodeID"))
	if manager == nil {
		return errSilent
	}
	parameter := func(name string) string { return textAt(object, "spec", "parameters", name) }
	if textAt(object, "spec", "orphanType") == orphanEngine {
		return manager.StopEngine(ctx, parameter("InstanceName"))
	}
	err := manager.DeleteReplica(ctx, parameter("DiskPath"), parameter("DataName"))
	if errors.Is(err, imclient.ErrNotFound) {
		return nil
	}
	return err
}
