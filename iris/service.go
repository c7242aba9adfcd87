package iris

import (
	"fmt"
	"maps"
	"net"
	"strconv"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/traits"
)

const (
	portalPath = "/csp/sys/UtilHome.csp"
	// nodeAddress stands for the address of any node, which the program cannot know.
	nodeAddress = "NODE_ADDRESS"
	// balancerWait is how long a cloud may take to give a load balancer its address, in seconds; a few minutes are usual.
	// After that the update fails and says so, and the next one goes on from there.
	balancerWait = 600
)

// endpoint is where the Service's clients find the instance.
type endpoint struct {
	name, host, portalURL pulumi.StringOutput
	superserverPort       pulumi.IntOutput
}

func (s *scope) service(in *namespace, platform traits.Service) (*endpoint, error) {
	cfg := s.cfg.Service
	spec := &corev1.ServiceSpecArgs{
		Type:     pulumi.String(string(cfg.Type)),
		Selector: s.cfg.database().selector(),
		Ports:    cfg.ports(),
	}
	options := s.options()
	if cfg.Type == LoadBalancer {
		spec.LoadBalancerSourceRanges = pulumi.ToStringArray(cfg.SourceRanges)
		// Local keeps the client's address, which the NetworkPolicy checks, and makes the balancer's health check follow the
		// one node that has the pod. Cluster would hide every client behind a node's address.
		spec.ExternalTrafficPolicy = pulumi.String("Local")
		// Never deleted with the cluster: the balancer is outside of it, and only a cluster that runs can remove it.
		options = []pulumi.ResourceOption{pulumi.Parent(s.parent)}
	}
	// The provider waits for the pod as well as for the address.
	timeout := fmt.Sprintf("%ds", s.cfg.RecoveryBudgetSeconds+awaitMargin+balancerWait)
	options = append(options, pulumi.Timeouts(&pulumi.CustomTimeouts{Create: timeout, Update: timeout}))
	service, err := corev1.NewService(s.ctx, serviceName, &corev1.ServiceArgs{
		Metadata: in.metadata(s.cfg.database(), serviceName, s.cfg.serviceAnnotations(platform)),
		Spec:     spec,
	}, options...)
	if err != nil {
		return nil, creating("Service "+serviceName, err)
	}
	return newEndpoint(service, s.cfg)
}

func (s Service) ports() corev1.ServicePortArray {
	ports := corev1.ServicePortArray{servicePort(portalPortName, portalPort, s.PortalNodePort)}
	if s.Superserver {
		ports = append(ports, servicePort(superserverName, superserverPort, s.SuperserverNodePort))
	}
	return ports
}

func servicePort(name string, number, nodePort int) *corev1.ServicePortArgs {
	args := &corev1.ServicePortArgs{
		Name: pulumi.String(name), Port: pulumi.Int(number), TargetPort: pulumi.String(name), Protocol: pulumi.String("TCP"),
	}
	if nodePort != 0 {
		args.NodePort = pulumi.Int(nodePort)
	}
	return args
}

// serviceAnnotations puts the platform's annotations, the metrics' and the user's over one another.
func (c Config) serviceAnnotations(platform traits.Service) pulumi.StringMap {
	annotations := map[string]string{}
	if c.Service.Type == LoadBalancer {
		maps.Copy(annotations, platform.Annotations)
		if c.Service.Internal {
			maps.Copy(annotations, platform.InternalAnnotations)
		}
	}
	if c.Metrics == Annotations {
		maps.Copy(annotations, metricsAnnotations(c))
	}
	maps.Copy(annotations, c.Service.Annotations)
	if c.Replicas == 0 { // The provider would wait for a pod.
		annotations[skipAwait] = "true"
	}
	if len(annotations) == 0 {
		return nil
	}
	return pulumi.ToStringMap(annotations)
}

