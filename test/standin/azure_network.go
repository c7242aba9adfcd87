package standin

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

const (
	// aksServiceCIDR and aksPodCIDR: AKS REST API, ContainerServiceNetworkProfile.
	aksServiceCIDR = "10.0.0.0/16"
	aksPodCIDR     = "10.244.0.0/16"
	// longestGroup: AKS docs, "Frequently asked questions": the node resource group's name has 80 characters at most.
	longestGroup = 80
)

// checkNodeGroupName holds the name of the node resource group, which Azure makes up from the names of the resource group,
// the cluster and the region, to its length.
func (c *change) checkNodeGroupName() error {
	name := c.in.str("nodeResourceGroup")
	if name == "" {
		name = fmt.Sprintf("MC_%s_%s_%s", c.in.str("resourceGroupName"), c.in.str("resourceName"), c.in.str("location"))
	}
	if len(name) > longestGroup {
		return azureBad("InvalidParameter", "The length of the node resource group name is too long. The maximum length is %d "+
			"and the length of the value provided is %d. Please see https://aka.ms/aks-naming-rules for more details on AKS "+
			"naming conventions.", longestGroup, len(name))
	}
	return nil
}

// checkCIDRs refuses address ranges that overlap. They have their defaults also when there is no network profile
// (Azure/AKS #3551 and AKS-Construction #403 have the texts; AKS docs, "Configure Azure CNI").
func (c *change) checkCIDRs() error {
	services, err := netip.ParsePrefix(orDefault(c.in, "networkProfile.serviceCidr", aksServiceCIDR))
	if err != nil {
		return azureBad("InvalidServiceCidr", "The specified service CIDR %s is invalid.", c.in.str("networkProfile.serviceCidr"))
	}
	dns, err := netip.ParseAddr(orDefault(c.in, "networkProfile.dnsServiceIP", "10.0.0.10"))
	first := services.Masked().Addr().Next() // It is the API server's.
	if err != nil || !services.Contains(dns) || dns == first {
		return azureBad("DnsServiceIpOutOfServiceCidr", "The specified DNS service IP address (%s) is invalid. It must be within "+
			"the service CIDR %s and not its first address.", c.in.str("networkProfile.dnsServiceIP"), services)
	}
	overlay := c.in.str("networkProfile.networkPluginMode") == "overlay" || c.in.str("networkProfile.networkPlugin") == "kubenet"
	pods, err := netip.ParsePrefix(orDefault(c.in, "networkProfile.podCidr", aksPodCIDR))
	switch {
	case !overlay:
		pods = netip.Prefix{}
	case err != nil:
		return azureBad("InvalidParameter", "The specified pod CIDR %s is invalid.", c.in.str("networkProfile.podCidr"))
	case services.Overlaps(pods):
		return azureBad("ServiceCidrOverlapPodCidr", "The specified service CIDR %s is conflicted with the pod CIDR %s", services, pods)
	}
	for _, profile := range c.in.objects("agentPoolProfiles") {
		for _, subnet := range c.prefixesOf(profile.str("vnetSubnetID")) {
			if services.Overlaps(subnet) {
				return azureBad("ServiceCidrOverlapExistingSubnetsCidr", "The specified service CIDR %s is conflicted with an "+
					"existing subnet CIDR %s", services, subnet)
			}
			if pods.IsValid() && pods.Overlaps(subnet) {
				return azureBad("NetworkProfileCIDROverlapVNET", "NetworkProfile CIDR %s overlaps with reserved VNET CIDR %s", pods, subnet)
			}
		}
	}
	return nil
}

func orDefault(f fields, path, otherwise string) string {
	if text, ok := f.text(path); ok {
		return text
	}
	return otherwise
}

// prefixesOf are the address ranges of a subnet, if whoever added it said so.
func (c *change) prefixesOf(id string) []netip.Prefix {
	subnet := c.find(azureSubnet, id)
	if subnet == nil {
		return nil
	}
	var found []netip.Prefix
	for _, text := range append(subnet.fields().strs("addressPrefixes"), subnet.fields().str("addressPrefix")) {
		if prefix, err := netip.ParsePrefix(text); err == nil {
			found = append(found, prefix)
		}
	}
	return found
}

// joiners are the built-in roles that may join machines to a subnet: Network Contributor, Contributor and Owner (Azure
// docs, "Azure built-in roles").
func joiners() []string {
	return []string{
		"4d97b98b-1d4f-4787-a291-c67834d212e7", "b24988ac-6180-42a0-ab88-20f7382dd24c", "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
	}
}

// mayJoin reports whether a cluster's identity has one of those roles on a subnet, or on what the subnet is in. A
// user-assigned identity is somebody else's, whose principal nobody here knows: any assignment counts.
func (w *world) mayJoin(cluster fields, subnet string) bool {
	principal := cluster.str("identity.principalId")
	return len(w.where(azureRole, func(f fields) bool {
		scope := strings.ToLower(strings.TrimSuffix(f.str("scope"), "/"))
		known := cluster.str("identity.type") != "SystemAssigned" || strings.EqualFold(f.str("principalId"), principal)
		at := strings.ToLower(subnet)
		return known && slices.Contains(joiners(), lastPart(f.str("roleDefinitionId"))) && (at == scope || strings.HasPrefix(at, scope+"/"))
	})) > 0
}

// checkJoin refuses a pool that gets more machines in a subnet where the cluster's identity may not join them (AKS docs,
// "Configure Azure CNI", prerequisites: at least Network Contributor; azure-docs and aad-pod-identity #511 have the text).
// A cluster is made without: its identity does not exist before.
func (c *change) checkJoin(cluster *object, subnet string) error {
	f := cluster.fields()
	if subnet == "" || c.mayJoin(f, subnet) {
		return nil
	}
	who := f.str("identity.principalId")
	return azureError(403, "LinkedAuthorizationFailed", "The client '%s' with object id '%s' has permission to perform action "+
		"'Microsoft.Compute/virtualMachineScaleSets/write' on scope '%s'; however, it does not have permission to perform "+
		"action 'Microsoft.Network/virtualNetworks/subnets/join/action' on the linked scope(s) '%s' or the linked scope(s) "+
		"are invalid.", who, who, cluster.id, subnet)
}

// LoadBalancerError says why the cloud provider in some cluster of AKS cannot make a load balancer in the subnet that the
// cluster was given, in Azure's words; nil when it can (terraform-azurerm-aks #178).
func (c *Clouds) LoadBalancerError() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range c.world.objects {
		if o.typ != azureCluster {
			continue
		}
		f := o.fields()
		for _, profile := range f.objects("agentPoolProfiles") {
			subnet := profile.str("vnetSubnetID")
			if subnet != "" && !c.world.mayJoin(f, subnet) {
				who := f.str("identity.principalId")
				return azureError(403, "AuthorizationFailed", "The client '%s' with object id '%s' does not have authorization to "+
					"perform action 'Microsoft.Network/virtualNetworks/subnets/read' over scope '%s' or the scope is invalid. If "+
					"access was recently granted, please refresh your credentials.", who, who, subnet)
			}
		}
	}
	return nil
}
