package drill

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ha-iris/ops/drill/internal/fakeapi"
	"ha-iris/ops/drill/internal/fault"
	"ha-iris/ops/drill/internal/hold"
	"ha-iris/ops/drill/internal/kube"
	"ha-iris/ops/drill/internal/report"
	"ha-iris/ops/drill/internal/timeline"
)

// bench is a drill on an API server in memory, where nothing runs.
type bench struct {
	*Drill
	t      *testing.T
	server *fakeapi.Server
	mu     sync.Mutex
	said   strings.Builder
}

func newBench(t *testing.T, kind fault.Kind) *bench {
	t.Helper()
	server := fakeapi.New(t)
	server.NewDatabase()
	b := &bench{t: t, server: server}
	cluster, err := kube.New(server.Config())
	if err != nil {
		t.Fatal(err)
	}
	b.Drill = &Drill{
		Cluster: cluster, Report: &report.Report{},
		Config: Config{
			Namespace: fakeapi.Namespace, Experiments: []fault.Kind{kind}, Runs: 1, Recovery: 10 * time.Second, Healing: 5 * time.Second, Warming: 10 * time.Second,
			Writer: "auto", Rate: 10, WriteTimeout: time.Second,
			Objectives: func(fault.Kind) report.Objectives { return report.Objectives{P50: 5 * time.Second} },
		},
		Host: Host{
			Say:     b.say,
			Confirm: func(context.Context) error { return nil },
			Ask:     func(context.Context, string, func() bool) error { return errors.New("nobody is there") },
		},
	}
	return b
}

func (b *bench) say(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	fmt.Fprintf(&b.said, format+"\n", args...)
}

// replaces makes the controllers replace a pod that is deleted.
func (b *bench) replaces() {
	number := 1
	b.server.Deleted = func(_, _, name string) {
		number++
		next := number
		go func() {
			time.Sleep(100 * time.Millisecond)
			b.server.FailOver(name, "node-b", next)
		}()
	}
}

// only is the one run that there should be.
func (b *bench) only() report.Run {
	b.t.Helper()
	if len(b.Report.Experiments) != 1 || len(b.Report.Experiments[0].Runs) != 1 {
		b.t.Fatalf("the report is %+v; it said:\n%s", b.Report, b.said.String())
	}
	return b.Report.Experiments[0].Runs[0]
}

func (b *bench) wantCode(code int) {
	b.t.Helper()
	if b.Report.ExitCode != code {
		b.t.Errorf("exit code %d, want %d; the report is %+v; it said:\n%s", b.Report.ExitCode, code, b.Report, b.said.String())
	}
}

func (b *bench) wantReleased() {
	b.t.Helper()
	if lease := b.server.Get("leases", fakeapi.Namespace, hold.Name); lease != nil {
		b.t.Errorf("the Lease is still there: %v", lease)
	}
}

func TestRun_MeasuresADeletedPod(t *testing.T) {
	t.Parallel()
	b := newBench(t, fault.DeletePod)
	b.replaces()
	b.Run(t.Context())
	run := b.only()
	b.wantCode(report.Passed)
	b.wantReleased()
	if !run.Recovered || run.Gap < 0.05 || run.Gap > 5 || run.NewNode != "node-b" || run.NewPod != "iris-2" {
		t.Errorf("the run is %+v", run)
	}
	var marks []string
	for _, phase := range run.Phases {
		marks = append(marks, string(phase.To))
	}
	for _, mark := range []string{"pod deleted", "volume detached", "pod gone", "new pod created", "volume attached", "pod ready", "endpoint ready"} {
		if !strings.Contains(strings.Join(marks, ","), mark) {
			t.Errorf("the phases lack %q: %v", mark, marks)
		}
	}
	if !strings.Contains(b.Report.Writer, "none") {
		t.Errorf("the report does not say that nothing was written: %q", b.Report.Writer)
	}
}

func TestRun_DrainsAndUncordons(t *testing.T) {
	t.Parallel()
	b := newBench(t, fault.DrainNode)
	b.replaces()
	daemon := fakeapi.Pod("daemon", "node-a")
	daemon["metadata"] = fakeapi.Object{
		"name": "daemon", "namespace": "kube-system", "ownerReferences": []any{fakeapi.Object{"kind": "DaemonSet", "name": "d", "controller": true}},
	}
	b.server.Put("pods", daemon)
	b.Run(t.Context())
	b.wantCode(report.Passed)
	node := b.server.Get("nodes", "", "node-a")
	if blocked, _ := node["spec"].(fakeapi.Object)["unschedulable"].(bool); blocked {
		t.Error("the node is still cordoned")
	}
	if b.server.Get("pods", "kube-system", "daemon") == nil {
		t.Error("the DaemonSet's pod was evicted")
	}
	if !slices.ContainsFunc(b.only().Phases, func(p timeline.Phase) bool { return p.To == timeline.Cordoned }) {
		t.Errorf("the phases are %v, want the cordon among them", b.only().Phases)
	}
}

