package backup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// phase is how far a run is. Each is left by one step, in this order; a failure after the freeze goes through the thaw all the same.
type phase string

const (
	phaseCheck    phase = "check"
	phaseFreeze   phase = "freeze"
	phaseSnapshot phase = "snapshot"
	phaseThaw     phase = "thaw"
	phaseBackup   phase = "backup"
	phasePrune    phase = "prune"
	phaseEnd      phase = "end"
)

const (
	// checkEvery, freezeEvery and backupEvery are the times between two looks: until a backup can begin, while IRIS is frozen, and while
	// Longhorn works.
	checkEvery  = 10 * time.Second
	freezeEvery = time.Second
	backupEvery = 5 * time.Second
	// pastDeadMan is how long after the dead man's time the thaw is still tried.
	pastDeadMan = 30 * time.Second
	// createBudget is how long an API server that is away, or refuses, is asked for a backup's object.
	createBudget = 5 * time.Minute
	// lateBudget is for what is done once the run itself was told to stop.
	lateBudget = 20 * time.Second
)

// Run is one backup.
type Run struct {
	config  Config
	cluster Cluster
	shell   Shell
	log     *slog.Logger
	// name is that of the snapshot and of the backup, and the freeze's token.
	name string

	began    time.Time
	database Database
	pod      Pod
	volume   Volume
	// frozenAt is when the freeze was begun, and othersAt when IRIS was first found frozen by somebody else.
	frozenAt, othersAt time.Time
	// asked says that the snapshot may have been asked for, stored that the backup's object may.
	asked, stored bool
	backup        Backup
	// failure is what went wrong first; skipped why there is nothing to do.
	failure error
	skipped string
	// reason is that of the event about the failure.
	reason string
}

// New returns a run. name is nobody else's and never comes again.
func New(config Config, cluster Cluster, shell Shell, log *slog.Logger, name string) *Run {
	return &Run{config: config, cluster: cluster, shell: shell, log: log, name: name, reason: ReasonFailed}
}

// Do makes the backup. A context that ends stops it: a database that is frozen by then is thawed first. The error says what is missing and
// what to do, and the same is an event on the Deployment.
func (r *Run) Do(ctx context.Context) error {
	r.began = time.Now()
	for at := phaseCheck; at != phaseEnd; {
		r.log.Info("begins", "phase", string(at), "name", r.name)
		at = r.step(ctx, at)
	}
	r.conclude(ctx)
	return r.failure
}

func (r *Run) step(ctx context.Context, at phase) phase {
	switch at {
	case phaseCheck:
		return r.check(ctx)
	case phaseFreeze:
		return r.freeze(ctx)
	case phaseSnapshot:
		return r.cut(ctx)
	case phaseThaw:
		// Whoever stops the run does not stop this.
		return r.thaw(context.WithoutCancel(ctx))
	case phaseBackup:
		return r.store(ctx)
	case phasePrune:
		r.prune(ctx)
		return phaseEnd
	default:
		return r.fail(fmt.Errorf("a phase %q is nothing to do", at), phaseEnd)
	}
}

// fail keeps the first failure, and goes on elsewhere.
func (r *Run) fail(err error, next phase) phase {
	r.log.Error("failed", "error", err)
	if r.failure == nil {
		r.failure = err
	}
	return next
}

// check waits until a backup can begin.
func (r *Run) check(ctx context.Context) phase {
	said := ""
	for {
		unmet := r.look(ctx)
		if r.skipped != "" {
			return phaseEnd
		}
		if len(unmet) == 0 {
			return phaseFreeze
		}
		text := strings.Join(unmet, "; ")
		if text != said {
			r.log.Warn("waits", "for", text)
			said = text
		}
		if time.Since(r.began) >= r.config.Patience {
			return r.fail(fmt.Errorf("nothing was frozen and no backup made, because for %v: %s", r.config.Patience, text), phaseEnd)
		}
		if err := Pause(ctx, checkEvery); err != nil {
			return r.fail(fmt.Errorf("nothing was frozen and no backup made: told to stop while waiting: %s", text), phaseEnd)
		}
	}
}

// look returns all that a backup has to wait for.
func (r *Run) look(ctx context.Context) []string {
	database, err := r.cluster.Database(ctx)
	if err != nil {
		return []string{err.Error()}
	}
	if database.Wanted == 0 {
		r.skipped = "the database is scaled to 0: there is nothing to freeze, and nothing new to back up"
		return nil
	}
	r.database = database
	var unmet []string
	if len(database.Pods) != 1 || !database.Pods[0].Ready {
		unmet = append(unmet, fmt.Sprintf("the database has %s, want one that is ready: kubectl -n %s get pods", describe(database.Pods), database.Namespace))
	} else {
		r.pod = database.Pods[0]
	}
	return append(unmet, r.lookAtStorage(ctx)...)
}

