//go:build e2e && lab

package e2e_test

import (
	"strings"
	"testing"
	"time"
)

// TestLab_Snapshots takes the article's VolumeSnapshot while the database writes, and has the rows of that moment back: from a backup, and
// from a snapshot on the nodes that Longhorn copies from the old volume.
func TestLab_Snapshots(t *testing.T) {
	l := bringUp(t, "snapshotted", ownSandbox(t, "e2e-snapshotted", "--nodes", "real", "--snapshots"), func(c config) config {
		return c.set("storage.snapshotClasses", true).set("storage.backup", object{"target": "nfs://nas.example:/backups/", "cron": "0 0 1 1 *"})
	})
	claim := l.claim()
	l.step("are taken by kubectl", func() {
		l.says(`set ^kept="before"`)
		time.Sleep(journalCycle)
		l.on.snapshots(l.t, "article", "longhorn-iris-backup", "iris-pvc")
		l.says(`kill ^kept`, `set ^later=1`)
		time.Sleep(journalCycle)
		l.on.snapshots(l.t, "before-import", "longhorn-iris-snapshot", "iris-pvc")
		l.says(`set ^later=2`)
	})
	l.step("restore a backup", func() { l.isFilledFrom(2, "article", "kept before", "later none") })
	l.step("restore a snapshot of the volume that nothing uses any more", func() { l.isFilledFrom(3, "before-import", "kept none", "later 1") })
	if l.claim() != claim {
		t.Error("the first claim is another one: its data are lost")
	}
	l.destroyEverything(l.cfg)
}

// isFilledFrom makes the next volume from a VolumeSnapshot and wants these rows in it.
func (l *lab) isFilledFrom(generation int, snapshot string, rows ...string) {
	l.t.Helper()
	l.cfg = l.cfg.set("iris.generation", generation).set("iris.restoreFrom", object{"snapshot": snapshot})
	l.configure(l.cfg)
	began := time.Now()
	if _, done := l.up(); done["replace"]+done["delete"]+done["delete-replaced"] > 0 {
		l.t.Errorf("the restore replaced or deleted something: %v", done)
	}
	l.t.Logf("restored after %s", time.Since(began).Round(time.Second))
	said := l.says(`write "kept "_$get(^kept,"none"),!`, `write "later "_$get(^later,"none"),!`)
	for _, row := range rows {
		if !strings.Contains(said, row) {
			l.t.Errorf("the restored database says %q, want %q", said, row)
		}
	}
}
