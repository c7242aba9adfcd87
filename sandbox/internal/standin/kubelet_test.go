package standin

import (
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

func (h *harness) inUse(node string) []corev1.UniqueVolumeName {
	h.t.Helper()
	found, err := h.cache.nodes.Get(node)
	if err != nil {
		h.t.Fatalf("look up node: %v", err)
	}
	return found.Status.VolumesInUse
}

func (h *harness) started(pod string) bool {
	h.t.Helper()
	return podCondition(h.pod(pod), corev1.PodReadyToStartContainers)
}

func TestKubelet_StartsAPodOnlyWhenItsVolumeIsAttachedAndReported(t *testing.T) {
	t.Parallel()
	h := newHarness(t, world(installed(nil), boundClaim("a"), attachmentTo("a", false), withClaim(pendingPod("iris", "a")))...)
	h.call(h.syncKubelet, "a")
	if h.started("iris") || !slices.Equal(h.inUse("a"), []corev1.UniqueVolumeName{volumeKeyPrefix + driverName + "^" + handle}) {
		t.Errorf("before: started %t, in use %v", h.started("iris"), h.inUse("a"))
	}
	attachment := h.attachment("to-a")
	attachment.Status.Attached = true
	if _, err := h.client.StorageV1().VolumeAttachments().Update(t.Context(), attachment, metav1.UpdateOptions{}); err != nil {
		t.Fatalf("attach: %v", err)
	}
	h.refresh()
	h.call(h.syncKubelet, "a")
	if !h.started("iris") {
		t.Error("after: not started")
	}
}

func TestKubelet_DoesNotMountWhatIsAttachedToAnotherNode(t *testing.T) {
	t.Parallel()
	h := newHarness(t, world(installed(nil), boundClaim("b"), attachmentTo("b", true), withClaim(pendingPod("iris", "a")))...)
	h.call(h.syncKubelet, "a")
	h.call(h.syncKubelet, "a")
	if h.started("iris") {
		t.Error("started")
	}
}

func TestKubelet_ComplainsAboutASlowAttachAfterTwoMinutes(t *testing.T) {
	t.Parallel()
	h := newHarness(t, world(installed(nil), boundClaim("b"), withClaim(pendingPod("iris", "a")))...)
	h.call(h.syncKubelet, "a")
	if got := h.events(); got != "" {
		t.Errorf("at once: %s", got)
	}
	h.clock.Step(attachWarning)
	h.keepAlive("a")
	h.call(h.syncKubelet, "a")
	if got := h.events(); !strings.Contains(got, "FailedMount") || !strings.Contains(got, "timed out waiting") {
		t.Errorf("after two minutes: %q", got)
	}
}

// keepAlive renews the node's Lease.
func (h *harness) keepAlive(node string) {
	h.t.Helper()
	leases := h.client.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	lease, err := leases.Get(h.t.Context(), node, metav1.GetOptions{})
	if err != nil {
		h.t.Fatalf("read lease: %v", err)
	}
	lease.Spec.RenewTime = ptr(metav1.NewMicroTime(h.clock.Now()))
	if _, err := leases.Update(h.t.Context(), lease, metav1.UpdateOptions{}); err != nil {
		h.t.Fatalf("renew lease: %v", err)
	}
	h.refresh()
}

func TestKubelet_WaitsForConfigMapsAndSecretsUnlessOptional(t *testing.T) {
	t.Parallel()
	secret := func(optional *bool) corev1.VolumeSource {
		return corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "password", Optional: optional}}
	}
	config := corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
		LocalObjectReference: corev1.LocalObjectReference{Name: "cpf"},
	}}
	empty := corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}
	cases := map[string]struct {
		sources []corev1.VolumeSource
		exists  []runtime.Object
		missing string
	}{
		"nothing asked for": {sources: []corev1.VolumeSource{empty}},
		"config missing":    {sources: []corev1.VolumeSource{empty, config}, missing: `configmap "cpf" not found`},
		"secret missing":    {sources: []corev1.VolumeSource{secret(nil)}, missing: `secret "password" not found`},
		"optional missing":  {sources: []corev1.VolumeSource{secret(ptr(true))}},
		"both there": {sources: []corev1.VolumeSource{secret(nil), config}, exists: world(
			&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "iris", Name: "password"}},
			&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "iris", Name: "cpf"}},
		)},
		"there in another namespace": {sources: []corev1.VolumeSource{config}, missing: `configmap "cpf" not found`, exists: world(
			&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "cpf"}},
		)},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, world(aliveNode("a"), test.exists, pendingPod("iris", "a", test.sources...))...)
			h.call(h.syncKubelet, "a")
			if h.started("iris") != (test.missing == "") {
				t.Errorf("started: %t", h.started("iris"))
			}
			if got := h.events(); !strings.Contains(got, test.missing) || test.missing == "" && got != "" {
				t.Errorf("got events %q, want %q", got, test.missing)
			}
		})
	}
}

