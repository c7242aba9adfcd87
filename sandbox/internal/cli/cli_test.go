package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ha-iris/sandbox/internal/cluster"
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
		"bad disks":       {[]string{"up", "--disks", "ceph"}, `disks "ceph": want one of [none network]`},
		"bad mode":        {[]string{"up", "--load-balancer", "none"}, "[ip hostname pending]"},
		"unknown tool":    {[]string{"tools", "helm"}, "no such tool: helm; want run, lab, lint, image or any of"},
		"unknown fault":   {[]string{"node", "burn", "ha-iris-node-a"}, `unknown command "burn" for "sandbox node"`},
		"no node":         {[]string{"node", "kill"}, "want the name of one node; sandbox status shows them"},
		"two nodes":       {[]string{"node", "cut", "a", "b"}, "want the name of one node; sandbox status shows them"},
		"no cluster":      {[]string{"node", "kill", "a", "--name", "e2e"}, `cluster "e2e" does not run: start it with: sandbox up --name e2e`},
		"no images":       {[]string{"registry", "--dir", "/nowhere"}, "read the list of images"},
		"no port":         {[]string{"registry", "--listen", "127.0.0.1"}, "missing port in address"},
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
	for _, want := range []string{"tools", "up", "down", "status", "node", "images", "simulated"} {
		if !strings.Contains(out, want) {
			t.Errorf("want %q in help:\n%s", want, out)
		}
	}
	if code != 0 || strings.Contains(out, "Play Longhorn") || strings.Contains(out, "registry") {
		t.Errorf("got exit code %d and\n%s", code, out)
	}
}

func TestHelp_EveryCommandHasExamples(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"tools", "up", "down", "status", "node", "node kill", "node start", "node kubelet-stop", "node cut", "node join", "images",
	} {
		if code, out, _ := run(t, append(strings.Fields(name), "--help")...); code != 0 || !strings.Contains(out, "Examples:") {
			t.Errorf("%s: got exit code %d and\n%s", name, code, out)
		}
	}
}

func TestNode_SaysWhatHappenedAndWhatIsNotSimulated(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		result              cluster.FaultResult
		wantOut, wantRemark string
	}{
		"killed": {
			result:  cluster.FaultResult{Node: "a", State: cluster.Dead, Changed: true},
			wantOut: "node a is dead; Kubernetes notices after 40 to 55 s\n",
		},
		"cut off": {
			result:  cluster.FaultResult{Node: "a", State: cluster.Dead, Changed: true, NotSimulated: "the network"},
			wantOut: "node a is dead; Kubernetes notices after 40 to 55 s\n", wantRemark: "not simulated: the network\n",
		},
		"really cut off": {
			result:  cluster.FaultResult{Node: "a", State: cluster.CutOff, Changed: true},
			wantOut: "node a is cut off and runs on; Kubernetes notices after 40 to 55 s\n",
		},
		"without its kubelet": {
			result:  cluster.FaultResult{Node: "a", State: cluster.KubeletStopped, Changed: true},
			wantOut: "node a runs on without its kubelet; Kubernetes notices after 40 to 55 s\n",
		},
		"cut off already": {
			result:  cluster.FaultResult{Node: "a", State: cluster.CutOff},
			wantOut: "node a is cut off and runs on already: nothing changed\n",
		},
		"dead already":  {result: cluster.FaultResult{Node: "a", State: cluster.Dead}, wantOut: "node a is dead already: nothing changed\n"},
		"started":       {result: cluster.FaultResult{Node: "a", State: cluster.Alive, Changed: true}, wantOut: "node a is alive; it is Ready within 10 s\n"},
		"alive already": {result: cluster.FaultResult{Node: "a", State: cluster.Alive}, wantOut: "node a is alive already: nothing changed\n"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out, progress bytes.Buffer
			a := &app{out: &out, progress: &progress}
			if err := a.printFault(test.result); err != nil || out.String() != test.wantOut || progress.String() != test.wantRemark {
				t.Errorf("got %v, %q and %q", err, &out, &progress)
			}
			out.Reset()
			a.asJSON = true
			var got cluster.FaultResult
			err := a.printFault(test.result)
			if err := errors.Join(err, json.Unmarshal(out.Bytes(), &got)); err != nil || got != test.result {
				t.Errorf("as JSON: got %+v, %v", got, err)
			}
		})
	}
}
