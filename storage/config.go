package storage

import (
	"maps"
	"reflect"
	"slices"

	"ha-iris/internal/problems"
	"ha-iris/internal/rules"
	"ha-iris/internal/secret"
	"ha-iris/internal/strict"
	"ha-iris/internal/survey"
	"ha-iris/internal/traits"
)

// Config is the object ha-iris:storage of the stack's configuration.
type Config struct {
	// Install installs Longhorn. False uses a StorageClass that the cluster already has; every other key of storage but
	// className is refused then. Default: true.
	Install bool `json:"install"`
	// ClassName is the StorageClass of the database volume: created when storage.install is true, required to exist otherwise.
	// Default: longhorn-iris.
	ClassName string `json:"className"`
	// Replicas is how many replicas of the data Longhorn keeps, each on another node. Default: 3.
	Replicas int `json:"replicas"`
	// Version is the version of Longhorn's chart, without "v". Refused beside a local chart. Default: 1.12.1.
	Version string `json:"version"`
	// Chart is where Longhorn's chart comes from: a Helm repository (https://...), an OCI reference (oci://...) or a
	// local directory or .tgz file. Default: Longhorn's official repository.
	Chart string `json:"chart"`
	// NodePrepImage is the image of the DaemonSet that makes iSCSI ready where the nodes are created without it; it needs sh
	// and nsenter. Refused on other clusters. Default: busybox at a fixed tag.
	NodePrepImage string `json:"nodePrepImage"`
	// Values are merged over the chart values that this program sets; they win.
	Values map[string]any `json:"values"`
	// SnapshotClasses makes VolumeSnapshotClasses, so that kubectl can take snapshots of the volume. A cluster that exists already needs
	// the CRDs and the snapshot-controller of external-snapshotter for that; with others
	// they come along. Default: false.
	SnapshotClasses bool `json:"snapshotClasses"`

	// Backup is where the volume is backed up to, and when.
	Backup Backup `json:"backup"`
	// BackupCredentials is the login for storage.backup.target: a JSON object with the keys that Longhorn's Secret has, such as
	// AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
	BackupCredentials secret.Value `json:"-" secret:"backupCredentials"`

	// Secret says that at least one value above was stored encrypted. Pulumi does not say which: the chart's values, its
	// origin and the image stay secret then, and no message shows a value.
	Secret bool `json:"-"`
}

// DefaultConfig returns the configuration of a stack that sets nothing.
func DefaultConfig() Config { return drivers[0].defaults() }

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
	if !rules.IsSubdomain(c.ClassName) {
		found.Add("storage.className", c.ClassName, "the name of a StorageClass: lower-case letters, digits, '-' and '.'")
	}
	if c.Install {
		c.driver().validate(c, &found)
		c.driver().validateBackup(c, &found)
	} else { // Any class name is valid, the default one too; the survey checks that the class exists.
		c.refuseUnused(&found)
	}
	return found.Err()
}

// ValidateOn is Validate with what depends on the cluster's nodes.
func (c Config) ValidateOn(nodes traits.Storage) error {
	var found problems.List
	found.Merge(c.Validate())
	if c.Install {
		c.driver().validateOn(c, nodes, &found)
	}
	if c.Secret {
		return problems.Hide(found.Err(), "storage")
	}
	return found.Err()
}

// CheckNodes returns what is wrong on a cluster of so many nodes, or nil.
func (c Config) CheckNodes(count int) error {
	if !c.Install {
		return nil
	}
	var found problems.List
	c.driver().checkNodes(c, count, &found)
	return found.Err()
}

// refuseUnused reports settings of the driver where none is installed: they would silently have no effect.
func (c Config) refuseUnused(found *problems.List) {
	if c.BackupCredentials.IsSet() {
		found.AddSecret("backupCredentials", "a value", "nothing with storage.install: false: backups are made by "+c.driver().name+
			", which is not installed then; run: pulumi config rm backupCredentials")
	}
	values, usual := reflect.ValueOf(c), reflect.ValueOf(DefaultConfig())
	for _, field := range strict.Fields(values.Type()) {
		if slices.Contains([]string{"install", "className"}, field.Key) {
			continue
		}
		if !isSame(values.FieldByName(field.Name), usual.FieldByName(field.Name)) {
			found.AddSecret("storage."+field.Key, "a value",
				"nothing with storage.install: false: it is a setting of "+c.driver().name+", which is not installed then")
		}
	}
}

// isSame compares two values of a key; an empty map is as good as none.
func isSame(value, usual reflect.Value) bool {
	if value.Kind() == reflect.Map && value.Len() == 0 && usual.Len() == 0 {
		return true
	}
	return reflect.DeepEqual(value.Interface(), usual.Interface())
}

// validateSecret refuses a secret value where it could not be kept secret.
func (c Config) validateSecret(found *problems.List) {
	const remove = "find its line \"secure:\" in the stack's file, and run: pulumi config rm --path storage.KEY"
	usual := DefaultConfig().ClassName
	switch {
	case !c.Secret:
	case !c.Install:
		found.AddSecret("storage", "a secret value", "none, because storage.install is false and nothing is installed with it; "+remove)
	case c.ClassName != usual:
		found.AddSecret("storage.className", "a name while a value of storage is secret", usual+": which value is "+
			"secret the program cannot see, and the name of an object is none; or no secret in storage, "+
			"such as the name of a Secret of yours in the chart's values; "+remove)
	}
}

// RestoreAsks are the rights that the generations of the database's volume take beside Needs.
func (c Config) RestoreAsks(generations Generations) []survey.Right {
	if !c.Install {
		return nil
	}
	return c.driver().restoreAsks(generations)
}

// Needs is what this storage asks of a cluster that exists already.
func (c Config) Needs(nodes traits.Storage) survey.Storage {
	if !c.Install {
		return survey.Storage{ClassName: c.ClassName}
	}
	needs := c.driver().needs(c, nodes)
	needs.Install, needs.ClassName, needs.Driver = true, c.ClassName, c.driver().name
	return needs
}

// DriverName is the driver's name in messages.
func (c Config) DriverName() string { return c.driver().name }

// Namespace is the namespace that the driver is installed in; empty when none is installed.
func (c Config) Namespace() string {
	if !c.Install {
		return ""
	}
	return c.driver().part.Namespace
}

// NodeLabels are the labels of every node that is created for this storage. They are the same when nothing is installed, so that
// storage.install does not change the nodes.
func (c Config) NodeLabels() map[string]string { return maps.Clone(c.driver().nodeLabels) }

// UsablePercent is how much of a node's disk the replicas of volumes may take; 0 if that is not known.
func (c Config) UsablePercent(nodes traits.Storage) int {
	if !c.Install {
		return 0
	}
	return c.driver().usablePercent(nodes)
}

// TooLarge returns the smallest size in bytes that is too large for a volume, and what is valid instead; 0 if there is no limit.
func (c Config) TooLarge() (size int64, want string) {
	if !c.Install {
		return 0, ""
	}
	return c.driver().tooLarge, c.driver().wantSmaller
}
