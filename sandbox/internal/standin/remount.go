package standin

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// syncRemount deletes a pod whose volume has asked for a remount since the pod started, so that its controller makes
// another one. The manager on the pod's own node does so (longhorn-manager kubernetes_pod_controller.go,
// handlePodDeletionIfVolumeRequestRemount). It also meets the fresh pod that has replaced one on a dead node, when the
// old node's engine has counted as ended meanwhile (longhorn-real.md).
func (c *standIn) syncRemount(ctx context.Context, longhorn, key string) (time.Duration, error) {
	pod, err := c.cache.pod(key)
	if err != nil || pod == nil || pod.DeletionTimestamp != nil || pod.Status.StartTime == nil {
		return 0, err
	}
	wanted, err := c.restartable(ctx, longhorn, pod)
	if err != nil || !wanted {
		return 0, err
	}
	volumes, err := c.podVolumes(pod)
	if err != nil {
		return 0, err
	}
	for _, volume := range volumes {
		object, err := c.longhorn.get(ctx, longhorn, longhornVolumes, volume.Spec.CSI.VolumeHandle)
		if err != nil {
			return 0, err
		}
		if object == nil {
			continue
		}
		requested, err := time.Parse(time.RFC3339, textAt(object, "status", "remountRequestedAt"))
		if err != nil || !pod.Status.StartTime.Time.Before(requested) {
			continue // never asked for, or mounted since
		}
		if !c.clock.Now().After(requested.Add(remountDelay)) {
			return remountDelay, nil
		}
		c.log.Info("deleting pod so that its volume is mounted anew", "pod", key, "volume", object.GetName())
		return 0, c.evictPod(ctx, pod)
	}
	return 0, nil
}

// restartable says whether Longhorn may delete the pod: it has a controller that is not excluded, and a manager runs beside
// it.
func (c *standIn) restartable(ctx context.Context, longhorn string, pod *corev1.Pod) (bool, error) {
	owner := metav1.GetControllerOf(pod)
	if owner == nil {
		return false, nil
	}
	managers, err := c.readyPods(longhorn, managerName)
	if err != nil {
		return false, err
	}
	beside := func(manager *corev1.Pod) bool { return manager.Spec.NodeName == pod.Spec.NodeName }
	if !slices.ContainsFunc(managers, beside) {
		return false, nil
	}
	const name = "auto-delete-pod-when-volume-detached-unexpectedly"
	if enabled, err := c.longhorn.boolSetting(ctx, longhorn, name); err != nil || !enabled {
		return false, err
	}
	excluded, err := c.longhorn.setting(ctx, longhorn, "blacklist-for-"+name)
	if err != nil {
		return false, err
	}
	group, _, grouped := strings.Cut(owner.APIVersion, "/")
	return !grouped || !slices.Contains(strings.Split(excluded, ";"), group+"/"+owner.Kind), nil
}

func (c *standIn) evictPod(ctx context.Context, pod *corev1.Pod) error {
	err := c.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: ptr(int64(30))})
	if ignoreGone(err) != nil {
		return fmt.Errorf("delete pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return nil
}
