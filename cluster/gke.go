package cluster

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp"
	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/container"
	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/projects"
	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/serviceaccount"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/guard"
	"ha-iris/internal/kubeconfig"
	"ha-iris/internal/pattern"
	"ha-iris/internal/problems"
	"ha-iris/internal/traits"
)

// GKE is Google Kubernetes Engine, in its Standard mode: Autopilot does not allow the privileged pods that Longhorn needs.
const GKE Cloud = "gke"

func gkeKind() kind {
	return kind{
		cloud: GKE,
		// No version: the release channel chooses a supported one, while Google refuses a pinned one some day.
		defaults: Config{InstanceType: "e2-standard-4", DataDiskGiB: 256},
		keys: createdKeys("network", "subnetwork", "podRange", "serviceRange", "privateNodes", "nodeServiceAccount",
			"maintenanceExclusions", "deletionProtection"),
		notes: map[string]string{
			"kubernetesVersion": "also with a patch; not set, the stable channel's",
			"dataDiskGiB":       "the node's boot disk, because node pools have no other",
			"zones":             "names; not set, the region's first three usable ones; without effect on a running cluster",
			"tags":              "as labels",
			"privateNodes":      "Cloud NAT; a network of yours must have a NAT of its own",
		},
		own: map[string]func(*Config) *string{
			gcpRegionKey:  func(c *Config) *string { return &c.Region },
			gcpProjectKey: func(c *Config) *string { return &c.Project },
		},
		validate:      Config.validateGKE,
		limits:        limits{nodes: 3000, sourceRanges: 100, tags: 64 - 4, why: "GKE's limit of 1000 for each of the three node pools"},
		cores:         gcpCores,
		memoryPerCore: gcpMemoryPerCore,
		traits: traits.Traits{
			Storage: traits.Storage{
				KubeletRootDir:    "/var/lib/kubelet",
				LabelledDisksOnly: true, // As on AKS.
				// On the boot disk of the Ubuntu image; pools have no persistent data disks. (Container-Optimized OS would
				// not do for Longhorn: its /var/lib is mounted noexec.)
				DedicatedDisk: false,
				// There is no hook for user data, and it is not documented that the image starts iscsid.
				PrepareNodes:   true,
				SurgeNodes:     true, // upgradeSettings of the pools.
				NewDisks:       true,
				BackupEndpoint: gcpObjects,
			},
			Service: traits.Service{
				// None: the load balancer is a pass-through one and has no idle timeout.
				Annotations: nil,
				InternalAnnotations: map[string]string{
					"networking.gke.io/load-balancer-type": "Internal",
				},
			},
		},
		backups:   true,
		provision: (*Cluster).gke,
	}
}

const (
	gcpRegionKey   = "gcp:region"
	gcpProjectKey  = "gcp:project"
	gcpCredentials = "run: gcloud auth application-default login; or set GOOGLE_APPLICATION_CREDENTIALS to a key file"
)

var (
	gcpRegion         = pattern.Lazy(`^[a-z]+-[a-z]+\d+$`)
	gcpProject        = pattern.Lazy(`^([a-z][a-z0-9.-]*:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$`)
	gcpVersion        = pattern.Lazy(`^1\.\d+(\.\d+(-gke\.\d+)?)?$`)
	gcpServiceAccount = pattern.Lazy(`^[^@\s]+@[^@\s]+\.gserviceaccount\.com$`)
	gcpNotInLabel     = pattern.Lazy(`[^a-z0-9_-]`)
	gcpLabelsKey      = pattern.Lazy(`^[a-z][a-z0-9_-]*$`)
	gcpLabelsValue    = pattern.Lazy(`^[a-z0-9_-]*$`)
)

// gcpLabels are Google's rules: 63 lower-case letters, digits, _ and -.
func gcpLabels() tagRules {
	return tagRules{
		key: gcpLabelsKey, keyLength: 63,
		value: gcpLabelsValue, valueLength: 63,
		reserved: []string{"goog"},
		want:     "a label of up to 63 lower-case letters, digits, _ and -, the name starting with a letter but not with goog",
	}
}

