package processes

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

const (
	// pause is the pod's first process, which holds its namespaces.
	pause = 1
	// kernel is the kernel's first thread, which only the node's own PID namespace has.
	kernel     = 2
	kernelName = "kthreadd"
)

// scan returns every process of the pod but its first one, this program, and what this program has begun.
func (d *Database) scan() ([]process, error) {
	directory, err := os.Open(d.config.Root)
	if err != nil {
		return nil, fmt.Errorf("list the processes: %w", err)
	}
	names, err := directory.Readdirnames(-1)
	_ = directory.Close() // Nothing was written.
	if err != nil {
		return nil, fmt.Errorf("list the processes: %w", err)
	}
	var found []process
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || pid == pause || pid == d.config.Self {
			continue
		}
		one, err := d.read(name)
		switch {
		case err == nil && one.parent != d.config.Self && !one.gone():
			found = append(found, one)
		case err != nil && !vanished(err):
			d.deny(process{Identity: Identity{PID: pid}}, "look", err) // The others are stopped all the same.
		}
	}
	d.forget(found)
	return found, nil
}

func (d *Database) read(name string) (process, error) {
	line, err := os.ReadFile(filepath.Join(d.config.Root, name, "stat"))
	if err != nil {
		return process{}, fmt.Errorf("look at process %s: %w", name, err)
	}
	return parse(string(line))
}

// forget drops what is no longer there from the list of those that could not be signalled.
func (d *Database) forget(found []process) {
	for one := range d.denied {
		if one.Started > 0 && !slices.ContainsFunc(found, func(p process) bool { return p.Identity == one }) {
			delete(d.denied, one)
		}
	}
}

// CheckNamespace returns why the processes that can be seen are not those of one pod. It must be called before any signal: in the
// node's own namespace everything on the node would be stopped.
func CheckNamespace(root string, self int) error {
	if self == pause {
		return errors.New("this program is its namespace's first process and sees no other container: " +
			"the pod needs shareProcessNamespace: true")
	}
	line, err := os.ReadFile(filepath.Join(root, strconv.Itoa(kernel), "stat"))
	if vanished(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look whether this is the node's namespace: %w", err)
	}
	second, err := parse(string(line))
	if err != nil {
		return err
	}
	if second.name == kernelName && second.parent == 0 {
		return errors.New("these are the processes of the whole node: the pod must not have hostPID: true")
	}
	return nil
}

// vanished says that a process is gone. Between opening and reading it the kernel says ESRCH.
func vanished(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH)
}
