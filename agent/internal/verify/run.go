// Package verify restores the last backup of a database's volume into a copy that nobody can reach, starts IRIS on it, and looks whether its
// databases are whole and have what they must. Whatever happens, nothing of the copy stays: each run deletes what it has made, and first what an
// earlier one was not given the time to.
package verify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"ha-iris/agent/internal/backup"
)

const (
	// lookEvery is the time between two looks at objects, and checkEvery between two at the integrity check.
	lookEvery  = 5 * time.Second
	checkEvery = 15 * time.Second
	// noteBudget is for the result and the event, also once the run was told to stop.
	noteBudget = 20 * time.Second
	// markerMargin is how much older than a backup a marker row has to be, to have to be in it: what IRIS keeps out of its journal for a moment,
	// 2 s (RACS), and the difference of two clocks.
	markerMargin = 2 * time.Minute
	// consistentAge is how much older than the newest backup one may be that is chosen because IRIS was frozen for it: more than a week, so that
	// such a schedule has one. An older one is of a schedule that makes none any more.
	consistentAge = 8 * 24 * time.Hour
	// settles is how long a container of IRIS' has ended before that counts: Longhorn and the kubelet say a moment later that a node is lost.
	settles = 30 * time.Second
	// missedPods is how often in a row the copy's pod must be missing to be gone.
	missedPods = 3
)

var (
	// ErrTaken is that a name of the copy is somebody else's.
	ErrTaken = errors.New("the name is taken")
	// ErrBad is that the backup is bad: what else fails says nothing about it.
	ErrBad     = errors.New("the backup is bad")
	errStopped = errors.New("told to stop")
	// errLost says nothing about the backup, and errEnded may.
	errLost  = errors.New("the copy's pod was lost")
	errEnded = errors.New("its container has ended")
)

// Run is one verification.
type Run struct {
	config  Config
	cluster Cluster
	// shell runs commands in pods of the database's namespace.
	shell backup.Shell
	log   *slog.Logger
	// id is what the cluster knows this run by, and token the marker row's.
	id, token string

	began  time.Time
	volume string
	backup Backup
	pod    string
	// expected is the marker row that the backup must have; without one, unmarked says why.
	expected *marker
	unmarked string
	// made says that there may be something of the copy.
	made bool
}

// New returns a run. id is how the cluster knows it (Object.Run), token never comes twice.
func New(config Config, cluster Cluster, shell backup.Shell, log *slog.Logger, id, token string) *Run {
	return &Run{config: config, cluster: cluster, shell: shell, log: log, id: id, token: token}
}

// Do verifies the last backup. A context that ends stops it; the copy is deleted all the same. The error says what is wrong and what to do, and
// the same is an event on the Deployment. It wraps ErrBad when the backup is bad, whatever else has failed.
func (r *Run) Do(ctx context.Context) error {
	r.began = time.Now()
	steps := []struct {
		name string
		do   func(context.Context) error
	}{
		{"remember", r.remember}, {"sweep", r.sweep}, {"choose", r.choose}, {"mark", r.mark}, {"restore", r.restore}, {"start", r.start}, {"check", r.check}, {"compare", r.compare},
	}
	var failure error
	for _, step := range steps {
		r.log.Info("begins", "phase", step.name)
		if failure = step.do(ctx); failure != nil {
			r.log.Error("failed", "phase", step.name, "error", failure)
			break
		}
	}
	noted := r.note(context.WithoutCancel(ctx), failure)
	return errors.Join(failure, noted, r.cleanUp(context.WithoutCancel(ctx)))
}

// await looks until there is nothing more to wait for. An error of a look ends it; what is missing is said when the time is over.
func (r *Run) await(ctx context.Context, what string, budget, every time.Duration, look func(context.Context) (missing string, err error)) error {
	deadline, said := time.Now().Add(budget), ""
	for {
		missing, err := look(ctx)
		if err != nil || missing == "" {
			return err
		}
		if missing != said {
			r.log.Info("waits", "for", missing)
			said = missing
		}
		if !time.Now().Before(deadline) {
			return fmt.Errorf("%s: after %v: %s", what, budget, missing)
		}
		if backup.Pause(ctx, every) != nil {
			return fmt.Errorf("%s: %w: %s", what, errStopped, missing)
		}
	}
}

