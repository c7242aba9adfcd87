package snapshots

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
)

const taken = "2026-01-02T03:04:05Z"

// rig is a driver in a cluster that exists in memory.
type rig struct {
	*driver
	t *testing.T
}

func newRig(t *testing.T, objects ...runtime.Object) *rig {
	t.Helper()
	kinds := map[schema.GroupVersionResource]string{}
	for plural, kind := range map[string]string{volumes: "VolumeList", snapshots: "SnapshotList", backups: "BackupList", targets: "BackupTargetList"} {
		kinds[schema.GroupVersionResource{Group: "longhorn.io", Version: "v1beta2", Resource: plural}] = kind
	}
	manager := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "longhorn-system", Name: "longhorn-manager-1", Labels: map[string]string{"app": managerApp}},
		Status:     corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
	}
	return &rig{t: t, driver: &driver{namespace: "longhorn-system", pause: poll, clients: clients{
		core: fake.NewClientset(manager), objects: dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), kinds, objects...),
	}}}
}

// object is one of Longhorn's.
func object(kind, name string, content map[string]any) *unstructured.Unstructured {
	found := &unstructured.Unstructured{Object: content}
	found.SetAPIVersion("longhorn.io/v1beta2")
	found.SetKind(kind)
	found.SetNamespace("longhorn-system")
	found.SetName(name)
	return found
}

func volume() *unstructured.Unstructured {
	return object("Volume", "pvc-1", map[string]any{"spec": map[string]any{"size": "10737418240"}})
}

func target(name string, available bool) *unstructured.Unstructured {
	return object("BackupTarget", name, map[string]any{
		"spec": map[string]any{"backupTargetURL": "s3://b@r/"}, "status": map[string]any{"available": available},
	})
}

func (r *rig) create(kind string) (*csi.Snapshot, error) {
	return r.createWith(map[string]string{"type": kind})
}

func (r *rig) createWith(parameters map[string]string) (*csi.Snapshot, error) {
	response, err := r.CreateSnapshot(r.t.Context(), &csi.CreateSnapshotRequest{
		SourceVolumeId: "pvc-1", Name: "snapshot-1", Parameters: parameters,
	})
	return response.GetSnapshot(), err
}

// longhorn is what Longhorn does with an object after a while.
func (r *rig) longhorn(after time.Duration, plural, name string, change func(*unstructured.Unstructured)) {
	go func() {
		time.Sleep(after)
		list, err := r.kind(plural).List(context.Background(), metav1.ListOptions{})
		if err != nil {
			r.t.Error(err)
			return
		}
		for i := range list.Items {
			if found := &list.Items[i]; strings.HasPrefix(found.GetName(), name) {
				change(found)
				if _, err := r.kind(plural).Update(context.Background(), found, metav1.UpdateOptions{}); err != nil {
					r.t.Error(err)
				}
			}
		}
	}()
}

func isReady(snapshot *unstructured.Unstructured) {
	snapshot.Object["status"] = map[string]any{"readyToUse": true, "creationTime": taken, "restoreSize": int64(10 << 30)}
}

func TestDriver_WaitsForTheSnapshot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, volume())
		r.longhorn(7*time.Second, snapshots, "snapshot-1", isReady)
		began := time.Now()
		got, err := r.create("snap")
		if err != nil {
			t.Fatal(err)
		}
		if got.SnapshotId != "snap://pvc-1/snapshot-1" || got.SizeBytes != 10<<30 || !got.ReadyToUse || got.CreationTime.AsTime().Format(time.RFC3339) != taken {
			t.Errorf("got %v", got)
		}
		if took := time.Since(began); took != 8*time.Second {
			t.Errorf("it took %s, of looks each 2 s", took)
		}
		made, err := r.get(t.Context(), snapshots, "snapshot-1")
		if err != nil || made == nil || text(made, "spec", "volume") != "pvc-1" || text(made, "spec", "labels", "type") != "snap" {
			t.Errorf("Longhorn was asked for %v, %v", made, err)
		}
		if again, err := r.create("snap"); err != nil || again.SnapshotId != got.SnapshotId {
			t.Errorf("a second call: %v, %v", again, err)
		}
	})
}

func TestDriver_GivesUpWithLonghornsWords(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, volume())
		r.longhorn(time.Second, snapshots, "snapshot-1", func(s *unstructured.Unstructured) {
			s.Object["status"] = map[string]any{"readyToUse": false, "error": "the engine is not running"}
		})
		began := time.Now()
		_, err := r.create("snap")
		if status.Code(err) != codes.Internal || !strings.Contains(err.Error(), "timeout while waiting for snapshot snapshot-1 to be ready: the engine is not running") {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took != snapshotPatience {
			t.Errorf("it took %s", took)
		}
	})
}

