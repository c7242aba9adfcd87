package survey

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

const (
	// minNodes is how many nodes the database should be able to run on: one may be lost while another is being serviced.
	minNodes = 3
	// autoscalerStatus is where the cluster autoscaler, Google's included, says what it does.
	autoscalerStatus = "/api/v1/namespaces/kube-system/configmaps/cluster-autoscaler-status"

	labelOS   = "kubernetes.io/os"
	labelArch = "kubernetes.io/arch"
	labelZone = "topology.kubernetes.io/zone"
)

type node struct {
	Metadata metadata `json:"metadata"`
	Spec     struct {
		Taints []taint `json:"taints"`
	} `json:"spec"`
	Status struct {
		Allocatable map[string]string `json:"allocatable"`
		Capacity    map[string]string `json:"capacity"`
	} `json:"status"`
}

type taint struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Effect string `json:"effect"`
}

// passes reports whether a taint is temporary, such as that of a node that is down, full or cordoned.
func (t taint) passes() bool {
	return t.Effect == "PreferNoSchedule" || strings.HasPrefix(t.Key, "node.kubernetes.io/") ||
		strings.HasPrefix(t.Key, "node.cloudprovider.kubernetes.io/") || strings.HasPrefix(t.Key, "ToBeDeletedBy")
}

// isLinux reports whether a node runs Linux; one without the label is assumed to.
func (n node) isLinux() bool {
	return n.Metadata.Labels[labelOS] == "" || n.Metadata.Labels[labelOS] == "linux"
}

// repels returns the taints that keep a pod away for good.
func (n node) repels(pod podSpec) []taint {
	return slices.DeleteFunc(slices.Clone(n.Spec.Taints), func(t taint) bool { return t.passes() || pod.tolerates(t) })
}

// selected reports whether the node has the labels that the pod asks for.
func (n node) selected(pod podSpec) bool {
	for key, value := range pod.NodeSelector {
		if n.Metadata.Labels[key] != value {
			return false
		}
	}
	return true
}

// lacks returns the resources of which the node has too little, even when it is empty.
func (n node) lacks(wanted amounts) []string {
	var short []string
	has := parseAmounts(n.Status.Allocatable)
	for _, resource := range []string{memory, cpu, ephemeral} {
		if amount, known := has[resource]; known && amount < wanted[resource] {
			short = append(short, resource)
		}
	}
	return short
}

func filter(nodes []node, keep func(node) bool) []node {
	return slices.DeleteFunc(slices.Clone(nodes), func(n node) bool { return !keep(n) })
}

// growing reports whether nodes may be added on demand, so that the existing ones allow no conclusion.
func (f *facts) growing() bool {
	return f.autoscaler.found || !f.nodes.known() || f.nodes.value.Metadata.Continue != "" ||
		slices.ContainsFunc(f.nodes.value.Items, func(n node) bool {
			labels := n.Metadata.Labels
			return labels["karpenter.sh/nodepool"] != "" || labels["eks.amazonaws.com/compute-type"] == "auto"
		})
}

// candidates are the nodes on which a pod may run if there is room.
func (f *facts) candidates(pod podSpec) []node {
	return filter(f.nodes.value.Items, func(n node) bool { return n.isLinux() && n.selected(pod) && len(n.repels(pod)) == 0 })
}

// checkNodes looks for nodes that the database can run on.
func checkNodes(facts *facts, needs Database, found *findings) {
	if !facts.nodes.known() {
		return
	}
	pod := specOf(needs.Pod)
	list := found.list(!facts.running() && !facts.growing())
	candidates := facts.candidates(pod)
	if len(candidates) == 0 {
		list.AddSecret(nobody(facts.nodes.value.Items, pod))
		return
	}
	wanted := pod.requests()
	fitting := filter(candidates, func(n node) bool { return len(n.lacks(wanted)) == 0 })
	if len(fitting) == 0 {
		for _, resource := range shortage(candidates, wanted) {
			name, most := largest(candidates, resource)
			list.AddSecret(keyOf(resource), show(resource, wanted[resource])+" of "+resource+" for the whole pod", fmt.Sprintf(
				"at most %s, which is all that the largest of %d nodes (%s) has for pods, or larger nodes", show(resource, most), len(candidates), name))
		}
		return
	}
	starting := filter(fitting, func(n node) bool {
		return needs.MaxCores == 0 || parseAmounts(n.Status.Capacity)[cpu] <= float64(needs.MaxCores)
	})
	if len(starting) == 0 {
		list.AddSecret("iris.edition", "community on nodes with more than "+fmt.Sprint(needs.MaxCores)+" cores",
			"licensed, or a smaller node: the Community edition does not start on more")
		return
	}
	warnFew(facts, starting, found)
}