func describe(pods []Pod) string {
	var texts []string
	for _, one := range pods {
		state := "not ready"
		if one.Ready {
			state = "ready"
		}
		texts = append(texts, fmt.Sprintf("%s (%s)", one.Name, state))
	}
	if texts == nil {
		return "no pod"
	}
	return "the pods " + strings.Join(texts, ", ")
}

func (r *Run) lookAtStorage(ctx context.Context) []string {
	volume, err := r.cluster.Volume(ctx)
	if err != nil {
		return []string{err.Error()}
	}
	r.volume = volume
	var unmet []string
	if volume.State != "attached" {
		unmet = append(unmet, fmt.Sprintf("volume %s is %q, want attached", volume.Name, volume.State))
	}
	// A volume that has lost a replica needs its backup more than others.
	if volume.Robustness != "healthy" && volume.Robustness != "degraded" {
		unmet = append(unmet, fmt.Sprintf("volume %s is %q, want healthy or degraded", volume.Name, volume.Robustness))
	}
	target, err := r.cluster.Target(ctx, volume.Target)
	switch {
	case err != nil:
		unmet = append(unmet, err.Error())
	case target.URL == "":
		unmet = append(unmet, fmt.Sprintf("backup target %s has no address: set storage.backup.target or storage.backup.managed", target.Name))
	case !target.Available:
		unmet = append(unmet, fmt.Sprintf("backup target %s is not available: %s", target.Name, target.Reason))
	}
	return append(unmet, r.lookAtOthers(ctx, volume.Name)...)
}

// lookAtOthers finds another run that is under way: one by hand, or one that was killed while Longhorn goes on.
func (r *Run) lookAtOthers(ctx context.Context, volume string) []string {
	backups, err := r.cluster.Backups(ctx, volume)
	if err != nil {
		return []string{err.Error()}
	}
	var unmet []string
	for _, one := range backups {
		if one.unfinished() {
			unmet = append(unmet, fmt.Sprintf("backup %s of another run is at %d %% (%s)", one.Name, one.Progress, one.Message))
		}
	}
	snapshots, err := r.cluster.Snapshots(ctx, volume)
	if err != nil {
		return append(unmet, err.Error())
	}
	for _, one := range snapshots {
		if !one.Cut && time.Since(one.Asked) < orphanAge {
			unmet = append(unmet, fmt.Sprintf("snapshot %s of another run is being cut", one.Name))
		}
	}
	return unmet
}

// freeze freezes, or goes back to waiting where somebody else has frozen.
func (r *Run) freeze(ctx context.Context) phase {
	if ctx.Err() != nil {
		return r.fail(errors.New("told to stop before anything was frozen; no backup was made"), phaseEnd)
	}
	r.frozenAt = time.Now()
	got, said := ask(ctx, r.shell, freezeCall, r.pod.Name, "freeze", r.name, seconds(r.config.FreezeLimit))
	switch got {
	case answerDone:
		if said != "" {
			r.log.Info("frozen", "said", said)
		}
		return phaseSnapshot
	case answerFailed:
		return r.fail(fmt.Errorf("IRIS does not freeze (%s): nothing is frozen and no backup was made; look for Backup.General in messages.log", said),
			phaseEnd)
	case answerNever:
		return r.fail(fmt.Errorf("the freeze was not started, so that nothing is frozen and no backup was made: %s", said), phaseEnd)
	case answerOthers:
		return r.waitForOthers(ctx, said)
	default:
		// It may have frozen nevertheless.
		return r.fail(fmt.Errorf("whether IRIS is frozen is not known (%s); no backup was made", said), phaseThaw)
	}
}

