package cluster

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pulumi/pulumi-azure-native-sdk/containerservice/v3"
	"github.com/pulumi/pulumi-azure-native-sdk/resources/v3"
	azurenative "github.com/pulumi/pulumi-azure-native-sdk/v3"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/kubeconfig"
	"ha-iris/internal/pattern"
	"ha-iris/internal/problems"
	"ha-iris/internal/traits"
)

// AKS is Azure Kubernetes Service.
const AKS Cloud = "aks"

func aksKind() kind {
	return kind{
		cloud: AKS,
		defaults: Config{
			// Set although Azure has a default: if it were unset, setting it later could start an unwanted upgrade.
			KubernetesVersion: "1.35",
			InstanceType:      "Standard_D4as_v5",
			// 256 GiB is a tier of Azure's managed disks (P15); a size between two tiers is billed as the larger one.
			DataDiskGiB: 256,
			// Not Azure's default 10.0.0.0/16, which is the commonest virtual network; it cannot be changed later.
			ServiceCIDR: "172.16.0.0/16",
		},
		keys: createdKeys("nodeVersion", "nodeGeneration", "subnetIds", "grantSubnetAccess", "serviceCidr", "aadAdminGroups"),
		notes: map[string]string{
			"kubernetesVersion": "also with a patch",
			"dataDiskGiB":       "the node's boot disk, because node pools have no other",
			"nodeVersion":       "also with a patch",
			"zones":             "1, 2, 3; not set, all three; refused on a running cluster",
			"subnetIds":         "one resource id",
		},
		own: map[string]func(*Config) *string{
			azureLocationKey:              func(c *Config) *string { return &c.Region },
			"azure-native:subscriptionId": func(c *Config) *string { return &c.Subscription },
		},
		validate:      Config.validateAKS,
		limits:        limits{nodes: 3000, sourceRanges: 200, tags: 50 - 4, why: "AKS' limit of 1000 for each of the three node pools"},
		cores:         azureCores,
		memoryPerCore: azureMemoryPerCore,
		traits: traits.Traits{
			Storage: traits.Storage{
				// The same on every Linux node of AKS, EKS and GKE; set, so that Longhorn starts no probe pod to find it.
				KubeletRootDir: "/var/lib/kubelet",
				// Only this program's pool has the label, so that Longhorn does not use the small disks of a pool that is added later.
				LabelledDisksOnly: true,
				// Pools have no data disks (Azure/AKS#401), and the OS disk holds the system and the images as well.
				DedicatedDisk: false,
				// There is no hook for user data, and multipathd runs on AKS's Ubuntu.
				PrepareNodes: true,
				SurgeNodes:   true, // upgradeSettings of the pools, for upgrades that this program does not make.
				NewDisks:     true, // Repairs and upgrades reimage the disk.
			},
			Service: traits.Service{
				Annotations: map[string]string{
					// In minutes. Azure drops idle connections after 4; 30 is the annotation's maximum. Clients of the
					// superserver keep connections open and idle.
					"service.beta.kubernetes.io/azure-load-balancer-tcp-idle-timeout": "30",
				},
				InternalAnnotations: map[string]string{
					"service.beta.kubernetes.io/azure-load-balancer-internal": "true",
				},
			},
		},
		backups:   true,
		provision: (*Cluster).aks,
	}
}

const (
	azureLocationKey = "azure-native:location"
	azureCredentials = "run: az login; or set ARM_CLIENT_ID, ARM_TENANT_ID, ARM_SUBSCRIPTION_ID and ARM_CLIENT_SECRET"
)

var (
	azureLocation = pattern.Lazy(`^[a-z]+[a-z0-9]*$`)
	azureVersion  = pattern.Lazy(`^1\.\d+(\.\d+)?$`)
	azureSubnetID = pattern.Lazy(
		`(?i)^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.Network/virtualNetworks/[^/]+/subnets/[^/]+$`)
	azureObjectID  = pattern.Lazy(`^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$`)
	azureTagsKey   = pattern.Lazy(`^[^<>%&\\?/]+$`)
	azureTagsValue = pattern.Lazy(`^.*$`)
)

