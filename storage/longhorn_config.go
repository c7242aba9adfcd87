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
	"ha-iris/internal/rules"
	"ha-iris/internal/traits"
)

// Defaults that other code or documents refer to.
const (
	// DefaultClassName is the StorageClass that this program creates. Longhorn itself deletes and recreates its own
	// class "longhorn" (longhorn-manager), so this program cannot manage that one.
	DefaultClassName = "longhorn-iris"
	// DefaultVersion is the Longhorn chart. 1.12.1 needs Kubernetes >= 1.25 and is tested on 1.33 to 1.36; 1.11 is the
	// first line with ReadWriteOncePod (Longhorn's release notes and best practices).
	DefaultVersion = "1.12.1"
	// DefaultChart is the repository of Longhorn's official chart. There is no official OCI chart (longhorn#9450).
	DefaultChart = "https://charts.longhorn.io"

	minReplicas = 2
	maxReplicas = 20 // Longhorn's limit for numberOfReplicas.
)

func longhornDefaults() Config {
	return Config{
		Install:       true,
		ClassName:     DefaultClassName,
		Replicas:      3, // One per zone of a three-zone cluster: survives the loss of any two replicas.
		Version:       DefaultVersion,
		Chart:         DefaultChart,
		NodePrepImage: DefaultNodePrepImage,
		Values:        map[string]any{},
		Backup:        defaultBackup(),
	}
}

var versionPattern = pattern.Lazy(`^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$`)

func (c Config) validateLonghorn(found *problems.List) {
	if c.ClassName == "longhorn" || c.ClassName == "longhorn-static" {
		found.Add("storage.className", c.ClassName, "another name: Longhorn manages the class of that name itself")
	}
	if c.Replicas < minReplicas || c.Replicas > maxReplicas {
		found.Add("storage.replicas", c.Replicas, fmt.Sprintf(
			"%d to %d: a single replica is lost with its node, and Longhorn keeps at most %d", minReplicas, maxReplicas, maxReplicas))
	}
	c.validateSnapshots(found)
	c.validateLengths(found)
	c.validateImage(found)
	c.validateChart(found)
}

// validateLonghornOn refuses an image for nodes that nothing prepares, and a Longhorn that cannot use the platform's buckets.
func (c Config) validateLonghornOn(nodes traits.Storage, found *problems.List) {
	if c.Backup.Managed {
		c.refuseBeforeGoogle(nodes.BackupEndpoint, found)
	}
	if !nodes.PrepareNodes && c.NodePrepImage != DefaultNodePrepImage {
		found.AddSecret("storage.nodePrepImage", "a value", "nothing with this cluster.cloud: it is a setting of clusters whose nodes "+
			"are created without iSCSI, and here nothing prepares the nodes")
	}
}

// checkLonghornNodes refuses more replicas than nodes.
func (c Config) checkLonghornNodes(count int, found *problems.List) {
	if c.Replicas > count {
		found.Add("storage.replicas", c.Replicas, fmt.Sprintf("at most cluster.nodes (%d): each replica needs a node of its own", count))
	}
}

// longhornShare is the percentage of a disk that Longhorn uses: it reserves 30 % of a disk shared with the system, and keeps 10 %
// of a dedicated one free (storage-reserved-percentage-for-default-disk, and longhorn_values.go).
func longhornShare(nodes traits.Storage) int {
	if nodes.DedicatedDisk {
		return 90
	}
	return 70
}

// maxText bounds texts that have no other limit: it is the longest path on Linux, and longer than any image reference.
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
	if image, valid := rules.ParseImage(c.NodePrepImage); !valid || !image.IsPinned() {
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
		if c.Version != DefaultVersion {
			found.AddSecret("storage.version", "a value",
				"nothing with a local chart: it is a setting of a chart from a repository, and this chart has its own version")
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

// refuseBeforeGoogle refuses a Longhorn that Google's buckets refuse: before these versions it signed what Google changes on the way, at
// first every request (longhorn#12676), then those that write the index of a large backup (longhorn#13573).
func (c Config) refuseBeforeGoogle(endpoint string, found *problems.List) {
	if !strings.Contains(endpoint, "storage.googleapis.com") || c.chartKind() == chartLocal {
		return
	}
	v, valid := parseVersion(c.Version)
	if !valid {
		return // Refused as a version.
	}
	if v.compare(version{1, 11, 4}) < 0 || v == (version{1, 12, 0}) {
		found.Add("storage.version", c.Version, "1.12.1 or later, or 1.11.4 or later of 1.11, with backups in Google's storage: with earlier ones it "+
			"refuses large backups or all (longhorn#13573)")
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
