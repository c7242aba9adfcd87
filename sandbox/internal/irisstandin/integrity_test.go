package irisstandin

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const checkAll = "set sc=$$CheckList^Integrity(,,0,,1)\nwrite !,\"verdict \",$system.Status.IsOK(sc),!\ndo Display^Integrity(,2)\nhalt\n"

func TestIntegrity_FindsADamagedDatabase(t *testing.T) {
	b := newBox(t)
	b.start()
	b.run(`set ^a="whole"`)
	out, code := b.iris(checkAll, "session", "IRIS", "-U%SYS")
	if code != 0 || !strings.Contains(out, "verdict 1\n") || strings.Contains(out, "ERROR") {
		t.Errorf("%d: %s", code, out)
	}
	b.damage()
	out, _ = b.iris(checkAll, "session", "IRIS", "-U%SYS")
	wantContains(t, out, "verdict 0\n", "ERROR", "mgr/user/IRIS.DAT")
	out, _ = b.iris(checkAll, "session", "IRIS") // In USER there is no such routine.
	wantContains(t, out, "<NOROUTINE> *Integrity")
}

// damage writes something else into a database's file.
func (b *box) damage() {
	b.t.Helper()
	b.eventually("the write", func() bool {
		info, err := os.Stat(b.data("mgr/user/IRIS.DAT"))
		return err == nil && info.Size() >= 0
	})
	if err := os.WriteFile(b.data("mgr/user/IRIS.DAT"), []byte("{}\nwhat was here"), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// TestIntegrity_IsWhatTheAgentsScriptKnows runs the script of `agent verify` as it is executed in the copy's container.
func TestIntegrity_IsWhatTheAgentsScriptKnows(t *testing.T) {
	b := newBox(t)
	b.start()
	script, err := os.ReadFile(filepath.Join("..", "..", "..", "agent", "internal", "verify", "integrity.sh"))
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
	run := func(what, temporary string) (string, int) {
		t.Helper()
		command := exec.Command("/bin/sh", "-c", string(script), "ha-iris", what)
		command.Env = append(b.env, "PATH="+b.dir+":"+os.Getenv("PATH"), "TMPDIR="+temporary)
		out, err := command.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			t.Fatalf("%s: got %v: %s", what, err, out)
		}
		return string(out), exit.ExitCode()
	}
	for _, want := range []string{"ha-iris integrity 1 \n", "ha-iris integrity 0 930\n"} {
		temporary := t.TempDir()
		if out, code := run("result", temporary); code != 7 {
			t.Errorf("before there is one: %d, %s", code, out)
		}
		for range 2 { // The second time it is under way, or done.
			if out, code := run("start", temporary); code != 5 || out != "" {
				t.Errorf("start: %d, %s", code, out)
			}
		}
		said := ""
		b.eventually("the result", func() bool {
			out, code := run("result", temporary)
			if code != 5 && code != 6 {
				t.Fatalf("result: %d, %s", code, out)
			}
			said = out
			return code == 5
		})
		if !strings.Contains(said, "\n"+want) {
			t.Errorf("got %q, want %q", said, want)
		}
		b.damage()
	}
}
