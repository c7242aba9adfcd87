package processes

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

func TestPause_StopsAllButItsOwn(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.set(60, 'S', 1, 100)
	f.set(61, 'R', 60, 101)
	f.set(62, 'T', 60, 102) // A person's.
	f.set(63, 'Z', 60, 103)
	f.set(64, 't', 60, 104) // A debugger's.
	forked := false
	f.onSignal = func(pid int, _ syscall.Signal) {
		if pid == 61 && !forked {
			forked = true
			f.set(65, 'R', 61, 105)
		}
	}
	d := f.database(Memory{})
	check(t, d.Pause(t.Context()))
	f.checkStates("paused", map[int]string{60: "T", 61: "T", 62: "T", 64: "T", 65: "T"})
	f.checkNever(62, 63)
	if f.signals[0] != "record" {
		t.Errorf("signalled before it was recorded: %q", f.signals)
	}
	want := Memory{Pausing: true, Foreign: []Identity{{PID: 62, Started: 102}}}
	if got := d.Memory(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	f.set(66, 'S', 1, 106) // A probe of the kubelet.
	check(t, d.Pause(t.Context()))
	f.checkStates("paused again", map[int]string{66: "T"})
	if f.records != 1 {
		t.Errorf("recorded %d times, want once: who was stopped here must not become foreign", f.records)
	}
	check(t, d.Continue(t.Context()))
	f.checkStates("continued", map[int]string{60: "S", 61: "S", 62: "T", 65: "S", 66: "S"})
	f.signals = nil
	check(t, d.Continue(t.Context()))
	if len(f.signals) > 0 {
		t.Errorf("nothing was paused: got %q", f.signals)
	}
}

// Another run of this program continues what this one has stopped, and nothing else.
func TestContinue_AfterARestart(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.set(60, 'S', 1, 100)
	f.set(62, 'T', 60, 102)
	d := f.database(Memory{})
	check(t, d.Pause(t.Context()))
	again := f.database(d.Memory())
	check(t, again.Pause(t.Context()))
	check(t, again.Continue(t.Context()))
	f.checkStates("continued", map[int]string{60: "S", 62: "T"})
}

// A number that was given again is another process.
func TestContinue_ForeignIsAProcessNotANumber(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.set(62, 'T', 1, 900)
	d := f.database(Memory{Pausing: true, Foreign: []Identity{{PID: 62, Started: 102}}})
	check(t, d.Continue(t.Context()))
	f.checkStates("continued", map[int]string{62: "S"})
}

// A process that waits for the disk has the stop before it.
func TestContinue_TakesBackAStopThatHasNotComeYet(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.set(60, 'D', 1, 100)
	f.stuck[60] = true
	d := f.database(Memory{})
	check(t, d.Pause(t.Context()))
	check(t, d.Continue(t.Context()))
	if want := []string{"record", "60 19", "60 18", "record"}; !reflect.DeepEqual(f.signals, want) {
		t.Errorf("got %q, want %q", f.signals, want)
	}
}

func TestContinue_GoesOnUntilNothingIsStopped(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.set(60, 'T', 1, 100)
	f.stuck[60] = true
	d := f.database(Memory{Pausing: true})
	if err := d.Continue(t.Context()); err == nil {
		t.Error("it is still stopped")
	}
	f.stuck[60] = false
	check(t, d.Continue(t.Context()))
	f.checkStates("continued", map[int]string{60: "S"})
}

func TestPause_IsBounded(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.set(60, 'S', 1, 100)
	next := 61
	f.onSignal = func(int, syscall.Signal) {
		f.set(next, 'S', 1, 100)
		next++
	}
	if err := f.database(Memory{}).Pause(t.Context()); err == nil || !strings.Contains(err.Error(), "new processes") {
		t.Errorf("got %v", err)
	}
}

func TestEnd_KillsWhatBeganBefore(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.set(60, 'S', 1, 100)
	f.set(62, 'T', 60, 102)
	f.set(63, 'D', 60, 103)
	f.stuck[63] = true
	d := f.database(Memory{})
	if err := d.End(t.Context()); err == nil || !strings.Contains(err.Error(), "1 processes are killed and still there") {
		t.Errorf("one waits for the disk: got %v", err)
	}
	f.checkStates("ended", map[int]string{60: "Z", 62: "Z"})
	if f.signals[0] != "record" || !strings.HasSuffix(f.signals[1], " 19") {
		t.Errorf("not stopped first: %q", f.signals)
	}
	f.stuck[63] = false
	f.set(70, 'S', 1, 100001) // The new container's: 1000.01 s.
	f.set(71, 'S', 1, 100000) // Began in the tick of the end.
	f.now += time.Minute
	f.signals = nil
	for range 2 {
		check(t, d.End(t.Context()))
	}
	f.checkStates("ended again", map[int]string{63: "Z", 70: "S", 71: "Z"})
	f.checkNever(70)
	if left, err := d.Left(); err != nil || left != 0 {
		t.Errorf("left: got %d, %v", left, err)
	}
	again := f.database(d.Memory())
	check(t, again.End(t.Context()))
	f.checkNever(70)
	again.Begin()
	if left, err := again.Left(); err != nil || left != 1 {
		t.Errorf("left after a new start: got %d, %v", left, err)
	}
}

func TestDenied_IsSaidOnce(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.set(60, 'S', 1, 100)
	f.set(61, 'S', 1, 101)
	f.refuse[60] = true
	d := f.database(Memory{})
	for range 3 {
		check(t, d.Pause(t.Context()))
	}
	check(t, d.Continue(t.Context()))
	check(t, d.End(t.Context())) // What cannot be killed keeps nobody waiting.
	f.checkStates("the other one", map[int]string{61: "Z"})
	if got := strings.Count(f.log.String(), "pid=60 name=p60"); got != 1 || d.Denied() != 1 {
		t.Errorf("said %d times, counted %d: %s", got, d.Denied(), f.log.String())
	}
}

func TestScan_AnUnreadableProcessKeepsNobody(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.set(60, 'S', 1, 100)
	f.set(61, 'S', 1, 101)
	check(t, os.WriteFile(filepath.Join(f.root, "60", "stat"), []byte("nonsense"), 0o600))
	check(t, os.Mkdir(filepath.Join(f.root, "62"), 0o700)) // It ends while it is looked at.
	d := f.database(Memory{})
	for range 3 {
		check(t, d.Pause(t.Context()))
	}
	f.checkStates("paused", map[int]string{61: "T"})
	if d.Denied() != 1 {
		t.Errorf("counted %d: %s", d.Denied(), f.log.String())
	}
}

func TestCheckNamespace(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	check(t, CheckNamespace(f.root, self))
	if err := CheckNamespace(f.root, 1); err == nil || !strings.Contains(err.Error(), "shareProcessNamespace") {
		t.Errorf("first process: got %v", err)
	}
	f.set(2, 'S', 1, 100)
	check(t, CheckNamespace(f.root, self))
	check(t, os.WriteFile(filepath.Join(f.root, "2", "stat"), []byte("2 (kthreadd) S 0"+line[len(" S 10"):]), 0o600))
	if err := CheckNamespace(f.root, self); err == nil || !strings.Contains(err.Error(), "hostPID") {
		t.Errorf("the node's own: got %v", err)
	}
}

func TestEnd_SaysThatProcCannotBeRead(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	d := f.database(Memory{})
	d.config.Root = filepath.Join(f.root, "missing")
	for _, err := range []error{d.Pause(t.Context()), d.End(t.Context())} {
		if !errors.Is(err, os.ErrNotExist) {
			t.Errorf("got %v", err)
		}
	}
}
