package standin

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"
)

func gcpContainerKinds() map[string]*kind {
	return map[string]*kind{gcpCluster: gcpClusterKind(), gcpNodePool: gcpNodePoolKind()}
}

func gcpClusterKind() *kind {
	return &kind{
		optional: gcpClusterInputs(),
		computed: []string{
			"addonsConfig", "clusterIpv4Cidr", "databaseEncryption", "datapathProvider", "defaultMaxPodsPerNode",
			"defaultSnatStatus", "enableTpu", "endpoint", "ipAllocationPolicy", "labelFingerprint", "location",
			"loggingConfig", "loggingService", "masterAuth", "masterAuthorizedNetworksConfig", "masterVersion",
			"monitoringConfig", "monitoringService", "networkingMode", "nodeConfig", "nodeLocations", "nodePools",
			"nodeVersion", "notificationConfig", "operation", "privateClusterConfig", "privateIpv6GoogleAccess",
			"project", "releaseChannel", "securityPostureConfig", "selfLink", "servicesIpv4Cidr", "subnetwork",
			"verticalPodAutoscaling", "workloadIdentityConfig",
		},
		sets: []string{"nodeLocations", "nodeConfig.oauthScopes"},
		// terraform-provider-google services/container/resource_container_cluster.go and node_config.go, ForceNew. Of
		// nodeConfig, only what node_config.go marks; GKE ignores the rest with removeDefaultNodePool.
		replaces: []string{
			"name", "location", "network", "subnetwork", "initialNodeCount", "networkingMode", "ipAllocationPolicy",
			"datapathProvider", "defaultMaxPodsPerNode", "enableKubernetesAlpha", "enableTpu", "enableAutopilot",
			"confidentialNodes", "clusterIpv4Cidr", "description", "project",
			"masterAuth.clientCertificateConfig.issueClientCertificate", "privateClusterConfig.masterIpv4CidrBlock",
			"privateClusterConfig.enablePrivateNodes", "nodeConfig.diskSizeGb", "nodeConfig.diskType",
			"nodeConfig.machineType", "nodeConfig.metadata", "nodeConfig.oauthScopes", "nodeConfig.serviceAccount",
			"nodeConfig.preemptible", "nodeConfig.spot", "nodeConfig.shieldedInstanceConfig",
		},
		secrets:  []string{"masterAuth.clientKey"}, // resource_container_cluster.go, Sensitive.
		defaults: fields{"deletionProtection": true, "enableShieldedNodes": true},
		name:     &autoname{key: "name", separator: "-", suffix: 7},
		validate: gcpValidateCluster,
		create:   gcpCreateCluster, update: gcpUpdateCluster, refresh: gcpConnectCluster, remove: gcpRemoveCluster,
		unknownAfter: func(changed []string) []string {
			if slices.Contains(changed, "minMasterVersion") {
				return []string{"masterVersion"}
			}
			return nil
		},
	}
}

func gcpClusterInputs() []string {
	return []string{
		"name", "location", "nodeLocations", "network", "subnetwork", "removeDefaultNodePool", "initialNodeCount",
		"deletionProtection", "releaseChannel", "minMasterVersion", "networkingMode", "ipAllocationPolicy",
		"datapathProvider", "privateClusterConfig", "masterAuth", "masterAuthorizedNetworksConfig",
		"workloadIdentityConfig", "maintenancePolicy", "enableL4IlbSubsetting", "addonsConfig", "nodeConfig",
		"resourceLabels", "description", "project", "defaultMaxPodsPerNode", "enableShieldedNodes",
		"enableIntranodeVisibility", "loggingConfig", "loggingService", "monitoringConfig", "monitoringService",
		"networkPolicy", "securityPostureConfig", "verticalPodAutoscaling", "costManagementConfig", "dnsConfig",
		"gatewayApiConfig", "nodeVersion", "enableAutopilot", "clusterIpv4Cidr", "notificationConfig", "fleet",
		"databaseEncryption", "binaryAuthorization", "defaultSnatStatus", "enableLegacyAbac", "nodePoolDefaults",
		"serviceExternalIpsConfig", "clusterAutoscaling", "confidentialNodes",
	}
}