// remember ends an attempt after one that has found a backup bad: it might verify another one, and the Job would end well.
func (r *Run) remember(ctx context.Context) error {
	return r.await(ctx, "what an earlier attempt has found is not known", r.config.Patience, lookEvery, func(ctx context.Context) (string, error) {
		found, err := r.cluster.FoundBad(ctx)
		if err != nil || found == "" {
			return transient(err)
		}
		return "", fmt.Errorf("an earlier attempt of this job has ended with: %s: %w", found, ErrBad)
	})
}

// sweep deletes what an earlier run has left, and wants nothing else under the copy's names.
func (r *Run) sweep(ctx context.Context) error {
	return r.await(ctx, "an earlier verification is not gone", r.config.Patience, lookEvery, r.sweepOnce)
}

func (r *Run) sweepOnce(ctx context.Context) (string, error) {
	objects, err := r.cluster.Objects(ctx)
	if err != nil {
		return transient(err)
	}
	var left []string
	for _, one := range objects {
		if !one.Ours {
			return "", fmt.Errorf("%s has the name that the verification needs, and is not this stack's: it is left as it is, and no backup is "+
				"verified. If nobody needs it: %s", one, one.deleteCommand())
		}
		text, err := r.dispose(ctx, one)
		if err != nil {
			text = err.Error()
		}
		left = append(left, text)
	}
	volumes, err := r.cluster.Volumes(ctx)
	if err != nil {
		return transient(err)
	}
	for _, one := range volumes {
		left = append(left, fmt.Sprintf("volume %s of Longhorn is there still", one))
	}
	return strings.Join(left, "; "), nil
}

// dispose deletes an object of this stack's, unless the run that has made it is at work.
func (r *Run) dispose(ctx context.Context, one Object) (string, error) {
	if one.Run != r.id {
		running, err := r.cluster.Running(ctx, one.Run)
		if err != nil {
			return "", err
		}
		if running {
			return fmt.Sprintf("%s is of another run, which is at work", one), nil
		}
	}
	if one.Deleting {
		return fmt.Sprintf("%s goes away", one), nil
	}
	r.log.Info("deletes", "object", one.String())
	return fmt.Sprintf("%s is being deleted", one), r.cluster.Delete(ctx, one)
}

func (o Object) String() string { return strings.TrimSpace(o.Kind + " " + o.Name) }

func (o Object) deleteCommand() string {
	if o.Namespace == "" {
		return fmt.Sprintf("kubectl delete %s %s", strings.ToLower(o.Kind), o.Name)
	}
	return fmt.Sprintf("kubectl -n %s delete %s %s", o.Namespace, strings.ToLower(o.Kind), o.Name)
}

// choose takes a backup that is complete: the newest for which IRIS was frozen, which lasts and is restored from, or else the newest. Of the others
// those that are made every few minutes are gone again within hours, and what was found of them is of no use.
func (r *Run) choose(ctx context.Context) error {
	return r.await(ctx, "no backup was chosen", r.config.Patience, lookEvery, func(ctx context.Context) (string, error) {
		volume, err := r.cluster.Volume(ctx)
		if err != nil {
			return transient(err)
		}
		all, err := r.cluster.Backups(ctx, volume.Name)
		if err != nil {
			return transient(err)
		}
		r.volume = volume.Name
		complete := slices.DeleteFunc(slices.Clone(all), func(one Backup) bool { return !one.Complete || one.URL == "" || one.Bytes <= 0 })
		if len(complete) == 0 {
			return "", fmt.Errorf("volume %s has no backup that can be verified: there are %d, and none is complete; look at go run ./ops/backup list",
				volume.Name, len(all))
		}
		r.backup = newest(complete)
		old := r.backup.Cut.Add(-consistentAge)
		frozen := slices.DeleteFunc(complete, func(one Backup) bool { return !one.Consistent || one.Cut.Before(old) })
		if len(frozen) > 0 {
			r.backup = newest(frozen)
		}
		r.log.Info("verifies", "backup", r.backup.Name, "of", r.backup.Cut.UTC())
		return "", nil
	})
}

func newest(backups []Backup) Backup {
	return slices.MaxFunc(backups, func(a, b Backup) int { return a.Cut.Compare(b.Cut) })
}

