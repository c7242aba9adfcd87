package cluster

import (
	"fmt"
	"maps"
	"slices"

	"ha-iris/internal/problems"
	"ha-iris/internal/secret"
	"ha-iris/internal/traits"
)

// MinNodes is how many nodes a replicated volume needs to survive the loss of one and still have a majority of healthy
// replicas. It is the number in Longhorn's best practices.
const MinNodes = 3

// zoneCount is how many zones a cluster that we create spreads over: with three, losing one leaves two replicas of three.
const zoneCount = 3

// Config is the object ha-iris:cluster of the stack's configuration. A zero value means "not set". Settings that do not
// belong to the chosen cloud are refused, so that none is silently without effect.
type Config struct {
	// Cloud says where the cluster comes from.
	Cloud Cloud `json:"cloud"`
	// Name is the cluster's name; the cloud's objects are called NAME-SUFFIX. Changing it on a running stack asks for
	// another cluster. On aks, eks and gke: up to 24 lower-case letters, digits and hyphens. Default: PROJECT-STACK.
	Name string `json:"name"`
	// Nodes is how many nodes the cluster has (existing) or gets; on aks, eks and gke a multiple of 3, because each zone has a
	// pool of its own. Default: 3.
	Nodes int `json:"nodes"`

	// KubernetesVersion is the control plane's version: 1.35 (aks, eks), on aks and gke also with a patch. Raising it
	// upgrades the control plane and no node. Default: 1.35 on aks and eks, the stable channel's on gke.
	KubernetesVersion string `json:"kubernetesVersion"`
	// InstanceType is the nodes' machine type as the cloud calls it (aks, eks, gke); 4 cores and 16 GiB are Longhorn's
	// advice plus room for IRIS. Default: Standard_D4as_v5, m6i.xlarge, e2-standard-4.
	InstanceType string `json:"instanceType"`
	// DataDiskGiB is the size in GiB of the disk that holds the replicas, per node (aks, eks, gke). On eks a disk of its
	// own; on aks and gke, which offer none, the node's boot disk. Default: 256, 200, 256.
	DataDiskGiB int `json:"dataDiskGiB"`
	// NodeVersion is the Kubernetes version of the nodes: 1.35 or 1.35.6 on aks, 1.35 or a release of EKS's image such as
	// 1.35.1-20261118 on eks. Raising it replaces the nodes, zone by zone. Default: the control plane's at their creation.
	NodeVersion string `json:"nodeVersion"`
	// NodeGeneration is any number (aks). Another one replaces the nodes, zone by zone, by ones of Azure's newest image, which has
	// the latest security patches. Default: 0.
	NodeGeneration int `json:"nodeGeneration"`
	// RollTimeout is how long each zone waits for healthy volumes when nodes are replaced (aks, eks, gke), as a number with a
	// unit: 90m, 2h. After it the up fails and can be repeated. Default: 2h.
	RollTimeout string `json:"rollTimeout"`
	// Zones are the three availability zones: 1, 2, 3 (aks), names or ids (eks), names (gke). Nodes do not move: on a
	// running cluster a change is refused (aks) or without effect (eks, gke). Default: all three on aks, the region's
	// first three usable ones on eks and gke.
	Zones []string `json:"zones" strict:"number"`
	// Tags are put on everything that can carry them (labels on gke), next to those of this program (aks, eks, gke).
	Tags map[string]string `json:"tags"`
	// APIServerSourceRanges are the networks in CIDR notation that may reach the API server (aks, eks, gke). The machine
	// that runs pulumi must be in one of them. Default: none, which every one of the clouds takes for "the internet".
	APIServerSourceRanges []string `json:"apiServerSourceRanges"`

	// SubnetIDs are subnets that exist already: one resource id on aks, three subnet-... in three zones on eks. Default:
	// the network is created.
	SubnetIDs []string `json:"subnetIds"`
	// GrantSubnetAccess makes the stack give the cluster's identity the role Network Contributor on cluster.subnetIds, which
	// takes the right to grant roles (aks). With false somebody else has to: docs/security.md. Default: true.
	GrantSubnetAccess bool `json:"grantSubnetAccess"`
	// ServiceCIDR is the network of the Services' addresses, /12 to /24 (aks). They exist in the cluster only, but pods do not
	// reach other networks that overlap with it. The tenth address is the DNS server's. Cannot be changed. Default: 172.16.0.0/16.
	ServiceCIDR string `json:"serviceCidr"`
	// AADAdminGroups are the object ids of groups in Microsoft Entra ID (Azure AD) whose members become administrators of the
	// cluster with their own login, beside the stack's own kubeconfig (aks). Once set, Azure does not go back. Default: none.
	AADAdminGroups []string `json:"aadAdminGroups"`
	// PrivateNodes gives the nodes no public address: with a NAT gateway per zone on eks, with Cloud NAT on gke, where a network of
	// yours must have a NAT of its own. To be decided before the first up. Default: false.
	PrivateNodes bool `json:"privateNodes"`
	// AssumeRoleARN is a role that this program and the kubeconfig act as (eks). Default: your own identity.
	AssumeRoleARN string `json:"assumeRoleArn"`
	// Network is a VPC network that exists already (gke): its name, or projects/HOST/global/networks/NAME when it belongs to
	// another project (shared VPC). Default: the project's network "default".
	Network string `json:"network"`
	// Subnetwork is a subnetwork of Network in the region (gke): its name, or in a shared VPC
	// projects/HOST/regions/REGION/subnetworks/NAME. Default: the region's of an auto-mode network.
	Subnetwork string `json:"subnetwork"`
	// PodRange is the name of the secondary range of cluster.subnetwork for the pods (gke). Needed in a shared VPC. Default: one is made.
	PodRange string `json:"podRange"`
	// ServiceRange is the name of the secondary range of cluster.subnetwork for the Services (gke). It goes with cluster.podRange. Default: one is
	// made.
	ServiceRange string `json:"serviceRange"`
	// NodeServiceAccount is the e-mail address of a service account for the nodes (gke). Default: one is created that
	// can do what nodes must and nothing more.
	NodeServiceAccount string `json:"nodeServiceAccount"`
	// MaintenanceExclusions are periods START/END in RFC 3339 in which Google upgrades no node, at most three (gke).
	// Default: none; upgrades happen on weekends.
	MaintenanceExclusions []string `json:"maintenanceExclusions"`
	// DeletionProtection makes Google refuse to delete the cluster (gke). Default: false, because switching it off takes
	// an up of its own before every destroy, and the database's volume is protected by iris.protectData already.
	DeletionProtection bool `json:"deletionProtection"`

	// KubeconfigPath is the kubeconfig file of an existing cluster, relative to the project.
	KubeconfigPath string `json:"kubeconfigPath"`
	// Context is the kubeconfig context of an existing cluster. Needed when the kubeconfig has more than one.
	Context string `json:"context"`

	// Kubeconfig is the kubeconfig's content, from the secret ha-iris:kubeconfig, as the alternative to KubeconfigPath.
	Kubeconfig secret.Value `json:"-" secret:"kubeconfig"`
	// Region is where the cluster is created: azure-native:location, aws:region or gcp:region.
	Region string `json:"-"`
	// Project is the Google Cloud project: gcp:project.
	Project string `json:"-"`
	// Subscription is the Azure subscription's id: azure-native:subscriptionId. Default: the one of your credentials.
	Subscription string `json:"-"`

	// access is the existing cluster's kubeconfig, once Resolve has read it.
	access *access
}

