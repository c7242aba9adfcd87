package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"ha-iris/agent/internal/guard"
)

// replicaPatch is what Longhorn itself writes when a replica has failed (v1.12.1, controller/volume_controller.go
// ReconcileEngineReplicaState and openVolumeDependentResources; utils.go setReplicaFailedAt sets both times).
type replicaPatch struct {
	Metadata replicaMetadata `json:"metadata"`
	Spec     replicaSpec     `json:"spec"`
}

type replicaMetadata struct {
	ResourceVersion string `json:"resourceVersion"`
}

type replicaSpec struct {
	FailedAt     string `json:"failedAt"`
	LastFailedAt string `json:"lastFailedAt"`
	DesireState  string `json:"desireState"`
}

// failReplica marks the replica as failed instead of deleting it. Read in longhorn-manager v1.12.1, not yet tried on the real one:
//
//   - spec.failedAt keeps it out of every engine: openVolumeDependentResources neither starts such a replica nor puts it into the
//     engine's replicaAddressMap. It does not count as healthy (isHealthyAndActiveReplica), whether its node is Ready or not.
//   - The one way back that Longhorn takes while others are good is replenishReplicas, which clears failedAt and healthyAt in the
//     same moment: the replica is then rebuilt from a good one, and its files make that a matter of differences.
//   - Only when every replica has failed may auto-salvage clear failedAt, and then only of those that failed within a minute of
//     the last one (AutoSalvageTimeLimit). That the lost node's data can then still be used by hand is right.
//   - spec.lastFailedAt belongs to it and is never cleared: by it Longhorn does not take the replica for one that is safe to be the
//     last (isSafeAsLastReplica) until it has been healthy again.
//   - spec.desireState has to be stopped, as Longhorn sets it: otherwise the node that returns starts the replica's process.
//   - The webhook (webhook/resources/replica) refuses of changes only the data engine's and the linked clone's source, and every user.
//
// A deletion would be worse: Longhorn would make the next replica at once and in full, on another node if there is one, instead of
// waiting replica-replenishment-wait-interval for this one; the files would remain as an orphan; and the copy that might rescue
// something would be gone. The webhook allows it unless it is the only good one.
//
// spec.failedAt is in UTC with seconds (util.Now). StaleReplicaTimeout counts from it.
func (a *Actor) failReplica(ctx context.Context, step guard.Step) error {
	if step.ResourceVersion == "" {
		return fmt.Errorf("the replica %s: %w", step.Object, errNoPrecondition)
	}
	now, err := a.cluster.Dates.Newest()
	if err != nil {
		return fmt.Errorf("the replica %s: %w", step.Object, err)
	}
	failed := now.UTC().Format(time.RFC3339)
	patch, err := json.Marshal(replicaPatch{
		Metadata: replicaMetadata{step.ResourceVersion},
		Spec:     replicaSpec{FailedAt: failed, LastFailedAt: failed, DesireState: "stopped"},
	})
	if err != nil {
		return fmt.Errorf("the change of the replica %s: %w", step.Object, err)
	}
	replicas := a.cluster.Dynamic.Resource(longhorn("replicas")).Namespace(a.target.LonghornNamespace)
	if _, err := replicas.Patch(ctx, step.Object, mergePatch, patch, metav1.PatchOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("fail the replica %s: %w", step.Object, err)
	}
	return nil
}
