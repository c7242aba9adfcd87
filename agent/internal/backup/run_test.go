package backup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestRun_MakesOneBackup(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		if err := w.run(nil); err != nil {
			t.Fatal(err)
		}
		if w.thaws != 1 || len(w.deleted) > 0 || len(w.backups) != 1 || w.backups[0].Snapshot != ownName {
			t.Errorf("thawed %d times, deleted %v, backups %v", w.thaws, w.deleted, w.backups)
		}
		w.wantEvent(ReasonCompleted, ownName, "pvc-1")
	})
}

// What a backup cannot begin with is waited for, and said all at once when it does not come.
func TestRun_WaitsUntilItCanBegin(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		spoil func(w *world)
		want  string
	}{
		"no pod":              {func(w *world) { w.database.Pods = nil }, "the database has no pod"},
		"a pod that starts":   {func(w *world) { w.database.Pods[0].Ready = false }, "iris-a (not ready), want one that is ready: kubectl -n data get pods"},
		"detached":            {func(w *world) { w.volume.State = "detached" }, `volume pvc-1 is "detached"`},
		"faulted":             {func(w *world) { w.volume.Robustness = "faulted" }, `volume pvc-1 is "faulted"`},
		"no target":           {func(w *world) { w.target.URL = "" }, "backup target default has no address"},
		"target unavailable":  {func(w *world) { w.target.Available, w.target.Reason = false, "AccessDenied" }, "is not available: AccessDenied"},
		"another run's":       {func(w *world) { w.backups = []Backup{{Name: "b", State: "InProgress", Progress: 42}} }, "backup b of another run is at 42 %"},
		"another run's cut":   {func(w *world) { w.snapshots = []Snapshot{{Name: "s", Asked: time.Now().Add(time.Hour)}} }, "snapshot s of another run"},
		"the API server away": {func(w *world) { w.away = func() bool { return true } }, errAway.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				test.spoil(w)
				begun := time.Now()
				w.onFreeze = func() (bool, int, error) {
					w.t.Error("it was frozen nevertheless")
					return true, int(answerFailed), nil
				}
				err := w.run(nil)
				if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "nothing was frozen") {
					w.t.Errorf("got %v, want %q", err, test.want)
				}
				if waited := time.Since(begun); waited < 10*time.Minute || waited > 11*time.Minute {
					w.t.Errorf("gave up after %v", waited)
				}
				w.wantEvent(ReasonFailed, test.want)
			})
		})
	}
}

func TestRun_BeginsWhenTheObstacleIsGone(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.target.Available, w.volume.Robustness = false, "degraded" // A degraded volume is no obstacle.
		w.later(3*time.Minute, func() { w.target.Available = true })
		if err := w.run(nil); err != nil {
			t.Error(err)
		}
	})
}

func TestRun_SkipsADatabaseThatIsScaledDown(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.database = Database{}
		if err := w.run(nil); err != nil || w.thaws > 0 {
			t.Errorf("got %v", err)
		}
		w.wantEvent(ReasonSkipped, "scaled to 0")
	})
}

func TestRun_AFreezeThatFailsFreezesNothing(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.onFreeze = func() (bool, int, error) { return true, int(answerFailed), nil }
		err := w.run(nil)
		if err == nil || w.thaws > 0 || len(w.snapshots) > 0 {
			t.Errorf("got %v, %d thaws, snapshots %v", err, w.thaws, w.snapshots)
		}
		w.wantEvent(ReasonFailed, "IRIS does not freeze (ERROR #1)", "messages.log")
	})
}

// What was not started has frozen nothing, and nobody is told that it may have.
func TestRun_AFreezeThatWasNotStartedFreezesNothing(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.onFreeze = func() (bool, int, error) { return true, 0, fmt.Errorf("exec: %w: forbidden", ErrNotStarted) }
		if err := w.run(nil); err == nil || w.thaws > 0 || len(w.snapshots) > 0 {
			t.Errorf("got %v, %d thaws, snapshots %v", err, w.thaws, w.snapshots)
		}
		w.wantEvent(ReasonFailed, "nothing is frozen", "forbidden")
	})
}