// azureTags are Azure's rules: up to 512 characters in a name, none of them of <>%&\?/, and 256 in a value.
func azureTags() tagRules {
	return tagRules{
		key: azureTagsKey, keyLength: 512,
		value: azureTagsValue, valueLength: 256,
		reserved: []string{"microsoft", "azure", "windows"},
		want:     `a name without <>%&\?/ that does not start with microsoft, azure or windows, and up to 256 characters`,
	}
}

// azureZones are the zones of every region that has any: Azure numbers them anew for each subscription.
func azureZones() []string { return []string{"1", "2", "3"} }

// azureWithoutZones are the public regions that had no availability zones in Microsoft's list of regions of 2025. It is
// not applied when cluster.zones is set, so that a region that has got zones since can be used.
//
//nolint:gochecknoglobals // A literal list that nothing writes to.
var azureWithoutZones = []string{
	"australiacentral", "australiacentral2", "australiasoutheast", "brazilsoutheast", "canadaeast", "francesouth",
	"germanynorth", "jioindiacentral", "jioindiawest", "koreasouth", "northcentralus", "norwaywest", "southafricawest",
	"southindia", "swedensouth", "switzerlandwest", "uaecentral", "ukwest", "westcentralus", "westindia", "westus",
}

func (c Config) validateAKS(found *problems.List) {
	zones := azureZones()
	c.checkName(found)
	c.checkRegion(found, azureLocationKey, azureLocation, "westeurope")
	if slices.Contains(azureWithoutZones, c.Region) && len(c.Zones) == 0 {
		found.Add(azureLocationKey, c.Region, "a region with three availability zones, such as westeurope (if this one "+
			"has got them since, list them in cluster.zones)")
	}
	c.checkPattern(found, "kubernetesVersion", c.KubernetesVersion, azureVersion, "a version such as 1.35 or 1.35.6")
	c.checkPattern(found, "nodeVersion", c.NodeVersion, azureVersion, "a version such as 1.35 or 1.35.6")
	c.checkPattern(found, "instanceType", c.InstanceType, azureVMSize, "an Azure VM size, such as Standard_D4as_v5")
	c.checkZones(found, func(zone string) bool { return slices.Contains(zones, zone) }, "one of "+strings.Join(zones, ", "))
	c.checkDisk(found, diskLimits{minimum: 100, maximum: 2048, why: "the node's OS disk, which Azure limits to 2048, " +
		"holds the system, the images and the replicas"})
	c.checkSubnets(found, 1, azureSubnetID, "the subnet's resource id: /subscriptions/.../subnets/NAME")
	if !c.GrantSubnetAccess && len(c.SubnetIDs) == 0 {
		found.Add("cluster.grantSubnetAccess", false, "nothing without cluster.subnetIds: access to a network of its own the cluster has")
	}
	c.checkServiceCIDR(found)
	checkItems(found, "cluster.aadAdminGroups", c.AADAdminGroups, azureObjectID().MatchString, "a group that is not listed twice",
		"the group's object id, such as 00000000-0000-0000-0000-000000000000: az ad group show --group NAME --query id")
	c.checkSourceRanges(found)
	c.checkTags(found, azureTags())
}

