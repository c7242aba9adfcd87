//go:build e2e

package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ha-iris/test/e2e/evidence"
)

// drillReport is what counts of the results that the drill writes (ops/drill/internal/report).
type drillReport struct {
	ExitCode    int      `json:"exitCode"`
	Aborted     string   `json:"aborted"`
	Refusals    []string `json:"refusals"`
	Uncleaned   []string `json:"uncleaned"`
	Writer      string   `json:"writer"`
	Experiments []struct {
		Name   string     `json:"name"`
		Runs   []drillRun `json:"runs"`
		Missed []string   `json:"missed"`
		Broken []string   `json:"broken"`
	} `json:"experiments"`
}

type drillRun struct {
	Recovered bool    `json:"recovered"`
	Gap       float64 `json:"gapSeconds"`
	Node      string  `json:"node"`
	NewNode   string  `json:"newNode"`
	Writes    *struct {
		Acknowledged int               `json:"acknowledged"`
		Lost         []json.RawMessage `json:"lost"`
		Duplicated   []int64           `json:"duplicated"`
		Phantoms     []int64           `json:"phantoms"`
	} `json:"writes"`
	Differing *int `json:"differingBlocks"`
}

// drill runs the drill on a sandbox, one run of each experiment, and returns its results and its exit code. Times have no limit but the drill's
// own of 12 minutes: a machine that is busy with other tests says nothing of speed.
func (s sandbox) drill(t *testing.T, experiment string, options ...string) (drillReport, int) {
	t.Helper()
	left := kept.Of(t) // Before the first directory.
	dir := t.TempDir()
	program, results := filepath.Join(dir, "drill"), filepath.Join(dir, "results.json")
	build := exec.Command("go", "build", "-o", program, "./ops/drill") // "go run" has no exit code but 1.
	build.Dir = repository
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the drill: %v\n%s", err, output)
	}
	var printed bytes.Buffer
	left.Add("drill-"+experiment, func(to string) error {
		return errors.Join(evidence.Write(to, "drill.log", printed.Bytes()), evidence.Copy(to, results))
	})
	// An interrupt, so that it gives back what it took.
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, program, append([]string{experiment, "--sandbox", s.Name, "--runs", "1", "--json", results}, options...)...)
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 5 * time.Minute
	command.Dir = repository
	command.Stdout = io.MultiWriter(os.Stderr, &printed)
	command.Stderr = command.Stdout
	running := command.Run()
	if ended := new(exec.ExitError); running != nil && !errors.As(running, &ended) {
		t.Fatalf("run the drill: %v\n%s", running, printed.Bytes())
	}
	content, err := os.ReadFile(results)
	if err != nil {
		t.Fatalf("the drill has written no results: %v, %v\n%s", running, err, printed.Bytes())
	}
	var read drillReport
	if err := json.Unmarshal(content, &read); err != nil {
		t.Fatalf("read the drill's results: %v\n%s", err, content)
	}
	return read, command.ProcessState.ExitCode()
}

// wantPassed wants exit code 0, these experiments, of each a run that recovered, and nothing broken.
func (r drillReport) wantPassed(t *testing.T, exitCode int, experiments ...string) {
	t.Helper()
	if exitCode != 0 || r.ExitCode != 0 || r.Aborted != "" || len(r.Refusals) > 0 || len(r.Uncleaned) > 0 {
		t.Errorf("exit code %d, in the results %d; aborted %q, refused %q, not given back %q", exitCode, r.ExitCode, r.Aborted, r.Refusals, r.Uncleaned)
	}
	var made []string
	for _, one := range r.Experiments {
		made = append(made, one.Name)
		if len(one.Runs) != 1 || len(one.Missed) > 0 || len(one.Broken) > 0 {
			t.Errorf("%s: %d runs, missed %q, broken %q", one.Name, len(one.Runs), one.Missed, one.Broken)
		}
		for _, run := range one.Runs {
			t.Logf("%s: away for %.1f s, from %s to %s", one.Name, run.Gap, run.Node, run.NewNode)
			if !run.Recovered {
				t.Errorf("%s: not recovered", one.Name)
			}
		}
	}
	if got, want := strings.Join(made, " "), strings.Join(experiments, " "); got != want {
		t.Errorf("experiments %s, want %s", got, want)
	}
}
