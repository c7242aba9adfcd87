package cluster

import (
	"strconv"
	"strings"

	"ha-iris/internal/pattern"
)

var (
	awsInstanceType = pattern.Lazy(`^([a-z]+[a-z0-9-]*)\.([a-z0-9-]+)$`)
	awsXlarge       = pattern.Lazy(`^(\d*)xlarge$`)
	// awsGraviton matches the families with Amazon's ARM processors: a g behind the generation's number.
	awsGraviton = pattern.Lazy(`^(a1|[a-z]+\d+[a-z]*g[a-z0-9-]*)\.`)
	// azureVMSize has the groups family, number, number that is left of it, and version.
	azureVMSize       = pattern.Lazy(`^Standard_([A-Z]+)(\d+)(?:-(\d+))?[a-z]*(?:_[A-Z][A-Za-z0-9]*)*(?:_v(\d+))?$`)
	googleMachineType = pattern.Lazy(`^[a-z][a-z0-9]*(-[a-z0-9]+)+$`)
	googleMemory      = pattern.Lazy(`^(?:n2|n2d|n4|e2|c3|c3d|c4|t2d|t2a|n1)-(standard|highmem|highcpu)-`)
	awsMemory         = pattern.Lazy(`^([cmr])\d`)
	googleCores       = pattern.Lazy(`^[a-z][a-z0-9]*-(?:standard|high[a-z]+|ultramem|megamem|hypermem|custom)-(\d+)(?:-[a-z0-9]+)*$`)
)

// VisibleCores returns how many cores a process on a node sees, as far as the instance type's name tells; false when it
// does not. IRIS's Community Edition refuses to start where it sees more than 20.
func (c Config) VisibleCores() (cores int, known bool) {
	for _, parse := range []func(string) (int, bool){awsCores, azureCores, gcpCores} {
		if cores, known := parse(c.InstanceType); known {
			return cores, true
		}
	}
	return 0, false
}

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

// azureCores reads the number after the family; a second one (E16-4s_v5) is what is left of it. Sizes without a version,
// and D and DS sizes of version 2, are numbered and not counted: a DS3_v2 has 4 cores.
func azureCores(instanceType string) (int, bool) {
	parts := azureVMSize().FindStringSubmatch(instanceType)
	if parts == nil {
		return 0, false
	}
	family, number, left, version := parts[1], parts[2], parts[3], parts[4]
	if version == "" || version == "2" && (family == "D" || family == "DS") {
		return 0, false
	}
	if left != "" {
		number = left
	}
	cores, err := strconv.Atoi(number)
	return cores, err == nil
}

// gcpCores reads the number after the kind of machine. The names of shared-core and accelerator types carry none.
func gcpCores(instanceType string) (int, bool) {
	parts := googleCores().FindStringSubmatch(instanceType)
	if parts == nil {
		return 0, false
	}
	cores, err := strconv.Atoi(parts[1])
	return cores, err == nil
}

// MemoryGiB returns the most memory that a node of the instance type can have, as far as the type's name tells; false when
// it does not. The families that are counted have up to 2, 4 or 8 GiB for each core, as their kind says.
func (c Config) MemoryGiB() (gib int, known bool) {
	cores, known := c.VisibleCores()
	perCore := memoryPerCore(c.InstanceType)
	if !known || perCore == 0 {
		return 0, false
	}
	return cores * perCore, true
}

func memoryPerCore(instanceType string) int {
	kinds := map[string]int{
		"c": 2, "m": 4, "r": 8, // AWS: compute, general purpose, memory.
		"F": 2, "FS": 2, "D": 4, "DS": 4, "DC": 4, "E": 8, "EC": 8, // Azure.
		"highcpu": 2, "standard": 4, "highmem": 8, // Google.
	}
	if parts := awsMemory().FindStringSubmatch(instanceType); parts != nil && awsInstanceType().MatchString(instanceType) {
		return kinds[parts[1]]
	}
	// A second number (E16-4s_v5) takes cores away and leaves the memory; lower-case l and m stand for less and more of it.
	if parts := azureVMSize().FindStringSubmatch(instanceType); parts != nil {
		if parts[3] != "" || azureUnusualMemory().MatchString(instanceType) {
			return 0
		}
		return kinds[parts[1]]
	}
	if parts := googleMemory().FindStringSubmatch(instanceType); parts != nil {
		return kinds[parts[1]]
	}
	return 0
}

// azureUnusualMemory matches sizes whose letters behind the number say that they have more or less memory than their
// family, and F sizes of version 6 and later, which have up to 8 GiB per core.
var azureUnusualMemory = pattern.Lazy(`^Standard_[A-Z]+\d+[a-z]*[lmi]|^Standard_F\d+[a-z]*_v([6-9]|\d\d)$`)
