package standin

import (
	"slices"
	"strings"
	"testing"
)

// aksPoolInputs are an agent pool in one zone.
func aksPoolInputs(group, cluster *managed, zone string) fields {
	return fields{
		"resourceGroupName": group.out().str("name"), "resourceName": cluster.out().str("name"),
		"agentPoolName": "z" + zone, "vmSize": "Standard_D4as_v5", "count": 1.0, "osDiskSizeGB": 256.0, "mode": "User",
		"type": "VirtualMachineScaleSets", "availabilityZones": []any{zone},
	}
}

// newAKSWith is a cluster with a system pool of one node, and agent pools of its own.
func newAKSWith(t *testing.T, options Options, zones ...string) (e *engine, group, cluster *managed, pools []*managed) {
	t.Helper()
	e = newAzure(t, options)
	group = e.create(azureGroup, "group", fields{})
	cluster = e.create(azureCluster, "cluster", withPool(aksInputs(group), fields{
		"name": "system", "count": 1.0, "minCount": 1.0, "maxCount": 1.0,
	}))
	for _, zone := range zones {
		pools = append(pools, e.create(azurePool, "pool-"+zone, aksPoolInputs(group, cluster, zone)))
	}
	return e, group, cluster, pools
}

func TestAgentPools_AreRefusedAsByAzure(t *testing.T) {
	t.Parallel()
	e, group, cluster, _ := newAKSWith(t, Options{}, "1")
	inputs := aksPoolInputs(group, cluster, "2")
	for name, c := range map[string]struct {
		changes fields
		want    string
	}{
		"unknown input":       {fields{"colour": "red"}, "unsupported property 'colour'"},
		"no cluster":          {fields{"resourceName": nil}, "missing required property 'resourceName'"},
		"cluster not there":   {fields{"resourceName": "no"}, "ParentResourceNotFound"},
		"13 characters":       {fields{"agentPoolName": "abcdefghijklm"}, "'agentPoolName' does not match expression"},
		"dashes":              {fields{"agentPoolName": "z-1"}, "'agentPoolName' does not match expression"},
		"taken":               {fields{"agentPoolName": "z1"}, "cannot create already existing resource"},
		"taken inline":        {fields{"agentPoolName": "system"}, "cannot create already existing resource"},
		"size":                {fields{"vmSize": "m6i.large"}, "is not allowed in your subscription"},
		"newer than cluster":  {fields{"orchestratorVersion": "1.35"}, "NodePoolMcVersionIncompatible"},
		"no such subnet":      {fields{"vnetSubnetID": "/x"}, "The subnet /x does not exist"},
		"zones need sets":     {fields{"type": nil}, "VirtualMachineScaleSets"},
		"no nodes for system": {fields{"mode": "System", "count": 0.0}, "must have at least one node"},
	} {
		_, err := e.try(azurePool, "x", inputs.with(c.changes))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, c.want)
		}
	}
}

func TestAgentPools_ChangeWhatAzureLetsThem(t *testing.T) {
	t.Parallel()
	e, _, cluster, pools := newAKSWith(t, Options{}, "1")
	for property, value := range map[string]any{
		"osDiskSizeGB": 512.0, "availabilityZones": []any{"2"}, "maxPods": 50.0, "kubeletDiskType": "Temporary",
	} {
		refused(t, e.update(pools[0], fields{property: value}), "Changing property 'properties."+property+"' is not allowed")
	}
	for changes, want := range map[string]string{"vmSize": "replace, delete first", "agentPoolName": "replace, delete first", "count": "update"} {
		plan, _ := e.plan(pools[0], fields{changes: map[string]any{"vmSize": "Standard_D8as_v5", "agentPoolName": "z9", "count": 2.0}[changes]})
		if got := verdict(plan); !strings.Contains(got, strings.Split(want, ",")[0]) || strings.Contains(want, "first") != plan.GetDeleteBeforeReplace() {
			t.Errorf("%s: got %s (%v), want %s", changes, got, plan.GetDeleteBeforeReplace(), want)
		}
	}
	// The cluster's own list of pools has no say over the others.
	e.must(e.update(cluster, fields{"tags": map[string]any{"a": "b"}}))
	if e.read(pools[0]) == nil {
		t.Error("an update of the cluster removed an agent pool")
	}
	e.must(e.update(cluster, fields{"kubernetesVersion": "1.35"}))
	if got := e.read(pools[0]).str("currentOrchestratorVersion"); !strings.HasPrefix(got, "1.34.") {
		t.Errorf("got %s, want the version that nobody changed", got)
	}
	e.must(e.update(pools[0], fields{"orchestratorVersion": "1.35"}))
	refused(t, e.update(pools[0], fields{"orchestratorVersion": "1.34"}), "Downgrading")
}

