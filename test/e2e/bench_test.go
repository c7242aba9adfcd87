//go:build e2e

package e2e_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"ha-iris/test/e2e/evidence"
)

// TestBench_MeasuresWhatThePageShows runs the benchmark once, quickly: that it works and measures everything. How fast
// this machine is, no test can judge.
func TestBench_MeasuresWhatThePageShows(t *testing.T) {
	var progress bytes.Buffer
	kept.Of(t).Add("bench", func(dir string) error { return evidence.Write(dir, "bench.log", progress.Bytes()) })
	command := exec.CommandContext(t.Context(), "make", "bench", "BENCH=--cold=false --runs 1 --json")
	command.Dir = repository
	command.Stderr = io.MultiWriter(os.Stderr, &progress)
	printed, err := command.Output()
	progress.Write(printed)
	if err != nil {
		t.Fatalf("run the benchmark: %v\n%s", err, printed)
	}
	// Before and after it, make speaks of tools and directories.
	_, output, _ := strings.Cut("\n"+string(printed), "\n{")
	output = "{" + output
	var measured struct {
		Rows []struct {
			Name    string  `json:"name"`
			Seconds float64 `json:"seconds"`
		} `json:"rows"`
		Ratio float64 `json:"ratio"`
		Path  []struct {
			Name string `json:"name"`
		} `json:"criticalPath"`
		Resources int `json:"resources"`
	}
	if err := json.NewDecoder(strings.NewReader(output)).Decode(&measured); err != nil {
		t.Fatalf("read the results: %v\n%s", err, output)
	}
	for _, row := range measured.Rows {
		if row.Seconds <= 0 {
			t.Errorf("%s took %v s", row.Name, row.Seconds)
		}
	}
	if len(measured.Rows) != 5 || measured.Ratio < 1 {
		t.Errorf("got %d rows and %.2f times the floor:\n%s", len(measured.Rows), measured.Ratio, output)
	}
	path := measured.Path
	// Both wait for the pod, and either may hear of it last.
	waiting := []string{"Service iris-svc", "Deployment iris"}
	if len(path) < 5 || len(path) > measured.Resources || !slices.Contains(waiting, path[len(path)-1].Name) {
		t.Errorf("the critical path is %v of %d resources; want it to end with what waits for the pod", path, measured.Resources)
	}
}
