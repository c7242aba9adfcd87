package survey

import (
	"context"
	"slices"
	"strings"

	"ha-iris/internal/live"
)

// The groups of kinds that are no part of Kubernetes.
const (
	operatorGroup = "monitoring.coreos.com"
	snapshotGroup = "snapshot.storage.k8s.io"
)

// kinds is what the API server serves of a group.
type kinds struct {
	Resources []kindName `json:"resources"`
}

type kindName struct {
	Name string `json:"name"`
}

// missing returns the wanted kinds that are not served, each as its CustomResourceDefinition is named.
func (k kinds) missing(wanted wantedKinds) []string {
	var missing []string
	for _, name := range wanted.names {
		if !slices.Contains(k.Resources, kindName{name}) {
			missing = append(missing, name+"."+wanted.group)
		}
	}
	return missing
}

// wantedKinds are kinds that an object of the stack's needs.
type wantedKinds struct {
	group string
	names []string
	// key asks for the object, with that value.
	key, value string
	// install is what brings the kinds.
	install string
}

// wanted are the kinds that the cluster must have before anything is made.
func (n Needs) wanted() []wantedKinds {
	var wanted []wantedKinds
	const operator = "the Prometheus Operator in the cluster first"
	if n.Database.ServiceMonitor {
		wanted = append(wanted, wantedKinds{operatorGroup, []string{"servicemonitors"}, "iris.metrics", "serviceMonitor", operator})
	}
	if n.Database.PrometheusRule {
		wanted = append(wanted, wantedKinds{operatorGroup, []string{"prometheusrules"}, "iris.alerts", "true", operator})
	}
	if n.Storage.SnapshotClasses {
		// The class alone would do for the update, and nobody could take a snapshot.
		wanted = append(wanted, wantedKinds{
			group: snapshotGroup,
			names: []string{"volumesnapshotclasses", "volumesnapshotcontents", "volumesnapshots"},
			key:   "storage.snapshotClasses",
			value: "true",
			install: "the CustomResourceDefinitions and the snapshot-controller of kubernetes-csi/external-snapshotter in the cluster first " +
				"(docs/operations.md, \"Snapshots by kubectl\")",
		})
	}
	return wanted
}

// readKinds asks only when something of the group is made. Everybody may read what the API server serves.
func readKinds(ctx context.Context, cluster *live.Cluster, needs Needs, group string) answer[kinds] {
	if !slices.ContainsFunc(needs.wanted(), func(one wantedKinds) bool { return one.group == group }) {
		return answer[kinds]{}
	}
	return read[kinds](ctx, cluster, "/apis/"+group+"/v1")
}

// checkKinds refuses a stack that the update would leave half-made: at an object of a kind that the cluster does not know.
func checkKinds(facts *facts, needs Needs, found *findings) {
	served := map[string]answer[kinds]{operatorGroup: facts.operator, snapshotGroup: facts.snapshots}
	for _, wanted := range needs.wanted() {
		answer := served[wanted.group]
		if missing := answer.value.missing(wanted); answer.known() && len(missing) > 0 {
			found.list(true).Add(wanted.key, wanted.value, wanted.install+": it has no CustomResourceDefinition "+
				strings.Join(missing, ", ")+"; or without: pulumi config rm --path "+wanted.key)
		}
	}
}
