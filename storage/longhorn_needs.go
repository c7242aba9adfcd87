package storage

import (
	"ha-iris/internal/survey"
	"ha-iris/internal/traits"
)

func longhornNeeds(c Config, nodes traits.Storage) survey.Storage {
	values := chartValues(c, nodes, false)
	needs := survey.Storage{
		Replicas: c.Replicas,
		FewerNodes: isTrue(value(values, "defaultSettings", "replicaSoftAntiAffinity")) ||
			isTrue(value(values, "defaultSettings", "allowVolumeCreationWithDegradedAvailability")),
		TaintedNodes: value(values, "global", "tolerations") != nil || value(values, "longhornManager", "tolerations") != nil ||
			value(values, "defaultSettings", "taintToleration") != nil,
		// The kinds of objects in the chart.
		Namespace: namespaceName,
		Objects: []string{
			"secrets", "configmaps", "services", "serviceaccounts", "daemonsets.apps", "deployments.apps", "jobs.batch",
			"roles.rbac.authorization.k8s.io", "rolebindings.rbac.authorization.k8s.io",
		},
		ClusterObjects: []string{
			"customresourcedefinitions.apiextensions.k8s.io", "clusterroles.rbac.authorization.k8s.io",
			"clusterrolebindings.rbac.authorization.k8s.io", "priorityclasses.scheduling.k8s.io",
		},
		Signs:  []string{"csidrivers.storage.k8s.io"}, // The other sign is a CustomResourceDefinition, listed above.
		Tidied: []string{"secrets"},                   // Helm's records.

		SnapshotClasses: c.SnapshotClasses,
	}
	if c.Backup.enabled() {
		needs.Applied = []string{"secrets", "recurringjobs.longhorn.io"}
		needs.Changed = []string{"backuptargets.longhorn.io"} // It is asked to be looked at.
	}
	if isTrue(value(values, "defaultSettings", "createDefaultDiskLabeledNodes")) {
		// "config" is for a node whose annotation lists its disks (Longhorn's "Default Disk and Node Configuration").
		needs.NodeLabel, needs.NodeLabelValues = diskLabel, []string{"true", "config"}
	}
	return needs
}

// longhornRestoreAsks are what longhornRestore asks for.
func longhornRestoreAsks(g Generations) []survey.Right {
	var asks []survey.Right
	add := func(verb string, resources ...string) {
		asks = append(asks, survey.Rights(namespaceName, []string{verb}, resources...)...)
	}
	if g.restores() {
		add("get", "volumes.longhorn.io")
		add("list", "engines.longhorn.io") // How far it is.
	}
	if g.Backup != "" {
		add("get", "backups.longhorn.io", "backuptargets.longhorn.io")
	}
	if max(g.Oldest, 1) < g.Newest {
		add("patch", "volumes.longhorn.io") // Old volumes are rebuilt though nothing uses them.
	}
	return asks
}

// value returns the chart's value at a path of keys; nil when there is none.
func value(values map[string]any, keys ...string) any {
	var current any = values
	for _, key := range keys {
		object, ok := current.(map[string]any)
		if !ok {
			return nil
		}
		current = object[key]
	}
	return current
}

// isTrue accepts a setting of Longhorn's as a boolean or as a string.
func isTrue(setting any) bool { return setting == true || setting == "true" }