// waitForOthers waits for the end of somebody else's freeze. One that has lasted as long as IRIS takes updates and logins is an emergency.
func (r *Run) waitForOthers(ctx context.Context, said string) phase {
	if r.othersAt.IsZero() {
		r.othersAt = time.Now()
	}
	frozen := time.Since(r.othersAt).Round(time.Second)
	if frozen >= r.config.Patience {
		r.reason = ReasonFrozen
		return r.fail(fmt.Errorf("IRIS IN POD %s IS FROZEN, for %v and longer, and not by this run (%s); no backup was made. Unless another backup is under "+
			"way, thaw it now: %s; after 600 s of freeze updates and logins wait", r.pod.Name, frozen, said, r.thawCommand()), phaseEnd)
	}
	if Pause(ctx, checkEvery) != nil {
		return r.fail(fmt.Errorf("told to stop while IRIS was frozen, and not by this run (%s); no backup was made. To end a freeze that was left in the "+
			"middle: %s", said, r.thawCommand()), phaseEnd)
	}
	return phaseCheck
}

// cut has the snapshot taken while IRIS is frozen.
func (r *Run) cut(ctx context.Context) phase {
	deadline := time.Now().Add(r.config.SnapshotBudget)
	within, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	var last error
	for created := false; ; {
		if !created {
			r.asked = true
			last = r.cluster.CreateSnapshot(within, r.name, r.volume.Name)
			created = last == nil
		}
		if created {
			snapshot, err := r.cluster.Snapshot(within, r.name)
			switch {
			case err != nil:
				last = err
			case snapshot.Cut:
				return phaseThaw
			case snapshot.Error != "":
				last = errors.New(snapshot.Error)
			default:
				last = errors.New("it is not cut yet")
			}
		}
		if Pause(within, freezeEvery) == nil {
			continue
		}
		if ctx.Err() != nil {
			return r.fail(errors.New("told to stop while IRIS was frozen; no backup was made"), phaseThaw)
		}
		return r.fail(fmt.Errorf("snapshot %s of volume %s was not cut within %v, so no backup was made: %w; look at longhorn-manager's log",
			r.name, r.volume.Name, r.config.SnapshotBudget, last), phaseThaw)
	}
}

// thaw thaws and wants IRIS to say that it is no longer frozen. It tries until the dead man must have been at work, and some time more.
func (r *Run) thaw(ctx context.Context) phase {
	next := phaseBackup
	if r.failure != nil {
		next = phaseEnd
	}
	deadline := r.frozenAt.Add(r.config.FreezeLimit + pastDeadMan)
	for {
		got, said := ask(ctx, r.shell, thawCall, r.pod.Name, "thaw", r.name)
		switch got {
		case answerDone:
			r.log.Info("IRIS is thawed", "frozenFor", time.Since(r.frozenAt).Round(time.Millisecond).String())
			return next
		case answerLapsed, answerOthers:
			return r.fail(fmt.Errorf("the freeze ended before the run thawed (%s): snapshot %s may be one without it, and is not backed up", said, r.name),
				phaseEnd)
		case answerNone, answerNever:
			if r.containerGone(ctx) {
				return r.fail(fmt.Errorf("the database's container has ended, and the freeze with it; no backup was made (%s)", said), phaseEnd)
			}
		default: // It is frozen, or may be.
		}
		r.log.Error("IRIS IS NOT THAWED YET", "pod", r.pod.Name, "answer", int(got), "said", said)
		if time.Now().After(deadline) {
			r.reason = ReasonFrozen
			r.failure = nil // There is nothing worse.
			return r.fail(fmt.Errorf("IRIS IN POD %s MAY BE FROZEN: it was not seen thawed, also after the dead man's time of %v (%s). Thaw it now: "+
				"%s; after 600 s of freeze updates and logins wait", r.pod.Name, r.config.FreezeLimit, said, r.thawCommand()), phaseEnd)
		}
		_ = Pause(ctx, freezeEvery) // The context never ends.
	}
}

// thawCommand is for people. -B is for logins that hang.
func (r *Run) thawCommand() string {
	return fmt.Sprintf("kubectl -n %s exec %s -c %s -- iris session IRIS -B -U%%SYS '##Class(Backup.General).ExternalThaw()'", r.database.Namespace,
		r.pod.Name, r.database.Container)
}

// containerGone says that the container that was frozen is not there any more. Without an answer of the API server it may be.
func (r *Run) containerGone(ctx context.Context) bool {
	within, cancel := context.WithTimeout(ctx, thawCall)
	defer cancel()
	database, err := r.cluster.Database(within)
	if err != nil {
		return false
	}
	for _, one := range database.Pods {
		if one.UID == r.pod.UID && one.Container == r.pod.Container {
			return false
		}
	}
	return true
}

// Pause returns nil after a time, or the context's error.
func Pause(ctx context.Context, long time.Duration) error {
	timer := time.NewTimer(long)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return ctx.Err()
	}
}
