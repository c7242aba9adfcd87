package standin

import (
	"encoding/base64"
	"strings"
	"testing"
)

func TestAKSClusters_AreRefusedAsByAzure(t *testing.T) {
	t.Parallel()
	e, group := newAKS(t)
	inputs := aksInputs(group)
	e.create(azureCluster, "taken", inputs.with(fields{"resourceName": "taken"}))
	for name, c := range map[string]struct {
		inputs fields
		want   string
	}{
		"unknown input":    {inputs.with(fields{"colour": "red"}), "unsupported property 'colour'"},
		"no group":         {inputs.with(fields{"resourceGroupName": nil}), "missing required property 'resourceGroupName'"},
		"group not there":  {inputs.with(fields{"resourceGroupName": "no", "location": "westeurope"}), "ResourceGroupNotFound"},
		"name taken":       {inputs.with(fields{"resourceName": "taken"}), "cannot create already existing resource"},
		"bad name":         {inputs.with(fields{"resourceName": "-"}), "does not match expression"},
		"no prefix":        {inputs.with(fields{"dnsPrefix": nil}), "Required parameter dnsPrefix is missing"},
		"no identity":      {inputs.with(fields{"identity": nil}), "servicePrincipalProfile is missing"},
		"no pool":          {inputs.with(fields{"agentPoolProfiles": nil}), "Required parameter agentPoolProfiles is missing"},
		"old version":      {inputs.with(fields{"kubernetesVersion": "1.20"}), "K8sVersionNotSupported"},
		"long-term only":   {inputs.with(fields{"kubernetesVersion": "1.33"}), "only available for Long-Term Support"},
		"no system pool":   {withPool(inputs, fields{"mode": "User"}), "At least one agent pool must be in mode System"},
		"pool's name":      {withPool(inputs, fields{"name": "Node-Pool"}), "agentPoolProfiles[0].name"},
		"pool's size":      {withPool(inputs, fields{"vmSize": "m6i.large"}), "is not allowed in your subscription"},
		"tiny disk":        {withPool(inputs, fields{"osDiskSizeGB": 10.0}), "osDiskSizeGB is invalid"},
		"no such system":   {withPool(inputs, fields{"osSKU": "Ubuntu2404"}), "InvalidOSSKU"},
		"no such zone":     {withPool(inputs, fields{"availabilityZones": []any{"4"}}), "AvailabilityZoneNotSupported"},
		"zones of a set":   {withPool(inputs, fields{"type": nil}), "need agent pools of type VirtualMachineScaleSets"},
		"region, no zones": {inputs.with(fields{"location": "westus"}), "The supported zones for location 'westus' are ''"},
		"count too low":    {withPool(inputs, fields{"count": 2.0}), "has count 2 outside of its range 3 to 3"},
		"range, no scaler": {withPool(inputs, fields{"enableAutoScaling": false}), "set auto scaling as not enabled"},
		"pool's version":   {withPool(inputs, fields{"orchestratorVersion": "1.33"}), "NotAllAgentPoolOrchestratorVersion"},
		"no such subnet":   {withPool(inputs, fields{"vnetSubnetID": "/x"}), "The subnet /x does not exist"},
		"wrong plugin":     {inputs.with(fields{"networkProfile.networkPlugin": "kubenet"}), "needs networkPlugin azure"},
		"DNS elsewhere": {
			inputs.with(fields{"networkProfile.serviceCidr": "10.0.0.0/16", "networkProfile.dnsServiceIP": "10.1.0.10"}),
			"DnsServiceIpOutOfServiceCidr",
		},
		"no address": {inputs.with(fields{"apiServerAccessProfile.authorizedIPRanges": []any{"x"}}), "no address or range"},
	} {
		_, err := e.try(azureCluster, "x", c.inputs)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, c.want)
		}
	}
}

