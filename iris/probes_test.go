package iris

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"ha-iris/internal/testkit"
)

// line is an answer of `iris qlist IRIS` with the given status and health (the fields: GSA).
func line(name, status, health string) string {
	return name + "^/usr/irissys^2026.1.0.234.1^" + status + "^iris.cpf^1972^52773^62972^" + health +
		"^IRIS^^^/external/iris/^0\n"
}

// TestProbes_AnswerForEveryState runs the very commands of the pod against a stand-in for `iris`.
func TestProbes_AnswerForEveryState(t *testing.T) {
	t.Parallel()
	type verdict struct{ started, ready, alive bool }
	const since = "running, since Sat Nov 21 10:02:11 2026"
	for _, state := range []struct {
		name, output string
		exit         int
		want         verdict
	}{
		{"running", line("IRIS", since, "ok"), 0, verdict{true, true, true}},
		{"running with a warning", line("IRIS", since, "warn"), 0, verdict{true, true, true}},
		{"running with an alert, as after every recovery", line("IRIS", since, "alert"), 0, verdict{true, true, true}},
		{"hung, as in a backup's freeze", line("IRIS", since, "hung"), 0, verdict{true, true, true}},
		{"starting", line("IRIS", "sign-on inhibited: Startup or Installation in progress", ""), 0, verdict{true, false, true}},
		{"waiting for an administrator", line("IRIS", "sign-on inhibited", ""), 0, verdict{true, false, true}},
		{"down", line("IRIS", "down, last used Sat Nov 21 10:02:11 2026", ""), 0, verdict{false, false, false}},
		{"down, never used", line("IRIS", "down", ""), 0, verdict{false, false, false}},
		{"ids missing", line("IRIS", "running on node ? (iris.ids missing)", ""), 0, verdict{false, false, true}},
		{"indeterminate", line("IRIS", "status indeterminate", ""), 0, verdict{false, false, true}},
		{"another instance", line("OTHER", since, "ok"), 0, verdict{false, false, true}},
		{"another instance that is down", line("IRIS2", "down", ""), 0, verdict{false, false, true}},
		{"running only in a later field", line("IRIS", "down", since), 0, verdict{false, false, false}},
		{"down only in a later field", line("IRIS", since, "down"), 0, verdict{true, true, true}},
		{"no answer", "", 0, verdict{false, false, true}},
		{"failure", "", 1, verdict{false, false, true}},
		{"answer and failure", line("IRIS", since, "ok"), 1, verdict{true, true, true}},
		{"no end of line", line("IRIS", "down", "")[:40], 0, verdict{false, false, false}},
		{"a message first", "Cannot open directory\n" + line("IRIS", since, "ok"), 0, verdict{false, false, true}},
	} {
		t.Run(state.name, func(t *testing.T) {
			t.Parallel()
			path := stub(t, state.output, state.exit)
			got := verdict{
				started: succeeds(t, path, startedCommand()),
				ready:   succeeds(t, path, readyCommand()),
				alive:   succeeds(t, path, aliveCommand()),
			}
			if got != state.want {
				t.Errorf("got %+v, want %+v", got, state.want)
			}
		})
	}
}

// stub puts an `iris` on a PATH of its own that answers `qlist IRIS`, and only that.
func stub(t *testing.T, output string, exit int) string {
	t.Helper()
	dir := t.TempDir()
	testkit.WriteFile(t, filepath.Join(dir, "answer"), output)
	script := fmt.Sprintf("#!/bin/sh\n[ \"$*\" = 'qlist IRIS' ] || exit 64\n/bin/cat '%s/answer'\nexit %d\n", dir, exit)
	if err := os.WriteFile(filepath.Join(dir, "iris"), []byte(script), 0o700); err != nil { //nolint:gosec // It has to run.
		t.Fatal(err)
	}
	return dir
}

// succeeds runs a probe with nothing but `iris` on the PATH: the shell's builtins must do.
func succeeds(t *testing.T, path, command string) bool {
	t.Helper()
	probe := exec.Command("/bin/sh", "-c", command)
	probe.Env = []string{"PATH=" + path}
	output, err := probe.CombinedOutput()
	if len(output) > 0 {
		t.Errorf("%s says %q", command, output)
	}
	return err == nil
}

func TestProbes_LeaveTimeForRecoveryAndStalls(t *testing.T) {
	t.Parallel()
	cfg := community(func(c *Config) { c.RecoveryBudgetSeconds = 1202 })
	pod := decode[appsv1.Deployment](t, manifests(t, mustRun(t, cfg)), "Deployment", deploymentName).Spec.Template.Spec
	container := pod.Containers[0]
	patience := func(probe *corev1.Probe) int32 { return probe.PeriodSeconds * probe.FailureThreshold }
	if got := patience(container.StartupProbe); got < 1202 || got > 1202+startupPeriod {
		t.Errorf("a start may take %d s, want 1202 s", got)
	}
	// Longhorn gives up on a replica after 8 s, and the database stands still for as long.
	const stall = 8
	for name, probe := range map[string]*corev1.Probe{
		"startup": container.StartupProbe, "readiness": container.ReadinessProbe, "liveness": container.LivenessProbe,
	} {
		if probe.TimeoutSeconds <= stall {
			t.Errorf("%s probe gives up after %d s", name, probe.TimeoutSeconds)
		}
	}
	if got := patience(container.LivenessProbe); got < 60 {
		t.Errorf("killed after %d s", got)
	}
}
