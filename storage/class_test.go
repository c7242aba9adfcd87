package storage_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"ha-iris/internal/testkit"
	"ha-iris/storage"
)

// A volume has as many replicas as its class says. Longhorn's default setting counts only for volumes without a class.
func TestClass_HasAsManyCopiesAsConfigured(t *testing.T) {
	t.Parallel()
	for _, replicas := range []int{2, 3, 5} {
		cfg := storage.DefaultConfig()
		cfg.Replicas = replicas
		class := run(t, storage.Args{Config: cfg, Traits: dedicated()}, false).
			One(t, "kubernetes:storage.k8s.io/v1:StorageClass", storage.DefaultClassName).Inputs
		parameters := class["parameters"].ObjectValue()
		for parameter, want := range map[resource.PropertyKey]string{
			"numberOfReplicas": fmt.Sprint(replicas), "dataLocality": "best-effort", "fsType": "ext4", "staleReplicaTimeout": "2880",
		} {
			if got := parameters[parameter]; !got.IsString() || got.StringValue() != want {
				t.Errorf("%d replicas: %s is %v, want %q", replicas, parameter, got, want)
			}
		}
		if grows := class["allowVolumeExpansion"]; !grows.IsBool() || !grows.BoolValue() {
			t.Error("the volume could not grow")
		}
	}
}

const (
	classType  = "kubernetes:storage.k8s.io/v1:StorageClass"
	testBackup = "s3://acme-backups@eu-west-1/iris/?backup=backup-1&volume=pvc-1"
)

// Each generation after the first has a class of its own, which stays as it was made. The first one is not touched by a restore.
func TestClass_OfALaterGeneration(t *testing.T) {
	t.Parallel()
	of := func(generations storage.Generations) *testkit.Recorder {
		return run(t, storage.Args{Config: storage.DefaultConfig(), Traits: dedicated(), Generations: generations}, false)
	}
	plain := of(storage.Generations{})
	second := of(storage.Generations{Oldest: 1, Newest: 2, Backup: testBackup})
	for _, one := range plain.Registrations() {
		if same := second.One(t, one.TypeToken, one.Name); !same.Inputs.DeepEquals(one.Inputs) {
			t.Errorf("%s changes with a restore", one.URN)
		}
	}
	if added := len(second.Registrations()) - len(plain.Registrations()); added != 1 {
		t.Fatalf("a restore adds %d resources", added)
	}
	first, class := second.One(t, classType, "longhorn-iris"), second.One(t, classType, "longhorn-iris-2")
	for _, key := range []resource.PropertyKey{"provisioner", "reclaimPolicy", "allowVolumeExpansion", "volumeBindingMode"} {
		if !class.Inputs[key].DeepEquals(first.Inputs[key]) {
			t.Errorf("%s is %v", key, class.Inputs[key])
		}
	}
	parameters := class.Inputs["parameters"].ObjectValue().Copy()
	if got := parameters["fromBackup"]; !got.IsString() || got.StringValue() != testBackup {
		t.Errorf("it is filled from %v", got)
	}
	delete(parameters, "fromBackup")
	if !parameters.DeepEquals(first.Inputs["parameters"].ObjectValue()) {
		t.Errorf("its parameters are %v", parameters)
	}
	if ignored := class.RegisterRPC.GetIgnoreChanges(); !slices.Equal(ignored, []string{"parameters"}) || !dependsOn(class, classType) {
		t.Errorf("it ignores changes of %v", ignored)
	}
	if hooks := class.RegisterRPC.GetHooks().GetBeforeCreate(); !slices.Contains(hooks, "storage-guard-restore") {
		t.Errorf("nothing looks at the backup before the class is made: %v", hooks)
	}
	third := of(storage.Generations{Oldest: 2, Newest: 3})
	if third.One(t, classType, "longhorn-iris-2").Inputs["parameters"].ObjectValue()["fromBackup"].IsString() || len(third.Find(classType)) != 3 {
		t.Error("a class of an older generation has the source of the newest")
	}
}

// The volume of a clone has the class of the configuration, which stays the claim's when the source is taken out.
func TestClass_OfAClone(t *testing.T) {
	t.Parallel()
	recorder := run(t, storage.Args{
		Config: storage.DefaultConfig(), Traits: dedicated(), Generations: storage.Generations{Oldest: 1, Newest: 1, Backup: testBackup},
	}, false)
	class := recorder.One(t, classType, "longhorn-iris")
	if got := class.Inputs["parameters"].ObjectValue()["fromBackup"]; !got.IsString() || got.StringValue() != testBackup || len(recorder.Find(classType)) != 1 {
		t.Errorf("it is filled from %v", got)
	}
	values := recorder.One(t, releaseType, "longhorn").Inputs["values"]
	if !strings.Contains(fmt.Sprint(values), "backup-1") {
		t.Error("the release does not change with the class: a preview would try the new class beside the old one")
	}
}
