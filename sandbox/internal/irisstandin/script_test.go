package irisstandin

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestFreeze_IsWhatTheAgentsScriptKnows runs the script of `agent backup` as it is executed in the database's container.
func TestFreeze_IsWhatTheAgentsScriptKnows(t *testing.T) {
	b := newBox(t)
	b.start()
	script, err := os.ReadFile(filepath.Join("..", "..", "..", "agent", "internal", "backup", "freeze.sh"))
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(program, filepath.Join(b.dir, "iris")); err != nil {
		t.Fatal(err)
	}
	const token = "standin"
	run := func(want int, arguments ...string) {
		t.Helper()
		command := exec.Command("/bin/sh", append([]string{"-c", string(script), "ha-iris"}, arguments...)...)
		command.Env = append(b.env, "PATH="+b.dir+":"+os.Getenv("PATH"), "TMPDIR="+b.dir)
		out, err := command.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != want {
			t.Errorf("%v: got %v, want %d: %s", arguments, err, want, out)
		}
	}
	run(5, "freeze", token, "60")
	if got := b.system(isSuspended); got != 5 {
		t.Errorf("after the freeze: %d", got)
	}
	run(4, "freeze", token+"-2", "60")
	run(5, "thaw", token)
	run(7, "thaw", token)
	if got := b.system(isSuspended); got != 3 {
		t.Errorf("after the thaw: %d", got)
	}
	run(5, "freeze", token, "1")
	b.eventually("the dead man", func() bool { return b.system(isSuspended) == 3 })
	run(7, "thaw", token)
}
