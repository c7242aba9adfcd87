package standin

import (
	"slices"
	"strings"
	"testing"
)

// next makes the launch template's second version and returns the group's input for it.
func (s *awsStack) next() fields {
	s.t.Helper()
	s.must(s.update(s.template, fields{"instanceType": "m6i.2xlarge"}))
	return fields{"launchTemplate": map[string]any{"id": s.template.id, "version": "2"}}
}

// first is the group's oldest node.
func (s *awsStack) first() string { return s.clouds.fleet.of(s.group.id)[0].name }

func TestNodeGroups_HaveMachines(t *testing.T) {
	t.Parallel()
	api := newFakeAPI(t)
	s := newCluster(t, api.options())
	s.group = s.create(awsNodeGroup, "group", s.groupInputs().with(fields{
		"labels": map[string]any{"role": "data"},
		"taints": []any{map[string]any{"key": "data", "value": "x", "effect": "NO_SCHEDULE"}},
	}))
	if got := api.zones(); got != "eu-west-1a eu-west-1b eu-west-1c" {
		t.Errorf("got nodes in %s, want one in each subnet's zone", got)
	}
	node := api.node(api.names()[0])
	for key, want := range map[string]string{
		"eks.amazonaws.com/nodegroup": s.group.inputs["nodeGroupName"].StringValue(), "role": "data",
		"topology.kubernetes.io/region": "eu-west-1", "node.kubernetes.io/instance-type": "m6i.xlarge",
		"kubernetes.io/hostname": node.str("metadata.name"), "eks.amazonaws.com/sourceLaunchTemplateVersion": "1",
	} {
		if got := node.label(key); got != want {
			t.Errorf("label %s: got %q, want %q", key, got, want)
		}
	}
	if got := node.objects("spec.taints"); len(got) != 1 || got[0].str("effect") != "NoSchedule" {
		t.Errorf("got taints %v", got)
	}
	if got := node.str("status.capacity.cpu") + " " + node.str("status.capacity.memory") + " " +
		node.str("status.capacity.ephemeral-storage"); got != "4 16Gi 200Gi" {
		t.Errorf("got %s, want the machine type's and the template's", got)
	}
	s.must(s.update(s.group, fields{"labels": map[string]any{"role": "other"}}))
	if got := api.node(node.str("metadata.name")); got.label("role") != "other" || got.disk() != node.disk() {
		t.Errorf("got %v, want the same machine with another label", got)
	}
	s.must(s.remove(s.group))
	if got := api.names(); len(got) != 0 {
		t.Errorf("got nodes %v, want them to go with their group", got)
	}
}

// A group that shrinks asks no disruption budget and takes the oldest node.
func TestNodeGroups_ShrinkWithoutRegard(t *testing.T) {
	t.Parallel()
	api := newFakeAPI(t)
	s := newCluster(t, api.impatient())
	s.group = s.create(awsNodeGroup, "group", s.groupInputs().with(fields{"subnetIds": []any{s.subnets[0].id}}))
	first := s.first()
	api.run("kept", first, true)
	s.must(s.update(s.group, fields{"scalingConfig.desiredSize": 2.0, "scalingConfig.minSize": 2.0}))
	if got := api.names(); len(got) != 2 || slices.Contains(got, first) || api.runs("kept") {
		t.Errorf("got %v, want the oldest node %s gone, whatever runs on it", got, first)
	}
	if api.refused == 0 {
		t.Error("nobody tried to evict the pod")
	}
}

