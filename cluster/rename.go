package cluster

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/guard"
)

// guardName returns the component's option that refuses a change of the cluster's name. The usual cause is a renamed
// stack, because the default name contains the stack's name.
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
