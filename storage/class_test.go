package storage_test

import (
	"fmt"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

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
