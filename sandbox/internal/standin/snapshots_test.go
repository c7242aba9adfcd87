package standin

import (
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"ha-iris/sandbox/internal/datapath/imclient"
)

// make creates one of Longhorn's objects as a user does.
func (r *rig) make(plural, name string, spec map[string]any) {
	r.t.Helper()
	object := newObject(longhornNamespace, plural, name)
	object.Object["spec"] = spec
	if err := r.longhorn.create(r.t.Context(), plural, object); err != nil {
		r.t.Fatalf("create: %v", err)
	}
}

func (r *rig) snapshot(name string) {
	r.t.Helper()
	r.make(snapshotKind, name, map[string]any{"volume": handle, "createSnapshot": true, "labels": map[string]any{"by": "test"}})
}

// delete deletes one of Longhorn's objects as a user does.
func (r *rig) delete(plural, name string) {
	r.t.Helper()
	if err := r.longhorn.delete(r.t.Context(), plural, r.longhornObject(plural, name)); err != nil {
		r.t.Fatalf("delete: %v", err)
	}
}

// field returns a text of one of Longhorn's objects.
func (r *rig) field(plural, name string, path ...string) string {
	r.t.Helper()
	object := r.longhornObject(plural, name)
	if object == nil {
		return "(none)"
	}
	return textAt(object, path...)
}

func ready(object *unstructured.Unstructured) bool {
	return object != nil && truthAt(object, "status", "readyToUse")
}

func TestSnapshot_IsReadyWhenTheManagerHasSeenIt(t *testing.T) {
	t.Parallel()
	r := newRig(t, "a", nil)
	r.snapshot("s1")
	r.pass(time.Second)
	asked := r.field(snapshotKind, "s1", "status", "requestedTime")
	if ready(r.longhornObject(snapshotKind, "s1")) || asked == "" {
		t.Error("ready before the manager has asked the engine, or never asked for")
	}
	r.pass(enginePoll)
	object := r.longhornObject(snapshotKind, "s1")
	if !ready(object) || textAt(object, "status", "creationTime") != asked || !truthAt(object, "status", "userCreated") ||
		textAt(object, "status", "labels", "by") != "test" || numberAt(object, "status", "size") != 512*blockSize {
		t.Errorf("got %v", object.Object["status"])
	}
	if object.GetLabels()["longhornvolume"] != handle || !slices.Contains(object.GetFinalizers(), longhornFinalizer) {
		t.Errorf("got labels %v, finalizers %v", object.GetLabels(), object.GetFinalizers())
	}
	r.snapshot("s2")
	r.pass(2 * enginePoll)
	first, second := r.longhornObject(snapshotKind, "s1"), r.longhornObject(snapshotKind, "s2")
	if textAt(second, "status", "parent") != "s1" || !truthAt(first, "status", "children", "s2") || !truthAt(second, "status", "children", volumeHead) {
		t.Errorf("got no chain: %v, %v", first.Object["status"], second.Object["status"])
	}
}

func TestSnapshot_OfADetachedVolumeAttachesItForAsLongAsItTakes(t *testing.T) {
	t.Parallel()
	r := newRig(t, "a", nil)
	r.pass(2 * time.Second)
	r.attach("")
	r.snapshot("s1")
	r.pass(2 * time.Second)
	if r.volumeField("status", "state") != attached {
		t.Error("nobody attaches the volume for its snapshot")
	}
	r.pass(2 * enginePoll)
	if !ready(r.longhornObject(snapshotKind, "s1")) || r.field(snapshotKind, "s1", "status", "error") != "" {
		t.Errorf("got %v", r.longhornObject(snapshotKind, "s1").Object["status"])
	}
	if r.volumeField("status", "state") != detached {
		t.Error("the volume stays attached")
	}
}

// The last one carries what is written now: it can only be marked until there is a later one.
func TestSnapshot_TheLastOneGoesOnlyAfterALaterOne(t *testing.T) {
	t.Parallel()
	r := newRig(t, "a", nil)
	r.snapshot("s1")
	r.pass(2 * enginePoll)
	r.delete(snapshotKind, "s1")
	r.pass(2 * enginePoll)
	object := r.longhornObject(snapshotKind, "s1")
	if object == nil || !truthAt(object, "status", "markRemoved") || ready(object) {
		t.Fatalf("got %v, want it marked", object)
	}
	r.snapshot("s2")
	r.pass(2 * enginePoll)
	if r.longhornObject(snapshotKind, "s1") != nil {
		t.Error("it is still there")
	}
	second := r.longhornObject(snapshotKind, "s2")
	if !ready(second) || textAt(second, "status", "parent") != "" || numberAt(second, "status", "size") != 512*blockSize+51*blockSize {
		t.Errorf("got %v, want its predecessor's data too", second.Object["status"])
	}
}

