package iris

import (
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	corev1 "k8s.io/api/core/v1"

	"ha-iris/internal/traits"
)

// published lets a cluster answer for the Service: its status, and the ports that it chose on the nodes.
func published(status resource.PropertyMap, nodePorts map[string]float64) func(pulumi.MockResourceArgs) resource.PropertyMap {
	return func(args pulumi.MockResourceArgs) resource.PropertyMap {
		if args.TypeToken != "kubernetes:core/v1:Service" {
			return nil
		}
		answer := resource.PropertyMap{}
		if status != nil {
			answer["status"] = resource.NewObjectProperty(status)
		}
		spec := args.Inputs["spec"].ObjectValue().Copy()
		var ports []resource.PropertyValue
		for _, port := range spec["ports"].ArrayValue() {
			seen := port.ObjectValue().Copy()
			if number, chosen := nodePorts[seen["name"].StringValue()]; chosen {
				seen["nodePort"] = resource.NewNumberProperty(number)
			}
			ports = append(ports, resource.NewObjectProperty(seen))
		}
		spec["ports"] = resource.NewArrayProperty(ports)
		answer["spec"] = resource.NewObjectProperty(spec)
		return answer
	}
}

func ingress(addresses ...resource.PropertyMap) resource.PropertyMap {
	var list []resource.PropertyValue
	for _, address := range addresses {
		list = append(list, resource.NewObjectProperty(address))
	}
	return resource.PropertyMap{"loadBalancer": resource.NewObjectProperty(resource.PropertyMap{
		"ingress": resource.NewArrayProperty(list),
	})}
}

func at(key resource.PropertyKey, value string) resource.PropertyMap {
	return resource.PropertyMap{key: resource.NewStringProperty(value)}
}

// endpointCases are Services by name, as a cluster answers them, and what the stack says of them.
type endpointCases map[string]struct {
	change      []func(*Config)
	status      resource.PropertyMap
	nodePorts   map[string]float64
	host, url   string
	superserver int
}

func (cases endpointCases) check(t *testing.T) {
	t.Helper()
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result := scenario{args: Args{Config: community(test.change...)}, outputs: published(test.status, test.nodePorts)}.run(t)
			if result.err != nil {
				t.Fatal(result.err)
			}
			for output, want := range map[string]any{
				"host": test.host, "portalUrl": test.url, "superserverPort": test.superserver,
				"namespace": "iris", "serviceName": "iris-svc",
			} {
				if got := result.resolved[output]; got != want {
					t.Errorf("%s: got %v, want %v", output, got, want)
				}
			}
		})
	}
}

func balanced(c *Config) {
	c.Service.Type, c.Service.SourceRanges, c.Service.Superserver = LoadBalancer, []string{"203.0.113.0/24"}, true
}

func TestOutputs_GiveTheLoadBalancersAddress(t *testing.T) {
	t.Parallel()
	tls := func(c *Config) { c.TLSSecret, c.WebGateway.Image = "portal-tls", gatewayImage }
	endpointCases{
		"address": {
			change: []func(*Config){balanced}, status: ingress(at("ip", "198.51.100.7")),
			host: "198.51.100.7", url: "http://198.51.100.7:52773/csp/sys/UtilHome.csp", superserver: 1972,
		},
		"IPv6 address": {
			change: []func(*Config){balanced}, status: ingress(at("ip", "2001:db8::7")),
			host: "2001:db8::7", url: "http://[2001:db8::7]:52773/csp/sys/UtilHome.csp", superserver: 1972,
		},
		"host name": {
			change: []func(*Config){balanced}, status: ingress(at("hostname", "lb.example.com")),
			host: "lb.example.com", url: "http://lb.example.com:52773/csp/sys/UtilHome.csp", superserver: 1972,
		},
		"both, and the name stays when the address does not": {
			change: []func(*Config){balanced},
			status: ingress(resource.PropertyMap{
				"ip": resource.NewStringProperty("198.51.100.7"), "hostname": resource.NewStringProperty("lb.example.com"),
			}),
			host: "lb.example.com", url: "http://lb.example.com:52773/csp/sys/UtilHome.csp", superserver: 1972,
		},
		"several addresses": {
			change: []func(*Config){balanced}, status: ingress(at("ip", "198.51.100.7"), at("ip", "198.51.100.8")),
			host: "198.51.100.7", url: "http://198.51.100.7:52773/csp/sys/UtilHome.csp", superserver: 1972,
		},
		"an empty entry first": {
			change: []func(*Config){balanced}, status: ingress(resource.PropertyMap{}, at("ip", "198.51.100.8")),
			host: "198.51.100.8", url: "http://198.51.100.8:52773/csp/sys/UtilHome.csp", superserver: 1972,
		},
		"TLS": {
			change: []func(*Config){balanced, tls}, status: ingress(at("hostname", "lb.example.com")),
			host: "lb.example.com", url: "https://lb.example.com:52773/csp/sys/UtilHome.csp", superserver: 1972,
		},
	}.check(t)
}

