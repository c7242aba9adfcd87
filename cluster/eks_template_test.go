package cluster

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"ha-iris/internal/guard"
)

// A change of anything in the template replaces all nodes.
func TestEKSLaunchTemplate_StaysTheSameWhateverElseChanges(t *testing.T) {
	t.Parallel()
	content := func(change func(*Config)) resource.PropertyMap {
		cfg := valid(EKS)
		change(&cfg)
		inputs := maps.Clone(provide(cfg, false).mustSucceed(t).One(t, templateType, "ha-iris-test-nodes").Inputs)
		delete(inputs, "tags")              // Not part of a version.
		delete(inputs, "tagSpecifications") // Changes of it are ignored.
		return inputs
	}
	want := content(func(*Config) {})
	for name, change := range map[string]func(*Config){
		"tags": func(c *Config) { c.Tags = map[string]string{"team": "data", "cluster": "mine"} },
		"everything that no machine has to know": func(c *Config) {
			c.Nodes, c.NodeVersion, c.KubernetesVersion, c.RollTimeout = 6, "1.36", "1.36", "3h"
			c.APIServerSourceRanges, c.ControlPlaneLogs = []string{"203.0.113.0/24"}, []string{}
		},
	} {
		if got := content(change); !got.DeepEquals(want) {
			t.Errorf("%s: the launch template changes, and with it every node\n%v\nfrom\n%v", name, got.Mappable(), want.Mappable())
		}
	}
	template := provide(valid(EKS), false).mustSucceed(t).One(t, templateType, "ha-iris-test-nodes")
	if got := template.RegisterRPC.GetIgnoreChanges(); !slices.Equal(got, []string{"tagSpecifications"}) {
		t.Errorf("ignores %q: a change of cluster.tags would replace every node", got)
	}
}

func TestEKS_TagsWhatTheScalingGroupsLaunch(t *testing.T) {
	t.Parallel()
	cfg := valid(EKS)
	cfg.Tags = map[string]string{"team": "data", "cost centre": "4711"}
	r := provide(cfg, false).mustSucceed(t)
	tags := r.Find(scalingTagType)
	if len(tags) != 6 {
		t.Fatalf("%d tags, want two in each zone", len(tags))
	}
	assertInputs(t, r.One(t, scalingTagType, "ha-iris-test-nodes-2-cost centre"), map[string]any{
		"autoscalingGroupName": "eks-ha-iris-test-nodes-2-1a2b3c4", "tag.key": "cost centre", "tag.value": "4711", "tag.propagateAtLaunch": true,
	})
	for _, tag := range tags {
		if !strings.Contains(tag.RegisterRPC.GetDeletedWith(), "NodeGroup::ha-iris-test-nodes-") {
			t.Errorf("%s is deleted with %q", tag.URN, tag.RegisterRPC.GetDeletedWith())
		}
	}
	if untagged := provide(valid(EKS), false).mustSucceed(t).Find(scalingTagType); len(untagged) > 0 {
		t.Errorf("without cluster.tags there are %d", len(untagged))
	}
}

func TestEKS_SaysWhatOfTheLaunchTemplateReplacesTheNodes(t *testing.T) {
	t.Parallel()
	template := func(machine string, gib float64, script string) guard.Inputs {
		return guard.InputsOf(resource.NewPropertyMapFromMap(map[string]any{
			"instanceType": machine, "userData": script, "tags": map[string]any{"script": script},
			"blockDeviceMappings": []any{map[string]any{"ebs": map[string]any{"volumeSize": gib}}},
		}))
	}
	version := func(number string) guard.Inputs {
		return guard.InputsOf(resource.NewPropertyMapFromMap(map[string]any{"launchTemplate": map[string]any{"version": number}}))
	}
	for name, test := range map[string]struct {
		after guard.Inputs
		want  string
	}{
		"machine":         {template("b", 1, "x"), "launch template: machine type"},
		"disk and script": {template("a", 2, "y"), "launch template: disks, node script"},
		"nothing":         {template("a", 1, "x"), "launch template"},
	} {
		e := &eks{}
		if err := e.template.note(template("a", 1, "x"), test.after); err != nil {
			t.Fatal(err)
		}
		if got := e.pool(0).replacing(version("1"), version("2")); !slices.Equal(got, []string{test.want}) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
	if got := (&eks{}).pool(0).replacing(version("1"), version("2")); !slices.Equal(got, []string{"launch template"}) {
		t.Errorf("an up that goes on after one that was interrupted: %q", got)
	}
}

func TestEKS_EnforcesNetworkPolicies(t *testing.T) {
	t.Parallel()
	r := provide(valid(EKS), false).mustSucceed(t)
	assertInputs(t, r.One(t, addonType, "ha-iris-test-vpc-cni"), map[string]any{"configurationValues": `{"enableNetworkPolicy":"true"}`})
	for _, name := range []string{"kube-proxy", "coredns", "eks-pod-identity-agent"} {
		if addon := r.One(t, addonType, "ha-iris-test-"+name); addon.Inputs.HasValue("configurationValues") {
			t.Errorf("%s is given %v", name, addon.Inputs["configurationValues"])
		}
	}
}

func TestEKS_KeepsTheControlPlanesLogs(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ given, want []string }{
		"default": {DefaultConfig().ControlPlaneLogs, []string{"api", "audit", "authenticator"}},
		"others":  {[]string{"scheduler"}, []string{"scheduler"}},
		"none":    {[]string{}, []string{}},
	} {
		cfg := valid(EKS)
		cfg.ControlPlaneLogs = test.given
		control := provide(cfg, false).mustSucceed(t).One(t, eksType, "ha-iris-test")
		if !control.Inputs.HasValue("enabledClusterLogTypes") {
			t.Errorf("%s: AWS is not asked, and keeps what it has", name)
			continue
		}
		assertInputs(t, control, map[string]any{"enabledClusterLogTypes": test.want})
	}
	for _, cloud := range Clouds() { // The default counts as not set on the others.
		if err := valid(cloud).WithDefaults().Validate(); err != nil {
			t.Errorf("%s: %v", cloud, err)
		}
	}
	given := fromStackFile(t, map[string]any{"ha-iris:cluster": map[string]any{"cloud": "eks", "controlPlaneLogs": []string{}}})
	if len(given.ControlPlaneLogs) > 0 {
		t.Errorf("an empty list becomes %q", given.ControlPlaneLogs)
	}
}
