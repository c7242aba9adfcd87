package storage

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// componentLabel is on Longhorn's pods; instance managers, which Longhorn makes itself, upload the backups.
const componentLabel = "longhorn.io/component"

// identityPods are pods with what is read of them.
type identityPods struct {
	Items []struct {
		Metadata struct {
			Name   string            `json:"name"`
			Labels map[string]string `json:"labels"`
		} `json:"metadata"`
		Spec struct {
			NodeName   string `json:"nodeName"`
			Containers []struct {
				Env []struct {
					Name string `json:"name"`
				} `json:"env"`
			} `json:"containers"`
		} `json:"spec"`
	} `json:"items"`
}

// without returns Longhorn's pods that backups need and that lack a variable, each with its node.
func (p identityPods) without(variable string) []string {
	var lacking []string
	for _, pod := range p.Items {
		labels := pod.Metadata.Labels
		if labels["app"] != managerApp && labels[componentLabel] != "instance-manager" {
			continue
		}
		has := false
		for _, container := range pod.Spec.Containers {
			for _, one := range container.Env {
				has = has || one.Name == variable
			}
		}
		if !has {
			lacking = append(lacking, fmt.Sprintf("%s (%s)", pod.Metadata.Name, pod.Spec.NodeName))
		}
	}
	slices.Sort(lacking)
	return lacking
}

// checkIdentity refuses backups while pods of Longhorn's cannot have the bucket's identity, because they are older than it. The target
// would be available all the same, because only the managers look at it, and each backup would fail. An instance manager must not be
// restarted for it: the volumes on it stand still with it.
func (k *keeper) checkIdentity(ctx context.Context, variable string) error {
	if variable == "" {
		return nil
	}
	var all identityPods
	if _, err := k.live.Get(ctx, "/api/v1/namespaces/"+namespaceName+"/pods", &all); err != nil {
		return k.unknown("Longhorn's pods", err)
	}
	lacking := all.without(variable)
	if len(lacking) == 0 {
		return nil
	}
	if len(lacking) > maxNamed {
		lacking = append(lacking[:maxNamed], fmt.Sprintf("and %d more", len(lacking)-maxNamed))
	}
	return fmt.Errorf("storage.backup.managed: pods of Longhorn's are older than the bucket's identity, which a pod gets when it is made: %s. "+
		"Restart the managers (kubectl -n %s rollout restart daemonset %s), and drain each node that has an instance manager among them, one "+
		"at a time, until its volumes are healthy again (docs/operations.md, \"Backups\"); then pulumi up again. Or give Longhorn a key: "+
		"a bucket of yours, %s and %s", strings.Join(lacking, ", "), namespaceName, managerApp, targetKey, credentialsKey)
}
