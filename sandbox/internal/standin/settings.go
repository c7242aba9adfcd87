package standin

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// appliedAnnotation remembers which version of the ConfigMap a setting was last taken from. Longhorn re-asserts the
// listed values when it changes, and leaves manual edits alone until then.
const appliedAnnotation = "longhorn.io/configmap-resource-version"

// setting defines one of Longhorn's settings.
type setting struct {
	name    string
	kind    settingKind
	value   string
	choices []string
	// perEngine settings hold one value per data engine, as JSON; a plain value counts for all of them.
	perEngine bool
}

type settingKind string

const (
	text   settingKind = "text"
	number settingKind = "number"
	truth  settingKind = "truth"
)

// definitions are the settings of Longhorn 1.12.1 that the chart has keys for, with its built-in defaults.
func definitions() []setting {
	return slices.Concat(failoverSettings(), schedulingSettings(), backupSettings(), systemSettings())
}

func failoverSettings() []setting {
	return []setting{
		{name: "node-down-pod-deletion-policy", kind: text, value: "do-nothing", choices: []string{
			"do-nothing", "delete-statefulset-pod", "delete-deployment-pod", "delete-both-statefulset-and-deployment-pod",
		}},
		{name: "node-drain-policy", kind: text, value: "block-if-contains-last-replica", choices: []string{
			"block-for-eviction", "block-for-eviction-if-contains-last-replica", "block-if-contains-last-replica",
			"allow-if-replica-is-stopped", "always-allow",
		}},
		{name: "auto-delete-pod-when-volume-detached-unexpectedly", kind: truth, value: "true"},
		{name: "blacklist-for-auto-delete-pod-when-volume-detached-unexpectedly", kind: text},
		{name: "auto-salvage", kind: truth, value: "true"},
		{name: "detach-manually-attached-volumes-when-cordoned", kind: truth, value: "false"},
		{name: "replica-replenishment-wait-interval", kind: number, value: "600"},
		{name: "concurrent-replica-rebuild-per-node-limit", kind: number, value: "5"},
		{name: "engine-replica-timeout", kind: number, value: `{"v1":"8","v2":"8"}`, perEngine: true},
		{name: "offline-replica-rebuilding", kind: truth, value: "false"},
		{name: "rwx-volume-fast-failover", kind: truth, value: "false"},
		{name: "kubernetes-cluster-autoscaler-enabled", kind: truth, value: "false"},
	}
}

func schedulingSettings() []setting {
	locality := []string{"disabled", "best-effort", "strict-local"}
	return []setting{
		{name: "default-replica-count", kind: number, value: `{"v1":"3","v2":"3"}`, perEngine: true},
		{name: "default-data-locality", kind: text, value: "disabled", choices: locality},
		{name: "replica-soft-anti-affinity", kind: truth, value: "false"},
		{name: "replica-zone-soft-anti-affinity", kind: truth, value: "true"},
		{name: "replica-disk-soft-anti-affinity", kind: truth, value: "true"},
		{name: "replica-auto-balance", kind: text, value: "disabled", choices: []string{"disabled", "least-effort", "best-effort"}},
		{name: "disable-scheduling-on-cordoned-node", kind: truth, value: "true"},
		{name: "create-default-disk-labeled-nodes", kind: truth, value: "false"},
		{name: "default-data-path", kind: text, value: "/var/lib/longhorn/"},
		{name: "storage-over-provisioning-percentage", kind: number, value: "100"},
		{name: "storage-minimal-available-percentage", kind: number, value: "25"},
		{name: "storage-reserved-percentage-for-default-disk", kind: number, value: "30"},
		{name: "allow-volume-creation-with-degraded-availability", kind: truth, value: "true"},
		{name: "allow-empty-node-selector-volume", kind: truth, value: "true"},
		{name: "allow-empty-disk-selector-volume", kind: truth, value: "true"},
		{name: "csi-allowed-topology-keys", kind: text},
		{name: "csi-storage-capacity-tracking", kind: truth, value: "false"},
	}
}