// mark finds out which marker row the backup must have, and writes one for the next run. Without a database that runs there is none: the backup
// can be verified nevertheless.
func (r *Run) mark(ctx context.Context) error {
	if err := r.markOnce(ctx); err != nil {
		r.unmarked = err.Error()
		r.log.Warn("no marker row is looked for", "because", err)
	}
	return nil
}

func (r *Run) markOnce(ctx context.Context) error {
	database, err := r.cluster.Database(ctx)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(database.Pods, func(one backup.Pod) bool { return one.Ready })
	if at < 0 {
		return errors.New("the database does not run")
	}
	pod := database.Pods[at].Name
	rows, err := readMarkers(ctx, r.shell, pod)
	if err != nil {
		return err
	}
	for _, one := range rows {
		if one.at.Before(r.backup.Cut.Add(-markerMargin)) && (r.expected == nil || one.at.After(r.expected.at)) {
			r.expected = &one
		}
	}
	if r.expected == nil {
		r.unmarked = "the database has none from before this backup; a backup from later than 2 minutes from now has one"
	}
	if err := writeMarker(ctx, r.shell, pod, rows, r.token, time.Now()); err != nil {
		r.log.Warn("no marker row was written for the next verification", "because", err)
	}
	return nil
}

// restore fills a volume of the copy's own from the backup.
func (r *Run) restore(ctx context.Context) error {
	r.made = true
	deadline := time.Now().Add(r.config.RestoreTimeout)
	failed := fmt.Sprintf("backup %s was not restored", r.backup.Name)
	for _, create := range []func(context.Context, Backup) error{r.cluster.CreateClass, r.cluster.CreateClaim} {
		err := r.await(ctx, failed, r.config.Patience, lookEvery, func(ctx context.Context) (string, error) {
			return transient(create(ctx, r.backup))
		})
		if err != nil {
			return err
		}
	}
	tidied := false
	return r.await(ctx, failed, time.Until(deadline), lookEvery, func(ctx context.Context) (string, error) {
		found, err := r.cluster.Restored(ctx)
		switch {
		case err != nil:
			return transient(err)
		case found.Failed != "":
			return "", fmt.Errorf("%s, %w: %s", failed, ErrBad, found.Failed)
		case found.Lost != "":
			return "", fmt.Errorf("%s: %s", failed, found.Lost)
		}
		if found.Bound && !tidied {
			// A volume that is there needs its class no more, and it is the one object that Kubernetes would not collect with this run's pod.
			tidied = r.deleteOwn(ctx, "StorageClass") == nil
		}
		if !found.Filled {
			return found.State, nil
		}
		return "", nil
	})
}

// transient makes text of an error that the next attempt may not have.
func transient(err error) (string, error) {
	if err == nil || errors.Is(err, ErrTaken) {
		return "", err
	}
	return err.Error(), nil
}

