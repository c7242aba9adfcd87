package standin

import (
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	dynamicfake "k8s.io/client-go/dynamic/fake"

	"ha-iris/sandbox/internal/datapath/bucket"
	"ha-iris/sandbox/internal/datapath/imclient"
)

func (r *rig) backup(name, snapshot string) {
	r.t.Helper()
	r.make(backupKind, name, map[string]any{"snapshotName": snapshot, "labels": map[string]any{"by": "test"}})
}

// saved is a rig with a backup b1 of the snapshot s1.
func saved(t *testing.T) *rig {
	t.Helper()
	return savedWith(t, nil)
}

func savedWith(t *testing.T, values map[string]string) *rig {
	t.Helper()
	r := withBucket(newRig(t, "a", values))
	r.snapshot("s1")
	r.pass(2 * enginePoll)
	r.backup("b1", "s1")
	r.pass(backupTime + 2*time.Second)
	if got := r.field(backupKind, "b1", "status", "state"); got != backupCompleted {
		t.Fatalf("got %q: %v", got, r.longhornObject(backupKind, "b1"))
	}
	return r
}

func (r *rig) store() bucket.Bucket { return bucket.Bucket{Dir: r.bucketDir(bucketURL)} }

func TestBackup_GoesToTheBucket(t *testing.T) {
	t.Parallel()
	r := withBucket(newRig(t, "a", nil))
	r.snapshot("s1")
	r.backup("b1", "s1")
	r.look()
	object := r.longhornObject(backupKind, "b1")
	if textAt(object, "status", "state") != backupPending || textAt(object, "status", "messages", "info") != "Waiting for the snapshot s1 to be ready" {
		t.Errorf("got %v", object.Object["status"])
	}
	r.pass(enginePoll + time.Second)
	r.pass(2 * time.Second)
	object = r.longhornObject(backupKind, "b1")
	if progress := numberAt(object, "status", "progress"); textAt(object, "status", "state") != backupInProgress || progress < 20 || progress > 60 {
		t.Errorf("got %v", object.Object["status"])
	}
	r.pass(backupTime)
	object = r.longhornObject(backupKind, "b1")
	for field, want := range map[string]string{
		"state": backupCompleted, "url": bucketURL + "?backup=b1&volume=" + handle, "volumeName": handle, "volumeSize": "21474836480",
		"size": "1073741824", "newlyUploadDataSize": "1073741824", "snapshotName": "s1", "backupTargetName": defaultTarget,
		"snapshotCreatedAt": r.field(snapshotKind, "s1", "status", "creationTime"), "error": "",
	} {
		if got := textAt(object, "status", field); got != want {
			t.Errorf("%s: got %q, want %q", field, got, want)
		}
	}
	if textAt(object, "status", "labels", "by") != "test" || object.GetLabels()[backupVolumeLabel] != handle || textAt(object, "status", "lastSyncedAt") == "" {
		t.Errorf("got %v", object)
	}
	at := textAt(object, "status", "backupCreatedAt")
	volume := r.longhornObject(backupVolumeKind, backupVolumeName(handle, defaultTarget))
	if volume == nil || textAt(volume, "status", "lastBackupName") != "b1" || textAt(volume, "status", "lastBackupAt") != at ||
		textAt(volume, "status", "size") != "21474836480" || textAt(volume, "status", "dataStored") != "1073741824" {
		t.Errorf("got backup volume %v", volume)
	}
	if r.volumeField("status", "lastBackup") != "b1" || r.volumeField("status", "lastBackupAt") != at {
		t.Error("the volume does not know its last backup")
	}
}

func TestBackup_ASecondOneUploadsWhatIsNew(t *testing.T) {
	t.Parallel()
	r := saved(t)
	r.snapshot("s2")
	r.pass(2 * enginePoll)
	r.backup("b2", "s2")
	r.pass(backupTime + 2*time.Second)
	if got := r.field(backupKind, "b2", "status", "newlyUploadDataSize"); got != "106954752" {
		t.Errorf("uploaded %s bytes, want what s2 holds", got)
	}
	if r.volumeField("status", "lastBackup") != "b2" {
		t.Error("the volume does not know its last backup")
	}
	r.delete(backupKind, "b2")
	r.pass(2 * time.Second)
	if _, err := r.store().Get(handle, "b2"); err == nil || r.longhornObject(backupKind, "b2") != nil {
		t.Error("the deleted backup is still there")
	}
	if r.volumeField("status", "lastBackup") != "b1" {
		t.Errorf("got last backup %q", r.volumeField("status", "lastBackup"))
	}
}

