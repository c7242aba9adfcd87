package standin

import (
	"slices"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

// withRange gives the node among the objects an address and a range for its pods.
func withRange(objects []runtime.Object) []runtime.Object {
	for _, object := range objects {
		if node, ok := object.(*corev1.Node); ok {
			node.Spec.PodCIDR = "10.244.1.0/24"
			node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.77.0.11"}}
		}
	}
	return objects
}

// mountedPod is a pod whose volumes are mounted and whose containers may start.
func mountedPod(name string) *corev1.Pod {
	pod := pendingPod(name, "a")
	pod.UID = types.UID(name)
	pod.Spec.Containers = []corev1.Container{{Name: "main", Image: "image:1"}}
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReadyToStartContainers, Status: corev1.ConditionTrue}}
	return pod
}

// after lets the pod's next step become due and take place.
func (h *harness) after(pod string, takes time.Duration) {
	h.t.Helper()
	if takes > 0 {
		if again := h.call(h.syncPod, "iris/"+pod); again != takes {
			h.t.Fatalf("looks again after %s, want %s", again, takes)
		}
	}
	h.clock.Step(takes)
	h.call(h.syncPod, "iris/"+pod)
}

func TestPod_StartsOnceItsVolumesAreMounted(t *testing.T) {
	t.Parallel()
	pod := mountedPod("iris")
	always := corev1.ContainerRestartPolicyAlways
	pod.Spec.InitContainers = []corev1.Container{{Name: "prepare"}, {Name: "sidecar", RestartPolicy: &always}}
	h := newHarness(t, world(withRange(aliveNode("a")), pod)...)
	h.after("iris", startTime)
	got := h.pod("iris").Status
	if got.Phase != corev1.PodRunning || got.HostIP != "10.77.0.11" || got.PodIP != "10.244.1.2" {
		t.Errorf("got %s at %s on %s", got.Phase, got.PodIP, got.HostIP)
	}
	for _, kind := range []corev1.PodConditionType{corev1.PodReadyToStartContainers, corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady} {
		if !podCondition(h.pod("iris"), kind) {
			t.Errorf("%s does not hold", kind)
		}
	}
	if main := got.ContainerStatuses[0]; !main.Ready || main.State.Running == nil || main.Image != "image:1" {
		t.Errorf("got container %+v", main)
	}
	if init := got.InitContainerStatuses; init[0].State.Terminated == nil || init[1].State.Running == nil {
		t.Errorf("got init containers %+v", init)
	}
}

func TestPod_DoesNotStartBefore(t *testing.T) {
	t.Parallel()
	pod := mountedPod("iris")
	pod.Status.Conditions = nil
	h := newHarness(t, world(withRange(aliveNode("a")), pod)...)
	h.after("iris", 0)
	h.clock.Step(time.Minute / 2)
	h.after("iris", 0)
	if got := h.pod("iris").Status.Phase; got != corev1.PodPending {
		t.Errorf("got %s", got)
	}
}

func TestPod_AddressesAreUniqueEvenBeforeTheCacheShowsThem(t *testing.T) {
	t.Parallel()
	host := mountedPod("host")
	host.Spec.HostNetwork = true
	h := newHarness(t, world(withRange(aliveNode("a")), mountedPod("one"), mountedPod("two"), host)...)
	var got []string
	for _, name := range []string{"one", "two", "host"} {
		_, address, err := h.addresses(h.pod(name))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got = append(got, address)
	}
	if want := []string{"10.244.1.2", "10.244.1.3", "10.77.0.11"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestPod_OfAJobDoesItsWorkUnlessItIsTheUninstaller(t *testing.T) {
	t.Parallel()
	for job, want := range map[string]corev1.PodPhase{"backup": corev1.PodSucceeded, uninstallJobName: corev1.PodRunning} {
		pod := runningPod("iris", "a")
		pod.Labels = map[string]string{batchv1.JobNameLabel: job}
		owner := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: job, UID: "job"}}
		pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(owner, batchv1.SchemeGroupVersion.WithKind("Job"))}
		h := newHarness(t, world(aliveNode("a"), pod)...)
		h.call(h.syncPod, "iris/iris")
		h.clock.Step(workTime)
		h.call(h.syncPod, "iris/iris")
		if got := h.pod("iris").Status.Phase; got != want {
			t.Errorf("%s: got %s, want %s", job, got, want)
		}
	}
}

