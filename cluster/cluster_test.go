package cluster

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/secret"
	"ha-iris/internal/testkit"
)

const (
	vpcType       = "aws:ec2/vpc:Vpc"
	subnetType    = "aws:ec2/subnet:Subnet"
	templateType  = "aws:ec2/launchTemplate:LaunchTemplate"
	eksType       = "aws:eks/cluster:Cluster"
	nodeGroupType = "aws:eks/nodeGroup:NodeGroup"
	addonType     = "aws:eks/addon:Addon"
	aksType       = "azure-native:containerservice:ManagedCluster"
	gkeType       = "gcp:container/cluster:Cluster"
	agentPoolType = "azure-native:containerservice:AgentPool"
	nodePoolType  = "gcp:container/nodePool:NodePool"
	routerType    = "gcp:compute/router:Router"
	natType       = "gcp:compute/routerNat:RouterNat"

	roleAssignmentType = "azure-native:authorization:RoleAssignment"
	kubernetesType     = "pulumi:providers:kubernetes"

	aksSubnet = "/subscriptions/0/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/prod/subnets/nodes"

	// diskLabel is what a storage driver may want on every node.
	diskLabel = "driver.example.com/disk"
)

// target is one way to get a cluster, as a user would configure it.
type target struct {
	cfg Config
	// provider is the type of the cloud's provider, prefix that of all its resources.
	provider, prefix string
}

// targets returns every kind of cluster and every shape that it can have. server plays an existing cluster.
func targets(server string) map[string]target {
	tagged := func(cloud Cloud, change func(*Config)) Config {
		cfg := valid(cloud)
		cfg.Tags = map[string]string{"team": "data"}
		if change != nil {
			change(&cfg)
		}
		return cfg
	}
	existing := valid(Existing)
	existing.Kubeconfig = secret.New(strings.Replace(plainKubeconfig, "https://127.0.0.1:1", server, 1))
	return map[string]target{
		"aks":         {tagged(AKS, func(c *Config) { c.APIServerSourceRanges = []string{"203.0.113.0/24"} }), "pulumi:providers:azure-native", "azure-native:"},
		"aks-subnet":  {tagged(AKS, func(c *Config) { c.SubnetIDs = []string{aksSubnet} }), "pulumi:providers:azure-native", "azure-native:"},
		"eks":         {tagged(EKS, func(c *Config) { c.APIServerSourceRanges = []string{"203.0.113.0/24"} }), "pulumi:providers:aws", "aws:"},
		"eks-private": {tagged(EKS, func(c *Config) { c.PrivateNodes = true }), "pulumi:providers:aws", "aws:"},
		"eks-subnets": {tagged(EKS, func(c *Config) {
			c.SubnetIDs = []string{"subnet-00000001", "subnet-00000002", "subnet-00000003"}
		}), "pulumi:providers:aws", "aws:"},
		"gke": {tagged(GKE, func(c *Config) {
			c.APIServerSourceRanges = []string{"203.0.113.0/24"}
			c.MaintenanceExclusions = []string{"2026-12-15T00:00:00Z/2027-01-10T00:00:00Z"}
		}), "pulumi:providers:gcp", "gcp:"},
		"gke-private": {tagged(GKE, func(c *Config) { c.PrivateNodes = true }), "pulumi:providers:gcp", "gcp:"},
		"gke-account": {tagged(GKE, func(c *Config) { c.NodeServiceAccount = "nodes@acme-databases.iam.gserviceaccount.com" }), "pulumi:providers:gcp", "gcp:"},
		"existing":    {existing, kubernetesType, ""},
	}
}

// result is what a program did with a target.
type result struct {
	*testkit.Recorder
	cluster *Cluster
	err     error
}

func (r result) mustSucceed(t *testing.T) result {
	t.Helper()
	if r.err != nil {
		t.Fatal(r.err)
	}
	return r
}

func provide(cfg Config, preview bool) result {
	r := result{Recorder: &testkit.Recorder{Invoke: invoke}}
	if !preview { // In a preview nothing that a cloud computes is known.
		r.Outputs = computed
	}
	r.err = r.Run(func(ctx *pulumi.Context) error {
		var err error
		r.cluster, err = New(ctx, "cluster", &Args{Config: cfg, NodeLabels: map[string]string{diskLabel: "true"}})
		return err
	}, testkit.Options{Preview: preview})
	return r
}

