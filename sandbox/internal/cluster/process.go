package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"ha-iris/sandbox/internal/lab"
	"ha-iris/sandbox/internal/tools"
)

const (
	// stopPatience is how long a process may take to end by itself. etcd and the API server need well under a second
	// once their clients are gone.
	stopPatience = 10 * time.Second
	// maxLogSize keeps a sandbox that is restarted for months from filling the disk with logs.
	maxLogSize = 16 << 20
)

// record is what is remembered of a started process.
type record struct {
	PID         int    `json:"pid"`
	Fingerprint string `json:"fingerprint"`
}

// liveness of a component's process.
type liveness string

const (
	// stopped: no record, so the process was stopped in order or never started.
	stopped liveness = "stopped"
	alive   liveness = "running"
	// gone: a record without its process, as a crash or a reboot leaves it.
	gone liveness = "gone"
)

// process is what is known of a component's process.
type process struct {
	live liveness
	// pids is one process, and more only if a start was interrupted before it could record what it had started.
	pids        []int
	fingerprint string
}

func (c *Cluster) recordPath(name string) string { return c.path("run", name+".pid") }

// LogPath is where a process of the cluster writes to.
func (c *Cluster) LogPath(name string) string { return c.path("logs", name+".log") }

// process finds the component's process. The number in a record proves nothing, because after a reboot it may belong
// to anybody; what counts is an argument that only this component of this cluster has on its command line.
func (c *Cluster) process(name string) (process, error) {
	lines, err := commandLines()
	if err != nil {
		return process{}, err
	}
	var found process
	for pid, line := range lines {
		if strings.Contains(line+" ", " "+c.identity(name)+" ") {
			found.pids = append(found.pids, pid)
		}
	}
	known, recorded, err := c.loadRecord(name)
	switch {
	case err != nil:
		return process{}, err
	case len(found.pids) > 0:
		found.live, found.fingerprint = alive, known.Fingerprint
	case recorded:
		found.live = gone
	default:
		found.live = stopped
	}
	return found, nil
}

func (c *Cluster) loadRecord(name string) (record, bool, error) {
	var loaded record
	content, err := os.ReadFile(c.recordPath(name))
	if errors.Is(err, fs.ErrNotExist) {
		return loaded, false, nil
	}
	if err != nil {
		return loaded, false, fmt.Errorf("read pid file of %s: %w", name, err)
	}
	if err := json.Unmarshal(content, &loaded); err != nil {
		c.say("%s is damaged (%v): %s is started again", c.recordPath(name), err, name)
		loaded = record{} // without a fingerprint, so that the process is replaced if there is one
	}
	return loaded, true, nil
}

// commandLines returns the command line of every process of the machine that has one, by pid. Zombies have none.
func commandLines() (map[int]string, error) {
	entries, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(entries) == 0 {
		return commandLinesFromPS() // macOS has no /proc
	}
	lines := make(map[int]string, len(entries))
	for _, entry := range entries {
		content, err := os.ReadFile(entry)
		if err != nil || len(content) == 0 {
			continue // ended meanwhile
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(entry)))
		if err != nil {
			return nil, fmt.Errorf("read process table: %w", err)
		}
		lines[pid] = strings.ReplaceAll(string(content), "\x00", " ")
	}
	return lines, nil
}

// commandLinesFromPS asks ps; -ww keeps it from cutting lines at the width of a terminal.
func commandLinesFromPS() (map[int]string, error) {
	output, err := exec.Command("ps", "-axww", "-o", "pid=,command=").Output()
	if err != nil {
		return nil, fmt.Errorf("list processes with ps: %w", err)
	}
	lines := map[int]string{}
	for line := range strings.Lines(string(output)) {
		number, command, _ := strings.Cut(strings.TrimSpace(line), " ")
		if pid, err := strconv.Atoi(number); err == nil {
			lines[pid] = strings.TrimSpace(command)
		}
	}
	return lines, nil
}

// start runs the component in a session of its own, so that neither Ctrl-C nor a closed terminal reaches it. The channel
// receives the outcome if the process ends while this program still runs.
func (c *Cluster) start(k component) (<-chan error, error) {
	fingerprint, err := k.fingerprint()
	if err != nil {
		return nil, err
	}
	log, err := c.openLog(k.name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the child has its own descriptor
	command := exec.Command(k.program, k.args...)
	command.Dir = c.Dir
	command.Env = c.environment()
	if k.compiles {
		places, err := tools.GoPlaces(context.Background())
		if err != nil { // Only the agent needs them, and says so.
			_, _ = fmt.Fprintln(log, err)
		}
		command.Env = append(command.Env, places...)
	}
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if k.machine != nil {
		lab.Isolate(command)
	}
	keepDescriptors()
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", k.name, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	if err := c.saveRecord(k.name, record{PID: command.Process.Pid, Fingerprint: fingerprint}); err != nil || k.machine == nil {
		return ended, err
	}
	return ended, k.machine.Started(command.Process.Pid)
}

// keepDescriptors keeps what this program inherited from its caller, such as a lock or the pipe of a CI runner, from
// being inherited by processes that outlive both: the lock would stay taken, and the runner would wait for ever.
func keepDescriptors() {
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		return // not there on every system; then nothing can be done
	}
	for _, entry := range entries {
		if descriptor, err := strconv.Atoi(entry.Name()); err == nil && descriptor > 2 {
			syscall.CloseOnExec(descriptor)
		}
	}
}

func (c *Cluster) saveRecord(name string, saved record) error {
	content, err := json.Marshal(saved)
	if err != nil {
		return fmt.Errorf("encode pid file of %s: %w", name, err)
	}
	return writeFile(c.recordPath(name), content)
}

// environment gives the processes a home of their own: kwok, for one, reads ~/.kwok/kwok.yaml when there is one.
func (c *Cluster) environment() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + c.path("run"),
		"TMPDIR=" + c.path("run"),
		"KWOK_WORKDIR=" + c.path("run"),
	}
}

func (c *Cluster) openLog(name string) (*os.File, error) {
	path := c.LogPath(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of logs: %w", err)
	}
	if info, err := os.Stat(path); err == nil && info.Size() > maxLogSize {
		if err := os.Rename(path, path+".old"); err != nil {
			return nil, fmt.Errorf("put the log of %s aside: %w", name, err)
		}
	}
	log, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", name, err)
	}
	return log, nil
}

// stop ends the component's process if there is one, by force once its patience is over, and returns when it is gone.
func (c *Cluster) stop(ctx context.Context, name string) error {
	var found process
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		var err error
		if found, err = c.process(name); err != nil { // again for each: a number may be a stranger's by now
			return err
		}
		for _, pid := range found.pids {
			if err := syscall.Kill(pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("stop %s (pid %d): %w", name, pid, err)
			}
		}
		if ended, err := c.awaitEnd(ctx, name); err != nil {
			return fmt.Errorf("stop %s: %w", name, err)
		} else if ended {
			return c.forget(name)
		}
	}
	return fmt.Errorf("stop %s: pid %v is still there %s after SIGKILL", name, found.pids, stopPatience)
}

func (c *Cluster) forget(name string) error {
	if err := os.Remove(c.recordPath(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove pid file of %s: %w", name, err)
	}
	return nil
}

func (c *Cluster) awaitEnd(ctx context.Context, name string) (bool, error) {
	deadline := time.After(stopPatience)
	for {
		found, err := c.process(name)
		if err != nil || found.live != alive {
			return err == nil, err
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-deadline:
			return false, nil
		case <-time.After(20 * time.Millisecond):
		}
	}
}