func (c Config) validateGKE(found *problems.List) {
	c.checkName(found)
	c.checkRegion(found, gcpRegionKey, gcpRegion, "europe-west1")
	switch {
	case c.Project == "":
		found.AddMissing(gcpProjectKey, "the project's id: pulumi config set "+gcpProjectKey+" ID")
	case !gcpProject().MatchString(c.Project):
		found.Add(gcpProjectKey, c.Project, "a project's id: 6 to 30 lower-case letters, digits and hyphens")
	}
	c.checkPattern(found, "kubernetesVersion", c.KubernetesVersion, gcpVersion, "a version such as 1.35 or 1.35.8-gke.1000")
	c.checkPattern(found, "instanceType", c.InstanceType, googleMachineType, "a machine type, such as e2-standard-4")
	c.checkZones(found, c.isGCPZone, "a zone of "+c.Region+" with a single letter, such as "+c.Region+"-b: AI zones have none "+
		"of the usual machines")
	c.checkDisk(found, diskLimits{minimum: 100, maximum: 65536, why: "the node's boot disk, which Google limits to 65536, " +
		"holds the system, the images and the replicas"})
	c.checkGCPNetwork(found)
	c.checkPattern(found, "nodeServiceAccount", c.NodeServiceAccount, gcpServiceAccount,
		"the e-mail address of a service account: NAME@PROJECT.iam.gserviceaccount.com")
	c.checkExclusions(found)
	c.checkSourceRanges(found)
	c.checkTags(found, gcpLabels())
}

// maxExclusions is Google's limit for exclusions of node upgrades.
const maxExclusions = 3

func (c Config) checkExclusions(found *problems.List) {
	if len(c.MaintenanceExclusions) > maxExclusions {
		found.Add("cluster.maintenanceExclusions", c.MaintenanceExclusions, fmt.Sprintf("at most %d periods", maxExclusions))
	}
	for i, period := range c.MaintenanceExclusions {
		if _, _, err := parsePeriod(period); err != nil {
			found.Add(fmt.Sprintf("cluster.maintenanceExclusions[%d]", i), period,
				"START/END in RFC 3339, such as 2026-12-15T00:00:00Z/2027-01-10T00:00:00Z, the end after the start")
		}
	}
}

// parsePeriod splits START/END, the notation of ISO 8601 for a period.
func parsePeriod(period string) (start, end time.Time, err error) {
	from, to, _ := strings.Cut(period, "/")
	if start, err = time.Parse(time.RFC3339, from); err != nil {
		return start, end, fmt.Errorf("start: %w", err)
	}
	if end, err = time.Parse(time.RFC3339, to); err != nil {
		return start, end, fmt.Errorf("end: %w", err)
	}
	if !end.After(start) {
		return start, end, fmt.Errorf("%s is not after %s", to, from)
	}
	return start, end, nil
}

// gke provides a cluster on Google Cloud, in a network that exists.
func (c *Cluster) gke(ctx *pulumi.Context, name string, cfg Config) error {
	g, err := newGKE(ctx, name, c, cfg)
	if err != nil {
		return err
	}
	zones, err := g.findZones()
	if err != nil {
		return err
	}
	gateways, err := g.gateways()
	if err != nil {
		return err
	}
	account, err := g.identity()
	if err != nil {
		return err
	}
	control, err := g.controlPlane(zones, account, gateways)
	if err != nil {
		return err
	}
	if err := g.backups(); err != nil {
		return err
	}
	if err := c.reach(g.kubeconfig(control)); err != nil {
		return err
	}
	var pools []pulumi.Resource
	var last *container.NodePool
	for i, zone := range zones {
		pool, err := g.nodePool(i, zone, account, control, pools)
		if err != nil {
			return err
		}
		pools, last = append(pools, pool), pool // One zone at a time. Google takes one operation at a time per cluster anyway.
	}
	c.Kubeconfig = g.settled(last, nil)
	c.Name, c.Lifetime = control.Name, control
	c.Ready = append([]pulumi.Resource{control}, pools...)
	return c.connect(ctx, name, pools)
}

type gke struct{ scope }

