package standin

import (
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

// snapshotObjects are a VolumeSnapshot of the claims' namespace and its content, ready to use.
func snapshotObjects(handle string) (snapshot, content *unstructured.Unstructured) {
	snapshot, content = &unstructured.Unstructured{Object: map[string]any{}}, &unstructured.Unstructured{Object: map[string]any{}}
	for kind, object := range map[string]*unstructured.Unstructured{"VolumeSnapshot": snapshot, "VolumeSnapshotContent": content} {
		object.SetAPIVersion("snapshot.storage.k8s.io/v1")
		object.SetKind(kind)
	}
	snapshot.SetNamespace("iris")
	snapshot.SetName("before")
	snapshot.SetUID(types.UID("snapshot-uid"))
	content.SetName("content")
	put(snapshot, "content", "status", "boundVolumeSnapshotContentName")
	put(snapshot, true, "status", "readyToUse")
	put(snapshot, "10Gi", "status", "restoreSize")
	put(content, driverName, "spec", "driver")
	put(content, "snapshot-uid", "spec", "volumeSnapshotRef", "uid")
	put(content, "iris", "spec", "volumeSnapshotRef", "namespace")
	put(content, "before", "spec", "volumeSnapshotRef", "name")
	put(content, "Filesystem", "spec", "sourceVolumeMode")
	put(content, handle, "status", "snapshotHandle")
	return snapshot, content
}

// sourced are the driver's parameters for a claim from such objects, or why there are none.
func sourced(t *testing.T, snapshot, content *unstructured.Unstructured) (map[string]string, controller.ProvisioningState, error) {
	t.Helper()
	backup := newObject(longhornNamespace, backupKind, "backup-1")
	label(backup, backupVolumeLabel, "pvc-1")
	backup.Object["status"] = map[string]any{"url": "s3://b@r/?backup=backup-1&volume=pvc-1"}
	h := newHarness(t, append(installed(nil), snapshot, content, backup)...)
	claim := claimOf(corev1.ReadWriteOnce)
	claim.Spec.DataSource = &corev1.TypedLocalObjectReference{APIGroup: ptr(snapshotGroup), Kind: "VolumeSnapshot", Name: "before"}
	claim.Spec.VolumeMode = ptr(corev1.PersistentVolumeFilesystem)
	class := classOf(nil)
	class.Provisioner = driverName
	parameters := map[string]string{}
	state, err := (&provisioner{h.standIn}).addSource(t.Context(), controller.ProvisionOptions{StorageClass: class, PVName: "pvc-2", PVC: claim}, parameters)
	return parameters, state, err
}

func TestSource_IsWhatTheHandleSays(t *testing.T) {
	t.Parallel()
	for handle, want := range map[string]string{
		"snap://pvc-1/snapshot-1": "dataSource=snap://pvc-1/snapshot-1",
		"bak://pvc-1/backup-1":    "fromBackup=s3://b@r/?backup=backup-1&volume=pvc-1",
		"bs://pvc-1/backup-1":     "fromBackup=s3://b@r/?backup=backup-1&volume=pvc-1",
		"bak://pvc-2/backup-1":    "failed to restore CSI snapshot bak://pvc-2/backup-1 backup backup-1 unavailable",
		"bak://pvc-1/backup-2":    "backup backup-2 unavailable",
		"snap://pvc-1":            "code = NotFound desc = volume source snapshot snap://pvc-1 is not found",
		"elsewhere":               "invalid CSI snapshot type",
	} {
		snapshot, content := snapshotObjects(handle)
		parameters, state, err := sourced(t, snapshot, content)
		got := []string{}
		for key, value := range parameters {
			got = append(got, key+"="+value)
		}
		if err != nil {
			got = append(got, err.Error())
		}
		if len(got) != 1 || !strings.Contains(got[0], want) || state != controller.ProvisioningFinished {
			t.Errorf("%s: got %q, %s; want %q", handle, got, state, want)
		}
	}
}

func TestSource_IsLookedAtBeforeTheDriverIsAsked(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(snapshot, content *unstructured.Unstructured){
		"snapshot before not bound":                                    func(s, _ *unstructured.Unstructured) { put(s, "", "status", "boundVolumeSnapshotContentName") },
		"snapshot before is not Ready":                                 func(s, _ *unstructured.Unstructured) { put(s, false, "status", "readyToUse") },
		"content for snapshot before is bound to a different snapshot": func(_, c *unstructured.Unstructured) { put(c, "other", "spec", "volumeSnapshotRef", "uid") },
		"for snapshot before is bound to a different":                  func(_, c *unstructured.Unstructured) { put(c, "other", "spec", "volumeSnapshotRef", "namespace") },
		"before is bound to a different":                               func(_, c *unstructured.Unstructured) { put(c, "other", "spec", "volumeSnapshotRef", "name") },
		"annotation is not present":                                    func(_, c *unstructured.Unstructured) { put(c, "Block", "spec", "sourceVolumeMode") },
		"annotation value to boolean": func(_, c *unstructured.Unstructured) {
			put(c, "Block", "spec", "sourceVolumeMode")
			c.SetAnnotations(map[string]string{modeChangeAnnotation: "perhaps"})
		},
		"is set to false on": func(_, c *unstructured.Unstructured) {
			put(c, "Block", "spec", "sourceVolumeMode")
			c.SetAnnotations(map[string]string{modeChangeAnnotation: "false"})
		},
		"by a different CSI driver":      func(_, c *unstructured.Unstructured) { put(c, "other", "spec", "driver") },
		"handle before is not available": func(_, c *unstructured.Unstructured) { put(c, "", "status", "snapshotHandle") },
		"is less than the size":          func(s, _ *unstructured.Unstructured) { put(s, "30Gi", "status", "restoreSize") },
		"error getting snapshot before":  func(s, _ *unstructured.Unstructured) { s.SetName("another") },
		"error getting snapshotcontent":  func(_, c *unstructured.Unstructured) { c.SetName("another") },
	} {
		snapshot, content := snapshotObjects("snap://pvc-1/snapshot-1")
		change(snapshot, content)
		parameters, state, err := sourced(t, snapshot, content)
		if err == nil || !strings.Contains(err.Error(), want) || len(parameters) > 0 || state != controller.ProvisioningNoChange {
			t.Errorf("got %v, %s, %v; want %q, which is tried again", parameters, state, err, want)
		}
	}
}

func TestSource_MayChangeItsModeIfTheContentAllowsIt(t *testing.T) {
	t.Parallel()
	snapshot, content := snapshotObjects("snap://pvc-1/snapshot-1")
	put(content, "Block", "spec", "sourceVolumeMode")
	content.SetAnnotations(map[string]string{modeChangeAnnotation: "true"})
	if parameters, _, err := sourced(t, snapshot, content); err != nil || len(parameters) != 1 {
		t.Errorf("got %v, %v", parameters, err)
	}
}

func TestSource_OfAnotherKindIsLeftToOthers(t *testing.T) {
	t.Parallel()
	h := newHarness(t, installed(nil)...)
	claim := claimOf(corev1.ReadWriteOnce)
	provision := func(group, kind string) error {
		claim.Spec.DataSource = &corev1.TypedLocalObjectReference{APIGroup: &group, Kind: kind, Name: "before"}
		_, _, err := (&provisioner{h.standIn}).Provision(t.Context(), controller.ProvisionOptions{StorageClass: classOf(nil), PVName: handle, PVC: claim})
		return err
	}
	var ignored *controller.IgnoredError
	if err := provision("example.org", "Populator"); !errors.As(err, &ignored) {
		t.Errorf("got %v", err)
	}
	if err := provision("example.org", "VolumeSnapshot"); err == nil || !strings.Contains(err.Error(), "right APIGroup") {
		t.Errorf("got %v", err)
	}
	if err := provision("", "PersistentVolumeClaim"); err == nil || !strings.Contains(err.Error(), "does not clone") {
		t.Errorf("got %v", err)
	}
	if h.longhornObject(longhornVolumes, handle) != nil {
		t.Error("an empty volume was made for a claim that is to have data")
	}
}
