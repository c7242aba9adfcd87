package program

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	pulumiconfig "github.com/pulumi/pulumi/sdk/v3/go/pulumi/config"

	"ha-iris/cluster"
	"ha-iris/internal/problems"
	"ha-iris/internal/secret"
	"ha-iris/internal/survey"
	"ha-iris/iris"
	"ha-iris/storage"
)

// Config is the stack's whole configuration, decoded, with defaults.
type Config struct {
	Cluster cluster.Config
	Storage storage.Config
	IRIS    iris.Config
}

// secretKeys are the top-level keys that must be stored encrypted, with the field that each fills: those of the sections' fields
// that have the tag secret.Tag.
func (c *Config) secretKeys() map[string]*secret.Value {
	keys := map[string]*secret.Value{}
	for _, section := range c.sections() {
		maps.Copy(keys, secret.Fields(section))
	}
	return keys
}

// sections are the objects of the configuration, with the struct that each fills.
func (c *Config) sections() map[string]any {
	return map[string]any{"cluster": &c.Cluster, "storage": &c.Storage, "iris": &c.IRIS, "failover": &c.IRIS.Failover}
}

func defaultConfig() Config {
	return Config{Cluster: cluster.DefaultConfig(), Storage: storage.DefaultConfig(), IRIS: iris.DefaultConfig()}
}

// loadConfig reads, decodes and validates the stack's configuration. Its error lists every mistake; nothing has been
// registered when it returns.
func loadConfig(ctx *pulumi.Context) (Config, error) {
	cfg := defaultConfig()
	var found problems.List
	found.Merge(checkTopLevelKeys(ctx.Project(), os.Getenv(pulumi.EnvConfig), &cfg))
	values := pulumiconfig.New(ctx, "")
	refused := []string{}
	for _, name := range sortedKeys(cfg.sections()) {
		isRefused, err := cfg.loadSection(ctx, name)
		found.Merge(err)
		if isRefused {
			refused = append(refused, name)
		}
	}
	for _, name := range sortedKeys(cfg.secretKeys()) {
		found.Merge(decodeSecret(ctx, values, name, cfg.secretKeys()[name]))
	}
	if cfg.Cluster.Name == "" {
		cfg.Cluster.Name = ctx.Project() + "-" + ctx.Stack()
	}
	cfg.IRIS.LonghornNamespace = cfg.Storage.Namespace()
	consistent, wanted := cfg.Storage.Consistent()
	cfg.IRIS.Backups = iris.Backups{Wanted: wanted, Cron: consistent.Cron, Retain: consistent.Retain, Secret: cfg.Storage.Secret}
	verify, verified := cfg.Storage.Verify()
	cfg.IRIS.Verifications = iris.Verifications{Wanted: verified, Cron: verify.Cron, Interval: verify.Interval(), Secret: cfg.Storage.Secret}
	cfg.IRIS.BackupInterval, cfg.IRIS.BackupIntervalSecret = cfg.Storage.Backup.Interval(), cfg.Storage.Secret
	cfg.Cluster = cfg.Cluster.Resolve(func(key string) string { return pulumiconfig.Get(ctx, key) })
	// A key that could not be decoded keeps its default, so it is not reported a second time here.
	found.Merge(cfg.validateWithout(refused))
	return cfg, summarize(found.All())
}

// Validate returns every problem of the configuration, those between its parts included, or nil.
func (c Config) Validate() error {
	var found problems.List
	found.Merge(c.Cluster.Validate())
	found.Merge(c.validateStorage())
	found.Merge(c.validateIRIS())
	found.Merge(c.Storage.CheckNodes(max(c.Cluster.Nodes, cluster.MinNodes))) // Fewer nodes are reported already.
	if c.IRIS.Namespace != "" && c.IRIS.Namespace == c.Storage.Namespace() {
		found.Add("iris.namespace", c.IRIS.Namespace, "another one: "+c.Storage.DriverName()+" is installed in it, and the database's "+
			"network policies would cut it off")
	}
	c.validateBackupStore(&found)
	found.Merge(c.Storage.CheckRestore("iris.restoreFrom.backup", c.IRIS.RestoreFrom.Backup))
	c.validateDisk(&found)
	c.validateCores(&found)
	c.validateMachine(&found)
	c.validateVolume(&found)
	if c.Storage.Secret {
		return problems.Hide(found.Err(), "storage")
	}
	return found.Err()
}

// validateWithout is Validate without the sections that were refused, whose values must not be shown, and without the rules
// between sections.
func (c Config) validateWithout(refused []string) error {
	if len(refused) == 0 {
		return c.Validate()
	}
	var found problems.List
	checks := map[string]func() error{"cluster": c.Cluster.Validate, "iris": c.validateIRIS, "storage": c.Storage.Validate}
	for _, name := range sortedKeys(checks) {
		// The database's rules depend on the cluster's platform.
		if !slices.Contains(refused, name) && (name != "iris" || !slices.Contains(refused, "cluster")) {
			found.Merge(checks[name]())
		}
	}
	return found.Err()
}

// validateStorage includes the rules that depend on the nodes, if cluster.cloud is valid.
func (c Config) validateStorage() error {
	if !slices.Contains(cluster.Clouds(), c.Cluster.Cloud) {
		return c.Storage.Validate()
	}
	return c.Storage.ValidateOn(c.Cluster.Traits().Storage)
}

