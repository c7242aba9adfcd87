package standin

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clienttesting "k8s.io/client-go/testing"
)

// freshPod is the replacement on b for a pod on the dead node a. Its kubelet has seen it now.
func freshPod(now time.Time) *corev1.Pod {
	pod := stuckPod("ReplicaSet")
	pod.DeletionTimestamp = nil
	pod.Spec.NodeName = "b"
	pod.Status.StartTime = ptr(metav1.NewTime(now))
	return pod
}

// taken lets the node a die under its volume and its pod, as with the out-of-service taint, which evicts the instance
// manager, or without. Then the volume is detached.
func taken(t *testing.T, values map[string]string, evicted bool, change func(*corev1.Pod)) *rig {
	t.Helper()
	r := newRig(t, "a", values)
	r.silence("a")
	if evicted {
		r.deletePod(instanceName("a"))
	}
	r.look()
	pod := freshPod(r.clock.Now())
	if change != nil {
		change(pod)
	}
	r.add(pod)
	r.clock.Step(2 * time.Second)
	if want := map[bool]string{true: faulted, false: unknown}[evicted]; r.volumeField("status", "robustness") != want {
		t.Errorf("on the dead node the volume is %s, want %s", r.volumeField("status", "robustness"), want)
	}
	r.attach("")
	r.refresh()
	if got := r.volumeField("status", "robustness"); got != unknown {
		t.Errorf("detached, the volume is %s", got)
	}
	return r
}

// grace is the grace period with which somebody has deleted a pod; -1 if nobody has.
func (h *harness) grace() int64 {
	for _, action := range h.client.Actions() {
		deletion, ok := action.(clienttesting.DeleteActionImpl)
		if ok && deletion.GetResource().Resource == "pods" && deletion.GetNamespace() == "iris" {
			return *deletion.DeleteOptions.GracePeriodSeconds
		}
	}
	return -1
}

func TestRemount_DeletesTheFreshPodOfAVolumeWhoseEngineCountedAsEnded(t *testing.T) {
	t.Parallel()
	r := taken(t, nil, true, nil)
	if again := r.call(r.syncFailover, "iris/iris"); again != remountDelay || r.grace() != -1 {
		t.Errorf("at once: looks again after %s, deleted with %d s", again, r.grace())
	}
	r.clock.Step(remountDelay + time.Second)
	r.call(r.syncFailover, "iris/iris")
	if got := r.grace(); got != 30 {
		t.Errorf("after the delay: deleted with %d s", got)
	}
}

func TestRemount_LeavesAloneWhatLonghornDoes(t *testing.T) {
	t.Parallel()
	const setting = "auto-delete-pod-when-volume-detached-unexpectedly"
	cases := map[string]struct {
		values  map[string]string
		intact  bool
		change  func(*corev1.Pod)
		deleted bool
	}{
		"as above":           {deleted: true},
		"nothing evicted":    {intact: true},
		"switched off":       {values: map[string]string{setting: "false"}},
		"kind excluded":      {values: map[string]string{"blacklist-for-" + setting: "apps/StatefulSet;apps/ReplicaSet"}},
		"other kind":         {values: map[string]string{"blacklist-for-" + setting: "apps/StatefulSet"}, deleted: true},
		"of nobody":          {change: func(pod *corev1.Pod) { pod.OwnerReferences = nil }},
		"not seen yet":       {change: func(pod *corev1.Pod) { pod.Status.StartTime = nil }},
		"no volume":          {change: func(pod *corev1.Pod) { pod.Spec.Volumes = nil }},
		"no manager there":   {change: func(pod *corev1.Pod) { pod.Spec.NodeName = "d" }},
		"started afterwards": {change: func(pod *corev1.Pod) { pod.Status.StartTime.Time = pod.Status.StartTime.Add(time.Minute) }},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := taken(t, test.values, !test.intact, test.change)
			r.clock.Step(remountDelay + time.Second)
			r.call(r.syncFailover, "iris/iris")
			if got := r.grace() == 30; got != test.deleted {
				t.Errorf("deleted: %t", got)
			}
		})
	}
}

func TestRemount_IsAskedForAfterASalvage(t *testing.T) {
	t.Parallel()
	r := newLostRig(t)
	if got := r.volumeField("status", "remountRequestedAt"); got != "" {
		t.Errorf("while all is lost: %q", got)
	}
	r.startInstances()
	r.pass(time.Second)
	if r.volumeField("status", "remountRequestedAt") == "" {
		t.Error("not asked for")
	}
}

func TestHealth_AnEngineThatEndedOnADeadNodeStartsAnewWhenTheNodeIsBack(t *testing.T) {
	t.Parallel()
	r := newRig(t, "a", nil)
	r.add(attachmentTo("a", true))
	r.silence("a")
	r.deletePod(instanceName("a"))
	r.pass(2 * time.Second)
	r.revive("a")
	r.pass(time.Second)
	if got := r.volumeField("status", "state"); got != detached {
		t.Errorf("volume is %s", got)
	}
	r.pass(5 * time.Second)
	if got := r.volumeField("status", "currentNodeID"); got != "a" || r.volumeField("status", "remountRequestedAt") == "" {
		t.Errorf("attached to %q, remount asked for at %q", got, r.volumeField("status", "remountRequestedAt"))
	}
}

func TestKubelet_HasSeenAPodBeforeItsVolumesAreMounted(t *testing.T) {
	t.Parallel()
	h := newHarness(t, world(installed(nil), boundClaim(""), withClaim(pendingPod("iris", "a")))...)
	h.call(h.syncKubelet, "a")
	seen := h.pod("iris").Status.StartTime
	if seen == nil {
		t.Fatal("not seen")
	}
	h.clock.Step(time.Second)
	h.call(h.syncKubelet, "a")
	if got := h.pod("iris").Status.StartTime; !got.Equal(seen) {
		t.Errorf("seen again at %s", got)
	}
}
