//go:build e2e && lab

package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// nas is where the stacks keep their backups. The sandboxes play it with a directory, and here all with the same one.
const nas = "nfs://nas.example:/backups/"

// TestLab_Clone fills a stack on another cluster from a stack's backup while that one runs, and a third one when everything of it is
// gone but the backups.
func TestLab_Clone(t *testing.T) {
	// Beside the sandboxes: a node has a /tmp of its own.
	directory, err := os.MkdirTemp(filepath.Join(repository, ".local"), "nas-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(directory) })
	backedUp := func(c config) config {
		return c.set("storage.backup", object{"target": nas, "cron": "0 0 1 1 *"}) // Due on New Year's Day only.
	}
	original := bringUp(t, "original", onShare(t, "original", directory), backedUp)
	original.says(`set ^kept="before"`)
	time.Sleep(journalCycle)
	var made struct{ Name, State string }
	original.backup(&made, "now")
	if made.State != "Completed" {
		t.Fatalf("the backup is %+v", made)
	}
	original.says(`set ^kept="after"`)
	var plan struct{ Backup struct{ Name, URL string } }
	original.backup(&plan, "plan")
	filled := func(c config) config { return backedUp(c).set("iris.restoreFrom.backup", plan.Backup.URL) }
	has := func(l *lab, want string) {
		t.Helper()
		if said := l.says(`zw ^kept`, `zw ^mine`); !strings.Contains(said, want) {
			t.Errorf("%s says %q, want %s", l.on.Name, said, want)
		}
	}

	clone := bringUp(t, "clone", onShare(t, "clone", directory), filled)
	has(clone, `^kept="before"`)
	clone.says(`set ^kept="cloned",^mine=1`)
	has(original, `^kept="after"`)
	if said := original.says(`write "mine "_$data(^mine)`); !strings.Contains(said, "mine 0") {
		t.Errorf("what the clone wrote is in the original: %q", said)
	}
	if _, again := clone.up(); !again.onlySame() {
		t.Errorf("a second up of the clone changed something: %v", again)
	}

	for _, l := range []*lab{original, clone} {
		if err := stopSandbox(l.on.Name, true); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	last := bringUp(t, "rebuilt", onShare(t, "rebuilt", directory), filled)
	t.Logf("on a new cluster from the backups alone after %s", time.Since(began).Round(time.Second))
	has(last, `^kept="before"`)
	last.destroyEverything(last.cfg)
}

// onShare starts three real nodes whose backup target is a directory that outlives them.
func onShare(t *testing.T, name, directory string) sandbox {
	t.Helper()
	on := ownSandbox(t, "e2e-"+name, "--nodes", "real")
	buckets := filepath.Join(repository, ".local", "sandbox", on.Name, "buckets")
	if err := os.Remove(buckets); err != nil && !os.IsNotExist(err) {
		t.Fatalf("the buckets of %s are in use already: %v", name, err)
	}
	// A node sees this machine's root elsewhere, hence the relative link.
	link, err := filepath.Rel(filepath.Dir(buckets), directory)
	if err == nil {
		err = os.Symlink(link, buckets)
	}
	if err != nil {
		t.Fatalf("share the buckets: %v", err)
	}
	return on
}
