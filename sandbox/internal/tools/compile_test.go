package tools

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// source writes a module with a program and a dependency that lies beside it.
func source(t *testing.T, program string) (module string) {
	t.Helper()
	module = t.TempDir()
	for name, content := range map[string]string{
		"go.mod":            "module example.org/m\n\ngo 1.24\n\nrequire example.org/beside v1.0.0\n\nreplace example.org/beside => ./beside\n",
		"beside/go.mod":     "module example.org/beside\n\ngo 1.24\n",
		"cmd/words/main.go": program,
	} {
		file := filepath.Join(module, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return module
}

func TestCompileHere_ReplacesAProgramOnlyByACompleteOne(t *testing.T) {
	t.Parallel()
	module, dir := source(t, "package main\n\nfunc main() {}\n"), filepath.Join(t.TempDir(), "bin")
	build := func() (os.FileInfo, error) {
		err := CompileHere(t.Context(), module, dir, "./cmd/words", func() { t.Error("it waits for another command") })
		info, missing := os.Stat(filepath.Join(dir, "words"))
		if missing != nil {
			t.Fatal(missing, err)
		}
		if left, err := filepath.Glob(filepath.Join(dir, temporaryPrefix+"*")); err != nil || len(left) > 0 {
			t.Errorf("left behind: %q, %v", left, err)
		}
		return info, err
	}
	first, err := build()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := build(); err != nil || !os.SameFile(first, again) {
		t.Errorf("it was linked again, or %v", err)
	}
	main := filepath.Join(module, "cmd", "words", "main.go")
	if err := os.WriteFile(main, []byte("package main\n\nfunc main() { no }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if kept, err := build(); err == nil || !strings.Contains(err.Error(), "undefined: no") || !os.SameFile(first, kept) {
		t.Errorf("got %v, and the program is the old one: %t", err, os.SameFile(first, kept))
	}
	// Who runs the old one keeps it.
	running := filepath.Join(t.TempDir(), "running")
	if err := os.Link(filepath.Join(dir, "words"), running); err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(running)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(main, []byte("package main\n\nfunc main() { println(1) }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if changed, err := build(); err != nil || os.SameFile(first, changed) {
		t.Errorf("it was not replaced, or %v", err)
	}
	if now, err := os.ReadFile(running); err != nil || string(now) != string(old) {
		t.Errorf("the old program was overwritten, or %v", err)
	}
}

func TestModuleDir_IsWhereTheDependencyLies(t *testing.T) {
	t.Parallel()
	module := source(t, "package main\n\nfunc main() {}\n")
	dir, err := ModuleDir(t.Context(), module, "example.org/beside")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.Stat(filepath.Join(module, "beside"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.Stat(dir); err != nil || !os.SameFile(got, want) {
		t.Errorf("got %s, %v", dir, err)
	}
	if dir, err := ModuleDir(t.Context(), module, "example.org/no"); err == nil || !strings.Contains(err.Error(), "find the module example.org/no") {
		t.Errorf("got %q, %v", dir, err)
	}
}
