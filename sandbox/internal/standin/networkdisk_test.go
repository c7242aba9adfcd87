package standin

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

// diskClaim is the claim "data" with a network disk, which the cloud has attached to the node or, with an empty one, to none.
func diskClaim(attachedTo string) []runtime.Object {
	objects := boundClaim("")
	claim, volume := objects[0], objects[1]
	if typed, ok := volume.(*corev1.PersistentVolume); ok {
		typed.Spec.CSI.Driver = diskDriver
		if attachedTo != "" {
			typed.Annotations = map[string]string{heldAnnotation: attachedTo}
		}
	}
	return []runtime.Object{claim, volume}
}

func diskAttachment(node string, attached bool) *storagev1.VolumeAttachment {
	attachment := attachmentTo(node, attached)
	attachment.Spec.Attacher = diskDriver
	if attached {
		attachment.Finalizers = []string{attachFinalizerOf(diskDriver)}
	}
	return attachment
}

// newDiskHarness is a cluster without Longhorn, on whose nodes the network disk's driver is.
func newDiskHarness(t *testing.T, parts ...any) *harness {
	t.Helper()
	objects := world(parts...)
	for _, name := range []string{"a", "b", "c"} {
		objects = append(objects, aliveNode(name)...)
	}
	h := newHarness(t, objects...)
	h.networkDisk = true
	for _, name := range []string{"a", "b", "c"} {
		h.call(h.syncCSINode, name)
	}
	return h
}

func (h *harness) diskAt() string {
	h.t.Helper()
	volume, err := h.client.CoreV1().PersistentVolumes().Get(h.t.Context(), handle, metav1.GetOptions{})
	if err != nil {
		h.t.Fatalf("read persistent volume: %v", err)
	}
	return volume.Annotations[heldAnnotation]
}

func TestNetworkDisk_IsThereOnlyWhenAskedFor(t *testing.T) {
	t.Parallel()
	for _, asked := range []bool{true, false} {
		h := newHarness(t, aliveNode("a")...)
		h.networkDisk = asked
		h.call(h.syncDisk, "network-disk")
		h.call(h.syncDisk, "network-disk")
		h.call(h.syncCSINode, "a")
		_, noDriver := h.cache.drivers.Get(diskDriver)
		class, noClass := h.cache.classes.Get(diskClass)
		known, err := h.registeredOn("a", diskDriver)
		if err != nil || (noDriver == nil) != asked || (noClass == nil) != asked || known != asked {
			t.Errorf("asked for it %t: CSIDriver %v, class %v, known on the node %t, %v", asked, noDriver, noClass, known, err)
		}
		if asked && class.Provisioner != diskDriver {
			t.Errorf("got class %+v", class)
		}
		h.networkDisk = false // A cluster that is started again without it.
		h.call(h.syncCSINode, "a")
		if known, err := h.registeredOn("a", diskDriver); err != nil || known {
			t.Errorf("not asked for any more: known on the node %t, %v", known, err)
		}
	}
}

func TestNetworkDisk_ProvisionDescribesADiskAndDeleteKeepsOneThatIsAttached(t *testing.T) {
	t.Parallel()
	h := newDiskHarness(t)
	p := &diskProvisioner{h.standIn}
	options := controller.ProvisionOptions{StorageClass: classOf(nil), PVName: handle, PVC: claimOf(corev1.ReadWriteOncePod)}
	volume, _, err := p.Provision(t.Context(), options)
	if err != nil || volume.Spec.CSI.Driver != diskDriver || volume.Spec.CSI.VolumeHandle != handle || volume.Spec.CSI.FSType != "ext4" {
		t.Fatalf("got %+v, %v", volume, err)
	}
	options.PVC = claimOf(corev1.ReadWriteMany)
	if _, _, err := p.Provision(t.Context(), options); err == nil || !strings.Contains(err.Error(), "ReadWriteMany is not supported") {
		t.Errorf("a disk for many nodes: got %v", err)
	}
	if err := p.Delete(t.Context(), volume); err != nil {
		t.Errorf("detached: got %v", err)
	}
	metav1.SetMetaDataAnnotation(&volume.ObjectMeta, heldAnnotation, "a")
	if err := p.Delete(t.Context(), volume); err == nil {
		t.Error("deleted while it is attached")
	}
}

