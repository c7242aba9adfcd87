package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"ha-iris/sandbox/internal/datapath/blockdev"
)

// A volume's device is a file that a process of the node serves. When that process is the last one to leave the node's mounts, the
// kernel wants to write the volume back through it, and both wait for ever: control groups, loop devices and the node's first
// process stay. A machine without power writes nothing back, so the connections are cut.

// Connections are the numbers of FUSE connections.
type Connections []string

// Volumes returns the connections of the volumes that processes of the node with that control group have mounted.
func Volumes(cgroup string) Connections {
	trees, _, err := hierarchies()
	if err != nil {
		return nil
	}
	var found Connections
	// Missing or unreadable is what has ended meanwhile.
	_ = filepath.WalkDir(filepath.Join(trees[0], cgroup), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || entry.Name() != "cgroup.procs" {
			return nil //nolint:nilerr // as above
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return nil //nolint:nilerr // as above
		}
		for _, pid := range strings.Fields(string(content)) {
			found = append(found, mountedBy(pid)...)
		}
		return nil
	})
	slices.Sort(found)
	return slices.Compact(found)
}

// mountedBy returns the connections behind the volumes in a process's mount table: the minor numbers of their devices.
func mountedBy(pid string) Connections {
	content, err := os.ReadFile("/proc/" + pid + "/mountinfo")
	if err != nil {
		return nil
	}
	var found Connections
	for line := range strings.Lines(string(content)) {
		before, after, _ := strings.Cut(line, " - ")
		fields, kind := strings.Fields(before), strings.Fields(after)
		if len(fields) < 3 || len(kind) < 2 || !strings.HasPrefix(kind[0], "fuse") || !strings.HasPrefix(kind[1], blockdev.Prefix) {
			continue
		}
		if _, minor, ok := strings.Cut(fields[2], ":"); ok {
			found = append(found, minor)
		}
	}
	return found
}

// Cut ends the connections: whoever waits for an answer gets an error. Those that have ended are fine.
func (c Connections) Cut() error {
	if len(c) == 0 {
		return nil
	}
	done := make(chan error, 1)
	go func() {
		// The control files are mounted for this thread alone, which ends with the goroutine because it is never unlocked.
		runtime.LockOSThread()
		done <- c.cut()
	}()
	return <-done
}

func (c Connections) cut() error {
	const control = "/sys/fs/fuse/connections"
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("end connections of volumes: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("end connections of volumes: %w", err)
	}
	if err := unix.Mount("fusectl", control, "fusectl", 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("end connections of volumes: %w", err)
	}
	var errs []error
	for _, number := range c {
		err := os.WriteFile(filepath.Join(control, number, "abort"), []byte("1"), 0o600)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("end connection %s: %w", number, err))
		}
	}
	return errors.Join(errs...)
}
