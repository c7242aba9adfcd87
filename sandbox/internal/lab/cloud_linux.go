package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
	"k8s.io/client-go/tools/clientcmd"
)

// cloudPlay plays what a cloud does around the nodes: the cluster's name server and the load balancers.
type cloudPlay struct {
	plan      Plan
	client    kubernetes.Interface
	services  corelisters.ServiceLister
	nodes     corelisters.NodeLister
	endpoints discoverylisters.EndpointSliceLister
	// routes is what the machine was told to do, by address.
	routes map[netip.Addr]netip.Addr
}

// Cloud answers for names of the cluster on the lab's own address and gives Services of type LoadBalancer addresses that the
// machine can reach, until the context ends.
func Cloud(ctx context.Context, options CloudOptions) error {
	config, err := clientcmd.BuildConfigFromFlags("", options.Kubeconfig)
	if err != nil {
		return fmt.Errorf("read kubeconfig: %w", err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	play := &cloudPlay{
		plan: options.Plan, client: client, routes: map[netip.Addr]netip.Addr{},
		services:  factory.Core().V1().Services().Lister(),
		nodes:     factory.Core().V1().Nodes().Lister(),
		endpoints: factory.Discovery().V1().EndpointSlices().Lister(),
	}
	names, err := play.serveNames(ctx)
	if err != nil {
		return err
	}
	factory.Start(ctx.Done())
	for kind, synced := range factory.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return fmt.Errorf("read the cluster's %v", kind)
		}
	}
	// A cloud's health checks take seconds to notice a dead node; so does Kubernetes, whose word is taken here.
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-names:
			return err
		case <-tick.C:
		}
		if err := play.balance(ctx); err != nil && !errors.Is(err, context.Canceled) {
			fmt.Println(time.Now().Format(time.TimeOnly), err) //nolint:forbidigo // its log
		}
	}
}

// balance gives every Service that asks for one an address, and sends each address to a node.
func (p *cloudPlay) balance(ctx context.Context) error {
	wanted, err := p.assignAll(ctx)
	return errors.Join(err, p.direct(wanted))
}

// assignAll returns the node that takes each address; one without a node is left out.
func (p *cloudPlay) assignAll(ctx context.Context) (map[netip.Addr]netip.Addr, error) {
	services, err := p.services.List(labels.Everything())
	if err != nil {
		return nil, fmt.Errorf("list services: %w", err)
	}
	slices.SortFunc(services, func(a, b *corev1.Service) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	used := map[netip.Addr]bool{}
	for _, service := range services {
		if address, ok := balancerAddress(service); ok {
			used[address] = true
		}
	}
	wanted := map[netip.Addr]netip.Addr{}
	var errs []error
	for _, service := range services {
		errs = append(errs, p.assign(ctx, service, used))
		if address, ok := balancerAddress(service); ok && service.Spec.Type == corev1.ServiceTypeLoadBalancer {
			if node, ok := p.nodeFor(service); ok {
				wanted[address] = node
			}
		}
	}
	return wanted, errors.Join(errs...)
}

func balancerAddress(service *corev1.Service) (netip.Addr, bool) {
	for _, ingress := range service.Status.LoadBalancer.Ingress {
		if address, err := netip.ParseAddr(ingress.IP); err == nil {
			return address, true
		}
	}
	return netip.Addr{}, false
}

// assign gives the Service an address, or takes it back when it no longer is a load balancer.
func (p *cloudPlay) assign(ctx context.Context, service *corev1.Service, used map[netip.Addr]bool) error {
	_, has := balancerAddress(service)
	wants := service.Spec.Type == corev1.ServiceTypeLoadBalancer && service.DeletionTimestamp == nil
	if has == wants || service.DeletionTimestamp != nil {
		return nil
	}
	updated := service.DeepCopy()
	updated.Status.LoadBalancer.Ingress = nil
	if wants {
		address, ok := p.free(used)
		if !ok {
			return errors.New("all addresses of load balancers are in use")
		}
		used[address] = true
		updated.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: address.String()}}
	}
	_, err := p.client.CoreV1().Services(service.Namespace).UpdateStatus(ctx, updated, metav1.UpdateOptions{})
	if err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
		return fmt.Errorf("give service %s/%s an address: %w", service.Namespace, service.Name, err)
	}
	return nil
}

