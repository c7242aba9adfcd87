package storage

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"ha-iris/internal/live"
)

const (
	podsPath = "/api/v1/namespaces/" + namespaceName + "/pods"
	// These keep the message short.
	maxFacts, maxEvents, maxFact = 12, 5, 400
	logLines                     = "3"
)

// diagnose describes the state of Longhorn's pods, each line preceded by a line break. It is part of an error message, so what
// cannot be read is left out.
func (k *keeper) diagnose(ctx context.Context) string {
	var facts []string
	pods, err := k.pods(ctx)
	if err != nil {
		return "\n  " + err.Error()
	}
	troubled := map[string]bool{}
	for _, p := range pods {
		if p.ready() {
			continue
		}
		troubled[p.Metadata.Name] = true
		facts = append(facts, k.podFacts(ctx, p)...)
	}
	for _, app := range []string{managerApp, deployerApp, pluginApp} {
		if !slices.ContainsFunc(pods, func(p pod) bool { return p.app() == app }) {
			facts = append(facts, "there is no pod of "+app)
		}
	}
	facts = append(facts, k.events(ctx, troubled)...)
	if len(facts) > maxFacts {
		facts = append(facts[:maxFacts], "and more: kubectl -n "+namespaceName+" get pods,events")
	}
	if k.kubeletRoot == "" {
		facts = append(facts, "on a cluster of yours Longhorn looks for the kubelet's directory by itself; if that is what fails: "+
			"pulumi config set --path storage.values.csi.kubeletRootDir /var/lib/kubelet")
	}
	return "\n  " + strings.Join(facts, "\n  ")
}

// podFacts returns why a pod is not ready, as its status and logs report it.
func (k *keeper) podFacts(ctx context.Context, p pod) []string {
	var facts []string
	for _, c := range slices.Concat(p.Status.Init, p.Status.Containers) {
		facts = append(facts, k.containerFacts(ctx, p, c)...)
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

func (k *keeper) containerFacts(ctx context.Context, p pod, c container) []string {
	var facts []string
	say := func(how string, why *ended) {
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
	crashed := false
	for _, why := range []*ended{c.State.Terminated, c.LastState.Terminated} {
		if why != nil && why.ExitCode != 0 {
			say("ended,", why)
			crashed = true
		}
	}
	if !crashed {
		return facts
	}
	for _, previous := range []string{"true", "false"} {
		query := url.Values{"container": {c.Name}, "tailLines": {logLines}, "previous": {previous}}
		var log live.Text
		found, err := k.live.Get(ctx, podsPath+"/"+p.Metadata.Name+"/log?"+query.Encode(), &log)
		if text := strings.TrimSpace(string(log)); err == nil && found && text != "" {
			return append(facts, p.Metadata.Name+", log: "+brief(text))
		}
	}
	return facts
}

// events are the latest warnings about the pods.
func (k *keeper) events(ctx context.Context, pods map[string]bool) []string {
	var list struct {
		Items []struct {
			InvolvedObject meta   `json:"involvedObject"`
			Reason         string `json:"reason"`
			Message        string `json:"message"`
		} `json:"items"`
	}
	path := "/api/v1/namespaces/" + namespaceName + "/events?fieldSelector=type%3DWarning&limit=500"
	if _, err := k.live.Get(ctx, path, &list); err != nil {
		return nil
	}
	var facts []string
	for _, event := range slices.Backward(list.Items) {
		fact := event.InvolvedObject.Name + ", event " + event.Reason + ": " + brief(event.Message)
		if pods[event.InvolvedObject.Name] && len(facts) < maxEvents && !slices.Contains(facts, fact) {
			facts = append(facts, fact)
		}
	}
	return facts
}

// brief returns a text on one line. Of a long one it keeps the end, where a log has the cause.
func brief(text string) string {
	line := strings.Join(strings.Fields(text), " ")
	if len(line) > maxFact {
		line = "... " + strings.ToValidUTF8(line[len(line)-maxFact:], "")
	}
	return line
}