// deleteOwn deletes what this run has made of a kind; of all kinds for "". It never touches anything else.
func (r *Run) deleteOwn(ctx context.Context, kind string) error {
	objects, err := r.cluster.Objects(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, one := range objects {
		if one.Ours && one.Run == r.id && !one.Deleting && (kind == "" || one.Kind == kind) {
			errs = append(errs, r.cluster.Delete(ctx, one))
		}
	}
	return errors.Join(errs...)
}

// start runs IRIS on the copy and waits until users could log in.
func (r *Run) start(ctx context.Context) error {
	err := r.await(ctx, "the copy of IRIS was not started", r.config.Patience, lookEvery, func(ctx context.Context) (string, error) {
		return transient(r.cluster.CreatePod(ctx))
	})
	if err != nil {
		return err
	}
	last, looks := Pod{}, &looks{}
	err = r.await(ctx, fmt.Sprintf("IRIS does not start on backup %s", r.backup.Name), r.config.StartTimeout, lookEvery,
		func(ctx context.Context) (string, error) {
			pod, missing, err := r.look(ctx, looks)
			if pod.Name != "" {
				last, r.pod = pod, pod.Name
			}
			switch {
			case errors.Is(err, errEnded):
				return "", fmt.Errorf("IRIS does not start on backup %s: %w", r.backup.Name, err)
			case err == nil && missing == "" && !pod.Ready:
				return pod.State, nil
			}
			return missing, err
		})
	if err == nil || errors.Is(err, errStopped) || errors.Is(err, errLost) || last.Ended == "" && !last.Started { // A pod without a node says nothing about the backup.
		return err
	}
	if doubt := r.anotherImage(ctx, last.Image); doubt != "" {
		return fmt.Errorf("%w: %s", err, doubt)
	}
	return fmt.Errorf("%w: %w", ErrBad, err)
}

// looks are what earlier looks at the copy's pod have seen.
type looks struct {
	absent int
	ended  time.Time
}

// look looks at the copy's pod. The error wraps errLost when nothing of the backup can be known from it, and errEnded when IRIS has ended.
func (r *Run) look(ctx context.Context, before *looks) (pod Pod, missing string, err error) {
	pod, err = r.cluster.Pod(ctx)
	switch {
	case errors.Is(err, backup.ErrNotFound):
		if before.absent++; before.absent >= missedPods {
			return pod, "", fmt.Errorf("%w: it is gone: somebody has deleted it, or its node is lost", errLost)
		}
		return pod, err.Error(), nil
	case err != nil:
		return pod, err.Error(), nil //nolint:nilerr // The API server may be away for a while; the text is said.
	}
	before.absent = 0
	switch {
	case pod.Lost != "":
		return pod, "", fmt.Errorf("%w: %s", errLost, short(pod.Lost))
	case pod.Ended == "":
		return pod, "", nil
	case before.ended.IsZero():
		before.ended = time.Now()
	case time.Since(before.ended) >= settles:
		return pod, "", fmt.Errorf("%w: %s", errEnded, short(pod.Ended))
	}
	return pod, "its container has ended: " + short(pod.Ended), nil
}

// anotherImage is why another image than the copy's may have written the backup; empty when none has. A backup is no stop in order, and IRIS of
// another release refuses to start on what was not stopped so (ADOCK 5.7).
func (r *Run) anotherImage(ctx context.Context, image string) string {
	const so = "whose release need not start on it: nothing is known of the backup. "
	database, err := r.cluster.Database(ctx)
	switch {
	case err != nil:
		return fmt.Sprintf("which image has written it is not known (%v), "+so+"Verify it again", err)
	case len(database.Pods) == 0:
		return "which image has written it is not known, because the database has no pod, " + so + "Verify it again once the database runs"
	}
	for _, one := range database.Pods {
		switch {
		case one.Image != image:
			return fmt.Sprintf("the copy has image %s and the database %s, %sVerify again once the change of the image is complete", image, one.Image, so)
		case one.Started.IsZero() || r.backup.Cut.Before(one.Started):
			return fmt.Sprintf("the database's pod with image %s has started since, so that another image may have written it, %sVerify one that is made from now on",
				image, so)
		}
	}
	return ""
}

// check has IRIS read every block of every database.
func (r *Run) check(ctx context.Context) error {
	// Ready is a moment before logins are admitted.
	err := r.await(ctx, "the integrity check was not started", r.config.StartTimeout, lookEvery, func(ctx context.Context) (string, error) {
		if _, err := readMarkers(ctx, r.shell, r.pod); err != nil {
			return transient(err)
		}
		output, code, err := ask(ctx, r.shell, r.pod, "start")
		if err != nil || code != codeDone {
			return fmt.Sprintf("exit code %d, %v: %s", code, err, short(output)), nil
		}
		return "", nil
	})
	if err != nil {
		return err
	}
	looks := &looks{}
	return r.await(ctx, "the integrity check has not ended", r.config.CheckTimeout, checkEvery, func(ctx context.Context) (string, error) {
		return r.result(ctx, looks)
	})
}

func (r *Run) result(ctx context.Context, looks *looks) (string, error) {
	switch pod, missing, err := r.look(ctx, looks); {
	case errors.Is(err, errEnded):
		return "", fmt.Errorf("%w: IRIS has ended during the integrity check: %w", ErrBad, err)
	case err != nil:
		return "", err
	case pod.Ended != "":
		return missing, nil
	}
	output, code, err := ask(ctx, r.shell, r.pod, "result")
	switch {
	case err != nil:
		return transient(fmt.Errorf("the check's result: %w", err))
	case code == codeRunning:
		return "the integrity check runs", nil
	case code == codeGone:
		return "", errors.New("the process of the integrity check is gone, without a result")
	case code != codeDone:
		return fmt.Sprintf("the check's result: exit code %d: %s", code, short(output)), nil
	}
	intact, complete, said := verdictOf(output)
	switch {
	case !complete:
		return "", fmt.Errorf("the integrity check did not run to its end: %s", said)
	case !intact:
		return "", fmt.Errorf("%w: the integrity check of backup %s has found errors: %s", ErrBad, r.backup.Name, said)
	}
	return "", nil
}

// compare wants the marker row of an earlier run in the copy.
func (r *Run) compare(ctx context.Context) error {
	if r.expected == nil {
		return nil
	}
	return r.await(ctx, "the copy's marker rows", r.config.Patience, lookEvery, func(ctx context.Context) (string, error) {
		rows, err := readMarkers(ctx, r.shell, r.pod)
		if err != nil {
			return transient(err)
		}
		for _, one := range rows {
			if one == *r.expected {
				return "", nil
			}
		}
		return "", fmt.Errorf("%w: backup %s is of %s and lacks the marker row that the database got at %s", ErrBad, r.backup.Name,
			r.backup.Cut.UTC().Format(time.RFC3339), r.expected.at.UTC().Format(time.RFC3339))
	})
}

// note says what was found, where people and the list of backups read it. A result that nobody can read later is an error.
func (r *Run) note(ctx context.Context, failure error) error {
	ctx, cancel := context.WithTimeout(ctx, noteBudget)
	defer cancel()
	result := Result{Verdict: Good, At: time.Now().UTC()}
	event := backup.Event{Reason: ReasonVerified}
	switch {
	case failure == nil:
		result.Message = fmt.Sprintf("restored from %s, started and found intact after %v", r.backup.Name, time.Since(r.began).Round(time.Second))
		if r.expected == nil {
			result.Unmarked = short(r.unmarked)
			result.Message += "; no marker row was looked for: " + r.unmarked
		}
	case errors.Is(failure, ErrBad):
		result.Verdict, result.Message = Bad, failure.Error()
	default:
		result.Verdict, result.Message = Unclear, failure.Error()
	}
	if failure != nil {
		event.Warning, event.Reason = true, ReasonFailed
	}
	event.Message = result.Message
	var lost error
	if r.backup.Name != "" {
		if err := r.cluster.Record(ctx, r.backup.Name, result); err != nil {
			lost = fmt.Errorf("backup %s was found %s, and that was not noted: %w", r.backup.Name, result.Verdict, err)
			event.Warning, event.Reason, event.Message = true, ReasonFailed, lost.Error()+"; what was found: "+result.Message
		}
	}
	r.log.Info("ends", "verdict", string(result.Verdict), "message", event.Message)
	r.report(ctx, event)
	return lost
}

func (r *Run) report(ctx context.Context, event backup.Event) {
	if err := r.cluster.Report(ctx, event); err != nil {
		r.log.Warn("the event was not written", "reason", event.Reason, "message", event.Message, "error", err)
	}
}

// cleanUp deletes all that this run has made and waits until it is gone.
func (r *Run) cleanUp(ctx context.Context) error {
	if !r.made {
		return nil
	}
	err := r.await(ctx, "something of the copy is left", r.config.CleanupBudget, lookEvery, func(ctx context.Context) (string, error) {
		deleted := r.deleteOwn(ctx, "")
		objects, err := r.cluster.Objects(ctx)
		volumes, volumesErr := r.cluster.Volumes(ctx)
		if err := errors.Join(deleted, err, volumesErr); err != nil {
			return transient(err)
		}
		var left []string
		for _, one := range objects {
			if one.Ours && one.Run == r.id {
				left = append(left, one.String())
			}
		}
		for _, one := range volumes {
			left = append(left, "volume "+one)
		}
		return strings.Join(left, ", "), nil
	})
	if err != nil {
		note, cancel := context.WithTimeout(ctx, noteBudget)
		defer cancel()
		err = fmt.Errorf("%w; the next verification deletes it, or: kubectl delete, in this order, pod, claim and class", err)
		r.report(note, backup.Event{Warning: true, Reason: ReasonCleanupFailed, Message: err.Error()})
	}
	return err
}
