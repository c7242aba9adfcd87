package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"ha-iris/agent/internal/guard"
)

// nodePatch is a merge patch of a node: the guard's annotation, its label and, where it is given, the whole list of taints. A merge patch
// replaces lists; with the resourceVersion no other taint can get lost by that.
type nodePatch struct {
	Metadata nodeMetadata `json:"metadata"`
	Spec     *nodeSpec    `json:"spec,omitempty"`
}

type nodeMetadata struct {
	ResourceVersion string             `json:"resourceVersion"`
	Annotations     map[string]*string `json:"annotations,omitempty"`
	Labels          map[string]*string `json:"labels,omitempty"`
}

type nodeSpec struct {
	Taints []corev1.Taint `json:"taints"`
}

// writeRecord takes the label away with the same request: the database's next pod must not prefer the node that it is taken from, which
// may be back, with the engine that was cut off, before the pod is scheduled. Where that is refused, as by the admission policy of an older
// program, the record is written all the same: a preference must not keep a take-over from beginning.
func (a *Actor) writeRecord(ctx context.Context, step guard.Step) error {
	metadata, err := a.recorded(step, &step.Record)
	if err != nil {
		return err
	}
	metadata.Labels = map[string]*string{a.target.Label(): nil}
	err = a.cluster.patchNode(ctx, step.Node, nodePatch{Metadata: metadata})
	if apierrors.IsInvalid(err) || apierrors.IsForbidden(err) {
		metadata.Labels = nil
		err = a.cluster.patchNode(ctx, step.Node, nodePatch{Metadata: metadata})
	}
	return err
}

func (a *Actor) setTaint(ctx context.Context, step guard.Step) error {
	node, err := a.readNode(ctx, step)
	if err != nil {
		return err
	}
	taint := corev1.Taint{Key: outOfServiceKey, Value: outOfServiceValue, Effect: corev1.TaintEffectNoExecute}
	return a.patchNode(ctx, step, &step.Record, &nodeSpec{append(slices.Clone(node.Spec.Taints), taint)})
}

// giveBack takes away the annotation and the taint, if that is the guard's own. Of a node that is gone there is nothing to give.
func (a *Actor) giveBack(ctx context.Context, step guard.Step) error {
	var spec *nodeSpec
	if step.Record.Tainted {
		var err error
		if spec, err = a.withoutOwn(ctx, step); apierrors.IsNotFound(err) {
			return nil
		} else if err != nil {
			return err
		}
	}
	if err := a.patchNode(ctx, step, nil, spec); err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	return nil
}

// untaint takes away the guard's own taint and keeps the record.
func (a *Actor) untaint(ctx context.Context, step guard.Step) error {
	spec, err := a.withoutOwn(ctx, step)
	if err != nil {
		return err
	}
	return a.patchNode(ctx, step, &step.Record, spec)
}

// withoutOwn are the node's taints without the guard's.
func (a *Actor) withoutOwn(ctx context.Context, step guard.Step) (*nodeSpec, error) {
	node, err := a.readNode(ctx, step)
	if err != nil {
		return nil, err
	}
	spec := &nodeSpec{slices.DeleteFunc(slices.Clone(node.Spec.Taints), own)}
	if spec.Taints == nil {
		spec.Taints = []corev1.Taint{}
	}
	return spec, nil
}

func own(taint corev1.Taint) bool {
	return taint.Key == outOfServiceKey && taint.Value == outOfServiceValue && taint.Effect == corev1.TaintEffectNoExecute
}

// readNode reads the node for its taints, which the decision does not have, and refuses one that has changed since the decision.
func (a *Actor) readNode(ctx context.Context, step guard.Step) (*corev1.Node, error) {
	node, err := a.cluster.Core.Nodes().Get(ctx, step.Node, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("the node %s: %w", step.Node, err)
	}
	if node.ResourceVersion != step.ResourceVersion {
		return nil, fmt.Errorf("the node %s has changed since it was decided on", step.Node)
	}
	return node, nil
}

// patchNode writes the record, or removes it, together with the taints.
func (a *Actor) patchNode(ctx context.Context, step guard.Step, record *guard.Record, spec *nodeSpec) error {
	metadata, err := a.recorded(step, record)
	if err != nil {
		return err
	}
	return a.cluster.patchNode(ctx, step.Node, nodePatch{Metadata: metadata, Spec: spec})
}

// recorded is what a patch says of the record, with the step's precondition.
func (a *Actor) recorded(step guard.Step, record *guard.Record) (nodeMetadata, error) {
	var value *string
	if record != nil {
		written, err := json.Marshal(record)
		if err != nil {
			return nodeMetadata{}, fmt.Errorf("the record of the node %s: %w", step.Node, err)
		}
		text := string(written)
		value = &text
	}
	return nodeMetadata{
		ResourceVersion: step.ResourceVersion, Annotations: map[string]*string{a.target.Annotation(): value},
	}, nil
}

func (c *Cluster) patchNode(ctx context.Context, name string, change nodePatch) error {
	if change.Metadata.ResourceVersion == "" {
		return fmt.Errorf("the node %s: %w", name, errNoPrecondition)
	}
	patch, err := json.Marshal(change)
	if err != nil {
		return fmt.Errorf("the change of the node %s: %w", name, err)
	}
	if _, err := c.Core.Nodes().Patch(ctx, name, mergePatch, patch, metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("change the node %s: %w", name, err)
	}
	return nil
}
