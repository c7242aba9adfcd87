package standin

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

func azureClusterKind() *kind {
	return &kind{
		required: []string{"resourceGroupName", "location"},
		optional: []string{
			"resourceName", "aadProfile", "addonProfiles", "agentPoolProfiles", "apiServerAccessProfile",
			"autoScalerProfile", "autoUpgradeProfile", "azureMonitorProfile", "disableLocalAccounts",
			"diskEncryptionSetID", "dnsPrefix", "enablePodSecurityPolicy", "enableRBAC", "extendedLocation",
			"fqdnSubdomain", "httpProxyConfig", "identity", "identityProfile", "ingressProfile", "kubernetesVersion",
			"linuxProfile", "metricsProfile", "networkProfile", "nodeResourceGroup", "nodeResourceGroupProfile",
			"oidcIssuerProfile", "podIdentityProfile", "privateLinkResources", "publicNetworkAccess",
			"securityProfile", "serviceMeshProfile", "servicePrincipalProfile", "sku", "storageProfile", "supportPlan",
			"tags", "upgradeSettings", "windowsProfile", "workloadAutoScalerProfile",
		},
		inputOnly: []string{"resourceGroupName", "resourceName"},
		computed: []string{
			"azureApiVersion", "azurePortalFQDN", "currentKubernetesVersion", "eTag", "fqdn", "maxAgentPools", "name",
			"powerState", "privateFQDN", "provisioningState", "resourceUID", "systemData", "type",
			// Inputs that Azure fills in when they are not given.
			"agentPoolProfiles", "autoScalerProfile", "autoUpgradeProfile", "dnsPrefix", "enableRBAC",
			"identityProfile", "kubernetesVersion", "networkProfile", "nodeResourceGroup", "oidcIssuerProfile", "sku",
			"storageProfile", "supportPlan", "identity.principalId", "identity.tenantId", "oidcIssuerProfile.issuerURL",
		},
		// azure-native provider/pkg/gen/replacement.go as of 3.10 (networkProfile as a whole; the finer list came with
		// #4756 in 2026), and parameters of the URL. Agent pool settings are not among them: ARM refuses those itself.
		replaces: []string{
			"resourceGroupName", "resourceName", "diskEncryptionSetID", "dnsPrefix", "fqdnSubdomain", "linuxProfile",
			"location", "networkProfile", "nodeResourceGroup", "windowsProfile",
		},
		name:     &autoname{key: "resourceName", suffix: 8},
		validate: azureValidateCluster,
		create:   azureCreateCluster, update: azureUpdateCluster, remove: azureRemoveCluster,
	}
}

// azureValidateCluster holds names to the patterns of the API's specification, which azure-native checks itself.
func azureValidateCluster(in fields, found *refusals) {
	name, ok := in.text("resourceName")
	if ok && !regexp.MustCompile(`^[a-zA-Z0-9]$|^[a-zA-Z0-9][-_a-zA-Z0-9]{0,61}[a-zA-Z0-9]$`).MatchString(name) {
		found.add("resourceName",
			`'resourceName' does not match expression '^[a-zA-Z0-9]$|^[a-zA-Z0-9][-_a-zA-Z0-9]{0,61}[a-zA-Z0-9]$'`)
	}
	for i, pool := range in.objects("agentPoolProfiles") {
		path := fmt.Sprintf("agentPoolProfiles[%d].name", i)
		if !pool.has("name") {
			found.add(path, "missing required property '%s'", path)
		} else if name, ok := pool.text("name"); ok && !regexp.MustCompile(`^[a-z][a-z0-9]{0,11}$`).MatchString(name) {
			found.add(path, "'%s' does not match expression '^[a-z][a-z0-9]{0,11}$'", path)
		}
	}
}

func (c *change) azureClusterID(group, name string) string {
	return fmt.Sprintf("/subscriptions/%s/resourcegroups/%s/providers/Microsoft.ContainerService/managedClusters/%s",
		c.p.clouds.options.Subscription, group, name)
}

func azureBad(code, format string, args ...any) error { return azureError(400, code, format, args...) }

