package cluster

import (
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"ha-iris/internal/guard"
)

func TestFewerNodes_AreRefusedWhereAllReplicasMayBeOnThem(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name          string
		check         func(before, after int) error
		before, after int
		want          string
	}{
		{"together", oneNodeLess, 3, 6, ""},
		{"together", oneNodeLess, 6, 6, ""},
		{"together", oneNodeLess, 6, 5, ""},
		{"together", oneNodeLess, 6, 4, "cluster.nodes: got 4, want at least 5, one less than now"},
		{"together", oneNodeLess, 6, 3, "cluster.nodes: got 3, want at least 5, one less than now"},
		{"per zone", noNodeLess, 1, 2, ""},
		{"per zone", noNodeLess, 2, 2, ""},
		{"per zone", noNodeLess, 2, 1, "cluster.nodes: got 3, want at least 6, as the cluster has it"},
	} {
		err := test.check(test.before, test.after)
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s %d to %d: %v", test.name, test.before, test.after, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), runbookFewerNodes)):
			t.Errorf("%s %d to %d: got %v, want %s", test.name, test.before, test.after, err, test.want)
		}
	}
}

func TestPoolCount_IsOfOurPool(t *testing.T) {
	t.Parallel()
	pool := func(name string, count float64) resource.PropertyValue {
		return resource.NewObjectProperty(resource.PropertyMap{
			"name": resource.NewStringProperty(name), "count": resource.NewNumberProperty(count),
		})
	}
	for name, test := range map[string]struct {
		pools []resource.PropertyValue
		want  float64
	}{
		"alone":            {[]resource.PropertyValue{pool(azurePool, 6)}, 6},
		"after somebody's": {[]resource.PropertyValue{pool("apps", 1), pool(azurePool, 6)}, 6},
		"not there":        {[]resource.PropertyValue{pool("apps", 1)}, 0},
		"none":             {nil, 0},
	} {
		inputs := guard.InputsOf(resource.PropertyMap{"agentPoolProfiles": resource.NewArrayProperty(test.pools)})
		if got, found := poolCount(inputs); got != test.want || found != (test.want > 0) {
			t.Errorf("%s: got %v, %t", name, got, found)
		}
	}
}
