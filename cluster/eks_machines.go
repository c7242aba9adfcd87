package cluster

import (
	"strconv"
	"strings"

	"ha-iris/internal/pattern"
)

var (
	awsInstanceType = pattern.Lazy(`^([a-z]+[a-z0-9-]*)\.([a-z0-9-]+)$`)
	awsXlarge       = pattern.Lazy(`^(\d*)xlarge$`)
	// awsGraviton matches the families with Amazon's ARM processors: a1, and those with a g after the generation's number.
	awsGraviton = pattern.Lazy(`^(a1|[a-z]+\d+[a-z]*g[a-z0-9-]*)\.`)
	awsMemory   = pattern.Lazy(`^([cmr])\d`)
)

// awsCores reads sizes: large has 2 cores, xlarge 4, Nxlarge 4N. Bare metal, Macs and the HPC families, which run without
// hyper-threading, do not follow the rule.
func awsCores(instanceType string) (int, bool) {
	parts := awsInstanceType().FindStringSubmatch(instanceType)
	if parts == nil || strings.HasPrefix(parts[1], "hpc") || strings.HasPrefix(parts[1], "mac") {
		return 0, false
	}
	if parts[2] == "large" {
		return 2, true
	}
	size := awsXlarge().FindStringSubmatch(parts[2])
	if size == nil {
		return 0, false
	}
	if size[1] == "" {
		return 4, true
	}
	factor, err := strconv.Atoi(size[1])
	return 4 * factor, err == nil
}

// awsMemoryPerCore knows the compute (c), general purpose (m) and memory (r) families.
func awsMemoryPerCore(instanceType string) int {
	parts := awsMemory().FindStringSubmatch(instanceType)
	if parts == nil || !awsInstanceType().MatchString(instanceType) {
		return 0
	}
	return map[string]int{"c": 2, "m": 4, "r": 8}[parts[1]]
}
