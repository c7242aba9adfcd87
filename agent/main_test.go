package main

import (
	"bytes"
	"strings"
	"testing"
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
