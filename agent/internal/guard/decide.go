package guard

import (
	"fmt"
	"slices"
	"time"
)

// Decide returns what to do next, by the API server's time. The nodes that the database's pod or its volume have to leave come
// first, and of these the one whose take-over has begun; then those that are back.
func (c Config) Decide(world World, now time.Time) Decision {
	d := decider{c, world, now}
	lost := d.takeOver()
	if lost.Verdict == Act {
		return lost
	}
	if back := d.returned(); back.Verdict == Act || lost.Verdict == Idle {
		return back
	}
	return lost
}

// takeOver decides on the lost nodes: one at a time.
func (d decider) takeOver() Decision {
	decision := Decision{Verdict: Idle}
	for _, name := range d.lost() {
		step, notes := d.next(name)
		switch {
		case step.Kind == "":
		case decision.Verdict == Idle:
			refusals := d.rules(name)
			decision = Decision{Verdict: verdict(step, refusals), Step: step, Refusals: refusals, Notes: notes}
		default:
			decision.Refusals = append(decision.Refusals, Refusal{
				RuleOpen, name, fmt.Sprintf("the take-over of %s comes first", decision.Step.Node),
			})
		}
	}
	return decision
}

type decider struct {
	config Config
	world  World
	now    time.Time
}

func verdict(step Step, refusals []Refusal) Verdict {
	switch {
	case len(refusals) > 0:
		return Refuse
	case step.Kind == WaitLonghorn || step.Kind == WaitDetach || step.Kind == WaitEnd || step.Kind == WaitReturn:
		return Wait
	default:
		return Act
	}
}

// lost are the names of the nodes that are not Ready or gone and have to do with the database, those with a record first.
func (d decider) lost() []string {
	var begun, others []string
	for _, node := range d.world.Nodes {
		switch {
		case node.Ready == ReadyTrue:
		case node.Record != nil:
			begun = append(begun, node.Name)
		case d.world.podOn(node.Name) != nil || d.world.stranded(node.Name):
			others = append(others, node.Name)
		}
	}
	for _, pod := range d.world.Pods {
		if d.world.node(pod.Node) == nil {
			others = append(others, pod.Node)
		}
	}
	for _, attachment := range d.world.Attachments {
		if d.world.node(attachment.Node) == nil {
			others = append(others, attachment.Node)
		}
	}
	// A pod that is being deleted is a take-over whose record could not be written.
	slices.SortStableFunc(others, func(a, b string) int { return d.rank(a) - d.rank(b) })
	all := append(begun, others...)
	seen := map[string]bool{}
	return slices.DeleteFunc(all, func(name string) bool {
		again := seen[name]
		seen[name] = true
		return again
	})
}

func (d decider) rank(name string) int {
	if pod := d.world.podOn(name); pod == nil || !pod.DeletedAt.IsZero() {
		return 0
	}
	return 1
}

// spent says whether a kind of step has been tried for longer than its budget.
func (d decider) spent(kind Kind, budget time.Duration) bool {
	since, tried := d.world.Tried[kind]
	return tried && d.now.Sub(since) >= budget
}
