package processes

import (
	"bufio"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ha-iris/agent/internal/boottime"
	"ha-iris/agent/internal/testkit"
)

// helperVariable makes this test binary one of the database's processes: it writes the time into the file each 5 ms.
const helperVariable = "HA_IRIS_TEST_BEAT"

func TestMain(m *testing.M) {
	if path := os.Getenv(helperVariable); path != "" {
		os.Exit(testkit.Beat(path))
	}
	os.Exit(m.Run())
}

// stage is real processes. Only they are in the view of /proc, and nothing else can be signalled.
type stage struct {
	t     *testing.T
	view  string
	clock boottime.Clock
	mutex sync.Mutex
	mine  map[int]bool
}

func newStage(t *testing.T) *stage {
	t.Helper()
	clock, err := boottime.New()
	if err != nil {
		t.Fatal(err)
	}
	return &stage{t: t, view: t.TempDir(), clock: clock, mine: map[int]bool{}}
}

func (s *stage) database() *Database {
	return New(Config{
		Root: s.view, Self: os.Getpid() + 1<<22, // The processes are this test's children, which would be its own.
		Signal: s.signal, Now: s.clock, Record: func() {}, Log: slog.New(slog.DiscardHandler),
	}, Memory{})
}

func (s *stage) signal(pid int, signal syscall.Signal) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if !s.mine[pid] {
		s.t.Errorf("process %d, which is not this test's, would get %v", pid, signal)
		return syscall.EPERM
	}
	return syscall.Kill(pid, signal)
}

// start begins a process and shows it.
func (s *stage) start(command *exec.Cmd) *exec.Cmd {
	s.t.Helper()
	if err := command.Start(); err != nil {
		s.t.Fatal(err)
	}
	pid := command.Process.Pid
	s.t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	s.mutex.Lock()
	s.mine[pid] = true
	s.mutex.Unlock()
	if err := os.Symlink(filepath.Join("/proc", strconv.Itoa(pid)), filepath.Join(s.view, strconv.Itoa(pid))); err != nil {
		s.t.Fatal(err)
	}
	return command
}

// beating starts a process that writes the time, and waits for the first one.
func (s *stage) beating() (*exec.Cmd, string) {
	s.t.Helper()
	executable, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	path := filepath.Join(s.t.TempDir(), "beats")
	command := exec.Command(executable)
	command.Env = append(os.Environ(), helperVariable+"="+path)
	s.start(command)
	s.eventually("the first beat", func() bool { return len(s.beats(path)) > 0 })
	return command, path
}

func (s *stage) beats(path string) []time.Duration {
	s.t.Helper()
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var times []time.Duration
	for scanner := bufio.NewScanner(file); scanner.Scan(); {
		number, err := strconv.ParseInt(scanner.Text(), 10, 64)
		if err != nil {
			s.t.Fatal(err)
		}
		times = append(times, time.Duration(number))
	}
	return times
}

func (s *stage) eventually(what string, done func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("waited in vain: %s", what)
		}
	}
}

// checkSilent says that no beat lies between two moments.
func (s *stage) checkSilent(path string, from, to time.Duration) {
	s.t.Helper()
	for _, one := range s.beats(path) {
		if from < one && one < to {
			s.t.Errorf("a beat %v after the pause", one-from)
		}
	}
}

func TestReal_PauseContinueEnd(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	d := s.database()
	_, first := s.beating()
	asked := s.clock()
	check(t, d.Pause(t.Context()))
	paused := s.clock()
	if took := paused - asked; took > time.Second {
		t.Errorf("the pause took %v, want less than the margin", took)
	}
	time.Sleep(100 * time.Millisecond)
	_, second := s.beating() // One that the kubelet begins.
	check(t, d.Pause(t.Context()))
	later := s.clock()
	time.Sleep(200 * time.Millisecond)
	continued := s.clock()
	s.checkSilent(first, paused, continued)
	s.checkSilent(second, later, continued)
	check(t, d.Continue(t.Context()))
	for _, path := range []string{first, second} {
		s.eventually("beats after the pause", func() bool {
			beats := s.beats(path)
			return beats[len(beats)-1] > continued
		})
	}
	check(t, d.End(t.Context()))
	ended := s.clock()
	if left, err := d.Left(); err != nil || left != 0 {
		t.Errorf("left: got %d, %v", left, err)
	}
	time.Sleep(20 * time.Millisecond) // The next tick.
	_, third := s.beating()
	before := len(s.beats(third))
	check(t, d.End(t.Context()))
	s.eventually("a new container's process lives", func() bool { return len(s.beats(third)) > before })
	s.checkSilent(first, ended, s.clock())
}

// A process that somebody else has stopped stays so.
func TestReal_LeavesAForeignStopAlone(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	d := s.database()
	command, path := s.beating()
	check(t, command.Process.Signal(syscall.SIGSTOP))
	s.eventually("stopped", func() bool {
		all, err := d.scan()
		return err == nil && len(all) == 1 && all[0].state == stopped
	})
	check(t, d.Pause(t.Context()))
	from := s.clock()
	check(t, d.Continue(t.Context()))
	time.Sleep(100 * time.Millisecond)
	s.checkSilent(path, from, s.clock())
}

// The margin of package fence is for this: 50 processes that want a processor each.
func TestReal_PausingFiftyBusyProcessesFitsTheMargin(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("loads the machine")
	}
	s := newStage(t)
	const busy = 50
	for range busy {
		s.start(exec.Command("/bin/sh", "-c", "while :; do :; done"))
	}
	d := s.database()
	var times []string
	for range 10 {
		time.Sleep(50 * time.Millisecond)
		asked := s.clock()
		check(t, d.Pause(t.Context()))
		took := s.clock() - asked
		times = append(times, took.Round(10*time.Microsecond).String())
		if took > time.Second {
			t.Errorf("took %v, want less than the margin", took)
		}
		s.eventually("all are stopped", func() bool { return s.stopped(d) == busy })
		check(t, d.Continue(t.Context()))
	}
	t.Logf("pausing %d busy processes took %s", busy, strings.Join(times, ", "))
	check(t, d.End(t.Context()))
}

func (s *stage) stopped(d *Database) int {
	s.t.Helper()
	all, err := d.scan()
	if err != nil {
		s.t.Fatal(err)
	}
	count := 0
	for _, one := range all {
		if one.state == stopped {
			count++
		}
	}
	return count
}
