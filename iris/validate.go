package iris

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"ha-iris/internal/pattern"
	"ha-iris/internal/problems"
	"ha-iris/internal/rules"
	"ha-iris/internal/traits"
)

const (
	// minSize leaves room for the first copy of IRIS' own files (about 1 GB with the write image journal), for one journal
	// file (1 GB by default) and for data.
	minSize = 5 * gib
	// minMemory is where the memory rule still leaves a usable cache.
	minMemory = 3 * gib / 2
	// maxGrace covers the longest stop in order that IRIS allows itself by default: 300 s, and 30 s more for processes to
	// leave shared memory (RACS ShutdownTimeout, GSA).
	maxGrace      = 360
	minGrace      = 10
	maxToleration = 300 // Kubernetes' own default; more would be worse than doing nothing.
	minBudget     = 120
	maxBudget     = 4 * 3600
	// The bounds of IRIS' parameters (RACS).
	minGmheap, maxGmheap   = 16_384, 1_073_741_760
	minJrnbufs, maxJrnbufs = 16, 1024
	maxRoutines            = 65_535
	// The range that Kubernetes gives to node ports by default.
	minNodePort, maxNodePort = 30_000, 32_767
)

// Validate returns every problem of the configuration, or nil. It calls no network.
func (c Config) Validate() error {
	var found problems.List
	c.validateData(&found)
	c.validateImages(&found)
	c.validateResources(&found)
	c.validateCPF(&found)
	c.validateTimes(&found)
	c.validateSecrets(&found)
	c.Service.validate(&found)
	c.validateMetrics(&found)
	c.validateLimits(&found)
	c.validateFailover(&found)
	return found.Err()
}

// ValidateOn returns every problem that the configuration has on a platform, those of Validate included, or nil.
func (c Config) ValidateOn(platform traits.Service) error {
	var found problems.List
	found.Merge(c.Validate())
	if c.Service.Type == LoadBalancer && c.Service.Internal &&
		len(platform.InternalAnnotations) == 0 && len(c.Service.Annotations) == 0 {
		found.Add("iris.service.internal", true, "false, or in iris.service.annotations the annotation that makes this "+
			"cluster's load balancers internal: no such annotation is known for it")
	}
	return found.Err()
}

func (c Config) validateData(found *problems.List) {
	size, err := rules.ParseSize(c.Size)
	switch {
	case err != nil:
		found.Add("iris.size", c.Size, "a size with a unit, such as 20Gi")
	case size < minSize:
		found.Add("iris.size", c.Size, "at least 5Gi: IRIS' own files, its journals and your data")
	}
	oneOf(found, "iris.accessMode", c.AccessMode, ReadWriteOncePod, ReadWriteOnce)
	if c.Replicas != 0 && c.Replicas != 1 {
		found.Add("iris.replicas", c.Replicas, "1, or 0 to stop the database: two on one volume would damage it, and without mirroring there is no second one")
	}
	c.validateGenerations(found)
	checkNamespace(found, "iris.namespace", c.Namespace)
}

func (c Config) validateImages(found *problems.List) {
	oneOf(found, "iris.edition", c.Edition, Community, Licensed)
	checkImage(found, "iris.image", c.Image)
	if c.Architecture != "" {
		oneOf(found, "iris.architecture", c.Architecture, "amd64", "arm64")
	}
	c.checkEdition(found)
	if c.Edition == Licensed && strings.Contains(c.Image, "-community") {
		found.Add("iris.image", c.Image, "an image of the licensed edition, because iris.edition is licensed")
	}
	if c.usesWebGateway() {
		if c.WebGateway.Image == "" {
			found.AddMissing("iris.webGateway.image", "the image webgateway-lockeddown at a digest or build tag: it serves the "+
				"portal for the licensed edition and for TLS")
		} else {
			checkImage(found, "iris.webGateway.image", c.WebGateway.Image)
		}
	}
	if c.TLSSecret != "" {
		checkName(found, "iris.tlsSecret", c.TLSSecret)
	}
}

func (c Config) validateResources(found *problems.List) {
	c.validateMemory(found)
	cpu, cpuErr := checkCores(found, "iris.cpu", c.CPU)
	limit, limitErr := checkCores(found, "iris.cpuLimit", c.CPULimit)
	if cpuErr == nil && limitErr == nil && limit < cpu {
		found.Add("iris.cpuLimit", c.CPULimit, "at least iris.cpu, which is "+c.CPU)
	}
}

func (c Config) validateMemory(found *problems.List) {
	outOfRange := false
	for _, setting := range []struct {
		path                string
		value, low, highest int
	}{
		{"iris.globalsMiB", c.GlobalsMiB, 1, 1 << 24},
		{"iris.routinesMiB", c.RoutinesMiB, 1, maxRoutines},
		{"iris.gmheapKiB", c.GmheapKiB, minGmheap, maxGmheap},
		{"iris.journalBuffersMiB", c.JournalBuffersMiB, minJrnbufs, maxJrnbufs},
	} {
		if setting.value != 0 && (setting.value < setting.low || setting.value > setting.highest) {
			found.Add(setting.path, setting.value, fmt.Sprintf("%d to %d, or 0 to compute it", setting.low, setting.highest))
			outOfRange = true
		}
	}
	limit, err := rules.ParseSize(c.Memory)
	switch {
	case err != nil:
		found.Add("iris.memory", c.Memory, "a size with a unit, such as 4Gi")
	case limit < minMemory:
		found.Add("iris.memory", c.Memory, "at least 1536Mi")
	case !outOfRange:
		c.validatePlan(found, planMemory(limit, c))
	}
}