func TestKubelet_RefusesADriverThatDoesNotRunOnTheNode(t *testing.T) {
	t.Parallel()
	h := newHarness(t, world(installed(nil), boundClaim("a"), attachmentTo("a", true), withClaim(pendingPod("iris", "a")))...)
	h.unregister("a")
	h.call(h.syncKubelet, "a")
	h.call(h.syncKubelet, "a")
	if got := h.events(); h.started("iris") || !strings.Contains(got, "not found in the list of registered CSI drivers") {
		t.Errorf("started %t, events %q", h.started("iris"), got)
	}
}

func TestKubelet_ReportsAVolumeAsInUseUntilItsPodHasEnded(t *testing.T) {
	t.Parallel()
	cases := map[corev1.PodPhase]int{
		corev1.PodPending: 1, corev1.PodRunning: 1, corev1.PodSucceeded: 0, corev1.PodFailed: 0,
	}
	for phase, want := range cases {
		pod := withClaim(runningPod("iris", "a"))
		pod.Status.Phase = phase
		pod.DeletionTimestamp = ptr(metav1.Now())
		h := newHarness(t, world(installed(nil), boundClaim("a"), pod)...)
		h.call(h.syncKubelet, "a")
		if got := h.inUse("a"); len(got) != want {
			t.Errorf("%s: got %v", phase, got)
		}
	}
}

func TestKubelet_OfADeadNodeSaysNothingMore(t *testing.T) {
	t.Parallel()
	h := newHarness(t, world(installed(nil), boundClaim("a"), attachmentTo("a", true), withClaim(pendingPod("iris", "a")))...)
	h.call(h.syncKubelet, "a")
	h.silence("a")
	if err := h.client.CoreV1().Pods("iris").Delete(t.Context(), "iris", metav1.DeleteOptions{}); err != nil {
		t.Fatalf("delete pod: %v", err)
	}
	h.refresh()
	h.call(h.syncKubelet, "a")
	if got := h.inUse("a"); len(got) != 1 {
		t.Errorf("the dead node now reports %v in use", got)
	}
}

// stuckPod is a pod that was deleted just now and whose grace period ends in 30 s. It belongs to a controller of the
// kind, or to nobody.
func stuckPod(kind string) *corev1.Pod {
	pod := withClaim(runningPod("iris", "a"))
	pod.DeletionTimestamp = ptr(metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 35, 0, time.UTC)))
	if kind != "" {
		owner := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Name: "owner", UID: "owner"}}
		pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(owner, appsv1.SchemeGroupVersion.WithKind(kind))}
	}
	return pod
}

const bothPolicy = "delete-both-statefulset-and-deployment-pod"

// outcome is what has become of the pod and of its attachment.
func (h *harness) outcome() (podDeleted, attachmentDeleted bool) {
	h.t.Helper()
	for _, action := range h.client.Actions() {
		if action.GetVerb() == "delete" && action.GetResource().Resource == "pods" {
			podDeleted = true
		}
	}
	_, err := h.client.StorageV1().VolumeAttachments().Get(h.t.Context(), "to-a", metav1.GetOptions{})
	return podDeleted, apierrors.IsNotFound(err)
}

