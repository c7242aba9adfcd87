package standin

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// gcpNetworkKinds are what gives nodes without addresses of their own a way out.
func gcpNetworkKinds() map[string]*kind {
	return map[string]*kind{
		gcpRouter: {
			required: []string{"network"},
			optional: []string{"bgp", "description", "encryptedInterconnectRouter", "name", "project", "region"},
			computed: []string{"creationTimestamp", "project", "region", "selfLink"},
			// terraform-provider-google services/compute/resource_compute_router.go, ForceNew.
			replaces: []string{"encryptedInterconnectRouter", "name", "network", "project", "region"},
			name:     &autoname{key: "name", separator: "-", suffix: 7},
			create:   gcpCreateRouter, remove: gcpRemoveRouter,
		},
		gcpRouterNat: {
			required: []string{"router", "sourceSubnetworkIpRangesToNat"},
			optional: []string{
				"autoNetworkTier", "drainNatIps", "enableDynamicPortAllocation", "enableEndpointIndependentMapping",
				"endpointTypes", "icmpIdleTimeoutSec", "logConfig", "maxPortsPerVm", "minPortsPerVm", "name",
				"natIpAllocateOption", "natIps", "project", "region", "rules", "subnetworks",
				"tcpEstablishedIdleTimeoutSec", "tcpTimeWaitTimeoutSec", "tcpTransitoryIdleTimeoutSec", "type",
				"udpIdleTimeoutSec",
			},
			computed: []string{
				"autoNetworkTier", "enableDynamicPortAllocation", "enableEndpointIndependentMapping", "endpointTypes",
				"minPortsPerVm", "project", "region",
			},
			sets: []string{"drainNatIps", "natIps", "subnetworks", "rules"},
			// terraform-provider-google services/compute/resource_compute_router_nat.go, ForceNew and Default.
			replaces: []string{"endpointTypes", "name", "project", "region", "router", "type"},
			defaults: fields{
				"icmpIdleTimeoutSec": 30.0, "tcpEstablishedIdleTimeoutSec": 1200.0, "tcpTimeWaitTimeoutSec": 120.0,
				"tcpTransitoryIdleTimeoutSec": 30.0, "udpIdleTimeoutSec": 30.0,
			},
			name:     &autoname{key: "name", separator: "-", suffix: 7},
			validate: gcpValidateNat, create: gcpCreateNat, update: gcpUpdateNat,
		},
	}
}

// place is where a regional resource goes; decided by the provider when it does not say.
func (c *change) place() (project, region string, err error) {
	if project, err = c.project(); err != nil {
		return "", "", err
	}
	if region = lastPart(c.in.str("region")); region == "" {
		region = c.p.config.str("region")
	}
	if gcpZonesOf(region) == nil {
		return "", "", gcpError(404, "notFound", "The resource 'projects/%s/regions/%s' was not found", project, region)
	}
	for path, value := range map[string]any{"project": project, "region": region} {
		if !c.in.has(path) {
			c.out.set(path, value)
		}
	}
	return project, region, nil
}

func gcpCreateRouter(c *change) error {
	project, region, err := c.place()
	if err != nil {
		return err
	}
	if err := c.checkClusterNetwork(""); err != nil {
		return err
	}
	c.id = fmt.Sprintf("projects/%s/regions/%s/routers/%s", project, region, c.in.str("name"))
	if c.find(gcpRouter, c.id) != nil {
		return gcpError(409, "alreadyExists", "The resource '%s' already exists", c.id)
	}
	c.out.set("selfLink", "https://www.googleapis.com/compute/v1/"+c.id)
	c.out.set("creationTimestamp", "2026-11-01T00:00:00.000-07:00")
	return nil
}

// gcpRemoveRouter takes the NAT along: it is a part of the router (Compute Engine API, Router.nats).
func gcpRemoveRouter(c *change) error {
	for _, nat := range c.where(gcpRouterNat, func(fields) bool { return true }) {
		if strings.HasPrefix(nat.id, c.id+"/") {
			c.cascade(nat)
		}
	}
	return nil
}

func gcpValidateNat(in fields, found *refusals) {
	for path, values := range map[string][]string{
		"sourceSubnetworkIpRangesToNat": {
			"ALL_SUBNETWORKS_ALL_IP_RANGES", "ALL_SUBNETWORKS_ALL_PRIMARY_IP_RANGES", "LIST_OF_SUBNETWORKS",
		},
		"natIpAllocateOption": {"MANUAL_ONLY", "AUTO_ONLY"}, "logConfig.filter": {"ERRORS_ONLY", "TRANSLATIONS_ONLY", "ALL"},
	} {
		if value, ok := in.text(path); ok && !slices.Contains(values, value) {
			found.add(path, "expected %s to be one of %q, got %s", path, values, value)
		}
	}
}

func gcpCreateNat(c *change) error {
	project, region, err := c.place()
	if err != nil {
		return err
	}
	router := fmt.Sprintf("projects/%s/regions/%s/routers/%s", project, region, lastPart(c.in.str("router")))
	existing := c.find(gcpRouter, router)
	if existing == nil {
		return gcpError(404, "notFound", "The resource '%s' was not found", router)
	}
	c.id = router + "/" + c.in.str("name")
	if err := c.checkNat(existing); err != nil {
		return err
	}
	for path, value := range map[string]any{
		"autoNetworkTier": "PREMIUM", "enableDynamicPortAllocation": false, "enableEndpointIndependentMapping": false,
		"endpointTypes": []any{"ENDPOINT_TYPE_VM"}, "minPortsPerVm": 0,
	} {
		if !c.in.has(path) {
			c.out.set(path, value)
		}
	}
	return nil
}

