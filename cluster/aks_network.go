package cluster

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"

	"github.com/pulumi/pulumi-azure-native-sdk/containerservice/v3"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/problems"
	"ha-iris/internal/rules"
)

// azurePodCIDR is the network of the pods' addresses, AKS' default.
const azurePodCIDR = "10.244.0.0/16"

// azureReserved are the networks that AKS uses itself (AKS, "Configure Azure CNI", prerequisites).
func azureReserved() []string {
	return []string{"169.254.0.0/16", "172.30.0.0/16", "172.31.0.0/16", "192.0.2.0/24"}
}

func (c Config) checkServiceCIDR(found *problems.List) {
	const path = "cluster.serviceCidr"
	if want := rules.CheckNetwork(c.ServiceCIDR, true); want != "" {
		found.Add(path, c.ServiceCIDR, want)
		return
	}
	// AKS takes at most /12. 256 addresses are some ten times as many as this stack, Longhorn and the system have Services.
	services := netip.MustParsePrefix(c.ServiceCIDR)
	if services.Bits() < 12 || services.Bits() > 24 {
		found.Add(path, c.ServiceCIDR, "a network of /12 to /24")
		return
	}
	for _, taken := range append(azureReserved(), azurePodCIDR) {
		if services.Overlaps(netip.MustParsePrefix(taken)) {
			found.Add(path, c.ServiceCIDR, fmt.Sprintf("a network that does not overlap with %s: that is for the pods (%s) or AKS' own",
				taken, azurePodCIDR))
			return
		}
	}
}

// networkProfile decides what cannot be changed without another cluster.
func (a *aks) networkProfile() *containerservice.ContainerServiceNetworkProfileArgs {
	services := netip.MustParsePrefix(a.cfg.ServiceCIDR) // Validated.
	return &containerservice.ContainerServiceNetworkProfileArgs{
		// Azure retires kubenet; overlay needs one address of the subnet per node instead of one per pod.
		NetworkPlugin:     pulumi.String(string(containerservice.NetworkPluginAzure)),
		NetworkPluginMode: pulumi.String(string(containerservice.NetworkPluginModeOverlay)),
		// Enforces network policies, as on gke, where it is Cilium too. Azure retires its own engine, and accepts the data plane
		// with this policy only (Azure/AKS-Construction#535).
		NetworkDataplane: pulumi.String(string(containerservice.NetworkDataplaneCilium)),
		NetworkPolicy:    pulumi.String(string(containerservice.NetworkPolicyCilium)),
		LoadBalancerSku:  pulumi.String(string(containerservice.LoadBalancerSkuStandard)),
		ServiceCidr:      pulumi.String(a.cfg.ServiceCIDR),
		DnsServiceIP:     pulumi.String(tenth(services).String()),
	}
}

// tenth returns the address that Kubernetes' distributions give the DNS server.
func tenth(network netip.Prefix) netip.Addr {
	address := network.Addr()
	for range 10 {
		address = address.Next()
	}
	return address
}

// nodeResourceGroup returns the name of the group that Azure makes for the nodes. Azure's own, MC_GROUP_CLUSTER_REGION, may have at
// most 80 characters (AKS FAQ) and would have up to 87. The group's name contains a random suffix. What replaces the cluster is
// part of the name, because the new cluster is made while the old one and its group exist.
func (a *aks) nodeResourceGroup(group string) string {
	sum := sha256.Sum256([]byte(a.cfg.ServiceCIDR))
	return group + "-nodes-" + hex.EncodeToString(sum[:])[:4]
}

// administrators let groups of the directory log in. The local account stays: the stack's own kubeconfig is one.
func (a *aks) administrators() containerservice.ManagedClusterAADProfilePtrInput {
	if len(a.cfg.AADAdminGroups) == 0 {
		return nil
	}
	return &containerservice.ManagedClusterAADProfileArgs{
		Managed: pulumi.Bool(true),
		// Rights are Kubernetes' own roles, the same on every cloud.
		EnableAzureRBAC:     pulumi.Bool(false),
		AdminGroupObjectIDs: pulumi.ToStringArray(a.cfg.AADAdminGroups),
	}
}

// azureVirtualNetwork is what Azure says of the network of the given subnet.
type azureVirtualNetwork struct {
	AddressSpace *azureAddresses `pulumi:"addressSpace"`
	Subnets      []struct {
		Name            string   `pulumi:"name"`
		AddressPrefix   string   `pulumi:"addressPrefix"`
		AddressPrefixes []string `pulumi:"addressPrefixes"`
	} `pulumi:"subnets"`
	Peerings []struct {
		RemoteAddressSpace *azureAddresses `pulumi:"remoteAddressSpace"`
	} `pulumi:"virtualNetworkPeerings"`
}

type azureAddresses struct {
	Prefixes []string `pulumi:"addressPrefixes"`
}