// Somebody else's freeze is waited for and never ended.
func TestRun_LeavesTheFreezeOfOthersAlone(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.foreign = true
		if err := w.run(nil); err == nil || w.thaws > 0 || !w.foreign {
			t.Errorf("got %v, %d thaws", err, w.thaws)
		}
		w.wantEvent(ReasonFrozen, "IRIS IN POD iris-a IS FROZEN, for 10m0s and longer, and not by this run",
			"kubectl -n data exec iris-a -c server -- iris session IRIS -B -U%SYS '##Class(Backup.General).ExternalThaw()'")
		w.events, w.foreign = nil, true
		w.later(time.Minute, func() { w.foreign = false })
		if err := w.run(nil); err != nil {
			t.Error(err)
		}
	})
}

// A freeze that begins late is no emergency because the run has waited for something else, and being told to stop makes it none.
func TestRun_AFreezeOfOthersThatIsYoungIsNoEmergency(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.target.Available, w.foreign = false, true
		w.later(9*time.Minute, func() { w.target.Available = true })
		w.later(12*time.Minute, func() { w.foreign = false })
		if err := w.run(nil); err != nil {
			t.Error(err)
		}
		w.foreign, w.snapshots = true, nil
		ctx, stop := context.WithTimeout(w.t.Context(), time.Minute)
		defer stop()
		if err := w.runWithin(ctx, Default()); err == nil || w.thaws != 1 {
			t.Errorf("got %v, %d thaws", err, w.thaws)
		}
		w.wantEvent(ReasonFailed, "told to stop while IRIS was frozen", "kubectl -n data exec iris-a -c server -- iris session")
	})
}

// The connection may break before the freeze, in it or after it; the thaw comes in each case.
func TestRun_ThawsWhenTheFreezeIsUnknown(t *testing.T) {
	t.Parallel()
	for name, frozen := range map[string]bool{"before it": false, "after it": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				w.onFreeze = func() (bool, int, error) {
					if frozen {
						_, _, _ = w.freezeAnyway()
					}
					return true, 0, errors.New("connection reset by peer")
				}
				if err := w.run(nil); err == nil || w.thaws != 1 || len(w.snapshots) > 0 {
					w.t.Errorf("got %v, %d thaws, snapshots %v", err, w.thaws, w.snapshots)
				}
				w.wantEvent(ReasonFailed, "connection reset by peer", "whether IRIS is frozen is not known")
			})
		})
	}
}

func (w *world) freezeAnyway() (string, int, error) {
	own := w.onFreeze
	defer func() { w.onFreeze = own }()
	w.onFreeze = nil
	return w.freeze("90")
}

func TestRun_ThawsWhenTheSnapshotIsNeverCut(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.cutAfter, w.snapshotError = -1, "no replica answers"
		err := w.run(nil)
		if err == nil || len(w.backups) > 0 || !slices.Equal(w.deleted, []string{"snapshot " + ownName}) {
			t.Errorf("got %v, backups %v, deleted %v", err, w.backups, w.deleted)
		}
		if frozen := time.Since(w.frozenAt); frozen > 70*time.Second {
			t.Errorf("thawed after %v", frozen)
		}
		w.wantEvent(ReasonFailed, "was not cut within 1m0s", "no replica answers")
	})
}

// Told to stop at any second of the freeze, it thaws first.
func TestRun_ThawsWhenItIsToldToStop(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{0, time.Second, 5 * time.Second, 40 * time.Second} {
		inBubble(t, func(w *world) {
			w.cutAfter = -1
			ctx, stop := context.WithCancel(w.t.Context())
			defer stop()
			w.onFreeze = func() (bool, int, error) {
				time.AfterFunc(after, stop)
				return false, 0, nil
			}
			err := w.runWithin(ctx, Default())
			if err == nil || w.thaws != 1 || len(w.backups) > 0 {
				w.t.Errorf("after %v: got %v, %d thaws", after, err, w.thaws)
			}
			if now := time.Since(w.frozenAt); now > after+2*time.Second {
				w.t.Errorf("told after %v, it was frozen for %v", after, now)
			}
			w.wantEvent(ReasonFailed, "told to stop while IRIS was frozen")
		})
	}
}

