package cluster

import (
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/testkit"
)

// What takes VolumeSnapshots comes with the cluster on two clouds, and is an add-on on the third.
func TestSnapshots_BringTheAddonThatTakesThem(t *testing.T) {
	t.Parallel()
	const addon = "ha-iris-test-snapshot-controller"
	for _, cloud := range []Cloud{AKS, EKS, GKE} {
		var registered [2]int
		for i, wanted := range []bool{false, true} {
			recorder := &testkit.Recorder{Invoke: invoke, Outputs: computed}
			err := recorder.Run(func(ctx *pulumi.Context) error {
				_, err := New(ctx, "cluster", &Args{Config: valid(cloud), Snapshots: wanted, Protect: true})
				return err
			}, testkit.Options{})
			if err != nil {
				t.Fatal(err)
			}
			registered[i] = len(recorder.Registrations())
			if cloud != EKS || !wanted {
				continue
			}
			// A pod that has nowhere to run leaves an add-on degraded, and one that is deleted must not take its kinds with it, and with them
			// every snapshot.
			made := recorder.One(t, addonType, addon)
			assertAfter(t, made, "NodeGroup::ha-iris-test-nodes-3")
			leaves := testkit.Leaves(made.Inputs)
			if leaves[".addonName"].Text != "snapshot-controller" || leaves[".preserve"].Text != "true" {
				t.Errorf("the add-on is %v", leaves)
			}
			assertAfter(t, recorder.One(t, kubernetesType, "cluster"), "Addon::"+addon)
		}
		want := 0
		if cloud == EKS {
			want = 1
		}
		if got := registered[1] - registered[0]; got != want {
			t.Errorf("%s: %d resources more, want %d", cloud, got, want)
		}
	}
}