func TestBackup_FailsWithLonghornsWords(t *testing.T) {
	t.Parallel()
	r := withBucket(newRig(t, "a", nil))
	r.make(backupKind, "b1", map[string]any{"snapshotName": "none"})
	r.edit(backupKind, "b1", func(object *unstructured.Unstructured) { label(object, backupVolumeLabel, handle) })
	r.make(backupKind, "b2", map[string]any{"snapshotName": "none"})
	r.edit(backupKind, "b2", func(object *unstructured.Unstructured) {
		label(object, backupVolumeLabel, "gone")
		label(object, targetLabel, defaultTarget)
	})
	r.pass(time.Second)
	if got := r.field(backupKind, "b1", "status", "messages", "info"); got != "Failed to get the Snapshot none" {
		t.Errorf("got %q", got)
	}
	if got := r.field(backupKind, "b2", "status", "error"); !strings.HasPrefix(got, "cannot find the corresponding volume") {
		t.Errorf("got %q", got)
	}
	r.idle(backupPatience + 4*time.Second)
	if r.field(backupKind, "b1", "status", "state") != backupError || r.field(backupKind, "b1", "status", "error") != "Failed to get the Snapshot none" {
		t.Errorf("got %v", r.longhornObject(backupKind, "b1").Object["status"])
	}
	r.idle(24*time.Hour + 4*time.Minute)
	if r.longhornObject(backupKind, "b1") != nil {
		t.Error("a failed backup outlives its time")
	}
}

// Whatever ends the engine ends its backup.
func TestBackup_EndsWithItsEngine(t *testing.T) {
	t.Parallel()
	r := withBucket(newRig(t, "a", nil))
	r.edit(longhornVolumes, handle, func(volume *unstructured.Unstructured) { annotate(volume, backupAnnotation, "60") })
	r.snapshot("s1")
	r.pass(2 * enginePoll)
	r.backup("b1", "s1")
	r.pass(2 * time.Second)
	r.silence("a")
	r.pass(2 * time.Second)
	if got := r.field(backupKind, "b1", "status", "error"); got != "cannot find backup b1 status in longhorn engine" {
		t.Errorf("got %q", got)
	}
}

func TestBackup_OfADetachedVolumeAttachesIt(t *testing.T) {
	t.Parallel()
	r := withBucket(newRig(t, "a", nil))
	r.snapshot("s1")
	r.pass(2 * enginePoll)
	r.attach("")
	r.backup("b1", "s1")
	r.pass(3 * time.Second)
	if r.volumeField("status", "state") != attached {
		t.Error("nobody attaches the volume for its backup")
	}
	r.pass(backupTime + 2*time.Second)
	if r.field(backupKind, "b1", "status", "state") != backupCompleted || r.volumeField("status", "state") != detached {
		t.Errorf("got %s, volume %s", r.field(backupKind, "b1", "status", "state"), r.volumeField("status", "state"))
	}
}

// Backups outlive Longhorn: a new one finds them in the bucket.
func TestBackup_IsPulledFromTheBucketAndForgottenWithItsTarget(t *testing.T) {
	t.Parallel()
	r := saved(t)
	r.aim("", "")
	if r.longhornObject(backupKind, "b1") != nil || r.longhornObject(backupVolumeKind, backupVolumeName(handle, defaultTarget)) != nil {
		t.Error("a target without a bucket still has backups")
	}
	r.aim(bucketURL, "bucket")
	if r.field(backupKind, "b1", "status", "state") != backupCompleted || r.field(backupKind, "b1", "spec", "snapshotName") != "" ||
		r.field(backupKind, "b1", "status", "url") != bucketURL+"?backup=b1&volume="+handle {
		t.Errorf("got %v", r.longhornObject(backupKind, "b1"))
	}
	if err := r.store().Delete(handle, "b1"); err != nil {
		t.Fatal(err)
	}
	r.idle(defaultPoll + 4*time.Second)
	if r.longhornObject(backupKind, "b1") != nil {
		t.Error("a backup that is gone from the bucket stays")
	}
}

