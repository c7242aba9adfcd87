package kube

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"ha-iris/agent/internal/guard"
)

// Actor implements guard.Actor. Each change has a precondition, so that what was decided on an object is never done to another one
// of the same name, or to one that has changed since.
type Actor struct {
	cluster *Cluster
	target  Target
}

// NewActor returns an actor for what a reader of the same target has read.
func NewActor(cluster *Cluster, target Target) *Actor {
	return &Actor{cluster, target}
}

var errNoPrecondition = errors.New("the step has no precondition")

// Do implements guard.Actor.
func (a *Actor) Do(ctx context.Context, step guard.Step) error {
	switch step.Kind {
	case guard.WriteRecord:
		return a.writeRecord(ctx, step)
	case guard.SetTaint:
		return a.setTaint(ctx, step)
	case guard.Untaint:
		return a.untaint(ctx, step)
	case guard.GiveBack:
		return a.giveBack(ctx, step)
	case guard.DeletePod:
		return a.deletePod(ctx, step, nil)
	case guard.ForceDeletePod:
		now := int64(0)
		return a.deletePod(ctx, step, &now)
	case guard.FailReplica:
		return a.failReplica(ctx, step)
	case guard.ClearEngine:
		return a.clearEngine(ctx, step)
	case guard.DeleteAttachment:
		return a.deleteAttachment(ctx, step)
	default:
		return fmt.Errorf("a step %q is nothing to do", step.Kind)
	}
}

func (a *Actor) deletePod(ctx context.Context, step guard.Step, grace *int64) error {
	options, err := only(step.PodUID)
	if err != nil {
		return fmt.Errorf("the pod %s/%s: %w", a.target.Namespace, step.Pod, err)
	}
	options.GracePeriodSeconds = grace
	err = a.cluster.Core.Pods(a.target.Namespace).Delete(ctx, step.Pod, options)
	if err != nil && !gone(err) {
		return fmt.Errorf("delete the pod %s/%s: %w", a.target.Namespace, step.Pod, err)
	}
	return nil
}

func (a *Actor) deleteAttachment(ctx context.Context, step guard.Step) error {
	options, err := only(step.ObjectUID)
	if err != nil {
		return fmt.Errorf("the attachment %s: %w", step.Object, err)
	}
	err = a.cluster.Storage.VolumeAttachments().Delete(ctx, step.Object, options)
	if err != nil && !gone(err) {
		return fmt.Errorf("delete the attachment %s: %w", step.Object, err)
	}
	return nil
}

// clearEngine deletes the orphan; its finalizer keeps it until Longhorn on that node has ended the engine, or has found that the
// engine is in use again, which it then leaves alone (orphan_controller.go cleanupOrphanedInstance).
func (a *Actor) clearEngine(ctx context.Context, step guard.Step) error {
	options, err := only(step.ObjectUID)
	if err != nil {
		return fmt.Errorf("the orphan %s: %w", step.Object, err)
	}
	err = a.cluster.Dynamic.Resource(longhorn("orphans")).Namespace(a.target.LonghornNamespace).Delete(ctx, step.Object, options)
	if err != nil && !gone(err) {
		return fmt.Errorf("delete the orphan %s: %w", step.Object, err)
	}
	return nil
}

// only are the options that delete an object with this UID and no other.
func only(uid string) (metav1.DeleteOptions, error) {
	if uid == "" {
		return metav1.DeleteOptions{}, errNoPrecondition
	}
	return metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(uid)}, nil
}

// gone says that there is no such object, or another one of that name: a deletion's only precondition is the UID.
func gone(err error) bool {
	return apierrors.IsNotFound(err) || apierrors.IsConflict(err)
}

// mergePatch is what changes of nodes and replicas are sent as.
const mergePatch = types.MergePatchType
