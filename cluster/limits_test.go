package cluster

import (
	"fmt"
	"strings"
	"testing"
)

func TestValidate_RefusesMoreThanACloudTakes(t *testing.T) {
	t.Parallel()
	ranges := make([]string, 0, 201)
	tags := map[string]string{}
	for i := range 201 {
		ranges = append(ranges, fmt.Sprintf("10.0.%d.0/24", i))
		tags[fmt.Sprintf("t%d", i)] = "x"
	}
	var mistakes []mistake
	for cloud, most := range map[Cloud]struct{ nodes, ranges, tags int }{
		AKS: {3000, 200, 46}, EKS: {1350, 40, 44}, GKE: {3000, 100, 60}, Existing: {5000, 0, 0},
	} {
		mistakes = append(mistakes, mistake{
			"nodes", cloud, func(c *Config) { c.Nodes = most.nodes + 3 },
			fmt.Sprintf("cluster.nodes: got %d, want at most %d: ", most.nodes+3, most.nodes),
		})
		if cloud == Existing {
			continue
		}
		mistakes = append(mistakes, mistake{
			"source ranges", cloud, func(c *Config) { c.APIServerSourceRanges = ranges[:most.ranges+1] },
			fmt.Sprintf("cluster.apiServerSourceRanges: got %d networks, want at most %d", most.ranges+1, most.ranges),
		}, mistake{
			"tags", cloud, func(c *Config) { c.Tags = tags },
			fmt.Sprintf("cluster.tags: got 201 tags, want at most %d", most.tags),
		})
	}
	mistakes = append(mistakes, mistake{
		"name", Existing, func(c *Config) { c.Name = strings.Repeat("n", 300) }, "cluster.name: got 300 characters, want at most 253",
	})
	assertMistakes(t, mistakes)
}

func TestMemoryGiB(t *testing.T) {
	t.Parallel()
	for instanceType, want := range map[string]int{
		"m6i.xlarge": 16, "c7g.2xlarge": 16, "r6i.large": 16, "m7i-flex.large": 8,
		"Standard_D4as_v5": 16, "Standard_E4s_v5": 32, "Standard_F4s_v2": 8, "e2-standard-4": 16, "n2-highmem-8": 64,
		"n1-standard-4": 16, // 15: an upper bound.
		// Not known, or not by the rule.
		"t3.medium": 0, "x2idn.16xlarge": 0, "mac2.metal": 0, "Standard_D4ls_v5": 0, "Standard_E16-4s_v5": 0, "Standard_F4as_v6": 0,
		"Standard_B4ms": 0, "e2-medium": 0, "m1-ultramem-40": 0, "custom-4-8192": 0, "n2-custom-4-8192": 0,
	} {
		if got, known := (Config{Cloud: cloudOf(instanceType), InstanceType: instanceType}).MemoryGiB(); got != want || known != (want > 0) {
			t.Errorf("%s: got %d, %v, want %d", instanceType, got, known, want)
		}
	}
}
