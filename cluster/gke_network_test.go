package cluster

import (
	"fmt"
	"strings"
	"testing"
)

func TestGKEPrivateNodes_HaveAWayOut(t *testing.T) {
	t.Parallel()
	cfg := valid(GKE)
	cfg.PrivateNodes = true
	r := provide(cfg, false).mustSucceed(t)
	control := r.One(t, gkeType, "ha-iris-test")
	assertInputs(t, control, map[string]any{
		"privateClusterConfig.enablePrivateNodes": true, "privateClusterConfig.enablePrivateEndpoint": false,
	})
	assertInputs(t, r.One(t, routerType, "ha-iris-test"), map[string]any{"network": "default", "region": "europe-west1"})
	assertInputs(t, r.One(t, natType, "ha-iris-test"), map[string]any{
		"router": "ha-iris-test-id", "region": "europe-west1", "natIpAllocateOption": "AUTO_ONLY",
		"sourceSubnetworkIpRangesToNat": "ALL_SUBNETWORKS_ALL_IP_RANGES",
	})
	assertAfter(t, control, "RouterNat::ha-iris-test")
	cfg.Network = "databases"
	if own := provide(cfg, false).mustSucceed(t); len(own.Find(natType))+len(own.Find(routerType)) > 0 {
		t.Error("a network of the user's gets a second NAT, which Google refuses")
	}
	if public := provide(valid(GKE), false).mustSucceed(t); public.One(t, gkeType, "ha-iris-test").Inputs.HasValue("privateClusterConfig") {
		t.Error("a cluster whose nodes have public addresses would be replaced")
	}
}

// shared puts the cluster into another project's network.
func shared(c *Config) {
	c.Network, c.Subnetwork = "projects/acme-net/global/networks/prod", "projects/acme-net/regions/europe-west1/subnetworks/nodes"
	c.PodRange, c.ServiceRange = "pods", "services"
}

func TestGKESharedNetworkAndItsRanges_ReachTheCluster(t *testing.T) {
	t.Parallel()
	cfg := valid(GKE)
	shared(&cfg)
	if err := cfg.WithDefaults().Validate(); err != nil {
		t.Fatal(err)
	}
	assertInputs(t, provide(cfg, false).mustSucceed(t).One(t, gkeType, "ha-iris-test"), map[string]any{
		"network": cfg.Network, "subnetwork": cfg.Subnetwork,
		"ipAllocationPolicy.clusterSecondaryRangeName": "pods", "ipAllocationPolicy.servicesSecondaryRangeName": "services",
	})
}

func TestValidate_ReportsEachMistakeOfGooglesNetworks(t *testing.T) {
	t.Parallel()
	own := func(change func(*Config)) func(*Config) {
		return func(c *Config) {
			shared(c)
			change(c)
		}
	}
	assertMistakes(t, []mistake{
		{"network as an address", GKE, func(c *Config) { c.Network = "https://www.googleapis.com/compute/v1/projects/p/global/networks/n" }, "cluster.network: got "},
		{"network in capitals", GKE, func(c *Config) { c.Network = "Prod" }, `cluster.network: got "Prod", want a network's name, or projects/HOST/global/networks/NAME`},
		{"network too long", GKE, func(c *Config) { c.Network = strings.Repeat("n", 64) }, "cluster.network: got "},
		{"subnetwork by path", GKE, func(c *Config) { c.Network, c.Subnetwork = "prod", "regions/europe-west1/subnetworks/nodes" }, "want a subnetwork's name"},
		{"shared without a subnetwork", GKE, own(func(c *Config) { c.Subnetwork = "nodes" }), `cluster.subnetwork: got "nodes", want projects/acme-net/regions/europe-west1/subnetworks/NAME`},
		{"shared in another region", GKE, own(func(c *Config) {
			c.Subnetwork = "projects/acme-net/regions/europe-west2/subnetworks/nodes"
		}), "want projects/acme-net/regions/europe-west1/subnetworks/NAME"},
		{"shared from another project", GKE, own(func(c *Config) {
			c.Subnetwork = "projects/other-net/regions/europe-west1/subnetworks/nodes"
		}), "want projects/acme-net/regions/europe-west1/subnetworks/NAME"},
		{"shared without ranges", GKE, own(func(c *Config) { c.PodRange, c.ServiceRange = "", "" }), "cluster.podRange: got nothing, want the name of a secondary range, and another"},
		{"one range", GKE, own(func(c *Config) { c.ServiceRange = "" }), "cluster.serviceRange: got nothing, want the name of a secondary range too"},
		{"the same range", GKE, own(func(c *Config) { c.ServiceRange = "pods" }), "cluster.serviceRange: got \"pods\", want another range than cluster.podRange"},
		{"range as a network", GKE, own(func(c *Config) { c.PodRange = "10.0.0.0/16" }), `cluster.podRange: got "10.0.0.0/16", want the name of a secondary range`},
		{"ranges of no subnetwork", GKE, func(c *Config) { c.Network, c.PodRange, c.ServiceRange = "prod", "pods", "services" }, "cluster.subnetwork: got nothing, want the subnetwork that the ranges are part of"},
	})
}

