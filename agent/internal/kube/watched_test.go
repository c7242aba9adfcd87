package kube

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// A pod from before the guard was switched on, or whose check does not run, has nothing that would have ended its database.
func TestConvert_KnowsPodsWithoutACheck(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change    func(*corev1.Pod)
		unwatched bool
	}{
		"with a check":      {func(*corev1.Pod) {}, false},
		"from before":       {func(pod *corev1.Pod) { pod.Spec.InitContainers = nil }, true},
		"another container": {func(pod *corev1.Pod) { pod.Spec.InitContainers[0].Args[0] = "sleep" }, true},
		"one that ends": {func(pod *corev1.Pod) {
			pod.Spec.InitContainers[0] = checkContainer(corev1.ContainerRestartPolicyOnFailure)
		}, true},
		"never started": {func(pod *corev1.Pod) { pod.Status.InitContainerStatuses = nil }, true},
		"crashed":       {func(pod *corev1.Pod) { pod.Status.InitContainerStatuses[0].State.Running = nil }, true},
	} {
		pod := podObject("iris-a", "n1")
		test.change(pod)
		if got := convertPod(pod).Unwatched; got != test.unwatched {
			t.Errorf("%s: unwatched is %v", name, got)
		}
	}
}
