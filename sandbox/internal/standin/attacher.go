package standin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// nodeIDAnnotation is where the external-attacher notes the node's name in the driver's terms.
const nodeIDAnnotation = "csi.alpha.kubernetes.io/node-id"

// addAttachLoop plays the external-attacher and, behind it, Longhorn's attaching and detaching.
func (c *standIn) addAttachLoop() error {
	l := c.loop("attacher", c.syncAttachment)
	return on(c.informers.Storage().V1().VolumeAttachments().Informer(), func(attachment *storagev1.VolumeAttachment) {
		if attachment.Spec.Attacher == driverName {
			l.queue.Add(attachment.Name)
		}
	})
}

func (c *standIn) syncAttachment(ctx context.Context, name string) (time.Duration, error) {
	attachment, err := c.cache.attachments.Get(name)
	if apierrors.IsNotFound(err) {
		c.ticks.forget("attach/" + name)
		c.ticks.forget("detach/" + name)
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("look up attachment %s: %w", name, err)
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

func (c *standIn) attach(ctx context.Context, namespace string, attachment *storagev1.VolumeAttachment) (time.Duration, error) {
	volume, err := c.attachedVolume(attachment)
	if err != nil {
		return attachTick, c.attachFailed(ctx, attachment, err.Error())
	}
	if err := c.claimForAttacher(ctx, attachment, volume); err != nil {
		return 0, err
	}
	wait, obstacle, err := c.obstacle(ctx, namespace, attachment, volume.Spec.CSI.VolumeHandle)
	if err != nil {
		return 0, err
	}
	elapsed := c.ticks.elapsed("attach/" + attachment.Name)
	switch {
	case obstacle != "" && (!wait || elapsed > attachPatience):
		c.ticks.forget("attach/" + attachment.Name)
		return attachTick, c.attachFailed(ctx, attachment, obstacle)
	case obstacle != "":
		return attachTick, nil
	case elapsed < attachTick:
		return attachTick - elapsed, nil
	}
	c.ticks.forget("attach/" + attachment.Name)
	if err := c.setAttached(ctx, namespace, volume.Spec.CSI.VolumeHandle, attachment.Spec.NodeName); err != nil {
		return 0, err
	}
	updated := attachment.DeepCopy()
	updated.Status = storagev1.VolumeAttachmentStatus{Attached: true}
	return 0, c.patchAttachment(ctx, attachment, updated, "status")
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
	if !ours(volume) {
		return nil, fmt.Errorf("persistent volume %s does not belong to %s", *name, driverName)
	}
	return volume, nil
}

// obstacle says what keeps the volume from being attached, and whether Longhorn waits for it to pass.
func (c *standIn) obstacle(ctx context.Context, namespace string, attachment *storagev1.VolumeAttachment, handle string) (wait bool, reason string, err error) {
	node := attachment.Spec.NodeName
	known, err := c.registeredOn(node)
	if err != nil {
		return false, "", err
	}
	if !known {
		return false, fmt.Sprintf("CSINode %s does not contain driver %s", node, driverName), nil
	}
	state, err := c.volumeStateOf(ctx, namespace, handle)
	if err != nil {
		return false, "", err
	}
	if state == nil {
		return false, fmt.Sprintf("rpc error: code = NotFound desc = volume %s not found", handle), nil
	}
	if state.node != "" && state.node != node {
		return true, fmt.Sprintf("rpc error: code = DeadlineExceeded desc = volume %s failed to attach to node %s: "+
			"it is attached to node %s", handle, node, state.node), nil
	}
	notReady := fmt.Sprintf("rpc error: code = Aborted desc = volume %s is not ready for workloads", handle)
	if !state.scheduled {
		enough, err := c.schedule(ctx, namespace, handle)
		if err != nil || !enough {
			return false, notReady, err
		}
	}
	if state.node == "" { // a detached volume, whose replicas have to be started first
		usable, err := c.usable(ctx, namespace, handle)
		if err != nil {
			return false, "", err
		}
		if !usable {
			return false, notReady, nil
		}
	}
	down, err := c.down(node)
	if err != nil {
		return false, "", err
	}
	if down {
		return true, fmt.Sprintf("rpc error: code = DeadlineExceeded desc = volume %s failed to attach to node %s",
			handle, node), nil
	}
	return false, "", nil
}

// claimForAttacher puts the attacher's finalizers on both objects, so that neither goes before the volume is detached.
func (c *standIn) claimForAttacher(ctx context.Context, attachment *storagev1.VolumeAttachment, volume *corev1.PersistentVolume) error {
	if !slices.Contains(volume.Finalizers, attachFinalizer) {
		updated := volume.DeepCopy()
		updated.Finalizers = append(updated.Finalizers, attachFinalizer)
		if _, err := c.client.CoreV1().PersistentVolumes().Update(ctx, updated, metav1.UpdateOptions{}); err != nil {
			return fmt.Errorf("mark persistent volume %s: %w", volume.Name, err)
		}
	}
	if slices.Contains(attachment.Finalizers, attachFinalizer) {
		return nil
	}
	updated := attachment.DeepCopy()
	updated.Finalizers = append(updated.Finalizers, attachFinalizer)
	metav1.SetMetaDataAnnotation(&updated.ObjectMeta, nodeIDAnnotation, attachment.Spec.NodeName)
	return c.patchAttachment(ctx, attachment, updated)
}

func (c *standIn) attachFailed(ctx context.Context, attachment *storagev1.VolumeAttachment, message string) error {
	if failure := attachment.Status.AttachError; failure != nil && failure.Message == message {
		return nil
	}
	updated := attachment.DeepCopy()
	updated.Status.AttachError = &storagev1.VolumeError{Message: message, Time: metav1.NewTime(c.clock.Now())}
	return c.patchAttachment(ctx, attachment, updated, "status")
}

func (c *standIn) detach(ctx context.Context, namespace string, attachment *storagev1.VolumeAttachment) (time.Duration, error) {
	if !slices.Contains(attachment.Finalizers, attachFinalizer) {
		return 0, nil // never attached, or detached already
	}
	if elapsed := c.ticks.elapsed("detach/" + attachment.Name); elapsed < attachTick {
		return attachTick - elapsed, nil
	}
	if err := c.release(ctx, namespace, attachment); err != nil {
		return 0, err
	}
	updated := attachment.DeepCopy()
	updated.Finalizers = slices.DeleteFunc(updated.Finalizers, func(finalizer string) bool {
		return finalizer == attachFinalizer
	})
	if err := c.patchAttachment(ctx, attachment, updated); err != nil && !apierrors.IsNotFound(err) {
		return 0, err
	}
	return 0, nil
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
			if ours(volume) && volume.DeletionTimestamp != nil {
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
	if volume.DeletionTimestamp == nil || !slices.Contains(volume.Finalizers, attachFinalizer) {
		return 0, nil
	}
	attachments, err := c.cache.attachmentsOf(name)
	if err != nil || len(attachments) > 0 {
		return 0, err
	}
	if _, running, err := c.sidecar(attacherName); err != nil || !running {
		return retryTick, err
	}
	updated := volume.DeepCopy()
	updated.Finalizers = slices.DeleteFunc(updated.Finalizers, func(finalizer string) bool {
		return finalizer == attachFinalizer
	})
	_, err = c.client.CoreV1().PersistentVolumes().Update(ctx, updated, metav1.UpdateOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return 0, fmt.Errorf("let go of persistent volume %s: %w", name, err)
	}
	return 0, nil
}
