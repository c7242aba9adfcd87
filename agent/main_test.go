package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"ha-iris/agent/internal/verify"
)

func TestRun_EveryCommandHasHelp(t *testing.T) {
	t.Parallel()
	for _, one := range append(subcommands(), nil) {
		arguments := []string{"--help"}
		if one != nil {
			arguments = []string{one.Name(), "--help"}
		}
		var stdout, stderr bytes.Buffer
		if code := run(arguments, &stdout, &stderr); code != 0 || !strings.Contains(stdout.String(), "Usage:") || stderr.Len() > 0 {
			t.Errorf("%v: got code %d, %q, %q", arguments, code, stdout.String(), stderr.String())
		}
	}
}

func TestRun_SaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	if code := run([]string{"hover"}, &stdout, &stderr); code != 1 || !strings.Contains(stderr.String(), `"hover"`) {
		t.Errorf("an unknown command: got code %d, %q", code, stderr.String())
	}
}

// A bad backup ends a job for good; what says nothing about it does not, even beside a copy that could not be deleted.
func TestExitCode_TellsABadBackupApart(t *testing.T) {
	t.Parallel()
	for want, err := range map[int]error{
		verify.ExitBad: errors.Join(fmt.Errorf("it lacks a row: %w", verify.ErrBad), errors.New("something of the copy is left")), 1: errors.New("no room"),
	} {
		if got := exitCode(err); got != want {
			t.Errorf("%v: got %d, want %d", err, got, want)
		}
	}
}