func gcpBad(format string, args ...any) error { return gcpError(400, "badRequest", format, args...) }

// gkeRelease is the release that GKE makes of a version or a part of one.
func gkeRelease(version string) string {
	switch {
	case strings.Contains(version, "-gke."):
		return version
	case strings.Count(version, ".") == 2:
		return version + "-gke.1000000"
	default:
		return version + ".1-gke.1000000"
	}
}

func gcpCreateCluster(c *change) error {
	project, err := c.project()
	if err != nil {
		return err
	}
	location, name := c.in.str("location"), c.in.str("name")
	if location == "" {
		if location = c.p.config.str("region"); location == "" {
			return fmt.Errorf("cannot determine location: set location in this resource, or set provider-level region")
		}
	}
	c.id = fmt.Sprintf("projects/%s/locations/%s/clusters/%s", project, location, name)
	if c.find(gcpCluster, c.id) != nil {
		return gcpError(409, "alreadyExists", "Already exists: %s.", c.id)
	}
	for _, check := range []func(string) error{
		c.checkClusterName, c.checkLocations, c.checkClusterSize, c.checkClusterNetwork, c.checkMasterVersion,
		c.checkMaintenance, c.checkAuthorizedNetworks, c.checkPrivate, c.checkRanges,
	} {
		if err := check(location); err != nil {
			return err
		}
	}
	if pool, ok := c.in.text("workloadIdentityConfig.workloadPool"); ok && pool != project+".svc.id.goog" {
		return gcpBad("Workload pool %q is not %q.", pool, project+".svc.id.goog")
	}
	c.describeGKE(project, location)
	if err := c.gcpQuota(c.defaultPool(location), 0); err != nil {
		return err
	}
	gcpConnectCluster(c)
	return nil
}

// defaultPool is the node pool that GKE makes with the cluster, also when it is removed right after: initialNodeCount nodes
// in each zone, of 100 GB pd-balanced unless told otherwise (terraform-google-kubernetes-engine #1795).
func (c *change) defaultPool(location string) pool {
	as := *c
	as.in = toFields(toProperties(c.in))
	as.in["nodeCount"], as.in["name"] = c.in.integer("initialNodeCount"), "default-pool"
	as.in.setMissing("nodeLocations", c.out.get("nodeLocations"))
	return as.gkePool(&object{typ: gcpCluster, id: c.id, outputs: toProperties(fields{"location": location})})
}

// checkClusterName: Kubernetes Engine API, Cluster.name.
func (c *change) checkClusterName(string) error {
	name := c.in.str("name")
	if !regexp.MustCompile(`^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$`).MatchString(name) {
		return gcpBad("Invalid value for field \"cluster.name\": %q. Must be a match of regex "+
			"'(?:[a-z](?:[-a-z0-9]{0,38}[a-z0-9])?)'.", name)
	}
	return nil
}

func (c *change) checkLocations(location string) error {
	region, ok := gcpRegionOf(location)
	if !ok {
		return gcpBad("Location %q does not exist.", location)
	}
	for _, zone := range c.in.strs("nodeLocations") {
		if !slices.Contains(gcpZonesOf(region), zone) {
			return gcpBad("Zone %q is not in region %q.", zone, region)
		}
	}
	return c.checkMachineZones(c.in.strs("nodeLocations"))
}

func (c *change) checkClusterSize(string) error {
	if c.in.integer("initialNodeCount") < 1 && !c.in.flag("enableAutopilot") {
		return gcpBad("Cluster.initial_node_count must be greater than zero.")
	}
	return nil
}

