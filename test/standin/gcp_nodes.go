package standin

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

func gcpNodePoolKind() *kind {
	return &kind{
		required: []string{"cluster"},
		optional: []string{
			"autoscaling", "initialNodeCount", "location", "management", "maxPodsPerNode", "name", "namePrefix",
			"networkConfig", "nodeConfig", "nodeCount", "nodeLocations", "placementPolicy", "project",
			"queuedProvisioning", "upgradeSettings", "version",
		},
		computed: []string{
			"initialNodeCount", "instanceGroupUrls", "location", "managedInstanceGroupUrls", "management",
			"maxPodsPerNode", "namePrefix", "networkConfig", "nodeConfig", "nodeCount", "nodeLocations", "operation",
			"project", "upgradeSettings", "version",
		},
		sets: []string{"nodeLocations", "nodeConfig.oauthScopes"},
		// terraform-provider-google services/container/resource_container_node_pool.go and node_config.go, ForceNew. Disk
		// size, disk type and machine type left that list in v5.10.0 (magic-modules #9575), which pulumi-gcp 7.38 is past:
		// they change in place, by GKE giving every node a new boot disk.
		replaces: []string{
			"cluster", "location", "name", "namePrefix", "initialNodeCount", "maxPodsPerNode", "project",
			"placementPolicy", "queuedProvisioning", "networkConfig.createPodRange", "networkConfig.podRange",
			"networkConfig.podIpv4CidrBlock", "nodeConfig.advancedMachineFeatures", "nodeConfig.bootDiskKmsKey",
			"nodeConfig.confidentialNodes", "nodeConfig.ephemeralStorageLocalSsdConfig", "nodeConfig.guestAccelerators",
			"nodeConfig.hostMaintenancePolicy", "nodeConfig.localNvmeSsdBlockConfig", "nodeConfig.localSsdCount",
			"nodeConfig.metadata", "nodeConfig.minCpuPlatform", "nodeConfig.nodeGroup", "nodeConfig.oauthScopes",
			"nodeConfig.preemptible", "nodeConfig.reservationAffinity", "nodeConfig.sandboxConfig",
			"nodeConfig.secondaryBootDisks", "nodeConfig.serviceAccount", "nodeConfig.shieldedInstanceConfig",
			"nodeConfig.soleTenantConfig", "nodeConfig.spot",
		},
		name:     &autoname{key: "name", separator: "-", suffix: 7},
		validate: gcpValidateNodePool,
		create:   gcpCreateNodePool, update: gcpUpdateNodePool,
		remove: func(c *change) error {
			c.removePool(c.id)
			return nil
		},
	}
}

func gcpValidateNodePool(in fields, found *refusals) {
	if size, ok := in.number("nodeConfig.diskSizeGb"); ok && size < 10 {
		found.add("nodeConfig.diskSizeGb", "expected disk_size_gb to be at least (10), got %d", size)
	}
	if count, ok := in.number("nodeCount"); ok && count < 0 {
		found.add("nodeCount", "expected node_count to be at least (0), got %d", count)
	}
	if strategy, ok := in.text("upgradeSettings.strategy"); ok && !slices.Contains([]string{"SURGE", "BLUE_GREEN"}, strategy) {
		found.add("upgradeSettings.strategy", `expected strategy to be one of ["SURGE" "BLUE_GREEN"], got %s`, strategy)
	}
	modes := []string{"MODE_UNSPECIFIED", "GCE_METADATA", "GKE_METADATA"}
	if mode, ok := in.text("nodeConfig.workloadMetadataConfig.mode"); ok && !slices.Contains(modes, mode) {
		found.add("nodeConfig.workloadMetadataConfig.mode", "expected mode to be one of %q, got %s", modes, mode)
	}
}

func gcpCreateNodePool(c *change) error {
	project, err := c.project()
	if err != nil {
		return err
	}
	cluster, err := c.clusterOfPool(project)
	if err != nil {
		return err
	}
	name := c.in.str("name")
	c.id = cluster.id + "/nodePools/" + name
	if c.find(gcpNodePool, c.id) != nil {
		return gcpError(409, "alreadyExists", "Already exists: %s.", c.id)
	}
	if !regexp.MustCompile(`^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$`).MatchString(name) {
		return gcpBad("Invalid value for field \"node_pool.name\": %q.", name)
	}
	if err := c.checkPool(cluster); err != nil {
		return err
	}
	c.describePool(cluster, project)
	p := c.gkePool(cluster)
	if err := c.gcpQuota(p, 0); err != nil {
		return err
	}
	if err := c.gcpCapacity(p); err != nil {
		c.failAfter(err)
		return nil
	}
	c.launchPool(cluster)
	return nil
}

// clusterOfPool finds the cluster by its full name, or by its name and the pool's location.
func (c *change) clusterOfPool(project string) (*object, error) {
	given := strings.TrimPrefix(c.in.str("cluster"), "https://container.googleapis.com/v1/")
	id := given
	if !strings.HasPrefix(given, "projects/") {
		location := c.in.str("location")
		if location == "" {
			location = c.p.config.str("region")
		}
		if location == "" {
			return nil, errors.New("cannot determine location: set location in this resource, or set provider-level region")
		}
		id = fmt.Sprintf("projects/%s/locations/%s/clusters/%s", project, location, given)
	}
	cluster := c.find(gcpCluster, id)
	if cluster == nil {
		return nil, gcpError(404, "notFound", "Not found: %s.", id)
	}
	return cluster, nil
}

