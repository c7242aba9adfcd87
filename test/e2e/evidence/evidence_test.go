package evidence_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ha-iris/test/e2e/evidence"
)

// fake is a test whose failure is not this test's. What it does not override, it must not be asked for.
type fake struct {
	testing.TB
	name     string
	failed   bool
	lines    []string
	cleanups []func()
}

func (f *fake) Helper()           {}
func (f *fake) Name() string      { return f.name }
func (f *fake) Failed() bool      { return f.failed }
func (f *fake) Cleanup(do func()) { f.cleanups = append(f.cleanups, do) }

func (f *fake) Logf(format string, args ...any) {
	f.lines = append(f.lines, fmt.Sprintf(format, args...))
}

func (f *fake) Errorf(format string, args ...any) {
	f.failed = true
	f.Logf(format, args...)
}

// end does what the testing package does at a test's end.
func (f *fake) end() {
	for _, do := range slices.Backward(f.cleanups) {
		do()
	}
}

// run is a test with a directory that goes with it, a clean-up that can fail, and evidence from the directory.
func run(t *testing.T, store *evidence.Store, name string, body func(f *fake, kept *evidence.Test, file string)) *fake {
	t.Helper()
	f := &fake{name: name}
	kept := store.Of(f)
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatalf("make directory: %v", err)
	}
	f.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove: %v", err)
		}
		if f.failed {
			f.Errorf("the clean-up fails too")
		}
	})
	file := filepath.Join(dir, "state.json")
	write(t, file, "at the end")
	kept.Add("stack", func(to string) error { return evidence.Copy(to, filepath.Join(dir, "*")) })
	body(f, kept, file)
	f.end()
	return f
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatalf("write: %v", err)
	}
}

func content(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	return string(text)
}

func TestEvidence_FailedTestLeavesIt(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "e2e")
	store := evidence.NewStore(root)
	f := run(t, store, "TestA/with_a_case", func(f *fake, _ *evidence.Test, _ string) { f.Errorf("wrong") })
	dir := filepath.Join(root, "TestA", "with_a_case")
	if got := content(t, filepath.Join(dir, "stack", "state.json")); got != "at the end" {
		t.Errorf("kept %q", got)
	}
	if last := f.lines[len(f.lines)-1]; !strings.HasSuffix(last, " "+dir) {
		t.Errorf("the failure ends with %q, want a line that ends with %s\n%q", last, dir, f.lines)
	}
}

func TestEvidence_IsOfBeforeTheTestCleansUp(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	run(t, evidence.NewStore(root), "TestA", func(f *fake, kept *evidence.Test, file string) {
		kept.Take() // Nothing has failed yet.
		write(t, file, "at the failure")
		f.Errorf("wrong")
		kept.Take()
		write(t, file, "destroyed")
	})
	if got := content(t, filepath.Join(root, "TestA", "stack", "state.json")); got != "at the failure" {
		t.Errorf("kept %q", got)
	}
}

func TestEvidence_PassedTestLeavesNothing(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "e2e")
	run(t, evidence.NewStore(root), "TestA", func(f *fake, _ *evidence.Test, _ string) { f.Errorf("wrong") })
	f := run(t, evidence.NewStore(root), "TestA", func(_ *fake, kept *evidence.Test, _ string) { kept.Take() })
	if _, err := os.Stat(filepath.Join(root, "TestA")); !os.IsNotExist(err) || len(f.lines) > 0 {
		t.Errorf("it leaves what the failure before left (%v), or says something: %q", err, f.lines)
	}
}

func TestEvidence_SourcesDoNotStandInEachOthersWay(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	f := run(t, evidence.NewStore(root), "TestA", func(f *fake, kept *evidence.Test, _ string) {
		kept.Add("stack", func(to string) error { return evidence.Write(to, "state.json", []byte("another")) })
		kept.Add("sandbox", func(to string) error { return evidence.Copy(to, filepath.Join(root, "absent", "*.log")) })
		f.Errorf("wrong")
	})
	for name, want := range map[string]string{"stack": "at the end", "stack-2": "another"} {
		if got := content(t, filepath.Join(root, "TestA", name, "state.json")); got != want {
			t.Errorf("%s: kept %q, want %q", name, got, want)
		}
	}
	if said := strings.Join(f.lines, "\n"); !strings.Contains(said, "not all of sandbox was kept") || !strings.Contains(said, "absent") {
		t.Errorf("it does not say what it could not keep:\n%s", said)
	}
}
