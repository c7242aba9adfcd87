package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"ha-iris/internal/pattern"
	"ha-iris/internal/problems"
)

// Defaults that other code or documents refer to.
const (
	// DefaultClassName is the StorageClass that this program creates. Longhorn's own class "longhorn" is deleted and
	// recreated by Longhorn at will (longhorn-manager), so it is not ours to manage.
	DefaultClassName = "longhorn-iris"
	// DefaultVersion is the Longhorn chart. 1.12.1 needs Kubernetes >= 1.25 and is tested on 1.33 to 1.36; 1.11 is the
	// first line with ReadWriteOncePod (Longhorn's release notes and best practices).
	DefaultVersion = "1.12.1"
	// DefaultChart is the repository of Longhorn's official chart. There is no official OCI chart (longhorn#9450).
	DefaultChart = "https://charts.longhorn.io"

	minReplicas = 2
	maxReplicas = 20 // Longhorn's limit for numberOfReplicas.
)

// Config is the object ha-iris:storage of the stack's configuration.
type Config struct {
	// Install installs Longhorn. False uses a StorageClass that the cluster already has. Default: true.
	Install bool `json:"install"`
	// ClassName is the StorageClass of the database volume: created when Install is true, required to exist otherwise.
	// Default: longhorn-iris.
	ClassName string `json:"className"`
	// Replicas is how many replicas of the data Longhorn keeps, each on another node. Default: 3.
	Replicas int `json:"replicas"`
	// Version is the version of Longhorn's chart, without "v". Ignored for a local chart. Default: 1.12.1.
	Version string `json:"version"`
	// Chart is where Longhorn's chart comes from: a Helm repository (https://...), an OCI reference (oci://...) or a
	// local directory or .tgz file. Default: Longhorn's official repository.
	Chart string `json:"chart"`
	// NodePrepImage is the image of the DaemonSet that makes iSCSI ready on nodes that do not boot with it; it needs sh
	// and nsenter. Default: busybox at a fixed tag.
	NodePrepImage string `json:"nodePrepImage"`
	// Values are merged over the chart values that this program sets; they win.
	Values map[string]any `json:"values"`

	// Secret says that at least one value above was stored encrypted. Pulumi does not say which: the chart's values, its
	// origin and the image stay secret then, and no message shows a value.
	Secret bool `json:"-"`
}

// DefaultConfig returns the configuration of a stack that sets nothing.
func DefaultConfig() Config {
	return Config{
		Install:       true,
		ClassName:     DefaultClassName,
		Replicas:      3, // One per zone of a three-zone cluster: survives the loss of any two copies.
		Version:       DefaultVersion,
		Chart:         DefaultChart,
		NodePrepImage: DefaultNodePrepImage,
		Values:        map[string]any{},
	}
}

var (
	versionPattern = pattern.Lazy(`^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$`)
	// An RFC 1123 subdomain, which Kubernetes asks of object names.
	namePattern = pattern.Lazy(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)
)

// Validate returns every problem of the configuration, or nil. It looks for a local chart but calls no network.
func (c Config) Validate() error {
	if c.Secret {
		return problems.Hide(c.validate(), "storage")
	}
	return c.validate()
}

func (c Config) validate() error {
	var found problems.List
	c.validateSecret(&found)
	if !namePattern().MatchString(c.ClassName) {
		found.Add("storage.className", c.ClassName, "the name of a StorageClass: lower-case letters, digits, '-' and '.'")
	}
	if !c.Install {
		return found.Err() // Of any name: DefaultClassName too may be there, from before. That it is there the cluster says.
	}
	if c.ClassName == "longhorn" || c.ClassName == "longhorn-static" {
		found.Add("storage.className", c.ClassName, "another name: Longhorn manages the class of that name itself")
	}
	if c.Replicas < minReplicas || c.Replicas > maxReplicas {
		found.Add("storage.replicas", c.Replicas, fmt.Sprintf(
			"%d to %d: a single copy is lost with its node, and Longhorn keeps at most %d", minReplicas, maxReplicas, maxReplicas))
	}
	c.validateLengths(&found)
	c.validateImage(&found)
	c.validateChart(&found)
	return found.Err()
}

// validateSecret refuses a secret where nothing could keep it one.
func (c Config) validateSecret(found *problems.List) {
	const remove = "find its line \"secure:\" in the stack's file, and run: pulumi config rm --path storage.KEY"
	switch {
	case !c.Secret:
	case !c.Install:
		found.AddSecret("storage", "a secret value", "none, because storage.install is false and nothing is installed with it; "+remove)
	case c.ClassName != DefaultClassName:
		found.AddSecret("storage.className", "a name while a value of storage is secret", DefaultClassName+": which value is "+
			"secret the program cannot see, and the name of an object is none; or no secret in storage, "+
			"such as the name of a Secret of yours in the chart's values; "+remove)
	}
}

// maxText bounds texts that nothing else does: the longest path on Linux, and longer than any reference of an image.
const maxText = 4096

func (c Config) validateLengths(found *problems.List) {
	for _, setting := range []struct{ path, text string }{
		{"storage.version", c.Version}, {"storage.chart", c.Chart}, {"storage.nodePrepImage", c.NodePrepImage},
	} {
		if len(setting.text) > maxText {
			found.AddSecret(setting.path, fmt.Sprintf("%d characters", len(setting.text)), fmt.Sprintf("at most %d", maxText))
		}
	}
}

func (c Config) validateImage(found *problems.List) {
	// Behind the last slash: a colon before it is a registry's port.
	name := c.NodePrepImage[strings.LastIndex(c.NodePrepImage, "/")+1:]
	if !strings.ContainsAny(name, ":@") || strings.HasSuffix(name, ":latest") {
		found.Add("storage.nodePrepImage", c.NodePrepImage, "an image with sh and nsenter at a fixed tag or digest, such as "+DefaultNodePrepImage)
	}
}

func (c Config) validateChart(found *problems.List) {
	const want = "a Helm repository (https://...), an OCI reference (oci://...) or the path of a chart directory or .tgz file"
	switch c.chartKind() {
	case chartLocal:
		if c.Chart == "" {
			found.AddMissing("storage.chart", want)
			return
		}
		file, what := c.Chart, "there is"
		if !strings.HasSuffix(file, ".tgz") {
			file, what = filepath.Join(file, "Chart.yaml"), "Chart.yaml in it:"
		}
		if _, err := os.Stat(file); err != nil {
			var cause *fs.PathError // Without the path, which must not be shown when it is secret.
			if errors.As(err, &cause) {
				err = cause.Err
			}
			found.Add("storage.chart", c.Chart, fmt.Sprintf("%s (%s %v)", want, what, err))
		}
	case chartRepository, chartOCI:
		if !versionPattern().MatchString(c.Version) {
			found.Add("storage.version", c.Version, "the version of Longhorn's chart, such as "+DefaultVersion+" (without v)")
		}
	}
}

type chartKind int

const (
	chartRepository chartKind = iota
	chartOCI
	chartLocal
)

func (c Config) chartKind() chartKind {
	switch {
	case strings.HasPrefix(c.Chart, "oci://"):
		return chartOCI
	case strings.HasPrefix(c.Chart, "https://"), strings.HasPrefix(c.Chart, "http://"):
		return chartRepository
	default:
		return chartLocal
	}
}
