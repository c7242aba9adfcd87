package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// deadLeaseSeconds is how long a taken Lease keeps its node dead: a day, which is longer than anybody watches.
const deadLeaseSeconds = 24 * 60 * 60

// Fault is something that is done to a node.
type Fault string

// The faults, and what undoes them.
const (
	Kill        Fault = "kill"
	Start       Fault = "start"
	KubeletStop Fault = "kubelet-stop"
	Cut         Fault = "cut"
	Join        Fault = "join"
)

// ends says whether the node is dead afterwards.
func (f Fault) ends() bool { return f != Start && f != Join }

// state is what a real node is afterwards. A simulated one is dead or alive, because nothing of it runs on.
func (f Fault) state() NodeState {
	switch f {
	case Kill:
		return Dead
	case Cut:
		return CutOff
	case KubeletStop:
		return KubeletStopped
	case Start, Join:
	}
	return Alive
}

// undo is the word that undoes the fault.
func (f Fault) undo() Fault {
	if f == Cut {
		return Join
	}
	return Start
}

// describe adds the fault to what a node's process is.
func (f Fault) describe(state string) string {
	switch f {
	case Cut:
		return state + ", cut off"
	case KubeletStop:
		return state + ", kubelet stopped"
	case Kill, Start, Join:
	}
	return state
}

// holder is who has the Lease of a node that the fault has ended. kwok's own name begins otherwise.
func (f Fault) holder() string {
	switch f {
	case KubeletStop:
		return "kubelet-stopped"
	case Cut:
		return "cut"
	case Kill, Start, Join:
	}
	return "killed"
}

// notSimulated says what of the fault a simulated node does not show; empty if nothing is missing.
func (f Fault) notSimulated() string {
	switch f {
	case KubeletStop:
		return "a simulated node has no containers that could run on without their kubelet: done as node kill does it"
	case Cut:
		return "a simulated node has no network and no containers that could run on behind the cut: done as node kill does it"
	case Join:
		return "a simulated node has no network that could come back: done as node start does it"
	case Kill, Start:
	}
	return ""
}

// NodeState is what a node is, whatever Kubernetes has noticed of it.
type NodeState string

// The states of a node. Only real ones can be cut off or without their kubelet, and run on.
const (
	Alive          NodeState = "alive"
	Dead           NodeState = "dead"
	CutOff         NodeState = "cut-off"
	KubeletStopped NodeState = "kubelet-stopped"
)

// FaultResult is what became of a node.
type FaultResult struct {
	Cluster string `json:"cluster"`
	Node    string `json:"node"`
	Fault   Fault  `json:"fault"`
	// State is what the node is now. Kubernetes notices later, in the node's conditions.
	State NodeState `json:"state"`
	// Changed is false if the node was in this state already.
	Changed bool `json:"changed"`
	// NotSimulated says what of the fault does not happen here.
	NotSimulated string `json:"notSimulated,omitempty"`
}

// Inject does something to a node of the running cluster, or undoes it.
func (c *Cluster) Inject(ctx context.Context, fault Fault, node string) (FaultResult, error) {
	status, err := c.Status(ctx)
	if err != nil {
		return FaultResult{}, err
	}
	switch status.Health {
	case Stopped:
		return FaultResult{}, fmt.Errorf("cluster %q does not run: start it with: sandbox up --name %s", c.Name, c.Name)
	case Broken:
		return FaultResult{}, fmt.Errorf("cluster %q is broken: %s", c.Name, status.Problem)
	case Running:
	}
	s, err := c.loadState()
	if err != nil {
		return FaultResult{}, err
	}
	if s.real() {
		return c.injectReal(ctx, s, fault, node)
	}
	client, err := c.client()
	if err != nil {
		return FaultResult{}, err
	}
	result, err := inject(ctx, client, fault, node)
	result.Cluster = c.Name
	return result, err
}

func inject(ctx context.Context, client kubernetes.Interface, fault Fault, name string) (FaultResult, error) {
	if err := wantSimulated(ctx, client, name); err != nil {
		return FaultResult{}, err
	}
	dead, err := keptDead(ctx, client, name)
	if err != nil {
		return FaultResult{}, err
	}
	result := FaultResult{Node: name, Fault: fault, State: Alive, Changed: dead != fault.ends(), NotSimulated: fault.notSimulated()}
	if fault.ends() {
		result.State = Dead
	}
	switch {
	case !result.Changed:
	case fault.ends():
		err = takeLease(ctx, client, name, fault.holder())
	default:
		err = giveLeaseBack(ctx, client, name)
	}
	if err != nil {
		return FaultResult{}, err
	}
	return result, nil
}

// wantSimulated refuses names of no node, and real nodes, whose Lease their own kubelet would take back.
func wantSimulated(ctx context.Context, client kubernetes.Interface, name string) error {
	nodes, err := listNodes(ctx, client)
	if err != nil {
		return err
	}
	var names []string
	for _, node := range nodes {
		if node.Name == name && node.Simulated {
			return nil
		}
		if node.Name == name {
			return fmt.Errorf("node %s is not simulated: only its own machine can stop it", name)
		}
		if node.Simulated {
			names = append(names, node.Name)
		}
	}
	slices.Sort(names)
	return fmt.Errorf("there is no node %q: want one of %s", name, strings.Join(names, ", "))
}

// takeLease ends a node: kwok, which plays its kubelet, falls silent as soon as somebody else holds its Lease. The time of the
// last renewal stays, because Kubernetes counts from there.
func takeLease(ctx context.Context, client kubernetes.Interface, node, holder string) error {
	leases := client.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	patch, err := json.Marshal(map[string]any{
		"spec": map[string]any{"holderIdentity": holder, "leaseDurationSeconds": deadLeaseSeconds},
	})
	if err != nil {
		return fmt.Errorf("encode lease: %w", err)
	}
	_, err = leases.Patch(ctx, node, types.MergePatchType, patch, metav1.PatchOptions{})
	if apierrors.IsNotFound(err) {
		err = createDeadLease(ctx, client, node, holder)
	}
	if apierrors.IsAlreadyExists(err) { // kwok was faster
		_, err = leases.Patch(ctx, node, types.MergePatchType, patch, metav1.PatchOptions{})
	}
	if err != nil {
		return fmt.Errorf("take lease of node %s: %w", node, err)
	}
	return nil
}

// createDeadLease is for a node that has none, as in the moment after its start.
func createDeadLease(ctx context.Context, client kubernetes.Interface, node, holder string) error {
	seconds, now := int32(deadLeaseSeconds), metav1.NewMicroTime(time.Now())
	lease := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: node, Namespace: corev1.NamespaceNodeLease},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: &holder, LeaseDurationSeconds: &seconds, RenewTime: &now},
	}
	_, err := client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Create(ctx, lease, metav1.CreateOptions{})
	return err
}

// giveLeaseBack lets kwok make a Lease of its own, which it tries every few seconds.
func giveLeaseBack(ctx context.Context, client kubernetes.Interface, node string) error {
	err := client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Delete(ctx, node, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("give lease of node %s back: %w", node, err)
	}
	return nil
}