func TestACluster_KeepsASystemPool(t *testing.T) {
	t.Parallel()
	e, group, cluster, pools := newAKSWith(t, Options{}, "1")
	second := e.create(azurePool, "second", aksPoolInputs(group, cluster, "2").with(fields{"mode": "System"}))
	e.must(e.update(second, fields{"mode": "User"}))
	e.must(e.update(second, fields{"mode": "System"}))
	e.must(e.remove(pools[0]))
	// As if somebody had removed the pool that was made with the cluster.
	made := e.clouds.world.find(azureCluster, cluster.id)
	made.outputs["agentPoolProfiles"] = toValue([]any{})
	refused(t, e.remove(second), "There has to be at least one system agent pool.")
	refused(t, e.update(second, fields{"mode": "User"}), "There has to be at least one system agent pool.")
}

func TestAgentPools_HaveMachines(t *testing.T) {
	t.Parallel()
	api := newFakeAPI(t)
	e, group, cluster, _ := newAKSWith(t, api.options(), "1")
	e.create(azurePool, "pool-2", aksPoolInputs(group, cluster, "2").with(fields{
		"nodeLabels": map[string]any{"role": "data"}, "nodeTaints": []any{"data=x:NoSchedule"}, "count": 2.0,
	}))
	if got := api.zones(); got != "westeurope-1 westeurope-1 westeurope-2 westeurope-2" {
		t.Errorf("got nodes in %s", got)
	}
	name := api.names()[2]
	node := api.node(name)
	for key, want := range map[string]string{
		"agentpool": "z2", "kubernetes.azure.com/agentpool": "z2", "role": "data", "topology.kubernetes.io/region": "westeurope",
		"kubernetes.azure.com/mode": "user", "node.kubernetes.io/instance-type": "Standard_D4as_v5",
	} {
		if got := node.label(key); got != want {
			t.Errorf("label %s: got %q, want %q", key, got, want)
		}
	}
	if got := node.objects("spec.taints"); !strings.HasPrefix(name, "aks-z2-") || len(got) != 1 || got[0].str("key") != "data" {
		t.Errorf("got node %s with taints %v", name, got)
	}
	e.must(e.update(cluster, fields{"agentPoolProfiles": withPool(fields{"agentPoolProfiles": toFields(cluster.inputs)["agentPoolProfiles"]},
		fields{"count": 2.0, "minCount": 2.0, "maxCount": 2.0}).get("agentPoolProfiles")}))
	if got := len(api.names()); got != 5 {
		t.Errorf("got %d nodes, want one more in the system pool", got)
	}
	e.must(e.remove(group))
	if got := api.names(); len(got) != 0 {
		t.Errorf("got nodes %v, want them to go with their group", got)
	}
}

// The name stays, the disk does not; the surge node comes first and goes last.
func TestAKS_UpgradesInPlace(t *testing.T) {
	t.Parallel()
	api := newFakeAPI(t)
	e, _, cluster, pools := newAKSWith(t, api.options(), "1")
	e.must(e.update(cluster, fields{"kubernetesVersion": "1.35"}))
	before, disks := api.names(), api.disks()
	api.run("a", before[1], false)
	e.clouds.ForgetJournal()
	e.must(e.update(pools[0], fields{"orchestratorVersion": "1.35"}))
	want := "1 added, 1 cordoned, 1 drained, 1 reimaged, 1 cordoned, 1 drained, 1 deleted"
	if got := counted(e.clouds.Journal().steps()); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	changed := 0
	for i, disk := range api.disks() {
		if disk != disks[i] {
			changed++
		}
	}
	if got := api.names(); !slices.Equal(got, before) || changed != 1 {
		t.Errorf("got nodes %v on %v, want %v and one empty disk", got, api.disks(), before)
	}
	for _, name := range before {
		if api.node(name).flag("spec.unschedulable") {
			t.Errorf("node %s is still cordoned", name)
		}
	}
}

