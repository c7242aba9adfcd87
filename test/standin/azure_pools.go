package standin

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

func azurePoolKind() *kind {
	return &kind{
		required: []string{"resourceGroupName", "resourceName"},
		// pulumi-azure-native-sdk/containerservice/v3 v3.10.1, agentPool.go.
		optional: []string{
			"agentPoolName", "availabilityZones", "capacityReservationGroupID", "count", "creationData",
			"enableAutoScaling", "enableEncryptionAtHost", "enableFIPS", "enableNodePublicIP", "enableUltraSSD",
			"gpuInstanceProfile", "hostGroupID", "kubeletConfig", "kubeletDiskType", "linuxOSConfig", "maxCount",
			"maxPods", "messageOfTheDay", "minCount", "mode", "networkProfile", "nodeLabels", "nodePublicIPPrefixID",
			"nodeTaints", "orchestratorVersion", "osDiskSizeGB", "osDiskType", "osSKU", "osType", "podSubnetID",
			"powerState", "proximityPlacementGroupID", "scaleDownMode", "scaleSetEvictionPolicy", "scaleSetPriority",
			"securityProfile", "spotMaxPrice", "tags", "type", "upgradeSettings", "vmSize", "vnetSubnetID",
			"windowsProfile", "workloadRuntime",
		},
		inputOnly: []string{"resourceGroupName", "resourceName", "agentPoolName"},
		computed: []string{
			"azureApiVersion", "currentOrchestratorVersion", "eTag", "name", "nodeImageVersion", "provisioningState",
			"count", "enableFIPS", "kubeletDiskType", "maxPods", "mode", "orchestratorVersion", "osDiskSizeGB",
			"osDiskType", "osSKU", "osType", "powerState", "scaleDownMode", "type", "upgradeSettings",
		},
		// azure-native provider/pkg/gen/replacement.go, AgentPool (#3655 for vmSize), and parameters of the URL. What else
		// ARM does not let change is an error of the update, not a replacement.
		replaces: []string{
			"resourceGroupName", "resourceName", "agentPoolName", "gpuInstanceProfile", "vmSize",
			"networkProfile.nodePublicIPTags",
		},
		name:     &autoname{key: "agentPoolName", suffix: 8},
		validate: azureValidatePool, create: azureCreatePool, update: azureUpdatePool, remove: azureRemovePool,
	}
}

// azureValidatePool: the pattern is the API specification's, which azure-native checks itself.
func azureValidatePool(in fields, found *refusals) {
	name, ok := in.text("agentPoolName")
	if ok && !regexp.MustCompile(`^[a-z][a-z0-9]{0,11}$`).MatchString(name) {
		found.add("agentPoolName", "'agentPoolName' does not match expression '^[a-z][a-z0-9]{0,11}$'")
	}
}

// aksPools are all agent pools of a cluster by name: those made with it and those made by themselves.
func (c *change) aksPools(cluster *object) map[string]fields {
	pools := map[string]fields{}
	for _, pool := range cluster.fields().objects("agentPoolProfiles") {
		pools[pool.str("name")] = pool
	}
	for _, o := range c.objects {
		if o.typ == azurePool && strings.HasPrefix(o.id, cluster.id+"/agentPools/") {
			pools[o.fields().str("name")] = o.fields()
		}
	}
	return pools
}

// poolCluster finds the agent pool's cluster.
func (c *change) poolCluster() (*object, error) {
	id := c.azureClusterID(c.in.str("resourceGroupName"), c.in.str("resourceName"))
	cluster := c.find(azureCluster, id)
	if cluster == nil {
		return nil, azureError(404, "ParentResourceNotFound", "Failed to perform 'write' on resource(s) of type "+
			"'managedClusters/agentPools', because the parent resource '%s' could not be found.", id)
	}
	return cluster, nil
}

func azureCreatePool(c *change) error {
	cluster, err := c.poolCluster()
	if err != nil {
		return err
	}
	name := c.in.str("agentPoolName")
	c.id = cluster.id + "/agentPools/" + name
	if _, ok := c.aksPools(cluster)[name]; ok {
		return fmt.Errorf("cannot create already existing resource %q", c.id)
	}
	c.in["name"] = name
	if err := c.checkOwnPool(cluster); err != nil {
		return err
	}
	if err := c.occupy(c.id, name+" - Creating"); err != nil {
		return err
	}
	c.describeOwnPool(cmp.Or(c.in.str("orchestratorVersion"), cluster.fields().str("currentKubernetesVersion")))
	return c.launchAKS(cluster, c.aksPool(cluster, c.poolFields()), c.poolFields())
}

// poolFields are an agent pool's inputs over what Azure decided.
func (c *change) poolFields() fields { return toFields(merge(toProperties(c.out), toProperties(c.in))) }

