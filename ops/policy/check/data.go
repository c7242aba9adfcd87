package check

import (
	"regexp"
	"slices"
	"strings"
)

// longhornChart matches the chart however it is named: longhorn, oci://.../longhorn, ./charts/longhorn-1.12.1.tgz.
var longhornChart = regexp.MustCompile(`(^|/)longhorn(-[0-9][^/]*)?(\.tgz)?/?$`)

// clusterTypes match clusters and node pools, by the ends of their types: with Longhorn the data are on the nodes' disks,
// and go with them.
var clusterTypes = regexp.MustCompile(`^(azure-native:containerservice(/v\w+)?:(ManagedCluster|AgentPool)|` +
	`azure:containerservice/\w+:(KubernetesCluster|KubernetesClusterNodePool)|` +
	`aws:eks/\w+:(Cluster|NodeGroup)|aws-native:eks:(Cluster|Nodegroup)|eks:index:(Cluster|ManagedNodeGroup|NodeGroup|NodeGroupV2)|` +
	`gcp:container/\w+:(Cluster|NodePool)|google-native:container/v\w+:(Cluster|NodePool))$`)

func (r *resource) isLonghorn() bool {
	return r.isChart() && longhornChart.MatchString(r.text("chart"))
}

// claimsVolumes reports whether the resource asks for volumes in its namespace.
func (r *resource) claimsVolumes() bool {
	templates, _ := at(r.Inputs, "spec", "volumeClaimTemplates").([]any)
	return r.isCore("PersistentVolumeClaim") || r.isLonghorn() || r.isKubernetes() && len(templates) > 0
}

// namespaces are the namespaces that hold data.
type namespaces struct {
	names map[string]bool
	urns  map[string]bool
}

func dataNamespaces(all []*resource) namespaces {
	found := namespaces{names: map[string]bool{}, urns: map[string]bool{}}
	for _, r := range all {
		if !r.claimsVolumes() {
			continue
		}
		for _, path := range [][]string{{"metadata", "namespace"}, {"namespace"}} {
			if name := r.text(path...); name != "" {
				found.names[name] = true
			}
			// While the namespace's name is not known, which namespace it is can only be seen by the dependency.
			for _, urn := range r.PropertyDependencies[path[0]] {
				found.urns[urn] = true
			}
		}
	}
	return found
}

func (n namespaces) hold(r *resource) bool {
	return r.isCore("Namespace") && (n.names[r.text("metadata", "name")] || n.urns[r.URN])
}

// checkProtection asks for Pulumi's protect on what holds data. It is the namespace's too: Kubernetes deletes a namespace
// with everything in it, without a look at Pulumi's marks on that.
func checkProtection(s *Stack, report reporter) {
	const want = "protect: true"
	holding := dataNamespaces(s.resources)
	for _, r := range s.resources {
		switch {
		case r.Protect || strings.HasSuffix(r.Type, "Patch"):
		case r.isCore("PersistentVolumeClaim"):
			report(r, "", "a volume's claim that a destroy would delete", want)
		case r.isLonghorn():
			report(r, "", "Longhorn, whose removal deletes its volumes", want)
		case holding.hold(r):
			report(r, "", "a namespace with data in it that a destroy would delete", want)
		}
	}
}

// losses are the operations that end an object. The engine shows a replacement as one step or as its parts.
func losses() map[string]string {
	return map[string]string{
		"delete": "deleted", "replace": "replaced", "create-replacement": "replaced", "delete-replaced": "replaced",
	}
}

// checkLosses looks for steps that delete or replace what holds data. Protection does not make it superfluous: a change
// that lifts it and replaces at once passes a preview.
func checkLosses(s *Stack, report reporter) {
	holding := dataNamespaces(s.everything())
	reported := map[string]bool{}
	for _, planned := range s.steps {
		how, ends := losses()[planned.Op]
		before := planned.Old
		if before == nil {
			before = planned.New
		}
		if !ends || before == nil || reported[planned.URN] {
			continue
		}
		what := whatItHolds(before, holding)
		if what == "" || how == "replaced" && (s.sameClass(before) || s.succeeded(before)) {
			continue
		}
		reported[planned.URN] = true
		got := "would be " + how
		if len(planned.ReplaceReasons) > 0 {
			got += " (" + strings.Join(slices.Compact(slices.Sorted(slices.Values(planned.ReplaceReasons))), ", ") + " changed)"
		}
		report(before, "", got, what)
	}
}

// sameClass reports whether a StorageClass comes back under its name and for the same driver. Kubernetes changes no class;
// only the making of a volume reads it, so that volumes and claims do not notice.
func (s *Stack) sameClass(before *resource) bool {
	// Another provider may be another cluster.
	if slices.ContainsFunc(s.steps, func(planned step) bool {
		return planned.URN == before.URN && slices.Contains(planned.ReplaceReasons, "provider")
	}) {
		return false
	}
	at := slices.IndexFunc(s.resources, func(r *resource) bool { return r.URN == before.URN })
	if !before.isClass() || at < 0 {
		return false
	}
	after := s.resources[at]
	for _, path := range [][]string{{"metadata", "name"}, {"provisioner"}} {
		if text := before.text(path...); text == "" || text != after.text(path...) {
			return false
		}
	}
	return true
}

// poolLabel on the nodes of an AKS pool of this program is the pool's name. Such a pool has a successor of another name, to which the
// program moves all replicas before the engine deletes the old one (cluster/aks_pools.go).
const poolLabel = "ha-iris/pool"

// succeeded reports whether an AKS pool of this program is deleted only after its successor of another name was created.
func (s *Stack) succeeded(before *resource) bool {
	at := slices.IndexFunc(s.resources, func(r *resource) bool { return r.URN == before.URN })
	if !strings.HasSuffix(before.Type, ":AgentPool") || at < 0 {
		return false
	}
	name, old := s.resources[at].text("agentPoolName"), before.text("agentPoolName")
	if name == "" || old == "" || name == old || s.resources[at].text("nodeLabels", poolLabel) != name || before.text("nodeLabels", poolLabel) != old {
		return false
	}
	created := slices.IndexFunc(s.steps, func(planned step) bool { return planned.URN == before.URN && planned.Op == "create-replacement" })
	deleted := slices.IndexFunc(s.steps, func(planned step) bool { return planned.URN == before.URN && planned.Op == "delete-replaced" })
	return created >= 0 && (deleted < 0 || created < deleted)
}

func (r *resource) isClass() bool {
	return strings.HasPrefix(r.Type, kubernetesPrefix+"storage.k8s.io/") && r.kind() == "StorageClass"
}

// whatItHolds says why a resource must stay, or "".
func whatItHolds(r *resource, holding namespaces) string {
	switch {
	case r.isCore("PersistentVolumeClaim"), r.isCore("PersistentVolume"):
		return "kept: it is the data"
	case holding.hold(r):
		return "kept: Kubernetes deletes everything in it, the data included"
	case r.isClass():
		return "kept: volumes and claims name it, and a new claim of another class is another volume"
	case r.isLonghorn():
		return "kept: uninstalling Longhorn deletes its volumes"
	case r.Type == kubernetesProvider:
		return "kept: everything on its cluster goes with it; what identifies the cluster is clusterIdentifier"
	case clusterTypes.MatchString(r.Type):
		return "kept: the volumes' replicas are on its nodes' disks"
	default:
		return ""
	}
}
