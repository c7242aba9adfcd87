package survey

import (
	"context"
	"slices"
	"strings"
	"sync"

	"ha-iris/internal/live"
)

// Right is one that the user may have or not, as a SelfSubjectAccessReview has it. Without a namespace it is one in all of them, or to objects
// that are in none.
type Right struct {
	Verb      string `json:"verb"`
	Group     string `json:"group"`
	Resource  string `json:"resource"`
	Namespace string `json:"namespace,omitempty"`
}

// Rights are those to several verbs of resources, written RESOURCE or RESOURCE.GROUP.
func Rights(namespace string, verbs []string, names ...string) []Right {
	var rights []Right
	for _, name := range names {
		resource, group, _ := strings.Cut(name, ".")
		for _, verb := range verbs {
			rights = append(rights, Right{verb, group, resource, namespace})
		}
	}
	return rights
}

// String is how messages have it.
func (r Right) String() string {
	name := r.Resource
	if r.Group != "" {
		name += "." + r.Group
	}
	if r.Namespace != "" {
		name += " in " + r.Namespace
	}
	return r.Verb + " " + name
}

// rightsFor are the rights that an installation takes. Each object is looked for before it is made (internal/owner). The provider applies
// on the server's side, which is a patch that also needs the right to create; Helm looks and creates.
func rightsFor(needs Needs) []Right {
	read, create, apply := []string{"get"}, []string{"get", "create"}, []string{"get", "create", "patch"}
	rights := Rights("", apply, "namespaces", "priorityclasses.scheduling.k8s.io")
	rights = append(rights, Rights(needs.Database.Namespace, apply, "persistentvolumeclaims", "configmaps", "secrets", "services",
		"deployments.apps", "networkpolicies.networking.k8s.io")...)
	if len(needs.Database.PerNode) > 0 {
		rights = append(rights, Rights(needs.Database.Namespace, apply, "daemonsets.apps")...)
	}
	if needs.Database.ServiceMonitor {
		rights = append(rights, Rights(needs.Database.Namespace, apply, "servicemonitors.monitoring.coreos.com")...)
	}
	if needs.Database.PrometheusRule {
		rights = append(rights, Rights(needs.Database.Namespace, apply, "prometheusrules.monitoring.coreos.com")...)
	}
	if len(needs.Database.GuardRoles) > 0 {
		rights = append(rights, Rights("", apply, "clusterroles.rbac.authorization.k8s.io", "clusterrolebindings.rbac.authorization.k8s.io")...)
		rights = append(rights, accountRights(needs, needs.Database.GuardRoles, apply)...)
	}
	if len(needs.Database.BackupRoles) > 0 {
		rights = append(rights, Rights(needs.Database.Namespace, apply, "cronjobs.batch")...)
		rights = append(rights, accountRights(needs, needs.Database.BackupRoles, apply)...)
	}
	rights = append(rights, slices.Concat(needs.Database.Asks, needs.Storage.Asks)...)
	if len(needs.Database.VerifyRoles) > 0 {
		rights = append(rights, Rights("", apply, "clusterroles.rbac.authorization.k8s.io", "clusterrolebindings.rbac.authorization.k8s.io")...)
		rights = append(rights, Rights(needs.Database.Namespace, apply, "cronjobs.batch", "podtemplates")...)
		rights = append(rights, accountRights(needs, needs.Database.VerifyRoles, apply)...)
	}
	if !needs.Storage.Install {
		return rights
	}
	rights = append(rights, Rights("", apply, "storageclasses.storage.k8s.io")...)
	if needs.Storage.SnapshotClasses {
		rights = append(rights, Rights("", apply, "volumesnapshotclasses.snapshot.storage.k8s.io")...)
	}
	rights = append(rights, Rights("", read, needs.Storage.Signs...)...)
	rights = append(rights, Rights("", create, needs.Storage.ClusterObjects...)...)
	rights = append(rights, Rights(needs.Storage.Namespace, []string{"list", "delete"}, needs.Storage.Tidied...)...)
	rights = append(rights, Rights(needs.Storage.Namespace, apply, needs.Storage.Applied...)...)
	rights = append(rights, Rights(needs.Storage.Namespace, []string{"get", "patch"}, needs.Storage.Changed...)...)
	return append(rights, Rights(needs.Storage.Namespace, create, needs.Storage.Objects...)...)
}

// accountRights are those for accounts of the agent's with roles in namespaces. To give a right away one must have it, which is not asked for here: the API
// server says it well.
func accountRights(needs Needs, namespaces, apply []string) []Right {
	rights := Rights("", apply,
		"validatingadmissionpolicies.admissionregistration.k8s.io", "validatingadmissionpolicybindings.admissionregistration.k8s.io")
	rights = append(rights, Rights(needs.Database.Namespace, apply, "serviceaccounts")...)
	for _, namespace := range namespaces {
		rights = append(rights, Rights(namespace, apply, "roles.rbac.authorization.k8s.io", "rolebindings.rbac.authorization.k8s.io")...)
	}
	return rights
}

// missingRights asks for the right to everything, which an administrator has, and one by one only when that is missing.
func missingRights(ctx context.Context, cluster *live.Cluster, needs Needs) ([]Right, error) {
	everything := Right{Verb: "*", Group: "*", Resource: "*"}
	if allowed, err := isAllowed(ctx, cluster, everything); allowed || err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var missing []Right
	var failed error
	var asked sync.WaitGroup
	for _, one := range rightsFor(needs) {
		asked.Go(func() {
			allowed, err := isAllowed(ctx, cluster, one)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				failed = err
			case !allowed && !slices.Contains(missing, one):
				missing = append(missing, one)
			}
		})
	}
	asked.Wait()
	slices.SortFunc(missing, func(a, b Right) int { return strings.Compare(a.String(), b.String()) })
	return missing, failed
}

func isAllowed(ctx context.Context, cluster *live.Cluster, one Right) (bool, error) {
	review := map[string]any{
		"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
		"spec": map[string]any{"resourceAttributes": one},
	}
	var answer struct {
		Status struct {
			Allowed bool `json:"allowed"`
		} `json:"status"`
	}
	err := cluster.Create(ctx, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review, &answer)
	return answer.Status.Allowed, err
}

// checkRights lists all that is missing. On a stack that runs it may never be used again, and a namespace that is there need not be
// made.
func checkRights(facts *facts, needs Needs, found *findings) {
	if !facts.missing.known() {
		return
	}
	var missing []string
	for _, one := range facts.missing.value {
		if one == (Right{Verb: "create", Resource: "namespaces"}) && facts.namespace.found && !needs.Storage.Install {
			continue
		}
		missing = append(missing, one.String())
	}
	if len(missing) > 0 {
		found.list(!facts.running()).AddSecret("cluster.context", "a user who may not "+strings.Join(missing, ", "),
			"one who may, such as one bound to cluster-admin; try: kubectl auth can-i")
	}
}