func newGKE(ctx *pulumi.Context, name string, component *Cluster, cfg Config) (*gke, error) {
	g := &gke{scope{ctx: ctx, component: component, cfg: cfg}}
	provider, err := gcp.NewProvider(ctx, name, &gcp.ProviderArgs{
		Project:       pulumi.String(cfg.Project),
		Region:        pulumi.String(cfg.Region),
		DefaultLabels: g.labels(),
	}, pulumi.Parent(component))
	if err != nil {
		return nil, fmt.Errorf("create Google Cloud provider: %w", err)
	}
	g.provider = provider
	return g, nil
}

// labels are the tags, as Google allows them. cluster.tags are validated; other characters in the stack's name are replaced by "-".
func (g *gke) labels() pulumi.StringMap {
	labels := pulumi.StringMap{}
	for key, value := range g.tags() {
		labels[key] = pulumi.String(gcpNotInLabel().ReplaceAllString(strings.ToLower(value), "-"))
	}
	return labels
}

// findZones returns the three zones to use. The program creates no network and uses cluster.network or the project's
// "default": the package with Google's network types is 245,000 lines to compile. findZones makes the first call to Google,
// which fails when credentials are wrong. (When there are none, the provider fails before, with advice on what to run.)
func (g *gke) findZones() ([]string, error) {
	// Untyped for the same reason: the typed function is in that package. Zones that are down are included, so that an up
	// works during an outage.
	args := struct {
		Project string `pulumi:"project"`
		Region  string `pulumi:"region"`
	}{g.cfg.Project, g.cfg.Region}
	var available struct {
		Names []string `pulumi:"names"`
	}
	err := g.ctx.Invoke("gcp:compute/getZones:getZones", &args, &available,
		pulumi.Parent(g.component), pulumi.Provider(g.provider))
	if err != nil {
		return nil, lookupError("look up the zones of "+g.cfg.Region, err, gcpCredentials)
	}
	return pickGCPZones(g.cfg, available.Names)
}

// isGCPZone accepts the region's name with a letter. Since January 2026 Google also lists AI zones, such as us-central1-ai1a, which
// have accelerators only (hashicorp/terraform-provider-google#25914).
func (c Config) isGCPZone(zone string) bool {
	letter, ours := strings.CutPrefix(zone, c.Region+"-")
	return ours && len(letter) == 1 && letter >= "a" && letter <= "z"
}

// pickGCPZones returns the configured zones, or the region's first three.
func pickGCPZones(cfg Config, names []string) ([]string, error) {
	var found problems.List
	names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !cfg.isGCPZone(name) })
	for i, zone := range cfg.Zones {
		if !slices.Contains(names, zone) {
			found.Add(fmt.Sprintf("cluster.zones[%d]", i), zone, "one of "+strings.Join(names, ", "))
		}
	}
	if len(cfg.Zones) > 0 {
		return cfg.Zones, found.Err()
	}
	if len(names) < zoneCount {
		found.Add(gcpRegionKey, cfg.Region, fmt.Sprintf(
			"a region with %d zones; this one has %s", zoneCount, strings.Join(names, ", ")))
		return nil, found.Err()
	}
	return slices.Sorted(slices.Values(names))[:zoneCount], nil
}

// nodeAccount is the service account of the nodes.
type nodeAccount struct {
	email pulumi.StringInput
	// grants are the roles that this program gave it.
	grants []pulumi.Resource
}

// nodeRoles are the roles that a node needs: for its logs and metrics (Google's own least-privilege role for nodes), and for
// images in the project's registry. The default account of Compute Engine is an editor of the whole project.
func nodeRoles() []string {
	return []string{"roles/container.defaultNodeServiceAccount", "roles/artifactregistry.reader"}
}

func (g *gke) identity() (*nodeAccount, error) {
	if g.cfg.NodeServiceAccount != "" {
		return &nodeAccount{email: pulumi.String(g.cfg.NodeServiceAccount)}, nil
	}
	account, err := serviceaccount.NewAccount(g.ctx, g.name("nodes"), &serviceaccount.AccountArgs{
		AccountId:   pulumi.String(g.name("nodes")), // The provider adds no random suffix to it.
		DisplayName: pulumi.String("Nodes of the GKE cluster " + g.cfg.Name),
	}, g.options()...)
	if err != nil {
		return nil, fmt.Errorf("create service account of the nodes: %w", err)
	}
	nodes := &nodeAccount{email: account.Email}
	for _, role := range nodeRoles() {
		grant, err := projects.NewIAMMember(g.ctx, g.name("nodes-"+role[strings.LastIndexAny(role, "/.")+1:]), &projects.IAMMemberArgs{
			Project: pulumi.String(g.cfg.Project),
			Role:    pulumi.String(role),
			Member:  pulumi.Sprintf("serviceAccount:%s", account.Email),
		}, g.options()...)
		if err != nil {
			return nil, fmt.Errorf("grant %s to the nodes: %w", role, err)
		}
		nodes.grants = append(nodes.grants, grant)
	}
	return nodes, nil
}

