package cluster

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/guard"
)

// runbookFewerNodes is the procedure for reducing the number of nodes.
const runbookFewerNodes = `docs/operations.md, "Fewer nodes"`

// guardNodes returns the option of the resource that holds the number of nodes: it refuses to remove so many at once that
// every replica of a volume may be on them. count reads the number from the resource's inputs (per zone where the cloud counts so), and check
// accepts or refuses the change. The number before is the one in the state; a refresh updates it after a manual change.
func (s scope) guardNodes(
	count func(guard.Inputs) (float64, bool), check func(before, after int) error,
) (pulumi.ResourceOption, error) {
	return guard.BeforeUpdate(s.ctx, s.name("guard-nodes"), func(before, after guard.Inputs) error {
		recorded, known := count(before)
		wanted, given := count(after)
		if !known || !given {
			return nil
		}
		return check(int(recorded), int(wanted))
	})
}

// oneNodeLess is the check for clouds that count the nodes of the whole cluster: at most one may be removed.
func oneNodeLess(before, after int) error {
	if after >= before-1 {
		return nil
	}
	return fmt.Errorf("cluster.nodes: got %d, want at least %d, one less than now: nodes that go at once may take all replicas "+
		"of the data with them; lower it one by one, with every volume healthy in between (%s)", after, before-1, runbookFewerNodes)
}
