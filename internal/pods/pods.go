// Package pods says in words why pods are not ready, for messages of an update that has waited for them.
package pods

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"ha-iris/internal/live"
)

const (
	// These keep a message short.
	maxEvents, maxFact = 5, 400
	logLines           = "3"
)

// HopelessRestarts ends a wait early: the kubelet's pauses before the fourth restart add up to more than a minute, and a container
// that fails so often at its start is not expected to recover.
const HopelessRestarts = 4

// Meta is the part of an object's metadata that is used here.
type Meta struct {
	Name     string            `json:"name"`
	Labels   map[string]string `json:"labels"`
	Deletion string            `json:"deletionTimestamp"`
}

// Pod is the part of a pod that is used here.
type Pod struct {
	Metadata Meta `json:"metadata"`
	Spec     struct {
		NodeName string `json:"nodeName"`
	} `json:"spec"`
	Status struct {
		Phase      string          `json:"phase"`
		Conditions live.Conditions `json:"conditions"`
		Init       []Container     `json:"initContainerStatuses"`
		Containers []Container     `json:"containerStatuses"`
	} `json:"status"`
}

// Container is a container's status.
type Container struct {
	Name         string `json:"name"`
	Ready        bool   `json:"ready"`
	RestartCount int    `json:"restartCount"`
	State        State  `json:"state"`
	LastState    State  `json:"lastState"`
}

// State is what a container does, unless it runs.
type State struct {
	Waiting    *Ended `json:"waiting"`
	Terminated *Ended `json:"terminated"`
}

// Ended is why a container does not run.
type Ended struct {
	Reason   string `json:"reason"`
	Message  string `json:"message"`
	ExitCode int    `json:"exitCode"`
}

// Ready reports whether the pod is.
func (p Pod) Ready() bool { return p.Status.Conditions.Ready() }

// Hopeless reports whether a container of the pod has failed HopelessRestarts times and is not ready.
func (p Pod) Hopeless() bool {
	return slices.ContainsFunc(slices.Concat(p.Status.Init, p.Status.Containers), func(c Container) bool {
		return !c.Ready && c.RestartCount >= HopelessRestarts
	})
}

// Cluster is the API server that is asked.
type Cluster interface {
	Get(ctx context.Context, path string, into any) (found bool, err error)
}

// Namespace is where pods are.
type Namespace struct {
	API  Cluster
	Name string
}

func (n Namespace) path() string { return "/api/v1/namespaces/" + n.Name + "/pods" }

// List returns the pods that a label selector names.
func (n Namespace) List(ctx context.Context, selector string) ([]Pod, error) {
	var list struct {
		Items []Pod `json:"items"`
	}
	if _, err := n.API.Get(ctx, n.path()+"?labelSelector="+url.QueryEscape(selector), &list); err != nil {
		return nil, fmt.Errorf("list pods in namespace %s: %w", n.Name, err)
	}
	return list.Items, nil
}

// Facts returns why a pod is not ready, as its status and logs report it.
func (n Namespace) Facts(ctx context.Context, p Pod) []string {
	var facts []string
	for _, c := range slices.Concat(p.Status.Init, p.Status.Containers) {
		facts = append(facts, n.containerFacts(ctx, p, c)...)
	}
	for _, c := range p.Status.Conditions {
		if c.Status != "True" && c.Message != "" && len(facts) == 0 {
			facts = append(facts, p.Metadata.Name+": "+brief(c.Reason+": "+c.Message))
		}
	}
	if len(facts) == 0 {
		facts = append(facts, p.Metadata.Name+": "+p.Status.Phase+", not ready")
	}
	return facts
}

func (n Namespace) containerFacts(ctx context.Context, p Pod, c Container) []string {
	var facts []string
	say := func(how string, why *Ended) {
		fact := fmt.Sprintf("%s, container %s: %s %s", p.Metadata.Name, c.Name, how, why.Reason)
		if why.ExitCode != 0 {
			fact += fmt.Sprintf(" (exit code %d)", why.ExitCode)
		}
		if why.Message != "" {
			fact += ": " + brief(why.Message)
		}
		facts = append(facts, fact)
	}
	if c.State.Waiting != nil {
		say(fmt.Sprintf("%d restarts, waiting,", c.RestartCount), c.State.Waiting)
	}
	why := c.State.Terminated
	if why == nil {
		why = c.LastState.Terminated
	}
	if why == nil || why.ExitCode == 0 {
		return facts
	}
	say("ended,", why)
	if why.Message != "" { // The end of its log, where the container asks for that.
		return facts
	}
	for _, previous := range []string{"true", "false"} {
		query := url.Values{"container": {c.Name}, "tailLines": {logLines}, "previous": {previous}}
		var log live.Text
		found, err := n.API.Get(ctx, n.path()+"/"+p.Metadata.Name+"/log?"+query.Encode(), &log)
		if text := strings.TrimSpace(string(log)); err == nil && found && text != "" {
			return append(facts, p.Metadata.Name+", log: "+brief(text))
		}
	}
	return facts
}

// Events are warnings about the pods of these names.
func (n Namespace) Events(ctx context.Context, names map[string]bool) []string {
	var list struct {
		Items []struct {
			InvolvedObject Meta   `json:"involvedObject"`
			Reason         string `json:"reason"`
			Message        string `json:"message"`
		} `json:"items"`
	}
	path := "/api/v1/namespaces/" + n.Name + "/events?fieldSelector=type%3DWarning&limit=500"
	if _, err := n.API.Get(ctx, path, &list); err != nil {
		return nil
	}
	var facts []string
	for _, event := range slices.Backward(list.Items) {
		fact := event.InvolvedObject.Name + ", event " + event.Reason + ": " + brief(event.Message)
		if names[event.InvolvedObject.Name] && len(facts) < maxEvents && !slices.Contains(facts, fact) {
			facts = append(facts, fact)
		}
	}
	return facts
}

// brief returns a text on one line. Of a long one it keeps the end, where a log has the cause. A hash of a password that IRIS may
// repeat from its merge file is hidden.
func brief(text string) string {
	words := strings.Fields(text)
	for i, word := range words {
		if before, _, found := strings.Cut(word, "PasswordHash="); found {
			words[i] = before + "PasswordHash=[hidden]"
		}
	}
	line := strings.Join(words, " ")
	if len(line) > maxFact {
		line = "... " + strings.ToValidUTF8(line[len(line)-maxFact:], "")
	}
	return line
}
