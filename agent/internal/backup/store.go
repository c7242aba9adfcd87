package backup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// orphanAge is when a snapshot without a backup belongs to no run any more: far longer than one takes from the one to the other.
	orphanAge = 15 * time.Minute
	// progressStep is how many percent there are between two lines of the log.
	progressStep = 10
	// missed is how often in a row a backup's object must be missing to be gone.
	missed = 3
)

// store has the snapshot backed up and waits until it is. Longhorn goes on with it when this run ends first.
func (r *Run) store(ctx context.Context) phase {
	within, cancel := context.WithTimeout(ctx, r.config.Timeout)
	defer cancel()
	if err := r.create(within); err != nil {
		return r.fail(fmt.Errorf("backup %s was not made: %w", r.name, err), phaseEnd)
	}
	shown, absent := int64(-progressStep), 0
	for {
		backup, err := r.cluster.Backup(within, r.name)
		switch {
		case errors.Is(err, ErrNotFound):
			if absent++; absent >= missed {
				return r.fail(fmt.Errorf("backup %s is gone: somebody has deleted it, or Longhorn has lost its target", r.name), phaseEnd)
			}
		case err != nil:
			r.log.Warn("the backup cannot be looked at", "error", err)
		default:
			absent = 0
			r.backup = backup
			if ended, next := r.judge(backup); ended {
				return next
			}
			if backup.Progress >= shown+progressStep {
				shown = backup.Progress
				r.log.Info("backs up", "state", backup.State, "percent", backup.Progress, "says", backup.Message)
			}
		}
		if Pause(within, backupEvery) == nil {
			continue
		}
		if ctx.Err() != nil {
			return r.fail(fmt.Errorf("told to stop while backup %s was at %d %%: Longhorn goes on with it", r.name, r.backup.Progress), phaseEnd)
		}
		return r.fail(fmt.Errorf("backup %s is at %d %% after %v: Longhorn goes on with it; --timeout is how long it is waited for",
			r.name, r.backup.Progress, r.config.Timeout), phaseEnd)
	}
}

// create asks for the backup's object.
func (r *Run) create(ctx context.Context) error {
	deadline := time.Now().Add(createBudget)
	for {
		r.stored = true // Also when the answer was lost.
		err := r.cluster.CreateBackup(ctx, r.name, r.name, r.volume.Name, r.volume.Target)
		if err == nil {
			return nil
		}
		r.log.Warn("the backup cannot be asked for", "error", err)
		if time.Now().After(deadline) {
			return err
		}
		if Pause(ctx, backupEvery) != nil {
			return errors.Join(err, ctx.Err())
		}
	}
}

// judge says whether a backup has ended, and where to go on then.
func (r *Run) judge(backup Backup) (ended bool, next phase) {
	switch backup.State {
	case StateCompleted:
		return true, phasePrune
	case StateError, StateUnknown:
		return true, r.fail(fmt.Errorf("backup %s ended as %s: %s; look at the target and at longhorn-manager's log", r.name, backup.State,
			backup.Message), phaseEnd)
	case StateDeleting:
		return true, r.fail(fmt.Errorf("backup %s is being deleted by somebody", r.name), phaseEnd)
	default:
		return false, ""
	}
}

// prune deletes backups of this kind beyond the number that is kept, the oldest first. Those by hand neither count nor are deleted: many in a
// day would otherwise leave none of the days before. It begins with a good one that is newer than all that
// it deletes: the run's own. A failure is no failure of the backup; the next run prunes again.
func (r *Run) prune(ctx context.Context) {
	backups, err := r.cluster.Backups(ctx, r.volume.Name)
	if err == nil {
		err = r.pruneBackups(ctx, backups)
	}
	if err == nil {
		return
	}
	r.log.Error("old backups were not pruned", "error", err)
	r.report(ctx, Event{true, ReasonPruneFailed, fmt.Sprintf("backup %s is complete, and older ones were not pruned; the next run tries again: %v",
		r.name, err)})
}

func (r *Run) pruneBackups(ctx context.Context, backups []Backup) error {
	good := slices.DeleteFunc(slices.Clone(backups), func(one Backup) bool { return one.State != StateCompleted })
	own := slices.IndexFunc(good, func(one Backup) bool { return one.Name == r.name })
	if own < 0 {
		return fmt.Errorf("backup %s is not among those that are complete, so that none is deleted", r.name)
	}
	if good[own].ByHand {
		return nil
	}
	good = slices.DeleteFunc(good, func(one Backup) bool { return one.ByHand })
	slices.SortFunc(good, func(a, b Backup) int {
		if a.Name == r.name || b.Name == r.name { // The clocks do not matter for the newest one.
			return trueFirst(a.Name == r.name, b.Name == r.name)
		}
		return b.Created.Compare(a.Created)
	})
	var errs []error
	for _, old := range good[min(len(good), max(r.config.Retain, 1)):] {
		r.log.Info("prunes", "backup", old.Name, "created", old.Created)
		errs = append(errs, r.cluster.DeleteBackup(ctx, old))
	}
	return errors.Join(errs...)
}

func trueFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	default:
		return 1
	}
}

// sweep deletes snapshots of this kind that nothing needs. The one of the newest good backup stays: with it the next backup of the volume,
// of either kind, reads what has changed since, and without it the whole volume (longhorn's backupstore, deltablock.go).
func (r *Run) sweep(ctx context.Context) error {
	if r.volume.Name == "" {
		return nil
	}
	snapshots, err := r.cluster.Snapshots(ctx, r.volume.Name)
	if err != nil {
		return err
	}
	backups, err := r.cluster.Backups(ctx, r.volume.Name)
	if err != nil {
		return err
	}
	needed := map[string]bool{}
	newest := Backup{}
	for _, one := range backups {
		switch {
		case one.unfinished():
			needed[one.Snapshot] = true
		case one.State == StateCompleted && (one.Name == r.name || newest.Name != r.name && one.Created.After(newest.Created)):
			newest = one
		}
	}
	needed[newest.Snapshot] = true
	var errs []error
	for _, one := range snapshots {
		own := one.Name == r.name
		if needed[one.Name] || !own && time.Since(one.Asked) < orphanAge && !backedUp(backups, one.Name) {
			continue
		}
		if own && r.stored && r.backup.State == "" { // Its backup may have been asked for, and not be seen yet.
			continue
		}
		r.log.Info("deletes", "snapshot", one.Name)
		errs = append(errs, r.cluster.DeleteSnapshot(ctx, one))
	}
	return errors.Join(errs...)
}

func backedUp(backups []Backup, snapshot string) bool {
	return slices.ContainsFunc(backups, func(one Backup) bool { return one.Snapshot == snapshot })
}

// conclude tidies up and says how it ended, also when the run was told to stop.
func (r *Run) conclude(ctx context.Context) {
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), lateBudget)
	defer cancel()
	if r.skipped == "" && (r.asked || r.stored) {
		if err := r.sweep(late); err != nil {
			r.log.Warn("snapshots that are not needed any more stay until the next run", "error", err)
		}
	}
	switch {
	case r.skipped != "":
		r.report(late, Event{false, ReasonSkipped, r.skipped})
	case r.failure != nil:
		r.report(late, Event{true, r.reason, strings.TrimSpace(r.failure.Error())})
	default:
		r.report(late, Event{false, ReasonCompleted, fmt.Sprintf("IRIS-consistent backup %s of volume %s is complete after %v", r.name, r.volume.Name,
			time.Since(r.began).Round(time.Second))})
	}
}

func (r *Run) report(ctx context.Context, event Event) {
	if err := r.cluster.Report(ctx, event); err != nil {
		r.log.Warn("the event was not written", "reason", event.Reason, "message", event.Message, "error", err)
	}
}