func TestBackupVolume_IsDeletedWithAllItsBackups(t *testing.T) {
	t.Parallel()
	r := saved(t)
	r.delete(backupVolumeKind, backupVolumeName(handle, defaultTarget))
	r.pass(2 * time.Second)
	if volumes, err := r.store().Volumes(); err != nil || len(volumes) > 0 || r.longhornObject(backupKind, "b1") != nil {
		t.Errorf("got %v, %v", volumes, err)
	}
	if r.volumeField("status", "lastBackup") != "" {
		t.Error("the volume still has a last backup")
	}
}

func TestReal_ABackupIsAReplicasTask(t *testing.T) {
	t.Parallel()
	real := newRealRig(t)
	r := withBucket(real.rig)
	r.attach("a")
	real.running("a")
	taken := []imclient.Snapshot{{Name: "s1", Created: r.clock.Now()}}
	for _, manager := range real.managers {
		manager.snapshots = taken
	}
	r.pass(2 * time.Second)
	r.backup("b1", "s1")
	r.pass(time.Second)
	node, id := "", ""
	for name, manager := range real.managers {
		if at := slices.IndexFunc(manager.done, func(line string) bool { return strings.HasSuffix(line, "/backups") }); at >= 0 {
			node, id = name, "backups of "+strings.Split(manager.done[at], "/")[1]
		}
	}
	if node == "" {
		t.Fatal("no replica was asked")
	}
	manager := real.managers[node]
	manager.tasks[id] = imclient.Task{ID: id, State: imclient.Running, Progress: 40}
	r.pass(time.Second)
	if got := numberAt(r.longhornObject(backupKind, "b1"), "status", "progress"); got != 40 {
		t.Errorf("got progress %d, want the replica's", got)
	}
	if err := r.store().Record(bucket.Backup{Name: "b1", Volume: handle, Snapshot: "s1", Size: 20 << 30, Content: 4 << 20, Uploaded: 2 << 20}); err != nil {
		t.Fatal(err)
	}
	manager.tasks[id] = imclient.Task{ID: id, State: imclient.Complete, Progress: 100}
	r.pass(time.Second)
	if r.field(backupKind, "b1", "status", "state") != backupCompleted || r.field(backupKind, "b1", "status", "size") != "4194304" {
		t.Errorf("got %v", r.longhornObject(backupKind, "b1").Object["status"])
	}
	r.backup("b2", "s1")
	r.pass(time.Second)
	manager.tasks[id] = imclient.Task{ID: id, State: imclient.Failed, Error: "no space"}
	r.pass(time.Second)
	if r.field(backupKind, "b2", "status", "state") != backupError || r.field(backupKind, "b2", "status", "error") != "no space" {
		t.Errorf("got %v", r.longhornObject(backupKind, "b2").Object["status"])
	}
}

// The loop looks once a second: what it writes without need is written for ever.
func TestBackup_NothingIsWrittenWhileNothingHappens(t *testing.T) {
	t.Parallel()
	r := saved(t)
	r.make(snapshotKind, "adopted", map[string]any{"volume": handle, "createSnapshot": true}) // has no labels
	r.job("idle", "backup", map[string]any{"cron": "0 0 1 1 *"})
	if _, err := r.claimFrom(r.field(backupKind, "b1", "status", "url")); err != nil {
		t.Fatal(err)
	}
	r.pass(2 * enginePoll)
	if r.restoring() || !ready(r.longhornObject(snapshotKind, "adopted")) {
		t.Fatal("something still happens")
	}
	client, ok := r.longhorn.client.(*dynamicfake.FakeDynamicClient)
	if !ok {
		t.Fatalf("the client is a %T", r.longhorn.client)
	}
	client.ClearActions()
	r.pass(3 * time.Second)
	for _, action := range client.Actions() {
		if verb := action.GetVerb(); verb != "get" && verb != "list" {
			t.Errorf("%s of %s %s", verb, action.GetResource().Resource, action.GetSubresource())
		}
	}
}

func TestUninstall_LeavesTheBucketAlone(t *testing.T) {
	t.Parallel()
	r := saved(t)
	r.job("idle", "backup", map[string]any{"cron": "0 0 1 1 *"})
	if err := r.uninstall(t.Context(), longhornNamespace); err != nil {
		t.Fatal(err)
	}
	for _, plural := range backupKinds() {
		if left := r.names(plural); len(left) > 0 {
			t.Errorf("%s are still there: %v", plural, left)
		}
	}
	if _, err := r.store().Get(handle, "b1"); err != nil {
		t.Error(err)
	}
}