// checkClusterNetwork finds networks by name. Every project starts with one called default.
func (c *change) checkClusterNetwork(string) error {
	network := lastPart(c.in.str("network"))
	named := func(name string) func(fields) bool { return func(f fields) bool { return f.str("name") == name } }
	if network != "" && network != "default" && len(c.where(gcpNetwork, named(network))) == 0 {
		return gcpError(404, "notFound", "Network %q not found.", network)
	}
	subnetwork := lastPart(c.in.str("subnetwork"))
	if subnetwork != "" && subnetwork != "default" && len(c.where(gcpSubnetwork, named(subnetwork))) == 0 {
		return gcpError(404, "notFound", "Subnetwork %q not found.", subnetwork)
	}
	return nil
}

func (c *change) checkMasterVersion(string) error {
	version, ok := c.in.text("minMasterVersion")
	if ok && version != "latest" && !gkeOffers().has(version) {
		return gcpBad("No valid versions with the prefix %q found.", version)
	}
	channels := []string{"UNSPECIFIED", "RAPID", "REGULAR", "STABLE", "EXTENDED"}
	if channel, ok := c.in.text("releaseChannel.channel"); ok && !slices.Contains(channels, channel) {
		return gcpBad("Invalid release channel %q.", channel)
	}
	return nil
}

func (c *change) checkAuthorizedNetworks(string) error {
	for _, network := range c.in.objects("masterAuthorizedNetworksConfig.cidrBlocks") {
		if _, err := netip.ParsePrefix(network.str("cidrBlock")); err != nil {
			return gcpBad("Invalid CIDR block %q.", network.str("cidrBlock"))
		}
	}
	return nil
}

// checkMaintenance holds a maintenance policy to what GKE takes: exclusions that end after they begin, and windows that
// leave 48 hours in every 32 days (Kubernetes Engine docs, "Maintenance windows and exclusions").
func (c *change) checkMaintenance(string) error {
	for _, exclusion := range c.in.objects("maintenancePolicy.maintenanceExclusions") {
		start, startErr := time.Parse(time.RFC3339, exclusion.str("startTime"))
		end, endErr := time.Parse(time.RFC3339, exclusion.str("endTime"))
		if startErr != nil || endErr != nil || !end.After(start) {
			return gcpBad("maintenance exclusion %q: want a start time and a later end time, by RFC 3339",
				exclusion.str("exclusionName"))
		}
	}
	window, ok := c.in.get("maintenancePolicy.recurringWindow").(map[string]any)
	if !ok {
		return nil
	}
	open, err := openHours(window)
	if err != nil {
		return err
	}
	if open < 48*time.Hour {
		return gcpBad("maintenance policy would go longer than 32d without 48h maintenance availability")
	}
	return nil
}

// openHours is how long a window is open in 32 days. The stand-in reads what programs write, FREQ=DAILY and FREQ=WEEKLY
// with BYDAY, and refuses what it cannot read.
func openHours(window fields) (time.Duration, error) {
	start, startErr := time.Parse(time.RFC3339, window.str("startTime"))
	end, endErr := time.Parse(time.RFC3339, window.str("endTime"))
	if startErr != nil || endErr != nil || !end.After(start) {
		return 0, gcpBad("recurring window: want a start time and a later end time, by RFC 3339")
	}
	length := end.Sub(start)
	if length < 4*time.Hour {
		return 0, gcpBad("maintenance window must be at least 4 hours long")
	}
	recurrence := window.str("recurrence")
	if recurrence == "FREQ=DAILY" {
		return 32 * min(length, 24*time.Hour), nil
	}
	days, ok := strings.CutPrefix(recurrence, "FREQ=WEEKLY;BYDAY=")
	if !ok {
		return 0, gcpBad("recurrence %q: the stand-in reads FREQ=DAILY and FREQ=WEEKLY;BYDAY=... only", recurrence)
	}
	const weeks = 4 // In 32 days every weekday comes four times for certain.
	return time.Duration(weeks*(strings.Count(days, ",")+1)) * length, nil
}

