package cluster

import (
	"errors"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

const faultNode = "ha-iris-node-b"

// faultClient has the simulated nodes, each with the Lease that kwok holds, and a real one.
func faultClient() *fake.Clientset {
	objects := []runtime.Object{&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "real"}}}
	for _, node := range simulatedNodes("v1.34.4") {
		objects = append(objects, node, kwokLease(node.Name))
	}
	return fake.NewClientset(objects...)
}

func kwokLease(node string) *coordinationv1.Lease {
	holder, seconds, renewed := "kwok-controller-1", int32(nodeLeaseSeconds), metav1.NewMicroTime(time.Unix(1000, 0))
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: node, Namespace: corev1.NamespaceNodeLease},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: &holder, LeaseDurationSeconds: &seconds, RenewTime: &renewed},
	}
}

func wantInject(t *testing.T, client kubernetes.Interface, fault Fault, state NodeState, changed bool) {
	t.Helper()
	got, err := inject(t.Context(), client, fault, faultNode)
	if err != nil || got.Node != faultNode || got.Fault != fault || got.State != state || got.Changed != changed {
		t.Fatalf("%s: got %+v, %v; want %s, changed %t", fault, got, err, state, changed)
	}
	if dead, err := keptDead(t.Context(), client, faultNode); err != nil || dead != (state == Dead) {
		t.Errorf("%s: kept dead is %t, %v", fault, dead, err)
	}
}

func TestInject_KillsAndStartsAndIsFineTwice(t *testing.T) {
	t.Parallel()
	for end, undo := range map[Fault]Fault{Kill: Start, KubeletStop: Start, Cut: Join} {
		t.Run(string(end), func(t *testing.T) {
			t.Parallel()
			client := faultClient()
			wantInject(t, client, undo, Alive, false)
			wantInject(t, client, end, Dead, true)
			wantInject(t, client, end, Dead, false)
			// Any of them: a simulated node is dead in one way only.
			wantInject(t, client, Kill, Dead, false)
			wantInject(t, client, undo, Alive, true)
			wantInject(t, client, undo, Alive, false)
			for _, action := range client.Actions() {
				if action, ok := action.(clienttesting.PatchAction); ok && action.GetName() != faultNode {
					t.Errorf("it changed %s", action.GetName())
				}
			}
		})
	}
}

// The README's command does the same, and what counts for Kubernetes is the last renewal.
func TestInject_TakesTheLeaseAndKeepsTheTimeOfItsRenewal(t *testing.T) {
	t.Parallel()
	for fault, holder := range map[Fault]string{Kill: "killed", KubeletStop: "kubelet-stopped", Cut: "cut"} {
		client := faultClient()
		wantInject(t, client, fault, Dead, true)
		lease, err := client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(t.Context(), faultNode, metav1.GetOptions{})
		if err != nil {
			t.Fatalf("get lease: %v", err)
		}
		if spec := lease.Spec; *spec.HolderIdentity != holder || *spec.LeaseDurationSeconds != 86400 || !spec.RenewTime.Equal(kwokLease("").Spec.RenewTime) {
			t.Errorf("%s: got %+v", fault, spec)
		}
	}
}

func TestInject_KillsANodeWithoutALease(t *testing.T) {
	t.Parallel()
	client := faultClient()
	if err := giveLeaseBack(t.Context(), client, faultNode); err != nil {
		t.Fatalf("give back: %v", err)
	}
	wantInject(t, client, Kill, Dead, true)
	lease, err := client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(t.Context(), faultNode, metav1.GetOptions{})
	if err != nil || lease.Spec.RenewTime == nil || time.Since(lease.Spec.RenewTime.Time) > time.Minute {
		t.Errorf("got %+v, %v; kwok takes a lease without a time of renewal back", lease, err)
	}
}

func TestInject_KillsANodeWhoseLeaseAppearsMeanwhile(t *testing.T) {
	t.Parallel()
	client := faultClient()
	if err := giveLeaseBack(t.Context(), client, faultNode); err != nil {
		t.Fatalf("give back: %v", err)
	}
	client.PrependReactor("create", "leases", func(clienttesting.Action) (bool, runtime.Object, error) {
		err := client.Tracker().Add(kwokLease(faultNode))
		return true, nil, errors.Join(err, apierrors.NewAlreadyExists(coordinationv1.Resource("leases"), faultNode))
	})
	wantInject(t, client, Kill, Dead, true)
}

func TestInject_RefusesOtherNodes(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"a":    `there is no node "a": want one of ha-iris-node-a, ha-iris-node-b, ha-iris-node-c`,
		"real": "node real is not simulated: only its own machine can stop it",
	} {
		client := faultClient()
		if got, err := inject(t.Context(), client, Kill, name); err == nil || err.Error() != want {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}

func TestInject_SaysWhatIsNotSimulated(t *testing.T) {
	t.Parallel()
	for fault, want := range map[Fault]string{
		Kill: "", Start: "", Join: "as node start does it", Cut: "as node kill does it", KubeletStop: "as node kill does it",
	} {
		got, err := inject(t.Context(), faultClient(), fault, faultNode)
		if err != nil || (got.NotSimulated == "") != (want == "") || !strings.HasSuffix(got.NotSimulated, want) {
			t.Errorf("%s: got %+v, %v", fault, got, err)
		}
	}
}

func TestInject_NamesTheNodeWhenItFails(t *testing.T) {
	t.Parallel()
	refused := errors.New("refused")
	for verb, fault := range map[string]Fault{"patch": Kill, "get": Kill, "delete": Start} {
		client := faultClient()
		if fault == Start {
			wantInject(t, client, Kill, Dead, true)
		}
		client.PrependReactor(verb, "leases", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, refused })
		if got, err := inject(t.Context(), client, fault, faultNode); !errors.Is(err, refused) || !strings.Contains(err.Error(), "lease of node "+faultNode) {
			t.Errorf("%s: got %+v, %v", verb, got, err)
		}
	}
}

func TestCluster_InjectWantsARunningCluster(t *testing.T) {
	t.Parallel()
	c, _ := newCluster(t, "dev")
	if got, err := c.Inject(t.Context(), Kill, faultNode); err == nil || err.Error() != `cluster "dev" does not run: start it with: sandbox up --name dev` {
		t.Errorf("got %+v, %v", got, err)
	}
}
