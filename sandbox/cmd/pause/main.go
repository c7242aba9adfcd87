// Command pause is the first process of a pod or of a container in the lab. Without arguments it plays Kubernetes' pause
// container: it holds the pod's namespaces until it is told to end. As "tini -- COMMAND ..." it plays the vendor's tini (facts,
// iris.md 2.2): it starts the command, hands signals on to it and ends with its exit code. It reaps orphans in both.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

func main() {
	arguments := os.Args[1:]
	if len(arguments) > 0 && arguments[0] == "--" {
		arguments = arguments[1:]
	}
	os.Exit(run(arguments, os.Stderr))
}

func run(command []string, stderr io.Writer) int {
	signals := make(chan os.Signal, 64)
	signal.Notify(signals)
	child := 0
	if len(command) > 0 {
		var err error
		if child, err = start(command); err != nil {
			_, _ = fmt.Fprintf(stderr, "tini: %v\n", err)
			return 127 // As shells answer for a command that cannot be started.
		}
	}
	for received := range signals {
		switch received {
		case syscall.SIGCHLD:
			if code, ended := reap(child); ended {
				return code
			}
		case syscall.SIGURG: // Go's own, by which it preempts goroutines.
		case syscall.SIGTERM, syscall.SIGINT:
			if child == 0 {
				return 0
			}
			fallthrough
		default:
			if number, ok := received.(syscall.Signal); ok && child != 0 {
				_ = syscall.Kill(child, number) // It may have ended just now.
			}
		}
	}
	return 0
}

// start starts the command without waiting: whoever waits for one process only would lose the others' ends.
func start(command []string) (int, error) {
	path, err := exec.LookPath(command[0])
	if err != nil {
		return 0, fmt.Errorf("find the command: %w", err)
	}
	pid, err := syscall.ForkExec(path, command, &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}})
	if err != nil {
		return 0, fmt.Errorf("start %s: %w", path, err)
	}
	return pid, nil
}

// reap takes the exit codes of all processes that have ended, and returns the child's if it is one of them.
func reap(child int) (code int, ended bool) {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil || pid <= 0:
			return code, ended
		case pid == child:
			code, ended = status.ExitStatus(), true
			if status.Signaled() {
				code = 128 + int(status.Signal()) // As shells do, and tini.
			}
		}
	}
}
