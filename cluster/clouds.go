package cluster

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/live"
	"ha-iris/internal/problems"
	"ha-iris/internal/strict"
	"ha-iris/internal/survey"
	"ha-iris/internal/traits"
)

// Cloud is where the cluster comes from.
type Cloud string

// clouds is the table of every kind of cluster, in the order in which messages show them. Each is defined in the file named
// after it.
func clouds() []kind {
	table := []kind{aksKind(), eksKind(), gkeKind(), existingKind()}
	for i := range table {
		if one := &table[i]; one.cores != nil && one.defaults.RollTimeout == "" {
			one.defaults.RollTimeout = DefaultRollTimeout // It depends on the storage, not on the cloud.
		}
	}
	return table
}

// kind is one kind of cluster, with all that the rest of the package needs of it.
type kind struct {
	cloud Cloud
	// defaults fill what is not set.
	defaults Config
	// keys are those of Config, and its secret, that this kind accepts besides cloud, name and nodes. Others are refused.
	keys []string
	// notes are what users have to know of a key on this kind alone, by the key. The reference page shows them.
	notes map[string]string
	// own are the keys of the cloud's own namespace of the stack's configuration, each with the field that it fills.
	own map[string]func(*Config) *string
	// resolve completes the configuration from other sources, such as a kubeconfig file. Nil: there are none.
	resolve func(c *Config)
	// validate reports what is wrong for this kind.
	validate func(c Config, found *problems.List)
	// limits are what the kind takes at most.
	limits limits
	// cores returns how many cores a process on a node of an instance type sees, as far as the type's name tells; memoryPerCore
	// the most memory in GiB for each of them, or 0. Nil: the program does not create the nodes.
	cores         func(instanceType string) (cores int, known bool)
	memoryPerCore func(instanceType string) int
	// traits are what the storage and the database have to know.
	traits traits.Traits
	// backups says that provision makes a bucket for backups where Args.Backups asks for one.
	backups bool
	// preflight checks what needs a connection, before anything is registered. Nil: nothing to check.
	preflight func(c Config, ctx *pulumi.Context, cluster *live.Cluster) error
	// survey checks whether an existing cluster can run the stack. Nil: the program creates the cluster.
	survey func(c Config, ctx *pulumi.Context, cluster *live.Cluster, needs *survey.Needs) error
	// provision registers the cluster and ends in Cluster.connect.
	provision func(c *Cluster, ctx *pulumi.Context, name string, cfg Config) error
}

// kubeconfigKey is the secret's key.
const kubeconfigKey = "kubeconfig"

// createdKeys are the keys of every cluster that the program makes.
func createdKeys(more ...string) []string {
	return append([]string{"kubernetesVersion", "instanceType", "dataDiskGiB", "rollTimeout", "zones", "tags", "apiServerSourceRanges"}, more...)
}

// kind returns the configured kind of cluster; false if the value is not valid.
func (c Config) kind() (kind, bool) {
	for _, one := range clouds() {
		if one.cloud == c.Cloud {
			return one, true
		}
	}
	return kind{}, false
}

// creates reports whether the program makes the cluster and its nodes.
func (c Config) creates() bool {
	kind, known := c.kind()
	return known && kind.cores != nil
}

// MakesBackupStore reports whether a cluster of this kind can come with a bucket for backups.
func (c Config) MakesBackupStore() bool {
	kind, _ := c.kind()
	return kind.backups
}

// BackupClouds lists the kinds of cluster that can.
func BackupClouds() string {
	var names []Cloud
	for _, one := range clouds() {
		if one.backups {
			names = append(names, one.cloud)
		}
	}
	return joinClouds(names)
}

// Clouds lists the valid values of cluster.cloud, in the order in which messages show them.
func Clouds() []Cloud {
	var names []Cloud
	for _, one := range clouds() {
		names = append(names, one.cloud)
	}
	return names
}