func backupSettings() []setting {
	return []setting{
		{name: "snapshot-data-integrity", kind: text, value: `{"v1":"fast-check","v2":"fast-check"}`, perEngine: true, choices: []string{
			"disabled", "enabled", "fast-check",
		}},
		{name: "snapshot-data-integrity-immediate-check-after-snapshot-creation", kind: truth, value: `{"v1":"false","v2":"false"}`, perEngine: true},
		{name: "snapshot-data-integrity-cronjob", kind: text, value: `{"v1":"0 0 */7 * *","v2":"0 0 */7 * *"}`, perEngine: true},
		{name: "fast-replica-rebuild-enabled", kind: truth, value: `{"v1":"true","v2":"true"}`, perEngine: true},
		{name: "freeze-filesystem-for-snapshot", kind: truth, value: `{"v1":"false"}`, perEngine: true},
		{name: "snapshot-max-count", kind: number, value: "250"},
		{name: "snapshot-count-warning-threshold", kind: number, value: "100"},
		{name: "snapshot-heavy-task-concurrent-limit", kind: number, value: "5"},
		{name: "auto-cleanup-system-generated-snapshot", kind: truth, value: "true"},
		{name: "auto-cleanup-recurring-job-backup-snapshot", kind: truth, value: "true"},
		{name: "auto-cleanup-snapshot-when-delete-backup", kind: truth, value: "false"},
		{name: "auto-cleanup-snapshot-after-on-demand-backup-completed", kind: truth, value: "false"},
		{name: "failed-backup-ttl", kind: number, value: "1440"},
		{name: "backup-execution-timeout", kind: number, value: "1"},
		{name: "backup-compression-method", kind: text, value: "lz4", choices: []string{"none", "lz4", "gzip"}},
		{name: "backup-concurrent-limit", kind: number, value: "2"},
		{name: "restore-concurrent-limit", kind: number, value: "2"},
		{name: "default-backup-block-size", kind: number, value: "2"},
		{name: "concurrent-volume-backup-restore-per-node-limit", kind: number, value: "5"},
		{name: "allow-recurring-job-while-volume-detached", kind: truth, value: "false"},
		{name: "restore-volume-recurring-jobs", kind: truth, value: "false"},
		{name: "recurring-successful-jobs-history-limit", kind: number, value: "1"},
		{name: "recurring-failed-jobs-history-limit", kind: number, value: "1"},
		{name: "recurring-job-max-retention", kind: number, value: "100"},
		{name: "remove-snapshots-during-filesystem-trim", kind: truth, value: "false"},
		{name: "disable-snapshot-purge", kind: truth, value: "false"},
	}
}

func systemSettings() []setting {
	return []setting{
		{name: "guaranteed-instance-manager-cpu", kind: number, value: `{"v1":"12","v2":"12"}`, perEngine: true},
		{name: "priority-class", kind: text, value: "longhorn-critical"},
		{name: "taint-toleration", kind: text},
		{name: "system-managed-components-node-selector", kind: text},
		{name: "system-managed-pods-image-pull-policy", kind: text, value: "if-not-present", choices: []string{
			"if-not-present", "always", "never",
		}},
		{name: "system-managed-csi-components-resource-limits", kind: text},
		{name: "orphan-resource-auto-deletion", kind: text},
		{name: "orphan-resource-auto-deletion-grace-period", kind: number, value: "300"},
		{name: "concurrent-automatic-engine-upgrade-per-node-limit", kind: number, value: "0"},
		{name: "deleting-confirmation-flag", kind: truth, value: "false"},
		{name: "upgrade-checker", kind: truth, value: "true"},
		{name: "upgrade-responder-url", kind: text},
		{name: "manager-url", kind: text},
		{name: "allow-collecting-longhorn-usage-metrics", kind: truth, value: "true"},
		{name: "log-level", kind: text, value: "Info"},
		{name: "v1-data-engine", kind: truth, value: "true"},
		{name: "v2-data-engine", kind: truth, value: "false"},
		{name: "disable-revision-counter", kind: truth, value: `{"v1":"true"}`, perEngine: true},
		{name: "default-longhorn-static-storage-class", kind: text, value: "longhorn-static"},
		{name: "kubernetes-metrics-server-metrics-enabled", kind: truth, value: "true"},
		{name: "storage-network", kind: text},
		{name: "endpoint-network-for-rwx-volume", kind: text},
		{name: "replica-rebuild-concurrent-sync-limit", kind: number, value: "1"},
	}
}

func defaultOf(name string) string {
	for _, defined := range definitions() {
		if defined.name == name {
			return defined.value
		}
	}
	return ""
}