func (p *cloudPlay) free(used map[netip.Addr]bool) (netip.Addr, bool) {
	pool := p.plan.LoadBalancers()
	for address := pool.Addr().Next(); pool.Contains(address); address = address.Next() {
		if !used[address] {
			return address, true
		}
	}
	return netip.Addr{}, false
}

// nodeFor picks a node that takes the Service's traffic: one with a ready endpoint first, which is right for either value of
// externalTrafficPolicy, else any that is ready.
func (p *cloudPlay) nodeFor(service *corev1.Service) (netip.Addr, bool) {
	slices, err := p.slicesOf(service.Namespace, service.Name)
	if err != nil {
		return netip.Addr{}, false
	}
	for _, slice := range slices {
		for _, endpoint := range slice.Endpoints {
			if endpoint.NodeName == nil || endpoint.Conditions.Ready != nil && !*endpoint.Conditions.Ready {
				continue
			}
			if node, err := p.nodes.Get(*endpoint.NodeName); err == nil && ready(node) {
				return internalAddress(node)
			}
		}
	}
	nodes, err := p.nodes.List(labels.Everything())
	if err != nil {
		return netip.Addr{}, false
	}
	for _, node := range nodes {
		if ready(node) {
			return internalAddress(node)
		}
	}
	return netip.Addr{}, false
}

func (p *cloudPlay) slicesOf(namespace, service string) ([]*discoveryv1.EndpointSlice, error) {
	found, err := p.endpoints.EndpointSlices(namespace).List(labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: service}))
	if err != nil {
		return nil, fmt.Errorf("list endpoints of service %s/%s: %w", namespace, service, err)
	}
	return found, nil
}

func ready(node *corev1.Node) bool {
	return slices.ContainsFunc(node.Status.Conditions, func(condition corev1.NodeCondition) bool {
		return condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue
	})
}

func internalAddress(node *corev1.Node) (netip.Addr, bool) {
	for _, one := range node.Status.Addresses {
		if one.Type == corev1.NodeInternalIP {
			address, err := netip.ParseAddr(one.Address)
			return address, err == nil
		}
	}
	return netip.Addr{}, false
}

// direct tells the machine which node to send the addresses to. Cluster IPs go to any ready node.
func (p *cloudPlay) direct(wanted map[netip.Addr]netip.Addr) error {
	link, err := netlink.LinkByName(p.plan.Bridge())
	if err != nil {
		return fmt.Errorf("find network %s: %w", p.plan.Bridge(), err)
	}
	var errs []error
	if node, ok := p.nodeFor(&corev1.Service{}); ok {
		errs = append(errs, p.send(link, p.plan.Services(), node))
	}
	for address, node := range wanted {
		errs = append(errs, p.send(link, netip.PrefixFrom(address, address.BitLen()), node))
	}
	for address := range p.routes {
		if _, still := wanted[address]; !still && p.plan.LoadBalancers().Contains(address) {
			errs = append(errs, p.withdraw(link, address))
		}
	}
	return errors.Join(errs...)
}

func (p *cloudPlay) send(link netlink.Link, to netip.Prefix, via netip.Addr) error {
	if p.routes[to.Addr()] == via {
		return nil
	}
	if err := route(link, to, via); err != nil {
		return err
	}
	p.routes[to.Addr()] = via
	return nil
}

func (p *cloudPlay) withdraw(link netlink.Link, address netip.Addr) error {
	err := netlink.RouteDel(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(netip.PrefixFrom(address, address.BitLen()))})
	if err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("withdraw the route to %s: %w", address, err)
	}
	delete(p.routes, address)
	return nil
}
