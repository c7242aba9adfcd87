package storage_test

import (
	"testing"

	"ha-iris/internal/testkit"
	"ha-iris/storage"
)

func TestScratch_IsInstalledInPlaceOfLonghorn(t *testing.T) {
	t.Parallel()
	cfg := storage.DefaultConfig()
	cfg.Driver = "scratch"
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

func TestScratch_IsTheOnlyOtherDriver(t *testing.T) {
	t.Parallel()
	cfg := storage.DefaultConfig()
	for driver, valid := range map[string]bool{"longhorn": true, "scratch": true, "other": false, "": false} {
		cfg.Driver = driver
		if err := cfg.Validate(); (err == nil) != valid {
			t.Errorf("%q: got %v", driver, err)
		}
	}
}
