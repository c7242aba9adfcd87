package standin

import (
	"errors"
	"slices"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"
)

// fakeAgents remembers what runs.
type fakeAgents struct {
	running map[string][]string
	failure error
}

func (f *fakeAgents) Start(pod string, arguments []string, token func() (string, error)) error {
	if _, err := token(); err != nil {
		return err
	}
	if f.failure == nil {
		f.running[pod] = arguments
	}
	return f.failure
}

func (f *fakeAgents) Stop(pod string) { delete(f.running, pod) }

func agentPod(node string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "guard-1", Namespace: "iris", UID: "u-1"},
		Spec: corev1.PodSpec{
			NodeName: node, ServiceAccountName: "guard",
			Containers: []corev1.Container{{
				Name: "guard", Image: agentImage + "0.1.0", Args: []string{"guard", "--node", "$(NODE)", "--pod=$(POD)", "--x=$(OTHER)"},
				Env: []corev1.EnvVar{
					{Name: "NODE", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "spec.nodeName"}}},
					{Name: "POD", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}},
				},
			}},
		},
		Status: corev1.PodStatus{Phase: corev1.PodRunning},
	}
}

// newAgentHarness gives tokens, which the fake API server does not.
func newAgentHarness(t *testing.T) *harness {
	t.Helper()
	h := newHarness(t, append(aliveNode("n1"), agentPod("n1"))...)
	h.client.PrependReactor("create", "serviceaccounts", func(action clienttesting.Action) (bool, runtime.Object, error) {
		answer := &authenticationv1.TokenRequest{Status: authenticationv1.TokenRequestStatus{Token: "a token"}}
		return action.GetSubresource() == "token", answer, nil
	})
	return h
}

func TestAgents_RunWithTheirPodsAndDieWithTheirNodes(t *testing.T) {
	t.Parallel()
	h := newAgentHarness(t)
	agents := &fakeAgents{running: map[string][]string{}}
	h.agents = agents
	look := func() {
		t.Helper()
		h.refresh()
		if _, err := h.syncAgent(t.Context(), "iris/guard-1"); err != nil {
			t.Fatal(err)
		}
	}
	look()
	if want := []string{"guard", "--node", "n1", "--pod=guard-1", "--x=$(OTHER)"}; !slices.Equal(agents.running["iris/guard-1"], want) {
		t.Errorf("got %q, want %q", agents.running["iris/guard-1"], want)
	}
	h.silence("n1")
	if look(); len(agents.running) != 0 {
		t.Error("the agent outlives its node")
	}
}

func TestAgents_OfOtherImagesAndSubcommandsAreNotRun(t *testing.T) {
	t.Parallel()
	other, sleeping := agentPod("n1"), agentPod("n1")
	other.Spec.Containers[0].Image = "docker.io/library/agent:0.1.0"
	sleeping.Spec.Containers[0].Args[0] = "sleep"
	for _, pod := range []*corev1.Pod{other, sleeping} {
		if got := agentArguments(pod); got != nil {
			t.Errorf("%s would run with %q", pod.Spec.Containers[0].Image, got)
		}
	}
}

func TestAgents_ThatDoNotStartAreTriedAgain(t *testing.T) {
	t.Parallel()
	h := newAgentHarness(t)
	h.agents = &fakeAgents{running: map[string][]string{}, failure: errBuilding}
	if _, err := h.syncAgent(t.Context(), "iris/guard-1"); !errors.Is(err, errBuilding) {
		t.Errorf("got %v", err)
	}
}