func (c *change) checkOwnPool(cluster *object) error {
	f := cluster.fields()
	if err := c.checkAKSPool(c.in, f.str("location")); err != nil {
		return err
	}
	if id, ok := c.in.text("vnetSubnetID"); ok && c.find(azureSubnet, id) == nil {
		return azureBad("InvalidParameter", "The subnet %s does not exist.", id)
	}
	version, control := c.in.str("orchestratorVersion"), f.str("currentKubernetesVersion")
	if version != "" && step(control, version) > 0 { // AKS docs, "Upgrade Kubernetes version": https://aka.ms/aks/UpgradeVersionRules.
		return azureBad("NodePoolMcVersionIncompatible", "Node pool version %s and control plane version %s are "+
			"incompatible. Minor version of node pool cannot be bigger than control plane's version.", version, control)
	}
	return nil
}

func (c *change) describeOwnPool(version string) {
	c.out.set("azureApiVersion", "2024-10-01")
	c.out.set("name", c.in.str("name"))
	c.out.set("eTag", c.newID("", 8))
	c.out.set("provisioningState", "Succeeded")
	c.out.set("currentOrchestratorVersion", patchRelease(version))
	for path, value := range map[string]any{
		"count": 1, "enableFIPS": false, "kubeletDiskType": "OS", "maxPods": 250, "mode": "User",
		"nodeImageVersion": aksImage, "orchestratorVersion": patchRelease(version), "osDiskSizeGB": 128,
		"osDiskType": "Managed", "osSKU": "Ubuntu", "osType": "Linux", "scaleDownMode": "Delete",
		"powerState": map[string]any{"code": "Running"}, "type": "VirtualMachineScaleSets",
		"upgradeSettings": map[string]any{"maxSurge": ""},
	} {
		if !c.in.has(path) {
			c.out.setMissing(path, value)
		}
	}
}

func azureUpdatePool(c *change) error {
	cluster, err := c.poolCluster()
	if err != nil {
		return err
	}
	existing := c.find(azurePool, c.id).fields()
	name := existing.str("name")
	c.in["name"] = name
	if err := c.checkOwnPool(cluster); err != nil {
		return err
	}
	if err := unchangedPool(existing, c.in); err != nil {
		return err
	}
	if err := c.keepsSystem(cluster, name, c.in.str("mode")); err != nil {
		return err
	}
	version, given := c.in.text("orchestratorVersion")
	if given && step(existing.str("currentOrchestratorVersion"), version) < 0 {
		return azureBad("OperationNotAllowed", "Downgrading agent pool from %s to %s is not allowed.",
			existing.str("currentOrchestratorVersion"), version)
	}
	if err := c.occupy(c.id, name+" - Updating"); err != nil {
		return err
	}
	c.describeOwnPool(cmp.Or(version, existing.str("currentOrchestratorVersion")))
	return c.changeAKS(cluster, c.aksPool(cluster, c.poolFields()), c.poolFields())
}

// keepsSystem refuses that a cluster has no system pool any more (AKS docs, "Use system node pools").
func (c *change) keepsSystem(cluster *object, name, mode string) error {
	pools := c.aksPools(cluster)
	if mode == "System" || pools[name].str("mode") != "System" {
		return nil
	}
	for other, pool := range pools {
		if other != name && pool.str("mode") == "System" {
			return nil
		}
	}
	return azureBad("OperationNotAllowed", "There has to be at least one system agent pool.") // azure-native #1575.
}

func azureRemovePool(c *change) error {
	clusterID, name, _ := strings.Cut(c.id, "/agentPools/")
	if cluster := c.find(azureCluster, clusterID); cluster != nil {
		if err := c.keepsSystem(cluster, name, ""); err != nil {
			return err
		}
	}
	if err := c.occupy(c.id, name+" - Deleting"); err != nil {
		return err
	}
	c.removeAKS(c.id)
	return nil
}

// occupy refuses an operation on a cluster or agent pool that another one is under way for. A cluster's operations and
// those of its pools exclude each other, and so do two on one pool (Azure docs, "Troubleshoot pending operations",
// https://aka.ms/aks-pending-operation; the texts are from cilium/cilium #25944). Different pools do not mind each other.
func (c *change) occupy(id, doing string) error {
	for other, operation := range c.p.clouds.busy {
		together := other == id || strings.HasPrefix(other, id+"/") || strings.HasPrefix(id, other+"/")
		if together && operation.entry.Ended.IsZero() {
			what := "operation"
			if strings.Contains(other, "/agentPools/") {
				what = "agentpool operation"
			}
			return azureError(409, "OperationNotAllowed", "Operation is not allowed: Another %s (%s) is in progress, please "+
				"wait for it to finish before starting a new operation. See https://aka.ms/aks-pending-operation for more "+
				"details", what, operation.doing)
		}
	}
	c.p.clouds.busy[id] = busy{entry: c.entry, doing: doing}
	return nil
}

// busy is an operation under way.
type busy struct {
	entry *Entry
	doing string
}

// unchangedPool holds an agent pool to what ARM does not let change. What is not given stays as it is.
func unchangedPool(old, pool fields) error {
	anything := kind{}
	for _, key := range anything.changed(old, pool) {
		if slices.Contains(azureFixed(), key) && pool.has(key) {
			return azureBad("PropertyChangeNotAllowed", "Changing property 'properties.%s' is not allowed.", key)
		}
	}
	return nil
}
