package survey

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// podSpec is the part of a pod that determines where it can run and what it requests.
type podSpec struct {
	NodeSelector map[string]string `json:"nodeSelector"`
	Tolerations  []struct {
		Key      string `json:"key"`
		Operator string `json:"operator"`
		Value    string `json:"value"`
		Effect   string `json:"effect"`
	} `json:"tolerations"`
	Containers     []container `json:"containers"`
	InitContainers []container `json:"initContainers"`
}

type container struct {
	Resources struct {
		Requests map[string]string `json:"requests"`
		Limits   map[string]string `json:"limits"`
	} `json:"resources"`
}

// specOf reads a pod. One that cannot be read requests nothing.
func specOf(pod map[string]any) podSpec {
	var spec podSpec
	content, err := json.Marshal(pod["spec"])
	if err != nil || json.Unmarshal(content, &spec) != nil {
		return podSpec{}
	}
	return spec
}

// total is what the scheduler and quotas count: the sum of the containers, or what an init container takes if that is more.
func (p podSpec) total(of func(container) map[string]string) amounts {
	sum := amounts{}
	for _, one := range p.Containers {
		sum = sum.plus(parseAmounts(of(one)))
	}
	for _, one := range p.InitContainers {
		for name, value := range parseAmounts(of(one)) {
			sum[name] = max(sum[name], value)
		}
	}
	return sum
}

func (p podSpec) requests() amounts {
	return p.total(func(c container) map[string]string { return c.Resources.Requests })
}

func (p podSpec) limits() amounts {
	return p.total(func(c container) map[string]string { return c.Resources.Limits })
}

// tolerates reports whether the pod may run in spite of a taint.
func (p podSpec) tolerates(t taint) bool {
	for _, toleration := range p.Tolerations {
		key := toleration.Key == t.Key || (toleration.Key == "" && toleration.Operator == "Exists")
		value := toleration.Operator == "Exists" || toleration.Value == t.Value
		if key && value && (toleration.Effect == "" || toleration.Effect == t.Effect) {
			return true
		}
	}
	return false
}

// checkPod passes on why the API server refuses the database's pod: Pod Security, an admission policy or webhook, a limit range. It is
// in the way for certain where there is no database yet, and whoever refuses judges by the pod alone.
func checkPod(facts *facts, needs Database, found *findings) {
	refusal, says := facts.refusal()
	if !says {
		return // Not about the pod, or temporary.
	}
	passes := refusal.Code >= http.StatusInternalServerError || slices.Contains([]int{
		http.StatusRequestTimeout, http.StatusConflict, http.StatusTooManyRequests,
	}, refusal.Code)
	text := strings.Join(strings.Fields(refusal.Message), " ")
	switch {
	case passes || strings.Contains(text, "does not support dry run"):
		found.warnings.AddSecret("iris.namespace", "no answer to whether "+needs.Namespace+" takes the database's pod", "one: "+text)
	case judgesTheRequest(text):
		found.warnings.AddSecret("iris.namespace", needs.Namespace+", where a policy refuses a trial of the database's pod",
			"one that takes the pod from Kubernetes' own controllers: "+text)
	default:
		found.list(!facts.running()).AddSecret("iris.namespace", needs.Namespace+", which refuses the database's pod", "one that takes it: "+text)
	}
}
