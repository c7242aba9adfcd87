package standin

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"

	"ha-iris/sandbox/internal/datapath/bucket"
	"ha-iris/sandbox/internal/datapath/imclient"
)

const restored = "pvc-2"

// claimFrom provisions the volume pvc-2 of 20Gi from a backup.
func (r *rig) claimFrom(address string) (*corev1.PersistentVolume, error) {
	r.t.Helper()
	volume, _, err := (&provisioner{r.standIn}).Provision(r.t.Context(), controller.ProvisionOptions{
		StorageClass: classOf(map[string]string{"fromBackup": address, "numberOfReplicas": "3"}), PVName: restored,
		PVC: claimOf(corev1.ReadWriteOnce),
	})
	return volume, err
}

func (r *rig) restoring() bool {
	r.t.Helper()
	return truthAt(r.longhornObject(longhornVolumes, restored), "status", "restoreRequired")
}

func restoreConditionOf(object *unstructured.Unstructured) string {
	condition := conditionOf(conditionsOf(object), "Restore")
	status, _ := condition["status"].(string)
	reason, _ := condition["reason"].(string)
	return status + " " + reason
}

func TestRestore_FillsTheVolumeBeforeAnybodyCanUseIt(t *testing.T) {
	t.Parallel()
	r := saved(t)
	r.edit(longhornVolumes, handle, func(volume *unstructured.Unstructured) { put(volume, "10737418240", "spec", "size") })
	r.snapshot("s2")
	r.pass(2 * enginePoll)
	r.backup("b2", "s2")
	r.pass(backupTime + 2*time.Second)
	volume, err := r.claimFrom(r.field(backupKind, "b2", "status", "url"))
	if err != nil {
		t.Fatal(err)
	}
	size := volume.Spec.Capacity[corev1.ResourceStorage]
	if got := r.field(longhornVolumes, restored, "spec", "size"); got != "10737418240" || size.String() != "20Gi" {
		t.Errorf("got a volume of %s bytes and a PersistentVolume of %s, want the backup's size and the claim's", got, size.String())
	}
	r.pass(2 * time.Second)
	object := r.longhornObject(longhornVolumes, restored)
	if !r.restoring() || !truthAt(object, "status", "restoreInitiated") || textAt(object, "status", "state") != attached ||
		restoreConditionOf(object) != "True "+restoreInProgress {
		t.Errorf("got %v", object.Object["status"])
	}
	progress := mapAt(r.longhornObject(engineKind, engineName(restored)), "status", "restoreStatus")
	if len(progress) != 3 {
		t.Errorf("got %v, want three replicas", progress)
	}
	for address, value := range progress {
		status, _ := value.(map[string]any)
		if percent, _ := status["progress"].(int64); percent < 20 || percent > 80 || status["isRestoring"] != true {
			t.Errorf("%s: got %v", address, status)
		}
	}
	refusal, err := r.refusal(t.Context(), longhornNamespace, restored, "a")
	if err != nil || !strings.HasSuffix(refusal, "desc = volume pvc-2 is not ready for workloads: volume requires restoration") {
		t.Errorf("got %q, %v", refusal, err)
	}
	r.pass(backupTime)
	object = r.longhornObject(longhornVolumes, restored)
	if r.restoring() || textAt(object, "status", "state") != detached || restoreConditionOf(object) != "False " ||
		r.field(engineKind, engineName(restored), "status", "lastRestoredBackup") != "b2" {
		t.Errorf("got %v", object.Object["status"])
	}
	if refusal, err = r.refusal(t.Context(), longhornNamespace, restored, "a"); err != nil || refusal != "" {
		t.Errorf("got %q, %v", refusal, err)
	}
	if err := r.setAttached(t.Context(), longhornNamespace, restored, "a"); err != nil {
		t.Error(err)
	}
}

func TestRestore_NeedsItsBackup(t *testing.T) {
	t.Parallel()
	r := saved(t)
	if _, err := r.claimFrom(bucketURL + "?backup=none&volume=" + handle); err == nil || !strings.HasSuffix(err.Error(), "cannot get backup none") {
		t.Errorf("got %v", err)
	}
	if _, err := r.claimFrom("not a backup"); err == nil || r.longhornObject(longhornVolumes, restored) != nil {
		t.Errorf("got %v, or a volume", err)
	}
	r.make(longhornVolumes, "by-hand", map[string]any{"fromBackup": bucketURL + "?backup=none&volume=" + handle, "numberOfReplicas": int64(3)})
	r.pass(2 * time.Second)
	object := r.longhornObject(longhornVolumes, "by-hand")
	if s, err := r.readState(t.Context(), longhornNamespace); err != nil || len(s.replicas["by-hand"]) > 0 || restoreConditionOf(object) != "False "+restoreFailure {
		t.Errorf("got %v, %v", object.Object["status"], err)
	}
	r.make(longhornVolumes, restored, map[string]any{"fromBackup": r.field(backupKind, "b1", "status", "url"), "numberOfReplicas": int64(3)})
	r.pass(backupTime + 2*time.Second)
	if r.restoring() || r.field(longhornVolumes, restored, "spec", "size") != "21474836480" {
		t.Errorf("got %v", r.longhornObject(longhornVolumes, restored))
	}
}