// aks provides a cluster on Azure. Azure creates the identity and, unless cluster.subnetIds is set, the network.
func (c *Cluster) aks(ctx *pulumi.Context, name string, cfg Config) error {
	a, err := newAKS(ctx, name, c, cfg)
	if err != nil {
		return err
	}
	if err := a.checkNetwork(); err != nil {
		return err
	}
	group, err := a.resourceGroup()
	if err != nil {
		return err
	}
	managed, err := a.controlPlane(group)
	if err != nil {
		return err
	}
	if err := a.backups(); err != nil {
		return err
	}
	if err := c.reach(a.kubeconfig(group, managed)); err != nil {
		return err
	}
	access, err := a.grantSubnet(managed)
	if err != nil {
		return err
	}
	pools, err := a.nodes(group, managed, access)
	if err != nil {
		return err
	}
	c.Name, c.Lifetime = managed.Name, managed
	c.Ready = append([]pulumi.Resource{managed}, pools...)
	return c.connect(ctx, name, pools)
}

type aks struct{ scope }

func newAKS(ctx *pulumi.Context, name string, component *Cluster, cfg Config) (*aks, error) {
	provider, err := azurenative.NewProvider(ctx, name, &azurenative.ProviderArgs{
		Location:       pulumi.String(cfg.Region),
		SubscriptionId: optional(cfg.Subscription),
	}, pulumi.Parent(component))
	if err != nil {
		return nil, fmt.Errorf("create Azure provider: %w", err)
	}
	// The result is not used: the call makes missing credentials an error of the preview, with advice. It is untyped because
	// the Go module authorization cannot be downloaded in this version (containerservice, resources and the root can).
	var client struct{}
	err = ctx.Invoke("azure-native:authorization:getClientConfig", nil, &client,
		pulumi.Parent(component), pulumi.Provider(provider))
	if err != nil {
		return nil, lookupError("ask Azure who we are", err, azureCredentials)
	}
	return &aks{scope{ctx: ctx, component: component, cfg: cfg, provider: provider}}, nil
}

// resourceGroup creates the group of the managed cluster. AKS creates the nodes, and the network unless cluster.subnetIds is
// set, in a second group of its own.
func (a *aks) resourceGroup() (*resources.ResourceGroup, error) {
	group, err := resources.NewResourceGroup(a.ctx, a.name(""), &resources.ResourceGroupArgs{
		Location: pulumi.String(a.cfg.Region),
		Tags:     pulumi.ToStringMap(a.tags()),
	}, a.options()...)
	if err != nil {
		return nil, fmt.Errorf("create resource group: %w", err)
	}
	return group, nil
}

// identity is created and managed by Azure, so no secret has to be rotated.
func (a *aks) identity() *containerservice.ManagedClusterIdentityArgs {
	return &containerservice.ManagedClusterIdentityArgs{Type: containerservice.ResourceIdentityTypeSystemAssigned}
}

