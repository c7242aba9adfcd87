package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ha-iris/ops/drill/internal/fakeapi"
	"ha-iris/ops/drill/internal/fault"
	"ha-iris/ops/drill/internal/report"
)

// kubeconfig writes that of a cluster with a database.
func kubeconfig(t *testing.T) (path string, server *fakeapi.Server) {
	t.Helper()
	server = fakeapi.New(t)
	server.NewDatabase()
	server.Deleted = func(_, _, name string) { go server.FailOver(name, "node-b", 2) }
	path = filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, []byte(server.Kubeconfig()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, server
}

func TestRun_ExitsByWhatItFound(t *testing.T) {
	t.Parallel()
	degrade := func(server *fakeapi.Server) {
		server.Edit("volumes", "longhorn-system", "pvc-1", func(object fakeapi.Object) {
			object["status"].(fakeapi.Object)["robustness"] = "degraded"
		})
	}
	for name, test := range map[string]struct {
		args  []string
		typed string
		spoil func(server *fakeapi.Server)
		code  int
		want  string
	}{
		"passed":            {[]string{"delete-pod", "--yes", "--context", "fake", "--max-p50", "60"}, "", nil, report.Passed, "passed"},
		"confirmed":         {[]string{"delete-pod"}, "fake\n", nil, report.Passed, "passed"},
		"missed":            {[]string{"delete-pod", "--yes", "--context=fake", "--max-p50", "delete-pod=0.00001"}, "", nil, report.Missed, "MISSED"},
		"degraded":          {[]string{"delete-pod", "--yes", "--context", "fake"}, "", degrade, report.Refused, "REFUSED the volume pvc-1 is attached and degraded"},
		"another name":      {[]string{"delete-pod"}, "other\n", nil, report.Refused, "was not confirmed"},
		"nobody there":      {[]string{"delete-pod"}, "", nil, report.Refused, "was not confirmed"},
		"--yes to anything": {[]string{"delete-pod", "--yes"}, "", nil, report.Refused, "--yes needs --context"},
		"cleanup":           {[]string{"cleanup"}, "", nil, report.Passed, "nothing to clean up"},
		"no context":        {[]string{"delete-pod", "--context", "missing"}, "", nil, report.Refused, `no context "missing"`},
		"no experiment":     {nil, "", nil, report.Refused, "got 0 experiments"},
		"help":              {[]string{"--help"}, "", nil, report.Passed, "Usage:"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, server := kubeconfig(t)
			if test.spoil != nil {
				test.spoil(server)
			}
			args := test.args
			if len(args) > 0 && args[0] != "--help" {
				args = append(args, "--kubeconfig", path, "--phase", "0", "--settling", "0")
			}
			var out, progress strings.Builder
			code := run(t.Context(), args, strings.NewReader(test.typed), &out, &progress)
			said := out.String() + progress.String()
			if code != test.code || !strings.Contains(said, test.want) {
				t.Errorf("exit %d, want %d; want %q in\n%s", code, test.code, test.want, said)
			}
			if strings.Contains(said, "hunter2") {
				t.Error("the output has the token")
			}
		})
	}
}

