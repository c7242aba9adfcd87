package testkit

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// harmless are the real commands that a script under test may run. Everything else must be a stub: a script that formats
// disks must not find the real command by mistake.
func harmless() []string {
	return []string{"awk", "bash", "cat", "chmod", "cmp", "dirname", "grep", "mkdir", "rm", "sh", "touch", "wc"}
}

// Shell runs a node's scripts against a directory that stands in for the root, with stubs in place of the system's commands.
type Shell struct {
	// Root stands in for the node's root directory; scripts find it in HA_IRIS_ROOT.
	Root string
	// State is a directory in which stubs keep what they simulate; they find it in STATE.
	State string
	bin   string
}

// NewShell returns a shell with the harmless commands and no stubs.
func NewShell(t *testing.T) *Shell {
	t.Helper()
	s := &Shell{Root: t.TempDir(), State: t.TempDir(), bin: t.TempDir()}
	for _, name := range harmless() {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatalf("the scripts' tests need %s: %v", name, err)
		}
		if err := os.Symlink(path, filepath.Join(s.bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// Stub puts a command on the PATH that records its arguments and then runs body.
func (s *Shell) Stub(t *testing.T, name, body string) {
	t.Helper()
	script := fmt.Sprintf("#!%s\necho \"$*\" >>\"$STATE/calls-%s\"\n%s\n", filepath.Join(s.bin, "bash"), name, body)
	WriteFile(t, filepath.Join(s.bin, name), script)
	if err := os.Chmod(filepath.Join(s.bin, name), 0o700); err != nil {
		t.Fatal(err)
	}
}

// Remove takes a command off the PATH again.
func (s *Shell) Remove(t *testing.T, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(s.bin, name)); err != nil {
		t.Fatal(err)
	}
}

// Calls returns the arguments of every call of a stub, one string each.
func (s *Shell) Calls(t *testing.T, name string) []string {
	t.Helper()
	content := strings.TrimSuffix(ReadFile(t, filepath.Join(s.State, "calls-"+name)), "\n")
	if content == "" {
		return nil
	}
	return strings.Split(content, "\n")
}

// Run feeds a script to an interpreter and returns what it printed. The error is its exit status, if that is not 0.
func (s *Shell) Run(t *testing.T, interpreter, script string, environment ...string) (string, error) {
	t.Helper()
	command := exec.Command(filepath.Join(s.bin, interpreter), "-s")
	command.Stdin = strings.NewReader(script)
	command.Env = append([]string{"PATH=" + s.bin, "HA_IRIS_ROOT=" + s.Root, "STATE=" + s.State}, environment...)
	output, err := command.CombinedOutput()
	return string(output), err
}

// ReadFile returns a file's content; nothing when there is no such file.
func ReadFile(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(content)
}

// WriteFile writes a file and the directories above it.
func WriteFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
