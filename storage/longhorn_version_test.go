package storage

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestVersion_GoesOneMinorUpAndNeverDown(t *testing.T) {
	t.Parallel()
	const jump, down = "Longhorn is upgraded one minor version at a time", "Longhorn is never downgraded"
	for name, test := range map[string]struct{ from, status, to, want string }{
		"a patch":                     {"1.12.1", statusDeployed, "1.12.2", ""},
		"the same":                    {"1.12.1", statusDeployed, "1.12.1", ""},
		"a minor version":             {"1.12.1", statusDeployed, "1.13.0", ""},
		"two minor versions":          {"1.12.1", statusDeployed, "1.14.0", jump},
		"another major version":       {"1.12.1", statusDeployed, "2.0.0", jump},
		"a patch down":                {"1.12.1", statusDeployed, "1.12.0", down},
		"a minor version down":        {"1.12.1", statusDeployed, "1.11.4", down},
		"back after a failed upgrade": {"1.13.0", statusFailed, "1.12.1", ""},
		"on after a failed upgrade":   {"1.13.0", statusFailed, "1.13.1", ""},
		"a pre-release":               {"1.12.1", statusDeployed, "1.13.0-rc1", ""},
		"no version":                  {"dev", statusDeployed, "1.9.0", ""},
	} {
		records := []any{helmSecret(t, 1, statusSuperseded, ours, "1.12.1", 2*time.Hour), helmSecret(t, 2, test.status, ours, test.from, time.Hour)}
		for _, preview := range []bool{true, false} {
			k, api, _ := newKeeper(t, map[string]any{secretsPath: items{records}})
			k.preview = preview
			err := k.beforeRelease(t.Context(), inputs(map[string]any{"version": "1.0.0"}), inputs(map[string]any{"chart": "longhorn", "version": test.to}))
			if (err != nil) != (test.want != "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s, preview %t: want %q, got %v", name, preview, test.want, err)
			}
			if len(api.deleted) > 0 {
				t.Errorf("%s: deleted %v", name, api.deleted)
			}
		}
	}
}

func TestVersion_OfAChartOnThisMachineIsInTheChart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "Chart.yaml"), []byte("apiVersion: v2\nname: longhorn\nversion: \"1.14.0\"\nappVersion: v1.14.0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for chart, want := range map[string]string{dir: "1.14.0", "longhorn-1.14.0.tgz": "", "oci://registry.example/longhorn": ""} {
		if got := wantedVersion(inputs(map[string]any{"chart": chart})); got != want {
			t.Errorf("%s: got %q, want %q", chart, got, want)
		}
	}
}
