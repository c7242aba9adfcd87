package cluster

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/guard"
)

// guardName returns the component's option that refuses another name for the cluster. Most of all it meets those who rename
// their stack: the default name has the stack's in it.
func guardName(ctx *pulumi.Context, name string, protect bool) (pulumi.ResourceOption, error) {
	return guard.BeforeUpdate(ctx, name+"-guard-name", func(before, after guard.Inputs) error {
		return checkNameChange(before.Text("name"), after.Text("name"), protect)
	})
}

func checkNameChange(before, after string, protect bool) error {
	if !protect || before == "" || after == "" || before == after {
		return nil
	}
	return fmt.Errorf("cluster.name: got %q, want %q, as the cluster is called: with another name the cluster and everything on it "+
		"would be replaced. After pulumi stack rename, or to undo a change, run: pulumi config set --path cluster.name %s; to give the "+
		"data up, set iris.protectData to false first", after, before, before)
}
