package drill

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ha-iris/ops/drill/internal/fakeapi"
	"ha-iris/ops/drill/internal/fault"
	"ha-iris/ops/drill/internal/hold"
	"ha-iris/ops/drill/internal/report"
)

// stoppable gives the database a Deployment, whose scale moves the volume, and its replicas files. It returns how many were wanted,
// in order.
func (b *bench) stoppable(contents map[string]string) func() []int64 {
	b.t.Helper()
	b.Config.Disks = b.t.TempDir()
	for node, content := range contents {
		dir := filepath.Join(b.Config.Disks, node, "disk", "var", "lib", "longhorn", "replicas", "pvc-1-r-"+node)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			b.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "volume.img"), []byte(content), 0o600); err != nil {
			b.t.Fatal(err)
		}
	}
	b.server.Put("deployments", fakeapi.Object{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": fakeapi.Object{"name": "iris", "namespace": fakeapi.Namespace},
		"spec": fakeapi.Object{"replicas": float64(1)},
	})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan []int64)
	go func() {
		seen := []int64{1}
		for ctx.Err() == nil {
			spec, _ := b.server.Get("deployments", fakeapi.Namespace, "iris")["spec"].(fakeapi.Object)
			number, _ := spec["replicas"].(float64)
			if now := int64(number); now != seen[len(seen)-1] {
				seen = append(seen, now)
				b.server.Edit("volumes", "longhorn-system", "pvc-1", func(object fakeapi.Object) {
					object["status"].(fakeapi.Object)["state"] = map[bool]string{true: "attached", false: "detached"}[now == 1]
				})
			}
			time.Sleep(10 * time.Millisecond)
		}
		done <- seen
	}()
	return func() []int64 { time.Sleep(100 * time.Millisecond); stop(); return <-done }
}

func TestCompare_StopsTheDatabaseAndStartsItAgain(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		other  string
		differ int
		want   string
	}{
		"equal":   {"one", 0, ""},
		"differ":  {"two", 1, "the replicas differ"},
		"missing": {"", -1, "has 0 files"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, fault.CutNode)
			contents := map[string]string{"node-a": "one", "node-b": "one", "node-c": test.other}
			if test.other == "" {
				delete(contents, "node-c")
			}
			scaled := b.stoppable(contents)
			var err error
			if b.hold, err = hold.Acquire(t.Context(), b.Cluster, fakeapi.Namespace, "drill-x", time.Now()); err != nil {
				t.Fatal(err)
			}
			run := report.Run{}
			err = b.compare(t.Context(), &run)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if test.differ >= 0 && (run.Differing == nil || *run.Differing != test.differ) || (len(run.Broken) > 0) != (test.differ > 0) {
				t.Errorf("the run is %+v", run)
			}
			if got := scaled(); len(got) != 3 || got[1] != 0 || got[2] != 1 {
				t.Errorf("the Deployment was scaled to %v, want 1, 0, 1", got)
			}
		})
	}
}

func TestCleanup_StartsADatabaseThatWasStoppedForAComparison(t *testing.T) {
	t.Parallel()
	b := newBench(t, fault.CutNode)
	scaled := b.stoppable(nil)
	held, err := hold.Acquire(t.Context(), b.Cluster, fakeapi.Namespace, "drill-x", time.Now().Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if err := held.Note(t.Context(), &hold.Record{Experiment: comparing, Namespace: fakeapi.Namespace}); err != nil {
		t.Fatal(err)
	}
	b.server.Edit("leases", fakeapi.Namespace, hold.Name, func(lease fakeapi.Object) {
		lease["spec"].(fakeapi.Object)["renewTime"] = "2026-01-01T00:00:00.000000Z"
	})
	if err := b.scale(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	if err := b.Cleanup(t.Context()); err != nil {
		t.Errorf("clean up: %v", err)
	}
	if got := scaled(); len(got) != 3 || got[2] != 1 {
		t.Errorf("the Deployment was scaled to %v, want 1, 0, 1", got)
	}
	b.wantReleased()
}