func (a *aks) controlPlane(group *resources.ResourceGroup) (*containerservice.ManagedCluster, error) {
	managed, err := containerservice.NewManagedCluster(a.ctx, a.name(""), &containerservice.ManagedClusterArgs{
		ResourceGroupName: group.Name,
		Location:          pulumi.String(a.cfg.Region),
		DnsPrefix:         pulumi.String(a.cfg.Name),
		KubernetesVersion: pulumi.String(a.cfg.KubernetesVersion),
		Identity:          a.identity(),
		// Standard has an availability guarantee; Free is meant for trying out.
		Sku: &containerservice.ManagedClusterSKUArgs{
			Name: pulumi.String("Base"),
			Tier: pulumi.String(string(containerservice.ManagedClusterSKUTierStandard)),
		},
		EnableRBAC: pulumi.Bool(true),
		// The admin kubeconfig is a local account; with these disabled it would need a CLI and a login (kubelogin).
		DisableLocalAccounts:   pulumi.Bool(false),
		AadProfile:             a.administrators(),
		ApiServerAccessProfile: a.access(),
		// For workloads that ask Azure for something. Neither can be switched off again.
		OidcIssuerProfile: &containerservice.ManagedClusterOIDCIssuerProfileArgs{Enabled: pulumi.Bool(true)},
		SecurityProfile: &containerservice.ManagedClusterSecurityProfileArgs{
			WorkloadIdentity: &containerservice.ManagedClusterSecurityProfileWorkloadIdentityArgs{Enabled: pulumi.Bool(true)},
		},
		// Both are off: an automatic upgrade reimages the nodes in place and wipes the disk with the replicas (Longhorn,
		// "Upgrade Kubernetes on AKS"). Nor Unmanaged, with which Ubuntu's unattended-upgrades patches packages, but on all
		// zones in the same night and no kernel until a reboot: on 2022-08-30 that cut nodes off from DNS
		// (Azure/AKS#3162). cluster.nodeGeneration brings all patches, zone by zone. A change between None and
		// Unmanaged reimages all nodes, to the other channels it does not (AKS, "Autoupgrade node OS images").
		AutoUpgradeProfile: &containerservice.ManagedClusterAutoUpgradeProfileArgs{
			UpgradeChannel:       pulumi.String(string(containerservice.UpgradeChannelNone)),
			NodeOSUpgradeChannel: pulumi.String(string(containerservice.NodeOSUpgradeChannelNone)),
		},
		NetworkProfile:    a.networkProfile(),
		NodeResourceGroup: group.Name.ApplyT(a.nodeResourceGroup).(pulumi.StringOutput),
		AgentPoolProfiles: containerservice.ManagedClusterAgentPoolProfileArray{a.systemPool()},
		Tags:              pulumi.ToStringMap(a.tags()),
	}, a.options(
		// 45 min: creation takes about 5, but a control plane upgrade has taken 30 in a slow region.
		pulumi.Timeouts(&pulumi.CustomTimeouts{Create: "45m", Update: "45m", Delete: "45m"}),
		pulumi.Protect(a.component.protect), // Replacing it would replace everything.
		// A refresh finds the other pools in this list.
		pulumi.IgnoreChanges([]string{"agentPoolProfiles"}),
	)...)
	if err != nil {
		return nil, fmt.Errorf("create managed cluster: %w", err)
	}
	return managed, nil
}

// access restricts the API server. Azure adds the nodes' outgoing addresses itself.
func (a *aks) access() containerservice.ManagedClusterAPIServerAccessProfilePtrInput {
	if len(a.cfg.APIServerSourceRanges) == 0 {
		return nil
	}
	return &containerservice.ManagedClusterAPIServerAccessProfileArgs{
		AuthorizedIPRanges: pulumi.ToStringArray(a.cfg.APIServerSourceRanges),
	}
}

// kubeconfig fetches the cluster's admin credentials: a client certificate that lasts about two years, so nothing
// expires during a long up or before a destroy, and no CLI is needed. The certificate is read at every up. Do not rotate
// it with az aks rotate-certs: that recreates all nodes, and the replicas on their disks are lost.
func (a *aks) kubeconfig(group *resources.ResourceGroup, managed *containerservice.ManagedCluster) pulumi.StringOutput {
	credentials := containerservice.ListManagedClusterAdminCredentialsOutput(a.ctx,
		containerservice.ListManagedClusterAdminCredentialsOutputArgs{
			ResourceGroupName: group.Name,
			ResourceName:      managed.Name,
		}, pulumi.Parent(a.component), pulumi.Provider(a.provider))
	return credentials.Kubeconfigs().ApplyT(adminKubeconfig).(pulumi.StringOutput)
}

// adminKubeconfig takes the kubeconfig out of Azure's answer. Errors never quote it, because it contains a key.
func adminKubeconfig(credentials []containerservice.CredentialResultResponse) (string, error) {
	if len(credentials) == 0 {
		return "", errors.New("no admin credentials from Azure; are local accounts disabled on the cluster?")
	}
	content, err := base64.StdEncoding.DecodeString(credentials[0].Value)
	if err != nil {
		return "", errors.New("admin credentials from Azure are not base64")
	}
	if _, err := kubeconfig.Parse(content); err != nil {
		return "", errors.New("admin credentials from Azure are not a kubeconfig")
	}
	return string(content), nil
}