func TestSnapshot_GoesWithItsVolumeAndCountsAreLimited(t *testing.T) {
	t.Parallel()
	r := newRig(t, "a", map[string]string{"snapshot-max-count": "1"})
	r.snapshot("s1")
	r.snapshot("s2")
	r.make(snapshotKind, "stray", map[string]any{"volume": "none", "createSnapshot": true})
	r.pass(2 * enginePoll)
	if got := r.field(snapshotKind, "s2", "status", "error"); !strings.Contains(got, "snapshot-max-count 1") {
		t.Errorf("got error %q", got)
	}
	if got := r.field(snapshotKind, "stray", "status", "error"); got != "failed to get volume none" {
		t.Errorf("got error %q", got)
	}
	if err := r.longhorn.remove(t.Context(), longhornVolumes, r.longhornObject(longhornVolumes, handle)); err != nil {
		t.Fatal(err)
	}
	r.look()
	if r.longhornObject(snapshotKind, "s1") != nil {
		t.Error("it outlives its volume")
	}
}

func TestReal_SnapshotsAreTheEngines(t *testing.T) {
	t.Parallel()
	r, _ := newAttachedRig(t)
	r.snapshot("s1")
	r.pass(2 * time.Second)
	asked := slices.Index(r.managers["a"].done, "POST engines/"+engineName(handle)+"/snapshots/s1")
	if asked < 0 || slices.Contains(r.managers["a"].done[asked+1:], r.managers["a"].done[asked]) {
		t.Errorf("got %v, want the engine asked once", r.managers["a"].done)
	}
	taken := []imclient.Snapshot{
		{Name: "by-itself", Created: r.clock.Now().Add(-time.Minute), Allocated: 4096},
		{Name: "s1", Created: r.clock.Now(), Allocated: 8192},
	}
	for _, manager := range r.managers {
		manager.snapshots = taken
	}
	r.pass(2 * enginePoll)
	object, other := r.longhornObject(snapshotKind, "s1"), r.longhornObject(snapshotKind, "by-itself")
	if !ready(object) || numberAt(object, "status", "size") != 8192 || textAt(object, "status", "parent") != "by-itself" {
		t.Errorf("got %v", object.Object["status"])
	}
	if other == nil || truthAt(other, "status", "userCreated") || !ready(other) {
		t.Errorf("got %v, want an object for what the engine made", other)
	}
	r.delete(snapshotKind, "by-itself")
	r.pass(time.Second)
	if !slices.Contains(r.managers["a"].done, "DELETE engines/"+engineName(handle)+"/snapshots/by-itself") || r.longhornObject(snapshotKind, "by-itself") == nil {
		t.Error("the engine was not asked to remove it, or not waited for")
	}
	for _, manager := range r.managers {
		manager.snapshots = taken[1:]
	}
	r.pass(time.Second)
	if r.longhornObject(snapshotKind, "by-itself") != nil {
		t.Error("its object stays")
	}
}

func TestReal_ASnapshotThatFailsIsTriedAgain(t *testing.T) {
	t.Parallel()
	r, _ := newAttachedRig(t)
	r.snapshot("s1")
	r.pass(time.Second)
	r.managers["a"].tasks["POST s1"] = imclient.Task{State: imclient.Failed, Error: "no space"}
	r.pass(time.Second)
	if got := r.field(snapshotKind, "s1", "status", "error"); got != "snapshot s1: no space" {
		t.Errorf("got error %q", got)
	}
	r.pass(time.Second)
	if r.managers["a"].tasks["POST s1"].State != imclient.Running {
		t.Error("not tried again")
	}
	r.managers["a"].silent = true
	r.snapshot("s2")
	r.pass(time.Second)
	if got := r.field(snapshotKind, "s2", "status", "error"); !strings.Contains(got, "engine "+engineName(handle)+" is not running") {
		t.Errorf("got error %q of a node that does not answer", got)
	}
}

// A workload wins over Longhorn's own use of the volume, and finds no second engine.
func TestReal_AnAttachmentTakesTheVolumeFromLonghorn(t *testing.T) {
	t.Parallel()
	r, _ := newAttachedRig(t)
	r.attach("")
	r.snapshot("s1")
	r.pass(time.Second)
	own := r.volumeField("status", "currentNodeID")
	if own == "" || len(r.managers[own].engines) != 1 {
		t.Fatalf("Longhorn attached the volume to %q, where %v run", own, r.managers[own].engines)
	}
	other := "a"
	if own == "a" {
		other = "b"
	}
	r.attach(other)
	r.running(other)
	if len(r.managers[own].engines) != 0 {
		t.Error("Longhorn's own engine still runs")
	}
}
