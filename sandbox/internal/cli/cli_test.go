package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// run executes a command line in an empty checkout.
func run(t *testing.T, args ...string) (code int, out, progress string) {
	t.Helper()
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "sandbox"), 0o755); err != nil {
		t.Fatalf("make checkout: %v", err)
	}
	if err := os.WriteFile(filepath.Join(root, "sandbox", "go.mod"), []byte("module x\n"), 0o600); err != nil {
		t.Fatalf("make checkout: %v", err)
	}
	var stdout, stderr bytes.Buffer
	code = Run(append([]string{"--root", root}, args...), &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

func TestStatus_OfAStoppedClusterExitsWith3(t *testing.T) {
	t.Parallel()
	code, out, _ := run(t, "status", "--json")
	var status struct{ Health, Context string }
	if err := json.Unmarshal([]byte(out), &status); err != nil {
		t.Fatalf("not JSON: %v\n%s", err, out)
	}
	if code != 3 || status.Health != "stopped" || status.Context != "ha-iris-dev" {
		t.Errorf("got exit code %d and %+v", code, status)
	}
}

func TestDown_OfAStoppedClusterIsFine(t *testing.T) {
	t.Parallel()
	if code, out, _ := run(t, "down", "--name", "e2e"); code != 0 || !strings.Contains(out, `"e2e" was not running`) {
		t.Errorf("got exit code %d and %q", code, out)
	}
}

func TestRun_MistakesAreExplainedInOneLine(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		args []string
		want string
	}{
		"unknown command": {[]string{"start"}, `unknown command "start"`},
		"bad name":        {[]string{"up", "--name", "A/B"}, `cluster name "A/B": want`},
		"bad mode":        {[]string{"up", "--load-balancer", "none"}, "[ip hostname pending]"},
		"unknown tool":    {[]string{"tools", "helm"}, "no such tool: helm; want run, lint or any of"},
		"stray argument":  {[]string{"down", "dev"}, `unknown command "dev" for "sandbox down"`},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, out, progress := run(t, test.args...)
			if code != 1 || out != "" || !strings.HasPrefix(progress, "sandbox: ") || !strings.Contains(progress, test.want) {
				t.Errorf("got exit code %d, %q and %q; want %q", code, out, progress, test.want)
			}
		})
	}
}

func TestTools_ExplainsAMistakeInTheEnvironment(t *testing.T) {
	for variable, want := range map[string]string{
		"SANDBOX_TOOLS": "want one of [auto build download]", "SANDBOX_RELEASES": "want a URL such as https://mirror.example.com/releases",
	} {
		t.Run(variable, func(t *testing.T) {
			t.Setenv(variable, "never")
			code, out, progress := run(t, "tools", "kubectl")
			if wanted := "sandbox: " + variable + ` is "never": ` + want + "\n"; code != 1 || out != "" || progress != wanted {
				t.Errorf("got exit code %d, %q and %q; want %q", code, out, progress, wanted)
			}
		})
	}
}

func TestHelp_ShowsTheCommandsAndNotTheStandIn(t *testing.T) {
	t.Parallel()
	code, out, _ := run(t, "--help")
	for _, want := range []string{"tools", "up", "down", "status", "simulated"} {
		if !strings.Contains(out, want) {
			t.Errorf("want %q in help:\n%s", want, out)
		}
	}
	if code != 0 || strings.Contains(out, "Play Longhorn") {
		t.Errorf("got exit code %d and\n%s", code, out)
	}
}

func TestHelp_EveryCommandHasExamples(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"tools", "up", "down", "status"} {
		if code, out, _ := run(t, name, "--help"); code != 0 || !strings.Contains(out, "Examples:") {
			t.Errorf("%s: got exit code %d and\n%s", name, code, out)
		}
	}
}
