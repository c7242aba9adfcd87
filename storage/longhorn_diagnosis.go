package storage

import (
	"context"
	"slices"
	"strings"

	"ha-iris/internal/pods"
)

// maxFacts keeps the message short.
const maxFacts = 12

// diagnose describes the state of Longhorn's pods, each line preceded by a line break. It is part of an error message, so what
// cannot be read is left out.
func (k *keeper) diagnose(ctx context.Context) string {
	var facts []string
	all, err := k.pods(ctx)
	if err != nil {
		return "\n  " + err.Error()
	}
	troubled := map[string]bool{}
	for _, p := range all {
		if p.Ready() {
			continue
		}
		troubled[p.Metadata.Name] = true
		facts = append(facts, k.namespace().Facts(ctx, p)...)
	}
	for _, name := range []string{managerApp, deployerApp, pluginApp} {
		if !slices.ContainsFunc(all, func(p pods.Pod) bool { return app(p) == name }) {
			facts = append(facts, "there is no pod of "+name)
		}
	}
	facts = append(facts, k.namespace().Events(ctx, troubled)...)
	if len(facts) > maxFacts {
		facts = append(facts[:maxFacts], "and more: kubectl -n "+namespaceName+" get pods,events")
	}
	if k.kubeletRoot == "" {
		facts = append(facts, "on a cluster of yours Longhorn looks for the kubelet's directory by itself; if that is what fails: "+
			"pulumi config set --path storage.values.csi.kubeletRootDir /var/lib/kubelet")
	}
	return "\n  " + strings.Join(facts, "\n  ")
}
