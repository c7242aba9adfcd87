package fault

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"ha-iris/internal/clock"
	"ha-iris/ops/drill/internal/kube"
)

const (
	// evictAgain is how long kubectl drain waits after a budget has refused.
	evictAgain = 5 * time.Second
	// drainTime is the --timeout that docs/operations.md gives kubectl drain.
	drainTime = 30 * time.Minute
)

func (m *Maker) cordon(ctx context.Context, node string, on bool) error {
	return m.Cluster.Patch(ctx, kube.Nodes, "", node, map[string]any{"spec": map[string]any{"unschedulable": on}})
}

// drain does what "kubectl drain --ignore-daemonsets --delete-emptydir-data" does: it keeps new pods off the node, evicts those
// that are there and waits until they are gone. Pods of DaemonSets and the node's own stay, and pods that nothing would make
// again.
func (m *Maker) drain(ctx context.Context, node string) error {
	ctx, cancel := context.WithTimeout(ctx, drainTime)
	defer cancel()
	if err := m.cordon(ctx, node, true); err != nil {
		return err
	}
	list, err := m.Cluster.List(ctx, kube.Pods, "", "")
	if err != nil {
		return err
	}
	failures := make(chan error)
	count := 0
	for i := range list.Items {
		pod, err := kube.Into[corev1.Pod](&list.Items[i])
		if err != nil {
			return err
		}
		if pod.Spec.NodeName == node && isDrained(pod) {
			count++
			go func() { failures <- m.evict(ctx, pod) }()
		}
	}
	var all []error
	for range count {
		all = append(all, <-failures)
	}
	return errors.Join(all...)
}

func isDrained(pod *corev1.Pod) bool {
	_, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]
	if mirror || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return false
	}
	controlled := false
	for _, owner := range pod.OwnerReferences {
		if owner.Controller != nil && *owner.Controller {
			controlled = true
			if owner.Kind == "DaemonSet" {
				return false
			}
		}
	}
	return controlled
}

// evict asks until a budget admits it, and waits until the pod is gone.
func (m *Maker) evict(ctx context.Context, pod *corev1.Pod) error {
	for {
		_, err := m.Cluster.Create(ctx, kube.Pods, pod.Namespace, map[string]any{
			"apiVersion": "policy/v1", "kind": "Eviction",
			"metadata":      map[string]any{"name": pod.Name, "namespace": pod.Namespace},
			"deleteOptions": map[string]any{"preconditions": map[string]any{"uid": string(pod.UID)}},
		}, "eviction")
		switch {
		case err == nil:
			return m.leaves(ctx, pod)
		case kube.IsGone(err), apierrors.IsConflict(err): // Another pod has the name by now.
			return nil
		case !apierrors.IsTooManyRequests(err):
			return fmt.Errorf("evict pod %s/%s: %w", pod.Namespace, pod.Name, err)
		}
		if err := clock.Pause(ctx, evictAgain); err != nil {
			return fmt.Errorf("evict pod %s/%s: its budget did not admit it: %w", pod.Namespace, pod.Name, err)
		}
	}
}

func (m *Maker) leaves(ctx context.Context, pod *corev1.Pod) error {
	for {
		now, err := m.Cluster.Get(ctx, kube.Pods, pod.Namespace, pod.Name)
		if kube.IsGone(err) || err == nil && now.GetUID() != pod.UID {
			return nil
		}
		if err := clock.Pause(ctx, 500*time.Millisecond); err != nil {
			return fmt.Errorf("pod %s/%s does not end: %w", pod.Namespace, pod.Name, err)
		}
	}
}