// validateIRIS includes the rules that depend on the platform, if cluster.cloud is valid.
func (c Config) validateIRIS() error {
	if !slices.Contains(cluster.Clouds(), c.Cluster.Cloud) {
		return c.IRIS.Validate()
	}
	return c.IRIS.ValidateOn(c.Cluster.Traits().Service)
}

// validateBackupStore refuses a bucket where there is no cloud to make it on.
func (c Config) validateBackupStore(found *problems.List) {
	if c.Storage.Backup.Managed && slices.Contains(cluster.Clouds(), c.Cluster.Cloud) && !c.Cluster.MakesBackupStore() {
		found.Add("storage.backup.managed", true, fmt.Sprintf("false with cluster.cloud %s: buckets are made with the clusters of %s; make "+
			"one yourself and set storage.backup.target", c.Cluster.Cloud, cluster.BackupClouds()))
	}
}

// validateDisk checks that a node's disk has room for a replica of the volume.
func (c Config) validateDisk(found *problems.List) {
	disk, known := c.Cluster.DataDisk()
	volume, err := c.IRIS.VolumeBytes()
	percent := int64(c.Storage.UsablePercent(c.Cluster.Traits().Storage))
	if !known || err != nil || percent == 0 { // A size that cannot be read is reported by its own package.
		return
	}
	const gib = 1 << 30
	if usable := int64(disk) * gib * percent / 100; volume > usable {
		found.Add("cluster.dataDiskGiB", disk, fmt.Sprintf("at least %d: each node holds a whole replica of iris.size (%s), and "+
			"%s uses %d %% of the disk", (volume*100/percent+gib-1)/gib, c.IRIS.Size, c.Storage.DriverName(), percent))
	}
}

// validateVolume refuses what the storage cannot keep.
func (c Config) validateVolume(found *problems.List) {
	tooLarge, want := c.Storage.TooLarge()
	if volume, err := c.IRIS.VolumeBytes(); err == nil && tooLarge > 0 && volume >= tooLarge {
		found.Add("iris.size", c.IRIS.Size, want)
	}
}

// validateMachine refuses a database that fits no node, as far as the machine's name tells its size.
func (c Config) validateMachine(found *problems.List) {
	cores, _ := c.Cluster.VisibleCores()
	memory, _ := c.Cluster.MemoryGiB()
	const gib = 1 << 30
	found.Merge(c.IRIS.CheckMachine(c.Cluster.InstanceType, cores, int64(memory)*gib))
}

// validateCores refuses machines on which the Community edition does not start.
func (c Config) validateCores(found *problems.List) {
	cores, known := c.Cluster.VisibleCores()
	if most := c.IRIS.MaxCores(); known && most > 0 && cores > most {
		found.Add("cluster.instanceType", c.Cluster.InstanceType, fmt.Sprintf("a machine with at most %d cores instead of %d, or "+
			"iris.edition licensed: the Community edition does not start on more", most, cores))
	}
}

// needs is what an existing cluster is surveyed for.
func (c Config) needs() *survey.Needs {
	needs := &survey.Needs{Storage: c.Storage.Needs(c.Cluster.Traits().Storage), Database: c.IRIS.Needs()}
	if c.IRIS.Watched() && needs.Storage.Install {
		needs.Storage.Applied = append(needs.Storage.Applied, "servicemonitors.monitoring.coreos.com")
	}
	needs.Storage.Asks = c.Storage.RestoreAsks(c.generations())
	return needs
}

// generations are the database's volumes, as the storage knows them.
func (c Config) generations() storage.Generations {
	return storage.Generations{
		Oldest: c.IRIS.OldestGeneration, Newest: c.IRIS.Generation, Namespace: c.IRIS.Namespace, Size: c.IRIS.Size,
		Backup: c.IRIS.RestoreFrom.Backup, Snapshot: c.IRIS.RestoreFrom.Snapshot,
	}
}

func decodeSecret(ctx *pulumi.Context, values *pulumiconfig.Config, name string, target *secret.Value) error {
	plaintext, err := values.Try(name)
	if errors.Is(err, pulumiconfig.ErrMissingVar) || plaintext == "" {
		return nil // The package that uses it checks whether it may be missing.
	}
	if err != nil {
		return fmt.Errorf("%s: read: %w", name, err)
	}
	*target = secret.New(plaintext)
	if !ctx.IsConfigSecret(ctx.Project() + ":" + name) {
		var found problems.List
		found.AddSecret(name, "a value in clear text", "a secret; change it, because it may have been read, and run: "+
			"pulumi config set --secret "+name)
		return found.Err()
	}
	return nil
}

// summarize puts the problems one on a line under a heading that says how many there are and that nothing happened.
func summarize(found []error) error {
	if len(found) == 0 {
		return nil
	}
	lines := make([]string, 0, len(found))
	for _, problem := range found {
		lines = append(lines, "  - "+problem.Error())
	}
	noun := "problem"
	if len(lines) > 1 {
		noun = "problems"
	}
	return fmt.Errorf("the configuration has %d %s; nothing was changed:\n%s", len(lines), noun, strings.Join(lines, "\n"))
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