func TestOutputs_SayThatTheLoadBalancerHasNoAddressYet(t *testing.T) {
	t.Parallel()
	const waiting = "pending: the load balancer has no address yet; see: kubectl --namespace iris get service iris-svc"
	endpointCases{
		"no status":          {change: []func(*Config){balanced}, host: waiting, url: waiting, superserver: 1972},
		"empty status":       {change: []func(*Config){balanced}, status: resource.PropertyMap{}, host: waiting, url: waiting, superserver: 1972},
		"no ingress":         {change: []func(*Config){balanced}, status: ingress(), host: waiting, url: waiting, superserver: 1972},
		"ingress of nothing": {change: []func(*Config){balanced}, status: ingress(resource.PropertyMap{}), host: waiting, url: waiting, superserver: 1972},
	}.check(t)
}

func TestOutputs_GiveTheAddressOfOtherServices(t *testing.T) {
	t.Parallel()
	endpointCases{
		"NodePort": {
			change:    []func(*Config){balanced, func(c *Config) { c.Service.Type = NodePort }},
			nodePorts: map[string]float64{portalPortName: 31773, superserverName: 31972},
			host:      "NODE_ADDRESS", url: "http://NODE_ADDRESS:31773/csp/sys/UtilHome.csp", superserver: 31972,
		},
		"ClusterIP": {
			host: "iris-svc.iris.svc",
			url: "kubectl --namespace iris port-forward service/iris-svc 52773:52773 # then open " +
				"http://localhost:52773/csp/sys/UtilHome.csp",
		},
	}.check(t)
}

func TestService_IsClosedUnlessOpened(t *testing.T) {
	t.Parallel()
	args := Args{
		Config: community(func(c *Config) {
			c.Service = Service{
				Type: LoadBalancer, Internal: true, SourceRanges: []string{"10.0.0.0/8"},
				Annotations: map[string]string{"example.com/class": "user"},
			}
		}),
		Service: traits.Service{
			Annotations:         map[string]string{"example.com/class": "platform", "example.com/kind": "passthrough"},
			InternalAnnotations: map[string]string{"example.com/internal": "true"},
		},
	}
	result := scenario{args: args}.run(t)
	if result.err != nil {
		t.Fatal(result.err)
	}
	service := decode[corev1.Service](t, manifests(t, result), "Service", serviceName)
	if got := service.Spec.LoadBalancerSourceRanges; len(got) != 1 || got[0] != "10.0.0.0/8" {
		t.Errorf("source ranges are %v", got)
	}
	if got := service.Spec.ExternalTrafficPolicy; got != corev1.ServiceExternalTrafficPolicyLocal {
		t.Errorf("traffic policy is %q: clients would be hidden behind nodes", got)
	}
	for key, want := range map[string]string{
		"example.com/class": "user", "example.com/kind": "passthrough", "example.com/internal": "true",
	} {
		if got := service.Annotations[key]; got != want {
			t.Errorf("annotation %s is %q, want %q", key, got, want)
		}
	}
	for _, port := range service.Spec.Ports {
		if port.Port == superserverPort {
			t.Error("the superserver is offered unasked")
		}
	}
}

func TestService_RefusesInternalWithoutAnAnnotationForIt(t *testing.T) {
	t.Parallel()
	cfg := community(func(c *Config) {
		c.Service = Service{Type: LoadBalancer, Internal: true, SourceRanges: []string{"10.0.0.0/8"}}
	})
	if err := cfg.ValidateOn(traits.Service{}); err == nil || !strings.Contains(err.Error(), "iris.service.internal: got true, want false, or in") {
		t.Errorf("got %v", err)
	}
}

// TestService_TakesPlatformAnnotationsForLoadBalancersOnly: on another Service they could make a cloud build something.
func TestService_TakesPlatformAnnotationsForLoadBalancersOnly(t *testing.T) {
	t.Parallel()
	args := Args{Config: community(), Service: traits.Service{Annotations: map[string]string{"example.com/class": "platform"}}}
	result := scenario{args: args}.run(t)
	if result.err != nil {
		t.Fatal(result.err)
	}
	if got := decode[corev1.Service](t, manifests(t, result), "Service", serviceName).Annotations; len(got) > 0 {
		t.Errorf("annotations are %v", got)
	}
}
