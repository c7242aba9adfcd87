package standin

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func (r *realRig) orphan() *unstructured.Unstructured {
	r.t.Helper()
	objects, err := r.longhorn.list(r.t.Context(), longhornNamespace, orphanKind)
	if err != nil || len(objects) > 1 {
		r.t.Fatalf("got %v, %v; want one orphan or none", objects, err)
	}
	if len(objects) == 0 {
		return nil
	}
	return &objects[0]
}

func TestOrphan_ADirectoryThatNoReplicaClaims(t *testing.T) {
	t.Parallel()
	r, _ := newAttachedRig(t)
	r.pass(time.Second)
	if r.orphan() != nil {
		t.Fatalf("got %v for what replicas claim", r.orphan())
	}
	r.managers["b"].directories = []string{"pvc-9-r-left"}
	r.pass(2 * time.Second)
	found := r.orphan()
	if found == nil || textAt(found, "spec", "orphanType") != "replica" || textAt(found, "spec", "nodeID") != "b" ||
		textAt(found, "spec", "parameters", "DataName") != "pvc-9-r-left" || textAt(found, "spec", "parameters", "DiskPath") != "/data" ||
		!holds(conditionsOf(found), "DataCleanable") {
		t.Fatalf("got %v", found)
	}
	r.delete(orphanKind, found.GetName())
	r.pass(time.Second)
	if r.orphan() != nil || !slices.Contains(r.managers["b"].done, "DELETE replicas/pvc-9-r-left/data") {
		t.Error("the orphan or its files are still there")
	}
	r.pass(2 * time.Second)
	if r.orphan() != nil {
		t.Error("it came back")
	}
}

// Longhorn assumes that a cut-off node's engine has ended, and finds it again when the node is back (longhorn-real.md).
func staleEngine(t *testing.T) *realRig {
	t.Helper()
	r, _ := newAttachedRig(t)
	r.cut()
	r.attach("")
	r.attach("b")
	r.running("b")
	if r.orphan() != nil {
		t.Error("a silent node has orphans")
	}
	r.join()
	r.pass(2 * time.Second)
	return r
}

func TestOrphan_AStaleEngine(t *testing.T) {
	t.Parallel()
	r := staleEngine(t)
	found := r.orphan()
	if found == nil || textAt(found, "spec", "orphanType") != "engine-instance" || textAt(found, "spec", "nodeID") != "a" ||
		textAt(found, "spec", "parameters", "InstanceName") != engineName(handle) || !holds(conditionsOf(found), "InstanceExist") {
		t.Fatalf("got %v", found)
	}
	r.delete(orphanKind, found.GetName())
	r.pass(2 * time.Second)
	if r.orphan() != nil || len(r.managers["a"].engines) > 0 || len(r.managers["b"].engines) != 1 {
		t.Errorf("got %v on a, %v on b", r.managers["a"].engines, r.managers["b"].engines)
	}
}

func TestOrphan_IsDeletedByItselfIfTheUserWantsIt(t *testing.T) {
	t.Parallel()
	r := staleEngine(t)
	r.make(settings, "orphan-resource-auto-deletion", nil)
	set := func(value string) {
		r.edit(settings, "orphan-resource-auto-deletion", func(object *unstructured.Unstructured) { object.Object["value"] = value })
	}
	set("replica-data;instance")
	r.pass(2 * time.Second)
	if r.orphan() == nil {
		t.Error("deleted without its grace period")
	}
	set("replica-data")
	r.idle(10 * time.Minute)
	if r.orphan() == nil {
		t.Error("deleted without being asked to")
	}
	set("replica-data;instance")
	r.pass(2 * time.Second)
	if r.orphan() != nil || len(r.managers["a"].engines) > 0 {
		t.Error("still there")
	}
}

func TestOrphan_OfALostNodeIsForgotten(t *testing.T) {
	t.Parallel()
	r := staleEngine(t)
	r.managers["a"].silent = true
	r.pass(time.Second)
	if r.orphan() == nil {
		t.Error("forgotten while nobody knows")
	}
	r.node("a", func(node *corev1.Node) { node.Status.Conditions[0].Status = corev1.ConditionUnknown })
	r.pass(time.Second)
	if r.orphan() != nil || r.managers["a"].engines[engineName(handle)] == nil {
		t.Error("still there, or touched")
	}
}