func (c Config) validatePlan(found *problems.List, plan memoryPlan) {
	switch {
	case plan.sumMiB() > plan.limitMiB:
		found.Add("iris.memory", c.Memory, fmt.Sprintf("room for what is set (limit %d MiB): %s", plan.limitMiB, plan.sum()))
	case c.GlobalsMiB == 0 && plan.globalsMiB < minGlobalsMiB:
		found.Add("iris.memory", c.Memory, fmt.Sprintf("enough for a cache of %d MiB (limit %d MiB): %s",
			minGlobalsMiB, plan.limitMiB, plan.sum()))
	}
}

func (c Config) validateTimes(found *problems.List) {
	if c.TerminationGracePeriodSeconds != 0 {
		between(found, "iris.terminationGracePeriodSeconds", c.TerminationGracePeriodSeconds, minGrace, maxGrace)
	}
	between(found, "iris.tolerationSeconds", c.TolerationSeconds, 0, maxToleration)
	between(found, "iris.recoveryBudgetSeconds", c.RecoveryBudgetSeconds, minBudget, maxBudget)
	if c.TimeZone != "" && !timeZonePattern().MatchString(c.TimeZone) {
		found.Add("iris.timeZone", c.TimeZone, "a time zone such as Europe/Madrid or JST-9")
	}
}

// timeZonePattern takes names and the POSIX form that the vendor's samples use. Which names exist is up to the image.
var timeZonePattern = pattern.Lazy(`^[A-Za-z]+[A-Za-z0-9_+/-]*$`)

func (c Config) validateSecrets(found *problems.List) {
	if !c.Password.IsSet() {
		found.AddMissing("irisPassword", "the password of the database's accounts; set it with: "+setPassword)
	} else if got, want := checkPassword(c.Password); want != "" {
		found.AddSecret("irisPassword", got, want)
	}
	switch {
	case c.Edition == Licensed && !c.LicenseKey.IsSet():
		found.AddMissing("irisLicenseKey", "the content of iris.key, because iris.edition is licensed; set it with: "+setLicenseKey)
	case c.Edition == Community && c.LicenseKey.IsSet():
		found.AddSecret("irisLicenseKey", "a key for an edition that takes none",
			"iris.edition licensed, or no key: pulumi config rm irisLicenseKey")
	case c.LicenseKey.IsSet():
		if got := checkLicenseKey(c.LicenseKey); got != "" {
			found.AddSecret("irisLicenseKey", got, "the content of iris.key; set it with: "+setLicenseKey)
		}
	}
	c.validateLogin(found)
}

func (c Config) validateLogin(found *problems.List) {
	if c.RegistryPassword.IsSet() {
		if got := c.RegistryPassword.NotLogin(); got != "" {
			found.AddSecret("irisRegistryPassword", got, "the password or token alone; set it with: "+
				"pulumi config set --secret irisRegistryPassword < FILE")
		}
	}
	switch {
	case c.needsLogin() && !c.RegistryPassword.IsSet():
		found.AddMissing("irisRegistryPassword", "the password or token of "+c.Registry.Username+
			"; set it with: pulumi config set --secret irisRegistryPassword")
	case !c.needsLogin() && c.RegistryPassword.IsSet():
		found.AddMissing("iris.registry.username", "the account that irisRegistryPassword belongs to")
	}
	if c.needsLogin() && c.Registry.Server == "" {
		found.AddMissing("iris.registry.server", "the registry's host name, such as containers.intersystems.com")
	}
}

func (c Config) validateMetrics(found *problems.List) {
	oneOf(found, "iris.metrics", c.Metrics, NoMetrics, Annotations, ServiceMonitor)
	if c.MonitoringNamespace != "" {
		checkNamespace(found, "iris.monitoringNamespace", c.MonitoringNamespace)
	} else if c.Metrics == Annotations || c.Metrics == ServiceMonitor {
		found.AddMissing("iris.monitoringNamespace", "the namespace that Prometheus runs in: nobody else is let in")
	}
	for _, asked := range []struct {
		path string
		on   bool
	}{{"iris.alerts", c.Alerts}, {"iris.dashboard", c.Dashboard}} {
		if asked.on && c.Metrics != ServiceMonitor {
			found.Add(asked.path, true, "false, or iris.metrics serviceMonitor: it is about metrics that Prometheus gets by that, the guard's among them")
		}
	}
	c.validateMonitoringLabels(found)
}

