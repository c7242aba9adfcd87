package standin

import (
	"context"
	"encoding/json"
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

// addKubeletLoop plays the kubelets' volume managers, node by node: what is in use on the node, and which pods have
// everything mounted that they ask for.
func (c *standIn) addKubeletLoop() error {
	l := c.loop("kubelet", c.syncKubelet)
	core, storage := c.informers.Core().V1(), c.informers.Storage().V1()
	addPodsOfClaim := func(key string) {
		pods, err := c.cache.podsBy(byClaim, key)
		if err != nil {
			c.log.Error("change of a claim is lost", "claim", key, "error", err)
		}
		for _, pod := range pods {
			l.queue.Add(pod.Spec.NodeName)
		}
	}
	return errors.Join(
		on(core.Nodes().Informer(), func(node *corev1.Node) { l.queue.Add(node.Name) }),
		on(c.cache.pods, func(pod *corev1.Pod) {
			if pod.Spec.NodeName != "" {
				l.queue.Add(pod.Spec.NodeName)
			}
		}),
		on(core.PersistentVolumeClaims().Informer(), func(claim *corev1.PersistentVolumeClaim) {
			addPodsOfClaim(claim.Namespace + "/" + claim.Name)
		}),
		on(storage.VolumeAttachments().Informer(), func(attachment *storagev1.VolumeAttachment) {
			l.queue.Add(attachment.Spec.NodeName)
		}),
		on(storage.CSINodes().Informer(), func(node *storagev1.CSINode) { l.queue.Add(node.Name) }),
		c.onNodeLease(func(node string) { l.queue.Add(node) }),
	)
}

// syncKubelet does one node's work, and nothing for a node that is dead: its last words stay, as on a real one.
func (c *standIn) syncKubelet(ctx context.Context, name string) (time.Duration, error) {
	node, err := c.livingNode(name)
	if err != nil || node == nil {
		return 0, err
	}
	pods, err := c.cache.podsBy(byNode, name)
	if err != nil {
		return 0, err
	}
	if err := c.reportVolumesInUse(ctx, node, pods); err != nil {
		return 0, err
	}
	waiting := false
	for _, pod := range pods {
		started, err := c.prepare(ctx, node, pod)
		if err != nil {
			return 0, err
		}
		waiting = waiting || !started
	}
	if waiting {
		return retryTick, nil
	}
	return 0, nil
}

// reportVolumesInUse writes which volumes the node's pods need. The attach/detach controller detaches none of them.
func (c *standIn) reportVolumesInUse(ctx context.Context, node *corev1.Node, pods []*corev1.Pod) error {
	used := []corev1.UniqueVolumeName{}
	for _, pod := range pods {
		if terminal(pod) {
			continue
		}
		for _, claim := range claimNames(pod) {
			volume, err := c.cache.volumeOf(pod.Namespace, claim)
			if err != nil {
				return err
			}
			if c.plays(volume) {
				used = append(used, volumeKey(volume))
			}
		}
	}
	slices.Sort(used)
	used = slices.Compact(used)
	if slices.Equal(used, node.Status.VolumesInUse) {
		return nil
	}
	patch, err := json.Marshal(map[string]any{"status": map[string]any{"volumesInUse": used}})
	if err != nil {
		return fmt.Errorf("encode volumes in use: %w", err)
	}
	_, err = c.client.CoreV1().Nodes().Patch(ctx, node.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	if err != nil {
		return fmt.Errorf("report volumes in use on node %s: %w", node.Name, err)
	}
	return nil
}

func volumeKey(volume *corev1.PersistentVolume) corev1.UniqueVolumeName {
	return corev1.UniqueVolumeName(volumeKeyPrefix + volume.Spec.CSI.Driver + "^" + volume.Spec.CSI.VolumeHandle)
}

// prepare mounts what a new pod asks for. It reports false while something is missing.
func (c *standIn) prepare(ctx context.Context, node *corev1.Node, pod *corev1.Pod) (bool, error) {
	if pod.DeletionTimestamp != nil || pod.Status.Phase != corev1.PodPending ||
		podCondition(pod, corev1.PodReadyToStartContainers) {
		return true, nil
	}
	if pod.Status.StartTime == nil { // a kubelet has seen the pod then, long before its volumes are mounted
		err := c.patchPod(ctx, pod, corev1.PodStatus{StartTime: ptr(metav1.NewTime(c.clock.Now()))})
		if ignoreGone(err) != nil {
			return false, err
		}
	}
	missing, err := c.missing(node, pod)
	if err != nil {
		return false, err
	}
	if missing != nil {
		if c.ticks.elapsed("mount/"+string(pod.UID)) >= missing.patience {
			c.recorder.Event(pod, corev1.EventTypeWarning, "FailedMount", missing.reason)
		}
		return false, nil
	}
	c.ticks.forget("mount/" + string(pod.UID))
	err = c.patchPod(ctx, pod, corev1.PodStatus{Conditions: []corev1.PodCondition{{
		Type:               corev1.PodReadyToStartContainers,
		Status:             corev1.ConditionTrue,
		LastTransitionTime: metav1.NewTime(c.clock.Now()),
	}}})
	if ignoreGone(err) != nil {
		return false, err
	}
	return true, nil
}

// lack is what a pod still waits for.
type lack struct {
	// reason in the words of a kubelet's event.
	reason string
	// patience is how long a kubelet waits before it says so.
	patience time.Duration
}

// missing says what the pod still waits for, and nil if it has all it needs.
func (c *standIn) missing(node *corev1.Node, pod *corev1.Pod) (*lack, error) {
	for _, claim := range claimNames(pod) {
		missing, err := c.missingVolume(node, pod.Namespace, claim)
		if err != nil || missing != nil {
			return missing, err
		}
	}
	return c.missingObject(pod)
}

func (c *standIn) missingVolume(node *corev1.Node, namespace, claim string) (*lack, error) {
	volume, err := c.cache.volumeOf(namespace, claim)
	if err != nil {
		return nil, err
	}
	if volume == nil {
		return &lack{reason: fmt.Sprintf("Unable to attach or mount volumes: claim %s is not bound", claim)}, nil
	}
	if volume.Spec.CSI == nil {
		return nil, nil // a directory of the node, or a network share: nothing to attach
	}
	known, err := c.registeredOn(node.Name, volume.Spec.CSI.Driver)
	if err != nil {
		return nil, err
	}
	if !c.plays(volume) || !known {
		return &lack{reason: fmt.Sprintf("MountVolume.MountDevice failed for volume %q: driver name %s not found in the "+
			"list of registered CSI drivers", volume.Name, volume.Spec.CSI.Driver)}, nil
	}
	// A kubelet mounts a volume only after it has reported it as in use, or it could be detached under its hands.
	reported := slices.Contains(node.Status.VolumesInUse, volumeKey(volume))
	attached, err := c.attachedTo(volume.Name, node.Name)
	if err != nil || reported && attached {
		return nil, err
	}
	return &lack{
		reason: fmt.Sprintf("Unable to attach or mount volumes: timed out waiting for volume %s to be attached",
			volume.Name),
		patience: attachWarning,
	}, nil
}

func (c *standIn) attachedTo(volume, node string) (bool, error) {
	attachments, err := c.cache.attachmentsOf(volume)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(attachments, func(attachment *storagev1.VolumeAttachment) bool {
		return attachment.Spec.NodeName == node && attachment.Status.Attached && attachment.DeletionTimestamp == nil
	}), nil
}

// missingObject looks for ConfigMaps and Secrets that the pod mounts and that do not exist.
func (c *standIn) missingObject(pod *corev1.Pod) (*lack, error) {
	for _, volume := range pod.Spec.Volumes {
		var kind string
		var err error
		switch {
		case volume.ConfigMap != nil && !optional(volume.ConfigMap.Optional):
			kind = "configmap"
			_, err = c.cache.configMaps.ConfigMaps(pod.Namespace).Get(volume.ConfigMap.Name)
		case volume.Secret != nil && !optional(volume.Secret.Optional):
			kind = "secret"
			_, err = c.cache.secrets.Secrets(pod.Namespace).Get(volume.Secret.SecretName)
		}
		if apierrors.IsNotFound(err) {
			return &lack{reason: fmt.Sprintf("MountVolume.SetUp failed for volume %q : %s: %v", volume.Name, kind, err)}, nil
		}
		if err != nil {
			return nil, fmt.Errorf("look up what pod %s/%s mounts: %w", pod.Namespace, pod.Name, err)
		}
	}
	return nil, nil // nothing is missing
}

func optional(value *bool) bool { return value != nil && *value }