func TestPod_DeletedStopsFirstAndGoesThen(t *testing.T) {
	t.Parallel()
	pod := runningPod("iris", "a")
	pod.DeletionTimestamp = ptr(metav1.Now())
	h := newHarness(t, world(aliveNode("a"), pod)...)
	h.after("iris", stopTime)
	if got := h.pod("iris"); got.Status.Phase != corev1.PodSucceeded || podCondition(got, corev1.PodReady) {
		t.Errorf("got %+v", got.Status)
	}
	h.after("iris", removeTime)
	if _, err := h.cache.podLister.Pods("iris").Get("iris"); !apierrors.IsNotFound(err) {
		t.Errorf("still there: %v", err)
	}
}

func TestPod_OnADeadNodeIsStuckUntilTheNodeIsBack(t *testing.T) {
	t.Parallel()
	pod := runningPod("iris", "a")
	pod.DeletionTimestamp = ptr(metav1.Now())
	h := newHarness(t, world(aliveNode("a"), pod)...)
	lease, err := h.cache.leases.Leases(corev1.NamespaceNodeLease).Get("a")
	if err != nil {
		t.Fatalf("look up lease: %v", err)
	}
	lease = lease.DeepCopy()
	h.silence("a")
	h.call(h.syncPod, "iris/iris")
	h.clock.Step(time.Hour)
	if again := h.call(h.syncPod, "iris/iris"); again != 0 || h.pod("iris").Status.Phase != corev1.PodRunning {
		t.Errorf("dead: got %s, looks again after %s", h.pod("iris").Status.Phase, again)
	}
	lease.Spec.RenewTime = ptr(metav1.NewMicroTime(h.clock.Now()))
	if _, err := h.client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Create(t.Context(), lease, metav1.CreateOptions{}); err != nil {
		t.Fatalf("create lease: %v", err)
	}
	h.refresh()
	h.after("iris", stopTime)
	h.after("iris", removeTime)
	if _, err := h.cache.podLister.Pods("iris").Get("iris"); !apierrors.IsNotFound(err) {
		t.Errorf("back: still there: %v", err)
	}
}

func TestPod_IsReadyAgainWhenItsNodeComesBack(t *testing.T) {
	t.Parallel()
	pod := runningPod("iris", "a")
	pod.Status.Conditions[1].Status = corev1.ConditionFalse
	h := newHarness(t, world(aliveNode("a"), pod)...)
	h.after("iris", 0)
	if !podCondition(h.pod("iris"), corev1.PodReady) {
		t.Errorf("got %+v", h.pod("iris").Status.Conditions)
	}
}

func TestPod_ThatAsksForItCrashesAgainAndAgain(t *testing.T) {
	t.Parallel()
	pod := runningPod("iris", "a")
	pod.Spec.Containers = []corev1.Container{{Name: "main"}}
	pod.Annotations = map[string]string{crashAnnotation: "no kubelet"}
	h := newHarness(t, world(aliveNode("a"), pod)...)
	ready := 0
	for range 4 * maxRestarts {
		h.call(h.syncPod, "iris/iris")
		h.call(h.syncPod, "iris/iris")
		h.clock.Step(crashTime)
		if podCondition(h.pod("iris"), corev1.PodReady) {
			ready++
		}
	}
	if ready < maxRestarts-1 {
		t.Errorf("ready %d times: Helm would never be content with it, as it is with the original", ready)
	}
	got := h.pod("iris")
	last := got.Status.ContainerStatuses[0]
	if podCondition(got, corev1.PodReady) || last.RestartCount != maxRestarts || last.LastTerminationState.Terminated.Message != "no kubelet" {
		t.Errorf("got %+v", got.Status)
	}
}

func TestPod_StartsAsSlowlyAsItAsksFor(t *testing.T) {
	t.Parallel()
	pod := pendingPod("iris", "a")
	pod.Annotations = map[string]string{startAnnotation: "60"}
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReadyToStartContainers, Status: corev1.ConditionTrue}}
	h := newHarness(t, world(aliveNode("a"), pod)...)
	if again := h.call(h.syncPod, "iris/iris"); again != time.Minute {
		t.Errorf("starts after %s", again)
	}
}