// All old nodes are cordoned before the first is drained, one is drained at a time, and the surge goes in the end.
func TestEKS_RollsAGroup(t *testing.T) {
	t.Parallel()
	api := newFakeAPI(t)
	s := newCluster(t, api.options())
	s.group = s.create(awsNodeGroup, "group", s.groupInputs())
	before, disks := api.names(), api.disks()
	for i, name := range before {
		api.run(string(rune('a'+i)), name, false)
	}
	s.clouds.ForgetJournal()
	s.must(s.update(s.group, s.next()))
	got := counted(s.clouds.Journal().steps())
	want := "6 added, 3 cordoned, 1 drained, 1 deleted, 1 drained, 1 deleted, 1 drained, 1 deleted"
	if !strings.HasPrefix(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := api.zones(); got != "eu-west-1a eu-west-1b eu-west-1c" {
		t.Errorf("got nodes in %s, want the size that the group had", got)
	}
	for i, name := range api.names() {
		if slices.Contains(before, name) || slices.Contains(disks, api.disks()[i]) || api.node(name).label("node.kubernetes.io/instance-type") != "m6i.2xlarge" {
			t.Errorf("got node %v, want a new machine with a new disk", api.node(name))
		}
	}
	s.clouds.ForgetJournal()
	s.must(s.update(s.group, fields{"tags": map[string]any{"a": "b"}}))
	if got := s.clouds.Journal().steps(); len(got) > 0 {
		t.Errorf("got %v, want no machine touched by a tag", got)
	}
}

func TestEKS_DrainsAsManyAsMayBeUnavailable(t *testing.T) {
	t.Parallel()
	api := newFakeAPI(t)
	options := api.impatient()
	options.Machines.Minute *= 25 // Longer than it takes to drain two nodes.
	s := newCluster(t, options)
	s.group = s.create(awsNodeGroup, "group", s.groupInputs().with(fields{"updateConfig": map[string]any{"maxUnavailablePercentage": 50.0}}))
	s.clouds.ForgetJournal()
	s.must(s.update(s.group, s.next()))
	if got := counted(s.clouds.Journal().steps()); !strings.HasPrefix(got, "6 added, 3 cordoned, 2 drained, 2 deleted, 1 drained, 1 deleted") {
		t.Errorf("got %s, want two nodes at once", got)
	}
}

// The update fails, the group is as before, and neither a retry nor a preview notices until the engine has read it.
func TestEKS_GivesUpOnABudget(t *testing.T) {
	t.Parallel()
	api := newFakeAPI(t)
	s := newCluster(t, api.impatient())
	s.group = s.create(awsNodeGroup, "group", s.groupInputs())
	before := api.names()
	api.run("kept", s.first(), true)
	changes := s.next()
	refused(t, s.update(s.group, changes), "PodEvictionFailure: Reached max retries while trying to evict pods from nodes in node group")
	if got := api.names(); !slices.Equal(got, before) || !api.runs("kept") {
		t.Errorf("got nodes %v, want %v and the pod", got, before)
	}
	for _, name := range before {
		if node := api.node(name); node.flag("spec.unschedulable") || node.label(exclude) != "" {
			t.Errorf("got %v, want it schedulable again", node)
		}
	}
	s.clouds.ForgetJournal()
	s.must(s.update(s.group, changes))
	if got := s.clouds.Journal().steps(); len(got) > 0 {
		t.Errorf("got %v: the engine's state has no difference to the program", got)
	}
	if got := s.read(s.group).str("launchTemplate.version"); got != "1" {
		t.Errorf("got version %s, want the one that the nodes have", got)
	}
	s.group.inputs["forceUpdateVersion"] = toValue(true)
	s.must(s.update(s.group, changes))
	if got := api.names(); slices.Equal(got, before) || api.runs("kept") {
		t.Errorf("got nodes %v, want new ones by force", got)
	}
}

// What a DaemonSet made would come again and is left alone.
func TestDrainsLeaveDaemonsAlone(t *testing.T) {
	t.Parallel()
	api := newFakeAPI(t)
	s := newCluster(t, api.options())
	s.group = s.create(awsNodeGroup, "group", s.groupInputs())
	api.run("daemon", api.names()[0], true)
	api.daemons["daemon"] = true
	s.must(s.update(s.group, s.next()))
}

// A caller who gave up ends the roll.
func TestRollsEndWithTheEngine(t *testing.T) {
	t.Parallel()
	api := newFakeAPI(t)
	options := api.options()
	options.Machines.Minute *= 1000000
	s := newCluster(t, options)
	s.group = s.create(awsNodeGroup, "group", s.groupInputs())
	api.run("kept", s.first(), true)
	changes := s.next()
	done := make(chan error, 1)
	go func() { done <- s.update(s.group, changes) }()
	eventually(t, "an eviction to be refused", func() bool {
		api.mu.Lock()
		defer api.mu.Unlock()
		return api.refused > 0
	})
	s.clouds.cancel()
	refused(t, <-done, "canceled")
}