func TestDriver_AnswersWhenTheBackupHasBegun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, volume(), target("default", true))
		r.longhorn(time.Second, snapshots, "snapshot-1", isReady)
		r.longhorn(5*time.Second, backups, "backup-", func(b *unstructured.Unstructured) {
			b.Object["status"] = map[string]any{"state": "InProgress", "snapshotCreatedAt": taken, "volumeSize": "10737418240"}
		})
		begun, err := r.create("bak")
		if err != nil || begun.ReadyToUse || !strings.HasPrefix(begun.SnapshotId, "bak://pvc-1/backup-") || begun.SizeBytes != 10<<30 {
			t.Fatalf("got %v, %v", begun, err)
		}
		backup, err := r.backupOf(t.Context(), "pvc-1", "snapshot-1")
		if err != nil || backup == nil || backup.GetLabels()[targetLabel] != "default" || text(backup, "spec", "backupMode") != "incremental" {
			t.Fatalf("Longhorn was asked for %v, %v", backup, err)
		}
		r.longhorn(0, backups, "backup-", func(b *unstructured.Unstructured) {
			b.Object["status"] = map[string]any{"state": "Completed", "snapshotCreatedAt": taken, "volumeSize": "10737418240"}
		})
		synctest.Wait()
		if done, err := r.create(""); err != nil || !done.ReadyToUse || done.SnapshotId != begun.SnapshotId {
			t.Errorf("got %v, %v", done, err)
		}
		r.longhorn(0, backups, "backup-", func(b *unstructured.Unstructured) {
			b.Object["status"] = map[string]any{"state": "Error", "error": "no room", "snapshotCreatedAt": taken}
		})
		synctest.Wait()
		if _, err := r.create("bs"); status.Code(err) != codes.Internal || !strings.Contains(err.Error(), "no room") {
			t.Errorf("got %v", err)
		}
	})
}

func TestDriver_LooksAtTheTargetBeforeItCutsASnapshot(t *testing.T) {
	t.Parallel()
	noAddress := target("default", true)
	noAddress.Object["spec"] = map[string]any{"backupTargetURL": ""}
	for name, test := range map[string]struct {
		targets []runtime.Object
		code    codes.Code
		says    string
	}{
		"none":            {nil, codes.NotFound, "backup target default not found"},
		"another one":     {[]runtime.Object{target("other", true)}, codes.NotFound, "backup target default not found"},
		"out of reach":    {[]runtime.Object{target("default", false)}, codes.Aborted, "backup target default is not available"},
		"without address": {[]runtime.Object{noAddress}, codes.Aborted, "backup target default is not available"},
	} {
		r := newRig(t, append(test.targets, volume())...)
		if _, err := r.create("bak"); status.Code(err) != test.code || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: got %v", name, err)
		}
		for _, plural := range []string{snapshots, backups} {
			if list, err := r.kind(plural).List(t.Context(), metav1.ListOptions{}); err != nil || len(list.Items) > 0 {
				t.Errorf("%s: %s were made: %v, %v", name, plural, list, err)
			}
		}
	}
}

func TestDriver_AnswersWithABackupThatDoesNotBegin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, volume(), target("default", true))
		r.longhorn(time.Second, snapshots, "snapshot-1", isReady)
		began := time.Now()
		got, err := r.create("bak")
		if err != nil || got.ReadyToUse || !strings.HasPrefix(got.SnapshotId, "bak://pvc-1/backup-") || got.CreationTime.AsTime().Format(time.RFC3339) != taken {
			t.Errorf("got %v, %v", got, err)
		}
		if took := time.Since(began); took != poll+backupPatience {
			t.Errorf("it took %s", took)
		}
	})
}

func TestDriver_FailsWithoutABackup(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, volume(), target("default", true))
		_, err := r.begun(t.Context(), "pvc-1", "snapshot-1")
		if status.Code(err) != codes.Internal || !strings.Contains(err.Error(), "timeout waiting for Backup CR to be created for volume pvc-1 snapshot snapshot-1") {
			t.Errorf("got %v", err)
		}
	})
}

func TestDriver_PassesTheModeOn(t *testing.T) {
	t.Parallel()
	for mode, refused := range map[string]string{"full": "", "incremental": "", "": "", "differential": "BackupMode differential is not a valid option"} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, volume(), target("default", true))
			r.longhorn(time.Second, snapshots, "snapshot-1", isReady)
			_, err := r.createWith(map[string]string{"backupMode": mode})
			backup, found := r.backupOf(t.Context(), "pvc-1", "snapshot-1")
			switch {
			case found != nil:
				t.Error(found)
			case refused != "":
				if status.Code(err) != codes.Internal || !strings.Contains(err.Error(), refused) || backup != nil {
					t.Errorf("%s: got %v, %v", mode, backup, err)
				}
			case err != nil || backup == nil || text(backup, "spec", "backupMode") != mode:
				t.Errorf("%s: got %v, %v", mode, backup, err)
			}
		})
	}
}

