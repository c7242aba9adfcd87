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

// checkQuotas compares what the stack takes with what the namespace's quotas leave. What is there already counts as used: then
// only a quota that is too small even when empty is in the way for certain.
func checkQuotas(facts *facts, needs Needs, found *findings) {
	if !facts.quotas.known() {
		return
	}
	database, others := takes(facts, needs)
	for _, q := range facts.quotas.value.Items {
		wanted := amounts{}
		if q.counts(needs.Database.PriorityClass) {
			wanted = wanted.plus(database)
		}
		if q.counts("") {
			wanted = wanted.plus(others)
		}
		hard, used := parseAmounts(q.Status.Hard), parseAmounts(q.Status.Used)
		for _, resource := range slices.Sorted(maps.Keys(hard)) {
			left := hard[resource] - used[resource]
			if facts.running() || (facts.hasVolume() && keyOf(resource) == "iris.size") {
				left = hard[resource]
			}
			if wanted[resource] > left {
				found.blocking.AddSecret("iris.namespace", fmt.Sprintf("%s, whose quota %s leaves %s of %s (%s used of %s)", needs.Database.Namespace,
					q.Metadata.Name, show(resource, left), resource, show(resource, used[resource]), show(resource, hard[resource])),
					show(resource, wanted[resource])+" for the database and what runs beside it; raise the quota")
			}
		}
	}
}

// takes returns what quotas count, under all the names that they have for it: of the database, and of the pods beside it on every
// node, which have no priority class.
func takes(facts *facts, needs Needs) (database, others amounts) {
	pod := specOf(needs.Database.Pod)
	database = podAmounts(pod)
	volume := float64(needs.Database.VolumeBytes)
	ofClass := needs.Storage.ClassName + ".storageclass.storage.k8s.io/"
	maps.Copy(database, amounts{
		"persistentvolumeclaims": 1, "count/persistentvolumeclaims": 1, "requests.storage": volume,
		ofClass + "persistentvolumeclaims": 1, ofClass + "requests.storage": volume,
		"services": 1, "count/services": 1, "count/deployments.apps": 1,
		"services.loadbalancers": float64(needs.Database.LoadBalancers), "services.nodeports": float64(needs.Database.NodePorts),
	})
	others = amounts{}
	if needs.Database.PerNode != nil {
		beside := specOf(needs.Database.PerNode)
		for range facts.candidates(beside) {
			others = others.plus(podAmounts(beside))
		}
		others["count/daemonsets.apps"] = 1
	}
	return database, others
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
// a volume that is there already is not looked at again.
func checkLimits(facts *facts, needs Database, found *findings) {
	if facts.hasVolume() {
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
