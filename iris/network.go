package iris

import (
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	networkingv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/networking/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// policies are the network policies of the namespace.
type policies struct {
	denyAll *networkingv1.NetworkPolicy
	// own are the components' policies, by the component's name. An isolated component has none: its list is empty.
	own map[string][]pulumi.Resource
}

// of are the policies that a component's pods are under. Nothing in a pod refers to them, so what must not run without
// them depends on them.
func (p *policies) of(c component) []pulumi.Resource {
	return append([]pulumi.Resource{p.denyAll}, p.own[c.name]...)
}

func (s *scope) policies(in *namespace) (*policies, error) {
	denyAll, err := s.denyAll(in)
	if err != nil {
		return nil, err
	}
	made := &policies{denyAll: denyAll, own: map[string][]pulumi.Resource{}}
	for _, component := range s.cfg.components() {
		if err := component.checkNetwork(); err != nil {
			return nil, err
		}
		made.own[component.name] = nil
		if component.isolated {
			continue
		}
		policy, err := s.policy(in, component)
		if err != nil {
			return nil, err
		}
		made.own[component.name] = []pulumi.Resource{policy}
	}
	return made, nil
}

// denyAll forbids all traffic in the namespace. Each component's own policy allows what its pods need.
func (s *scope) denyAll(in *namespace) (*networkingv1.NetworkPolicy, error) {
	denyAll, err := networkingv1.NewNetworkPolicy(s.ctx, denyAllName, &networkingv1.NetworkPolicyArgs{
		Metadata: in.metadata(s.cfg.database(), denyAllName, nil),
		Spec: &networkingv1.NetworkPolicySpecArgs{
			PodSelector: &metav1.LabelSelectorArgs{},
			PolicyTypes: pulumi.ToStringArray([]string{"Ingress", "Egress"}),
		},
	}, s.options()...)
	return denyAll, creating("NetworkPolicy "+denyAllName, err)
}

func (s *scope) policy(in *namespace, of component) (*networkingv1.NetworkPolicy, error) {
	policy, err := networkingv1.NewNetworkPolicy(s.ctx, of.app, &networkingv1.NetworkPolicyArgs{
		Metadata: in.metadata(of, of.app, nil),
		Spec: &networkingv1.NetworkPolicySpecArgs{
			PodSelector: &metav1.LabelSelectorArgs{MatchLabels: of.selector()},
			PolicyTypes: pulumi.ToStringArray([]string{"Ingress", "Egress"}),
			Ingress:     of.network.ingress,
			Egress:      of.network.egress,
		},
	}, s.options()...)
	return policy, creating("NetworkPolicy "+of.app, err)
}

// database is the instance itself; its label is the article's. It admits the Service's clients and the monitoring, nobody
// else. The kubelet's probes and kubectl port-forward come from inside the pod or from its own node, which no policy shuts
// out, and need no rule.
func (c Config) database() component {
	return component{name: "database", app: deploymentName, network: &network{
		ingress: c.ingress(),
		// Open: the program cannot know what the application in the database calls.
		egress: networkingv1.NetworkPolicyEgressRuleArray{&networkingv1.NetworkPolicyEgressRuleArgs{}},
	}, pod: c.pod()}
}

func (c Config) ingress() networkingv1.NetworkPolicyIngressRuleArray {
	rules := networkingv1.NetworkPolicyIngressRuleArray{}
	if clients := c.clients(); len(clients) > 0 {
		ports := networkingv1.NetworkPolicyPortArray{policyPort(portalPort)}
		if c.Service.Superserver {
			ports = append(ports, policyPort(superserverPort))
		}
		rules = append(rules, &networkingv1.NetworkPolicyIngressRuleArgs{From: clients, Ports: ports})
	}
	if c.MonitoringNamespace != "" {
		rules = append(rules, &networkingv1.NetworkPolicyIngressRuleArgs{
			From:  networkingv1.NetworkPolicyPeerArray{namespacePeer(c.MonitoringNamespace)},
			Ports: networkingv1.NetworkPolicyPortArray{policyPort(portalPort)},
		})
	}
	return rules
}

func (c Config) clients() networkingv1.NetworkPolicyPeerArray {
	peers := networkingv1.NetworkPolicyPeerArray{}
	if c.Service.external() {
		for _, cidr := range c.Service.SourceRanges {
			peers = append(peers, &networkingv1.NetworkPolicyPeerArgs{
				IpBlock: &networkingv1.IPBlockArgs{Cidr: pulumi.String(cidr)},
			})
		}
	}
	for _, namespace := range c.Service.ClientNamespaces {
		peers = append(peers, namespacePeer(namespace))
	}
	return peers
}

// namespacePeer names a namespace by the label that Kubernetes itself keeps on it.
func namespacePeer(namespace string) *networkingv1.NetworkPolicyPeerArgs {
	return &networkingv1.NetworkPolicyPeerArgs{NamespaceSelector: &metav1.LabelSelectorArgs{
		MatchLabels: pulumi.StringMap{"kubernetes.io/metadata.name": pulumi.String(namespace)},
	}}
}

func policyPort(number int) *networkingv1.NetworkPolicyPortArgs {
	return &networkingv1.NetworkPolicyPortArgs{Protocol: pulumi.String("TCP"), Port: pulumi.Int(number)}
}