func TestDriver_FindsTheBackupInTheVolumesTarget(t *testing.T) {
	t.Parallel()
	backup := func(name, label, reported string) *unstructured.Unstructured {
		made := object("Backup", name, map[string]any{
			"spec": map[string]any{"snapshotName": "snapshot-1"}, "status": map[string]any{"backupTargetName": reported},
		})
		made.SetLabels(map[string]string{volumeLabel: "pvc-1", targetLabel: label})
		return made
	}
	elsewhere := volume()
	elsewhere.Object["spec"] = map[string]any{"backupTargetName": "other"}
	for name, test := range map[string]struct {
		there []runtime.Object
		want  string
	}{
		"by its label":   {[]runtime.Object{volume(), backup("backup-1", "other", ""), backup("backup-2", "default", "")}, "backup-2"},
		"by its status":  {[]runtime.Object{elsewhere, backup("backup-1", "default", ""), backup("backup-2", "default", "other")}, "backup-2"},
		"none there":     {[]runtime.Object{elsewhere, backup("backup-1", "default", "")}, ""},
		"without volume": {[]runtime.Object{backup("backup-1", "other", "")}, "backup-1"},
		"status first":   {[]runtime.Object{volume(), backup("backup-1", "other", "default")}, "backup-1"},
	} {
		found, err := newRig(t, test.there...).backupOf(t.Context(), "pvc-1", "snapshot-1")
		got := ""
		if found != nil {
			got = found.GetName()
		}
		if err != nil || got != test.want {
			t.Errorf("%s: got %q, %v; want %q", name, got, err, test.want)
		}
	}
}

func TestAsSnapshot_RoundsItsSizeUp(t *testing.T) {
	t.Parallel()
	for size, want := range map[string]int64{"": 2 << 20, "0": 2 << 20, "1": 2 << 20, "2097152": 2 << 20, "2097153": 4 << 20, "10737418240": 10 << 30} {
		if got := asSnapshot("pvc-1", object("Backup", "backup-1", map[string]any{}), taken, size); got.SizeBytes != want {
			t.Errorf("%q: got %d, want %d", size, got.SizeBytes, want)
		}
	}
}

func TestDriver_Refuses(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for kind, want := range map[string]codes.Code{"snap": codes.NotFound, "bak": codes.NotFound, "bi": codes.InvalidArgument, "copy": codes.InvalidArgument} {
		if _, err := r.create(kind); status.Code(err) != want {
			t.Errorf("%s of no volume: got %v, want %s", kind, err, want)
		}
	}
	if _, err := r.CreateSnapshot(t.Context(), &csi.CreateSnapshotRequest{Parameters: map[string]string{"type": "snap"}, Name: "n"}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("got %v", err)
	}
	if err := r.core.CoreV1().Pods("longhorn-system").Delete(t.Context(), "longhorn-manager-1", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.create("snap"); status.Code(err) != codes.Internal || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("without a manager: got %v", err)
	}
}

func TestDriver_Deletes(t *testing.T) {
	t.Parallel()
	r := newRig(t, volume(), object("Snapshot", "snapshot-1", map[string]any{}), object("Snapshot", "snapshot-2", map[string]any{}),
		object("Backup", "backup-1", map[string]any{}))
	for handle, want := range map[string]codes.Code{
		"":                        codes.InvalidArgument,
		"snap://pvc-1":            codes.OK, // No handle, and so nothing to delete: the original forgives it, too.
		"snap://pvc-1/":           codes.NotFound,
		"snap://pvc-1/snapshot-1": codes.OK,
		"snap://pvc-1/no-such":    codes.OK,
		"snap://gone/snapshot-2":  codes.OK,
		"bak://pvc-1/backup-1":    codes.OK,
		"bak://pvc-1/no-such":     codes.OK,
	} {
		if _, err := r.DeleteSnapshot(t.Context(), &csi.DeleteSnapshotRequest{SnapshotId: handle}); status.Code(err) != want {
			t.Errorf("%q: got %v, want %s", handle, err, want)
		}
	}
	for name, stays := range map[string]bool{"snapshot-1": false, "snapshot-2": true} {
		if found, err := r.get(t.Context(), snapshots, name); err != nil || (found != nil) != stays {
			t.Errorf("%s is there: %t, %v; want %t", name, found != nil, err, stays)
		}
	}
	if found, err := r.get(t.Context(), backups, "backup-1"); err != nil || found != nil {
		t.Errorf("the backup is there: %v, %v", found, err)
	}
}
