package storage

import "ha-iris/internal/traits"

// chartValues renders the values of Longhorn's chart. Only values whose default is wrong for a single database that has
// to recover by itself are set.
func chartValues(cfg Config, nodes traits.Storage, allowUninstall bool) map[string]any {
	values := map[string]any{
		"persistence": map[string]any{
			// The database has its own class; a second default class besides the cluster's would affect other workloads.
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
		// Otherwise Longhorn starts a probe pod to find it.
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
		// A drain waits only while the node holds the last healthy replica.
		"nodeDrainPolicy": "block-if-contains-last-replica",
		// Replicas on the same node are lost together, so one per node. Zones are preferred, not required: after the loss of a
		// zone the third replica must be allowed in one of the two that are left.
		"replicaSoftAntiAffinity":     false,
		"replicaZoneSoftAntiAffinity": true,
		// Spreads the replicas again when a node comes back. best-effort had a create/delete loop before 1.12 (longhorn#12926).
		"replicaAutoBalance": "least-effort",
		// Otherwise a new volume could have fewer replicas than configured without an error. Longhorn's advice for production.
		"allowVolumeCreationWithDegradedAvailability": false,
		// For volumes created in Longhorn's UI; for PVCs the class has the number.
		"defaultReplicaCount": cfg.Replicas,
		"defaultDataPath":     dataPath,
		// Only nodes that were given a data disk; otherwise replicas could be placed on a root disk.
		"createDefaultDiskLabeledNodes": nodes.LabelledDisksOnly,
		// No overprovisioning: a full disk stops the database.
		"storageOverProvisioningPercentage": 100,
		// Longhorn's recommendation of 3; the default 0 leaves volumes on the old engine after an upgrade.
		"concurrentAutomaticEngineUpgradePerNodeLimit": 3,
		// Otherwise the old replica directories of a node that comes back after a rebuild elsewhere fill its disk.
		"orphanResourceAutoDeletion": "replica-data;instance",
		// True lets the chart's uninstall hook wipe every volume, attached or not; false makes it fail. It follows
		// iris.protectData, so that an unintended uninstall deletes no data and an intended destroy works.
		"deletingConfirmationFlag": allowUninstall,
	}
	if nodes.SurgeNodes {
		// A drain waits until all replicas of the node have moved to the new one. With three nodes and no fourth it would wait for
		// ever, so only where the cloud adds one first.
		all["nodeDrainPolicy"] = "block-for-eviction"
	}
	if nodes.NewDisks {
		// Longhorn's default of 600 s is for a node that returns with its replica. 60 s cover a reboot.
		all["replicaReplenishmentWaitInterval"] = 60
	}
	if nodes.DedicatedDisk {
		// Nothing else is on the disk, so the 25 % and 30 % that Longhorn keeps free for a root disk are too much;
		// 10 % is what its best practices advise for a dedicated one; below it no new replica is placed.
		all["storageMinimalAvailablePercentage"] = 10
		all["storageReservedPercentageForDefaultDisk"] = 0
	}
	return all
}

// ownerKey is this program's own key in the chart's values. Longhorn's chart does not use it, and Helm accepts unknown keys.
const ownerKey = "haIris"

// own adds to the values what this program reads back later: the stack, from Helm's record of the release, and the class.
// It is added last, so that storage.values cannot override it.
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
