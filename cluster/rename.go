package cluster

import (
	"errors"
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/guard"
)

// poolsPerZone is what the component records of clusters whose zones have a pool of nodes each.
const poolsPerZone = "one in each zone"

// guardComponent returns the component's option that refuses what would replace all nodes at once: a change of the cluster's name,
// whose usual cause is a renamed stack, because the default name contains the stack's name; and the nodes of a release that had
// one pool for all zones.
func guardComponent(ctx *pulumi.Context, name string, protect bool) (pulumi.ResourceOption, error) {
	return guard.BeforeUpdate(ctx, name+"-guard-name", func(before, after guard.Inputs) error {
		if err := checkNameChange(before.Text("name"), after.Text("name"), protect); err != nil {
			return err
		}
		return checkPools(before, after, protect)
	})
}

func checkPools(before, after guard.Inputs, protect bool) error {
	if !protect || before.None() || after.Text("pools") == "" || before.Text("pools") == after.Text("pools") {
		return nil
	}
	return errors.New("the cluster was made by a release with one pool of nodes for all zones. This one has a pool in each zone, and " +
		"would take the old nodes with all replicas on them away at once. Stay with the release that made it; " + guard.MoveData)
}

func checkNameChange(before, after string, protect bool) error {
	if !protect || before == "" || after == "" || before == after {
		return nil
	}
	return fmt.Errorf("cluster.name: got %q, want %q, as the cluster is called: with another name the cluster and everything on it "+
		"would be replaced. After pulumi stack rename, or to undo a change, run: pulumi config set --path cluster.name %s; to give the "+
		"data up, set iris.protectData to false first", after, before, before)
}
