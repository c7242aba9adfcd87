package backup

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestRun_SaysWhyABackupFailed(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.endState, w.message, w.backups = StateError, "AccessDenied: quota", older(20)
		err := w.run(nil)
		if err == nil || !strings.Contains(err.Error(), "AccessDenied: quota") {
			t.Errorf("got %v", err)
		}
		if !slices.Equal(w.deleted, []string{"snapshot " + ownName}) { // And no backup, although there are too many.
			t.Errorf("deleted %v", w.deleted)
		}
		w.wantEvent(ReasonFailed, "ended as Error: AccessDenied: quota")
	})
}

func TestRun_GivesUpOnABackupInTheEnd(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.backupTakes = 7 * time.Hour
		if err := w.run(nil); err == nil || len(w.deleted) > 0 { // Longhorn needs the snapshot.
			t.Errorf("got %v, deleted %v", err, w.deleted)
		}
		w.wantEvent(ReasonFailed, "after 6h0m0s", "Longhorn goes on with it")
	})
}

func TestRun_ToldToStopItLeavesTheBackupToLonghorn(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		ctx, stop := context.WithTimeout(w.t.Context(), 20*time.Second)
		defer stop()
		if err := w.runWithin(ctx, Default()); err == nil || len(w.deleted) > 0 || len(w.backups) != 1 {
			t.Errorf("got %v, deleted %v, backups %v", err, w.deleted, w.backups)
		}
		w.wantEvent(ReasonFailed, "told to stop while backup "+ownName)
	})
}

func TestRun_BackupDeletedByOthers(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.later(15*time.Second, func() { w.backups = nil })
		if err := w.run(nil); err == nil {
			t.Error("no error")
		}
		w.wantEvent(ReasonFailed, "is gone")
	})
}

// The API server may be away for minutes while Longhorn backs up, and when the backup is asked for.
func TestRun_OutlastsAnAPIServerThatIsAway(t *testing.T) {
	t.Parallel()
	for _, from := range []time.Duration{3 * time.Second, 15 * time.Second} {
		inBubble(t, func(w *world) {
			begun := time.Now()
			w.away = func() bool { return !w.frozen && time.Since(begun) >= from && time.Since(begun) < from+2*time.Minute }
			if err := w.run(nil); err != nil {
				t.Errorf("away after %v: %v", from, err)
			}
			w.wantEvent(ReasonCompleted)
		})
	}
}

func TestRun_PrunesTheOldestGoodOnes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		older  int
		more   []Backup
		retain int
		want   []string
	}{
		"the only one":                 {0, nil, 1, nil},
		"one more than is kept":        {1, nil, 1, []string{"backup old-1"}},
		"as many as are kept":          {2, nil, 3, nil},
		"the oldest ones":              {4, nil, 3, []string{"backup old-2", "backup old-1"}},
		"failed ones are not counted":  {2, []Backup{{Name: "bad", State: StateError}}, 3, nil},
		"one with a clock that is odd": {0, []Backup{{Name: "odd", State: StateCompleted, Created: time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)}}, 1, []string{"backup odd"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				w.backups = append(older(test.older), test.more...)
				if err := w.run(func(c *Config) { c.Retain = test.retain }); err != nil {
					w.t.Fatal(err)
				}
				if !slices.Equal(w.deleted, test.want) {
					w.t.Errorf("deleted %v, want %v", w.deleted, test.want)
				}
			})
		})
	}
}

// Fourteen by hand in a day leave the nights of two weeks, and the nights leave them.
func TestRun_BackupsByHandNeitherCountNorArePruned(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		byHand bool
		want   []string
	}{"a scheduled run": {false, []string{"backup old-1"}}, "a run by hand": {true, nil}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				w.byHand = test.byHand
				w.backups = older(14)
				for i := range 14 {
					one := Backup{Name: fmt.Sprintf("hand-%d", i), State: StateCompleted, Created: ago(time.Duration(i-7) * 24 * time.Hour), ByHand: true}
					w.backups = append(w.backups, one)
				}
				if err := w.run(nil); err != nil {
					w.t.Fatal(err)
				}
				if !slices.Equal(w.deleted, test.want) {
					w.t.Errorf("deleted %v, want %v", w.deleted, test.want)
				}
			})
		})
	}
}

// Without its own backup among the good ones nothing is deleted.
func TestPrune_NeverWithoutTheOwnBackup(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		run := &Run{config: Config{Retain: 1}, cluster: w, name: ownName, log: discard()}
		for _, backups := range [][]Backup{older(3), append(older(3), Backup{Name: ownName, State: "InProgress"})} {
			if err := run.pruneBackups(w.t.Context(), backups); err == nil || len(w.deleted) > 0 {
				t.Errorf("got %v, deleted %v", err, w.deleted)
			}
		}
	})
}

// A backup is good although older ones could not be pruned.
func TestRun_APruneThatFailsIsNoFailedBackup(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.backups = older(3)
		w.away = func() bool { return len(w.backups) == 4 && w.backups[3].State == StateCompleted }
		if err := w.run(func(c *Config) { c.Retain = 1 }); err != nil {
			t.Error(err)
		}
		w.wantEvent(ReasonPruneFailed, "is complete")
		w.wantEvent(ReasonCompleted)
	})
}

// The newest good backup's snapshot makes the next one small; those of others, of younger runs and of backups under way are needed.
func TestSweep_DeletesSnapshotsThatNothingNeeds(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.backups = older(2)
		for _, name := range []string{"old-1", "old-2", "orphan"} {
			w.snapshots = append(w.snapshots, Snapshot{Name: name, UID: name, Cut: true, Asked: ago(24 * time.Hour)})
		}
		w.snapshots = append(w.snapshots, Snapshot{Name: "young", UID: "young", Cut: true, Asked: ago(time.Minute)})
		if err := w.run(nil); err != nil {
			t.Fatal(err)
		}
		if want := []string{"snapshot old-1", "snapshot old-2", "snapshot orphan"}; !slices.Equal(w.deleted, want) {
			t.Errorf("deleted %v, want %v", w.deleted, want)
		}
	})
}
