package iris

import (
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	networkingv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/networking/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// createPolicies comes before the pod, which must never run unguarded.
func (b *builder) createPolicies() error {
	denyAll, err := b.createDenyAll()
	if err != nil {
		return err
	}
	database, err := b.createDatabasePolicy()
	if err != nil {
		return err
	}
	b.policies = []pulumi.Resource{denyAll, database}
	return nil
}

// createDenyAll closes the namespace; what is open is written in the policy of the pod that opens it.
func (b *builder) createDenyAll() (*networkingv1.NetworkPolicy, error) {
	denyAll, err := networkingv1.NewNetworkPolicy(b.ctx, denyAllName, &networkingv1.NetworkPolicyArgs{
		Metadata: b.metadata(denyAllName, nil),
		Spec: &networkingv1.NetworkPolicySpecArgs{
			PodSelector: &metav1.LabelSelectorArgs{},
			PolicyTypes: pulumi.ToStringArray([]string{"Ingress", "Egress"}),
		},
	}, b.options()...)
	return denyAll, creating("NetworkPolicy "+denyAllName, err)
}

// createDatabasePolicy admits the Service's clients and the monitoring, nobody else. The kubelet's probes and
// kubectl port-forward come from inside the pod or from its own node, which no policy shuts out, and need no rule.
func (b *builder) createDatabasePolicy() (*networkingv1.NetworkPolicy, error) {
	database, err := networkingv1.NewNetworkPolicy(b.ctx, deploymentName, &networkingv1.NetworkPolicyArgs{
		Metadata: b.metadata(deploymentName, nil),
		Spec: &networkingv1.NetworkPolicySpecArgs{
			PodSelector: &metav1.LabelSelectorArgs{MatchLabels: selector()},
			PolicyTypes: pulumi.ToStringArray([]string{"Ingress", "Egress"}),
			Ingress:     b.ingress(),
			// Open: whom the application in the database calls is the application's matter.
			Egress: networkingv1.NetworkPolicyEgressRuleArray{&networkingv1.NetworkPolicyEgressRuleArgs{}},
		},
	}, b.options()...)
	return database, creating("NetworkPolicy "+deploymentName, err)
}

func (b *builder) ingress() networkingv1.NetworkPolicyIngressRuleArray {
	rules := networkingv1.NetworkPolicyIngressRuleArray{}
	if clients := b.clients(); len(clients) > 0 {
		ports := networkingv1.NetworkPolicyPortArray{policyPort(portalPort)}
		if b.cfg.Service.Superserver {
			ports = append(ports, policyPort(superserverPort))
		}
		rules = append(rules, &networkingv1.NetworkPolicyIngressRuleArgs{From: clients, Ports: ports})
	}
	if b.cfg.MonitoringNamespace != "" {
		rules = append(rules, &networkingv1.NetworkPolicyIngressRuleArgs{
			From:  networkingv1.NetworkPolicyPeerArray{namespacePeer(b.cfg.MonitoringNamespace)},
			Ports: networkingv1.NetworkPolicyPortArray{policyPort(portalPort)},
		})
	}
	return rules
}

func (b *builder) clients() networkingv1.NetworkPolicyPeerArray {
	peers := networkingv1.NetworkPolicyPeerArray{}
	if b.cfg.Service.external() {
		for _, cidr := range b.cfg.Service.SourceRanges {
			peers = append(peers, &networkingv1.NetworkPolicyPeerArgs{
				IpBlock: &networkingv1.IPBlockArgs{Cidr: pulumi.String(cidr)},
			})
		}
	}
	for _, namespace := range b.cfg.Service.ClientNamespaces {
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
