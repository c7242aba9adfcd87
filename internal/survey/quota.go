package survey

import (
	"fmt"
	"maps"
	"slices"
)

type quota struct {
	Metadata metadata `json:"metadata"`
	Spec     struct {
		Scopes        []string `json:"scopes"`
		ScopeSelector struct {
			MatchExpressions []scope `json:"matchExpressions"`
		} `json:"scopeSelector"`
	} `json:"spec"`
	Status struct {
		Hard map[string]string `json:"hard"`
		Used map[string]string `json:"used"`
	} `json:"status"`
}

type scope struct {
	Name     string   `json:"scopeName"`
	Operator string   `json:"operator"`
	Values   []string `json:"values"`
}

// counts reports whether the quota counts a pod of a priority class. Ours has requests and no deadline, so that the other scopes
// are the same for all of them.
func (q quota) counts(priorityClass string) bool {
	for _, name := range q.Spec.Scopes {
		if !(scope{Name: name, Operator: "Exists"}).takes(priorityClass) {
			return false
		}
	}
	for _, one := range q.Spec.ScopeSelector.MatchExpressions {
		if !one.takes(priorityClass) {
			return false
		}
	}
	return true
}

func (s scope) takes(priorityClass string) bool {
	switch s.Name {
	case "NotTerminating", "NotBestEffort":
		return true
	case "PriorityClass":
		switch listed := slices.Contains(s.Values, priorityClass); s.Operator {
		case "In":
			return listed
		case "NotIn":
			return !listed
		case "Exists":
			return priorityClass != ""
		case "DoesNotExist":
			return priorityClass == ""
		}
	}
	return false
}

// isScoped reports whether the quota counts certain pods only, and then no other objects.
func (q quota) isScoped() bool {
	return len(q.Spec.Scopes) > 0 || len(q.Spec.ScopeSelector.MatchExpressions) > 0
}

// checkQuotas compares what the stack takes with what the namespace's quotas leave. Its objects that are there already are counted as
// used, and are not wanted again. A database that runs makes room for the one of an update: then only a quota that is too small for
// the pods even when empty is in the way for certain.
func checkQuotas(facts *facts, needs Needs, found *findings) {
	if !facts.quotas.known() {
		return
	}
	database, others := facts.pods(needs.Database)
	objects, present := objectAmounts(needs), facts.present(needs)
	for _, q := range facts.quotas.value.Items {
		pods := amounts{}
		if q.counts(needs.Database.PriorityClass) {
			pods = pods.plus(database)
		}
		if q.counts("") {
			pods = pods.plus(others)
		}
		hard, used := parseAmounts(q.Status.Hard), parseAmounts(q.Status.Used)
		for _, resource := range slices.Sorted(maps.Keys(hard)) {
			left := max(0, hard[resource]-used[resource])
			wanted, isPods := pods[resource]
			switch {
			case isPods && facts.running():
				left = hard[resource]
			case !isPods && !q.isScoped():
				wanted = objects[resource] - present[resource]
			}
			if wanted > left {
				found.blocking.AddSecret("iris.namespace", fmt.Sprintf("%s, whose quota %s leaves %s of %s (%s used of %s)", needs.Database.Namespace,
					q.Metadata.Name, show(resource, left), resource, show(resource, used[resource]), show(resource, hard[resource])),
					show(resource, wanted)+" for the database and what runs beside it; raise the quota")
			}
		}
	}
}

// pods returns what quotas count, under all the names that they have for it, of the database's pod, and of the pods beside it,
// which have no priority class. Those pods are not wanted where they are and the database is not; where both are, they are
// exchanged together.
func (f *facts) pods(needs Database) (database, others amounts) {
	others = amounts{}
	for _, pod := range needs.PerNode {
		if !f.running() && f.daemonSet.there() {
			break
		}
		beside := specOf(pod)
		for range f.candidates(beside) {
			others = others.plus(podAmounts(beside))
		}
	}
	for _, pod := range needs.Beside {
		if f.running() || !f.hasVolume() {
			others = others.plus(podAmounts(specOf(pod)))
		}
	}
	return podAmounts(specOf(needs.Pod)), others
}