// emptyAPI is an API server of a cluster with nothing in it. It serves until the tests end.
var emptyAPI = sync.OnceValue(func() string {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) })).URL
})

// invoke answers as the clouds' lookups do.
func invoke(args pulumi.MockCallArgs) (resource.PropertyMap, error) {
	return testkit.CloudInvoke(strings.Replace(plainKubeconfig, "https://127.0.0.1:1", emptyAPI(), 1))(args)
}

// computed is what the clouds decide.
func computed(args pulumi.MockResourceArgs) resource.PropertyMap {
	return testkit.CloudOutputs(authorityPEM)(args)
}

// forEachTarget runs a check on every target, in a preview and in an up.
func forEachTarget(t *testing.T, check func(t *testing.T, name string, target target, r result)) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	for name, target := range targets(server.URL) {
		for _, preview := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s preview=%t", name, preview), func(t *testing.T) {
				check(t, name, target, provide(target.cfg, preview).mustSucceed(t))
			})
		}
	}
}

func TestEveryTarget_KeepsTheInvariants(t *testing.T) {
	t.Parallel()
	forEachTarget(t, func(t *testing.T, _ string, target target, r result) {
		t.Helper()
		if err := r.CheckInvariants(); err != nil {
			t.Error(err)
		}
		for _, registration := range r.Registrations() {
			checkOwner(t, target, registration)
		}
	})
}

// checkOwner makes sure that a resource belongs to the target's cloud, its component and its one provider.
func checkOwner(t *testing.T, target target, registration testkit.Registration) {
	t.Helper()
	switch {
	case registration.TypeToken == componentType, registration.TypeToken == string(resource.RootStackType):
		return
	case registration.IsProvider():
		if registration.TypeToken != target.provider && registration.TypeToken != kubernetesType {
			t.Errorf("%s is another cloud's provider", registration.URN)
		}
	case target.prefix == "" || !strings.HasPrefix(registration.TypeToken, target.prefix):
		t.Errorf("%s belongs to another cloud", registration.URN)
	case !strings.Contains(registration.Provider, "$"+target.provider+"::cluster::"):
		t.Errorf("%s has provider %q, want the cluster's %s", registration.URN, registration.Provider, target.provider)
	}
	if !strings.HasSuffix(registration.Parent(), componentType+"::cluster") {
		t.Errorf("%s hangs on %s, not on the component", registration.URN, registration.Parent())
	}
}

func TestKubeconfig_IsSecretAndNothingElseShowsIt(t *testing.T) {
	t.Parallel()
	forEachTarget(t, func(t *testing.T, _ string, _ target, r result) {
		t.Helper()
		provider := r.One(t, kubernetesType, "cluster")
		kubeconfig := provider.Inputs["kubeconfig"]
		if !kubeconfig.IsComputed() && !kubeconfig.IsSecret() {
			t.Errorf("the provider's kubeconfig is in clear text")
		}
		for _, registration := range r.Registrations() {
			inputs := maps.Clone(registration.Inputs)
			if registration.TypeToken == kubernetesType {
				delete(inputs, "kubeconfig")
			}
			if strings.Contains(fmt.Sprint(inputs.Mappable()), "s3cr3t-token") {
				t.Errorf("%s shows the credentials", registration.URN)
			}
		}
	})
}

func TestKubernetesProvider_KnowsItsClusterByName(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	for name, target := range targets(server.URL) {
		provider := provide(target.cfg, false).mustSucceed(t).One(t, kubernetesType, "cluster")
		want := "ha-iris-test-1a2b3c4" // The physical name, which a replaced cluster would not have.
		if target.cfg.Cloud == Existing {
			want = "ha-iris-test"
		}
		if got := provider.Inputs["clusterIdentifier"]; !got.IsString() || got.StringValue() != want {
			t.Errorf("%s: clusterIdentifier %v, want %s: a changed kubeconfig would replace everything", name, got, want)
		}
	}
}