func TestRestore_ItsBackupCannotBeDeletedMeanwhile(t *testing.T) {
	t.Parallel()
	r := saved(t)
	if _, err := r.claimFrom(r.field(backupKind, "b1", "status", "url")); err != nil {
		t.Fatal(err)
	}
	r.delete(backupKind, "b1")
	r.pass(2 * time.Second)
	if got := r.field(backupKind, "b1", "status", "state"); got != backupDeleting {
		t.Errorf("got %q", got)
	}
	r.pass(backupTime + time.Second)
	if r.restoring() || r.longhornObject(backupKind, "b1") != nil {
		t.Error("still restoring, or the backup is still there")
	}
}

// Longhorn may be at its start still, and not have all of its nodes yet.
func TestRestore_WaitsForAPlaceForEachReplica(t *testing.T) {
	t.Parallel()
	r := savedWith(t, strict(nil))
	allow := func(allowed bool) {
		r.edit(longhornNodes, "c", func(node *unstructured.Unstructured) { put(node, allowed, "spec", "allowScheduling") })
	}
	allow(false)
	if _, err := r.claimFrom(r.field(backupKind, "b1", "status", "url")); err != nil {
		t.Fatal(err)
	}
	r.pass(backupTime + 2*time.Second)
	if object := r.longhornObject(longhornVolumes, restored); !r.restoring() || textAt(object, "status", "currentNodeID") != "" {
		t.Errorf("filled with two replicas of three: %v", object.Object["status"])
	}
	allow(true)
	r.pass(backupTime + 4*time.Second)
	s, err := r.readState(t.Context(), longhornNamespace)
	if err != nil || r.restoring() || count(s.replicas[restored], good) != 3 {
		t.Errorf("got %v, %v", r.longhornObject(longhornVolumes, restored).Object["status"], err)
	}
}

func TestRestore_FailsWhenEveryReplicaDoes(t *testing.T) {
	t.Parallel()
	r := saved(t)
	address := r.field(backupKind, "b1", "status", "url")
	if err := os.RemoveAll(r.store().Dir); err != nil {
		t.Fatal(err)
	}
	if _, err := r.claimFrom(address); err != nil {
		t.Fatal(err)
	}
	r.pass(backupTime + 2*time.Second)
	object := r.longhornObject(longhornVolumes, restored)
	if !r.restoring() || textAt(object, "status", "robustness") != faulted || restoreConditionOf(object) != "False "+restoreFailure {
		t.Errorf("got %v", object.Object["status"])
	}
}

func TestReal_ReplicasFillThemselvesBeforeAnEngineRuns(t *testing.T) {
	t.Parallel()
	real := newRealRig(t)
	r := withBucket(real.rig)
	if err := r.store().Record(bucket.Backup{Name: "b1", Volume: "other", Snapshot: "s1", Size: 1 << 30}); err != nil {
		t.Fatal(err)
	}
	r.idle(defaultPoll + 4*time.Second) // the target is looked at, and the backup is pulled
	if _, err := r.claimFrom(bucketURL + "?backup=b1&volume=other"); err != nil {
		t.Fatal(err)
	}
	r.pass(2 * time.Second)
	for name, manager := range real.managers {
		asked := slices.IndexFunc(manager.done, func(line string) bool { return strings.HasSuffix(line, "/restores") })
		if asked < 0 || len(manager.engines) > 0 {
			t.Fatalf("node %s: got %v, engines %v", name, manager.done, manager.engines)
		}
		id := "restores of " + strings.Split(manager.done[asked], "/")[1]
		manager.tasks[id] = imclient.Task{ID: id, State: imclient.Complete}
		if name == "c" {
			manager.tasks[id] = imclient.Task{ID: id, State: imclient.Failed, Error: "block is damaged"}
		}
		if again := slices.Index(manager.done[asked+1:], manager.done[asked]); again >= 0 {
			t.Errorf("node %s was asked twice", name)
		}
	}
	r.pass(time.Second)
	if r.restoring() || r.field(longhornVolumes, restored, "status", "state") != detached {
		t.Errorf("got %v", r.longhornObject(longhornVolumes, restored).Object["status"])
	}
	if err := r.setAttached(t.Context(), longhornNamespace, restored, "a"); err != nil {
		t.Fatal(err)
	}
	if process := real.managers["a"].engines[engineName(restored)]; process == nil || len(process.Replicas) != 2 || process.Size != 1<<30 {
		t.Errorf("got engine %+v, want the two replicas that were filled", process)
	}
}