func (g *gke) controlPlane(zones []string, account *nodeAccount, gateways []pulumi.Resource) (*container.Cluster, error) {
	control, err := container.NewCluster(g.ctx, g.name(""), &container.ClusterArgs{
		Location:      pulumi.String(g.cfg.Region), // A region, so that the control plane survives the loss of a zone.
		NodeLocations: pulumi.ToStringArray(zones), // Otherwise Google chooses three.
		Network:       optional(g.cfg.Network),
		Subnetwork:    optional(g.cfg.Subnetwork),
		// Alias addresses: pods are reachable in the network without a route per node.
		NetworkingMode: pulumi.String("VPC_NATIVE"),
		IpAllocationPolicy: &container.ClusterIpAllocationPolicyArgs{
			ClusterSecondaryRangeName:  optional(g.cfg.PodRange),
			ServicesSecondaryRangeName: optional(g.cfg.ServiceRange),
		},
		PrivateClusterConfig: g.isolation(),
		// Enforces network policies. It cannot be changed later.
		DatapathProvider: pulumi.String("ADVANCED_DATAPATH"),
		// Google switches it on itself from 1.36; set here, so that this is not drift.
		EnableL4IlbSubsetting:          pulumi.Bool(true),
		MasterAuthorizedNetworksConfig: g.access(),
		// The stable channel has the fewest upgrades. Google has deprecated clusters without a channel.
		ReleaseChannel:         &container.ClusterReleaseChannelArgs{Channel: pulumi.String("STABLE")},
		MinMasterVersion:       optional(g.cfg.KubernetesVersion),
		MaintenancePolicy:      g.maintenance(),
		WorkloadIdentityConfig: &container.ClusterWorkloadIdentityConfigArgs{WorkloadPool: pulumi.String(g.cfg.Project + ".svc.id.goog")},
		// Google's default is true. It must be false in the state, not only in the configuration, before a destroy.
		DeletionProtection: pulumi.Bool(g.cfg.DeletionProtection),
		// The default pool can only be changed by replacing the cluster, so it is deleted at once.
		RemoveDefaultNodePool: pulumi.Bool(true),
		InitialNodeCount:      pulumi.Int(1),
		NodeConfig:            throwawayNodeConfig(account),
		ResourceLabels:        g.labels(),
	}, g.options(
		pulumi.DependsOn(gateways),          // Nodes without a way out get no images.
		pulumi.Protect(g.component.protect), // Replacing it would replace everything.
		pulumi.IgnoreChanges([]string{
			// It describes the deleted default pool, and Google reports the other pool's in its place, which would replace
			// the cluster (pulumi/pulumi#8991).
			"nodeConfig",
			"nodeLocations", // See the node pool.
		}),
		// Creation with the default pool takes 10 to 15 min; an upgrade covers three control planes one after another.
		pulumi.Timeouts(&pulumi.CustomTimeouts{Create: "45m", Update: "90m", Delete: "45m"}),
	)...)
	if err != nil {
		return nil, fmt.Errorf("create GKE cluster: %w", err)
	}
	return control, nil
}

// throwawayNodeConfig is that of the default pool, which is deleted at once. It is small, because three default SSD disks exceed
// the quota of a new project
// (terraform-google-modules/terraform-google-kubernetes-engine#1795), and has the nodes' account, because
// organizations disable the default one.
func throwawayNodeConfig(account *nodeAccount) *container.ClusterNodeConfigArgs {
	return &container.ClusterNodeConfigArgs{
		MachineType:    pulumi.String("e2-medium"),
		DiskType:       pulumi.String("pd-standard"),
		DiskSizeGb:     pulumi.Int(30),
		ServiceAccount: account.email,
		OauthScopes:    oauthScopes(),
	}
}

