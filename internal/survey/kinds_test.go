package survey_test

import (
	"slices"
	"testing"
)

const (
	operatorKinds = "GET /apis/monitoring.coreos.com/v1"
	snapshotKinds = "GET /apis/snapshot.storage.k8s.io/v1"
)

// served is what the API server says of a group of kinds.
func served(kinds ...string) object {
	resources := []object{}
	for _, kind := range kinds {
		resources = append(resources, object{"name": kind})
	}
	return object{"kind": "APIResourceList", "resources": resources}
}

// The update would end half-way, at the first object of a kind that is not there.
func TestOperator_IsThereBeforeItsObjectsAreMade(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		monitor, rule bool
		served        []string
		blocks        string
	}{
		"nothing asked for": {},
		"no operator": {
			monitor: true, rule: true,
			blocks: `iris.metrics: got "serviceMonitor", want the Prometheus Operator in the cluster first: it has no CustomResourceDefinition servicemonitors`,
		},
		"no rules": {
			monitor: true, rule: true, served: []string{"servicemonitors"},
			blocks: `iris.alerts: got "true", want the Prometheus Operator in the cluster first: it has no CustomResourceDefinition prometheusrules`,
		},
		"all of it": {monitor: true, rule: true, served: []string{"prometheusrules", "servicemonitors"}},
	} {
		a, n := healthy(), needs()
		n.Database.ServiceMonitor, n.Database.PrometheusRule = test.monitor, test.rule
		if test.served != nil {
			a.answers[operatorKinds] = served(test.served...)
		}
		found, err := look(t, a, n)
		if err != nil {
			t.Fatal(err)
		}
		if name == "no operator" { // Both at once.
			if len(found.Blocking) != 2 {
				t.Errorf("%s: %v", name, found.Blocking)
			}
			found.Blocking = found.Blocking[:1]
		}
		expect(t, name, found.Blocking, test.blocks)
		expect(t, name, found.Warnings, "")
		if asked := slices.Contains(a.asked, operatorKinds); asked != test.monitor {
			t.Errorf("%s: asked: %v", name, asked)
		}
	}
}

// A class alone would be made, and the first snapshot refused or never taken.
func TestSnapshots_NeedAllTheirKinds(t *testing.T) {
	t.Parallel()
	const want = `storage.snapshotClasses: got "true", want the CustomResourceDefinitions and the snapshot-controller of ` +
		`kubernetes-csi/external-snapshotter in the cluster first (docs/operations.md, "Snapshots by kubectl"): it has no CustomResourceDefinition `
	for name, test := range map[string]struct {
		asked          bool
		answer         any
		blocks, warned string
	}{
		"not asked for": {},
		"none": {asked: true, blocks: want + "volumesnapshotclasses.snapshot.storage.k8s.io, volumesnapshotcontents.snapshot.storage.k8s.io, " +
			"volumesnapshots.snapshot.storage.k8s.io; or without: pulumi config rm --path storage.snapshotClasses"},
		"one is missing": {asked: true, answer: served("volumesnapshotclasses", "volumesnapshots"), blocks: want + "volumesnapshotcontents.snapshot.storage.k8s.io;"},
		"all of them":    {asked: true, answer: served("volumesnapshotclasses", "volumesnapshotcontents", "volumesnapshots", "volumesnapshots/status")},
		"no answer": {
			asked: true, answer: failure{500, "broken"}, warned: "could not look at the kinds of VolumeSnapshots, and so did not check it",
		},
	} {
		a, n := healthy(), needs()
		n.Storage.SnapshotClasses = test.asked
		if test.answer != nil {
			a.answers[snapshotKinds] = test.answer
		}
		found, err := look(t, a, n)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, name, found.Blocking, test.blocks)
		expect(t, name, found.Warnings, test.warned)
		if asked := slices.Contains(a.asked, snapshotKinds); asked != test.asked {
			t.Errorf("%s: asked: %v", name, asked)
		}
	}
}
