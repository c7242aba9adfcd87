package storage_test

import (
	"strings"
	"testing"

	"ha-iris/internal/testkit"
	"ha-iris/storage"
)

const snapshotClassType = "kubernetes:snapshot.storage.k8s.io/v1:VolumeSnapshotClass"

func withSnapshots(change func(*storage.Config)) storage.Config {
	cfg := storage.DefaultConfig()
	cfg.SnapshotClasses = true
	if change != nil {
		change(&cfg)
	}
	return cfg
}

func TestSnapshots_HaveAClassForEachKindThatCanBeTaken(t *testing.T) {
	t.Parallel()
	const snap, bak = "driver.longhorn.io snap Delete", "driver.longhorn.io bak Retain"
	for name, test := range map[string]struct {
		cfg  storage.Config
		want map[string]string
	}{
		"not asked for": {storage.DefaultConfig(), nil},
		"no target":     {withSnapshots(nil), map[string]string{"longhorn-iris-snapshot": snap}},
		"a target": {
			withSnapshots(func(c *storage.Config) { c.Backup.Target = "nfs://nas.example.com:/backups" }),
			map[string]string{"longhorn-iris-snapshot": snap, "longhorn-iris-backup": bak},
		},
		"another class":    {withSnapshots(func(c *storage.Config) { c.ClassName = "db" }), map[string]string{"db-snapshot": snap}},
		"a target, unused": {backedUp("nfs://nas.example.com:/backups", ""), nil},
	} {
		made := run(t, storage.Args{Config: test.cfg, Traits: dedicated(), Protect: true}, false).Find(snapshotClassType)
		if len(made) != len(test.want) {
			t.Errorf("%s: %d classes, want %d", name, len(made), len(test.want))
		}
		for _, class := range made {
			leaves := testkit.Leaves(class.Inputs)
			got := leaves[".driver"].Text + " " + leaves[".parameters.type"].Text + " " + leaves[".deletionPolicy"].Text
			if got != test.want[leaves[".metadata.name"].Text] {
				t.Errorf("%s: %s is %q", name, leaves[".metadata.name"].Text, got)
			}
			if !dependsOn(class, releaseType) {
				t.Errorf("%s: it does not wait for the release, which brings its driver", name)
			}
			for path := range leaves {
				if strings.Contains(path, "is-default-class") {
					t.Errorf("%s: %s is the cluster's default", name, leaves[".metadata.name"].Text)
				}
			}
		}
	}
}

func TestSnapshots_AreRefusedWhereTheyCannotBe(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*storage.Config)
		want   string
	}{
		"not installed": {func(c *storage.Config) { c.Install = false }, "storage.snapshotClasses: got a value, want nothing with storage.install: false"},
		"long name": {
			func(c *storage.Config) { c.ClassName = strings.Repeat("a", 245) }, "want at most 244 characters with storage.snapshotClasses",
		},
		"longest name": {func(c *storage.Config) { c.ClassName = strings.Repeat("a", 244) }, ""},
		"no name":      {func(c *storage.Config) { c.ClassName = "A" }, "storage.className: got \"A\", want the name of a StorageClass"},
	} {
		err := withSnapshots(test.change).Validate()
		if (err != nil) != (test.want != "") || err != nil && (!strings.Contains(err.Error(), test.want) || strings.Count(err.Error(), ": got ") != 1) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
}