// oauthScopes allow everything, because the roles of the node's account limit what it may do; scopes are an older, coarser limit
// in addition.
func oauthScopes() pulumi.StringArray {
	return pulumi.StringArray{pulumi.String("https://www.googleapis.com/auth/cloud-platform")}
}

func (g *gke) access() container.ClusterMasterAuthorizedNetworksConfigPtrInput {
	if len(g.cfg.APIServerSourceRanges) == 0 {
		return nil
	}
	blocks := container.ClusterMasterAuthorizedNetworksConfigCidrBlockArray{}
	for _, cidr := range g.cfg.APIServerSourceRanges {
		blocks = append(blocks, &container.ClusterMasterAuthorizedNetworksConfigCidrBlockArgs{CidrBlock: pulumi.String(cidr)})
	}
	return &container.ClusterMasterAuthorizedNetworksConfigArgs{
		CidrBlocks: blocks,
		// Otherwise every virtual machine in Google Cloud, of any customer, has access too.
		GcpPublicCidrsAccessEnabled: pulumi.Bool(false),
	}
}

// maintenance keeps node upgrades to weekends: each upgraded node comes back with an empty disk, and its replicas
// are rebuilt. Google requires 48 hours in 32 days; these are at least 64.
func (g *gke) maintenance() *container.ClusterMaintenancePolicyArgs {
	exclusions := container.ClusterMaintenancePolicyMaintenanceExclusionArray{}
	for i, period := range g.cfg.MaintenanceExclusions {
		start, end, _ := strings.Cut(period, "/") // Validated.
		exclusions = append(exclusions, &container.ClusterMaintenancePolicyMaintenanceExclusionArgs{
			ExclusionName: pulumi.String(fmt.Sprintf("no-upgrades-%d", i+1)),
			StartTime:     pulumi.String(start),
			EndTime:       pulumi.String(end),
			ExclusionOptions: &container.ClusterMaintenancePolicyMaintenanceExclusionExclusionOptionsArgs{
				Scope: pulumi.String("NO_MINOR_OR_NODE_UPGRADES"), // Security patches of the control plane go on.
			},
		})
	}
	return &container.ClusterMaintenancePolicyArgs{
		RecurringWindow: &container.ClusterMaintenancePolicyRecurringWindowArgs{
			StartTime:  pulumi.String("2026-01-03T00:00:00Z"), // The first Saturday of 2026; only its time of day counts.
			EndTime:    pulumi.String("2026-01-03T08:00:00Z"),
			Recurrence: pulumi.String("FREQ=WEEKLY;BYDAY=SA,SU"),
		},
		MaintenanceExclusions: exclusions,
	}
}

// nodePool creates the nodes of zone i. before are the pools of the zones before.
func (g *gke) nodePool(i int, zone string, account *nodeAccount, control *container.Cluster, before []pulumi.Resource) (*container.NodePool, error) {
	guarded, err := g.guardPool(gkePool(i, zone))
	if err != nil {
		return nil, err
	}
	pool, err := container.NewNodePool(g.ctx, g.poolName(i+1), &container.NodePoolArgs{
		Cluster:       control.ID(),
		Location:      pulumi.String(g.cfg.Region),
		NodeLocations: pulumi.StringArray{pulumi.String(zone)},
		// Per zone, and there is one. Not initialNodeCount: changing that replaces the pool, and with it every replica in it.
		NodeCount: pulumi.Int(g.perZone()),
		Management: &container.NodePoolManagementArgs{
			AutoRepair:  pulumi.Bool(true),
			AutoUpgrade: pulumi.Bool(true), // Google refuses false in a release channel; see maintenance.
		},
		// A new node is added before an old one is removed, so that its replicas can move to it first (traits, SurgeNodes).
		UpgradeSettings: &container.NodePoolUpgradeSettingsArgs{
			Strategy: pulumi.String("SURGE"), MaxSurge: pulumi.Int(1), MaxUnavailable: pulumi.Int(0),
		},
		NodeConfig: g.nodeConfig(i+1, account),
	}, g.options(
		// The account's address does not depend on its roles, without which a node sends no logs.
		pulumi.DependsOn(slices.Concat(account.grants, before)),
		pulumi.Protect(g.component.protect),
		pulumi.IgnoreChanges([]string{
			"version",                                        // The release channel moves it.
			"nodeLocations",                                  // Nodes do not move: those in the old zone would be deleted, disks and all.
			"nodeConfig.serviceAccount",                      // Would replace the pool, and with it every replica in it.
			"nodeConfig.resourceLabels", "nodeConfig.taints", // Google adds its own (upjet-provider-gcp#742).
			"nodeConfig.kubeletConfig",
		}),
		// An update replaces the zone's nodes one by one; a disruption budget may delay each drain by up to 1 h, Google's limit.
		pulumi.Timeouts(&pulumi.CustomTimeouts{Create: "45m", Update: "240m", Delete: "60m"}),
		guarded,
	)...)
	if err != nil {
		return nil, fmt.Errorf("create node pool of zone %s: %w", zone, err)
	}
	return pool, nil
}