// objectAmounts are what quotas count of the stack's objects, but for pods.
func objectAmounts(needs Needs) amounts {
	all := volumeAmounts(needs.Storage.ClassName, float64(needs.Database.VolumeBytes)).
		plus(serviceAmounts(needs.Database.LoadBalancers, needs.Database.NodePorts)).
		plus(amounts{countDeployments: 1})
	if count := len(needs.Database.PerNode); count > 0 {
		all[countDaemonSets] = float64(count)
	}
	return all
}

// present is the part of objectAmounts that is there already. What could not be looked at is taken for present.
func (f *facts) present(needs Needs) amounts {
	all := amounts{}
	if f.claim.there() {
		class, size := f.claim.value.Spec.StorageClassName, f.claim.value.bytes()
		if class == "" {
			class = needs.Storage.ClassName
		}
		if size == 0 {
			size = float64(needs.Database.VolumeBytes)
		}
		all = all.plus(volumeAmounts(class, size))
	}
	switch {
	case f.service.found:
		all = all.plus(f.service.value.amounts())
	case !f.service.known():
		all = all.plus(serviceAmounts(needs.Database.LoadBalancers, needs.Database.NodePorts))
	}
	if f.running() {
		all[countDeployments] = 1
	}
	if f.daemonSet.there() {
		all[countDaemonSets] = 1
	}
	return all
}

const (
	countDeployments = "count/deployments.apps"
	countDaemonSets  = "count/daemonsets.apps"
)

func volumeAmounts(class string, bytes float64) amounts {
	ofClass := class + ".storageclass.storage.k8s.io/"
	return amounts{
		"persistentvolumeclaims": 1, "count/persistentvolumeclaims": 1, "requests.storage": bytes,
		ofClass + "persistentvolumeclaims": 1, ofClass + "requests.storage": bytes,
	}
}

func serviceAmounts(loadBalancers, nodePorts int) amounts {
	return amounts{
		"services": 1, "count/services": 1,
		"services.loadbalancers": float64(loadBalancers), "services.nodeports": float64(nodePorts),
	}
}

func podAmounts(pod podSpec) amounts {
	all := amounts{"pods": 1, "count/pods": 1}
	for resource, amount := range pod.requests() {
		all[resource], all["requests."+resource] = amount, amount
	}
	for resource, amount := range pod.limits() {
		all["limits."+resource] = amount
	}
	return all
}

type limitRange struct {
	Metadata metadata `json:"metadata"`
	Spec     struct {
		Limits []struct {
			Type string            `json:"type"`
			Max  map[string]string `json:"max"`
			Min  map[string]string `json:"min"`
		} `json:"limits"`
	} `json:"spec"`
}

// checkLimits compares the volume with the namespace's bounds for claims. Those for pods are the API server's to judge (checkPod);
// a claim that is there already, bound or not, is not looked at again.
func checkLimits(facts *facts, needs Database, found *findings) {
	if facts.claim.there() {
		return
	}
	size := float64(needs.VolumeBytes)
	for _, one := range facts.limits.value.Items {
		for _, limit := range one.Spec.Limits {
			if limit.Type != "PersistentVolumeClaim" {
				continue
			}
			most, hasMost := parseAmounts(limit.Max)["storage"]
			least, hasLeast := parseAmounts(limit.Min)["storage"]
			if (hasMost && size > most) || (hasLeast && size < least) {
				bounds := "at most " + show("storage", most)
				if hasLeast && size < least {
					bounds = "at least " + show("storage", least)
				}
				found.blocking.AddSecret("iris.size", show("storage", size), fmt.Sprintf("%s, as the limit range %s of namespace %s has it",
					bounds, one.Metadata.Name, needs.Namespace))
			}
		}
	}
}
