package cluster

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/guard"
)

// runbookFewerNodes is where the way to fewer nodes is written down.
const runbookFewerNodes = `docs/operations.md, "Fewer nodes"`

// guardNodes returns the option of the resource that holds the number of nodes: it refuses to take away so many at once that
// every copy of the volume may be on them. count finds the number in the resource's inputs. What is compared is what the
// stack has recorded; what somebody changed by hand, a refresh records.
func (s scope) guardNodes(count func(guard.Inputs) (float64, bool)) (pulumi.ResourceOption, error) {
	return guard.BeforeUpdate(s.ctx, s.name("guard-nodes"), func(before, after guard.Inputs) error {
		recorded, known := count(before)
		wanted, given := count(after)
		if !known || !given {
			return nil
		}
		return checkFewerNodes(s.cfg.Cloud, int(recorded), int(wanted))
	})
}

// checkFewerNodes compares the numbers as the cloud counts: GKE in each zone, the others all together.
func checkFewerNodes(cloud Cloud, before, after int) error {
	switch {
	case cloud == GKE && after < before:
		return fmt.Errorf("cluster.nodes: got %d, want at least %d, as the cluster has it: GKE would take one node in each zone "+
			"at once, whichever it likes, and all copies of the data may be on them; take the nodes out yourself first (%s), then "+
			"run: pulumi up --refresh", after*zoneCount, before*zoneCount, runbookFewerNodes)
	case cloud != GKE && after < before-1:
		return fmt.Errorf("cluster.nodes: got %d, want at least %d, one less than now: nodes that go at once may take all copies "+
			"of the data with them; lower it one by one, with every volume healthy in between (%s)", after, before-1, runbookFewerNodes)
	default:
		return nil
	}
}