func (c *change) describeGKE(project, location string) {
	region, _ := gcpRegionOf(location)
	version := c.in.str("minMasterVersion")
	if version == "" || version == "latest" {
		version = gkeOffers().standard()
	}
	c.out.set("selfLink", "https://container.googleapis.com/v1/"+c.id)
	c.out.set("masterVersion", gkeRelease(version))
	c.out.set("labelFingerprint", "a9dc16a7")
	c.out.set("operation", "")
	c.out.set("nodePools", []any{})
	c.out.set("servicesIpv4Cidr", "34.118.224.0/20")
	for path, value := range map[string]any{
		"project": project, "location": location, "nodeVersion": gkeRelease(version), "networkingMode": "VPC_NATIVE",
		"datapathProvider": "", "clusterIpv4Cidr": "10.4.0.0/14", "defaultMaxPodsPerNode": 110, "subnetwork": "default",
		"nodeLocations": anyList(gcpZonesOf(region)[:3]), "loggingService": "logging.googleapis.com/kubernetes",
		"monitoringService": "monitoring.googleapis.com/kubernetes", "enableTpu": false, "privateIpv6GoogleAccess": "",
		"releaseChannel": map[string]any{"channel": "REGULAR"},
	} {
		if !c.in.has(path) {
			c.out.set(path, value)
		}
	}
	// Blocks that this stand-in has no opinion on.
	for _, path := range c.p.cloud.kinds[gcpCluster].computed {
		if !c.in.has(path) && path != "endpoint" && path != "masterAuth" {
			c.out.setMissing(path, map[string]any{})
		}
	}
}

// gcpConnectCluster gives the way to the API server behind the cluster.
func gcpConnectCluster(c *change) {
	connection := c.p.clouds.connection
	c.out.set("endpoint", connection.endpoint())
	c.out.set("masterAuth.clusterCaCertificate", connection.authority64())
	c.out.set("masterAuth.clientCertificate", "")
	c.out.set("masterAuth.clientKey", "")
}

func gcpUpdateCluster(c *change) error {
	existing := c.find(gcpCluster, c.id)
	location := existing.fields().str("location")
	for _, check := range []func(string) error{
		c.checkLocations, c.checkMasterVersion, c.checkMaintenance, c.checkAuthorizedNetworks, c.checkPrivate,
	} {
		if err := check(location); err != nil {
			return err
		}
	}
	from := existing.fields().str("masterVersion")
	to, ok := c.in.text("minMasterVersion")
	switch {
	case !ok || to == "latest":
	case step(from, to) < 0 && c.was.str("minMasterVersion") != to:
		return gcpBad("Master cannot be downgraded from %q to %q.", from, to)
	case step(from, to) > 1:
		return gcpBad("Master cannot be upgraded to %q: cannot upgrade the master more than a minor version at a time.", to)
	case step(from, to) == 1:
		c.out.set("masterVersion", gkeRelease(to))
	}
	gcpConnectCluster(c)
	return nil
}

// gcpRemoveCluster asks the state, as Terraform does: a program that says false without an update changes nothing
// (pulumi-gcp #1394). The node pools go with the cluster.
func gcpRemoveCluster(c *change) error {
	if c.in.flag("deletionProtection") {
		return fmt.Errorf("Cannot destroy cluster because deletion_protection is set to true. " + //nolint:staticcheck // The vendor begins with a capital letter.
			"Set it to false to proceed with cluster deletion.")
	}
	for _, pool := range c.poolsOf(c.id) {
		c.removePool(pool.id)
		c.cascade(pool)
	}
	return nil
}

// poolsOf returns the node pools whose id says they are the cluster's.
func (c *change) poolsOf(cluster string) []*object {
	var pools []*object
	for _, o := range c.objects {
		if o.typ == gcpNodePool && strings.HasPrefix(o.id, cluster+"/nodePools/") {
			pools = append(pools, o)
		}
	}
	return pools
}

func lastPart(path string) string { return path[strings.LastIndex(path, "/")+1:] }