// accept returns the value as Longhorn stores it, or why Longhorn would not take it.
func (s setting) accept(value string) (string, error) {
	if !s.perEngine {
		return value, s.check(value)
	}
	engines := map[string]string{}
	if json.Unmarshal([]byte(value), &engines) != nil { // a plain value is meant for every engine the setting supports
		supported := map[string]string{}
		if err := json.Unmarshal([]byte(s.value), &supported); err != nil {
			return "", fmt.Errorf("default of setting %s: %w", s.name, err)
		}
		for engine := range supported {
			engines[engine] = value
		}
	}
	for _, one := range engines {
		if err := s.check(one); err != nil {
			return "", err
		}
	}
	encoded, err := json.Marshal(engines)
	if err != nil {
		return "", fmt.Errorf("encode setting %s: %w", s.name, err)
	}
	return string(encoded), nil
}

func (s setting) check(value string) error {
	switch s.kind {
	case truth:
		if _, err := strconv.ParseBool(value); err != nil {
			return fmt.Errorf("%q: want true or false", value)
		}
	case number:
		if _, err := strconv.Atoi(value); err != nil {
			return fmt.Errorf("%q: want a whole number", value)
		}
	case text:
		if len(s.choices) > 0 && !slices.Contains(s.choices, value) {
			return fmt.Errorf("%q: want one of %v", value, s.choices)
		}
	}
	return nil
}

// syncSettings creates Longhorn's settings and applies the chart's values to them, as longhorn-manager does: unknown
// names and values of the wrong kind are skipped with no more than a log line.
func (c *standIn) syncSettings(ctx context.Context, namespace string) error {
	config, err := c.cache.configMaps.ConfigMaps(namespace).Get(settingsConfigMap)
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("look up Longhorn's default settings: %w", err)
	}
	values, version := c.readSettings(config)
	current := namespace + "@" + version
	if c.settingsApplied == current {
		return nil
	}
	for _, defined := range definitions() {
		value, listed := values[defined.name]
		delete(values, defined.name)
		if listed {
			if value, err = defined.accept(value); err != nil {
				c.log.Warn("default setting skipped: invalid value", "setting", defined.name, "error", err)
				listed = false
			}
		}
		if err := c.syncSetting(ctx, namespace, defined, value, listed, version); err != nil {
			return err
		}
	}
	for name := range values {
		c.log.Warn("default setting skipped: Longhorn has no such setting", "setting", name)
	}
	c.settingsApplied = current
	return nil
}

// readSettings returns the ConfigMap's values and its version.
func (c *standIn) readSettings(config *corev1.ConfigMap) (map[string]string, string) {
	values := map[string]string{}
	if config == nil {
		return values, ""
	}
	raw := map[string]any{}
	if err := yaml.Unmarshal([]byte(config.Data[settingsKey]), &raw); err != nil {
		c.log.Warn("default settings skipped: not YAML", "error", err)
		return values, config.ResourceVersion
	}
	for name, value := range raw {
		values[name] = settingText(value)
	}
	return values, config.ResourceVersion
}

// settingText writes a YAML value the way Longhorn stores it: numbers without an exponent, maps as JSON.
func settingText(value any) string {
	switch typed := value.(type) {
	case string:
		return typed
	case nil:
		return ""
	default:
		// JSON of a number, a truth value or a map of those is what Longhorn stores for it.
		encoded, err := json.Marshal(typed)
		if err != nil {
			return fmt.Sprint(typed)
		}
		return string(encoded)
	}
}

func (c *standIn) syncSetting(ctx context.Context, namespace string, defined setting, value string, listed bool, version string) error {
	object, err := c.longhorn.get(ctx, namespace, settings, defined.name)
	if err != nil {
		return err
	}
	if object == nil {
		if !listed {
			value = defined.value
		}
		return c.longhorn.create(ctx, settings, newSetting(namespace, defined.name, value, version))
	}
	if !listed || object.GetAnnotations()[appliedAnnotation] == version {
		return nil // a value that left the ConfigMap is not reset, and a manual edit stays until the ConfigMap changes
	}
	updated := object.DeepCopy()
	updated.Object["value"] = value
	annotate(updated, appliedAnnotation, version)
	return c.longhorn.update(ctx, settings, updated)
}

func newSetting(namespace, name, value, version string) *unstructured.Unstructured {
	object := newObject(namespace, settings, name)
	object.Object["value"] = value
	annotate(object, appliedAnnotation, version)
	object.Object["status"] = map[string]any{"applied": true}
	return object
}

func annotate(object *unstructured.Unstructured, key, value string) {
	annotations := object.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[key] = value
	object.SetAnnotations(annotations)
}