func (c *change) checkPool(cluster *object) error {
	for _, check := range []func(fields) error{
		c.checkPoolPlace, c.checkPoolUpgrades, c.checkPoolNodes, c.checkPoolIdentity,
	} {
		if err := check(cluster.fields()); err != nil {
			return err
		}
	}
	return nil
}

func (c *change) checkPoolPlace(cluster fields) error {
	region, _ := gcpRegionOf(cluster.str("location"))
	for _, zone := range c.in.strs("nodeLocations") {
		if !slices.Contains(gcpZonesOf(region), zone) {
			return gcpBad("Zone %q is not in region %q.", zone, region)
		}
	}
	return c.checkMachineZones(c.in.strs("nodeLocations"))
}

func (c *change) checkPoolUpgrades(cluster fields) error {
	channel := cluster.str("releaseChannel.channel")
	automatic, given := c.in.get("management.autoUpgrade").(bool)
	if given && !automatic && channel != "" && channel != "UNSPECIFIED" {
		return gcpBad("Auto_upgrade must be true when release_channel %s is set.", channel)
	}
	surge, unavailable := c.in.integer("upgradeSettings.maxSurge"), c.in.integer("upgradeSettings.maxUnavailable")
	if c.in.has("upgradeSettings") && c.in.str("upgradeSettings.strategy") != "BLUE_GREEN" && surge+unavailable < 1 {
		return gcpBad("At least one of max_surge and max_unavailable must be greater than 0.")
	}
	version, ok := c.in.text("version")
	if ok && step(cluster.str("masterVersion"), version) > 0 {
		return gcpBad("Node version %q must not have a greater minor version than master version %q.", version,
			cluster.str("masterVersion"))
	}
	return nil
}

func (c *change) checkPoolNodes(fields) error {
	machine, ok := c.in.text("nodeConfig.machineType")
	if ok && !regexp.MustCompile(`^[a-z][a-z0-9]*-([a-z]+-?)+[0-9]*[gt]?(-[0-9]+)?(-lssd)?$`).MatchString(machine) {
		return gcpBad("Invalid machine type %q.", machine)
	}
	images := []string{"COS_CONTAINERD", "UBUNTU_CONTAINERD", "WINDOWS_LTSC_CONTAINERD", "WINDOWS_SAC_CONTAINERD"}
	if image, ok := c.in.text("nodeConfig.imageType"); ok && !slices.Contains(images, strings.ToUpper(image)) {
		return gcpBad("Image type %q is not supported.", image)
	}
	disks := []string{"pd-standard", "pd-balanced", "pd-ssd", "hyperdisk-balanced"}
	if disk, ok := c.in.text("nodeConfig.diskType"); ok && !slices.Contains(disks, disk) {
		return gcpBad("Disk type %q is not supported.", disk)
	}
	return nil
}

func (c *change) checkPoolIdentity(cluster fields) error {
	account, ok := c.in.text("nodeConfig.serviceAccount")
	if ok && account != "default" && !c.hasServiceAccount(account) {
		return gcpBad("Service account %q does not exist.", account)
	}
	workloads, _ := cluster.text("workloadIdentityConfig.workloadPool")
	if c.in.str("nodeConfig.workloadMetadataConfig.mode") == "GKE_METADATA" && workloads == "" {
		return gcpBad("Workload Identity must be enabled on the cluster before GKE_METADATA can be used on a node pool.")
	}
	return nil
}

func (c *change) describePool(cluster *object, project string) {
	f := cluster.fields()
	zones := c.in.strs("nodeLocations")
	if len(zones) == 0 {
		zones = f.strs("nodeLocations")
	}
	var groups []string
	for _, zone := range zones {
		groups = append(groups, fmt.Sprintf("https://www.googleapis.com/compute/v1/projects/%s/zones/%s/"+
			"instanceGroupManagers/%s", project, zone, c.newID("gke-"+c.in.str("name")+"-", 8)))
	}
	c.out.set("instanceGroupUrls", anyList(groups))
	c.out.set("managedInstanceGroupUrls", anyList(groups))
	c.out.set("operation", "")
	count := c.in.integer("nodeCount")
	for path, value := range map[string]any{
		"initialNodeCount": count, "nodeCount": count, "location": f.str("location"), "project": project,
		"maxPodsPerNode": 110, "namePrefix": "", "networkConfig": map[string]any{}, "nodeConfig": map[string]any{},
		"nodeLocations": anyList(zones), "version": f.str("masterVersion"),
		"management":      map[string]any{"autoRepair": true, "autoUpgrade": true},
		"upgradeSettings": map[string]any{"strategy": "SURGE", "maxSurge": 1, "maxUnavailable": 0},
	} {
		if !c.in.has(path) {
			c.out.set(path, value)
		}
	}
}

func gcpUpdateNodePool(c *change) error {
	project, err := c.project()
	if err != nil {
		return err
	}
	cluster, err := c.clusterOfPool(project)
	if err != nil {
		return err
	}
	if err := c.checkPool(cluster); err != nil {
		return err
	}
	return c.changePool(cluster)
}