// untaggable are the types that have no tags or labels.
func untaggable() []string {
	return []string{
		"aws:iam/rolePolicyAttachment:RolePolicyAttachment", "aws:ec2/routeTableAssociation:RouteTableAssociation", scalingTagType,
		"gcp:serviceaccount/account:Account", "gcp:projects/iAMMember:IAMMember", nodePoolType, routerType, natType,
		roleAssignmentType,
	}
}

func TestEverything_IsTagged(t *testing.T) {
	t.Parallel()
	want := map[string]string{"managed-by": "pulumi", "project": "ha-iris", "stack": "test", "cluster": "ha-iris-test", "team": "data"}
	forEachTarget(t, func(t *testing.T, _ string, _ target, r result) {
		t.Helper()
		for _, registration := range r.Registrations() {
			if !registration.Custom || registration.IsProvider() || slices.Contains(untaggable(), registration.TypeToken) {
				continue
			}
			tags := registration.Inputs["tags"]
			if registration.TypeToken == gkeType {
				tags = registration.Inputs["resourceLabels"]
			}
			checkTagged(t, registration.URN, tags, want)
		}
		for _, pool := range r.Find(nodePoolType) {
			checkTagged(t, pool.URN, at(t, pool, "nodeConfig.resourceLabels"), want)
		}
		for _, template := range r.Find(templateType) {
			checkTagged(t, template.URN+" (instances)", at(t, template, "tagSpecifications[0].tags"), want)
			checkTagged(t, template.URN+" (volumes)", at(t, template, "tagSpecifications[1].tags"), want)
		}
		for _, cluster := range r.Find(aksType) {
			checkTagged(t, cluster.URN+" (pool)", at(t, cluster, "agentPoolProfiles[0].tags"), want)
		}
	})
}

func checkTagged(t *testing.T, what string, tags resource.PropertyValue, want map[string]string) {
	t.Helper()
	if !tags.IsObject() {
		t.Errorf("%s has no tags", what)
		return
	}
	for key, value := range want {
		if got := tags.ObjectValue()[resource.PropertyKey(key)]; !got.IsString() || got.StringValue() != value {
			t.Errorf("%s: tag %s is %v, want %s", what, key, got, value)
		}
	}
}

// at returns an input by its path.
func at(t *testing.T, registration testkit.Registration, path string) resource.PropertyValue {
	t.Helper()
	parsed, err := resource.ParsePropertyPath(path)
	if err != nil {
		t.Fatal(err)
	}
	value, ok := parsed.Get(resource.NewObjectProperty(registration.Inputs))
	if !ok {
		t.Fatalf("%s has no %s", registration.URN, path)
	}
	return value
}

// assertInputs compares inputs by path, in their JSON-like form.
func assertInputs(t *testing.T, registration testkit.Registration, want map[string]any) {
	t.Helper()
	for path, value := range want {
		if got := at(t, registration, path).Mappable(); fmt.Sprint(got) != fmt.Sprint(value) {
			t.Errorf("%s: %s is %v, want %v", registration.URN, path, got, value)
		}
	}
}

func TestAKS_KeepsTheNodesAndTheirDisks(t *testing.T) {
	t.Parallel()
	cfg := valid(AKS)
	cfg.Nodes, cfg.SubnetIDs = 6, []string{aksSubnet}
	r := provide(cfg, false).mustSucceed(t)
	cluster := r.One(t, aksType, "ha-iris-test")
	assertInputs(t, cluster, map[string]any{
		"kubernetesVersion":                       "1.35",
		"autoUpgradeProfile.upgradeChannel":       "none", // Both would reimage the nodes.
		"autoUpgradeProfile.nodeOSUpgradeChannel": "None",
		"agentPoolProfiles[0].vnetSubnetID":       cfg.SubnetIDs[0],
		"agentPoolProfiles[0].nodeTaints":         []any{"CriticalAddonsOnly=true:NoSchedule"}, // No replica and no database on it.
	})
	if pool := at(t, cluster, "agentPoolProfiles[0]").ObjectValue(); pool.HasValue("nodeLabels") {
		t.Error("the system pool has labels: its nodes would get replicas")
	}
	for i := range zoneCount {
		pool := r.One(t, agentPoolType, fmt.Sprintf("ha-iris-test-nodes-%d", i+1))
		assertInputs(t, pool, map[string]any{
			"osDiskType":                      "Managed", // Ephemeral is wiped when the machine moves.
			"osDiskSizeGB":                    256,
			"availabilityZones":               []any{fmt.Sprint(i + 1)},
			"enableAutoScaling":               true, // Brings back a deleted machine.
			"count":                           2,
			"minCount":                        2,
			"maxCount":                        2,
			"vnetSubnetID":                    cfg.SubnetIDs[0],
			`nodeLabels["` + diskLabel + `"]`: "true",
		})
		if pool.Inputs.HasValue("orchestratorVersion") {
			t.Error("with the pool's version given, raising the cluster's would reimage the nodes")
		}
		if pool.RegisterRPC.GetDeleteBeforeReplace() || !pool.RegisterRPC.GetDeleteBeforeReplaceDefined() {
			t.Error("the old pool would be deleted before the new one is there")
		}
	}
}