// DefaultConfig returns the configuration of a stack that sets nothing. What depends on the cloud is added by
// WithDefaults.
func DefaultConfig() Config { return Config{Nodes: MinNodes, GrantSubnetAccess: true} }

// Resolve returns the configuration completed with the keys of the cloud's own configuration namespace, such as aws:region, the
// defaults, and the kubeconfig of an existing cluster, which is read here once. get returns the value of a key, or "". Validate
// reports the errors.
func (c Config) Resolve(get func(key string) string) Config {
	kind, _ := c.kind()
	for key, field := range kind.own {
		*field(&c) = get(key)
	}
	c = c.WithDefaults()
	if kind.resolve != nil {
		kind.resolve(&c)
	}
	return c
}

// WithDefaults returns the configuration with the cloud's defaults in place of what is not set. Zones stay as they are:
// only the cloud knows the region's.
func (c Config) WithDefaults() Config {
	kind, _ := c.kind()
	defaults := kind.defaults
	if c.KubernetesVersion == "" {
		c.KubernetesVersion = defaults.KubernetesVersion
	}
	if c.InstanceType == "" {
		c.InstanceType = defaults.InstanceType
	}
	if c.DataDiskGiB == 0 {
		c.DataDiskGiB = defaults.DataDiskGiB
	}
	if c.RollTimeout == "" {
		c.RollTimeout = defaults.RollTimeout
	}
	if c.ServiceCIDR == "" {
		c.ServiceCIDR = defaults.ServiceCIDR
	}
	return c
}

// Traits returns what is particular about the configured kind of cluster, known before it exists.
func (c Config) Traits() traits.Traits {
	kind, _ := c.kind()
	return kind.traits
}

// DataDisk returns the size in GiB of the disk that holds a node's replicas; false for an existing cluster.
// Whether it holds nothing else is Traits().Storage.DedicatedDisk.
func (c Config) DataDisk() (gib int, known bool) {
	return c.DataDiskGiB, c.Cloud != Existing && c.DataDiskGiB > 0
}

// Validate returns every problem of the configuration, or nil. It makes no network call, and reads the kubeconfig
// file only if Resolve has not. New checks what only the cloud knows (a region's zones), before it creates anything.
func (c Config) Validate() error {
	var found problems.List
	if c.Name == "" {
		found.AddMissing("cluster.name", "a name")
	}
	if c.Nodes < MinNodes {
		found.Add("cluster.nodes", c.Nodes, fmt.Sprintf(
			"at least %d: with fewer, losing one leaves no majority of healthy replicas", MinNodes))
	}
	kind, known := c.kind()
	switch {
	case known:
		c.refuseForeign(&found)
		kind.validate(c, &found)
		c.checkLimits(&found, kind.limits)
	case c.Cloud == "":
		found.AddMissing("cluster.cloud", "one of "+cloudNames())
	default:
		found.Add("cluster.cloud", string(c.Cloud), "one of "+cloudNames())
	}
	return found.Err()
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
