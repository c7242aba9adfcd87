package storage_test

import (
	"testing"

	"ha-iris/internal/testkit"
	"ha-iris/storage"
)

const monitorType = "kubernetes:monitoring.coreos.com/v1:ServiceMonitor"

func TestMonitor_IsMadeWhenAskedForAndNotASecondOne(t *testing.T) {
	t.Parallel()
	of := func(values map[string]any) storage.Config {
		cfg := storage.DefaultConfig()
		cfg.Values = values
		return cfg
	}
	chart := map[string]any{"metrics": map[string]any{"serviceMonitor": map[string]any{"enabled": true}}}
	for name, test := range map[string]struct {
		args storage.Args
		made bool
	}{
		"asked for":     {storage.Args{Config: of(nil), Monitor: true}, true},
		"not asked for": {storage.Args{Config: of(nil)}, false},
		"by the chart":  {storage.Args{Config: of(chart), Monitor: true}, false},
		"not installed": {storage.Args{Config: storage.Config{ClassName: "fast"}, Monitor: true}, false},
	} {
		test.args.Traits, test.args.MonitorLabels = dedicated(), map[string]string{"release": "prometheus"}
		recorder := run(t, test.args, false)
		made := false
		for _, one := range recorder.Registrations() {
			made = made || one.TypeToken == monitorType
		}
		if made != test.made {
			t.Errorf("%s: made: %v", name, made)
		}
		if !made {
			continue
		}
		monitor := recorder.One(t, monitorType, "ha-iris-longhorn")
		if !dependsOn(monitor, releaseType) {
			t.Errorf("%s: it does not wait for the release, which may bring its namespace", name)
		}
		leaves := testkit.Leaves(monitor.Inputs)
		for path, want := range map[string]string{
			".metadata.namespace": "longhorn-system", ".metadata.labels.release": "prometheus", ".spec.selector.matchLabels.app": "longhorn-manager",
			".spec.endpoints[0].port": "manager",
		} {
			if leaves[path].Text != want {
				t.Errorf("%s: %s is %q, want %q", name, path, leaves[path].Text, want)
			}
		}
	}
}