func azureCreateCluster(c *change) error {
	group, name := c.in.str("resourceGroupName"), c.in.str("resourceName")
	if c.find(azureGroup, azureGroupID(c.p, group)) == nil {
		return azureError(404, "ResourceGroupNotFound", "Resource group '%s' could not be found.", group)
	}
	c.id = c.azureClusterID(group, name)
	if c.find(azureCluster, c.id) != nil {
		return fmt.Errorf("cannot create already existing resource %q", c.id)
	}
	switch {
	case !c.in.has("dnsPrefix") && !c.in.has("fqdnSubdomain"):
		return azureBad("InvalidParameter", "Required parameter dnsPrefix is missing (null).")
	case !c.in.has("identity") && !c.in.has("servicePrincipalProfile"):
		return azureBad("InvalidParameter", "Required parameter servicePrincipalProfile is missing (null).")
	}
	for _, check := range []func() error{
		c.checkAKSVersion, c.checkAKSPools, c.checkNodeGroupName, c.checkAKSNetwork, c.checkAKSAccess, c.checkProfiles,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	if err := c.occupy(c.id, "Creating"); err != nil {
		return err
	}
	c.describeAKS(group, name)
	c.describeIssuer(c.out.str("resourceUID"))
	c.describeAKSPools(nil, nil)
	return c.changeInline(c.launchAKS)
}

// checkAKSVersion: the oldest version is sold in the long-term plan only, which needs the Premium tier.
func (c *change) checkAKSVersion() error {
	version, ok := c.in.text("kubernetesVersion")
	if !ok {
		return nil
	}
	minor, _ := minorOf(version)
	premium := c.in.str("sku.tier") == "Premium" && c.in.str("supportPlan") == "AKSLongTermSupport"
	switch {
	case minor == aksOffers().oldest-1 && !premium:
		return azureBad("K8sVersionNotSupported", "Managed cluster %s is on version %s, which is only available for "+
			"Long-Term Support (LTS).", c.in.str("resourceName"), version)
	case minor != aksOffers().oldest-1 && !aksOffers().has(version):
		return azureBad("K8sVersionNotSupported", "Managed cluster %s is on version %s which is not supported in this "+
			"region.", c.in.str("resourceName"), version)
	}
	return nil
}

func (c *change) checkAKSPools() error {
	pools := c.in.objects("agentPoolProfiles")
	system := slices.ContainsFunc(pools, func(pool fields) bool { return pool.str("mode") == "System" })
	switch {
	case len(pools) == 0:
		return azureBad("InvalidParameter", "Required parameter agentPoolProfiles is missing (null).")
	case !system:
		return azureBad("InvalidParameter", "At least one agent pool must be in mode System.")
	}
	for _, pool := range pools {
		if err := c.checkAKSPool(pool, c.in.str("location")); err != nil {
			return err
		}
	}
	return c.checkOrchestrators(pools)
}

// checkOrchestrators: azure-native #2094.
func (c *change) checkOrchestrators(pools []fields) error {
	specified := 0
	for _, pool := range pools {
		version, ok := pool.text("orchestratorVersion")
		if ok {
			specified++
		}
		if ok && version != c.in.str("kubernetesVersion") {
			specified = -len(pools)
		}
	}
	if specified != 0 && specified != len(pools) {
		return azureBad("NotAllAgentPoolOrchestratorVersionSpecifiedAndUnchanged", "Using managed cluster api, all Agent "+
			"pools' OrchestratorVersion must be all specified or all unspecified. If all specified, they must be stay "+
			"unchanged or the same with control plane.")
	}
	return nil
}

// checkAKSPool checks an agent pool, inline or by itself (AKS REST API, "Agent Pools - Create Or Update").
func (c *change) checkAKSPool(pool fields, location string) error {
	zones := pool.strs("availabilityZones")
	for _, check := range []struct {
		wrong     bool
		code, why string
	}{
		{
			!regexp.MustCompile(`^(Standard|Basic)_[A-Za-z0-9_-]+$`).MatchString(pool.str("vmSize")),
			"InvalidParameter", fmt.Sprintf("The VM size %q is not allowed in your subscription.", pool.str("vmSize")),
		},
		{
			len(zones) > 0 && !azureHasZones(location), "AvailabilityZoneNotSupported",
			fmt.Sprintf("The zone(s) '%s' for resource 'agentpool' is not supported. The supported zones for location '%s' "+
				"are ''", strings.Join(zones, ","), location),
		},
		{
			slices.ContainsFunc(zones, func(z string) bool { return !slices.Contains([]string{"1", "2", "3"}, z) }),
			"AvailabilityZoneNotSupported", fmt.Sprintf("The zone(s) '%s' is not supported.", strings.Join(zones, ",")),
		},
		{
			len(zones) > 0 && pool.str("type") != "VirtualMachineScaleSets", "InvalidParameter",
			"Availability zones need agent pools of type VirtualMachineScaleSets.",
		},
		{
			pool.has("osDiskSizeGB") && pool.integer("osDiskSizeGB") != 0 &&
				(pool.integer("osDiskSizeGB") < 30 || pool.integer("osDiskSizeGB") > 2048),
			"InvalidParameter", "The value of parameter agentPoolProfile.osDiskSizeGB is invalid: want 30 to 2048.",
		},
		{
			pool.has("osSKU") && !slices.Contains([]string{
				"Ubuntu", "AzureLinux", "CBLMariner", "Windows2019", "Windows2022",
			}, pool.str("osSKU")),
			"InvalidOSSKU", fmt.Sprintf("OSSKU %q is invalid.", pool.str("osSKU")),
		},
	} {
		if check.wrong {
			return azureBad(check.code, "%s", check.why)
		}
	}
	return c.checkAKSScale(pool)
}

func (c *change) checkAKSScale(pool fields) error {
	smallest, largest, count := pool.integer("minCount"), pool.integer("maxCount"), pool.integer("count")
	automatic := pool.flag("enableAutoScaling")
	switch {
	case automatic && (smallest < 1 || largest < smallest):
		return azureBad("InvalidParameter", "AgentPool '%s' has set auto scaling as enabled but minCount %d and maxCount "+
			"%d are no range.", pool.str("name"), smallest, largest)
	case automatic && (count < smallest || count > largest):
		return azureBad("InvalidParameter", "AgentPool '%s' has count %d outside of its range %d to %d.",
			pool.str("name"), count, smallest, largest)
	case !automatic && (pool.has("minCount") || pool.has("maxCount")):
		return azureBad("InvalidParameter", "AgentPool '%s' has set auto scaling as not enabled but is trying to set "+
			"minCount or maxCount.", pool.str("name"))
	case count < 1 && pool.str("mode") == "System":
		return azureBad("InvalidParameter", "System pool '%s' must have at least one node.", pool.str("name"))
	}
	return nil
}

// azureHasZones: Azure docs, "Azure regions with availability zone support"; these are the ones without.
func azureHasZones(location string) bool {
	return !slices.Contains([]string{
		"westus", "northcentralus", "westcentralus", "canadaeast", "ukwest", "southindia", "westindia", "koreasouth",
		"japanwest", "australiasoutheast",
	}, strings.ToLower(strings.ReplaceAll(location, " ", "")))
}

func (c *change) checkAKSNetwork() error {
	for _, pool := range c.in.objects("agentPoolProfiles") {
		id, ok := pool.text("vnetSubnetID")
		if ok && c.find(azureSubnet, id) == nil {
			return azureBad("InvalidParameter", "The subnet %s does not exist.", id)
		}
	}
	if err := c.checkCIDRs(); err != nil {
		return err
	}
	network, given := c.in.get("networkProfile").(map[string]any)
	if !given {
		return nil
	}
	profile := fields(network)
	if profile.str("networkPluginMode") == "overlay" && profile.str("networkPlugin") != "azure" {
		return azureBad("InvalidParameter", "networkPluginMode overlay needs networkPlugin azure.")
	}
	return nil
}

func (c *change) checkAKSAccess() error {
	for _, allowed := range c.in.strs("apiServerAccessProfile.authorizedIPRanges") {
		_, prefixErr := netip.ParsePrefix(allowed)
		_, addressErr := netip.ParseAddr(allowed)
		if prefixErr != nil && addressErr != nil {
			return azureBad("InvalidParameter", "authorizedIPRanges: %q is no address or range.", allowed)
		}
	}
	return nil
}

func (c *change) describeAKS(group, name string) {
	c.out.set("azureApiVersion", "2024-10-01")
	c.out.set("name", name)
	c.out.set("type", "Microsoft.ContainerService/ManagedClusters")
	prefix := c.in.str("dnsPrefix") + c.in.str("fqdnSubdomain")
	location := c.in.str("location")
	c.out.set("fqdn", fmt.Sprintf("%s-standin.hcp.%s.azmk8s.io", prefix, location))
	c.out.set("azurePortalFQDN", fmt.Sprintf("%s-standin.portal.hcp.%s.azmk8s.io", prefix, location))
	c.out.set("privateFQDN", "")
	c.out.set("eTag", c.newID("", 8))
	c.out.set("maxAgentPools", 100)
	c.out.set("powerState", map[string]any{"code": "Running"})
	c.out.set("provisioningState", "Succeeded")
	c.out.set("resourceUID", c.newID("", 24))
	c.out.set("systemData", map[string]any{})
	if c.in.has("identity") {
		c.out.set("identity.principalId", "00000000-0000-4000-8000-"+c.newID("", 12))
		c.out.set("identity.tenantId", "00000000-0000-4000-8000-000000000004")
	}
	for path, value := range map[string]any{
		"kubernetesVersion": aksOffers().standard(), "enableRBAC": true,
		"nodeResourceGroup": fmt.Sprintf("MC_%s_%s_%s", group, name, location), "supportPlan": "KubernetesOfficial",
		"sku":            map[string]any{"name": "Base", "tier": "Free"},
		"networkProfile": map[string]any{"networkPlugin": "azure", "loadBalancerSku": "standard"}, "dnsPrefix": "",
		// AKS docs, "Autoupgrade node OS images": weekly new images unless told otherwise.
		"autoUpgradeProfile": map[string]any{"nodeOSUpgradeChannel": "NodeImage"},
		"autoScalerProfile":  map[string]any{}, "identityProfile": map[string]any{}, "storageProfile": map[string]any{},
		"oidcIssuerProfile": map[string]any{"enabled": false},
	} {
		if !c.in.has(path) {
			c.out.set(path, value)
		}
	}
}

// describeAKSPools repeats the agent pools with what Azure knows of them. A pool that says no version keeps the one it
// has, whatever becomes of the control plane (Azure/AKS CHANGELOG, April 2022, PR #2889; #3087).
func (c *change) describeAKSPools(had map[string]string, there []fields) {
	version := c.in.str("kubernetesVersion")
	if version == "" {
		version = c.out.str("kubernetesVersion")
	}
	c.out.set("currentKubernetesVersion", patchRelease(version))
	var pools []any
	for _, pool := range c.in.objects("agentPoolProfiles") {
		nodes := had[pool.str("name")]
		if given, ok := pool.text("orchestratorVersion"); ok || nodes == "" {
			nodes = patchRelease(cmp.Or(given, version))
		}
		for path, value := range map[string]any{
			"currentOrchestratorVersion": nodes, "provisioningState": "Succeeded", "nodeImageVersion": aksImage,
			"powerState": map[string]any{"code": "Running"}, "eTag": "", "orchestratorVersion": nodes,
			"osDiskType": "Managed", "osSKU": "Ubuntu", "osType": "Linux", "maxPods": 250, "type": "VirtualMachineScaleSets",
		} {
			pool.setMissing(path, value)
		}
		pools = append(pools, map[string]any(pool))
	}
	for _, pool := range there { // Those that the program does not name any more.
		named := func(other fields) bool { return other.str("name") == pool.str("name") }
		if !slices.ContainsFunc(c.in.objects("agentPoolProfiles"), named) {
			pools = append(pools, map[string]any(pool))
		}
	}
	c.out.set("agentPoolProfiles", pools)
}

// changeInline does something with the machines of the agent pools that the cluster's inputs name.
func (c *change) changeInline(do func(*object, pool, fields) error) error {
	cluster := &object{typ: azureCluster, id: c.id, urn: c.entry.URN, outputs: toProperties(c.poolFields())}
	for _, profile := range c.out.objects("agentPoolProfiles") {
		if err := do(cluster, c.aksPool(cluster, profile), profile); err != nil {
			return err
		}
	}
	return nil
}

// azureRemoveCluster takes the agent pools and their machines along.
func azureRemoveCluster(c *change) error {
	if err := c.occupy(c.id, "Deleting"); err != nil {
		return err
	}
	c.removeCluster(c.find(azureCluster, c.id))
	return nil
}

func (c *change) removeCluster(cluster *object) {
	for name := range c.aksPools(cluster) {
		id := cluster.id + "/agentPools/" + name
		c.removeAKS(id)
		if own := c.find(azurePool, id); own != nil {
			c.cascade(own)
		}
	}
}

// patchRelease completes "1.35" to a release, as AKS does with an alias minor version.
func patchRelease(version string) string {
	if strings.Count(version, ".") == 1 {
		return version + ".4"
	}
	return version
}

func azureUpdateCluster(c *change) error {
	existing := c.find(azureCluster, c.id).fields()
	from, to := existing.str("currentKubernetesVersion"), c.in.str("kubernetesVersion")
	if to != "" && (step(from, to) < 0 || step(from, to) > 1) {
		return azureBad("OperationNotAllowed", "Upgrading Kubernetes version %s to %s is not allowed. Available upgrades: "+
			"the next minor version only.", from, to)
	}
	for _, check := range []func() error{
		c.checkAKSVersion, c.checkAKSPools, c.checkAKSNetwork, c.checkAKSAccess, c.checkProfiles,
		c.checkPoolsUnchanged,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	if err := c.occupy(c.id, "Updating"); err != nil {
		return err
	}
	had := map[string]string{}
	for name, pool := range c.aksPools(c.find(azureCluster, c.id)) {
		had[name] = pool.str("currentOrchestratorVersion")
	}
	c.describeAKS(c.in.str("resourceGroupName"), c.in.str("resourceName"))
	for _, key := range []string{"resourceUID", "nodeResourceGroup", "identity.principalId"} {
		c.out.set(key, existing.str(key))
	}
	c.describeIssuer(existing.str("resourceUID"))
	if to == "" {
		c.out.set("kubernetesVersion", existing.str("kubernetesVersion"))
	}
	c.describeAKSPools(had, existing.objects("agentPoolProfiles"))
	return c.changeInline(c.changeAKS)
}

// azureFixed are the settings of an agent pool that ARM refuses to change (AKS REST API; azure-native #4264).
func azureFixed() []string {
	return []string{
		"vmSize", "osDiskSizeGB", "osDiskType", "osType", "availabilityZones", "vnetSubnetID", "podSubnetID", "maxPods",
		"kubeletDiskType", "type", "kubeletConfig", "linuxOSConfig", "enableNodePublicIP",
	}
}

// checkPoolsUnchanged: azure-native #579 for a new pool, #4264 for a changed one. A pool that is not named is left alone.
func (c *change) checkPoolsUnchanged() error {
	before := c.aksPools(c.find(azureCluster, c.id))
	for _, pool := range c.in.objects("agentPoolProfiles") {
		old, ok := before[pool.str("name")]
		if !ok {
			return azureBad("InvalidParameter", "A new agent pool was introduced. Adding agent pools to an existing cluster "+
				"is not allowed through managed cluster operations. For agent pool specific change, please use per agent "+
				"pool operations: https://aka.ms/agent-pool-rest-api")
		}
		if err := unchangedPool(old, pool); err != nil {
			return err
		}
	}
	return nil
}

// azureAdminCredentials hands out the kubeconfig, unless the cluster has no accounts of its own.
func azureAdminCredentials(c *change) (fields, error) {
	group, name := c.in.str("resourceGroupName"), c.in.str("resourceName")
	cluster := c.find(azureCluster, c.azureClusterID(group, name))
	if cluster == nil {
		return nil, azureError(404, "ResourceNotFound", "The Resource 'Microsoft.ContainerService/managedClusters/%s' "+
			"under resource group '%s' was not found.", name, group)
	}
	if cluster.fields().flag("disableLocalAccounts") {
		return nil, azureBad("BadRequest", "Getting static credential is not allowed because this cluster is set to "+
			"disable local accounts.")
	}
	kubeconfig := base64.StdEncoding.EncodeToString(c.p.clouds.connection.kubeconfig)
	return fields{"kubeconfigs": []any{map[string]any{"name": "clusterAdmin", "value": kubeconfig}}}, nil
}
