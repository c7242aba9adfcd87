package irisstandin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// readyFile is the descriptor on which irisdb says how its start ended.
const readyFile = 3

// spawn starts an instance's process and waits until its start has ended.
func (s Settings) spawn(ctx context.Context, stderr *os.File) (*exec.Cmd, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the program: %w", err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	defer func() { _ = read.Close() }()
	command := &exec.Cmd{
		Path: program, Args: []string{"irisdb", s.Instance}, Env: os.Environ(), ExtraFiles: []*os.File{write},
		// A session of its own: a terminal's signals are for the commands.
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	if stderr != nil {
		command.Stderr = stderr
	}
	err = command.Start()
	_ = write.Close()
	if err != nil {
		return nil, fmt.Errorf("start the instance: %w", err)
	}
	end := context.AfterFunc(ctx, func() { _ = command.Process.Signal(syscall.SIGTERM) })
	defer end()
	var failed string
	if err := json.NewDecoder(read).Decode(&failed); err != nil {
		failed = "the instance's process ended"
	}
	if failed != "" {
		_ = command.Wait()
		return nil, errors.New(failed)
	}
	return command, nil
}

// runProcess is irisdb: a SIGTERM of its own is an orderly stop too.
func runProcess(s Settings, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	ready := os.NewFile(readyFile, "ready")
	err := RunInstance(ctx, s, func(err error) {
		text := ""
		if err != nil {
			text = err.Error()
		}
		_ = json.NewEncoder(ready).Encode(text)
		_ = ready.Close()
	})
	if err != nil {
		_, _ = fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}
