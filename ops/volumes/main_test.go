package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// kubeconfigOf is that of an API server with one volume of which so many replicas are healthy; fewer than none: it refuses.
func kubeconfigOf(t *testing.T, healthy int) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if healthy < 0 {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		var items []any
		switch kind := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]; kind {
		case "volumes":
			items = append(items, map[string]any{
				"metadata": map[string]any{"name": "pvc-1"}, "spec": map[string]any{"numberOfReplicas": 3},
				"status": map[string]any{"state": "detached"},
			})
		case "nodes", "replicas":
			for i := range healthy {
				node := fmt.Sprintf("node-%d", i)
				items = append(items, map[string]any{
					"metadata": map[string]any{"name": node},
					"spec":     map[string]any{"volumeName": "pvc-1", "nodeID": node, "healthyAt": "2026-11-01T00:00:00Z"},
					"status":   map[string]any{"conditions": []any{map[string]any{"type": "Ready", "status": "True"}}},
				})
			}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"items": items})
	}))
	t.Cleanup(server.Close)
	return fmt.Sprintf(`{"apiVersion": "v1", "kind": "Config", "current-context": "c",
		"contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
		"clusters": [{"name": "c", "cluster": {"server": %q}}], "users": [{"name": "u", "user": {"token": "hunter2"}}]}`, server.URL)
}

func TestRun_ExitsByWhatItFound(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args  []string
		stdin string
		code  int
		want  string
	}{
		"healthy":           {[]string{"-"}, kubeconfigOf(t, 3), exitHealthy, "every volume has all its replicas"},
		"healthy as JSON":   {[]string{"--json", "-"}, kubeconfigOf(t, 3), exitHealthy, `{"unhealthy":[]}`},
		"unhealthy":         {[]string{"-"}, kubeconfigOf(t, 2), exitUnhealthy, "volume pvc-1 has 2 of 3 healthy replicas"},
		"unhealthy as JSON": {[]string{"--json", "-"}, kubeconfigOf(t, 2), exitUnhealthy, `{"unhealthy":["volume pvc-1 has 2 of 3`},
		"refused":           {[]string{"-"}, kubeconfigOf(t, -1), exitUnknown, "list Longhorn's"},
		"no kubeconfig":     {[]string{"-"}, "", exitUnknown, "the kubeconfig is empty"},
		"no file":           {nil, "", exitUnknown, "got 0 files"},
		"a missing file":    {[]string{"missing"}, "", exitUnknown, "no such file"},
		"help":              {[]string{"--help"}, "", exitHealthy, "Usage:"},
	} {
		var out strings.Builder
		code := run(t.Context(), test.args, strings.NewReader(test.stdin), &out, &out)
		if code != test.code || !strings.Contains(out.String(), test.want) {
			t.Errorf("%s: exit %d, want %d; output %q, want %q", name, code, test.code, out.String(), test.want)
		}
		if strings.Contains(out.String(), "hunter2") {
			t.Errorf("%s: the output has the token", name)
		}
	}
}
