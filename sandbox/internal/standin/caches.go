package standin

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	appslisters "k8s.io/client-go/listers/apps/v1"
	coordinationlisters "k8s.io/client-go/listers/coordination/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	storagelisters "k8s.io/client-go/listers/storage/v1"
	"k8s.io/client-go/tools/cache"
)

// caches are the watched objects.
type caches struct {
	nodes        corelisters.NodeLister
	pods         cache.SharedIndexInformer
	podNamespace corelisters.PodLister
	claims       corelisters.PersistentVolumeClaimLister
	volumes      corelisters.PersistentVolumeLister
	configMaps   corelisters.ConfigMapLister
	secrets      corelisters.SecretLister
	attachments  storagelisters.VolumeAttachmentLister
	csiNodes     storagelisters.CSINodeLister
	classes      storagelisters.StorageClassLister
	drivers      storagelisters.CSIDriverLister
	deployments  appslisters.DeploymentLister
	daemonSets   appslisters.DaemonSetLister
	leases       coordinationlisters.LeaseLister
}

func (c caches) podsBy(index, key string) ([]*corev1.Pod, error) {
	objects, err := c.pods.GetIndexer().ByIndex(index, key)
	if err != nil {
		return nil, fmt.Errorf("look up pods by %s: %w", index, err)
	}
	pods := make([]*corev1.Pod, 0, len(objects))
	for _, object := range objects {
		if pod, ok := object.(*corev1.Pod); ok {
			pods = append(pods, pod)
		}
	}
	return pods, nil
}

// attachmentsOf returns the driver's attachments of a volume.
func (c caches) attachmentsOf(volume string) ([]*storagev1.VolumeAttachment, error) {
	all, err := c.attachments.List(labels.Everything())
	if err != nil {
		return nil, fmt.Errorf("list attachments: %w", err)
	}
	var found []*storagev1.VolumeAttachment
	for _, attachment := range all {
		source := attachment.Spec.Source.PersistentVolumeName
		if attachment.Spec.Attacher == driverName && source != nil && *source == volume {
			found = append(found, attachment)
		}
	}
	return found, nil
}

// claimNames are the names of the claims that a pod mounts, generic ephemeral ones included.
func claimNames(pod *corev1.Pod) []string {
	var names []string
	for _, volume := range pod.Spec.Volumes {
		switch {
		case volume.PersistentVolumeClaim != nil:
			names = append(names, volume.PersistentVolumeClaim.ClaimName)
		case volume.Ephemeral != nil:
			names = append(names, pod.Name+"-"+volume.Name)
		}
	}
	return names
}

func claimKeys(pod *corev1.Pod) []string {
	names := claimNames(pod)
	keys := make([]string, 0, len(names))
	for _, name := range names {
		keys = append(keys, pod.Namespace+"/"+name)
	}
	return keys
}

// volumeOf returns the volume that a claim is bound to, and nil while it is bound to none.
func (c caches) volumeOf(namespace, claim string) (*corev1.PersistentVolume, error) {
	found, err := c.claims.PersistentVolumeClaims(namespace).Get(claim)
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // no claim, no volume: not an error for a pod that waits
	}
	if err != nil {
		return nil, fmt.Errorf("look up claim %s/%s: %w", namespace, claim, err)
	}
	if found.Status.Phase != corev1.ClaimBound || found.Spec.VolumeName == "" {
		return nil, nil //nolint:nilnil // as above
	}
	volume, err := c.volumes.Get(found.Spec.VolumeName)
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // as above
	}
	if err != nil {
		return nil, fmt.Errorf("look up volume %s: %w", found.Spec.VolumeName, err)
	}
	return volume, nil
}

// ours says whether a volume belongs to Longhorn.
func ours(volume *corev1.PersistentVolume) bool {
	return volume != nil && volume.Spec.CSI != nil && volume.Spec.CSI.Driver == driverName
}

func terminal(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}
