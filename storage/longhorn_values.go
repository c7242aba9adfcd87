package storage

import "ha-iris/internal/traits"

// chartValues renders the values of Longhorn's chart. Every value stands here because the default would be wrong for a
// single database that has to come back by itself; all else is left to Longhorn.
func chartValues(cfg Config, nodes traits.Storage, allowUninstall bool) map[string]any {
	values := map[string]any{
		"persistence": map[string]any{
			// Our own class serves the database; a second default class next to the cluster's own would be a trap for
			// everybody else.
			"defaultClass": false,
		},
		"networkPolicies": map[string]any{
			// On by default in 1.12.1 and blocks iSCSI from the host on CNIs that enforce NetworkPolicy, so that volumes
			// never attach (longhorn#13802). Remove with 1.12.2.
			"restrictInternalTraffic": false,
		},
		"defaultSettings": settings(cfg, nodes, allowUninstall),
	}
	if nodes.KubeletRootDir != "" {
		// Skips the probe pod with which Longhorn would look for it.
		values["csi"] = map[string]any{"kubeletRootDir": nodes.KubeletRootDir}
	}
	if cfg.Secret {
		return merge(values, secretValues(cfg.Values))
	}
	return merge(values, cfg.Values)
}

func settings(cfg Config, nodes traits.Storage, allowUninstall bool) map[string]any {
	all := map[string]any{
		// Longhorn's default is do-nothing: the pod of a dead node stays Terminating and its replacement waits for the
		// volume for ever (longhorn-manager kubernetes_pod_controller.go).
		"nodeDownPodDeletionPolicy": "delete-both-statefulset-and-deployment-pod",
		// A drain waits while the node holds the last healthy copy, and only then.
		"nodeDrainPolicy": "block-if-contains-last-replica",
		// Two copies on one node are one copy. Zones are preferred, not required: after the loss of a zone the third copy
		// must be allowed to go to one of the two that are left.
		"replicaSoftAntiAffinity":     false,
		"replicaZoneSoftAntiAffinity": true,
		// Spreads the copies again when a node comes back. best-effort had a create/delete loop before 1.12 (longhorn#12926).
		"replicaAutoBalance": "least-effort",
		// A new volume with fewer copies than asked for would look fine and not be. Longhorn's advice for production.
		"allowVolumeCreationWithDegradedAvailability": false,
		// For volumes made in Longhorn's UI; the class decides for claims.
		"defaultReplicaCount": cfg.Replicas,
		"defaultDataPath":     nodes.DataPath,
		// Only nodes that were given a data disk; otherwise replicas would silently land on a root disk.
		"createDefaultDiskLabeledNodes": nodes.LabelledDisksOnly,
		// No promise of more space than there is: a full disk stops the database.
		"storageOverProvisioningPercentage": 100,
		// Longhorn's recommendation of 3; the default 0 leaves volumes on the old engine after an upgrade.
		"concurrentAutomaticEngineUpgradePerNodeLimit": 3,
		// Replica directories of nodes that came back after their copy was rebuilt elsewhere fill the disk otherwise.
		"orphanResourceAutoDeletion": "replica-data;instance",
		// True lets the chart's uninstall hook wipe every volume, attached or not; false makes it fail. It follows
		// iris.protectData, so that a stray uninstall loses nothing and an announced destroy works.
		"deletingConfirmationFlag": allowUninstall,
	}
	if nodes.DedicatedDisk {
		// Nothing else lives on the disk, so the 25 % and 30 % that Longhorn keeps free for a root disk are too much;
		// 10 % is what its best practices advise for a dedicated one; below it no new replica is placed.
		all["storageMinimalAvailablePercentage"] = 10
		all["storageReservedPercentageForDefaultDisk"] = 0
	}
	return all
}

// ownerKey is the key in the chart's values that is ours. Longhorn's chart has no such key, and Helm no objection.
const ownerKey = "haIris"

// own puts into the values what this program wants to find in Helm's record of the release: whose it is, and what the class
// was like. Nobody may set it, so it is added last.
func own(values map[string]any, owner string, class classSpec) map[string]any {
	return merge(values, map[string]any{ownerKey: map[string]any{"stack": owner, "class": class.values()}})
}

// merge lays over on top of base, object by object. Neither is changed.
func merge(base, over map[string]any) map[string]any {
	merged := make(map[string]any, len(base)+len(over))
	for key, value := range base {
		merged[key] = value
	}
	for key, value := range over {
		baseObject, baseIsObject := merged[key].(map[string]any)
		overObject, overIsObject := value.(map[string]any)
		if baseIsObject && overIsObject {
			merged[key] = merge(baseObject, overObject)
			continue
		}
		merged[key] = value
	}
	return merged
}