func TestEKSNodes_BootPreparedWithAnEncryptedDataDisk(t *testing.T) {
	t.Parallel()
	cfg := valid(EKS)
	cfg.DataDiskGiB = 300
	r := provide(cfg, false).mustSucceed(t)
	template := r.One(t, templateType, "ha-iris-test-nodes")
	assertInputs(t, template, map[string]any{
		"instanceType":                                   "m6i.xlarge", // Here, where changing it does not replace the group.
		"metadataOptions.httpTokens":                     "required",
		"metadataOptions.httpPutResponseHopLimit":        1, // A pod is the second hop.
		"blockDeviceMappings[0].deviceName":              "/dev/xvda",
		"blockDeviceMappings[0].ebs.encrypted":           "true",
		"blockDeviceMappings[1].deviceName":              "/dev/xvdb",
		"blockDeviceMappings[1].ebs.encrypted":           "true",
		"blockDeviceMappings[1].ebs.volumeSize":          300,
		"blockDeviceMappings[1].ebs.deleteOnTermination": "true",
	})
	for _, forbidden := range []resource.PropertyKey{"imageId", "vpcSecurityGroupIds"} {
		if template.Inputs.HasValue(forbidden) {
			t.Errorf("with %s EKS leaves out its bootstrap or its security group", forbidden)
		}
	}
	userData, err := base64.StdEncoding.DecodeString(template.Inputs["userData"].StringValue())
	if err != nil || !strings.Contains(string(userData), eksNodeScript) {
		t.Errorf("user data %q, %v", userData, err)
	}
	group := r.One(t, nodeGroupType, "ha-iris-test-nodes-1")
	assertInputs(t, group, map[string]any{
		"amiType": "AL2023_x86_64_STANDARD", "launchTemplate.version": "7", "nodeRepairConfig.enabled": true,
		"updateConfig.maxUnavailable": 1, "scalingConfig.minSize": 1, "scalingConfig.desiredSize": 1, "scalingConfig.maxSize": 1,
		`labels["` + diskLabel + `"]`: "true",
	})
	if got := group.RegisterRPC.GetIgnoreChanges(); !slices.Equal(got, []string{"version", "releaseVersion", "subnetIds", "amiType"}) {
		t.Errorf("ignores %q", got)
	}
}

func TestEKS_AdmitsItsCreatorAndIsNotUpgradedUnasked(t *testing.T) {
	t.Parallel()
	control := provide(valid(EKS), false).mustSucceed(t).One(t, eksType, "ha-iris-test")
	assertInputs(t, control, map[string]any{
		"version": "1.35", "accessConfig.authenticationMode": "API", "accessConfig.bootstrapClusterCreatorAdminPermissions": true,
		"vpcConfig.endpointPrivateAccess": true, "upgradePolicy.supportType": "EXTENDED",
	})
	if got := control.RegisterRPC.GetIgnoreChanges(); !slices.Contains(got, "accessConfig.bootstrapClusterCreatorAdminPermissions") {
		t.Errorf("ignores %q: a change would replace the cluster", got)
	}
}

func TestAWSCredentials_AreCheckedByACallWhoseErrorCanBeExplained(t *testing.T) {
	t.Parallel()
	provider := provide(valid(EKS), true).mustSucceed(t).One(t, "pulumi:providers:aws", "cluster")
	assertInputs(t, provider, map[string]any{"skipCredentialsValidation": "true", "region": "eu-west-1"})
}

