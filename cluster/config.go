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
	// another cluster. Of a cluster that is created: up to 24 lower-case letters, digits and hyphens. Default: PROJECT-STACK.
	Name string `json:"name"`
	// Nodes is how many nodes the cluster has, if it exists already, or gets; then a multiple of 3, because each zone has a pool
	// of its own. Default: 3.
	Nodes int `json:"nodes"`

	// KubernetesVersion is the control plane's version, such as 1.35. Raising it upgrades the control plane and no node.
	KubernetesVersion string `json:"kubernetesVersion"`
	// InstanceType is the nodes' machine type as the cloud calls it; 4 cores and 16 GiB are Longhorn's advice plus room
	// for IRIS.
	InstanceType string `json:"instanceType"`
	// DataDiskGiB is the size in GiB of the disk that holds the replicas, per node.
	DataDiskGiB int `json:"dataDiskGiB"`
	// NodeVersion is the Kubernetes version of the nodes, such as 1.35. Raising it replaces the nodes, zone by zone. Default: the
	// control plane's at their creation.
	NodeVersion string `json:"nodeVersion"`
	// NodeGeneration is any number. Another one replaces the nodes, zone by zone, by ones of the cloud's newest image, which has
	// the latest security patches. Default: 0.
	NodeGeneration int `json:"nodeGeneration"`
	// RollTimeout is how long each zone waits for healthy volumes when nodes are replaced, as a number with a unit: 90m, 2h.
	// After it the up fails and can be repeated.
	RollTimeout string `json:"rollTimeout"`
	// Zones are the three availability zones. Nodes do not move to others.
	Zones []string `json:"zones" strict:"number"`
	// Tags are put on everything that can carry them, next to those of this program.
	Tags map[string]string `json:"tags"`
	// APIServerSourceRanges are the networks in CIDR notation that may reach the API server. The machine that runs pulumi
	// must be in one of them. Default: none, which every one of the clouds takes for "the internet".
	APIServerSourceRanges []string `json:"apiServerSourceRanges"`

	// SubnetIDs are subnets that exist already. Default: the network is created.
	SubnetIDs []string `json:"subnetIds"`
	// GrantSubnetAccess makes the stack give the cluster's identity the role that it needs on cluster.subnetIds, for which the stack
	// needs the right to grant roles. With false somebody else has to: docs/security.md. Default: true.
	GrantSubnetAccess bool `json:"grantSubnetAccess"`
	// ServiceCIDR is the network of the Services' addresses, /12 to /24. They exist in the cluster only, but pods do not reach other
	// networks that overlap with it. The tenth address is the DNS server's. Cannot be changed.
	ServiceCIDR string `json:"serviceCidr"`
	// AADAdminGroups are the object ids of groups in the cloud's directory whose members become administrators of the cluster with
	// their own login, beside the stack's own kubeconfig. Once set, there is no way back. Default: none.
	AADAdminGroups []string `json:"aadAdminGroups"`
	// PrivateNodes gives the nodes no public address, but NAT. To be decided before the first up. Default: false.
	PrivateNodes bool `json:"privateNodes"`
	// AssumeRoleARN is a role that this program and the kubeconfig act as. Default: your own identity.
	AssumeRoleARN string `json:"assumeRoleArn"`
	// ControlPlaneLogs are the control plane's logs that the cloud keeps, of api, audit, authenticator, controllerManager and
	// scheduler; [] for none. They are billed by volume, about 0.50 US dollars per GB, and kept until you set a retention.
	// Default: api, audit, authenticator.
	ControlPlaneLogs []string `json:"controlPlaneLogs"`
	// Network is a VPC network that exists already: its name, or projects/HOST/global/networks/NAME when it belongs to another
	// project (shared VPC). Default: the project's network "default".
	Network string `json:"network"`
	// Subnetwork is a subnetwork of cluster.network in the region: its name, or in a shared VPC
	// projects/HOST/regions/REGION/subnetworks/NAME. Default: the region's of an auto-mode network.
	Subnetwork string `json:"subnetwork"`
	// PodRange is the name of the secondary range of cluster.subnetwork for the pods. Needed in a shared VPC. Default: one is made.
	PodRange string `json:"podRange"`
	// ServiceRange is the name of the secondary range of cluster.subnetwork for the Services. It goes with cluster.podRange.
	// Default: one is made.
	ServiceRange string `json:"serviceRange"`
	// NodeServiceAccount is the e-mail address of a service account for the nodes. Default: one is created that can do what
	// nodes must and nothing more.
	NodeServiceAccount string `json:"nodeServiceAccount"`
	// MaintenanceExclusions are periods START/END in RFC 3339 in which the cloud upgrades no node, at most three. Default:
	// none; upgrades happen on weekends.
	MaintenanceExclusions []string `json:"maintenanceExclusions"`
	// DeletionProtection makes the cloud refuse to delete the cluster. Default: false, because switching it off takes an up
	// of its own before every destroy, and the database's volume is protected by iris.protectData already.
	DeletionProtection bool `json:"deletionProtection"`

	// KubeconfigPath is the cluster's kubeconfig file, relative to the project.
	KubeconfigPath string `json:"kubeconfigPath"`
	// Context is the cluster's context in the kubeconfig. Needed when the kubeconfig has more than one.
	Context string `json:"context"`

	// Kubeconfig is the kubeconfig's content, from the secret ha-iris:kubeconfig, as the alternative to
	// cluster.kubeconfigPath.
	Kubeconfig secret.Value `json:"-" secret:"kubeconfig"`
	// Region, Project and Subscription say where the cluster is created. They are keys of the cloud's own namespace of the
	// configuration; each kind says which.
	Region, Project, Subscription string `json:"-"`

	// access is the existing cluster's kubeconfig, once Resolve has read it.
	access *access
}

// DefaultConfig returns the configuration of a stack that sets nothing. What depends on the cloud is added by
// WithDefaults, but for the logs: there an empty list is a choice, and the CLI hands over the list that stands in Pulumi.yaml
// as if the stack had set it.
func DefaultConfig() Config {
	return Config{Nodes: MinNodes, GrantSubnetAccess: true, ControlPlaneLogs: []string{"api", "audit", "authenticator"}}
}

// Resolve returns the configuration completed with the keys of the cloud's own configuration namespace, such as its region, the
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

// DataDisk returns the size in GiB of the disk that holds a node's replicas; false where the program does not make it.
// Whether it holds nothing else is Traits().Storage.DedicatedDisk.
func (c Config) DataDisk() (gib int, known bool) {
	return c.DataDiskGiB, slices.Contains(cloudsWith("dataDiskGiB"), c.Cloud) && c.DataDiskGiB > 0
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
		if c.creates() {
			c.checkNodes(&found)
			c.checkRolls(&found)
		}
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
