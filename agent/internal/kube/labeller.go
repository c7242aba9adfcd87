package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"ha-iris/agent/internal/guard"
)

// Labeller implements guard.Labeller. While nothing changes it asks for the claim, the attachments, the nodes that have the label, and
// Longhorn's nodes.
type Labeller struct {
	cluster *Cluster
	target  Target
}

// NewLabeller returns a labeller for the node that has the target's volume.
func NewLabeller(cluster *Cluster, target Target) *Labeller { return &Labeller{cluster, target} }

// Label implements guard.Labeller. While the volume is on no node or between two, or its node is gone, everything stays as it is: the
// database is stopped, or on its way.
func (l *Labeller) Label(ctx context.Context) ([]guard.Labelled, error) {
	name, err := l.attachedTo(ctx)
	if err != nil || name == "" {
		return nil, err
	}
	labelled, err := l.labelled(ctx)
	if err != nil {
		return nil, err
	}
	works, err := l.works(ctx, name)
	if err != nil {
		return nil, err
	}
	if !works {
		name = "" // No node has it then.
	}
	var changes []labelling
	if name != "" && !slices.ContainsFunc(labelled, func(one corev1.Node) bool { return one.Name == name && one.Labels[l.target.Label()] == labelValue }) {
		node, err := l.cluster.Core.Nodes().Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("the node %s: %w", name, err)
		}
		if undisturbed(node) {
			changes = append(changes, labelling{node, true})
		}
	}
	for i := range labelled {
		if labelled[i].Name != name {
			changes = append(changes, labelling{&labelled[i], false})
		}
	}
	return l.write(ctx, changes)
}

// works says that Longhorn does not call its own node of that name broken. On one that is, its manager or its instance manager away, the
// volume would fail the next pod too, which has to be free to start elsewhere.
func (l *Labeller) works(ctx context.Context, name string) (bool, error) {
	if l.target.LonghornNamespace == "" {
		return true, nil
	}
	ready, err := l.cluster.longhornNodes(ctx, l.target.LonghornNamespace)
	if err != nil {
		return false, err
	}
	is, known := ready[name]
	return is || !known, nil
}

// attachedTo is the node that has the volume of the claim as it is now, or nothing when none or several have it. An attachment that is
// being deleted counts no more, although its node has the volume still.
func (l *Labeller) attachedTo(ctx context.Context) (string, error) {
	claim, err := l.cluster.Core.PersistentVolumeClaims(l.target.Namespace).Get(ctx, l.target.Claim, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("the claim %s/%s: %w", l.target.Namespace, l.target.Claim, err)
	}
	if claim.Spec.VolumeName == "" {
		return "", nil
	}
	attachments, err := l.cluster.attachments(ctx)
	if err != nil {
		return "", err
	}
	var nodes []string
	for i := range attachments {
		one := &attachments[i]
		volume := one.Spec.Source.PersistentVolumeName
		if volume != nil && *volume == claim.Spec.VolumeName && one.Status.Attached && one.DeletionTimestamp.IsZero() {
			nodes = append(nodes, one.Spec.NodeName)
		}
	}
	if len(nodes) != 1 {
		return "", nil
	}
	return nodes[0], nil
}

// labelled are the nodes that have the label, with whatever value.
func (l *Labeller) labelled(ctx context.Context) ([]corev1.Node, error) {
	list, err := l.cluster.Core.Nodes().List(ctx, metav1.ListOptions{LabelSelector: l.target.Label()})
	if err != nil {
		return nil, fmt.Errorf("the nodes with the label %s: %w", l.target.Label(), err)
	}
	return list.Items, nil
}

// undisturbed says that nobody takes a database over from the node or gives it back: those changes have the node's resourceVersion as
// their precondition, which each write changes. A record of another stack's guard counts too.
func undisturbed(node *corev1.Node) bool {
	ready, _ := readiness(node)
	if ready != guard.ReadyTrue || !node.DeletionTimestamp.IsZero() || tainted(node, outOfServiceKey) {
		return false
	}
	for key := range node.Annotations {
		if strings.HasPrefix(key, annotationPrefix) {
			return false
		}
	}
	return true
}

// labelling is a node, and whether it is to have the label.
type labelling struct {
	node *corev1.Node
	has  bool
}

// write takes the label from any node that does not have the volume, also from one that was taken over: that is done once the volume is
// elsewhere, and what the guard then still does to the node is repeated. One that fails keeps no other from being tried.
func (l *Labeller) write(ctx context.Context, changes []labelling) ([]guard.Labelled, error) {
	var done []guard.Labelled
	var problems []error
	for _, one := range changes {
		var value *string
		if one.has {
			text := labelValue
			value = &text
		}
		err := l.cluster.patchNode(ctx, one.node.Name, nodePatch{Metadata: nodeMetadata{
			ResourceVersion: one.node.ResourceVersion, Labels: map[string]*string{l.target.Label(): value},
		}})
		switch {
		case err == nil:
			done = append(done, guard.Labelled{Node: one.node.Name, Has: one.has})
		case !apierrors.IsNotFound(err):
			problems = append(problems, err)
		}
	}
	return done, errors.Join(problems...)
}
