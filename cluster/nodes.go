package cluster

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/guard"
)

// runbookFewerNodes is where the way to fewer nodes is written down.
const runbookFewerNodes = `docs/operations.md, "Fewer nodes"`

// guardNodes returns the option of the resource that holds the number of nodes: it refuses to take away so many at once that
// every copy of the volume may be on them. count finds the number in the resource's inputs, as the cloud counts, and check judges
// the change. What is compared is what the stack has recorded; what somebody changed by hand, a refresh records.
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

// oneNodeLess judges the number of nodes of the whole cluster.
func oneNodeLess(before, after int) error {
	if after >= before-1 {
		return nil
	}
	return fmt.Errorf("cluster.nodes: got %d, want at least %d, one less than now: nodes that go at once may take all copies "+
		"of the data with them; lower it one by one, with every volume healthy in between (%s)", after, before-1, runbookFewerNodes)
}
