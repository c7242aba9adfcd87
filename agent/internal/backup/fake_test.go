package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const ownName = "iris-consistent-1"

var errAway = errors.New("the API server is away")

// world plays the cluster and the database, with a dead man as freeze.sh has one. The zero times are never.
type world struct {
	t        *testing.T
	database Database
	volume   Volume
	target   Target
	// cutAfter is how long a snapshot takes; less than 0: it is never cut.
	cutAfter      time.Duration
	snapshotError string
	snapshots     []Snapshot
	backups       []Backup
	// endState is how the own backup ends, after backupTakes.
	endState, message string
	// byHand says that the own backup is.
	byHand      bool
	backupTakes time.Duration
	started     time.Time
	events      []Event
	deleted     []string
	// away says that no request is answered now.
	away func() bool

	frozen   bool
	frozenAt time.Time
	marked   bool
	deadMan  time.Time
	// onFreeze and onThaw take the place of the script's answers while they return true.
	onFreeze, onThaw func() (handled bool, code int, err error)
	thaws            int
	// foreign says that somebody else's freeze is in force.
	foreign bool
	// coming is what happens later, noticed by the next request.
	coming []happening
}

type happening struct {
	at time.Time
	do func()
}

// later has something happen after a time.
func (w *world) later(after time.Duration, do func()) {
	w.coming = append(w.coming, happening{time.Now().Add(after), do})
}

// pass has happen what is due.
func (w *world) pass() {
	due := w.coming
	w.coming = nil
	for _, one := range due {
		if time.Now().Before(one.at) {
			w.coming = append(w.coming, one)
		} else {
			one.do()
		}
	}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return &world{
		t:        t,
		database: Database{Namespace: "data", Container: "server", Wanted: 1, Pods: []Pod{{Name: "iris-a", UID: "u", Container: "c1", Ready: true}}},
		volume:   Volume{Name: "pvc-1", State: "attached", Robustness: "healthy", Target: "default"},
		target:   Target{Name: "default", URL: "s3://b@r/", Available: true},
		cutAfter: 2 * time.Second, endState: StateCompleted, backupTakes: 30 * time.Second,
	}
}

func (w *world) refuses() error {
	w.pass()
	if w.away != nil && w.away() {
		return errAway
	}
	return nil
}

func (w *world) Database(context.Context) (Database, error) {
	err := w.refuses()
	return w.database, err
}

func (w *world) Volume(context.Context) (Volume, error) {
	err := w.refuses()
	return w.volume, err
}

func (w *world) Target(_ context.Context, name string) (Target, error) {
	if name != w.volume.Target {
		w.t.Errorf("looked at target %s", name)
	}
	err := w.refuses()
	return w.target, err
}

func (w *world) Snapshots(context.Context, string) ([]Snapshot, error) {
	err := w.refuses()
	return slices.Clone(w.snapshots), err
}

func (w *world) Snapshot(_ context.Context, name string) (Snapshot, error) {
	if err := w.refuses(); err != nil {
		return Snapshot{}, err
	}
	for _, one := range w.snapshots {
		if one.Name == name {
			one.Cut = w.cutAfter >= 0 && time.Since(one.Asked) >= w.cutAfter
			one.Error = w.snapshotError
			return one, nil
		}
	}
	return Snapshot{}, ErrNotFound
}

func (w *world) CreateSnapshot(_ context.Context, name, _ string) error {
	if err := w.refuses(); err != nil {
		return err
	}
	if !w.frozen {
		w.t.Error("a snapshot was asked for while IRIS was not frozen")
	}
	w.snapshots = append(w.snapshots, Snapshot{Name: name, UID: "uid-" + name, Asked: time.Now()})
	return nil
}

func (w *world) DeleteSnapshot(_ context.Context, one Snapshot) error {
	if err := w.refuses(); err != nil {
		return err
	}
	w.deleted = append(w.deleted, "snapshot "+one.Name)
	w.snapshots = slices.DeleteFunc(w.snapshots, func(other Snapshot) bool { return other.UID == one.UID })
	return nil
}

func (w *world) Backups(context.Context, string) ([]Backup, error) {
	err := w.refuses()
	w.progress()
	return slices.Clone(w.backups), err
}

func (w *world) Backup(_ context.Context, name string) (Backup, error) {
	if err := w.refuses(); err != nil {
		return Backup{}, err
	}
	w.progress()
	for _, one := range w.backups {
		if one.Name == name {
			return one, nil
		}
	}
	return Backup{}, ErrNotFound
}