// validateMonitoringLabels keeps them apart from the labels by which this program finds its own objects.
func (c Config) validateMonitoringLabels(found *problems.List) {
	const path = "iris.monitoringLabels"
	if len(c.MonitoringLabels) > 0 && c.Metrics != ServiceMonitor {
		found.Add(path, strings.Join(slices.Sorted(maps.Keys(c.MonitoringLabels)), ", "),
			"none, or iris.metrics serviceMonitor: they are on the objects that it makes")
	}
	own := c.database().labels()
	for _, key := range slices.Sorted(maps.Keys(c.MonitoringLabels)) {
		value := c.MonitoringLabels[key]
		switch {
		case !rules.IsAnnotationKey(key) || strings.Contains(key, "/") && !rules.IsSubdomain(strings.SplitN(key, "/", 2)[0]):
			found.Add(path, key, "label keys such as release or example.com/name: letters, digits, '-', '_' and '.', at most 63 after the '/'")
		case own[key] != nil:
			found.Add(path, key, "other keys: this one is the program's own")
		case !labelValuePattern().MatchString(value):
			found.Add(path+"."+key, value, "a label's value: at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends")
		}
	}
}

var labelValuePattern = pattern.Lazy(`^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$`)

func (s Service) validate(found *problems.List) {
	oneOf(found, "iris.service.type", s.Type, LoadBalancer, NodePort, ClusterIP)
	if s.external() && len(s.SourceRanges) == 0 {
		found.AddMissing("iris.service.sourceRanges", "the networks that may connect, such as [203.0.113.0/24]; "+
			"to open the database to everybody, write [0.0.0.0/0]")
	}
	if !s.external() && len(s.SourceRanges) > 0 {
		found.Add("iris.service.sourceRanges", strings.Join(s.SourceRanges, ", "),
			"none, because iris.service.type ClusterIP cannot be reached from outside; for clients in the cluster set "+
				"iris.service.clientNamespaces")
	}
	for i, text := range s.SourceRanges {
		if want := rules.CheckNetwork(text, false); want != "" {
			found.Add(fmt.Sprintf("iris.service.sourceRanges[%d]", i), text, want)
		}
	}
	for i, namespace := range s.ClientNamespaces {
		checkNamespace(found, fmt.Sprintf("iris.service.clientNamespaces[%d]", i), namespace)
	}
	if s.Internal && s.Type != LoadBalancer {
		found.Add("iris.service.internal", true, "false, because iris.service.type is "+string(s.Type))
	}
	s.validateNodePorts(found)
	for _, key := range slices.Sorted(maps.Keys(s.Annotations)) {
		if !rules.IsAnnotationKey(key) {
			found.Add("iris.service.annotations", key, "annotation keys such as example.com/name: letters, digits, '-', '_' and '.', "+
				"at most 63 after the '/'")
		}
	}
}

func (s Service) validateNodePorts(found *problems.List) {
	for _, port := range []struct {
		path   string
		number int
	}{
		{"iris.service.portalNodePort", s.PortalNodePort},
		{"iris.service.superserverNodePort", s.SuperserverNodePort},
	} {
		if port.number == 0 {
			continue
		}
		between(found, port.path, port.number, minNodePort, maxNodePort)
		if !s.external() {
			found.Add(port.path, port.number, "0, because iris.service.type "+string(s.Type)+" has no ports on the nodes")
		}
	}
	if s.PortalNodePort != 0 && s.PortalNodePort == s.SuperserverNodePort {
		found.Add("iris.service.superserverNodePort", s.SuperserverNodePort, "another port than iris.service.portalNodePort")
	}
	if s.SuperserverNodePort != 0 && !s.Superserver {
		found.Add("iris.service.superserverNodePort", s.SuperserverNodePort, "0, or iris.service.superserver true")
	}
}

func oneOf[T ~string](found *problems.List, path string, got T, valid ...T) {
	if !slices.Contains(valid, got) {
		found.Add(path, string(got), "one of "+names(valid))
	}
}

func between(found *problems.List, path string, got, low, high int) {
	if got < low || got > high {
		found.Add(path, got, fmt.Sprintf("%d to %d", low, high))
	}
}

func checkNamespace(found *problems.List, path, name string) {
	if !rules.IsLabel(name) {
		found.Add(path, name, "a namespace's name: lower-case letters, digits and '-', at most 63")
	}
}

func checkName(found *problems.List, path, name string) {
	if !rules.IsSubdomain(name) {
		found.Add(path, name, "an object's name: lower-case letters, digits, '-' and '.'")
	}
}

func checkCores(found *problems.List, path, text string) (thousandths int64, err error) {
	thousandths, err = rules.ParseCores(text)
	if err != nil {
		found.Add(path, text, "a number of cores such as 2, 1.5 or 500m")
	}
	return thousandths, err
}

// checkImage asks for something that does not move: a digest, or a build tag.
func checkImage(found *problems.List, path, reference string) {
	const want = "an image at a digest (NAME:TAG@sha256:...) or at a full build tag; docs/configuration.md: \"Another image\""
	image, valid := rules.ParseImage(reference)
	switch {
	case !valid:
		found.Add(path, reference, want)
	case !image.IsPinned():
		found.Add(path, reference, want+": a tag that moves turns a restart after a crash into an upgrade, which IRIS refuses")
	}
}
