package cluster

import (
	"strconv"

	"ha-iris/internal/pattern"
)

var (
	// azureVMSize has the groups family, number, constrained number of cores, and version.
	azureVMSize = pattern.Lazy(`^Standard_([A-Z]+)(\d+)(?:-(\d+))?[a-z]*(?:_[A-Z][A-Za-z0-9]*)*(?:_v(\d+))?$`)
	// azureUnusualMemory matches sizes with a letter l, m or i after the number, which have more or less memory than their
	// family, and F sizes of version 6 and later, which have up to 8 GiB per core.
	azureUnusualMemory = pattern.Lazy(`^Standard_[A-Z]+\d+[a-z]*[lmi]|^Standard_F\d+[a-z]*_v([6-9]|\d\d)$`)
)

// azureCores reads the number after the family, or the second number of a size with constrained cores (E16-4s_v5). In sizes
// without a version, and in D and DS sizes of version 2, the number is not that of the cores: a DS3_v2 has 4.
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

// azureMemoryPerCore knows the compute (F), general purpose (D) and memory (E) families. It returns 0 for sizes with constrained
// cores (E16-4s_v5), which keep the memory of the first number, and for those that azureUnusualMemory matches.
func azureMemoryPerCore(instanceType string) int {
	parts := azureVMSize().FindStringSubmatch(instanceType)
	if parts == nil || parts[3] != "" || azureUnusualMemory().MatchString(instanceType) {
		return 0
	}
	return map[string]int{"F": 2, "FS": 2, "D": 4, "DS": 4, "DC": 4, "E": 8, "EC": 8}[parts[1]]
}