// progress takes the own backup as far as it is by now.
func (w *world) progress() {
	for i := range w.backups {
		one := &w.backups[i]
		if one.Name != ownName || one.State != "InProgress" {
			continue
		}
		one.Progress = min(99, int64(100*time.Since(w.started)/w.backupTakes))
		if time.Since(w.started) >= w.backupTakes {
			one.State, one.Message, one.Created = w.endState, w.message, time.Now()
		}
	}
}

func (w *world) CreateBackup(_ context.Context, name, snapshot, volume, target string) error {
	if err := w.refuses(); err != nil {
		return err
	}
	if w.frozen {
		w.t.Error("a backup was asked for while IRIS was frozen")
	}
	if volume != w.volume.Name || target != w.volume.Target {
		w.t.Errorf("a backup of volume %s to target %s", volume, target)
	}
	w.started = time.Now()
	w.backups = append(w.backups, Backup{Name: name, UID: "uid-" + name, Snapshot: snapshot, State: "InProgress", Created: time.Now(), ByHand: w.byHand})
	return nil
}

func (w *world) DeleteBackup(_ context.Context, one Backup) error {
	if err := w.refuses(); err != nil {
		return err
	}
	w.deleted = append(w.deleted, "backup "+one.Name)
	return nil
}

func (w *world) Report(_ context.Context, event Event) error {
	w.events = append(w.events, event)
	return w.refuses()
}

// Exec plays freeze.sh.
func (w *world) Exec(ctx context.Context, pod string, command []string) (string, int, error) {
	if err := ctx.Err(); err != nil {
		return "", 0, err
	}
	w.pass()
	if pod != "iris-a" || command[5] != ownName {
		w.t.Errorf("in pod %s with %q", pod, command[4:])
	}
	if command[4] == "freeze" {
		return w.freeze(command[6])
	}
	w.thaws++
	if w.onThaw != nil {
		if handled, code, err := w.onThaw(); handled {
			return "", code, err
		}
	}
	w.dies()
	switch {
	case !w.marked && w.foreign:
		return "", int(answerOthers), nil
	case !w.marked:
		return "", int(answerLapsed), nil
	case !w.frozen:
		w.marked = false
		return "", int(answerLapsed), nil
	}
	w.frozen, w.marked = false, false
	return "", int(answerDone), nil
}

func (w *world) freeze(limit string) (string, int, error) {
	if w.foreign {
		return "", int(answerOthers), nil
	}
	if w.onFreeze != nil {
		if handled, code, err := w.onFreeze(); handled {
			return "ERROR #1", code, err
		}
	}
	long, err := time.ParseDuration(limit + "s")
	if err != nil {
		w.t.Error(err)
	}
	w.frozen, w.marked, w.frozenAt, w.deadMan = true, true, time.Now(), time.Now().Add(long)
	return "", int(answerDone), nil
}

// dies is the dead man.
func (w *world) dies() {
	if w.marked && !time.Now().Before(w.deadMan) {
		w.frozen, w.marked = false, false
	}
}

// run makes a backup in a bubble, and wants IRIS to be thawed afterwards.
func (w *world) run(change func(*Config)) error {
	w.t.Helper()
	config := Default()
	if change != nil {
		change(&config)
	}
	if err := config.Validate(); err != nil {
		w.t.Fatal(err)
	}
	return w.runWithin(w.t.Context(), config)
}

func (w *world) runWithin(ctx context.Context, config Config) error {
	w.t.Helper()
	err := New(config, w, w, discard(), ownName).Do(ctx)
	if w.dies(); w.frozen {
		w.t.Error("the run ended and IRIS is frozen")
	}
	return err
}

// wantEvent wants one event of that reason, with these texts.
func (w *world) wantEvent(reason string, texts ...string) {
	w.t.Helper()
	for _, one := range w.events {
		if one.Reason != reason {
			continue
		}
		for _, text := range texts {
			if !strings.Contains(one.Message, text) {
				w.t.Errorf("event %s lacks %q: %s", reason, text, one.Message)
			}
		}
		return
	}
	w.t.Errorf("no event %s: %v", reason, w.events)
}

// inBubble runs a test on a clock of its own.
func inBubble(t *testing.T, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(30 * 24 * time.Hour) // So that there is something older.
		test(newWorld(t))
	})
}

func ago(d time.Duration) time.Time { return time.Now().Add(-d) }

func older(count int) []Backup {
	var backups []Backup
	for i := range count {
		name := fmt.Sprintf("old-%d", i+1)
		backups = append(backups, Backup{
			Name: name, UID: "uid-" + name, Snapshot: name, State: StateCompleted, Created: ago(time.Duration(count-i) * 24 * time.Hour),
		})
	}
	return backups
}

func discard() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }
