package guard

import (
	"fmt"
	"strings"
)

// next is the step that a lost node's take-over is at, found from the objects alone, or none when it is finished. The order is
// the one that was measured: detection + 13.4 s (longhorn-real.md, "The order that works").
func (d decider) next(name string) (Step, []string) {
	node, pod := d.world.node(name), d.world.podOn(name)
	attachment := d.world.attachmentOn(name)
	if node == nil {
		return nextGone(name, pod, attachment), nil
	}
	if pod != nil {
		if step := d.begin(node, pod); step.Kind != "" {
			return step, nil
		}
	}
	if step := d.detach(node, pod, attachment); step.Kind != "" {
		return step, nil
	}
	others := d.endangered(node)
	if others == "" && d.wantsTaint(node) && (pod == nil || !d.spent(SetTaint, d.config.Budgets.Taint)) {
		return d.taint(node, pod), nil
	}
	replica, notes := d.untrusted(name)
	if others != "" {
		notes = append(notes, others)
	}
	if replica != nil && (pod == nil || !d.spent(FailReplica, d.config.Budgets.Replica)) {
		return failReplica(replica), notes
	}
	if pod != nil {
		return forceDelete(pod), notes
	}
	if attachment != nil {
		return Step{Kind: WaitDetach, Node: name, Object: attachment.Name, Why: "Kubernetes detaches it, at once with the taint"}, notes
	}
	return Step{}, notes
}

// detaching says whether Longhorn may still drop the attachment: it begins when the pod is being deleted and the node is down. No
// other storage does that; there Kubernetes waits for the taint (detach).
func (d decider) detaching(node *Node, pod *Pod) bool {
	since := pod.DeletedAt
	if node.ReadySince.After(since) {
		since = node.ReadySince
	}
	return d.now.Sub(since) < d.config.Budgets.Detach
}

// detach is what comes before Kubernetes may be made to detach: Longhorn drops the attachment itself, once it has ended the engine or its
// node is gone. If it does not, the engine may live, where the kubelet alone has died: the forced deletion then comes before the taint,
// because the check in the pod ends the database when the API server no longer has the pod.
func (d decider) detach(node *Node, pod *Pod, attachment *Attachment) Step {
	switch {
	case !d.config.Longhorn || attachment == nil:
		return Step{}
	case pod != nil && d.detaching(node, pod):
		why := "Longhorn drops it about 2 s after the pod's deletion"
		return Step{Kind: WaitDetach, Node: node.Name, Object: attachment.Name, Why: why}
	case pod != nil:
		return forceDelete(pod)
	case d.wantsTaint(node) && !d.spent(WaitEnd, d.config.Budgets.End):
		why := "the check in a pod that the API server no longer has ends its database"
		return Step{Kind: WaitEnd, Node: node.Name, Object: attachment.Name, Why: why}
	default:
		return Step{}
	}
}

// endangered says why the taint must not be set, or nothing: it frees every pod and detaches every volume of the node, and of the others
// nothing has ended what writes to them, unless the machine itself is dead.
func (d decider) endangered(node *Node) string {
	others := d.world.OtherVolumes[node.Name]
	if len(others) == 0 || node.OutOfService || d.dead(node) {
		return ""
	}
	return fmt.Sprintf("node %s gets no out-of-service taint, because it would detach volumes of others, whose writers nobody has ended: %s. "+
		"Kubernetes may take 60 s longer. Once the machine is off for certain, set the taint", node.Name, strings.Join(others, ", "))
}

// nextGone is next for a node whose object is gone: there is nothing to wait for, to annotate or to taint. Without these steps the
// pod would take 40 to 80 s and its attachment six minutes. The pod goes first, or Kubernetes makes the attachment again. The
// replica is Longhorn's: it fails it when it attaches the volume, and no machine comes back as that node before.
func nextGone(name string, pod *Pod, attachment *Attachment) Step {
	switch {
	case pod != nil:
		return forceDelete(pod)
	case attachment != nil:
		return Step{Kind: DeleteAttachment, Node: name, Object: attachment.Name, ObjectUID: attachment.UID, Why: "its node is gone"}
	default:
		return Step{}
	}
}

