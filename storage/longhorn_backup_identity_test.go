package storage

import (
	"net/http"
	"strings"
	"testing"
)

const podsOfLonghorn = "/api/v1/namespaces/" + namespaceName + "/pods"

// identityPod is a pod of Longhorn's on a node, with an environment variable.
func identityPod(name, node string, labels map[string]string, variable string) map[string]any {
	return map[string]any{
		"metadata": map[string]any{"name": name, "labels": labels},
		"spec": map[string]any{
			"nodeName":   node,
			"containers": []any{map[string]any{"env": []any{map[string]any{"name": "OTHER"}, map[string]any{"name": variable}}}},
		},
	}
}

func TestIdentity_PodsThatAreOlderAreNamed(t *testing.T) {
	t.Parallel()
	manager, instances := map[string]string{"app": managerApp}, map[string]string{componentLabel: "instance-manager"}
	world := func(variable string) map[string]any {
		return map[string]any{podsOfLonghorn: items{[]any{
			identityPod("longhorn-manager-a", "a", manager, variable), identityPod("instance-manager-b", "b", instances, variable),
			identityPod("longhorn-ui", "c", map[string]string{"app": "longhorn-ui"}, "X"),
		}}}
	}
	k, _, _ := newKeeper(t, world("IDENTITY"))
	if err := k.checkIdentity(t.Context(), "IDENTITY"); err != nil {
		t.Errorf("got %v", err)
	}
	k, _, _ = newKeeper(t, world("X"))
	err := k.checkIdentity(t.Context(), "IDENTITY")
	if err == nil {
		t.Fatal("taken, and every backup would fail")
	}
	for _, want := range []string{
		"instance-manager-b (b), longhorn-manager-a (a). Restart", "rollout restart daemonset longhorn-manager", "drain each node", "storage.backup.target",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the message lacks %q: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "longhorn-ui") {
		t.Errorf("names a pod that makes no backups: %v", err)
	}
	k, api, _ := newKeeper(t, world("X"))
	if err := k.checkIdentity(t.Context(), ""); err != nil || api.asked > 0 {
		t.Errorf("a store without an identity of pods: %v, asked %d times", err, api.asked)
	}
	api.status = http.StatusServiceUnavailable
	if err := k.checkIdentity(t.Context(), "IDENTITY"); err == nil {
		t.Error("what could not be looked at was taken")
	}
}