// gkePool describes the pool of zone i. Google replaces the nodes for nearly everything in nodeConfig.
func gkePool(i int, zone string) pool {
	inPlace := []string{"labels", "resourceLabels", "taints", "tags", "kubeletConfig", "serviceAccount"} // The last two are ignored.
	return pool{
		number: i + 1, zone: zone,
		count: func(pool guard.Inputs) (float64, bool) { return pool.Number("nodeCount") },
		replacing: func(before, after guard.Inputs) []string {
			if before.None() {
				return nil
			}
			return slices.DeleteFunc(guard.ChangedKeys(before, after, "nodeConfig"), func(key string) bool {
				return slices.Contains(inPlace, key) || strings.HasPrefix(key, "__") // The bridge's own keys.
			})
		},
	}
}

func (g *gke) nodeConfig(number int, account *nodeAccount) *container.NodePoolNodeConfigArgs {
	return &container.NodePoolNodeConfigArgs{
		MachineType: pulumi.String(g.cfg.InstanceType),
		ImageType:   pulumi.String("UBUNTU_CONTAINERD"), // Includes open-iscsi; Container-Optimized OS has none.
		// The boot disk holds the replicas too: pools offer no data disk, and local SSDs are lost at every repair.
		DiskSizeGb:     pulumi.Int(g.cfg.DataDiskGiB),
		DiskType:       pulumi.String("pd-balanced"), // SSD. Longhorn advises against less.
		ServiceAccount: account.email,
		OauthScopes:    oauthScopes(),
		Labels:         g.labelsOf(number),
		ResourceLabels: g.labels(),
		// Pods get Google's credentials through workload identity and never the node's.
		WorkloadMetadataConfig: &container.NodePoolNodeConfigWorkloadMetadataConfigArgs{Mode: pulumi.String("GKE_METADATA")},
		ShieldedInstanceConfig: &container.NodePoolNodeConfigShieldedInstanceConfigArgs{
			EnableIntegrityMonitoring: pulumi.Bool(true),
			// Off, which is Google's default: with it on, Ubuntu loads signed kernel modules only, and it is not known which of
			// them a future image has.
			EnableSecureBoot: pulumi.Bool(false),
		},
	}
}

func (g *gke) kubeconfig(control *container.Cluster) pulumi.StringOutput {
	return pulumi.All(control.Name, control.Endpoint, control.MasterAuth.ClusterCaCertificate().Elem()).ApplyT(
		func(values []any) (string, error) {
			at, err := endpointOf(values)
			if err != nil {
				return "", err
			}
			return gkeKubeconfig(at)
		}).(pulumi.StringOutput)
}

// gkeKubeconfig gets a token from Google's plugin for every connection, for the reasons in eksKubeconfig; here a token
// is valid for 60 minutes.
func gkeKubeconfig(at endpoint) (string, error) {
	at.server = "https://" + at.server // Google reports the address without the scheme.
	return execKubeconfig(at, kubeconfig.Exec{
		Command: "gke-gcloud-auth-plugin",
		// Uses the credentials of this program's provider, not gcloud's login, and does not need gcloud.
		Args:               []string{"--use_application_default_credentials"},
		ProvideClusterInfo: true,
		InstallHint: "gke-gcloud-auth-plugin must be on the PATH: " +
			"https://cloud.google.com/kubernetes-engine/docs/how-to/cluster-access-for-kubectl",
	})
}