// losesNode plays what Kubernetes does once the command has run, and the machine's return.
func (b *bench) losesNode() {
	b.t.Helper()
	dir := b.t.TempDir()
	stopped := filepath.Join(dir, "stopped")
	b.Config.Commands = fault.Commands{StopNode: ": > " + stopped + " && test {node} = node-a", StartNode: "rm " + stopped}
	exists := func() bool {
		_, err := os.Stat(stopped)
		return err == nil
	}
	go func() {
		for !exists() && b.t.Context().Err() == nil {
			time.Sleep(20 * time.Millisecond)
		}
		b.server.SetReady("node-a", "Unknown")
		time.Sleep(100 * time.Millisecond)
		b.server.FailOver("iris-1", "node-b", 2)
		for exists() && b.t.Context().Err() == nil {
			time.Sleep(20 * time.Millisecond)
		}
		b.server.SetReady("node-a", "True")
	}()
}

func TestRun_LosesANodeAndStartsIt(t *testing.T) {
	t.Parallel()
	b := newBench(t, fault.LoseNode)
	b.losesNode()
	b.Run(t.Context())
	run := b.only()
	b.wantCode(report.Passed)
	b.wantReleased()
	if len(run.Phases) == 0 || run.Phases[0].To != "node not ready" || run.Node != "node-a" {
		t.Errorf("the run is %+v, want it to begin with a node that is not Ready", run)
	}
}

