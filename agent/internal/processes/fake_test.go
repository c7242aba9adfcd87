package processes

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const self = 50

// fake is a process file system whose processes do as they are told.
type fake struct {
	t       *testing.T
	root    string
	now     time.Duration
	signals []string
	records int
	log     bytes.Buffer
	// refuse are processes of another user; stuck wait for the disk.
	refuse, stuck map[int]bool
	// onSignal is called after a signal.
	onSignal func(pid int, signal syscall.Signal)
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{t: t, root: t.TempDir(), now: 1000 * time.Second, refuse: map[int]bool{}, stuck: map[int]bool{}}
	f.set(1, 'S', 0, 1)
	f.set(self, 'R', 0, 2)
	f.set(51, 'S', self, 3) // What this program has begun.
	return f
}

func (f *fake) database(memory Memory) *Database {
	return New(Config{
		Root: f.root, Self: self, Signal: f.signal, Now: func() time.Duration { return f.now },
		Record: func() { f.records++; f.signals = append(f.signals, "record") },
		Log:    slog.New(slog.NewTextHandler(&f.log, nil)),
	}, memory)
}

// set makes a process, or changes its state.
func (f *fake) set(pid int, state byte, parent int, started int) {
	f.t.Helper()
	directory := filepath.Join(f.root, strconv.Itoa(pid))
	if err := os.MkdirAll(directory, 0o700); err != nil {
		f.t.Fatal(err)
	}
	rest := strings.Replace(line[len(" S 10"):], "4711", strconv.Itoa(started), 1)
	text := fmt.Sprintf("%d (p%d) %c %d%s", pid, pid, state, parent, rest)
	text = strings.Replace(text, " 3 0 ", " 1 0 ", 1) // One thread.
	if err := os.WriteFile(filepath.Join(directory, "stat"), []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fake) get(pid int) (process, bool) {
	content, err := os.ReadFile(filepath.Join(f.root, strconv.Itoa(pid), "stat"))
	if err != nil {
		return process{}, false
	}
	one, err := parse(string(content))
	if err != nil {
		f.t.Fatal(err)
	}
	return one, true
}

func (f *fake) state(pid int) string {
	one, there := f.get(pid)
	if !there {
		return "-"
	}
	return string(one.state)
}

func (f *fake) signal(pid int, signal syscall.Signal) error {
	one, there := f.get(pid)
	switch {
	case !there:
		return syscall.ESRCH
	case f.refuse[pid]:
		return syscall.EPERM
	}
	f.signals = append(f.signals, fmt.Sprintf("%d %d", pid, signal))
	if !f.stuck[pid] {
		switch signal {
		case syscall.SIGSTOP:
			one.state = 'T'
		case syscall.SIGCONT:
			one.state = 'S'
		default:
			one.state = 'Z'
		}
		f.set(pid, one.state, one.parent, int(one.Started))
	}
	if f.onSignal != nil {
		f.onSignal(pid, signal)
	}
	return nil
}

func (f *fake) checkStates(what string, want map[int]string) {
	f.t.Helper()
	for pid, state := range want {
		if got := f.state(pid); got != state {
			f.t.Errorf("%s: process %d: got %q, want %q", what, pid, got, state)
		}
	}
}

// checkNever holds everywhere: who must not be signalled is not.
func (f *fake) checkNever(pids ...int) {
	f.t.Helper()
	for _, pid := range append(pids, 1, self, 51) {
		if slices.ContainsFunc(f.signals, func(one string) bool { return strings.HasPrefix(one, strconv.Itoa(pid)+" ") }) {
			f.t.Errorf("process %d was signalled: %q", pid, f.signals)
		}
	}
}
