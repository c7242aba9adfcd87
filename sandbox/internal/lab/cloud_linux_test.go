package lab

import (
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
)

// newPlay plays the cloud for objects that its caches have read already.
func newPlay(t *testing.T, objects ...runtime.Object) *cloudPlay {
	t.Helper()
	client := fake.NewClientset(objects...)
	factory := informers.NewSharedInformerFactory(client, 0)
	play := &cloudPlay{
		plan: Plan{firstIndex}, client: client, routes: map[netip.Addr]netip.Addr{},
		services:  factory.Core().V1().Services().Lister(),
		nodes:     factory.Core().V1().Nodes().Lister(),
		endpoints: factory.Discovery().V1().EndpointSlices().Lister(),
	}
	for _, object := range objects {
		var err error
		switch object := object.(type) {
		case *corev1.Service:
			err = factory.Core().V1().Services().Informer().GetStore().Add(object)
		case *corev1.Node:
			err = factory.Core().V1().Nodes().Informer().GetStore().Add(object)
		case *discoveryv1.EndpointSlice:
			err = factory.Discovery().V1().EndpointSlices().Informer().GetStore().Add(object)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return play
}

func node(name, address string, ready bool) *corev1.Node {
	status := corev1.ConditionUnknown
	if ready {
		status = corev1.ConditionTrue
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Status: corev1.NodeStatus{
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: status}},
			Addresses:  []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: name}, {Type: corev1.NodeInternalIP, Address: address}},
		},
	}
}

// service has its load balancer's address, if any, last.
func service(name string, kind corev1.ServiceType, clusterIP string, balancer ...string) *corev1.Service {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "iris"},
		Spec:       corev1.ServiceSpec{Type: kind, ClusterIP: clusterIP},
	}
	for _, address := range balancer {
		s.Status.LoadBalancer.Ingress = append(s.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: address})
	}
	return s
}

// endpoint is one pod of a Service.
func endpoint(service, host, address, node string, ready bool) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Name: service + "-" + host, Namespace: "iris", Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		Endpoints: []discoveryv1.Endpoint{{
			Addresses: []string{address}, Hostname: &host, NodeName: &node, Conditions: discoveryv1.EndpointConditions{Ready: &ready},
		}},
	}
}

func TestNodeFor_PrefersAReadyNodeWithAReadyEndpoint(t *testing.T) {
	t.Parallel()
	web := service("web", corev1.ServiceTypeLoadBalancer, "10.77.128.9")
	a, b, c := node("a", "10.77.0.11", true), node("b", "10.77.0.12", true), node("c", "10.77.0.13", true)
	deadC := node("c", "10.77.0.13", false)
	onC := endpoint("web", "w", "10.77.66.5", "c", true)
	cases := map[string]struct {
		objects []runtime.Object
		want    []string
	}{
		"the endpoint's node":           {[]runtime.Object{a, b, c, onC}, []string{"10.77.0.13"}},
		"its node is dead":              {[]runtime.Object{a, b, deadC, onC}, []string{"10.77.0.11", "10.77.0.12"}},
		"the endpoint is not ready":     {[]runtime.Object{a, deadC, endpoint("web", "w", "10.77.66.5", "c", false)}, []string{"10.77.0.11"}},
		"another Service's endpoint":    {[]runtime.Object{b, deadC, endpoint("db", "w", "10.77.66.5", "c", true)}, []string{"10.77.0.12"}},
		"no node is ready: no node":     {[]runtime.Object{deadC, onC}, nil},
		"its node is gone, as are pods": {[]runtime.Object{b, onC}, []string{"10.77.0.12"}},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := newPlay(t, test.objects...).nodeFor(web)
			if len(test.want) == 0 {
				if ok {
					t.Errorf("got %s", got)
				}
				return
			}
			for _, want := range test.want {
				if ok && got.String() == want {
					return
				}
			}
			t.Errorf("got %s, %t; want one of %v", got, ok, test.want)
		})
	}
}

func balancerOf(t *testing.T, p *cloudPlay, name string) string {
	t.Helper()
	got, err := p.client.CoreV1().Services("iris").Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if address, ok := balancerAddress(got); ok {
		return address.String()
	}
	return ""
}

func TestAssignAll_GivesKeepsAndTakesBackAddresses(t *testing.T) {
	t.Parallel()
	play := newPlay(
		t, node("a", "10.77.0.11", true),
		service("kept", corev1.ServiceTypeLoadBalancer, "10.77.128.9", "10.77.250.1"),
		service("new", corev1.ServiceTypeLoadBalancer, "10.77.128.10"),
		service("newer", corev1.ServiceTypeLoadBalancer, "10.77.128.11"),
		service("no-longer", corev1.ServiceTypeClusterIP, "10.77.128.12", "10.77.250.2"),
		service("never", corev1.ServiceTypeClusterIP, "10.77.128.13"),
	)
	wanted, err := play.assignAll(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if to := wanted[netip.MustParseAddr("10.77.250.1")]; len(wanted) != 1 || to.String() != "10.77.0.11" {
		t.Errorf("got routes %v, want one for what had an address before", wanted)
	}
	for name, want := range map[string]string{"kept": "10.77.250.1", "no-longer": "", "never": ""} {
		if got := balancerOf(t, play, name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	fresh, newer := balancerOf(t, play, "new"), balancerOf(t, play, "newer")
	for _, address := range []string{fresh, newer} {
		// 10.77.250.2 is free only once the caches know that it was taken back.
		if address != "10.77.250.3" && address != "10.77.250.4" {
			t.Errorf("got new address %q", address)
		}
	}
	if fresh == newer {
		t.Errorf("two Services have the address %s", fresh)
	}
}

func TestAssign_SaysWhenAllAddressesAreInUse(t *testing.T) {
	t.Parallel()
	play, used := newPlay(t), map[netip.Addr]bool{}
	for count := 0; ; count++ {
		address, ok := play.free(used)
		if !ok {
			if count != 255 {
				t.Errorf("the pool has %d addresses", count)
			}
			break
		}
		used[address] = true
	}
	if err := play.assign(t.Context(), service("web", corev1.ServiceTypeLoadBalancer, "10.77.128.9"), used); err == nil {
		t.Error("got an address of an empty pool")
	}
}
