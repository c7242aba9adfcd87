package cluster

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/guard"
	"ha-iris/internal/live"
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
	// succeed runs before a pool is created that takes over from another one. Nil: none does.
	succeed func(ctx context.Context) error
	// outdated says what a node of an earlier zone still has to change before it is as after says; "" if nothing. Nil: nothing ever.
	outdated func(node poolNode, after guard.Inputs) string
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
		await := p.succeed
		if await == nil || !before.None() {
			await = func(ctx context.Context) error { return s.awaitZones(ctx, p, after) }
		}
		return s.component.roller.replace(s.ctx.Context(), p, changed, await)
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

// replace is called before a zone's nodes are replaced. In a preview it says so; in an up it returns once that loses no data, which
// is when await returns.
func (r *roller) replace(ctx context.Context, p pool, changed []string, await func(context.Context) error) error {
	zone := p.describe()
	if r.volumes == nil && r.protect {
		return fmt.Errorf("%s: its nodes would be replaced or removed (%s), and whether its volumes have other replicas is not known, because "+
			"storage.install is false. If nodes that go lose no data (disks of the cloud), set iris.protectData to false for this up",
			zone, strings.Join(changed, ", "))
	}
	if r.preview {
		r.log(fmt.Sprintf("%s: its nodes are replaced or removed (%s), zone by zone. Before and after each, the up waits until every volume "+
			"is healthy, at most %s (cluster.rollTimeout); a zone takes some 10 min and the rebuild of its replicas. The database restarts "+
			"once with each node that it runs on", zone, strings.Join(slices.Sorted(slices.Values(changed)), ", "), r.budget))
		return nil
	}
	if err := await(ctx); err != nil {
		return err
	}
	r.rolled.Store(true)
	r.log(fmt.Sprintf("%s: the cloud changes its nodes now (%s)", zone, strings.Join(changed, ", ")))
	return nil
}

func (p pool) describe() string {
	return fmt.Sprintf("zone %s (%d of %d)", p.zone, p.number, zoneCount)
}

// awaitZones waits until the nodes of the other zones are there, ready and in use, those of the zones before as the configuration
// wants them, and all volumes are healthy. The volumes alone do not tell: a cloud may still be busy with a zone whose replicas look
// healthy, after a run that was interrupted, and remove its nodes later.
func (s scope) awaitZones(ctx context.Context, p pool, after guard.Inputs) error {
	return s.component.roller.await(ctx, p.describe(), func(nodes []poolNode) []string {
		var lines []string
		count := map[int]int{}
		for _, one := range nodes {
			count[one.zone()]++
			if state := p.lacks(one, after); state != "" {
				lines = append(lines, fmt.Sprintf("node %s of zone %d %s", one.Metadata.Name, one.zone(), state))
			}
		}
		for number := 1; number <= zoneCount; number++ {
			if number < p.number && count[number] != s.perZone() || number > p.number && count[number] == 0 {
				lines = append(lines, fmt.Sprintf("zone %d has %d nodes", number, count[number]))
			}
		}
		return lines
	})
}

// lacks says what keeps a node of another zone from carrying its part while this one's are replaced; "" if nothing does.
func (p pool) lacks(one poolNode, after guard.Inputs) string {
	zone := one.zone()
	switch state := one.state(); {
	case zone == p.number:
		return ""
	case state != "":
		return "is " + state
	case zone < p.number && p.outdated != nil:
		return p.outdated(one, after)
	default:
		return ""
	}
}

// zoneLabel on a node is the number of its zone's pool.
const zoneLabel = "ha-iris/zone"

// labelsOf are the labels of the nodes of a zone's pool.
func (s scope) labelsOf(number int) pulumi.StringMap {
	labels := s.nodeLabels()
	labels[zoneLabel] = pulumi.String(strconv.Itoa(number))
	return labels
}

// poolNode is what is read of a node of a pool.
type poolNode struct {
	Metadata struct {
		Name   string            `json:"name"`
		Labels map[string]string `json:"labels"`
	} `json:"metadata"`
	Spec struct {
		Unschedulable bool `json:"unschedulable"`
	} `json:"spec"`
	Status struct {
		Conditions live.Conditions `json:"conditions"`
	} `json:"status"`
}

// zone is the number of the node's zone; 0 if it is in none of the pools.
func (n poolNode) zone() int {
	number, _ := strconv.Atoi(n.Metadata.Labels[zoneLabel])
	return number
}

// state says what keeps the node from being used; "" if nothing does.
func (n poolNode) state() string {
	switch {
	case n.Spec.Unschedulable:
		return "cordoned"
	case !n.Status.Conditions.Ready():
		return "not ready"
	default:
		return ""
	}
}

// settled returns the kubeconfig once the last zone's replicas are rebuilt too, if this run has replaced nodes. Everything in the
// cluster depends on it, and an error ends the up before the engine deletes anything. finish, if not nil, does the cloud's part
// first.
func (s scope) settled(last pulumi.CustomResource, finish func(context.Context) error) pulumi.StringOutput {
	c := s.component
	if s.ctx.DryRun() {
		return c.Kubeconfig
	}
	return pulumi.All(c.Kubeconfig, last.ID()).ApplyT(func(values []any) (string, error) {
		text, _ := values[0].(string)
		if finish != nil {
			if err := finish(s.ctx.Context()); err != nil {
				return "", err
			}
		}
		if !c.roller.rolled.Load() {
			return text, nil
		}
		return text, c.roller.await(s.ctx.Context(), "after the last zone", nil)
	}).(pulumi.StringOutput)
}
