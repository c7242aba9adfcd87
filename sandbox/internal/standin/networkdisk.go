package standin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

// The network disk is the second storage that can be played: a block device in a network, as clouds rent them, of a driver that
// nobody sells. It is there for what a program has to do without Longhorn, and knows three rules:
//
//   - A disk is attached to one node, and refused on another until it is detached there: the CSI specification's answer to
//     ControllerPublishVolume for a volume that is published elsewhere (FAILED_PRECONDITION).
//   - Detaching is the cloud's work, not the node's. It needs nobody on the node, and from then on the node cannot write.
//   - Nobody but Kubernetes' attach/detach controller lets go of a dead node's disk: no manager deletes pods or attachments as
//     Longhorn's does. That controller, which is the real one here, waits until the pod's object is gone and then for 6 min more,
//     or for the out-of-service taint (attach_detach_controller.go; aws-ebs-csi-driver docs/faq.md says so of its disks).
//
// The disk can be attached in every zone, as those are that clouds keep in several: a node per zone could not take over another one's.
const (
	diskDriver = "network-disk.sandbox.ha-iris"
	diskClass  = "network-disk"
	// heldAnnotation of a persistent volume is the node that the cloud has its disk attached to.
	heldAnnotation = "sandbox.ha-iris/attached-to"
	// attachDiskTime and detachDiskTime are how long the cloud takes. Both are guesses in the size of seconds: nothing was measured.
	attachDiskTime = 4 * time.Second
	detachDiskTime = 2 * time.Second
)

// diskLabels mark what exists for the network disk only.
func diskLabels() map[string]string {
	return map[string]string{"sandbox.ha-iris/stand-in": "network-disk"}
}

// playsDisk says whether the driver is the network disk's, and that is played.
func (c *standIn) playsDisk(driver string) bool { return c.networkDisk && driver == diskDriver }

// plays says whether a volume belongs to a driver that is played.
func (c *standIn) plays(volume *corev1.PersistentVolume) bool {
	return ours(volume) || c.networkDisk && of(volume, diskDriver)
}

// addDiskLoop keeps what a managed cluster has of its disks from the beginning: the CSIDriver and a StorageClass.
func (c *standIn) addDiskLoop() error {
	l := c.loop("network-disk", c.syncDisk)
	const only = "network-disk"
	return errors.Join(
		on(c.informers.Core().V1().Nodes().Informer(), func(*corev1.Node) { l.queue.Add(only) }),
		on(c.informers.Storage().V1().CSIDrivers().Informer(), func(*storagev1.CSIDriver) { l.queue.Add(only) }),
		on(c.informers.Storage().V1().StorageClasses().Informer(), func(*storagev1.StorageClass) { l.queue.Add(only) }),
	)
}

