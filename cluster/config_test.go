package cluster

import (
	"slices"
	"strings"
	"testing"

	"ha-iris/internal/secret"
	"ha-iris/internal/strict"
)

// valid returns a configuration of each cloud that has no problem.
func valid(cloud Cloud) Config {
	cfg := DefaultConfig()
	cfg.Cloud, cfg.Name = cloud, "ha-iris-test"
	if cloud == Existing {
		cfg.Kubeconfig = secret.New(plainKubeconfig)
		return cfg
	}
	// Where it is, and nothing else, comes from the file that users copy.
	kind, _ := cfg.kind()
	for key, value := range stackFile(cloud) {
		if field, ours := kind.own[key]; ours {
			*field(&cfg), _ = value.(string)
		}
	}
	return cfg
}

func TestConfigWithDefaults_IsValid(t *testing.T) {
	t.Parallel()
	for _, cloud := range Clouds() {
		if err := valid(cloud).WithDefaults().Validate(); err != nil {
			t.Errorf("%s: %v", cloud, err)
		}
	}
}

func TestWithDefaults_FillsOnlyWhatIsNotSet(t *testing.T) {
	t.Parallel()
	cfg := valid(EKS)
	cfg.InstanceType = "r6i.2xlarge"
	got := cfg.WithDefaults()
	if got.InstanceType != "r6i.2xlarge" || got.DataDiskGiB != 200 || got.KubernetesVersion != "1.35" {
		t.Errorf("got %+v", got)
	}
	if again := got.WithDefaults(); again.InstanceType != got.InstanceType || again.DataDiskGiB != got.DataDiskGiB {
		t.Errorf("a second time changes %+v to %+v", got, again)
	}
	if version := valid(GKE).WithDefaults().KubernetesVersion; version != "" {
		t.Errorf("gke: the release channel decides on the version, got %q", version)
	}
}

// mistake is one change of a valid configuration, and its one message.
type mistake struct {
	name   string
	cloud  Cloud
	change func(*Config)
	want   string
}

// assertMistakes fails unless each is reported, and nothing else with it.
func assertMistakes(t *testing.T, mistakes []mistake) {
	t.Helper()
	for _, test := range mistakes {
		t.Run(string(test.cloud)+" "+test.name, func(t *testing.T) {
			t.Parallel()
			cfg := valid(EKS)
			if slices.Contains(Clouds(), test.cloud) {
				cfg = valid(test.cloud)
			}
			cfg.Cloud = test.cloud
			cfg = cfg.WithDefaults()
			if test.change != nil {
				test.change(&cfg)
			}
			assertOneProblem(t, cfg.Validate(), test.want)
		})
	}
}

func TestValidate_ReportsEachMistakeOnce(t *testing.T) {
	t.Parallel()
	assertMistakes(t, []mistake{
		{"no cloud", "", nil, "cluster.cloud: got nothing, want one of aks, eks, gke, existing"},
		{"unknown cloud", "eksctl", nil, `cluster.cloud: got "eksctl", want one of aks, eks, gke, existing`},
		{"no name", EKS, func(c *Config) { c.Name = "" }, "cluster.name: got nothing"},
		{"name in capitals", EKS, func(c *Config) { c.Name = "Prod" }, `cluster.name: got "Prod", want up to 24 lower-case`},
		{"name too long", GKE, func(c *Config) { c.Name = strings.Repeat("a", 25) }, "cluster.name: got "},
		{"too few nodes", AKS, func(c *Config) { c.Nodes = 2 }, "cluster.nodes: got 2, want at least 3"},
		{"nodes not per zone", AKS, func(c *Config) { c.Nodes = 4 }, "cluster.nodes: got 4, want a multiple of 3"},
		{"nodes not per zone", EKS, func(c *Config) { c.Nodes = 5 }, "cluster.nodes: got 5, want a multiple of 3"},
		{"nodes not per zone", GKE, func(c *Config) { c.Nodes = 4 }, "cluster.nodes: got 4, want a multiple of 3"},
		{"no time", GKE, func(c *Config) { c.RollTimeout = "soon" }, `cluster.rollTimeout: got "soon", want a length of time from 1m to 24h`},
		{"no time to rebuild", AKS, func(c *Config) { c.RollTimeout = "59s" }, `cluster.rollTimeout: got "59s"`},
		{"too much time", EKS, func(c *Config) { c.RollTimeout = "25h" }, `cluster.rollTimeout: got "25h"`},
		{"node version", AKS, func(c *Config) { c.NodeVersion = "v1.35" }, `cluster.nodeVersion: got "v1.35", want a version such as 1.35 or 1.35.6`},
		{"node version", EKS, func(c *Config) { c.NodeVersion = "1.35.1" }, `cluster.nodeVersion: got "1.35.1", want a version such as 1.35, or a release`},
	})
}

