package cluster

import (
	"strconv"

	"ha-iris/internal/pattern"
)

var (
	googleMachineType = pattern.Lazy(`^[a-z][a-z0-9]*(-[a-z0-9]+)+$`)
	googleMemory      = pattern.Lazy(`^(?:n2|n2d|n4|e2|c3|c3d|c4|t2d|t2a|n1)-(standard|highmem|highcpu)-`)
	googleCores       = pattern.Lazy(`^[a-z][a-z0-9]*-(?:standard|high[a-z]+|ultramem|megamem|hypermem|custom)-(\d+)(?:-[a-z0-9]+)*$`)
)

// gcpCores reads the number after the machine's class, such as standard. Names of shared-core and accelerator types have none.
func gcpCores(instanceType string) (int, bool) {
	parts := googleCores().FindStringSubmatch(instanceType)
	if parts == nil {
		return 0, false
	}
	cores, err := strconv.Atoi(parts[1])
	return cores, err == nil
}

// gcpMemoryPerCore knows the classes standard, highmem and highcpu, which most families have.
func gcpMemoryPerCore(instanceType string) int {
	parts := googleMemory().FindStringSubmatch(instanceType)
	if parts == nil {
		return 0
	}
	return map[string]int{"highcpu": 2, "standard": 4, "highmem": 8}[parts[1]]
}
