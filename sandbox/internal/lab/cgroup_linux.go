package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const cgroupMount = "/sys/fs/cgroup"

// hierarchies are the trees of control groups: one with version 2, one for each controller with version 1.
func hierarchies() (paths []string, unified bool, err error) {
	content, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, false, fmt.Errorf("read the mount table: %w", err)
	}
	return treesOf(string(content))
}

// treesOf reads a mount table in the format of /proc/PID/mountinfo (proc_pid_mountinfo(5)).
func treesOf(mountinfo string) (paths []string, unified bool, err error) {
	for line := range strings.Lines(mountinfo) {
		before, after, _ := strings.Cut(line, " - ")
		fields, kind := strings.Fields(before), strings.Fields(after)
		if len(fields) < 5 || len(kind) == 0 {
			continue
		}
		switch path := fields[4]; {
		case kind[0] == "cgroup2" && path == cgroupMount:
			return []string{path}, true, nil
		case kind[0] == "cgroup" && filepath.Dir(path) == cgroupMount:
			paths = append(paths, path)
		}
	}
	if len(paths) == 0 {
		return nil, false, errors.New("no control groups are mounted below " + cgroupMount)
	}
	slices.Sort(paths)
	return slices.Compact(paths), false, nil
}

// makeCgroups makes a node's control group: kubelets on one tree would kill each other's pods (facts/lab.md).
func makeCgroups(name string) error {
	trees, unified, err := hierarchies()
	if err != nil {
		return err
	}
	for _, tree := range trees {
		if err := makeGroup(tree, name, unified); err != nil {
			return err
		}
	}
	return nil
}

// makeGroup makes the group in one tree, and those above it.
func makeGroup(tree, name string, unified bool) error {
	hand := func(string) error { return nil } // Version 1's controllers are in every group.
	if unified {
		hand = delegate
	}
	dir := tree
	for _, part := range strings.Split(strings.Trim(name, "/"), "/") {
		if err := hand(dir); err != nil {
			return err
		}
		dir = filepath.Join(dir, part)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make control group: %w", err)
		}
		if err := inheritCPUs(dir); err != nil {
			return err
		}
	}
	return hand(dir)
}

// delegate lets groups below the directory use all of its controllers; version 2 wants to be asked.
func delegate(dir string) error {
	content, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return fmt.Errorf("read controllers: %w", err)
	}
	var wanted []string
	for _, controller := range strings.Fields(string(content)) {
		wanted = append(wanted, "+"+controller)
	}
	if err := os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte(strings.Join(wanted, " ")), 0o644); err != nil {
		return fmt.Errorf("hand controllers on below %s: %w", dir, err)
	}
	return nil
}

// inheritCPUs copies what version 1's cpuset leaves empty; no process may enter before.
func inheritCPUs(dir string) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		own, err := os.ReadFile(filepath.Join(dir, file))
		if errors.Is(err, fs.ErrNotExist) || err == nil && len(strings.TrimSpace(string(own))) > 0 {
			continue
		}
		if err != nil {
			return fmt.Errorf("read control group: %w", err)
		}
		above, err := os.ReadFile(filepath.Join(filepath.Dir(dir), file))
		if errors.Is(err, fs.ErrNotExist) {
			continue // Version 2's root has none, and inherits.
		}
		if err != nil {
			return fmt.Errorf("read control group: %w", err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), above, 0o644); err != nil {
			return fmt.Errorf("set %s: %w", file, err)
		}
	}
	return nil
}

// RemoveCgroups removes a node's or a lab's control groups. Their processes have ended; the kernel may need a moment to see it.
func RemoveCgroups(name string) error {
	trees, _, err := hierarchies()
	if err != nil {
		return err
	}
	// Where both versions are mounted, runc makes a group in this one, too.
	trees = append(trees, filepath.Join(cgroupMount, "unified"))
	var errs []error
	for _, tree := range trees {
		errs = append(errs, removeGroup(filepath.Join(tree, name)))
	}
	return errors.Join(errs...)
}

func removeGroup(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read control group: %w", err)
	}
	for _, entry := range entries {
		if entry.IsDir() {
			if err := removeGroup(filepath.Join(dir, entry.Name())); err != nil {
				return err
			}
		}
	}
	const patience, pause = 5 * time.Second, 20 * time.Millisecond
	for waited := time.Duration(0); ; waited += pause {
		err = os.Remove(dir)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if waited > patience {
			return fmt.Errorf("remove control group: %w", err)
		}
		time.Sleep(pause)
	}
}
