package standin

import (
	"regexp"
	"strconv"
	"strings"
)

// size is how large a machine type is.
type size struct{ cpus, memoryGB int }

// sizeOf reads a machine type of any of the clouds, whose names say how many cores it has and for what sort of work it is
// (EC2 user guide, "Instance type naming conventions"; Compute Engine docs, "Machine families"; Azure docs, "Naming
// conventions of virtual machine sizes"). Cores of general machines have 4 GiB each, for memory 8, for computing 2.
func sizeOf(instance string) size {
	switch {
	case strings.Contains(instance, "."):
		return ec2Size(instance)
	case strings.HasPrefix(instance, "Standard_"), strings.HasPrefix(instance, "Basic_"):
		return azureSize(instance)
	default:
		return gceSize(instance)
	}
}

func perCore(letter string) int {
	switch strings.ToLower(letter) {
	case "c", "f":
		return 2
	case "r", "e":
		return 8
	default:
		return 4
	}
}

func ec2Size(instance string) size {
	family, scale, _ := strings.Cut(instance, ".")
	cpus := 2
	if times, ok := strings.CutSuffix(scale, "xlarge"); ok {
		n, err := strconv.Atoi(times)
		if err != nil {
			n = 1
		}
		cpus = 4 * n
	}
	return size{cpus: cpus, memoryGB: cpus * perCore(family[:1])}
}

func azureSize(instance string) size {
	parts := regexp.MustCompile(`_([A-Za-z]+)([0-9]+)`).FindStringSubmatch(instance)
	if parts == nil {
		return size{cpus: 2, memoryGB: 8}
	}
	cpus, err := strconv.Atoi(parts[2])
	if err != nil {
		cpus = 2
	}
	return size{cpus: cpus, memoryGB: cpus * perCore(parts[1][:1])}
}

func gceSize(instance string) size {
	cpus, err := strconv.Atoi(lastOf(strings.TrimSuffix(instance, "-lssd")))
	if err != nil { // e2-medium and the like.
		return size{cpus: 2, memoryGB: 4}
	}
	switch {
	case strings.Contains(instance, "-highmem-"):
		return size{cpus: cpus, memoryGB: cpus * 8}
	case strings.Contains(instance, "-highcpu-"):
		return size{cpus: cpus, memoryGB: cpus}
	default:
		return size{cpus: cpus, memoryGB: cpus * 4}
	}
}

func lastOf(dashed string) string { return dashed[strings.LastIndex(dashed, "-")+1:] }

// azureFamily is the name that quotas have for a size's family: Standard_D4as_v5 is of standardDASv5Family (Azure docs,
// "vCPU quotas").
func azureFamily(instance string) string {
	parts := regexp.MustCompile(`^Standard_([A-Z]+)[0-9]+([a-z]*)(?:_(v[0-9]+))?`).FindStringSubmatch(instance)
	if parts == nil {
		return instance
	}
	return "standard" + parts[1] + strings.ToUpper(parts[2]) + parts[3] + "Family"
}