func TestGravitonNodes_GetTheARMImage(t *testing.T) {
	t.Parallel()
	for instanceType, want := range map[string]string{
		"m7g.xlarge": "AL2023_ARM_64_STANDARD", "c6gn.2xlarge": "AL2023_ARM_64_STANDARD", "t4g.xlarge": "AL2023_ARM_64_STANDARD",
		"im4gn.xlarge": "AL2023_ARM_64_STANDARD", "m6i.xlarge": "AL2023_x86_64_STANDARD", "g4dn.xlarge": "AL2023_x86_64_STANDARD",
		"m6id.xlarge": "AL2023_x86_64_STANDARD", "c7i-flex.large": "AL2023_x86_64_STANDARD",
	} {
		if got := amiType(instanceType); got != want {
			t.Errorf("%s: got %s, want %s", instanceType, got, want)
		}
	}
}

func TestEKSSubnets_DoNotOverlapAndStayInTheirZones(t *testing.T) {
	t.Parallel()
	cfg := valid(EKS)
	cfg.PrivateNodes = true
	subnets := provide(cfg, false).mustSucceed(t).Find(subnetType)
	zones, networks := map[string]int{}, []netip.Prefix{}
	for _, subnet := range subnets {
		zones[subnet.Inputs["availabilityZone"].StringValue()]++
		network := netip.MustParsePrefix(subnet.Inputs["cidrBlock"].StringValue())
		if slices.ContainsFunc(networks, network.Overlaps) || !netip.MustParsePrefix(vpcCIDR).Contains(network.Addr()) {
			t.Errorf("%s has %s beside %v in %s", subnet.URN, network, networks, vpcCIDR)
		}
		networks = append(networks, network)
		if !slices.Contains(subnet.RegisterRPC.GetIgnoreChanges(), "availabilityZone") {
			t.Errorf("%s could be replaced, with the nodes in it", subnet.URN)
		}
	}
	if len(subnets) != 6 || len(zones) != 3 {
		t.Errorf("%d subnets, zones %v", len(subnets), zones)
	}
}

func TestGKE_IsRegionalOverExactlyThreeZones(t *testing.T) {
	t.Parallel()
	cfg := valid(GKE)
	cfg.Nodes, cfg.MaintenanceExclusions = 6, []string{"2026-12-15T00:00:00Z/2027-01-10T00:00:00Z"}
	r := provide(cfg, false).mustSucceed(t)
	zones := []any{"europe-west1-b", "europe-west1-c", "europe-west1-d"}
	control := r.One(t, gkeType, "ha-iris-test")
	assertInputs(t, control, map[string]any{
		"location": "europe-west1", "nodeLocations": zones, "releaseChannel.channel": "STABLE", "deletionProtection": false,
		"workloadIdentityConfig.workloadPool":                               "acme-databases.svc.id.goog",
		"maintenancePolicy.maintenanceExclusions[0].startTime":              "2026-12-15T00:00:00Z",
		"maintenancePolicy.maintenanceExclusions[0].endTime":                "2027-01-10T00:00:00Z",
		"maintenancePolicy.maintenanceExclusions[0].exclusionOptions.scope": "NO_MINOR_OR_NODE_UPGRADES",
	})
	if got := control.RegisterRPC.GetIgnoreChanges(); !slices.Equal(got, []string{"nodeConfig", "nodeLocations"}) {
		t.Errorf("ignores %q", got)
	}
	pool := r.One(t, nodePoolType, "ha-iris-test-nodes-1")
	for _, input := range []string{"nodeLocations", "nodeConfig.serviceAccount"} {
		if got := pool.RegisterRPC.GetIgnoreChanges(); !slices.Contains(got, input) {
			t.Errorf("ignores %q: a change of %s would delete every node with its disk", got, input)
		}
	}
	assertInputs(t, pool, map[string]any{
		"nodeCount": 2, "nodeLocations": zones[:1], "nodeConfig.imageType": "UBUNTU_CONTAINERD", "nodeConfig.diskSizeGb": 256,
		"nodeConfig.diskType": "pd-balanced", "nodeConfig.workloadMetadataConfig.mode": "GKE_METADATA",
		"nodeConfig.serviceAccount": "ha-iris-test-nodes@acme-databases.iam.gserviceaccount.com",
		"upgradeSettings.maxSurge":  1, "upgradeSettings.maxUnavailable": 0, "management.autoRepair": true,
		`nodeConfig.labels["` + diskLabel + `"]`: "true",
	})
}

