package survey

import (
	"context"
	"slices"

	"ha-iris/internal/live"
)

// operatorGroup is where the API server lists the kinds of the Prometheus Operator. Everybody may read that.
const operatorGroup = "/apis/monitoring.coreos.com/v1"

// kinds is what the API server serves of a group.
type kinds struct {
	Resources []kindName `json:"resources"`
}

type kindName struct {
	Name string `json:"name"`
}

// wanted are the operator's kinds that are made, with the key that asks for each and its value.
func (d Database) wanted() map[string][2]string {
	wanted := map[string][2]string{}
	if d.ServiceMonitor {
		wanted["servicemonitors"] = [2]string{"iris.metrics", "serviceMonitor"}
	}
	if d.PrometheusRule {
		wanted["prometheusrules"] = [2]string{"iris.alerts", "true"}
	}
	return wanted
}

// readOperator asks only when something of the operator's is made.
func readOperator(ctx context.Context, cluster *live.Cluster, needs Database) answer[kinds] {
	if len(needs.wanted()) == 0 {
		return answer[kinds]{}
	}
	return read[kinds](ctx, cluster, operatorGroup)
}

// checkOperator refuses a stack that the update would leave half-made: at an object of a kind that the cluster does not know.
func checkOperator(facts *facts, needs Database, found *findings) {
	if !facts.operator.known() {
		return
	}
	wanted := needs.wanted()
	for _, kind := range []string{"servicemonitors", "prometheusrules"} {
		key, asked := wanted[kind]
		served := slices.Contains(facts.operator.value.Resources, kindName{kind})
		if asked && !served {
			found.list(true).Add(key[0], key[1], "the Prometheus Operator in the cluster first: it has no CustomResourceDefinition "+kind+
				".monitoring.coreos.com; or without: pulumi config rm --path "+key[0])
		}
	}
}
