package standin

import (
	"context"
	"fmt"
	"hash/fnv"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// addFailoverLoop plays longhorn-manager's pod controller. It hears of changes of pods, and of nothing else: that an
// attachment has gone it learns only at a pod's next change or at a manager's next resync, as the original.
func (c *standIn) addFailoverLoop() error {
	l := c.loop("failover", c.syncFailover)
	resync := c.loop("failover-resync", c.resyncPods(l))
	resync.queue.Add("resync")
	return on(c.cache.pods, func(pod *corev1.Pod) {
		if pod.DeletionTimestamp != nil || pod.Spec.NodeName != "" && len(claimNames(pod)) > 0 {
			l.queue.Add(pod.Namespace + "/" + pod.Name)
		}
	})
}

// resyncPods looks at all deleted pods again at every manager's own resync, and at the others at that of the manager on
// their own node. Each node's manager counts from its own
// start; so that managers that started in the same simulated second do not tick as one, their pods' uids set them
// apart.
func (c *standIn) resyncPods(l *loop) syncFunc {
	last := c.clock.Now()
	return func(context.Context, string) (time.Duration, error) {
		now := c.clock.Now()
		namespace, running, err := c.manager()
		if err != nil || !running {
			last = now
			return retryTick, err
		}
		managers, err := c.readyPods(namespace, managerName)
		if err != nil {
			return 0, err
		}
		due := map[string]bool{}
		for _, manager := range managers {
			if resyncBetween(manager.UID, last, now) {
				due[manager.Spec.NodeName] = true
			}
		}
		last = now
		if len(due) == 0 {
			return retryTick, nil
		}
		for _, object := range c.cache.pods.GetStore().List() {
			pod, ok := object.(*corev1.Pod)
			if ok && (pod.DeletionTimestamp != nil || due[pod.Spec.NodeName] && len(claimNames(pod)) > 0) {
				l.queue.Add(pod.Namespace + "/" + pod.Name)
			}
		}
		return retryTick, nil
	}
}

// readyManagers returns the uids of the manager pods that are ready. The node lifecycle controller marks the one on a
// dead node as not ready.
func (c *standIn) readyManagers() ([]types.UID, error) {
	namespace, running, err := c.manager()
	if err != nil || !running {
		return nil, err
	}
	pods, err := c.readyPods(namespace, managerName)
	if err != nil {
		return nil, err
	}
	uids := make([]types.UID, 0, len(pods))
	for _, pod := range pods {
		uids = append(uids, pod.UID)
	}
	return uids, nil
}

// resyncBetween says whether the manager's resync falls after one moment and not after the other.
func resyncBetween(manager types.UID, after, until time.Time) bool {
	return !nextResync(string(manager), after).After(until)
}

// nextResync is when the timer of that name ends the next time after a moment.
func nextResync(timer string, after time.Time) time.Time {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(timer)) // a hash never fails to write
	phase := time.Duration(hash.Sum32()) * time.Millisecond % podResync
	return after.Add(-phase).Truncate(podResync).Add(podResync + phase)
}

// syncFailover frees a pod that is stuck on a dead node, if Longhorn's policy says so: first the pod's attachments, and
// once they are gone and the pod's own grace period is over, the pod (longhorn-manager kubernetes_pod_controller.go,
// longhorn/longhorn#2947).
func (c *standIn) syncFailover(ctx context.Context, key string) (time.Duration, error) {
	namespace, running, err := c.manager()
	if err != nil || !running {
		return 0, err
	}
	pod, err := c.stuck(ctx, namespace, key)
	if err != nil {
		return 0, err
	}
	if pod == nil {
		return c.syncRemount(ctx, namespace, key)
	}
	volumes, err := c.podVolumes(pod)
	if err != nil || len(volumes) == 0 {
		return 0, err
	}
	attachments, err := c.podAttachments(pod, volumes)
	if err != nil {
		return 0, err
	}
	if len(attachments) > 0 {
		return 0, c.deleteAttachments(ctx, pod, attachments)
	}
	if pod.DeletionTimestamp.After(c.clock.Now()) {
		return 0, nil
	}
	c.log.Info("force deleting pod on dead node", "pod", key, "node", pod.Spec.NodeName)
	return 0, ignoreGone(c.removePod(ctx, pod))
}

// stuck returns the pod if the policy applies to it: terminating, on a dead node, of a controller the policy names.
func (c *standIn) stuck(ctx context.Context, longhorn, key string) (*corev1.Pod, error) {
	pod, err := c.cache.pod(key)
	if err != nil || pod == nil {
		return nil, err
	}
	if pod.DeletionTimestamp == nil || pod.Spec.NodeName == "" {
		return nil, nil // not even deleted
	}
	policy, err := c.longhorn.setting(ctx, longhorn, "node-down-pod-deletion-policy")
	if err != nil || !policyCovers(policy, pod) {
		return nil, err
	}
	down, err := c.down(pod.Spec.NodeName)
	if err != nil || !down {
		return nil, err
	}
	return pod, nil
}

// policyCovers knows pods of StatefulSets and of ReplicaSets. Pods of Jobs, of other controllers and of nobody are never
// freed.
func policyCovers(policy string, pod *corev1.Pod) bool {
	owner := metav1.GetControllerOf(pod)
	if owner == nil {
		return false
	}
	switch policy {
	case "delete-both-statefulset-and-deployment-pod":
		return owner.Kind == "StatefulSet" || owner.Kind == "ReplicaSet"
	case "delete-statefulset-pod":
		return owner.Kind == "StatefulSet"
	case "delete-deployment-pod":
		return owner.Kind == "ReplicaSet"
	default:
		return false
	}
}

// podVolumes returns the volumes of Longhorn's that the pod has by a claim of its own. Generic ephemeral volumes
// Longhorn does not look at.
func (c *standIn) podVolumes(pod *corev1.Pod) ([]*corev1.PersistentVolume, error) {
	var found []*corev1.PersistentVolume
	for _, source := range pod.Spec.Volumes {
		if source.PersistentVolumeClaim == nil {
			continue
		}
		volume, err := c.cache.volumeOf(pod.Namespace, source.PersistentVolumeClaim.ClaimName)
		if err != nil {
			return nil, err
		}
		if ours(volume) {
			found = append(found, volume)
		}
	}
	return found, nil
}

// podAttachments returns the attachments of the volumes to the pod's node.
func (c *standIn) podAttachments(pod *corev1.Pod, volumes []*corev1.PersistentVolume) ([]*storagev1.VolumeAttachment, error) {
	var found []*storagev1.VolumeAttachment
	for _, volume := range volumes {
		attachments, err := c.cache.attachmentsOf(volume.Name)
		if err != nil {
			return nil, err
		}
		for _, attachment := range attachments {
			if attachment.Spec.NodeName == pod.Spec.NodeName {
				found = append(found, attachment)
			}
		}
	}
	return found, nil
}

// deleteAttachments deletes the first of the attachments. The next one's turn comes when it is gone.
func (c *standIn) deleteAttachments(ctx context.Context, pod *corev1.Pod, attachments []*storagev1.VolumeAttachment) error {
	for _, attachment := range attachments {
		if attachment.DeletionTimestamp != nil {
			return nil // being detached
		}
		c.log.Info("deleting attachment of pod on dead node", "attachment", attachment.Name,
			"pod", pod.Namespace+"/"+pod.Name, "node", pod.Spec.NodeName)
		err := c.client.StorageV1().VolumeAttachments().Delete(ctx, attachment.Name, metav1.DeleteOptions{})
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("delete attachment %s: %w", attachment.Name, err)
		}
		return nil
	}
	return nil
}