func TestLabels_SurviveUnusualStackNames(t *testing.T) {
	t.Parallel()
	r := &testkit.Recorder{Invoke: invoke}
	err := r.Run(func(ctx *pulumi.Context) error {
		g := &gke{scope{ctx: ctx, cfg: Config{Name: "Prod.EU"}}}
		if label := g.labels()["cluster"]; label != pulumi.String("prod-eu") {
			t.Errorf("got %v", label)
		}
		return nil
	}, testkit.Options{})
	if err != nil {
		t.Fatal(err)
	}
}

// The order on the way up, and so, backwards, on the way down. Dependencies that a value carries are the engine's work.
func TestOrder_IsSafeInBothDirections(t *testing.T) {
	t.Parallel()
	cfg := valid(EKS)
	cfg.PrivateNodes = true
	eks := provide(cfg, false).mustSucceed(t)
	group := eks.One(t, nodeGroupType, "ha-iris-test-nodes-1")
	assertAfter(t, eks.One(t, eksType, "ha-iris-test"), "control-plane-AmazonEKSClusterPolicy")
	assertAfter(t, group, "nodes-AmazonEKSWorkerNodePolicy", "nodes-AmazonEKS_CNI_Policy", "nodes-AmazonEC2ContainerRegistryReadOnly",
		"Addon::ha-iris-test-vpc-cni", "Addon::ha-iris-test-kube-proxy", "Addon::ha-iris-test-eks-pod-identity-agent",
		"RouteTableAssociation::ha-iris-test-public-1", "RouteTableAssociation::ha-iris-test-private-3")
	assertAfter(t, eks.One(t, addonType, "ha-iris-test-coredns"), "NodeGroup::ha-iris-test-nodes-3")
	// One zone at a time, also where the clouds could change all at once.
	assertAfter(t, eks.One(t, nodeGroupType, "ha-iris-test-nodes-2"), "NodeGroup::ha-iris-test-nodes-1")
	assertAfter(t, eks.One(t, nodeGroupType, "ha-iris-test-nodes-3"), "NodeGroup::ha-iris-test-nodes-1", "NodeGroup::ha-iris-test-nodes-2")
	assertAfter(t, eks.One(t, kubernetesType, "cluster"), "NodeGroup::ha-iris-test-nodes-1", "NodeGroup::ha-iris-test-nodes-3", "Addon::ha-iris-test-coredns")

	gke := provide(valid(GKE), false).mustSucceed(t)
	assertAfter(t, gke.One(t, nodePoolType, "ha-iris-test-nodes-1"), "nodes-defaultNodeServiceAccount", "Cluster::ha-iris-test")
	assertAfter(t, gke.One(t, nodePoolType, "ha-iris-test-nodes-3"), "NodePool::ha-iris-test-nodes-1", "NodePool::ha-iris-test-nodes-2")
	assertAfter(t, gke.One(t, kubernetesType, "cluster"), "NodePool::ha-iris-test-nodes-3")

	aks := provide(valid(AKS), false).mustSucceed(t)
	assertAfter(t, aks.One(t, agentPoolType, "ha-iris-test-nodes-3"), "AgentPool::ha-iris-test-nodes-1", "AgentPool::ha-iris-test-nodes-2")
	assertAfter(t, aks.One(t, kubernetesType, "cluster"), "AgentPool::ha-iris-test-nodes-3")
}

func assertAfter(t *testing.T, registration testkit.Registration, others ...string) {
	t.Helper()
	for _, other := range others {
		if !slices.ContainsFunc(registration.RegisterRPC.GetDependencies(), func(urn string) bool {
			return strings.HasSuffix(urn, other)
		}) {
			t.Errorf("%s does not wait for %s; it waits for %q", registration.URN, other, registration.RegisterRPC.GetDependencies())
		}
	}
}