func cloudNames() string { return joinClouds(Clouds()) }

func joinClouds(clouds []Cloud) string {
	names := make([]string, 0, len(clouds))
	for _, c := range clouds {
		names = append(names, string(c))
	}
	return strings.Join(names, ", ")
}

// Note is what is particular about a key on one kind of cluster.
type Note struct {
	Cloud Cloud
	// Text is a remark, Default the value where the key is not set; each may be empty.
	Text, Default string
}

// Notes lists the kinds of cluster that accept a key, in the order of the table, with what is particular there. Those of a key that
// every kind accepts (cloud, name, nodes) are only the kinds that have a remark. The reference page is written from it.
func Notes(key string) (notes []Note, everywhere bool) {
	everywhere = len(cloudsWith(key)) == 0
	for _, one := range clouds() {
		note := Note{Cloud: one.cloud, Text: one.notes[key]}
		for _, field := range strict.Fields(reflect.TypeFor[Config]()) {
			if value := reflect.ValueOf(one.defaults).FieldByName(field.Name); field.Key == key && isSet(value, reflect.Zero(value.Type())) {
				note.Default = fmt.Sprint(value)
			}
		}
		if slices.Contains(one.keys, key) || everywhere && note.Text != "" {
			notes = append(notes, note)
		}
	}
	return notes, everywhere
}

// cloudsWith returns the clouds that accept a key of Config.
func cloudsWith(key string) []Cloud {
	var names []Cloud
	for _, one := range clouds() {
		if slices.Contains(one.keys, key) {
			names = append(names, one.cloud)
		}
	}
	return names
}

// refuseForeign reports settings of another kind of cluster: they would silently have no effect. A key
// that no kind lists (cloud, name, nodes) is valid for every kind.
func (c Config) refuseForeign(found *problems.List) {
	values, unset := reflect.ValueOf(c), reflect.ValueOf(DefaultConfig())
	for _, field := range strict.Fields(values.Type()) {
		known := cloudsWith(field.Key)
		if len(known) > 0 && !slices.Contains(known, c.Cloud) && isSet(values.FieldByName(field.Name), unset.FieldByName(field.Name)) {
			found.AddSecret("cluster."+field.Key, "a value", fmt.Sprintf(
				"nothing with cloud %s: it is a setting of %s", c.Cloud, joinClouds(known)))
		}
	}
	if known := cloudsWith(kubeconfigKey); c.Kubeconfig.IsSet() && !slices.Contains(known, c.Cloud) {
		found.AddSecret(kubeconfigKey, "a value", fmt.Sprintf(
			"nothing with cloud %s: it is a setting of %s; run: pulumi config rm kubeconfig", c.Cloud, joinClouds(known)))
	}
}

// isSet reports whether a value differs from that of a stack that does not set it. An empty list or map counts as not set.
func isSet(value, unset reflect.Value) bool {
	if (value.Kind() == reflect.Slice || value.Kind() == reflect.Map) && value.Len() == 0 {
		return false
	}
	return !reflect.DeepEqual(value.Interface(), unset.Interface())
}

// VisibleCores returns how many cores a process on a node sees, as far as the instance type's name tells; false when it
// does not. IRIS's Community Edition refuses to start where it sees more than 20.
func (c Config) VisibleCores() (cores int, known bool) {
	if kind, _ := c.kind(); kind.cores != nil {
		return kind.cores(c.InstanceType)
	}
	return 0, false
}

// MemoryGiB returns the most memory that a node of the instance type can have, as far as the type's name tells; false when
// it does not. The known families have up to 2, 4 or 8 GiB per core; see memoryPerCore of each kind.
func (c Config) MemoryGiB() (gib int, known bool) {
	cores, known := c.VisibleCores()
	if !known {
		return 0, false
	}
	kind, _ := c.kind()
	perCore := kind.memoryPerCore(c.InstanceType)
	return cores * perCore, perCore > 0
}
