package survey_test

import (
	"slices"
	"testing"
)

const operatorKinds = "GET /apis/monitoring.coreos.com/v1"

// operator is what the API server says of the Prometheus Operator's group.
func operator(kinds ...string) object {
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
			a.answers[operatorKinds] = operator(test.served...)
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