func (c *standIn) syncDisk(ctx context.Context, _ string) (time.Duration, error) {
	if !c.networkDisk {
		return 0, nil
	}
	storage := c.client.StorageV1()
	if _, err := c.cache.drivers.Get(diskDriver); err != nil {
		_, err := storage.CSIDrivers().Create(ctx, &storagev1.CSIDriver{
			ObjectMeta: metav1.ObjectMeta{Name: diskDriver, Labels: diskLabels()},
			Spec:       storagev1.CSIDriverSpec{AttachRequired: ptr(true), FSGroupPolicy: ptr(storagev1.ReadWriteOnceWithFSTypeFSGroupPolicy)},
		}, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return 0, fmt.Errorf("create CSIDriver %s: %w", diskDriver, err)
		}
	}
	if _, err := c.cache.classes.Get(diskClass); err == nil {
		return 0, nil
	}
	// As the clouds' classes, but for expansion, which nobody plays.
	_, err := storage.StorageClasses().Create(ctx, &storagev1.StorageClass{
		ObjectMeta:        metav1.ObjectMeta{Name: diskClass, Labels: diskLabels()},
		Provisioner:       diskDriver,
		ReclaimPolicy:     ptr(corev1.PersistentVolumeReclaimDelete),
		VolumeBindingMode: ptr(storagev1.VolumeBindingWaitForFirstConsumer),
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return 0, fmt.Errorf("create storage class %s: %w", diskClass, err)
	}
	return 0, nil
}

// provisionDisks runs the external-provisioner's loop for the network disk until the context ends.
func (c *standIn) provisionDisks(ctx context.Context) {
	controller.NewProvisionController(ctx, c.client, diskDriver, &diskProvisioner{c},
		controller.LeaderElection(false),
		controller.AddFinalizer(true),
		controller.FailedProvisionThreshold(0), // for ever, as the sidecar
		controller.FailedDeleteThreshold(0),
		controller.RateLimiter(workqueue.NewTypedItemExponentialFailureRateLimiter[string](firstRetry, lastRetry)),
	).Run(ctx)
}

// diskProvisioner creates and deletes network disks. A disk is its PersistentVolume: there is nothing behind it.
type diskProvisioner struct{ *standIn }

var _ controller.Provisioner = (*diskProvisioner)(nil)

// Provision describes the PersistentVolume of a new disk.
func (p *diskProvisioner) Provision(_ context.Context, options controller.ProvisionOptions) (*corev1.PersistentVolume, controller.ProvisioningState, error) {
	for _, mode := range options.PVC.Spec.AccessModes {
		if mode != corev1.ReadWriteOnce && mode != corev1.ReadWriteOncePod {
			return nil, controller.ProvisioningFinished, fmt.Errorf("rpc error: code = InvalidArgument desc = access mode %s is not supported", mode)
		}
	}
	volume := persistentVolume(options, nil)
	volume.Labels = diskLabels()
	volume.Spec.CSI.Driver = diskDriver
	volume.Spec.CSI.VolumeAttributes = map[string]string{identityAttribute: diskDriver}
	return volume, controller.ProvisioningFinished, nil
}

// Delete lets a disk go that is attached nowhere.
func (p *diskProvisioner) Delete(_ context.Context, volume *corev1.PersistentVolume) error {
	if node := volume.Annotations[heldAnnotation]; node != "" {
		return fmt.Errorf("rpc error: code = FailedPrecondition desc = disk %s is attached to node %s", volume.Spec.CSI.VolumeHandle, node)
	}
	return nil
}

// syncDiskAttachment plays the external-attacher and the cloud behind it. Unlike Longhorn's, its attacher runs beside the control plane,
// where managed clusters have it, and works whatever becomes of the nodes.
func (c *standIn) syncDiskAttachment(ctx context.Context, attachment *storagev1.VolumeAttachment) (time.Duration, error) {
	switch {
	case attachment.DeletionTimestamp != nil:
		return c.detachDisk(ctx, attachment)
	case attachment.Status.Attached:
		return 0, nil
	default:
		return c.attachDisk(ctx, attachment)
	}
}

// attachDisk does not ask whether the node is ready: a cloud attaches to a machine, and knows of no kubelet.
func (c *standIn) attachDisk(ctx context.Context, attachment *storagev1.VolumeAttachment) (time.Duration, error) {
	open, pause := c.callFor(attachment)
	if open == nil {
		return pause, nil
	}
	_, refusal, err := c.prepareCall(ctx, open, attachment)
	if err != nil {
		return 0, err
	}
	open.sent = true
	if refusal == "" {
		if refusal, err = c.holdDisk(ctx, attachment); err != nil {
			return 0, err
		}
	}
	if refusal != "" {
		return c.pauseAfter(open, attachment.Name), c.attachFailed(ctx, attachment, refusal)
	}
	if left := attachDiskTime - c.clock.Now().Sub(open.began); left > 0 {
		return left, nil
	}
	return 0, c.attached(ctx, attachment)
}

// holdDisk takes the disk for the attachment's node, or says why the cloud refuses it. From the first moment on nobody else gets it.
func (c *standIn) holdDisk(ctx context.Context, attachment *storagev1.VolumeAttachment) (refusal string, err error) {
	volumes, wanted := c.client.CoreV1().PersistentVolumes(), attachment.Spec.NodeName
	volume, err := volumes.Get(ctx, diskOf(attachment), metav1.GetOptions{}) // What is watched may be old.
	if err != nil {
		return "", fmt.Errorf("read persistent volume: %w", err)
	}
	switch holder := volume.Annotations[heldAnnotation]; holder {
	case wanted:
		return "", nil
	case "":
		metav1.SetMetaDataAnnotation(&volume.ObjectMeta, heldAnnotation, wanted)
		if _, err := volumes.Update(ctx, volume, metav1.UpdateOptions{}); err != nil {
			return "", fmt.Errorf("attach disk %s to %s: %w", volume.Name, wanted, err)
		}
		return "", nil
	default:
		return fmt.Sprintf("rpc error: code = FailedPrecondition desc = disk %s is attached to node %s", volume.Spec.CSI.VolumeHandle, holder), nil
	}
}

func diskOf(attachment *storagev1.VolumeAttachment) string {
	if name := attachment.Spec.Source.PersistentVolumeName; name != nil {
		return *name
	}
	return ""
}

func (c *standIn) detachDisk(ctx context.Context, attachment *storagev1.VolumeAttachment) (time.Duration, error) {
	if !slices.Contains(attachment.Finalizers, attachFinalizerOf(diskDriver)) {
		delete(c.calls, attachment.Name)
		return 0, nil // never attached, or detached already
	}
	open, pause := c.callFor(attachment)
	if open == nil {
		return pause, nil
	}
	if left := detachDiskTime - c.clock.Now().Sub(open.began); left > 0 {
		return left, nil
	}
	volumes := c.client.CoreV1().PersistentVolumes()
	volume, err := volumes.Get(ctx, diskOf(attachment), metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return 0, fmt.Errorf("read persistent volume: %w", err)
	}
	if err == nil && volume.Annotations[heldAnnotation] == attachment.Spec.NodeName {
		volume.Annotations = maps.Clone(volume.Annotations)
		delete(volume.Annotations, heldAnnotation)
		if _, err := volumes.Update(ctx, volume, metav1.UpdateOptions{}); err != nil {
			return 0, fmt.Errorf("detach disk %s from %s: %w", volume.Name, attachment.Spec.NodeName, err)
		}
	}
	return 0, c.detached(ctx, attachment)
}
