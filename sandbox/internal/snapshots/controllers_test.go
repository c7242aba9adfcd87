package snapshots

import (
	"testing"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	snapshotfake "github.com/kubernetes-csi/external-snapshotter/client/v8/clientset/versioned/fake"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A worker is in the middle of a call, in which the driver waits for Longhorn, when the csi-snapshotter is stopped.
func TestStart_IsStoppedInTheMiddleOfACall(t *testing.T) {
	t.Parallel()
	if err := waitForWorkers(); err != nil {
		t.Fatal(err)
	}
	handle, class := "pvc-1", "longhorn"
	r := newRig(t, volume())
	r.snapshots = snapshotfake.NewSimpleClientset(
		&snapshotv1.VolumeSnapshotClass{
			ObjectMeta: metav1.ObjectMeta{Name: class}, Driver: driverName, DeletionPolicy: snapshotv1.VolumeSnapshotContentDelete,
			Parameters: map[string]string{typeParameter: typeSnapshot},
		},
		&snapshotv1.VolumeSnapshotContent{
			ObjectMeta: metav1.ObjectMeta{Name: "snapcontent-1", ResourceVersion: "1"},
			Spec: snapshotv1.VolumeSnapshotContentSpec{
				Driver: driverName, DeletionPolicy: snapshotv1.VolumeSnapshotContentDelete, VolumeSnapshotClassName: &class,
				Source:            snapshotv1.VolumeSnapshotContentSource{VolumeHandle: &handle},
				VolumeSnapshotRef: corev1.ObjectReference{Namespace: "iris", Name: "before", UID: "1"},
			},
		})
	stop := start(t.Context(), r.clients, r.namespace)
	if stop == nil {
		t.Fatal("it did not start")
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if found, err := r.get(t.Context(), snapshots, "snapshot-1"); err != nil {
			t.Fatal(err)
		} else if found != nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the driver was not called")
		}
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		stop()
	}()
	select {
	case <-stopped:
	case <-time.After(20 * time.Second):
		t.Fatal("it does not stop")
	}
	// What the worker does last was waited for.
	content, err := r.snapshots.SnapshotV1().VolumeSnapshotContents().Get(t.Context(), "snapcontent-1", metav1.GetOptions{})
	if err != nil || content.Status == nil || content.Status.Error == nil {
		t.Errorf("the content is left as %+v, %v", content, err)
	}
}
