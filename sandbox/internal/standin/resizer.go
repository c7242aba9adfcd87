package standin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// addResizeLoop plays the external-resizer, Longhorn's expansion and the kubelet's growing of the file system.
func (c *standIn) addResizeLoop() error {
	l := c.loop("resizer", c.syncResize)
	add := func(claim *corev1.PersistentVolumeClaim) { l.queue.Add(claim.Namespace + "/" + claim.Name) }
	return errors.Join(
		on(c.informers.Core().V1().PersistentVolumeClaims().Informer(), add),
		on(c.informers.Core().V1().PersistentVolumes().Informer(), func(volume *corev1.PersistentVolume) {
			if claim := volume.Spec.ClaimRef; ours(volume) && claim != nil {
				l.queue.Add(claim.Namespace + "/" + claim.Name)
			}
		}),
		on(c.cache.pods, func(pod *corev1.Pod) {
			for _, key := range claimKeys(pod) {
				l.queue.Add(key)
			}
		}),
	)
}

func (c *standIn) syncResize(ctx context.Context, key string) (time.Duration, error) {
	claim, volume, err := c.resizable(key)
	if err != nil || claim == nil {
		return 0, err
	}
	wanted := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	have := claim.Status.Capacity[corev1.ResourceStorage]
	if wanted.Cmp(have) <= 0 {
		return 0, nil
	}
	size := volume.Spec.Capacity[corev1.ResourceStorage]
	if size.Cmp(wanted) < 0 {
		return c.growVolume(ctx, claim, volume, wanted)
	}
	return c.growFileSystem(ctx, claim, volume, wanted)
}

// resizable returns a bound claim of ours with its volume, and nil for any other.
func (c *standIn) resizable(key string) (*corev1.PersistentVolumeClaim, *corev1.PersistentVolume, error) {
	namespace, name, err := splitKey(key)
	if err != nil {
		return nil, nil, err
	}
	claim, err := c.cache.claims.PersistentVolumeClaims(namespace).Get(name)
	if apierrors.IsNotFound(err) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("look up claim %s: %w", key, err)
	}
	volume, err := c.cache.volumeOf(namespace, name)
	if err != nil || !ours(volume) {
		return nil, nil, err
	}
	return claim, volume, nil
}

// growVolume is the controller's half: Longhorn's volume and the PersistentVolume grow, and the claim says that the file
// system has to follow. Whether the class allows it, the API server has checked.
func (c *standIn) growVolume(ctx context.Context, claim *corev1.PersistentVolumeClaim, volume *corev1.PersistentVolume, wanted resource.Quantity) (time.Duration, error) {
	namespace, running, err := c.sidecar(resizerName)
	if err != nil || !running {
		return retryTick, err
	}
	if err := c.setResizing(ctx, claim, corev1.PersistentVolumeClaimResizing, nil); err != nil {
		return 0, err
	}
	if err := c.growLonghornVolume(ctx, namespace, volume.Spec.CSI.VolumeHandle, wanted); err != nil {
		c.recorder.Event(claim, corev1.EventTypeWarning, "VolumeResizeFailed", err.Error())
		return 0, err
	}
	grown := volume.DeepCopy()
	grown.Spec.Capacity[corev1.ResourceStorage] = wanted
	if _, err := c.client.CoreV1().PersistentVolumes().Update(ctx, grown, metav1.UpdateOptions{}); err != nil {
		return 0, fmt.Errorf("grow persistent volume %s: %w", volume.Name, err)
	}
	// A raw block device has no file system that would have to follow.
	if mode := volume.Spec.VolumeMode; mode != nil && *mode == corev1.PersistentVolumeBlock {
		return 0, c.setResizing(ctx, claim, "", &wanted)
	}
	c.recorder.Event(claim, corev1.EventTypeNormal, "FileSystemResizeRequired",
		"Require file system resize of volume on node")
	return 0, c.setResizing(ctx, claim, corev1.PersistentVolumeClaimFileSystemResizePending, nil)
}

func (c *standIn) growLonghornVolume(ctx context.Context, namespace, handle string, wanted resource.Quantity) error {
	object, err := c.longhorn.get(ctx, namespace, longhornVolumes, handle)
	if err != nil {
		return err
	}
	if object == nil {
		return fmt.Errorf("rpc error: code = NotFound desc = volume %s missing", handle)
	}
	size := fmt.Sprint(wanted.Value())
	if err := unstructured.SetNestedField(object.Object, size, "spec", "size"); err != nil {
		return fmt.Errorf("grow Longhorn's volume %s: %w", handle, err)
	}
	return c.longhorn.update(ctx, longhornVolumes, object)
}

// growFileSystem is the kubelet's half: it happens where a pod has the volume mounted, and waits for one if there is
// none.
func (c *standIn) growFileSystem(ctx context.Context, claim *corev1.PersistentVolumeClaim, volume *corev1.PersistentVolume, wanted resource.Quantity) (time.Duration, error) {
	mounted, err := c.mounted(claim)
	if err != nil || !mounted {
		return 0, err
	}
	c.recorder.Event(claim, corev1.EventTypeNormal, "FileSystemResizeSuccessful",
		"MountVolume.NodeExpandVolume succeeded for volume "+volume.Name)
	return 0, c.setResizing(ctx, claim, "", &wanted)
}

// mounted says whether a pod on a living node has the claim mounted.
func (c *standIn) mounted(claim *corev1.PersistentVolumeClaim) (bool, error) {
	pods, err := c.cache.podsBy(byClaim, claim.Namespace+"/"+claim.Name)
	if err != nil {
		return false, err
	}
	for _, pod := range pods {
		if terminal(pod) || !podCondition(pod, corev1.PodReadyToStartContainers) {
			continue
		}
		node, err := c.livingNode(pod.Spec.NodeName)
		if err != nil || node != nil {
			return node != nil, err
		}
	}
	return false, nil
}

// setResizing writes how far a resize has come: the one condition that holds, if any, and the new capacity once it is
// done.
func (c *standIn) setResizing(ctx context.Context, claim *corev1.PersistentVolumeClaim, condition corev1.PersistentVolumeClaimConditionType, capacity *resource.Quantity) error {
	current, err := c.client.CoreV1().PersistentVolumeClaims(claim.Namespace).Get(ctx, claim.Name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read claim %s/%s: %w", claim.Namespace, claim.Name, err)
	}
	updated := current.DeepCopy()
	updated.Status.Conditions = slices.DeleteFunc(updated.Status.Conditions, func(c corev1.PersistentVolumeClaimCondition) bool {
		return c.Type == corev1.PersistentVolumeClaimResizing || c.Type == corev1.PersistentVolumeClaimFileSystemResizePending
	})
	if condition != "" {
		updated.Status.Conditions = append(updated.Status.Conditions, corev1.PersistentVolumeClaimCondition{
			Type: condition, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(c.clock.Now()),
		})
	}
	if capacity != nil {
		updated.Status.Capacity[corev1.ResourceStorage] = *capacity
	}
	patch, err := mergePatch(current, updated)
	if err != nil {
		return err
	}
	_, err = c.client.CoreV1().PersistentVolumeClaims(claim.Namespace).Patch(
		ctx, claim.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	if err != nil {
		return fmt.Errorf("report resize of claim %s/%s: %w", claim.Namespace, claim.Name, err)
	}
	return nil
}