func TestValidate_ReportsEachMistakeOfPlace(t *testing.T) {
	t.Parallel()
	assertMistakes(t, []mistake{
		{"no location", AKS, func(c *Config) { c.Region = "" }, "azure-native:location: got nothing, want a region: pulumi config set azure-native:location westeurope"},
		{"display name as location", AKS, func(c *Config) { c.Region = "West Europe" }, `azure-native:location: got "West Europe"`},
		{"location without zones", AKS, func(c *Config) { c.Region = "westus" }, `azure-native:location: got "westus", want a region with three availability zones`},
		{"no region", EKS, func(c *Config) { c.Region = "" }, "aws:region: got nothing, want a region: pulumi config set aws:region eu-west-1"},
		{"zone as region", EKS, func(c *Config) { c.Region = "eu-west-1a" }, `aws:region: got "eu-west-1a"`},
		{"zone as region", GKE, func(c *Config) { c.Region = "europe-west1-b" }, `gcp:region: got "europe-west1-b"`},
		{"no project", GKE, func(c *Config) { c.Project = "" }, "gcp:project: got nothing, want the project's id"},
		{"project's name", GKE, func(c *Config) { c.Project = "Acme Databases" }, `gcp:project: got "Acme Databases"`},

		{"two zones", AKS, func(c *Config) { c.Zones = []string{"1", "2"} }, `cluster.zones: got ["1" "2"], want exactly 3 zones`},
		{"a fourth zone", AKS, func(c *Config) { c.Zones = []string{"1", "2", "4"} }, `cluster.zones[2]: got "4", want one of 1, 2, 3`},
		{"a zone twice", AKS, func(c *Config) { c.Zones = []string{"1", "2", "2"} }, `cluster.zones[2]: got "2", want a zone that is not listed twice`},
		{"two zones", EKS, func(c *Config) { c.Zones = []string{"eu-west-1a", "eu-west-1b"} }, "want exactly 3 zones"},
		{"zone of another region", EKS, func(c *Config) { c.Zones = []string{"eu-west-1a", "eu-west-1b", "us-east-1c"} }, `cluster.zones[2]: got "us-east-1c"`},
		{"zone that EKS refuses", EKS, func(c *Config) {
			c.Region, c.Zones = "us-east-1", []string{"use1-az1", "use1-az2", "use1-az3"}
		}, `cluster.zones[2]: got "use1-az3", want a zone of us-east-1, such as us-east-1a, that EKS does not refuse (use1-az3, usw1-az2, cac1-az3)`},
		{"zone of another region", GKE, func(c *Config) { c.Zones = []string{"europe-west1-b", "europe-west1-c", "europe-west2-a"} }, `cluster.zones[2]: got "europe-west2-a", want a zone of europe-west1`},
	})
}

func TestValidate_ReportsEachMistakeOfMachines(t *testing.T) {
	t.Parallel()
	assertMistakes(t, []mistake{
		{"version with patch", EKS, func(c *Config) { c.KubernetesVersion = "1.35.1" }, `cluster.kubernetesVersion: got "1.35.1", want a version such as 1.35, without a patch`},
		{"version with v", AKS, func(c *Config) { c.KubernetesVersion = "v1.35" }, `cluster.kubernetesVersion: got "v1.35"`},
		{"version as a word", GKE, func(c *Config) { c.KubernetesVersion = "latest" }, `cluster.kubernetesVersion: got "latest"`},
		{"another cloud's machine", AKS, func(c *Config) { c.InstanceType = "m6i.xlarge" }, `cluster.instanceType: got "m6i.xlarge", want an Azure VM size`},
		{"another cloud's machine", EKS, func(c *Config) { c.InstanceType = "e2-standard-4" }, `cluster.instanceType: got "e2-standard-4", want an EC2 instance type`},
		{"another cloud's machine", GKE, func(c *Config) { c.InstanceType = "Standard_D4as_v5" }, `cluster.instanceType: got "Standard_D4as_v5", want a machine type`},
		{"small OS disk", AKS, func(c *Config) { c.DataDiskGiB = 30 }, "cluster.dataDiskGiB: got 30, want 100 to 2048 GiB: the node's OS disk"},
		{"disk beyond Azure's limit", AKS, func(c *Config) { c.DataDiskGiB = 4096 }, "cluster.dataDiskGiB: got 4096"},
		{"small data disk", EKS, func(c *Config) { c.DataDiskGiB = 10 }, "cluster.dataDiskGiB: got 10, want 20 to 16384 GiB"},
		{"negative disk", GKE, func(c *Config) { c.DataDiskGiB = -1 }, "cluster.dataDiskGiB: got -1, want 100 to 65536 GiB"},
	})
}

