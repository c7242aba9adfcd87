package guard

import (
	"fmt"
	"slices"
)

// returned deals with the nodes that are Ready again and still have the guard's record: the first for which something can be done,
// or else the first that has to wait.
func (d decider) returned() Decision {
	best := Decision{Verdict: Idle}
	var notes []string
	for i := range d.world.Nodes {
		node := &d.world.Nodes[i]
		switch {
		case node.Record == nil:
		case node.Ready != ReadyTrue:
			_, more := d.next(node.Name)
			notes = append(notes, more...)
		default:
			step, more := d.comeBack(node)
			notes = append(notes, more...)
			refusals := d.always(node.Name)
			if found := verdict(step, refusals); best.Verdict == Idle || (best.Verdict == Wait && found == Act) {
				best = Decision{Verdict: found, Step: step, Refusals: refusals}
			}
		}
	}
	best.Notes = notes
	return best
}

// comeBack is the next step for a node that is back. The node itself is left alone until Untaint and GiveBack; its replica and its engine are
// not: they are what makes its return dangerous.
func (d decider) comeBack(node *Node) (Step, []string) {
	replica, notes := d.untrusted(node.Name)
	if replica != nil && d.takenAway(node) {
		return failReplica(replica), notes
	}
	if orphan := d.orphanOn(node.Name); orphan != nil && d.world.attachmentOn(node.Name) == nil {
		return Step{
			Kind: ClearEngine, Node: node.Name, Object: orphan.Name, ObjectUID: orphan.UID,
			Why: "attaching the volume on this node again would adopt the engine that was cut off",
		}, notes
	}
	if why := d.holds(node); why != "" {
		return Step{Kind: WaitReturn, Node: node.Name, Record: *node.Record, Why: why}, notes
	}
	if node.Record.Tainted && node.BootID == node.Record.BootID {
		record := *node.Record
		record.Tainted, record.Untainted = false, d.now
		return Step{
			Kind: Untaint, Node: node.Name, ResourceVersion: node.ResourceVersion, Record: record,
			Why: "the node is back, and with the taint Longhorn cannot run there to let go of the volume",
		}, notes
	}
	return Step{
		Kind: GiveBack, Node: node.Name, ResourceVersion: node.ResourceVersion, Record: *node.Record,
		Why: "the node is back and no longer has the volume",
	}, notes
}

// takenAway says whether the pod was given up. Where it runs on, because the node returned before its deletion, the replica is
// what it writes to.
func (d decider) takenAway(node *Node) bool {
	pod := d.world.podOn(node.Name)
	return pod == nil || !pod.DeletedAt.IsZero()
}

func (d decider) orphanOn(node string) *Orphan {
	for i := range d.world.Orphans {
		if d.world.Orphans[i].Node == node {
			return &d.world.Orphans[i]
		}
	}
	return nil
}

// holds says why a node that is back must wait, or nothing.
func (d decider) holds(node *Node) string {
	if since := d.now.Sub(node.ReadySince); since < d.config.ReadyFor {
		return fmt.Sprintf("Ready for %v, want %v", since, d.config.ReadyFor)
	}
	if pod := d.world.podOn(node.Name); pod != nil && !pod.DeletedAt.IsZero() {
		return "the database's pod is still being deleted"
	}
	if d.suspect(node) && d.now.Sub(node.ReadySince) < d.config.Budgets.Return {
		return "its replica may have what the others do not have, and the volume is not attached elsewhere yet"
	}
	return d.leftovers(node)
}

// suspect says whether the node has a replica that could not be failed for want of two good others. With the taint on the node it cannot
// join the next attachment; Longhorn then fails it by itself.
func (d decider) suspect(node *Node) bool {
	return d.takenAway(node) && !d.world.attachedElsewhere(node.Name) &&
		slices.ContainsFunc(d.world.Replicas, func(one Replica) bool { return one.Node == node.Name && !one.Failed })
}

// leftovers says what of the time before the loss may still be on a node of the same boot from which the taint has been taken. The
// taint keeps Longhorn's pods away, its CSI plugin among them, so that before that nothing of it could have gone (seen in the lab: a node
// that was cut off for 100 s had the volume in use, and no manager, for as long as it was tainted).
func (d decider) leftovers(node *Node) string {
	if !d.takenAway(node) || node.BootID != node.Record.BootID || (node.Record.Tainted && node.OutOfService) {
		return ""
	}
	// Without a taint of the guard's own, Longhorn can run there since the node is Ready.
	begun := node.ReadySince
	if node.Record.Untainted.After(begun) {
		begun = node.Record.Untainted
	}
	since := d.now.Sub(begun)
	switch {
	case node.OutOfService:
		return "somebody else's out-of-service taint keeps Longhorn from it: take the taint away once the node is in order"
	case since >= d.config.Budgets.Return:
		return ""
	case slices.Contains(node.VolumesInUse, d.world.Volume):
		return "the same boot, and it still has the volume in use"
	case d.config.Longhorn && !d.world.LonghornReady[node.Name]:
		return "Longhorn is not ready there yet"
	case d.config.Longhorn && since < d.config.EngineSearch:
		return fmt.Sprintf("without the taint for %v, want %v in which Longhorn finds an engine that was left", since, d.config.EngineSearch)
	default:
		return ""
	}
}
