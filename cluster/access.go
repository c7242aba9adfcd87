package cluster

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// warnOpen says, in every preview and up, that the API server of a cluster that the program creates is open to the internet. A
// warning and no error: whoever begins does not know yet from where pulumi will run.
func (c Config) warnOpen(ctx *pulumi.Context) error {
	if !c.creates() || len(c.APIServerSourceRanges) > 0 {
		return nil
	}
	return warn(ctx, "cluster.apiServerSourceRanges: not set, so the whole internet reaches the API server, and credentials alone keep it "+
		"out. To admit your networks only, the address of this machine among them: pulumi config set --path "+
		"'cluster.apiServerSourceRanges[0]' 203.0.113.0/24", nil)
}