// checkNetwork compares the cluster's own networks with that of the given subnet. Where Azure does not show it, that is a warning:
// the right to use a subnet does not include the one to read its network.
func (a *aks) checkNetwork() error {
	if len(a.cfg.SubnetIDs) == 0 {
		return nil
	}
	parts := strings.Split(a.cfg.SubnetIDs[0], "/") // Validated.
	args := struct {
		ResourceGroupName  string `pulumi:"resourceGroupName"`
		VirtualNetworkName string `pulumi:"virtualNetworkName"`
	}{parts[4], parts[8]}
	var network azureVirtualNetwork
	// Untyped, as in newAKS. The provider looks in its own subscription only.
	err := a.ctx.Invoke("azure-native:network:getVirtualNetwork", &args, &network,
		pulumi.Parent(a.component), pulumi.Provider(a.provider))
	if err != nil {
		return a.warn(fmt.Sprintf("the network of cluster.subnetIds could not be looked at, so nobody knows whether it overlaps with "+
			"cluster.serviceCidr (%s) or the pods (%s): %v", a.cfg.ServiceCIDR, azurePodCIDR, err))
	}
	return network.check(a.cfg, parts[10])
}

// check reports overlaps. Services must not overlap with the network or what is peered with it, pods not with the subnet (AKS,
// "Overlay networking", IP address planning).
func (n azureVirtualNetwork) check(cfg Config, subnet string) error {
	var found problems.List
	spaces := []*azureAddresses{n.AddressSpace}
	for _, peering := range n.Peerings {
		spaces = append(spaces, peering.RemoteAddressSpace)
	}
	var prefixes []string
	for _, space := range spaces {
		if space != nil {
			prefixes = append(prefixes, space.Prefixes...)
		}
	}
	if taken := overlapping(cfg.ServiceCIDR, prefixes); taken != "" {
		found.Add("cluster.serviceCidr", cfg.ServiceCIDR, "a network that does not overlap with "+taken+", which is part of the "+
			"subnet's virtual network or peered with it")
	}
	for _, one := range n.Subnets {
		taken := overlapping(azurePodCIDR, append(one.AddressPrefixes, one.AddressPrefix))
		if strings.EqualFold(one.Name, subnet) && taken != "" {
			found.Add("cluster.subnetIds[0]", cfg.SubnetIDs[0], fmt.Sprintf("a subnet that does not overlap with the pods' network %s; "+
				"this one is %s", azurePodCIDR, taken))
		}
	}
	return found.Err()
}

// overlapping returns the first of the networks that overlaps with one, or "".
func overlapping(one string, networks []string) string {
	mine := netip.MustParsePrefix(one)
	for _, text := range networks {
		if network, err := netip.ParsePrefix(text); err == nil && network.Overlaps(mine) {
			return text
		}
	}
	return ""
}

// azureNetworkContributor is the id of the built-in role (Azure, "Azure built-in roles", Networking).
const azureNetworkContributor = "4d97b98b-1d4f-4787-a291-c67834d212e7"

// grantSubnet lets the cluster's identity put machines and load balancers into the given subnet, which Azure demands (AKS, "Use a
// managed identity", bring your own network). The identity exists only with the cluster; the first pool is made before, with the
// rights of AKS itself (MicrosoftDocs/azure-docs#58822), and the az command grants the role after the cluster too
// (MicrosoftDocs/azure-docs#85235). A right can take minutes to become effective.
func (a *aks) grantSubnet(managed *containerservice.ManagedCluster) ([]pulumi.Resource, error) {
	if len(a.cfg.SubnetIDs) == 0 || !a.cfg.GrantSubnetAccess {
		return nil, nil
	}
	subnet := a.cfg.SubnetIDs[0]
	principal := managed.Identity.PrincipalId()
	var grant pulumi.CustomResourceState
	err := a.ctx.RegisterResource("azure-native:authorization:RoleAssignment", a.name("subnet"), pulumi.Map{
		"scope":         pulumi.String(subnet),
		"principalId":   principal,
		"principalType": pulumi.String("ServicePrincipal"), // Otherwise Azure looks for an identity that is too new to be found.
		"roleDefinitionId": pulumi.String(fmt.Sprintf("/subscriptions/%s/providers/Microsoft.Authorization/roleDefinitions/%s",
			strings.Split(subnet, "/")[2], azureNetworkContributor)),
		// Of the cluster's physical name, so that a later cluster does not meet the assignment of an earlier one.
		"roleAssignmentName": managed.Name.ApplyT(func(name string) string {
			return guidOf(strings.ToLower(subnet) + "/" + name)
		}).(pulumi.StringOutput),
	}, &grant, a.options()...)
	if err != nil {
		return nil, fmt.Errorf("grant the cluster's identity access to the subnet: %w", err)
	}
	return []pulumi.Resource{&grant}, nil
}

// guidOf derives a GUID from a text, of version 8, which is for such (RFC 9562).
func guidOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[0:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}