func TestSlowResources_HaveTimeoutsOfTheirOwn(t *testing.T) {
	t.Parallel()
	forEachTarget(t, func(t *testing.T, _ string, _ target, r result) {
		t.Helper()
		for _, typeToken := range []string{aksType, eksType, nodeGroupType, gkeType, nodePoolType} {
			for _, registration := range r.Find(typeToken) {
				timeouts := registration.RegisterRPC.GetCustomTimeouts()
				if timeouts.GetCreate() == "" || timeouts.GetUpdate() == "" || timeouts.GetDelete() == "" {
					t.Errorf("%s: %v", registration.URN, timeouts)
				}
			}
		}
	})
}

func TestCluster_HandsOnWhatTheRestNeeds(t *testing.T) {
	t.Parallel()
	forEachTarget(t, func(t *testing.T, _ string, target target, r result) {
		t.Helper()
		c := r.cluster
		if c.Provider == nil || !slices.Contains(c.Ready, pulumi.Resource(c.Provider)) {
			t.Error("no provider, or it is not among what must be ready")
		}
		if (c.Lifetime == nil) != (target.cfg.Cloud == Existing) {
			t.Errorf("lifetime %v", c.Lifetime)
		}
		if c.Lifetime != nil && !slices.Contains(c.Ready, c.Lifetime) {
			t.Error("the cluster itself is not among what must be ready")
		}
		if c.Traits.Storage != target.cfg.Traits().Storage {
			t.Errorf("traits %+v", c.Traits)
		}
	})
}

func TestNew_RegistersNothingOfACloudThatThereIsNot(t *testing.T) {
	t.Parallel()
	r := provide(Config{Cloud: "eksctl", Name: "c", Nodes: MinNodes}, false)
	want := `cluster.cloud: got "eksctl", want one of aks, eks, gke, existing`
	if r.err == nil || !strings.Contains(r.err.Error(), want) || strings.TrimSpace(r.Golden()) != "" {
		t.Errorf("got %v, want %s; registered\n%s", r.err, want, r.Golden())
	}
}

func TestMissingCredentials_KeepTheProvidersWordsAndSayWhatToSet(t *testing.T) {
	t.Parallel()
	for cloud, want := range map[Cloud]string{
		AKS: "run: az login; or set ARM_CLIENT_ID", EKS: "set AWS_PROFILE", GKE: "run: gcloud auth application-default login",
	} {
		recorder := &testkit.Recorder{Invoke: func(pulumi.MockCallArgs) (resource.PropertyMap, error) {
			return nil, errors.New("no valid credential sources found")
		}}
		err := recorder.Run(func(ctx *pulumi.Context) error {
			_, err := New(ctx, "cluster", &Args{Config: valid(cloud)})
			return err
		}, testkit.Options{Preview: true})
		if err == nil || !strings.Contains(err.Error(), "no valid credential sources found") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", cloud, err)
		}
	}
}

func TestGivenSubnets_MustLieInThreeZonesThatEKSUses(t *testing.T) {
	t.Parallel()
	cfg := valid(EKS)
	cfg.SubnetIDs = []string{"subnet-00000001", "subnet-00000002", "subnet-00000003"}
	for zones, want := range map[string]string{
		"a1 a1 b2": "cluster.subnetIds[1]: got \"subnet-00000002\", want a subnet in a zone of its own: subnet-00000001 lies in a too",
		"a1 b2 c3": "cluster.subnetIds[2]: got \"subnet-00000003\", want a subnet in another zone: EKS refuses use1-az3",
	} {
		recorder := &testkit.Recorder{Invoke: func(args pulumi.MockCallArgs) (resource.PropertyMap, error) {
			id := args.Args["id"].StringValue()
			zone := strings.Fields(zones)[id[len(id)-1]-'1']
			return resource.NewPropertyMapFromMap(map[string]any{
				"id": id, "availabilityZone": zone[:1], "availabilityZoneId": "use1-az" + zone[1:],
			}), nil
		}}
		err := recorder.Run(func(ctx *pulumi.Context) error {
			_, err := New(ctx, "cluster", &Args{Config: cfg})
			return err
		}, testkit.Options{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", zones, err, want)
		}
		if created := recorder.Find(vpcType); len(created) > 0 || len(recorder.Find(eksType)) > 0 {
			t.Errorf("%s: created something", zones)
		}
	}
}