func TestValidate_ReportsZonesThatAreNone(t *testing.T) {
	t.Parallel()
	const single = `want a zone of us-central1 with a single letter, such as us-central1-b`
	assertMistakes(t, []mistake{
		{"AI zone", GKE, func(c *Config) {
			c.Region, c.Zones = "us-central1", []string{"us-central1-a", "us-central1-b", "us-central1-ai1a"}
		}, `cluster.zones[2]: got "us-central1-ai1a", ` + single},
		{"local zone", EKS, func(c *Config) {
			c.Region, c.Zones = "us-east-1", []string{"us-east-1a", "us-east-1b", "us-east-1-bos-1a"}
		}, `cluster.zones[2]: got "us-east-1-bos-1a", want a zone of us-east-1`},
		{"local zone's id", EKS, func(c *Config) {
			c.Region, c.Zones = "us-east-1", []string{"us-east-1a", "us-east-1b", "use1-bos1-az1"}
		}, `cluster.zones[2]: got "use1-bos1-az1", want a zone of us-east-1`},
	})
}

func TestGoogleAIZones_AreNotAmongTheFirstThree(t *testing.T) {
	t.Parallel()
	cfg := Config{Cloud: GKE, Region: "us-central1"}
	names := []string{"us-central1-ai1a", "us-central1-a", "us-central1-b", "us-central1-c"}
	if got, err := pickGCPZones(cfg, names); err != nil || strings.Join(got, " ") != "us-central1-a us-central1-b us-central1-c" {
		t.Errorf("got %v, %v", got, err)
	}
	_, err := pickGCPZones(cfg, names[:3])
	assertOneProblem(t, err, `gcp:region: got "us-central1", want a region with 3 zones`)
}

func TestValidate_ReportsEachMistakeOfAzuresNetworks(t *testing.T) {
	t.Parallel()
	assertMistakes(t, []mistake{
		{"not a network", AKS, func(c *Config) { c.ServiceCIDR = "172.16.0.0" }, `cluster.serviceCidr: got "172.16.0.0", want an IPv4 network`},
		{"host bits", AKS, func(c *Config) { c.ServiceCIDR = "172.16.0.1/16" }, "want the network's own address: 172.16.0.0/16"},
		{"too large", AKS, func(c *Config) { c.ServiceCIDR = "172.0.0.0/11" }, "want a network of /12 to /24"},
		{"too small", AKS, func(c *Config) { c.ServiceCIDR = "172.16.0.0/25" }, "want a network of /12 to /24"},
		{"the pods' network", AKS, func(c *Config) { c.ServiceCIDR = "10.244.128.0/17" }, "want a network that does not overlap with 10.244.0.0/16"},
		{"two taken networks", AKS, func(c *Config) { c.ServiceCIDR = "172.16.0.0/12" }, "want a network that does not overlap with 172.30.0.0/16"},
		{"AKS' own network", AKS, func(c *Config) { c.ServiceCIDR = "172.30.5.0/24" }, "want a network that does not overlap with 172.30.0.0/16"},
		{"another cloud's", EKS, func(c *Config) { c.ServiceCIDR = "172.16.0.0/16" }, "cluster.serviceCidr: got a value, want nothing with cloud eks: it is a setting of aks"},
		{"no access to no subnet", AKS, func(c *Config) { c.GrantSubnetAccess = false }, "cluster.grantSubnetAccess: got false, want nothing without cluster.subnetIds"},
		{"another cloud's", GKE, func(c *Config) { c.GrantSubnetAccess = false }, "cluster.grantSubnetAccess: got a value, want nothing with cloud gke"},
		{"a group's name", AKS, func(c *Config) { c.AADAdminGroups = []string{"admins"} }, `cluster.aadAdminGroups[0]: got "admins", want the group's object id`},
		{"a group twice", AKS, func(c *Config) {
			const id = "0000000a-0000-0000-0000-000000000001"
			c.AADAdminGroups = []string{id, id}
		}, "cluster.aadAdminGroups[1]: got "},
		{"too many groups", AKS, func(c *Config) {
			for i := range maxAdminGroups + 1 {
				c.AADAdminGroups = append(c.AADAdminGroups, fmt.Sprintf("0000000a-0000-0000-0000-%012d", i))
			}
		}, "cluster.aadAdminGroups: got 101 groups, want at most 100"},
	})
}