func TestRun_WritesResults(t *testing.T) {
	t.Parallel()
	path, _ := kubeconfig(t)
	dir := t.TempDir()
	args := []string{
		"delete-pod", "--yes", "--context", "fake", "--kubeconfig", path, "--phase", "0", "--settling", "0", "--json", filepath.Join(dir, "r.json"),
		"--junit", filepath.Join(dir, "r.xml"), "--svg", filepath.Join(dir, "svg"),
	}
	var out strings.Builder
	if code := run(t.Context(), args, strings.NewReader(""), &out, &out); code != report.Passed {
		t.Fatalf("exit %d:\n%s", code, out.String())
	}
	text, err := os.ReadFile(filepath.Join(dir, "r.json"))
	var read report.Report
	if err != nil || json.Unmarshal(text, &read) != nil || len(read.Experiments) != 1 || read.Experiments[0].Runs[0].NewNode != "node-b" {
		t.Errorf("the JSON is %s, %v", text, err)
	}
	for _, name := range []string{"r.xml", "svg/all.svg", "svg/delete-pod-1.svg"} {
		if text, err := os.ReadFile(filepath.Join(dir, name)); err != nil || len(text) == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	args[len(args)-1] = filepath.Join(dir, "r.json") // No directory.
	if code := run(t.Context(), args, strings.NewReader(""), &out, &out); code != report.Passed || !strings.Contains(out.String(), "make the directory") {
		t.Errorf("pictures that cannot be written: exit %d:\n%s", code, out.String())
	}
}

func TestParse_RefusesEveryMistake(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"lose-node cut-node":                          "got 2 experiments",
		"explode":                                     `no experiment "explode"`,
		"all --runs 0":                                "--runs: got 0",
		"all --rate 0":                                "--rate: got 0",
		"all --max-lost -1":                           "--max-lost",
		"all --max-p50 explode=3":                     `no experiment "explode"`,
		"all --max-p95 -3":                            "no number of seconds above 0",
		"all --phase soon":                            "no number of seconds",
		"all --writer paper":                          `--writer: got "paper"`,
		"all --write-url http://x/":                   "{run} and {row}",
		"all --endpoint x":                            "--endpoint: want a URL",
		"all --sandbox ../x":                          "--sandbox wants a sandbox's name",
		"all --sandbox lab --context other":           "--sandbox wants",
		"all --recovery 0 --write-timeout 0":          "--recovery",
		"all --recovery 0 --write-timeout 0 --rate 2": "--write-timeout",
		"all --explode":                               "explode",
		"all --compare-replicas":                      "--compare-replicas: want --sandbox",
	} {
		if _, err := parse(strings.Fields(line)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", line, err, want)
		}
	}
}

func TestParse_UnderstandsTheExamples(t *testing.T) {
	t.Parallel()
	o, err := parse(strings.Fields("lose-node --sandbox lab --runs 20 --max-p50 80 --max-p95 95 --max-p95 delete-pod=30 --heal-after 5 --svg drill"))
	if err != nil {
		t.Fatal(err)
	}
	c := o.config
	if c.Runs != 20 || c.HealAfter != 5*time.Second || o.svg != "drill" || c.Phase != 10*time.Second || c.Namespace != "iris" {
		t.Errorf("got %+v", o)
	}
	if o.kubeconfig != filepath.Join(".local", "sandbox", "lab", "kubeconfig") || c.Commands.StopNode != ".local/bin/sandbox node kill {node} --name lab" {
		t.Errorf("the sandbox is %q, %q", o.kubeconfig, c.Commands.StopNode)
	}
	if got := c.Objectives(fault.LoseNode); got.P50 != 80*time.Second || got.P95 != 95*time.Second {
		t.Errorf("the objectives are %+v", got)
	}
	if got := c.Objectives(fault.DeletePod); got.P95 != 30*time.Second || got.P50 != 80*time.Second {
		t.Errorf("those of delete-pod are %+v", got)
	}
	all, err := parse([]string{"--runs", "2", "all"})
	if err != nil || len(all.config.Experiments) != 6 || all.config.Runs != 2 {
		t.Errorf("all: %+v, %v", all, err)
	}
}

func TestAsk_GoesOnWhenItIsSeenOrSaid(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	seen := newTerminal(strings.NewReader(""), &out)
	if err := seen.ask(t.Context(), "waiting", func() bool { return true }); err != nil {
		t.Errorf("seen: %v", err)
	}
	said := newTerminal(strings.NewReader("\n"), &out)
	if err := said.ask(t.Context(), "waiting", func() bool { return false }); err != nil {
		t.Errorf("said: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := newTerminal(strings.NewReader(""), &out).ask(ctx, "waiting", func() bool { return false }); err == nil {
		t.Error("nobody said it, and nothing was seen")
	}
}