func gcpUpdateNat(c *change) error {
	return c.checkNat(c.find(gcpRouter, parent(c.id)))
}

// parent is the id of what a resource is a part of.
func parent(id string) string { return id[:strings.LastIndex(id, "/")] }

// checkNat: Compute Engine API, RouterNat. A NAT for all subnetworks is the only one of its network and region.
func (c *change) checkNat(router *object) error {
	all := func(f fields) bool {
		return strings.HasPrefix(f.str("sourceSubnetworkIpRangesToNat"), "ALL_SUBNETWORKS_")
	}
	manual := c.in.str("natIpAllocateOption") == "MANUAL_ONLY"
	switch {
	case !c.in.has("natIpAllocateOption"):
		return gcpBad("Invalid value for field 'resource.nats[0].natIpAllocateOption': ''. It must be AUTO_ONLY or MANUAL_ONLY.")
	case manual != (len(c.in.strs("natIps")) > 0):
		return gcpBad("Invalid value for field 'resource.nats[0].natIps': NAT IPs are given with MANUAL_ONLY, and only then.")
	case c.in.str("sourceSubnetworkIpRangesToNat") == "LIST_OF_SUBNETWORKS" && !c.in.has("subnetworks"):
		return gcpBad("Invalid value for field 'resource.nats[0].subnetworks': LIST_OF_SUBNETWORKS needs at least one.")
	}
	network := ""
	if router != nil {
		network = lastPart(router.fields().str("network"))
	}
	for _, nat := range c.where(gcpRouterNat, all) {
		other := c.find(gcpRouter, parent(nat.id))
		if nat.id != c.id && all(c.in) && other != nil && lastPart(other.fields().str("network")) == network {
			return gcpBad("Invalid value for field 'resource.nats[0].sourceSubnetworkIpRangesToNat': '%s'. Another NAT of the "+
				"network is for all subnetworks already.", c.in.str("sourceSubnetworkIpRangesToNat"))
		}
	}
	return nil
}

// gcpValidateCluster: terraform-provider-google services/container/resource_container_cluster.go, ConflictsWith,
// validatePrivateClusterConfig and containerClusterPrivateClusterConfigCustomDiff.
func gcpValidateCluster(in fields, found *refusals) {
	for _, pair := range [][2]string{
		{"clusterSecondaryRangeName", "clusterIpv4CidrBlock"}, {"servicesSecondaryRangeName", "servicesIpv4CidrBlock"},
	} {
		if in.has("ipAllocationPolicy."+pair[0]) && in.has("ipAllocationPolicy."+pair[1]) {
			found.add("ipAllocationPolicy."+pair[0], `"ip_allocation_policy.0.%s": conflicts with ip_allocation_policy.0.%s`, pair[0], pair[1])
		}
	}
	master, ok := in.text("privateClusterConfig.masterIpv4CidrBlock")
	if prefix, err := netip.ParsePrefix(master); ok && master != "" && (err != nil || prefix.Bits() != 28) {
		found.add("privateClusterConfig.masterIpv4CidrBlock", "expected private_cluster_config.0.master_ipv4_cidr_block to contain a "+
			"network Value with between 28 and 28 significant bits, got: %s", master)
	}
	if known := in.get("privateClusterConfig.enablePrivateNodes"); ok && master != "" && known != any(unknown{}) && known != true {
		found.add("privateClusterConfig.masterIpv4CidrBlock", "master_ipv4_cidr_block can only be set if enable_private_nodes is true")
	}
}

// checkPrivate: GKE docs, "Create a private cluster".
func (c *change) checkPrivate(string) error {
	nodes, endpoint := c.in.flag("privateClusterConfig.enablePrivateNodes"), c.in.flag("privateClusterConfig.enablePrivateEndpoint")
	switch {
	case nodes && !c.in.has("ipAllocationPolicy") && c.in.str("networkingMode") == "ROUTES":
		return gcpBad("Private clusters must be VPC-native: IP aliases must be enabled.")
	case endpoint && !c.in.has("masterAuthorizedNetworksConfig"):
		return gcpBad("Master authorized networks must be enabled with a private endpoint.")
	}
	return nil
}

// checkRanges finds the secondary ranges that are named in the subnetwork.
func (c *change) checkRanges(string) error {
	name := lastPart(c.in.str("subnetwork"))
	subnets := c.where(gcpSubnetwork, func(f fields) bool { return f.str("name") == name })
	for _, what := range []struct{ kind, path string }{
		{"Pod", "ipAllocationPolicy.clusterSecondaryRangeName"}, {"Services", "ipAllocationPolicy.servicesSecondaryRangeName"},
	} {
		wanted, ok := c.in.text(what.path)
		has := len(subnets) > 0 && slices.ContainsFunc(subnets[0].fields().objects("secondaryIpRanges"), func(f fields) bool {
			return f.str("rangeName") == wanted
		})
		if ok && wanted != "" && !has {
			return gcpBad("%s secondary range %q does not exist in network %q, subnetwork %q.", what.kind, wanted,
				lastPart(c.in.str("network")), name)
		}
	}
	return nil
}