// What cannot be drained stops the upgrade, and the next update goes on with it.
func TestAKSUpgrades_Resume(t *testing.T) {
	t.Parallel()
	api := newFakeAPI(t)
	e, _, cluster, pools := newAKSWith(t, api.options(), "1")
	e.must(e.update(cluster, fields{"kubernetesVersion": "1.35"}))
	before := e.clouds.fleet.of(pools[0].id)[0].name
	disk := api.node(before).disk()
	api.run("kept", before, true)
	changes := fields{"orchestratorVersion": "1.35", "upgradeSettings": map[string]any{"drainTimeoutInMinutes": 5.0}}
	refused(t, e.update(pools[0], changes), "Drain node "+before+" failed when evicting pod default/kept failed with Too Many Requests error")
	if node := api.node(before); node.disk() != disk || node.flag("spec.unschedulable") || len(api.names()) != 3 {
		t.Errorf("got %v of %v, want the node as it was beside the surge node", node, api.names())
	}
	api.release("kept")
	e.clouds.ForgetJournal()
	e.must(e.update(pools[0], changes))
	if added := e.clouds.Journal().Done(NodeAdded, ""); len(added) > 0 {
		t.Errorf("got %v, want the surge node of before to be used", added)
	}
	if node := api.node(before); node.disk() == disk || len(api.names()) != 2 {
		t.Errorf("got %v of %v, want it upgraded", node, api.names())
	}
}

// Deleting a pool asks nobody.
func TestAKS_DeletesAPoolAtOnce(t *testing.T) {
	t.Parallel()
	api := newFakeAPI(t)
	e, _, _, pools := newAKSWith(t, api.options(), "1", "2")
	api.run("kept", e.clouds.fleet.of(pools[0].id)[0].name, true)
	e.clouds.ForgetJournal()
	e.must(e.remove(pools[0]))
	if got := counted(e.clouds.Journal().steps()); got != "1 deleted" || api.runs("kept") {
		t.Errorf("got %s, want the node gone with what ran on it", got)
	}
}

func TestAKS_ReimagesANode(t *testing.T) {
	t.Parallel()
	api := newFakeAPI(t)
	e, _, _, pools := newAKSWith(t, api.options(), "1")
	name := e.clouds.fleet.of(pools[0].id)[0].name
	before := api.node(name)
	e.must(e.clouds.Reimage(t.Context(), name))
	if after := api.node(name); after.disk() == before.disk() || after.str("metadata.uid") != before.str("metadata.uid") {
		t.Errorf("got %v after %v, want the node with another disk", after, before)
	}
	e.clouds.ForgetJournal()
	e.must(e.clouds.UpgradeNodeImages(t.Context(), pools[0].id))
	if got := counted(e.clouds.Journal().steps()); !strings.Contains(got, "1 reimaged") {
		t.Errorf("got %s, want the pool's nodes reimaged", got)
	}
	refused(t, e.clouds.UpgradeNodeImages(t.Context(), "x"), "no agent pool x")
}

// A cluster and its pools take one operation at a time; two pools do not mind each other.
func TestAKS_RefusesASecondOperation(t *testing.T) {
	t.Parallel()
	api := newFakeAPI(t)
	options := api.options()
	options.Machines.Minute *= 1000000
	e, _, cluster, pools := newAKSWith(t, options, "1", "2")
	e.must(e.update(cluster, fields{"kubernetesVersion": "1.35"}))
	api.run("kept", e.clouds.fleet.of(pools[0].id)[0].name, true)
	done := make(chan error, 1)
	go func() { done <- e.update(pools[0], fields{"orchestratorVersion": "1.35"}) }()
	eventually(t, "an eviction to be refused", func() bool {
		api.mu.Lock()
		defer api.mu.Unlock()
		return api.refused > 0
	})
	const want = "Another agentpool operation (z1 - Updating) is in progress"
	refused(t, e.update(cluster, fields{"tags": map[string]any{"a": "b"}}), want)
	again := *pools[0]
	refused(t, e.update(&again, fields{"count": 2.0}), want)
	refused(t, e.remove(&again), want)
	e.must(e.update(pools[1], fields{"orchestratorVersion": "1.35"}))
	api.release("kept")
	e.must(<-done)
	e.must(e.update(cluster, fields{"tags": map[string]any{"a": "b"}}))
}