// keyOf is the key that says how much of a resource the pod takes.
func keyOf(resource string) string {
	switch {
	case strings.HasSuffix(resource, memory):
		return "iris.memory"
	case strings.HasSuffix(resource, "."+cpu) || resource == cpu:
		return "iris.cpu"
	case strings.HasSuffix(resource, "requests.storage") && !strings.Contains(resource, ephemeral):
		return "iris.size"
	}
	return "iris.namespace"
}

// warnFew warns of too few nodes and of a single zone.
func warnFew(facts *facts, usable []node, found *findings) {
	if all := len(facts.nodes.value.Items); len(usable) < minNodes && facts.nodes.value.Metadata.Continue == "" {
		found.warnings.AddSecret("cluster.context", fmt.Sprintf("%d of %d nodes that the database can run on", len(usable), all),
			fmt.Sprintf("%d: it moves to another one when one is lost, and while one is being serviced another may be", minNodes))
	}
	zones := map[string]int{}
	for _, n := range usable {
		zones[n.Metadata.Labels[labelZone]]++
	}
	if only := slices.Collect(maps.Keys(zones)); len(only) == 1 && only[0] != "" && len(usable) > 1 {
		found.warnings.AddSecret("cluster.context", "nodes in one zone only ("+only[0]+")", "three zones: the database is lost with this one")
	}
}

// nobody returns why a pod can run on none of the nodes.
func nobody(nodes []node, pod podSpec) (path, got, want string) {
	linux := filter(nodes, node.isLinux)
	selected := filter(linux, func(n node) bool { return n.selected(pod) })
	switch {
	case len(linux) == 0:
		return "cluster.context", "a cluster without a Linux node", "three of them: the database runs on nothing else"
	case len(selected) == 0:
		architectures := map[string]bool{}
		for _, n := range linux {
			architectures[n.Metadata.Labels[labelArch]] = true
		}
		return "iris.architecture", pod.NodeSelector[labelArch], "that of the cluster's nodes: " +
			strings.Join(slices.Sorted(maps.Keys(architectures)), ", ")
	}
	taints := map[string]bool{}
	for _, n := range selected {
		for _, t := range n.repels(pod) {
			taints[t.Key] = true
		}
	}
	return "cluster.context", fmt.Sprintf("%d nodes, all of which keep other pods away (taints %s)", len(selected),
		strings.Join(slices.Sorted(maps.Keys(taints)), ", ")), "nodes without such a taint: the database tolerates none"
}

// shortage returns the resources of which every node has too little; when it is another one on each, all of them.
func shortage(nodes []node, wanted amounts) []string {
	counts := map[string]int{}
	for _, n := range nodes {
		for _, resource := range n.lacks(wanted) {
			counts[resource]++
		}
	}
	everywhere := slices.DeleteFunc(slices.Sorted(maps.Keys(counts)), func(resource string) bool { return counts[resource] < len(nodes) })
	if len(everywhere) > 0 {
		return everywhere
	}
	return slices.Sorted(maps.Keys(counts))
}

// largest returns the node that has most of a resource, and how much.
func largest(nodes []node, resource string) (name string, most float64) {
	for _, n := range nodes {
		if has := parseAmounts(n.Status.Allocatable)[resource]; name == "" || has > most {
			name, most = n.Metadata.Name, has
		}
	}
	return name, most
}

// checkReplicas counts the nodes that can hold a replica. An existing volume works with fewer replicas; a new one does not
// become ready with fewer, and the update waits for it until its timeout.
func checkReplicas(facts *facts, needs Storage, found *findings) {
	if !needs.Install || !facts.nodes.known() || facts.nodes.value.Metadata.Continue != "" {
		return
	}
	usable := filter(facts.nodes.value.Items, func(n node) bool {
		labelled := needs.NodeLabel == "" || slices.Contains(needs.NodeLabelValues, n.Metadata.Labels[needs.NodeLabel])
		return n.isLinux() && (needs.TaintedNodes || len(n.repels(podSpec{})) == 0) && labelled
	})
	if len(usable) >= needs.Replicas {
		return
	}
	why := "each replica needs a node of its own, and " + needs.Driver + " makes no volume with fewer replicas"
	if needs.NodeLabel != "" {
		why += "; it uses nodes with the label " + needs.NodeLabel + " only"
	}
	found.list(!needs.FewerNodes && !facts.hasVolume() && !facts.growing()).Add("storage.replicas", needs.Replicas, fmt.Sprintf(
		"at most %d, the number of nodes that %s can use, or more nodes: %s", len(usable), needs.Driver, why))
}
