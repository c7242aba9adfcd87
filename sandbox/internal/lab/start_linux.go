package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// Prepare makes what the node needs before its first process starts, and clears what an earlier one left.
func (n Node) Prepare() error {
	if err := unplug(n.Plan, n.Number); err != nil {
		return err
	}
	if err := DetachDisks(n.Dir); err != nil {
		return err
	}
	if err := RemoveCgroups(n.Cgroup); err != nil {
		return err
	}
	if err := makeCgroups(n.Cgroup); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(n.Dir, "etc"), 0o700); err != nil {
		return fmt.Errorf("make the directory of node %s: %w", n.Name, err)
	}
	return n.configure()
}

// Isolate makes the command's process the first one of namespaces of its own.
func Isolate(command *exec.Cmd) {
	command.SysProcAttr.Cloneflags = unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC
}

// Started connects the node whose first process has just started.
func (n Node) Started(pid int) error { return plugIn(n.Plan, n.Number, pid) }

// Kill ends everything on the node at once, as a loss of power does. The cable goes first: a machine without power sends no FIN and
// no RST, and with them every time-out would be too kind (facts/lab.md).
func (n Node) Kill(pid int) error {
	if err := Connect(n.Plan, n.Number, false); err != nil && !gone(err) {
		return err
	}
	volumes := Volumes(n.Cgroup)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("kill node %s: %w", n.Name, err)
	}
	return volumes.Cut()
}

// StopKubelet ends the node's kubelet; StartKubelet has it started again. Containers and network run on.
func (n Node) StopKubelet(pid int) error { return n.signal(pid, stopKubelet) }

// StartKubelet undoes StopKubelet.
func (n Node) StartKubelet(pid int) error { return n.signal(pid, startKubelet) }

func (n Node) signal(pid int, signal syscall.Signal) error {
	if err := syscall.Kill(pid, signal); err != nil {
		return fmt.Errorf("tell node %s: %w", n.Name, err)
	}
	return nil
}
