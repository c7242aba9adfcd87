package layout

import (
	"os"
	"path/filepath"
	"testing"
)

func checkout(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "sandbox"), 0o755); err != nil {
		t.Fatalf("make checkout: %v", err)
	}
	if err := os.WriteFile(filepath.Join(root, "sandbox", "go.mod"), []byte("module x\n"), 0o600); err != nil {
		t.Fatalf("make checkout: %v", err)
	}
	return root
}

func TestWalkUp_FindsTheCheckoutFromAnyDirectoryInside(t *testing.T) {
	t.Parallel()
	root := checkout(t)
	for _, below := range []string{".", "sandbox", ".local/bin", "test/e2e"} {
		if got, ok := walkUp(filepath.Join(root, below)); !ok || got != root {
			t.Errorf("from %s: got %q, %t; want %q", below, got, ok, root)
		}
	}
	if got, ok := walkUp(t.TempDir()); ok {
		t.Errorf("outside any checkout: got %q", got)
	}
}

func TestFind_RefusesADirectoryThatIsNoCheckout(t *testing.T) {
	t.Parallel()
	if found, err := Find(t.TempDir()); err == nil {
		t.Errorf("got %+v, want an error", found)
	}
	root := checkout(t)
	if found, err := Find(root); err != nil || found.Root != root {
		t.Errorf("got %+v, %v; want %s", found, err, root)
	}
}

func TestCluster_NamesAreSafeInPathsAndCommandLines(t *testing.T) {
	t.Parallel()
	l := Layout{Root: "/checkout"}
	for _, name := range []string{"dev", "e2e-3", "a"} {
		dir, err := l.Cluster(name)
		if want := "/checkout/.local/sandbox/" + name; err != nil || dir != want {
			t.Errorf("%q: got %q, %v; want %q", name, dir, err, want)
		}
	}
	for _, name := range []string{"", "..", "a/b", "Dev", "-a", "a-", "a b", "abcdefghijklmnopqrstuvwxyz-abcdefg"} {
		if dir, err := l.Cluster(name); err == nil {
			t.Errorf("%q was accepted as %q", name, dir)
		}
	}
}
