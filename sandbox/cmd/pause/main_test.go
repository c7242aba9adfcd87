package main

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain makes the test's own binary the program.
func TestMain(m *testing.M) {
	if os.Getenv("BE_PAUSE") != "" {
		main()
	}
	os.Exit(m.Run())
}

func pause(t *testing.T, arguments ...string) (*exec.Cmd, *strings.Builder) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	command := exec.Command(program, arguments...)
	command.Env = append(os.Environ(), "BE_PAUSE=1")
	command.Stdout, command.Stderr = &out, &out
	return command, &out
}

func TestPause_EndsAtSIGTERM(t *testing.T) {
	t.Parallel()
	command, _ := pause(t)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond) // Until it listens; before that a signal kills it, with another exit code.
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestTini_HandsOnExitCodesAndSignals(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		command []string
		signal  syscall.Signal
		code    int
		out     string
	}{
		"exit code":        {command: []string{"--", "sh", "-c", "echo here; exit 7"}, code: 7, out: "here\n"},
		"killed":           {command: []string{"--", "sh", "-c", "kill -9 $$"}, code: 137},
		"no such command":  {command: []string{"--", "no-such-command"}, code: 127, out: "tini: find the command"},
		"orphans first":    {command: []string{"--", "sh", "-c", "(sleep 0.1 &); sleep 0.4; exit 3"}, code: 3},
		"signal is caught": {command: []string{"--", "sh", "-c", "trap 'echo caught; exit 5' TERM; while :; do sleep 0.1; done"}, signal: syscall.SIGTERM, code: 5, out: "caught\n"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			command, out := pause(t, test.command...)
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			if test.signal != 0 {
				time.Sleep(300 * time.Millisecond) // Until the shell has its trap.
				_ = command.Process.Signal(test.signal)
			}
			_ = command.Wait()
			if code := command.ProcessState.ExitCode(); code != test.code || !strings.HasPrefix(out.String(), test.out) {
				t.Errorf("got exit code %d and %q, want %d and %q", code, out, test.code, test.out)
			}
		})
	}
}