// newEndpoint derives the addresses from the Service as the cluster sees it.
func newEndpoint(service *corev1.Service, cfg Config) (*endpoint, error) {
	hostOutput := read(service, func(s observedService) string { return s.host(cfg) })
	urlOutput := read(service, func(s observedService) string { return s.portalURL(cfg) })
	portOutput := read(service, func(s observedService) int { return s.superserverPort(cfg) })
	host, isHost := hostOutput.(pulumi.StringOutput)
	portalURL, isURL := urlOutput.(pulumi.StringOutput)
	superserver, isPort := portOutput.(pulumi.IntOutput)
	if !isHost || !isURL || !isPort { // A change of the functions above without their outputs' types.
		return nil, fmt.Errorf("outputs of %s are %T, %T, %T", serviceName, hostOutput, urlOutput, portOutput)
	}
	return &endpoint{
		name: service.Metadata.Name().Elem(), host: host, portalURL: portalURL, superserverPort: superserver,
	}, nil
}

// read computes a value from the Service's spec and status.
func read[T any](service *corev1.Service, value func(observedService) T) pulumi.Output {
	return pulumi.All(service.Spec, service.Status).ApplyT(func(parts []any) (T, error) {
		var none T
		spec, ok := parts[0].(corev1.ServiceSpec)
		if !ok {
			return none, fmt.Errorf("the spec of Service %s is %T", serviceName, parts[0])
		}
		// A Service that the cluster has not looked at yet has no status.
		status, _ := parts[1].(*corev1.ServiceStatus)
		return value(observe(spec, status)), nil
	})
}

// observedService is what the outputs need of a Service.
type observedService struct {
	// address is the load balancer's IP address or host name; empty while it has none.
	address string
	// nodePorts are the ports on the nodes, by the port's name.
	nodePorts map[string]int
}

func observe(spec corev1.ServiceSpec, status *corev1.ServiceStatus) observedService {
	seen := observedService{nodePorts: map[string]int{}}
	for _, port := range spec.Ports {
		if port.Name != nil && port.NodePort != nil {
			seen.nodePorts[*port.Name] = *port.NodePort
		}
	}
	if status == nil || status.LoadBalancer == nil {
		return seen
	}
	for _, ingress := range status.LoadBalancer.Ingress {
		// A host name wins: where a cloud gives both, the addresses behind the name change.
		switch {
		case ingress.Hostname != nil && *ingress.Hostname != "":
			seen.address = *ingress.Hostname
		case ingress.Ip != nil && *ingress.Ip != "":
			seen.address = *ingress.Ip
		}
		if seen.address != "" {
			break
		}
	}
	return seen
}

func pending(cfg Config) string {
	return fmt.Sprintf("pending: the load balancer has no address yet; see: kubectl --namespace %s get service %s",
		cfg.Namespace, serviceName)
}

func (s observedService) host(cfg Config) string {
	switch {
	case cfg.Service.Type == LoadBalancer && s.address == "":
		return pending(cfg)
	case cfg.Service.Type == LoadBalancer:
		return s.address
	case cfg.Service.Type == NodePort:
		return nodeAddress
	default:
		return fmt.Sprintf("%s.%s.svc", serviceName, cfg.Namespace)
	}
}

func (s observedService) portalURL(cfg Config) string {
	switch {
	case cfg.Service.Type == LoadBalancer && s.address == "":
		return pending(cfg)
	case cfg.Service.Type == LoadBalancer:
		return portalAt(cfg, s.address, portalPort)
	case cfg.Service.Type == NodePort:
		return portalAt(cfg, nodeAddress, s.nodePorts[portalPortName])
	default:
		return fmt.Sprintf("kubectl --namespace %s port-forward service/%s %d:%d # then open %s",
			cfg.Namespace, serviceName, portalPort, portalPort, portalAt(cfg, "localhost", portalPort))
	}
}

func portalAt(cfg Config, host string, port int) string {
	return cfg.scheme() + "://" + net.JoinHostPort(host, strconv.Itoa(port)) + portalPath
}

func (s observedService) superserverPort(cfg Config) int {
	switch {
	case !cfg.Service.Superserver:
		return 0
	case cfg.Service.Type == NodePort:
		return s.nodePorts[superserverName]
	default:
		return superserverPort
	}
}
