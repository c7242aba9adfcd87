package storage

import (
	"ha-iris/internal/survey"
	"ha-iris/internal/traits"
)

// Needs is what this storage asks of a cluster that exists already.
func (c Config) Needs(nodes traits.Storage) survey.Storage {
	values := chartValues(c, nodes, false)
	return survey.Storage{
		Install:   c.Install,
		ClassName: c.ClassName,
		Replicas:  c.Replicas,
		FewerNodes: isTrue(value(values, "defaultSettings", "replicaSoftAntiAffinity")) ||
			isTrue(value(values, "defaultSettings", "allowVolumeCreationWithDegradedAvailability")),
		TaintedNodes: value(values, "global", "tolerations") != nil || value(values, "longhornManager", "tolerations") != nil ||
			value(values, "defaultSettings", "taintToleration") != nil,
		LabelledNodes: isTrue(value(values, "defaultSettings", "createDefaultDiskLabeledNodes")),
	}
}

// value follows keys into the chart's values; nil when there is nothing.
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

// isTrue takes both ways in which people write a setting of Longhorn's.
func isTrue(setting any) bool { return setting == true || setting == "true" }