func TestRun_SaysWhenSomethingIsLeft(t *testing.T) {
	t.Parallel()
	b := newBench(t, fault.LoseNode)
	b.losesNode()
	start := b.Config.Commands.StartNode
	b.Config.Commands.StartNode = "echo the cloud says no >&2; false"
	b.Run(t.Context())
	b.wantCode(report.NotCleaned)
	if len(b.Report.Uncleaned) != 1 || !strings.Contains(b.Report.Uncleaned[0], "the cloud says no") {
		t.Errorf("left are %q", b.Report.Uncleaned)
	}
	again := newBench(t, fault.DeletePod)
	again.server, again.Cluster = b.server, b.Cluster
	again.Run(t.Context())
	again.wantCode(report.Refused)
	if refusals := strings.Join(again.Report.Refusals, "\n"); !strings.Contains(refusals, "drill cleanup") {
		t.Errorf("the next drill is refused with %q", refusals)
	}
	b.Config.Commands.StartNode = start
	if err := b.Cleanup(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.wantReleased()
	if err := b.Cleanup(t.Context()); err != nil {
		t.Errorf("a second cleanup: %v", err)
	}
}

func TestRun_CleansUpAfterCtrlC(t *testing.T) {
	t.Parallel()
	b := newBench(t, fault.DrainNode)
	ctx, cancel := context.WithCancel(t.Context())
	b.server.Deleted = func(_, namespace, name string) {
		b.server.Remove("pods", namespace, name) // Nobody makes another one.
		time.AfterFunc(200*time.Millisecond, cancel)
	}
	b.Run(ctx)
	b.wantReleased()
	if b.Report.Aborted == "" || b.Report.ExitCode != report.Missed {
		t.Errorf("the report is %+v", b.Report)
	}
	if blocked, _ := b.server.Get("nodes", "", "node-a")["spec"].(fakeapi.Object)["unschedulable"].(bool); blocked {
		t.Error("the node is still cordoned")
	}
}

func TestRun_WaitsForTheNodeAfterCtrlC(t *testing.T) {
	t.Parallel()
	b := newBench(t, fault.LoseNode)
	stopped := filepath.Join(t.TempDir(), "stopped")
	b.Config.Commands = fault.Commands{StopNode: ": > " + stopped, StartNode: "rm " + stopped}
	ctx, cancel := context.WithCancel(t.Context())
	var back time.Time
	done := make(chan struct{})
	go func() {
		defer close(done)
		waitFor(t, stopped)
		b.server.SetReady("node-a", "Unknown")
		time.Sleep(200 * time.Millisecond)
		cancel()
		for _, err := os.Stat(stopped); err == nil && t.Context().Err() == nil; _, err = os.Stat(stopped) {
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(500 * time.Millisecond)
		back = time.Now()
		b.server.SetReady("node-a", "True")
	}()
	b.Run(ctx)
	ended := time.Now()
	<-done
	b.wantReleased()
	if ended.Before(back) || len(b.Report.Uncleaned) > 0 {
		t.Errorf("it ended at %s, the node was back at %s; left are %q", ended, back, b.Report.Uncleaned)
	}
}

func TestRun_BreaksWhenTheClaimIsAnotherOne(t *testing.T) {
	t.Parallel()
	b := newBench(t, fault.DeletePod)
	b.server.Deleted = func(_, _, name string) {
		b.server.Edit("persistentvolumeclaims", fakeapi.Namespace, "iris-pvc", func(object fakeapi.Object) {
			object["metadata"].(fakeapi.Object)["uid"] = "claim-2"
		})
		go b.server.FailOver(name, "node-b", 2)
	}
	b.Run(t.Context())
	b.wantCode(report.Lost)
	if broken := strings.Join(b.only().Broken, "\n"); !strings.Contains(broken, "claim-1") {
		t.Errorf("broken is %q", broken)
	}
}

func TestRun_BreaksWhenTheVolumeIsAttachedTwice(t *testing.T) {
	t.Parallel()
	b := newBench(t, fault.DeletePod)
	b.Config.Settling = time.Second // The watches are not in step.
	b.server.Deleted = func(_, _, name string) {
		b.server.Attach("node-c") // While it still is on node-a.
		go b.server.FailOver(name, "node-b", 2)
	}
	b.Run(t.Context())
	b.wantCode(report.Lost)
	if broken := strings.Join(b.only().Broken, "\n"); !strings.Contains(broken, "two nodes at once") && !strings.Contains(broken, "2 nodes at once") {
		t.Errorf("broken is %q", broken)
	}
}

func TestRun_MissesWhenTheDatabaseStaysAway(t *testing.T) {
	t.Parallel()
	b := newBench(t, fault.DeletePod)
	b.Config.Recovery, b.Config.Healing = time.Second, time.Second
	b.server.Deleted = func(_, namespace, name string) { b.server.Remove("pods", namespace, name) }
	b.Run(t.Context())
	b.wantCode(report.Missed)
	if run := b.only(); run.Recovered || run.Gap < 1 {
		t.Errorf("the run is %+v", run)
	}
}

func TestRun_RefusesAndTouchesNothing(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		spoil func(b *bench)
		want  string
	}{
		"a degraded volume": {func(b *bench) {
			b.server.Edit("volumes", "longhorn-system", "pvc-1", func(object fakeapi.Object) {
				object["status"].(fakeapi.Object)["robustness"] = "degraded"
			})
		}, "degraded"},
		"not confirmed": {func(b *bench) {
			b.Host.Confirm = func(context.Context) error { return errors.New("not confirmed") }
		}, "not confirmed"},
		"a process on simulated nodes": {func(b *bench) { b.Config.Experiments = []fault.Kind{fault.StopInstance} }, "simulated"},
		"another drill": {func(b *bench) {
			if _, err := hold.Acquire(b.t.Context(), b.Cluster, fakeapi.Namespace, "drill-other", time.Now()); err != nil {
				b.t.Fatal(err)
			}
		}, "drill-other"},
		"no API server": {func(b *bench) {
			b.server.Refuse = func(string, string) (int, string) { return 403, "forbidden for you" }
		}, "forbidden for you"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, fault.DeletePod)
			b.server.Deleted = func(_, _, name string) { t.Errorf("%s was deleted", name) }
			test.spoil(b)
			b.Run(t.Context())
			b.wantCode(report.Refused)
			if refusals := strings.Join(b.Report.Refusals, "\n"); !strings.Contains(refusals, test.want) {
				t.Errorf("refused with %q, want %q", refusals, test.want)
			}
		})
	}
}

// The kubelet's pause before a further start of the same container would be measured with it.
func TestRenew_MakesANewPodOfOneThatWasStartedAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t, fault.StopInstance)
	b.replaces()
	is := func(pod string) bool { return b.server.Get("pods", fakeapi.Namespace, pod) != nil }
	if err := b.renew(t.Context()); err != nil || !is("iris-1") || is("iris-2") {
		t.Errorf("a container that was never started again: another pod is there: %t, %v", is("iris-2"), err)
	}
	b.server.Restart("iris-1", "containerd://another", "True")
	if err := b.renew(t.Context()); err != nil || is("iris-1") || !is("iris-2") {
		t.Errorf("a new pod is there: %t, %v; it said:\n%s", is("iris-2"), err, b.said.String())
	}
}
