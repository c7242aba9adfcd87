package standin

import (
	"context"
	"fmt"
	"slices"
	"time"

	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// attach plays one step of the attacher's call and of what Longhorn does behind it (external-attacher csi_handler.go,
// csiAttach; longhorn-manager csi/controller_server.go, ControllerPublishVolume). What Longhorn refuses it refuses at
// once; the attach/detach controller reads that from the attachment and has a pause of its own.
func (c *standIn) attach(ctx context.Context, namespace string, attachment *storagev1.VolumeAttachment) (time.Duration, error) {
	open, pause := c.callFor(attachment)
	if open == nil {
		return pause, nil
	}
	refuse := func(message string) (time.Duration, error) {
		return c.pauseAfter(open, attachment.Name), c.attachFailed(ctx, attachment, message)
	}
	handle, refusal, err := c.prepareCall(ctx, open, attachment)
	if err != nil {
		return 0, err
	}
	if refusal != "" {
		return refuse(refusal)
	}
	node := attachment.Spec.NodeName
	if silence, err := c.silence(namespace, open); err != nil || silence > 0 {
		return silence, err
	}
	if open.silent { // the driver calls every error of this request so
		return refuse(fmt.Sprintf("rpc error: code = NotFound desc = node %s not found", node))
	}
	if !open.asked {
		if refusal, err = c.refusal(ctx, namespace, handle, node); err != nil {
			return 0, err
		}
		if refusal != "" {
			return refuse(refusal)
		}
		open.asked = true
	}
	obstacle, err := c.publish(ctx, namespace, open, handle, node)
	if err != nil {
		return 0, err
	}
	due, next := c.poll(open)
	switch {
	case obstacle == "" && due:
		return 0, c.attached(ctx, attachment)
	case c.clock.Now().Sub(open.began) >= attachPatience:
		return refuse(publishFailure(handle, attachment, obstacle))
	}
	return min(next, c.startingFor(open)), nil
}

// attached is the end of a call to attach.
func (c *standIn) attached(ctx context.Context, attachment *storagev1.VolumeAttachment) error {
	c.succeeded(attachment.Name)
	updated := attachment.DeepCopy()
	updated.Status = storagev1.VolumeAttachmentStatus{Attached: true}
	return c.patchAttachment(ctx, attachment, updated, "status")
}

// prepareCall does what the attacher does before it calls the driver. It returns the volume's name to the driver, or why
// the attacher does not call. Both objects get its finalizer, so that neither goes before the volume is detached.
func (c *standIn) prepareCall(
	ctx context.Context, open *call, attachment *storagev1.VolumeAttachment,
) (handle, refusal string, err error) {
	volume, err := c.attachedVolume(attachment)
	if err != nil {
		return "", err.Error(), nil //nolint:nilerr // it is reported in the attachment
	}
	if open.sent {
		return volume.Spec.CSI.VolumeHandle, "", nil
	}
	if volume.DeletionTimestamp != nil {
		return "", fmt.Sprintf("PersistentVolume %q is marked for deletion", volume.Name), nil
	}
	if err := c.holdVolume(ctx, volume); err != nil {
		return "", "", err
	}
	known, err := c.registeredOn(attachment.Spec.NodeName, attachment.Spec.Attacher)
	if err != nil {
		return "", "", err
	}
	if !known {
		return "", fmt.Sprintf("CSINode %s does not contain driver %s", attachment.Spec.NodeName, attachment.Spec.Attacher), nil
	}
	return volume.Spec.CSI.VolumeHandle, "", c.holdAttachment(ctx, attachment)
}

// refusal says why Longhorn does not even try to attach the volume to the node.
func (c *standIn) refusal(ctx context.Context, namespace, handle, node string) (string, error) {
	object, err := c.longhorn.get(ctx, namespace, longhornNodes, node)
	if err != nil {
		return "", err
	}
	if object == nil {
		return fmt.Sprintf("rpc error: code = NotFound desc = node %s not found", node), nil
	}
	state, err := c.volumeStateOf(ctx, namespace, handle)
	if err != nil {
		return "", err
	}
	if state == nil {
		return fmt.Sprintf("rpc error: code = NotFound desc = volume %s not found", handle), nil
	}
	if state.unready != "" {
		return fmt.Sprintf("rpc error: code = Aborted desc = volume %s is not ready for workloads: %s", handle, state.unready), nil
	}
	ready := state.scheduled
	if !ready {
		if ready, err = c.schedule(ctx, namespace, handle); err != nil {
			return "", err
		}
	}
	if ready && state.node == "" { // a detached volume, whose replicas have to be started first
		if ready, err = c.usable(ctx, namespace, handle); err != nil {
			return "", err
		}
	}
	if !ready {
		return fmt.Sprintf("rpc error: code = Aborted desc = volume %s is not ready for workloads", handle), nil
	}
	return c.refusalOfNode(namespace, handle, node)
}

// refusalOfNode: a node that is not ready gets no volume (longhorn-manager manager/volume.go, Attach). The HTTP API makes
// a 500 of it.
func (c *standIn) refusalOfNode(namespace, handle, name string) (string, error) {
	node, err := c.cache.nodes.Get(name)
	if err != nil && !apierrors.IsNotFound(err) {
		return "", fmt.Errorf("look up node %s: %w", name, err)
	}
	if err == nil {
		reason, _, err := c.unready(namespace, node)
		if err != nil || reason == "" {
			return "", err
		}
	}
	return fmt.Sprintf("rpc error: code = Internal desc = Bad response statusCode [500]. Status [500 Internal Server Error]. "+
		"Body: [code=Internal Server Error, detail=, message=unable to attach volume %[1]s to %[2]s: node %[2]s is not ready, "+
		"couldn't attach volume %[1]s to it] from [http://longhorn-backend:9500/v1/volumes/%[1]s?action=attach]", handle, name), nil
}

// notYet is what keeps a volume from being attached when Longhorn has no words for it.
const notYet = "not yet"

// publish takes a volume that Longhorn has agreed to attach one step further. It returns what is still in the way: the
// old node has to let go of it, its instances have to start, and the engine's monitor has to see the device.
func (c *standIn) publish(ctx context.Context, namespace string, open *call, handle, node string) (obstacle string, err error) {
	state, err := c.volumeStateOf(ctx, namespace, handle)
	if err != nil {
		return "", err
	}
	if state == nil {
		return notYet, nil
	}
	if state.node != "" && state.node != node {
		open.starting = time.Time{}
		return "the volume is currently attached to different node " + state.node, nil
	}
	down, err := c.down(node)
	if err != nil {
		return "", err
	}
	usable := state.node != ""
	if !usable && !down {
		if usable, err = c.usable(ctx, namespace, handle); err != nil {
			return "", err
		}
	}
	if down || !usable {
		open.starting = time.Time{}
		return notYet, nil
	}
	if state.node == "" {
		if open.starting.IsZero() {
			open.starting = c.clock.Now()
		}
		if c.clock.Now().Sub(open.starting) < instanceTime {
			return notYet, nil
		}
	}
	if err := c.setAttached(ctx, namespace, handle, node); err != nil {
		return "", err
	}
	engine, err := c.longhorn.get(ctx, namespace, engineKind, engineName(handle))
	if err != nil || engine != nil && textAt(engine, "status", "endpoint") != "" {
		return "", err
	}
	return notYet, nil
}

func publishFailure(handle string, attachment *storagev1.VolumeAttachment, obstacle string) string {
	message := fmt.Sprintf("volume %s failed to attach to node %s with attachmentID %s",
		handle, attachment.Spec.NodeName, attachment.Name)
	if obstacle == notYet || obstacle == "" {
		return "rpc error: code = DeadlineExceeded desc = " + message
	}
	return "rpc error: code = Internal desc = " + message + ": " + obstacle
}

func (c *standIn) attachFailed(ctx context.Context, attachment *storagev1.VolumeAttachment, message string) error {
	updated := attachment.DeepCopy()
	updated.Status.AttachError = &storagev1.VolumeError{Message: message, Time: metav1.NewTime(c.clock.Now())}
	return c.patchAttachment(ctx, attachment, updated, "status")
}

// detach plays one step of the attacher's call to detach. Longhorn lets go of the volume at once; the driver sees it
// when it looks for the first time.
func (c *standIn) detach(ctx context.Context, namespace string, attachment *storagev1.VolumeAttachment) (time.Duration, error) {
	if !slices.Contains(attachment.Finalizers, attachFinalizerOf(driverName)) {
		delete(c.calls, attachment.Name)
		return 0, nil // never attached, or detached already
	}
	open, pause := c.callFor(attachment)
	if open == nil {
		return pause, nil
	}
	if silence, err := c.silence(namespace, open); err != nil || silence > 0 {
		return silence, err
	}
	if open.silent {
		updated := attachment.DeepCopy()
		updated.Status.DetachError = &storagev1.VolumeError{Time: metav1.NewTime(c.clock.Now()), Message: "rpc error: " +
			"code = Internal desc = context deadline exceeded (Client.Timeout exceeded while awaiting headers)"}
		return c.pauseAfter(open, attachment.Name), c.patchAttachment(ctx, attachment, updated, "status")
	}
	if !open.asked {
		if err := c.release(ctx, namespace, attachment); err != nil {
			return 0, err
		}
		open.asked = true
	}
	if due, next := c.poll(open); !due {
		return next, nil
	}
	return 0, c.detached(ctx, attachment)
}

// detached is the end of a call to detach: nothing keeps the attachment any more.
func (c *standIn) detached(ctx context.Context, attachment *storagev1.VolumeAttachment) error {
	own := attachFinalizerOf(attachment.Spec.Attacher)
	updated := attachment.DeepCopy()
	updated.Finalizers = slices.DeleteFunc(updated.Finalizers, func(finalizer string) bool { return finalizer == own })
	if err := c.patchAttachment(ctx, attachment, updated); err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	c.succeeded(attachment.Name)
	return nil
}
