package iris

import (
	"fmt"

	"ha-iris/internal/pattern"
	"ha-iris/internal/problems"
	"ha-iris/internal/rules"
)

// Upper bounds: beyond them nothing that exists could hold it, and the mistake is most likely a unit or a digit.
const (
	// maxSize is the largest block volume that any of the clouds sells.
	maxSize = 64 * tib
	// maxMemory and maxCores are those of the largest machines that any of them rents (32 TiB, 1920 virtual cores).
	maxMemory = 32 * tib
	maxCores  = 1920
	// maxAnnotations is Kubernetes' limit for all annotations of an object (256 KiB), less room for the platform's own.
	maxAnnotations = 240 * 1024
	// maxMergeFile is Kubernetes' limit for a ConfigMap or a Secret (1 MiB), less room for what this program adds.
	maxMergeFile = 1000 * 1024
	// maxClients bounds a list that becomes rules of firewalls and policies: no cloud takes more per load balancer.
	maxClients = 1000
	// maxName is the longest name in an image's reference (distribution/reference), maxZone is more than any time zone's name has.
	maxName, maxZone = 255, 64
)

// vendorsLicensedImage matches the vendor's names of images that need a licence: iris, irishealth, with -ml, -arm64, -lockeddown,
// wherever a copy of them lies. The Community edition's end in -community or have it in the middle.
var vendorsLicensedImage = pattern.Lazy(`(^|/)intersystems/iris(health)?(-(ml|arm64|lockeddown))*([:@]|$)`)

func (c Config) validateLimits(found *problems.List) {
	if size, err := rules.ParseSize(c.Size); err == nil && size > maxSize {
		found.Add("iris.size", c.Size, "at most 64Ti: no larger volume is sold")
	}
	if memory, err := rules.ParseSize(c.Memory); err == nil && memory > maxMemory {
		found.Add("iris.memory", c.Memory, "at most 32Ti: no machine has more")
	}
	limitCores(found, "iris.cpu", c.CPU)
	limitCores(found, "iris.cpuLimit", c.CPULimit)
	found.AtMost("iris.service.sourceRanges", len(c.Service.SourceRanges), maxClients, "networks")
	found.AtMost("iris.service.clientNamespaces", len(c.Service.ClientNamespaces), maxClients, "namespaces")
	annotations := 0
	for key, value := range c.Service.Annotations {
		annotations += len(key) + len(value)
	}
	found.AtMost("iris.service.annotations", annotations, maxAnnotations, "bytes")
	settings, actions := 0, 0
	for section, keys := range c.CPF {
		settings += len(section) + len("[]\n\n")
		for key, value := range keys {
			settings += len(key) + len(value) + len("=\n")
		}
	}
	for _, action := range c.Actions {
		actions += len(action) + len("\n")
	}
	found.AtMost("iris.cpf", settings, maxMergeFile, "bytes")
	found.AtMost("iris.actions", actions, maxMergeFile, "bytes")
	found.AtMost("iris.timeZone", len(c.TimeZone), maxZone, "characters")
	found.AtMost("iris.registry.username", len(c.Registry.Username), maxName, "characters")
	found.AtMost("iris.registry.server", len(c.Registry.Server), maxName, "characters")
}

func limitCores(found *problems.List, path, text string) {
	if cores, err := rules.ParseCores(text); err == nil && cores > maxCores*1000 {
		found.Add(path, text, fmt.Sprintf("at most %d: no machine has more", maxCores))
	}
}

// checkEdition reports a licensed image that is to run as the Community edition: it would need a
// licence key and a web server, which are not configured. Images of unknown names pass.
func (c Config) checkEdition(found *problems.List) {
	if c.Edition == Community && vendorsLicensedImage().MatchString(c.Image) {
		found.Add("iris.image", c.Image, "an image of the Community edition (intersystems/iris-community), or iris.edition licensed "+
			"with irisLicenseKey")
	}
}

// CheckMachine reports what does not fit a node's machine. Zero stands for what is not known. The system takes a part of
// both, so a request as large as the machine never fits.
func (c Config) CheckMachine(machine string, cores int, memoryBytes int64) error {
	var found problems.List
	if cpu, err := rules.ParseCores(c.CPU); err == nil && cores > 0 && cpu >= int64(cores)*1000 {
		found.Add("iris.cpu", c.CPU, fmt.Sprintf("less than the %d cores of a node (%s), or a larger machine", cores, machine))
	}
	if memory, err := rules.ParseSize(c.Memory); err == nil && memoryBytes > 0 && memory >= memoryBytes {
		found.Add("iris.memory", c.Memory, fmt.Sprintf("less than the %d GiB of a node (%s), or a larger machine", memoryBytes/gib, machine))
	}
	return found.Err()
}
