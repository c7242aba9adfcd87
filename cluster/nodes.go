package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/guard"
	"ha-iris/internal/problems"
)

// runbookFewerNodes is the procedure for reducing the number of nodes.
const runbookFewerNodes = `docs/operations.md, "Fewer nodes"`

// checkNodes accepts numbers that three pools of the same size can have.
func (c Config) checkNodes(found *problems.List) {
	if c.Nodes >= MinNodes && c.Nodes%zoneCount != 0 {
		found.Add("cluster.nodes", c.Nodes, fmt.Sprintf("a multiple of %d: each of the %d zones has a pool of its own, all of the "+
			"same size", zoneCount, zoneCount))
	}
}

// perZone is how many nodes each zone's pool has.
func (s scope) perZone() int { return s.cfg.Nodes / zoneCount }

// pool is one zone's pool of nodes, as its guard has to know it. Each zone has a pool of its own because clouds treat the nodes of
// one pool alike: one of them cordons all old nodes of a pool before it drains the first, and then no replica of a pool over all
// zones is on a node that may stay.
type pool struct {
	// number is 1 to 3; zone what messages call it.
	number int
	zone   string
	// count reads the number of nodes from the pool's inputs.
	count func(guard.Inputs) (float64, bool)
	// replacing lists the inputs whose change makes the cloud replace or reimage the pool's nodes; before has no inputs when the
	// pool is created.
	replacing func(before, after guard.Inputs) []string
	// prepare runs before the wait for healthy volumes, for what is left of the zones before. Nil: nothing.
	prepare func(ctx context.Context) error
}

// poolName is the logical name of a zone's pool.
func (s scope) poolName(number int) string { return s.name(fmt.Sprintf("nodes-%d", number)) }

// guardPool returns the option of a zone's pool that refuses to remove more than one node at once, and makes a change that takes
// nodes away wait until all volumes are healthy. The number before is the one in the state; a refresh updates it after a manual
// change.
func (s scope) guardPool(p pool) (pulumi.ResourceOption, error) {
	return guard.BeforeWrite(s.ctx, s.poolName(p.number)+"-guard", func(before, after guard.Inputs) error {
		removed, err := p.removed(before, after)
		if err != nil {
			return err
		}
		changed := p.replacing(before, after)
		if removed {
			changed = append(changed, "one node less")
		}
		if len(changed) == 0 {
			return nil
		}
		return s.component.roller.replace(s.ctx.Context(), p, changed)
	})
}

// removed reports whether a node is removed, and refuses more than one.
func (p pool) removed(before, after guard.Inputs) (bool, error) {
	recorded, known := p.count(before)
	wanted, given := p.count(after)
	if !known || !given {
		return false, nil
	}
	return wanted < recorded, oneNodeLess(int(recorded), int(wanted))
}

// oneNodeLess refuses to remove more than one node of a zone at once.
func oneNodeLess(before, after int) error {
	if after >= before-1 {
		return nil
	}
	return fmt.Errorf("cluster.nodes: got %d, want at least %d, one less in each zone than now: the cloud removes whichever nodes it "+
		"likes, and more than one at once may take several replicas with them; go down in steps of %d, with every volume healthy in "+
		"between (%s)", after*zoneCount, (before-1)*zoneCount, zoneCount, runbookFewerNodes)
}

// replace is called before a zone's nodes are replaced. In a preview it says so; in an up it returns once that loses no data.
func (r *roller) replace(ctx context.Context, p pool, changed []string) error {
	zone := fmt.Sprintf("zone %s (%d of %d)", p.zone, p.number, zoneCount)
	if r.preview {
		r.log(fmt.Sprintf("%s: its nodes are replaced or removed (%s), zone by zone. Before and after each, the up waits until every volume "+
			"is healthy, at most %s (cluster.rollTimeout); a zone takes some 10 min and the rebuild of its replicas. The database restarts "+
			"once with each node that it runs on", zone, strings.Join(slices.Sorted(slices.Values(changed)), ", "), r.budget))
		return nil
	}
	if p.prepare != nil {
		if err := p.prepare(ctx); err != nil {
			return err
		}
	}
	if err := r.await(ctx, zone); err != nil {
		return err
	}
	r.rolled.Store(true)
	r.log(zone + ": all volumes are healthy, the cloud replaces its nodes now")
	return nil
}

// settled returns the kubeconfig once the last zone's replicas are rebuilt too, if this run has replaced nodes. Everything in the
// cluster depends on it.
func (c *Cluster) settled(ctx *pulumi.Context, kubeconfig pulumi.StringOutput, last pulumi.Resource, prepare func(context.Context) error) pulumi.StringOutput {
	resource, ok := last.(pulumi.CustomResource)
	if !ok || ctx.DryRun() {
		return kubeconfig
	}
	return pulumi.All(kubeconfig, resource.ID()).ApplyT(func(values []any) (string, error) {
		text, _ := values[0].(string)
		if prepare != nil {
			if err := prepare(ctx.Context()); err != nil {
				return "", err
			}
		}
		if !c.roller.rolled.Load() {
			return text, nil
		}
		return text, c.roller.await(ctx.Context(), "after the last zone")
	}).(pulumi.StringOutput)
}
