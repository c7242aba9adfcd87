package drill

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"ha-iris/ops/drill/internal/fakeapi"
	"ha-iris/ops/drill/internal/fault"
	"ha-iris/ops/drill/internal/report"
)

// contain gives the bench containers with an IRIS in them, whose death is followed by a restart; meanwhile something may happen to
// the rows.
func (b *bench) contain(meanwhile func(iris *fakeapi.IRIS)) *fakeapi.IRIS {
	iris := fakeapi.NewIRIS()
	iris.Other = func(script string, stdout io.Writer) error {
		if !strings.Contains(script, "kill -9") {
			return fmt.Errorf("cannot run %q", script)
		}
		_, _ = io.WriteString(stdout, "processes: 12 13;\n")
		go func() {
			time.Sleep(50 * time.Millisecond)
			iris.Stop()
			b.server.Serve("")
			b.server.Restart("iris-1", "containerd://second", "False")
			time.Sleep(500 * time.Millisecond)
			meanwhile(iris)
			iris.Start()
			b.server.Restart("iris-1", "containerd://second", "True")
			b.server.Serve("iris-1")
		}()
		return nil
	}
	b.server.Contain(iris)
	b.Config.Rate = 50
	return iris
}

func TestRun_MeasuresADeadInstance(t *testing.T) {
	t.Parallel()
	b := newBench(t, fault.StopInstance)
	iris := b.contain(func(*fakeapi.IRIS) {})
	b.Run(t.Context())
	b.wantCode(report.Passed)
	run := b.only()
	if !run.Recovered || run.Gap < 0.5 || run.Gap > 5 || run.Books == nil {
		t.Fatalf("the run is %+v", run)
	}
	books := run.Books
	if books.Acknowledged < warm || books.Failed == 0 || len(books.Lost)+len(books.Duplicated)+len(books.Phantoms) > 0 {
		t.Errorf("the books are %+v", books)
	}
	if !strings.Contains(b.Report.Writer, "iris session") {
		t.Errorf("the writer is %q", b.Report.Writer)
	}
	if rows := iris.Rows(); rows > 0 {
		t.Errorf("%d rows were left in the database", rows)
	}
}

func TestRun_FindsWhatIsLost(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		young time.Duration
		code  int
	}{
		"promised":     {0, report.Lost},
		"not promised": {2 * time.Second, report.Passed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, fault.StopInstance)
			b.Config.Young = test.young
			b.contain(func(iris *fakeapi.IRIS) { iris.Lose(3) })
			b.Run(t.Context())
			b.wantCode(test.code)
			if books := b.only().Books; len(books.Lost)+len(books.Excused) != 3 || (len(books.Lost) > 0) != (test.code == report.Lost) {
				t.Errorf("lost are %v, excused %v, want 3", books.Lost, books.Excused)
			}
		})
	}
}

func TestRun_SaysWhenNothingIsAcknowledged(t *testing.T) {
	t.Parallel()
	b := newBench(t, fault.StopInstance)
	iris := b.contain(func(*fakeapi.IRIS) {})
	iris.Fails = func(int, int64) string { return "error" }
	b.Config.Warming = 500 * time.Millisecond
	b.Run(t.Context())
	b.wantReleased()
	if b.Report.ExitCode != report.Missed || !strings.Contains(b.Report.Aborted, "first acknowledged rows") {
		t.Errorf("the report is %+v", b.Report)
	}
}

// isolated is a node that is cut off: its database goes on acknowledging for itself, and a new pod takes over.
func (b *bench) isolated(alone, takenOver time.Duration) {
	iris := fakeapi.NewIRIS()
	var mu sync.Mutex
	var acks strings.Builder
	boot := time.Now().Add(-1000 * time.Second)
	iris.Other = func(script string, stdout io.Writer) error {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case strings.Contains(script, "echo started"):
			_, _ = io.WriteString(stdout, "started\n")
		case strings.HasPrefix(script, "cat /tmp/"):
			_, _ = io.WriteString(stdout, acks.String())
		case strings.HasPrefix(script, "cut "):
			_, _ = fmt.Fprintf(stdout, "%.2f\n", time.Since(boot).Seconds())
		}
		return nil
	}
	b.server.Contain(iris)
	b.Config.Rate = 50
	cut := b.t.TempDir() + "/cut"
	b.Config.Commands = fault.Commands{CutNode: ": > " + cut, JoinNode: "rm " + cut}
	go func() {
		waitFor(b.t, cut)
		iris.Stop()
		began := time.Now()
		b.server.SetReady("node-a", "Unknown")
		time.Sleep(takenOver)
		b.server.FailOver("iris-1", "node-b", 2)
		iris.Start()
		time.Sleep(time.Until(began.Add(alone)))
		mu.Lock()
		_, _ = fmt.Fprintf(&acks, "1000000001 %.2f\n1000000002 %.2f\n", time.Since(boot).Seconds()-alone.Seconds(), time.Since(boot).Seconds())
		mu.Unlock()
		time.Sleep(200 * time.Millisecond)
		b.server.SetReady("node-a", "True")
	}()
}

func TestRun_SeesTwoInstancesAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t, fault.CutNode)
	b.Config.Settling = 8 * time.Second // Until then the old one has written alone.
	b.isolated(6*time.Second, 300*time.Millisecond)
	b.Run(t.Context())
	b.wantCode(report.Lost)
	run := b.only()
	if run.Overlap < 0.5 || run.Overlap > 7 || !strings.Contains(strings.Join(run.Broken, "\n"), "two instances") {
		t.Errorf("the overlap is %.2f s, broken is %q", run.Overlap, run.Broken)
	}
	if len(run.Books.Lost) != 2 || run.Inside != 2 {
		t.Errorf("lost are %v of %d, want what the old one acknowledged alone", run.Books.Lost, run.Inside)
	}
}
