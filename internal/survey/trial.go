package survey

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"ha-iris/internal/live"
)

// podName is the name of the pod that is asked for and never made, and of the ReplicaSet that it says it is of.
const podName = "ha-iris-survey"

// tryPod asks for the database's pod without making it, and returns why it is refused. The pod says that it is a ReplicaSet's, as the
// real one will: policies against pods without a controller check that, and the API server does not look for the owner. If the
// owner is refused, it is left out.
func tryPod(ctx context.Context, cluster *live.Cluster, needs Database) error {
	path := "/api/v1/namespaces/" + url.PathEscape(needs.Namespace) + "/pods?dryRun=All"
	err := cluster.Create(ctx, path, trialPod(needs, true), nil)
	if err != nil && strings.Contains(strings.ToLower(err.Error()), "ownerref") {
		err = cluster.Create(ctx, path, trialPod(needs, false), nil)
	}
	if isStatus(err, http.StatusNotFound) {
		return nil
	}
	return err
}

func trialPod(needs Database, owned bool) map[string]any {
	meta := map[string]any{"name": podName, "namespace": needs.Namespace}
	if own, ok := needs.Pod["metadata"].(map[string]any); ok {
		maps.Copy(meta, own)
	}
	if owned {
		// Without blockOwnerDeletion, which takes a right to the owner (OwnerReferencesPermissionEnforcement).
		meta["ownerReferences"] = []map[string]any{{
			"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": podName, "uid": "00000000-0000-4000-8000-000000000000", "controller": true,
		}}
	}
	return map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": needs.Pod["spec"]}
}