func TestValidate_ReportsEachMistakeOfNetworks(t *testing.T) {
	t.Parallel()
	assertMistakes(t, []mistake{
		{"not a network", EKS, func(c *Config) { c.APIServerSourceRanges = []string{"203.0.113.0"} }, `cluster.apiServerSourceRanges[0]: got "203.0.113.0", want an IPv4 network`},
		{"host bits", GKE, func(c *Config) { c.APIServerSourceRanges = []string{"10.1.2.3/8"} }, `cluster.apiServerSourceRanges[0]: got "10.1.2.3/8", want the network's own address: 10.0.0.0/8`},
		{"IPv6", AKS, func(c *Config) { c.APIServerSourceRanges = []string{"2001:db8::/32"} }, "cluster.apiServerSourceRanges[0]"},

		{"two subnets", EKS, func(c *Config) { c.SubnetIDs = []string{"subnet-0123abcd", "subnet-4567abcd"} }, `cluster.subnetIds: got ["subnet-0123abcd" "subnet-4567abcd"], want a list of 3`},
		{"a subnet twice", EKS, func(c *Config) {
			c.SubnetIDs = []string{"subnet-0123abcd", "subnet-4567abcd", "subnet-0123abcd"}
		}, `cluster.subnetIds[2]: got "subnet-0123abcd", want a subnet that is not listed twice`},
		{"subnets and zones", EKS, func(c *Config) {
			c.SubnetIDs = []string{"subnet-00000001", "subnet-00000002", "subnet-00000003"}
			c.Zones = []string{"eu-west-1a", "eu-west-1b", "eu-west-1c"}
		}, "the subnets decide the zones"},
		{"subnets and private nodes", EKS, func(c *Config) {
			c.SubnetIDs = []string{"subnet-00000001", "subnet-00000002", "subnet-00000003"}
			c.PrivateNodes = true
		}, "cluster.privateNodes: got true"},
		{"subnet's name", AKS, func(c *Config) { c.SubnetIDs = []string{"nodes"} }, `cluster.subnetIds[0]: got "nodes", want the subnet's resource id`},
		{
			"unknown log", EKS, func(c *Config) { c.ControlPlaneLogs = []string{"api", "kubelet"} },
			`cluster.controlPlaneLogs[1]: got "kubelet", want one of api, audit, authenticator, controllerManager, scheduler`,
		},
		{
			"a log twice", EKS, func(c *Config) { c.ControlPlaneLogs = []string{"api", "api"} },
			`cluster.controlPlaneLogs[1]: got "api", want a log that is not listed twice`,
		},
		{
			"logs of another cloud", GKE, func(c *Config) { c.ControlPlaneLogs = []string{"api"} },
			"cluster.controlPlaneLogs: got a value, want nothing with cloud gke: it is a setting of eks",
		},
		{"role's name", EKS, func(c *Config) { c.AssumeRoleARN = "deployer" }, `cluster.assumeRoleArn: got "deployer"`},
		{"subnetwork without network", GKE, func(c *Config) { c.Subnetwork = "nodes" }, "cluster.network: got nothing, want the network that cluster.subnetwork is part of"},
		{"account's name", GKE, func(c *Config) { c.NodeServiceAccount = "nodes" }, `cluster.nodeServiceAccount: got "nodes", want the e-mail address`},
		{"exclusion without an end", GKE, func(c *Config) { c.MaintenanceExclusions = []string{"2026-12-15T00:00:00Z"} }, "cluster.maintenanceExclusions[0]: got "},
		{"exclusion backwards", GKE, func(c *Config) {
			c.MaintenanceExclusions = []string{"2027-01-10T00:00:00Z/2026-12-15T00:00:00Z"}
		}, "want START/END in RFC 3339"},
		{"four exclusions", GKE, func(c *Config) {
			period := "2026-12-15T00:00:00Z/2027-01-10T00:00:00Z"
			c.MaintenanceExclusions = []string{period, period, period, period}
		}, "want at most 3 periods"},
	})
}

