package storage_test

import (
	"strings"
	"testing"

	"ha-iris/internal/secret"
	"ha-iris/internal/testkit"
	"ha-iris/internal/traits"
	"ha-iris/storage"
)

func TestScratch_IsInstalledInPlaceOfLonghorn(t *testing.T) {
	t.Parallel()
	cfg := storage.DefaultConfig()
	cfg.Driver = "Scratch"
	recorder := run(t, storage.Args{Config: cfg, Traits: dedicated(), Protect: true}, false)
	testkit.Golden(t, "resources-scratch.golden", recorder.Golden())
	if !recorder.One(t, releaseType, "scratch").RegisterRPC.GetProtect() {
		t.Error("the engine would remove what the data lies on")
	}
	class := recorder.One(t, "kubernetes:storage.k8s.io/v1:StorageClass", storage.DefaultClassName)
	if got := class.Inputs["reclaimPolicy"].StringValue(); got != "Retain" {
		t.Errorf("reclaimPolicy %q: deleting the claim would delete the data", got)
	}
	if !dependsOn(class, releaseType) {
		t.Error("the class must wait for the release that brings its driver")
	}
}

// Whatever the rest of the program asks, the driver that was chosen answers.
func TestScratch_AnswersForItself(t *testing.T) {
	t.Parallel()
	cfg := storage.DefaultConfig()
	cfg.Driver = "Scratch"
	size, want := cfg.TooLarge()
	if size != 1<<40 || want == "" || cfg.UsablePercent(traits.Storage{}) != 50 || cfg.DriverName() != "Scratch" ||
		cfg.NodeLabels()["scratch.example.com/disk"] != "yes" || cfg.Needs(traits.Storage{}).Namespace != "kube-system" {
		t.Errorf("got %d, %q, %v", size, want, cfg.NodeLabels())
	}
	cfg.Backup.Target, cfg.BackupCredentials = "nfs://nas:/backups", secret.New("{}")
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "storage.backup: got a value, want nothing") ||
		!strings.Contains(err.Error(), "backupCredentials: got a value, want nothing") {
		t.Errorf("backups: got %v", err)
	}
	cfg.ClassName = "scratch"
	if cfg.Validate() == nil {
		t.Error("not its own validation")
	}
}

func TestScratch_IsTheOnlyOtherDriver(t *testing.T) {
	t.Parallel()
	cfg := storage.DefaultConfig()
	for driver, valid := range map[string]bool{"Longhorn": true, "Scratch": true, "other": false, "": true} {
		cfg.Driver = driver
		if err := cfg.Validate(); (err == nil) != valid {
			t.Errorf("%q: got %v", driver, err)
		}
	}
}