// An API server that is away while IRIS is frozen keeps exec away too: the dead man thaws, and the run says so.
func TestRun_TheDeadManThawsWhileTheAPIServerIsAway(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.away = func() bool { return w.marked || w.frozen }
		w.onThaw = func() (bool, int, error) {
			w.dies()
			return w.frozen, 0, errAway
		}
		err := w.run(nil)
		if err == nil || len(w.backups) > 0 {
			t.Errorf("got %v, backups %v", err, w.backups)
		}
		if frozen := time.Since(w.frozenAt); frozen < 90*time.Second || frozen > 95*time.Second {
			t.Errorf("it took %v", frozen)
		}
		w.wantEvent(ReasonFailed, "was not cut within")
	})
}

// A thaw that fails is repeated, and the backup is made: the snapshot was cut while IRIS was frozen.
func TestRun_RepeatsAThawThatFails(t *testing.T) {
	t.Parallel()
	for name, failure := range map[string]struct {
		code int
		err  error
	}{
		"connection lost": {0, errors.New("EOF")}, "not started": {0, ErrNotStarted}, "still frozen": {int(answerStill), nil}, "IRIS silent": {int(answerSilent), nil},
		"killed": {137, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				w.onThaw = func() (bool, int, error) { return w.thaws <= 3, failure.code, failure.err }
				if err := w.run(nil); err != nil || w.thaws != 4 || len(w.backups) != 1 {
					w.t.Errorf("got %v, %d thaws", err, w.thaws)
				}
			})
		})
	}
}

// A freeze that ended too early proves nothing about the snapshot.
func TestRun_BacksUpNothingWhoseFreezeDidNotHold(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.cutAfter = 50 * time.Second
		w.onFreeze = func() (bool, int, error) {
			w.later(20*time.Second, func() { w.frozen, w.marked = false, false })
			return false, 0, nil
		}
		err := w.run(nil)
		if err == nil || len(w.backups) > 0 || !slices.Equal(w.deleted, []string{"snapshot " + ownName}) {
			t.Errorf("got %v, backups %v, deleted %v", err, w.backups, w.deleted)
		}
		w.wantEvent(ReasonFailed, "the freeze ended before the run thawed")
	})
}

// A container that was killed in the freeze is not frozen any more, and its successor never was.
func TestRun_EndsWithTheFrozenContainer(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.onThaw = func() (bool, int, error) {
			w.frozen, w.marked = false, false
			w.database.Pods[0].Container = "c2"
			return true, 0, errors.New("container not found")
		}
		if err := w.run(nil); err == nil || len(w.backups) > 0 || w.thaws != 1 {
			t.Errorf("got %v, %d thaws", err, w.thaws)
		}
		w.wantEvent(ReasonFailed, "the database's container has ended")
	})
}

// When nothing helps, that is what the run ends with, whatever failed before.
func TestRun_SaysLoudlyThatItMayBeFrozen(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.cutAfter = -1
		w.onThaw = func() (bool, int, error) { return true, int(answerStill), nil }
		err := w.run(nil)
		if err == nil || !strings.Contains(err.Error(), "IRIS IN POD iris-a MAY BE FROZEN") || w.thaws < 50 {
			t.Errorf("got %v, %d thaws", err, w.thaws)
		}
		w.wantEvent(ReasonFrozen, "kubectl -n data exec iris-a -c server -- iris session IRIS -B -U%SYS '##Class(Backup.General).ExternalThaw()'")
	})
}

func TestConfig_Validate(t *testing.T) {
	t.Parallel()
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
	err := Config{Retain: 0, FreezeLimit: 10 * time.Minute, SnapshotBudget: 0, Timeout: -1, Patience: 0}.Validate()
	if err == nil {
		t.Fatal("taken")
	}
	for _, want := range []string{"--retain: got 0", "--freeze-limit: got 10m0s", "--snapshot-budget", "--timeout", "--patience"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s is missing in:\n%v", want, err)
		}
	}
	short := Default()
	short.FreezeLimit = 80 * time.Second // The dead man would thaw while the snapshot is waited for.
	if err := short.Validate(); err == nil {
		t.Error("a freeze that is shorter than the snapshot's budget is taken")
	}
}
