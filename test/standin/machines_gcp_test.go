package standin

import (
	"slices"
	"strings"
	"testing"
)

func TestNodePools_HaveMachines(t *testing.T) {
	t.Parallel()
	api := newFakeAPI(t)
	e := newGCP(t, api.options())
	cluster := e.create(gcpCluster, "cluster", gkeInputs())
	pool := e.create(gcpNodePool, "pool", poolInputs(cluster).with(fields{
		"nodeConfig.labels": map[string]any{"role": "data"},
		"nodeConfig.taints": []any{map[string]any{"key": "k", "value": "v", "effect": "NO_EXECUTE"}},
	}))
	if got := api.zones(); got != "europe-west1-b europe-west1-c europe-west1-d" {
		t.Errorf("got nodes in %s, want one in each zone", got)
	}
	node := api.node(api.names()[0])
	for key, want := range map[string]string{
		"cloud.google.com/gke-nodepool": pool.inputs["name"].StringValue(), "role": "data",
		"topology.kubernetes.io/region": "europe-west1", "node.kubernetes.io/instance-type": "e2-standard-4",
	} {
		if got := node.label(key); got != want {
			t.Errorf("label %s: got %q, want %q", key, got, want)
		}
	}
	one := e.create(gcpNodePool, "one", poolInputs(cluster).with(fields{"nodeLocations": []any{"europe-west1-c"}}))
	e.must(e.update(one, fields{"nodeCount": 2.0}))
	if got := api.zones(); got != "europe-west1-b europe-west1-c europe-west1-c europe-west1-c europe-west1-d" {
		t.Errorf("got nodes in %s, want two more in one zone", got)
	}
	e.must(e.update(one, fields{"nodeCount": 1.0}))
	e.must(e.remove(one))
	if got := api.zones(); got != "europe-west1-b europe-west1-c europe-west1-d" {
		t.Errorf("got nodes in %s, want those of the other pool", got)
	}
	e.must(e.remove(cluster))
	if got := api.names(); len(got) != 0 {
		t.Errorf("got nodes %v, want them to go with their cluster", got)
	}
}

// A surge node first, then the old one of the zone, then the next zone.
func TestGKE_RollsZoneAfterZone(t *testing.T) {
	t.Parallel()
	api := newFakeAPI(t)
	e := newGCP(t, api.options())
	pool := e.create(gcpNodePool, "pool", poolInputs(e.create(gcpCluster, "cluster", gkeInputs())))
	before, disks := api.names(), api.disks()
	api.run("a", before[0], false)
	e.clouds.ForgetJournal()
	e.must(e.update(pool, fields{"nodeConfig.diskSizeGb": 300.0}))
	once := "1 added, 1 cordoned, 1 drained, 1 deleted"
	if got, want := counted(e.clouds.Journal().steps()), strings.Join([]string{once, once, once}, ", "); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for i, name := range api.names() {
		if slices.Contains(before, name) || slices.Contains(disks, api.disks()[i]) {
			t.Errorf("got node %s on %s, want a new machine with a new disk", name, api.disks()[i])
		}
	}
	if err := e.clouds.Journal().OneZoneAtATime(); err != nil {
		t.Error(err)
	}
}

// Labels change in place; two parts of nodeConfig are two calls, and two rolls.
func TestGKE_RollsOncePerCall(t *testing.T) {
	t.Parallel()
	api := newFakeAPI(t)
	e := newGCP(t, api.options())
	pool := e.create(gcpNodePool, "pool", poolInputs(e.create(gcpCluster, "cluster", gkeInputs())).with(fields{
		"nodeLocations": []any{"europe-west1-b"},
	}))
	for _, c := range []struct {
		name    string
		changes fields
		rolls   int
	}{
		{"labels", fields{"nodeConfig.labels": map[string]any{"a": "b"}}, 0},
		{"disk and machine", fields{"nodeConfig.diskSizeGb": 512.0, "nodeConfig.machineType": "e2-standard-8"}, 1},
		{"disk and image", fields{"nodeConfig.diskSizeGb": 600.0, "nodeConfig.imageType": "COS_CONTAINERD"}, 2},
	} {
		e.clouds.ForgetJournal()
		e.must(e.update(pool, c.changes))
		if got := len(e.clouds.Journal().Done(NodeDeleted, gcpNodePool)); got != c.rolls {
			t.Errorf("%s: got %d nodes replaced, want %d", c.name, got, c.rolls)
		}
	}
	node := api.node(api.names()[0])
	if node.label("a") != "b" || node.label("node.kubernetes.io/instance-type") != "e2-standard-8" {
		t.Errorf("got %v, want what the pool says", node)
	}
}

// After an hour the node goes, budget or not.
func TestGKE_DeletesWhatIsNotDrained(t *testing.T) {
	t.Parallel()
	api := newFakeAPI(t)
	e := newGCP(t, api.impatient())
	pool := e.create(gcpNodePool, "pool", poolInputs(e.create(gcpCluster, "cluster", gkeInputs())))
	api.run("kept", api.names()[0], true)
	e.must(e.update(pool, fields{"nodeConfig.diskSizeGb": 300.0}))
	if api.runs("kept") || api.refused < 2 {
		t.Errorf("got %d refused evictions, want several and then the end", api.refused)
	}
	if got := e.clouds.Journal().Failed(); len(got) != 1 || got[0].Op != NodeDrained || !strings.Contains(got[0].Err, "default/kept") {
		t.Errorf("got %v, want the drain that failed", got)
	}
}

func TestGKE_RepairsANodeInItsName(t *testing.T) {
	t.Parallel()
	api := newFakeAPI(t)
	e := newGCP(t, api.options())
	e.create(gcpNodePool, "pool", poolInputs(e.create(gcpCluster, "cluster", gkeInputs())))
	name := api.names()[0]
	before := api.node(name)
	api.run("a", name, true)
	e.must(e.clouds.Repair(t.Context(), name))
	after := api.node(name)
	if after == nil || after.disk() == before.disk() || after.str("metadata.uid") == before.str("metadata.uid") || api.runs("a") {
		t.Errorf("got %v after %v, want the name with another disk", after, before)
	}
	refused(t, e.clouds.Repair(t.Context(), "nobody"), "is not a machine of any node pool")
	refused(t, e.clouds.Reimage(t.Context(), name), "belongs to a "+gcpNodePool)
	refused(t, newGCP(t, Options{}).clouds.Repair(t.Context(), name), "without Options.Machines")
}