func TestValidate_ReportsEachMistakeOfTags(t *testing.T) {
	t.Parallel()
	assertMistakes(t, []mistake{
		{"tag of AWS's own", EKS, func(c *Config) { c.Tags = map[string]string{"aws:owner": "me"} }, `cluster.tags.aws:owner: got "me"`},
		{"tag that is too long", EKS, func(c *Config) { c.Tags = map[string]string{"note": strings.Repeat("ü", 257)} }, `cluster.tags.note: got "ü`},
		{"tag's name that is too long", AKS, func(c *Config) { c.Tags = map[string]string{strings.Repeat("x", 513): ""} }, `xxx: got ""`},
		{"tag with a slash", AKS, func(c *Config) { c.Tags = map[string]string{"cost/center": "42"} }, `cluster.tags.cost/center: got "42"`},
		{"label in capitals", GKE, func(c *Config) { c.Tags = map[string]string{"team": "Data"} }, `cluster.tags.team: got "Data", want a label`},
	})
}

// assertOneProblem fails unless the error holds exactly one problem that contains want.
func assertOneProblem(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil {
		t.Fatalf("accepted; want a problem with %q", want)
	}
	if lines := strings.Split(err.Error(), "\n"); len(lines) != 1 {
		t.Errorf("%d messages for one mistake:\n%v", len(lines), err)
	}
	if !strings.Contains(err.Error(), want) {
		t.Errorf("got:  %v\nwant: %s", err, want)
	}
}

func TestValidate_RefusesSettingsOfAnotherCloud(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		cloud  Cloud
		change func(*Config)
		want   string
	}{
		{EKS, func(c *Config) { c.Network = "vpc" }, "cluster.network: got a value, want nothing with cloud eks: it is a setting of gke"},
		{EKS, func(c *Config) { c.DeletionProtection = true }, "cluster.deletionProtection: got a value, want nothing with cloud eks: it is a setting of gke"},
		{GKE, func(c *Config) { c.SubnetIDs = []string{"subnet-0123abcd"} }, "cluster.subnetIds: got a value, want nothing with cloud gke: it is a setting of aks, eks"},
		{AKS, func(c *Config) { c.PrivateNodes = true }, "cluster.privateNodes: got a value, want nothing with cloud aks: it is a setting of eks, gke"},
		{AKS, func(c *Config) { c.Context = "prod" }, "cluster.context: got a value, want nothing with cloud aks: it is a setting of existing"},
		{AKS, func(c *Config) { c.Kubeconfig = secret.New("hunter2") }, "kubeconfig: got a value, want nothing with cloud aks: it is a setting of existing"},
		{Existing, func(c *Config) { c.InstanceType = "m6i.xlarge" }, "cluster.instanceType: got a value, want nothing with cloud existing: it is a setting of aks, eks, gke"},
		{Existing, func(c *Config) { c.Tags = map[string]string{"a": "b"} }, "cluster.tags: got a value, want nothing with cloud existing"},
	} {
		cfg := valid(test.cloud)
		test.change(&cfg)
		assertOneProblem(t, cfg.WithDefaults().Validate(), test.want)
	}
}

func TestEverySetting_BelongsToSomeCloud(t *testing.T) {
	t.Parallel()
	keys := strict.Keys(&Config{})
	for _, key := range keys {
		common := slices.Contains([]string{"cloud", "name", "nodes"}, key)
		if known := len(cloudsWith(key)) > 0; known == common {
			t.Errorf("%s: common to all kinds of cluster: %t, among the keys of some: %t", key, common, known)
		}
	}
	for _, kind := range clouds() {
		for i, key := range kind.keys {
			if !slices.Contains(append(keys, kubeconfigKey), key) || slices.Contains(kind.keys[:i], key) {
				t.Errorf("%s: %s is listed twice or is no key of the configuration", kind.cloud, key)
			}
		}
	}
}

// A kind of cluster that leaves something out would fail, or would be forgotten, only when somebody uses it.
func TestEveryKind_IsComplete(t *testing.T) {
	t.Parallel()
	for _, kind := range clouds() {
		if kind.validate == nil || kind.provision == nil || kind.limits.nodes == 0 || kind.limits.why == "" {
			t.Errorf("%s: %+v", kind.cloud, kind)
		}
		if (kind.cores == nil) != (kind.memoryPerCore == nil) || (kind.cores == nil) != (kind.defaults.InstanceType == "") {
			t.Errorf("%s: what its machines' names tell", kind.cloud)
		}
	}
}

func TestValidate_ReportsEverythingAtOnce(t *testing.T) {
	t.Parallel()
	cfg := valid(EKS)
	cfg.Region, cfg.Nodes, cfg.Network, cfg.DataDiskGiB = "", 1, "vpc", 5
	err := cfg.WithDefaults().Validate()
	if err == nil || len(strings.Split(err.Error(), "\n")) != 4 {
		t.Errorf("want 4 problems, got:\n%v", err)
	}
}