func TestNetworkDisk_IsAttachedInTheCloudsTimeAndMountedThen(t *testing.T) {
	t.Parallel()
	h := newDiskHarness(t, diskClaim(""), diskAttachment("a", false), withClaim(pendingPod("iris", "a")))
	h.call(h.syncKubelet, "a")
	if in := h.inUse("a"); len(in) != 1 || string(in[0]) != "kubernetes.io/csi/"+diskDriver+"^"+handle || h.started("iris") {
		t.Errorf("before: in use %v, started %t", in, h.started("iris"))
	}
	if took := h.follow("to-a", time.Minute); took != attachDiskTime || !h.attachment("to-a").Status.Attached || h.diskAt() != "a" {
		t.Errorf("took %s, attached %t, the cloud has it on %q", took, h.attachment("to-a").Status.Attached, h.diskAt())
	}
	if !slices.Contains(h.attachment("to-a").Finalizers, attachFinalizerOf(diskDriver)) {
		t.Error("nothing keeps the attachment until the disk is detached")
	}
	h.call(h.syncKubelet, "a")
	if !h.started("iris") {
		t.Error("attached, and not mounted")
	}
}

func TestNetworkDisk_IsRefusedWhileAnotherNodeHasIt(t *testing.T) {
	t.Parallel()
	h := newDiskHarness(t, diskClaim("a"), diskAttachment("a", true), diskAttachment("b", false))
	h.call(h.syncAttachment, "to-b")
	if got := h.attachError("to-b"); h.attachment("to-b").Status.Attached || !strings.Contains(got, "is attached to node a") {
		t.Fatalf("got %q", got)
	}
	if took := h.follow("to-b", 20*time.Minute); h.attachment("to-b").Status.Attached {
		t.Fatalf("attached after %s although nobody has detached it from a", took)
	}
	h.leave("to-a")
	h.call(h.syncAttachment, "to-a")
	h.clock.Step(detachDiskTime)
	h.call(h.syncAttachment, "to-a")
	if got := h.attachment("to-a").Finalizers; len(got) > 0 || h.diskAt() != "" {
		t.Fatalf("detached: got finalizers %v, the cloud has it on %q", got, h.diskAt())
	}
	h.follow("to-b", 10*time.Minute)
	if !h.attachment("to-b").Status.Attached || h.diskAt() != "b" {
		t.Errorf("after the detachment: attached %t, the cloud has it on %q", h.attachment("to-b").Status.Attached, h.diskAt())
	}
}

// leave is a deletion that the finalizer holds back, which the fake API server does not.
func (h *harness) leave(name string) {
	h.t.Helper()
	attachment := h.attachment(name)
	attachment.DeletionTimestamp = ptr(metav1.NewTime(h.clock.Now()))
	if _, err := h.client.StorageV1().VolumeAttachments().Update(h.t.Context(), attachment, metav1.UpdateOptions{}); err != nil {
		h.t.Fatalf("delete attachment: %v", err)
	}
	h.refresh()
}

func TestNetworkDisk_OfADeadNodeIsLeftToKubernetes(t *testing.T) {
	t.Parallel()
	// Longhorn runs too, with the policy that frees its own volumes (TestFailover_FreesTheVolumeFirstAndThePodAfterItsGracePeriod).
	h := newHarness(t, world(installed(map[string]string{"node-down-pod-deletion-policy": bothPolicy}),
		diskClaim("a"), diskAttachment("a", true), stuckPod("ReplicaSet"))...)
	h.networkDisk = true
	h.silence("a")
	for range 20 {
		h.clock.Step(podResync)
		h.call(h.syncFailover, "iris/iris")
		h.call(h.syncAttachment, "to-a")
	}
	if pod, attachment := h.outcome(); pod || attachment || h.diskAt() != "a" {
		t.Errorf("pod deleted %t, attachment deleted %t, the cloud has the disk on %q", pod, attachment, h.diskAt())
	}
	h.leave("to-a") // What the attach/detach controller does in the end: nobody on the node is needed for it.
	h.call(h.syncAttachment, "to-a")
	h.clock.Step(detachDiskTime)
	h.call(h.syncAttachment, "to-a")
	if h.diskAt() != "" {
		t.Errorf("the cloud has it on %q", h.diskAt())
	}
}

func TestNetworkDisk_IsLetGoOnceNothingIsAttached(t *testing.T) {
	t.Parallel()
	objects := diskClaim("")
	if volume, ok := objects[1].(*corev1.PersistentVolume); ok {
		volume.Finalizers = []string{attachFinalizerOf(diskDriver)}
		volume.DeletionTimestamp = ptr(metav1.Now())
	}
	h := newDiskHarness(t, objects)
	h.call(h.syncPersistentVolume, handle)
	if volume, err := h.cache.volumes.Get(handle); err != nil || len(volume.Finalizers) > 0 {
		t.Errorf("got %+v, %v", volume, err)
	}
}
