package standin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// nodeIDAnnotation is where the external-attacher notes the node's name in the driver's terms.
const nodeIDAnnotation = "csi.alpha.kubernetes.io/node-id"

// attachFinalizerOf is the external-attacher's finalizer for a driver, whose name it makes fit for one (external-attacher
// util.go, SanitizeDriverName).
func attachFinalizerOf(driver string) string {
	return "external-attacher/" + strings.ReplaceAll(driver, ".", "-")
}

// addAttachLoop plays the external-attachers and, behind them, Longhorn's attaching and detaching and the network disk's.
func (c *standIn) addAttachLoop() error {
	l := c.loop("attacher", c.syncAttachment)
	return on(c.informers.Storage().V1().VolumeAttachments().Informer(), func(attachment *storagev1.VolumeAttachment) {
		if attachment.Spec.Attacher == driverName || c.playsDisk(attachment.Spec.Attacher) {
			l.queue.Add(attachment.Name)
		}
	})
}

func (c *standIn) syncAttachment(ctx context.Context, name string) (time.Duration, error) {
	attachment, err := c.cache.attachments.Get(name)
	if apierrors.IsNotFound(err) {
		delete(c.calls, name)
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("look up attachment %s: %w", name, err)
	}
	if attachment.Spec.Attacher == diskDriver {
		return c.syncDiskAttachment(ctx, attachment)
	}
	namespace, running, err := c.sidecar(attacherName)
	if err != nil {
		return 0, err
	}
	if !running {
		return retryTick, nil // without Longhorn nobody attaches, and nobody detaches either
	}
	if attachment.DeletionTimestamp != nil {
		return c.detach(ctx, namespace, attachment)
	}
	if attachment.Status.Attached {
		return 0, nil
	}
	return c.attach(ctx, namespace, attachment)
}

// attachedVolume returns the volume that the attachment is about.
func (c *standIn) attachedVolume(attachment *storagev1.VolumeAttachment) (*corev1.PersistentVolume, error) {
	name := attachment.Spec.Source.PersistentVolumeName
	if name == nil {
		return nil, fmt.Errorf("attachment %s names no persistent volume", attachment.Name)
	}
	volume, err := c.cache.volumes.Get(*name)
	if err != nil {
		return nil, fmt.Errorf("look up persistent volume: %w", err)
	}
	if !of(volume, attachment.Spec.Attacher) {
		return nil, fmt.Errorf("persistent volume %s does not belong to %s", *name, attachment.Spec.Attacher)
	}
	return volume, nil
}

// holdVolume puts the attacher's finalizer on the persistent volume, so that it does not go before it is detached.
func (c *standIn) holdVolume(ctx context.Context, volume *corev1.PersistentVolume) error {
	own := attachFinalizerOf(volume.Spec.CSI.Driver)
	if slices.Contains(volume.Finalizers, own) {
		return nil
	}
	updated := volume.DeepCopy()
	updated.Finalizers = append(updated.Finalizers, own)
	if _, err := c.client.CoreV1().PersistentVolumes().Update(ctx, updated, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("mark persistent volume %s: %w", volume.Name, err)
	}
	return nil
}

// holdAttachment does so for the attachment.
func (c *standIn) holdAttachment(ctx context.Context, attachment *storagev1.VolumeAttachment) error {
	own := attachFinalizerOf(attachment.Spec.Attacher)
	if slices.Contains(attachment.Finalizers, own) {
		return nil
	}
	updated := attachment.DeepCopy()
	updated.Finalizers = append(updated.Finalizers, own)
	metav1.SetMetaDataAnnotation(&updated.ObjectMeta, nodeIDAnnotation, attachment.Spec.NodeName)
	return c.patchAttachment(ctx, attachment, updated)
}

// release makes Longhorn's volume detached, unless it is attached to another node by now.
func (c *standIn) release(ctx context.Context, namespace string, attachment *storagev1.VolumeAttachment) error {
	volume, err := c.attachedVolume(attachment)
	if err != nil {
		c.log.Warn("detaching a volume that is gone", "attachment", attachment.Name, "error", err)
		return nil
	}
	handle := volume.Spec.CSI.VolumeHandle
	state, err := c.volumeStateOf(ctx, namespace, handle)
	if err != nil || state == nil || state.node != attachment.Spec.NodeName {
		return err
	}
	return c.setAttached(ctx, namespace, handle, "")
}

func (c *standIn) patchAttachment(ctx context.Context, before, after *storagev1.VolumeAttachment, subresources ...string) error {
	patch, err := mergePatch(before, after)
	if err != nil {
		return err
	}
	_, err = c.client.StorageV1().VolumeAttachments().Patch(
		ctx, before.Name, types.MergePatchType, patch, metav1.PatchOptions{}, subresources...)
	if err != nil {
		return fmt.Errorf("update attachment %s: %w", before.Name, err)
	}
	return nil
}

// addPersistentVolumeLoop lets go of deleted volumes that are attached nowhere, as the external-attacher does.
func (c *standIn) addPersistentVolumeLoop() error {
	l := c.loop("attacher-volumes", c.syncPersistentVolume)
	return errors.Join(
		on(c.informers.Core().V1().PersistentVolumes().Informer(), func(volume *corev1.PersistentVolume) {
			if c.plays(volume) && volume.DeletionTimestamp != nil {
				l.queue.Add(volume.Name)
			}
		}),
		on(c.informers.Storage().V1().VolumeAttachments().Informer(), func(attachment *storagev1.VolumeAttachment) {
			if name := attachment.Spec.Source.PersistentVolumeName; name != nil {
				l.queue.Add(*name)
			}
		}),
	)
}

func (c *standIn) syncPersistentVolume(ctx context.Context, name string) (time.Duration, error) {
	volume, err := c.cache.volumes.Get(name)
	if apierrors.IsNotFound(err) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("look up persistent volume %s: %w", name, err)
	}
	if volume.DeletionTimestamp == nil || !c.plays(volume) {
		return 0, nil
	}
	own := attachFinalizerOf(volume.Spec.CSI.Driver)
	if !slices.Contains(volume.Finalizers, own) {
		return 0, nil
	}
	attachments, err := c.cache.attachmentsOf(name)
	if err != nil || len(attachments) > 0 {
		return 0, err
	}
	if _, running, err := c.sidecar(attacherName); ours(volume) && (err != nil || !running) {
		return retryTick, err
	}
	updated := volume.DeepCopy()
	updated.Finalizers = slices.DeleteFunc(updated.Finalizers, func(finalizer string) bool { return finalizer == own })
	_, err = c.client.CoreV1().PersistentVolumes().Update(ctx, updated, metav1.UpdateOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return 0, fmt.Errorf("let go of persistent volume %s: %w", name, err)
	}
	return 0, nil
}
