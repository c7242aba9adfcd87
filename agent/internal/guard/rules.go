package guard

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// always are the rules that hold for every step.
func (d decider) always(name string) []Refusal {
	var refusals []Refusal
	if d.config.Mode != ModeGuard {
		refusals = append(refusals, Refusal{RuleMode, name, fmt.Sprintf("the mode is %s", d.config.Mode)})
	}
	if !d.world.Live {
		refusals = append(refusals, Refusal{RuleLive, name, "nodes, leases and pods come from a cache"})
	}
	return refusals
}

// rules are all rules that forbid to go on with a lost node. They are asked again before each step.
func (d decider) rules(name string) []Refusal {
	refusals := d.always(name)
	refuse := func(rule Rule, why string) {
		if why != "" {
			refusals = append(refusals, Refusal{rule, name, why})
		}
	}
	refuse(RuleLease, d.alive(name))
	refuse(RuleMajority, d.minority(name))
	if !d.world.ready(d.world.GuardNode) {
		refuse(RuleOwnNode, fmt.Sprintf("the guard's own node %s is not Ready", d.world.GuardNode))
	}
	if d.config.Longhorn && d.world.good(name) == 0 {
		refuse(RuleReplica, "there is no healthy replica on another Ready node")
	}
	refuse(RuleProof, d.unproven(name))
	return refusals
}

// alive says why the node's heartbeat is too young, or nothing. The age is by the node's clock, so a clock that is behind
// makes it too old (then the proof decides, by the control plane's clock) and one that is ahead too young: what this guard saw
// itself is right in both cases. Of a node whose object is gone, the Lease goes too, unless a kubelet that lives makes a new one.
func (d decider) alive(name string) string {
	lease, found := d.world.Leases[name]
	if !found {
		if d.world.node(name) != nil {
			return "there is no Lease"
		}
		return ""
	}
	age := max(d.now.Sub(lease.RenewTime), lease.Unchanged)
	if age < d.config.LeaseStale {
		return fmt.Sprintf("the last heartbeat is %v old, want %v", age, d.config.LeaseStale)
	}
	return ""
}

// minority says that too few nodes are Ready. A lost node whose object is gone counts as a node.
func (d decider) minority(name string) string {
	all, ready := len(d.world.Nodes), 0
	if d.world.node(name) == nil {
		all++
	}
	for _, node := range d.world.Nodes {
		if node.Ready == ReadyTrue && d.now.Sub(node.ReadySince) >= d.config.MajorityFor {
			ready++
		}
	}
	if ready*2 > all {
		return ""
	}
	return fmt.Sprintf("%d of %d nodes are Ready for %v, want more than half", ready, all, d.config.MajorityFor)
}

// unproven says why none of the proofs holds, or nothing.
func (d decider) unproven(name string) string {
	node := d.world.node(name)
	var lacking []string
	for _, proof := range d.config.Proofs {
		var why string
		switch proof {
		case ProofDeleted:
			why = d.notDeleted(name)
		case ProofShutdown:
			why = d.notShutDown(node)
		case ProofIsolation:
			why = d.notIsolated(node)
		default:
			why = "unknown"
		}
		if why == "" {
			return ""
		}
		lacking = append(lacking, fmt.Sprintf("%s: %s", proof, why))
	}
	if lacking == nil {
		return "no proof is accepted"
	}
	return strings.Join(lacking, "; ")
}

func (d decider) notDeleted(name string) string {
	if d.world.node(name) != nil {
		return "the Node object is there"
	}
	gone := d.world.Gone[name]
	silent, since := gone.For, d.now.Add(-gone.For)
	if !gone.UnknownSince.IsZero() {
		silent, since = max(silent, d.silent(gone.UnknownSince)), gone.UnknownSince
	}
	if silent < d.config.Isolation {
		return fmt.Sprintf("the Node object is gone for %v only, want %v: its machine may run", silent.Round(time.Millisecond), d.config.Isolation)
	}
	return d.toldToGoOn(name, since)
}

// toldToGoOn says why the check on a node that is lost since then may have been told to go on, or nothing: by this guard, or by others that
// are cut off with it and do not know of this one.
func (d decider) toldToGoOn(name string, lostSince time.Time) string {
	if unvouched := d.world.Unvouched[name]; unvouched < d.config.Isolation {
		return fmt.Sprintf("a guard may have told the check there %v ago that it is not cut off, want %v",
			unvouched.Round(time.Millisecond), d.config.Isolation)
	}
	if d.world.GuardSince.IsZero() {
		return "this guard's own pod is not there"
	}
	if known := lostSince.Sub(d.world.GuardSince); known < d.config.KnownFor {
		return fmt.Sprintf("this guard's pod is too young for the check there to know it: created %v before the loss, want %v",
			known.Round(time.Second), d.config.KnownFor)
	}
	return ""
}

// dead says whether the machine itself is known to have stopped, so that nothing of anybody runs there.
func (d decider) dead(node *Node) bool {
	return slices.Contains(d.config.Proofs, ProofShutdown) && d.notShutDown(node) == ""
}

// silent is for how long at least a node has been out of reach that the control plane calls Unknown since then: it had heard nothing for
// its grace period, and the cut was at most one heartbeat later than the last one.
func (d decider) silent(unknownSince time.Time) time.Duration {
	return d.now.Sub(unknownSince) + d.config.MonitorGrace - d.config.RenewInterval
}

func (d decider) notShutDown(node *Node) string {
	switch {
	case node == nil || !node.Shutdown:
		return "the cloud has not set its taint"
	case node.ShutdownFor < d.config.ShutdownSettle:
		return fmt.Sprintf("the cloud's taint is there for %v, want %v", node.ShutdownFor, d.config.ShutdownSettle)
	default:
		return ""
	}
}

// notIsolated counts by the control plane's clock, and by what the guards themselves told the check: a node that is out of the API
// server's reach may be within theirs.
func (d decider) notIsolated(node *Node) string {
	if node == nil || node.Ready != ReadyUnknown {
		return "the control plane does not call the node Unknown"
	}
	if pod := d.world.podOn(node.Name); pod != nil && pod.Unwatched {
		return fmt.Sprintf("no check runs in pod %s, so nothing has ended its database if the node is cut off", pod.Name)
	}
	if silent := d.silent(node.ReadySince); silent < d.config.Isolation {
		return fmt.Sprintf("certainly unreachable for %v only, want %v", silent.Round(time.Millisecond), d.config.Isolation)
	}
	return d.toldToGoOn(node.Name, node.ReadySince)
}