func TestVisibleCores_ComeFromTheName(t *testing.T) {
	t.Parallel()
	for instanceType, want := range map[string]int{
		"m6i.large": 2, "m6i.xlarge": 4, "m6i.8xlarge": 32, "c7i-flex.2xlarge": 8, "m7g.xlarge": 4, "t3.xlarge": 4,
		"Standard_D4as_v5": 4, "Standard_D32s_v5": 32, "Standard_E16-4s_v5": 4, "Standard_F8s_v2": 8, "Standard_NC4as_T4_v3": 4,
		"e2-standard-4": 4, "n2-highmem-32": 32, "c3-standard-22-lssd": 22, "n2-custom-8-16384": 8, "c4-highcpu-48": 48,
		// Names that do not tell.
		"m6i.metal": 0, "hpc7a.12xlarge": 0, "mac2.metal": 0, "t3.medium": 0, "Standard_DS3_v2": 0, "Standard_NC6": 0,
		"e2-medium": 0, "a2-highgpu-1g": 0, "": 0,
	} {
		got, known := Config{Cloud: cloudOf(instanceType), InstanceType: instanceType}.VisibleCores()
		if got != want || known != (want > 0) {
			t.Errorf("%q: got %d, %t; want %d", instanceType, got, known, want)
		}
	}
}

// cloudOf returns the cloud that calls a machine so.
func cloudOf(instanceType string) Cloud {
	switch {
	case strings.HasPrefix(instanceType, "Standard_"):
		return AKS
	case strings.Contains(instanceType, "."):
		return EKS
	default:
		return GKE
	}
}

func TestDataDisk_IsKnownForClustersOfOurs(t *testing.T) {
	t.Parallel()
	if gib, known := valid(EKS).WithDefaults().DataDisk(); gib != 200 || !known {
		t.Errorf("eks: got %d, %t", gib, known)
	}
	if gib, known := valid(Existing).WithDefaults().DataDisk(); known {
		t.Errorf("existing: got %d, %t", gib, known)
	}
}

func TestZones_AreTheConfiguredOrTheFirstUsable(t *testing.T) {
	t.Parallel()
	names := []string{"us-east-1a", "us-east-1b", "us-east-1c", "us-east-1d"}
	ids := []string{"use1-az4", "use1-az6", "use1-az1", "use1-az2"}
	for _, test := range []struct {
		name  string
		zones []string
		have  int
		want  string
		err   string
	}{
		{"first three", nil, 4, "us-east-1a us-east-1b us-east-1c", ""},
		{"names", []string{"us-east-1d", "us-east-1b", "us-east-1a"}, 4, "us-east-1d us-east-1b us-east-1a", ""},
		{"ids", []string{"use1-az1", "use1-az2", "use1-az4"}, 4, "us-east-1c us-east-1d us-east-1a", ""},
		{"region too small", nil, 2, "", `aws:region: got "us-east-1", want a region with 3 zones that EKS can use; this one has us-east-1a, us-east-1b`},
		{"not usable", []string{"us-east-1a", "us-east-1b", "us-east-1e"}, 4, "", `cluster.zones[2]: got "us-east-1e", want three different zones`},
		{"same zone twice", []string{"us-east-1a", "us-east-1b", "use1-az4"}, 4, "", `cluster.zones[2]: got "use1-az4"`},
	} {
		cfg := Config{Cloud: EKS, Region: "us-east-1", Zones: test.zones}
		got, err := pickAWSZones(cfg, names[:test.have], ids[:test.have])
		if test.err != "" {
			assertOneProblem(t, err, test.err)
			continue
		}
		if err != nil || strings.Join(got, " ") != test.want {
			t.Errorf("%s: got %v, %v", test.name, got, err)
		}
	}
}

func TestGoogleZones_AreTheConfiguredOrTheFirstThree(t *testing.T) {
	t.Parallel()
	cfg := Config{Cloud: GKE, Region: "us-east1"}
	names := []string{"us-east1-d", "us-east1-b", "us-east1-c", "us-east1-e"}
	if got, err := pickGCPZones(cfg, names); err != nil || strings.Join(got, " ") != "us-east1-b us-east1-c us-east1-d" {
		t.Errorf("got %v, %v", got, err)
	}
	_, err := pickGCPZones(cfg, names[:2])
	assertOneProblem(t, err, `gcp:region: got "us-east1", want a region with 3 zones`)
	cfg.Zones = []string{"us-east1-a", "us-east1-b", "us-east1-c"}
	_, err = pickGCPZones(cfg, names)
	assertOneProblem(t, err, `cluster.zones[0]: got "us-east1-a", want one of`)
}
