package standin

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	appslisters "k8s.io/client-go/listers/apps/v1"
	coordinationlisters "k8s.io/client-go/listers/coordination/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	storagelisters "k8s.io/client-go/listers/storage/v1"
	"k8s.io/client-go/tools/cache"
)

// caches are the watched objects.
type caches struct {
	nodes       corelisters.NodeLister
	pods        cache.SharedIndexInformer
	podLister   corelisters.PodLister
	claims      corelisters.PersistentVolumeClaimLister
	volumes     corelisters.PersistentVolumeLister
	configMaps  corelisters.ConfigMapLister
	secrets     corelisters.SecretLister
	attachments storagelisters.VolumeAttachmentLister
	csiNodes    storagelisters.CSINodeLister
	classes     storagelisters.StorageClassLister
	drivers     storagelisters.CSIDriverLister
	deployments appslisters.DeploymentLister
	daemonSets  appslisters.DaemonSetLister
	leases      coordinationlisters.LeaseLister
}

// Indexes of the pods.
const (
	byNode  = "node"
	byClaim = "claim"
)

func newCaches(factory informers.SharedInformerFactory) (caches, error) {
	core, apps, storage := factory.Core().V1(), factory.Apps().V1(), factory.Storage().V1()
	found := caches{
		nodes:       core.Nodes().Lister(),
		pods:        core.Pods().Informer(),
		podLister:   core.Pods().Lister(),
		claims:      core.PersistentVolumeClaims().Lister(),
		volumes:     core.PersistentVolumes().Lister(),
		configMaps:  core.ConfigMaps().Lister(),
		secrets:     core.Secrets().Lister(),
		attachments: storage.VolumeAttachments().Lister(),
		csiNodes:    storage.CSINodes().Lister(),
		classes:     storage.StorageClasses().Lister(),
		drivers:     storage.CSIDrivers().Lister(),
		deployments: apps.Deployments().Lister(),
		daemonSets:  apps.DaemonSets().Lister(),
		leases:      factory.Coordination().V1().Leases().Lister(),
	}
	err := found.pods.AddIndexers(cache.Indexers{
		byNode: func(object any) ([]string, error) {
			if pod, ok := object.(*corev1.Pod); ok && pod.Spec.NodeName != "" {
				return []string{pod.Spec.NodeName}, nil
			}
			return nil, nil
		},
		byClaim: func(object any) ([]string, error) {
			if pod, ok := object.(*corev1.Pod); ok {
				return claimKeys(pod), nil
			}
			return nil, nil
		},
	})
	if err != nil {
		return caches{}, fmt.Errorf("index pods: %w", err)
	}
	return found, nil
}

// pod returns the pod of a loop's key, and nil if it is gone.
func (c caches) pod(key string) (*corev1.Pod, error) {
	namespace, name, err := splitKey(key)
	if err != nil {
		return nil, err
	}
	pod, err := c.podLister.Pods(namespace).Get(name)
	if apierrors.IsNotFound(err) {
		return nil, nil // gone is an answer here
	}
	if err != nil {
		return nil, fmt.Errorf("look up pod %s: %w", key, err)
	}
	return pod, nil
}

func splitKey(key string) (namespace, name string, err error) {
	namespace, name, err = cache.SplitMetaNamespaceKey(key)
	if err != nil {
		return "", "", fmt.Errorf("object key %q: %w", key, err)
	}
	return namespace, name, nil
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

// attachmentsOf returns the attachments of a volume by a driver that is played here.
func (c caches) attachmentsOf(volume string) ([]*storagev1.VolumeAttachment, error) {
	all, err := c.attachments.List(labels.Everything())
	if err != nil {
		return nil, fmt.Errorf("list attachments: %w", err)
	}
	var found []*storagev1.VolumeAttachment
	for _, attachment := range all {
		source := attachment.Spec.Source.PersistentVolumeName
		played := attachment.Spec.Attacher == driverName || attachment.Spec.Attacher == diskDriver
		if played && source != nil && *source == volume {
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
		return nil, nil // no claim, no volume: not an error for a pod that waits
	}
	if err != nil {
		return nil, fmt.Errorf("look up claim %s/%s: %w", namespace, claim, err)
	}
	if found.Status.Phase != corev1.ClaimBound || found.Spec.VolumeName == "" {
		return nil, nil // as above
	}
	volume, err := c.volumes.Get(found.Spec.VolumeName)
	if apierrors.IsNotFound(err) {
		return nil, nil // as above
	}
	if err != nil {
		return nil, fmt.Errorf("look up volume %s: %w", found.Spec.VolumeName, err)
	}
	return volume, nil
}

// ours says whether a volume belongs to Longhorn.
func ours(volume *corev1.PersistentVolume) bool { return of(volume, driverName) }

// of says whether a volume belongs to the driver.
func of(volume *corev1.PersistentVolume, driver string) bool {
	return volume != nil && volume.Spec.CSI != nil && volume.Spec.CSI.Driver == driver
}

func terminal(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}
