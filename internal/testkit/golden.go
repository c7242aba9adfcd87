package testkit

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
)

//nolint:gochecknoglobals // A test flag is registered once per binary; there is no other place for it.
var update = flag.Bool("update", false, "rewrite the golden files instead of comparing with them")

// Golden compares got with testdata/name, or rewrites the file when the test runs with -update.
func Golden(t *testing.T, name, got string) {
	t.Helper()
	GoldenFile(t, filepath.Join("testdata", name), got)
}

// GoldenFile does the same with a file of any path.
func GoldenFile(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatalf("make directory of golden file: %v", err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil { //nolint:gosec // A committed file, readable by all.
			t.Fatalf("write golden file: %v", err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("read golden file (run the test with -update to create it): %v", err)
	}
	if got != string(want) {
		t.Errorf("%s differs; review and run the test with -update if the change is meant\n--- want\n%s\n--- got\n%s", path, want, got)
	}
}