func TestAKS_ChangesWhatAzureLetsItChange(t *testing.T) {
	t.Parallel()
	e, group := newAKS(t)
	inputs := aksInputs(group)
	cluster := e.create(azureCluster, "cluster", inputs)
	pools := func(changes fields) fields {
		return fields{"agentPoolProfiles": withPool(inputs, changes).get("agentPoolProfiles")}
	}
	refused(t, e.update(cluster, pools(fields{"osDiskSizeGB": 512.0})), "Changing property 'properties.osDiskSizeGB' is not allowed")
	refused(t, e.update(cluster, pools(fields{"vmSize": "Standard_D8as_v5"})), "Changing property 'properties.vmSize'")
	refused(t, e.update(cluster, pools(fields{"name": "other"})), "A new agent pool was introduced")
	refused(t, e.update(cluster, fields{"kubernetesVersion": "1.36"}), "is not allowed. Available upgrades")
	uid := cluster.out().str("resourceUID")
	e.must(e.update(cluster, pools(fields{"count": 4.0, "minCount": 4.0, "maxCount": 4.0})))
	e.must(e.update(cluster, fields{"kubernetesVersion": "1.35"}))
	refused(t, e.update(cluster, fields{"kubernetesVersion": "1.34"}), "is not allowed. Available upgrades")
	out := cluster.out()
	if got := out.str("currentKubernetesVersion"); !strings.HasPrefix(got, "1.35.") {
		t.Errorf("got control plane %s, want 1.35", got)
	}
	if got := out.objects("agentPoolProfiles")[0].str("currentOrchestratorVersion"); !strings.HasPrefix(got, "1.34.") {
		t.Errorf("got nodes of %s, want 1.34: nobody asked for their upgrade", got)
	}
	if got := out.str("resourceUID"); got != uid {
		t.Errorf("the cluster's uid changed from %s to %s", uid, got)
	}
}

func TestALocation_ComesFromTheProviderOrTheGroup(t *testing.T) {
	t.Parallel()
	e, group := newAKS(t)
	cluster := e.create(azureCluster, "a", aksInputs(group))
	if got := cluster.out().str("location"); got != "westeurope" {
		t.Errorf("got %q, want the provider's location", got)
	}
	elsewhere := connect(t, e.clouds, Azure, nil)
	_, err := elsewhere.try(azureGroup, "nowhere", nil)
	refused(t, err, "missing required property 'location'")
	in := aksInputs(elsewhere.create(azureGroup, "eastern", fields{"location": "eastus"}))
	if got := elsewhere.create(azureCluster, "b", in).out().str("location"); got != "eastus" {
		t.Errorf("got %q, want the group's location", got)
	}
	preview := elsewhere.previewOfCreate(azureCluster, "c", in.with(fields{"resourceGroupName": unknown{}}))
	checkKnown(t, "group not there yet", preview, nil, []string{"location"})
}

func TestAGroup_TakesAlongWhatIsInIt(t *testing.T) {
	t.Parallel()
	e, group := newAKS(t)
	cluster := e.create(azureCluster, "cluster", aksInputs(group))
	e.must(e.remove(group))
	if got := e.clouds.Journal().Done(Cascade, azureCluster); len(got) != 1 || e.read(cluster) != nil {
		t.Errorf("got %v, want the cluster to go with its group", got)
	}
}

func TestAdminCredentials_AreTheKubeconfig(t *testing.T) {
	t.Parallel()
	const token = "azure-native:containerservice:listManagedClusterAdminCredentials"
	e, group := newAKS(t)
	cluster := e.create(azureCluster, "cluster", aksInputs(group))
	closed := e.create(azureCluster, "closed", aksInputs(group).with(fields{
		"disableLocalAccounts": true, "aadProfile": map[string]any{"managed": true},
	}))
	args := func(name string) fields {
		return fields{"resourceGroupName": group.out().str("name"), "resourceName": name}
	}
	answer, err := e.invoke(token, args(cluster.out().str("name")))
	e.must(err)
	content, err := base64.StdEncoding.DecodeString(answer.objects("kubeconfigs")[0].str("value"))
	e.must(err)
	if !strings.Contains(string(content), "https://127.0.0.1:6443") {
		t.Errorf("got %s, want a kubeconfig for the API server", content)
	}
	_, err = e.invoke(token, args(closed.out().str("name")))
	refused(t, err, "Getting static credential is not allowed")
	_, err = e.invoke(token, args("no"))
	refused(t, err, "ResourceNotFound")
}

func TestASubnetThatIsThere_CanHoldNodes(t *testing.T) {
	t.Parallel()
	e, group := newAKS(t)
	const id = "/subscriptions/x/resourceGroups/y/providers/Microsoft.Network/virtualNetworks/z/subnets/nodes"
	e.must(e.clouds.Add(azureSubnet, id, nil))
	e.create(azureCluster, "cluster", withPool(aksInputs(group), fields{"vnetSubnetID": id}))
}

func TestAzure_SaysWhoIsLoggedIn(t *testing.T) {
	t.Parallel()
	e := newAzure(t, Options{Subscription: "11111111-1111-4111-8111-111111111111"})
	answer, err := e.invoke("azure-native:authorization:getClientConfig", nil)
	e.must(err)
	if got := answer.str("subscriptionId"); got != "11111111-1111-4111-8111-111111111111" {
		t.Errorf("got subscription %q, want the one of the options", got)
	}
}
