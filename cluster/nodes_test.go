package cluster

import (
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"ha-iris/internal/guard"
)

func inputs(pairs resource.PropertyMap) guard.Inputs { return guard.InputsOf(pairs) }

func number(n float64) resource.PropertyValue { return resource.NewNumberProperty(n) }

func object(pairs resource.PropertyMap) resource.PropertyValue {
	return resource.NewObjectProperty(pairs)
}

func TestPool_RefusesToRemoveMoreThanOneNodeOfAZone(t *testing.T) {
	t.Parallel()
	p := pool{count: func(in guard.Inputs) (float64, bool) { return in.Number("count") }}
	for _, test := range []struct {
		before, after float64
		removed       bool
		want          string
	}{
		{1, 2, false, ""},
		{2, 2, false, ""},
		{2, 1, true, ""},
		{3, 1, true, "cluster.nodes: got 3, want at least 6, one less in each zone than now"},
	} {
		removed, err := p.removed(inputs(resource.PropertyMap{"count": number(test.before)}), inputs(resource.PropertyMap{"count": number(test.after)}))
		if removed != test.removed {
			t.Errorf("%v to %v: removed is %t", test.before, test.after, removed)
		}
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%v to %v: %v", test.before, test.after, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), runbookFewerNodes)):
			t.Errorf("%v to %v: got %v, want %s", test.before, test.after, err, test.want)
		}
	}
	if removed, err := p.removed(inputs(nil), inputs(resource.PropertyMap{"count": number(1)})); removed || err != nil {
		t.Errorf("a new pool: got %t, %v", removed, err)
	}
}

// What replaces nodes waits for the volumes; what does not is not held back by a volume that is not healthy.
func TestPools_KnowWhatReplacesNodes(t *testing.T) {
	t.Parallel()
	ofEKS := (&eks{scope: scope{}}).pool(0)
	group := func(version resource.PropertyValue, desired float64) resource.PropertyMap {
		return resource.PropertyMap{
			"launchTemplate": object(resource.PropertyMap{"version": version}),
			"scalingConfig":  object(resource.PropertyMap{"desiredSize": number(desired)}),
		}
	}
	with := func(base resource.PropertyMap, key resource.PropertyKey, value resource.PropertyValue) resource.PropertyMap {
		changed := base.Copy()
		changed[key] = value
		return changed
	}
	text := resource.NewStringProperty
	config := func(more resource.PropertyMap) resource.PropertyMap {
		all := resource.PropertyMap{"machineType": text("e2-standard-4"), "labels": object(resource.PropertyMap{"a": text("b")})}
		for key, value := range more {
			all[key] = value
		}
		return resource.PropertyMap{"nodeConfig": object(all)}
	}
	plain := group(text("1"), 1)
	for name, test := range map[string]struct {
		pool          pool
		before, after resource.PropertyMap
		want          string
	}{
		"eks: nothing":             {ofEKS, plain, plain, ""},
		"eks: more nodes":          {ofEKS, plain, group(text("1"), 2), ""},
		"eks: created":             {ofEKS, nil, plain, ""},
		"eks: template":            {ofEKS, plain, group(text("2"), 1), "launch template"},
		"eks: template in preview": {ofEKS, plain, group(resource.MakeComputed(text("")), 1), "launch template"},
		"eks: version":             {ofEKS, plain, with(plain, "version", text("1.36")), "version"},
		"eks: image":               {ofEKS, plain, with(plain, "releaseVersion", text("1.35.1-20261118")), "image"},
		"eks: labels":              {ofEKS, plain, with(plain, "labels", object(resource.PropertyMap{"a": text("b")})), ""},
		"gke: created":             {gkePool(0, "a"), nil, config(nil), ""},
		"gke: machine":             {gkePool(0, "a"), config(nil), config(resource.PropertyMap{"machineType": text("n2-standard-4")}), "machineType"},
		"gke: disk":                {gkePool(0, "a"), config(nil), config(resource.PropertyMap{"diskSizeGb": number(512)}), "diskSizeGb"},
		"gke: labels":              {gkePool(0, "a"), config(nil), config(resource.PropertyMap{"labels": object(nil)}), ""},
	} {
		if got := strings.Join(test.pool.replacing(inputs(test.before), inputs(test.after)), ","); got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

func TestAKSPoolName_ChangesWithWhatReplacesNodes(t *testing.T) {
	t.Parallel()
	base := Config{InstanceType: "Standard_D4as_v5", DataDiskGiB: 256}
	names := map[string]bool{}
	for _, change := range []func(*Config){
		func(*Config) {},
		func(c *Config) { c.InstanceType = "Standard_D8as_v5" },
		func(c *Config) { c.DataDiskGiB = 512 },
		func(c *Config) { c.NodeVersion = "1.36" },
		func(c *Config) { c.NodeGeneration = 1 },
	} {
		cfg := base
		change(&cfg)
		name := (&aks{scope{cfg: cfg}}).poolNameOf(1)
		if len(name) > 12 || names[name] {
			t.Errorf("%+v: name %q is too long for Azure, or taken by another configuration", cfg, name)
		}
		names[name] = true
	}
	first := (&aks{scope{cfg: base}}).poolNameOf(1)
	base.Nodes, base.Tags = 9, map[string]string{"a": "b"}
	if again := (&aks{scope{cfg: base}}).poolNameOf(1); again != first {
		t.Errorf("a change in place gave the pool another name: %s instead of %s", again, first)
	}
}

func TestComponent_RefusesNodesOfOnePoolForAllZones(t *testing.T) {
	t.Parallel()
	old, now := inputs(resource.PropertyMap{"name": resource.NewStringProperty("c")}),
		inputs(resource.PropertyMap{"name": resource.NewStringProperty("c"), "pools": resource.NewStringProperty(poolsPerZone)})
	if err := checkPools(old, now, true); err == nil || !strings.Contains(err.Error(), "one pool of nodes for all zones") {
		t.Errorf("a cluster with one pool: got %v", err)
	}
	for name, err := range map[string]error{
		"not protected": checkPools(old, now, false), "the same": checkPools(now, now, true), "existing cluster": checkPools(old, old, true),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