func TestFailover_FreesTheVolumeFirstAndThePodAfterItsGracePeriod(t *testing.T) {
	t.Parallel()
	h := newHarness(t, world(installed(map[string]string{"node-down-pod-deletion-policy": bothPolicy}),
		boundClaim("a"), attachmentTo("a", true), stuckPod("ReplicaSet"))...)
	h.silence("a")
	h.call(h.syncFailover, "iris/iris")
	if pod, attachment := h.outcome(); pod || !attachment {
		t.Errorf("first: pod deleted %t, attachment deleted %t", pod, attachment)
	}
	h.call(h.syncFailover, "iris/iris")
	if pod, _ := h.outcome(); pod {
		t.Error("second, within the grace period: pod deleted")
	}
	h.clock.Step(31 * time.Second)
	h.call(h.syncFailover, "iris/iris")
	if pod, _ := h.outcome(); !pod {
		t.Error("third, after the grace period: pod not deleted")
	}
}

func TestFailover_FollowsThePolicy(t *testing.T) {
	t.Parallel()
	cases := []struct {
		policy, owner string
		want          bool
	}{
		{"do-nothing", "ReplicaSet", false},
		{"do-nothing", "StatefulSet", false},
		{"delete-deployment-pod", "ReplicaSet", true},
		{"delete-deployment-pod", "StatefulSet", false},
		{"delete-statefulset-pod", "ReplicaSet", false},
		{"delete-statefulset-pod", "StatefulSet", true},
		{bothPolicy, "ReplicaSet", true},
		{bothPolicy, "StatefulSet", true},
		{bothPolicy, "Job", false},
		{bothPolicy, "IrisCluster", false},
		{bothPolicy, "", false},
	}
	for _, test := range cases {
		t.Run(test.policy+" "+test.owner, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, world(installed(map[string]string{"node-down-pod-deletion-policy": test.policy}),
				boundClaim("a"), stuckPod(test.owner))...)
			h.silence("a")
			h.clock.Step(time.Minute)
			h.call(h.syncFailover, "iris/iris")
			if got, _ := h.outcome(); got != test.want {
				t.Errorf("pod deleted: %t", got)
			}
		})
	}
}

func TestFailover_LeavesAloneWhatIsNotStuck(t *testing.T) {
	t.Parallel()
	notDeleted := stuckPod("ReplicaSet")
	notDeleted.DeletionTimestamp = nil
	withoutVolume := stuckPod("ReplicaSet")
	withoutVolume.Spec.Volumes = nil
	cases := map[string]struct {
		pod  *corev1.Pod
		dead bool
	}{
		"node alive":              {stuckPod("ReplicaSet"), false},
		"not deleted":             {notDeleted, true},
		"no volume of Longhorn's": {withoutVolume, true},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, world(installed(map[string]string{"node-down-pod-deletion-policy": bothPolicy}),
				boundClaim("a"), attachmentTo("a", true), test.pod)...)
			if test.dead {
				h.silence("a")
			}
			h.clock.Step(time.Minute)
			h.call(h.syncFailover, "iris/iris")
			h.call(h.syncFailover, "iris/iris")
			if pod, attachment := h.outcome(); pod || attachment {
				t.Errorf("pod deleted %t, attachment deleted %t", pod, attachment)
			}
		})
	}
}

func TestFailover_EachManagerLooksAgainEveryThirtySeconds(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, manager := range []types.UID{"one", "two", "three"} {
		ticks := 0
		for second := range 300 {
			now := start.Add(time.Duration(second) * time.Second)
			if resyncBetween(manager, now, now.Add(time.Second)) {
				ticks++
			}
		}
		if ticks != 10 {
			t.Errorf("%s: %d resyncs in 300 s", manager, ticks)
		}
	}
}

func TestFailover_OnlyManagersOnLivingNodesCount(t *testing.T) {
	t.Parallel()
	h := newHarness(t, installed(nil)...)
	dead, err := h.client.CoreV1().Pods(longhornNamespace).Get(t.Context(), managerName+"-a", metav1.GetOptions{})
	if err != nil {
		t.Fatalf("read pod: %v", err)
	}
	dead.Status.Conditions = nil // as the node lifecycle controller leaves it
	if _, err := h.client.CoreV1().Pods(longhornNamespace).Update(t.Context(), dead, metav1.UpdateOptions{}); err != nil {
		t.Fatalf("update pod: %v", err)
	}
	h.refresh()
	if managers, err := h.readyManagers(); err != nil || len(managers) != 2 {
		t.Errorf("got %v, %v", managers, err)
	}
}
