package kube

import (
	"context"
	"fmt"

	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// claim is the database's PersistentVolumeClaim and the volume behind it. Without a volume the names are empty.
type claim struct {
	uid types.UID
	// volume is the PersistentVolume's name, driver and handle what its CSI driver calls it.
	volume, driver, handle string
}

// inUse is how nodes name the volume in status.volumesInUse.
func (c claim) inUse() string {
	if c.handle == "" {
		return ""
	}
	return "kubernetes.io/csi/" + c.driver + "^" + c.handle
}

// resolve finds the volume. A PersistentVolume's source never changes, nor does a bound claim's volume: both are read anew when the
// claim is another one.
func (r *Reader) resolve(ctx context.Context) (claim, error) {
	object, err := r.cluster.Core.PersistentVolumeClaims(r.target.Namespace).Get(ctx, r.target.Claim, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return claim{}, nil
	}
	if err != nil {
		return claim{}, fmt.Errorf("the claim %s/%s: %w", r.target.Namespace, r.target.Claim, err)
	}
	found := claim{uid: object.UID, volume: object.Spec.VolumeName}
	if found.volume == "" {
		return found, nil
	}
	if known := r.claim; known.handle != "" && known.uid == found.uid && known.volume == found.volume {
		return known, nil
	}
	volume, err := r.cluster.Core.PersistentVolumes().Get(ctx, found.volume, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return found, nil
	}
	if err != nil {
		return claim{}, fmt.Errorf("the volume %s: %w", found.volume, err)
	}
	if source := volume.Spec.CSI; source != nil {
		found.driver, found.handle = source.Driver, source.VolumeHandle
	}
	return found, nil
}

func (c *Cluster) attachments(ctx context.Context) ([]storagev1.VolumeAttachment, error) {
	list, err := c.Storage.VolumeAttachments().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("the attachments of volumes: %w", err)
	}
	return list.Items, nil
}