// begin is the way to the pod's deletion. The record comes before it, so that a node that returns in the same second is known to
// have been given up. Somebody else may have deleted the pod: Kubernetes after its toleration, an operator.
func (d decider) begin(node *Node, pod *Pod) Step {
	deleted := !pod.DeletedAt.IsZero()
	recorded := node.Record != nil && node.Record.PodUID == pod.UID
	switch {
	case !deleted && d.world.LonghornReady[node.Name] && d.now.Sub(node.ReadySince) < d.config.Budgets.Longhorn:
		return Step{Kind: WaitLonghorn, Node: node.Name, Why: "Longhorn still calls the node Ready and would release nothing"}
	case !recorded && !d.spent(WriteRecord, d.config.Budgets.Record):
		return Step{
			Kind: WriteRecord, Node: node.Name, ResourceVersion: node.ResourceVersion,
			Record: Record{BootID: node.BootID, Time: d.now, PodUID: pod.UID, Tainted: ours(node)},
			Why:    "the node is lost with the database's pod on it",
		}
	case !deleted:
		return Step{
			Kind: DeletePod, Node: node.Name, Pod: pod.Name, PodUID: pod.UID,
			Why: "its node is lost; Longhorn gives the volume free once the pod is being deleted",
		}
	default:
		return Step{}
	}
}

// ours says whether the out-of-service taint on the node is the guard's.
func ours(node *Node) bool {
	return node.OutOfService && node.Record != nil && node.Record.Tainted
}

// wantsTaint says whether the out-of-service taint is to be set. One that is there serves, whoever set it, and one of our own that
// somebody took away stays away.
func (d decider) wantsTaint(node *Node) bool {
	return !node.OutOfService && (node.Record == nil || !node.Record.Tainted)
}

func (d decider) taint(node *Node, pod *Pod) Step {
	record := Record{BootID: node.BootID, Time: d.now}
	if node.Record != nil {
		record = *node.Record
	}
	if pod != nil {
		record.PodUID = pod.UID
	}
	record.Tainted = true
	return Step{
		Kind: SetTaint, Node: node.Name, ResourceVersion: node.ResourceVersion, Record: record,
		Why: "the volume has left the node; with the taint Kubernetes does not wait to attach it elsewhere",
	}
}

// untrusted is the replica of a given-up node that must not be used again, or nil when there is none or it must not be failed:
// while the volume is on the node its engine may have no other, once it is elsewhere Longhorn has decided, and two good ones must
// remain. Left alone it would count as healthy if the node returns before the next attach (longhorn-real.md, run 3).
func (d decider) untrusted(node string) (*Replica, []string) {
	for i := range d.world.Replicas {
		replica := &d.world.Replicas[i]
		if replica.Node != node || replica.Failed {
			continue
		}
		switch good := d.world.good(node); {
		case d.world.attachmentOn(node) != nil:
			return nil, nil
		case d.world.attachedElsewhere(node):
			return nil, []string{fmt.Sprintf("replica %s on %s was not failed before the volume was attached elsewhere: see that Longhorn "+
				"has rebuilt it", replica.Name, node)}
		case good < 2:
			return nil, []string{fmt.Sprintf("replica %s on %s stays: got %d good ones on other Ready nodes, want 2 to do without it",
				replica.Name, node, good)}
		default:
			return replica, nil
		}
	}
	return nil, nil
}

func failReplica(replica *Replica) Step {
	return Step{
		Kind: FailReplica, Node: replica.Node, Object: replica.Name, ResourceVersion: replica.ResourceVersion,
		Why: "it may have what the others do not have, and would count as healthy if its node returned now",
	}
}

func forceDelete(pod *Pod) Step {
	return Step{
		Kind: ForceDeletePod, Node: pod.Node, Pod: pod.Name, PodUID: pod.UID,
		Why: "nobody on its node will confirm that it has ended",
	}
}
