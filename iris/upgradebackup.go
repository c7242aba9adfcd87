package iris

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"ha-iris/internal/clock"
	"ha-iris/internal/live"
	"ha-iris/internal/pods"
)

const (
	// upgradeJob begins the names of the jobs. None is one that the CronJob gives, so that the agent takes the backup for one by hand, which no
	// later run prunes (agent/internal/command, byHand).
	upgradeJob = "iris-backup-before-upgrade"
	// upgradeLabel of a job says for which image it is.
	upgradeLabel = "ha-iris/before-image"
	// backupClocks is how far the clocks of the API server and of a node may be apart.
	backupClocks = 5 * time.Second
)

// upgradeMeta is the metadata of a job or a backup.
type upgradeMeta struct {
	Name    string    `json:"name"`
	Created time.Time `json:"creationTimestamp"`
}

// observedJob is a job, as far as it is read.
type observedJob struct {
	Metadata upgradeMeta `json:"metadata"`
	Status   struct {
		Conditions live.Conditions `json:"conditions"`
	} `json:"status"`
}

// is says whether the job has come to an end of this kind.
func (j observedJob) is(end string) bool {
	return slices.ContainsFunc(j.Status.Conditions, func(one live.Condition) bool { return one.Type == end && one.Status == "True" })
}

// message is what Kubernetes says of such an end.
func (j observedJob) message(end string) string {
	for _, one := range j.Status.Conditions {
		if one.Type == end {
			return one.Reason + ": " + one.Message
		}
	}
	return ""
}

func (u *upgrade) jobsPath() string { return "/apis/batch/v1/namespaces/" + u.namespace + "/" }

// backUp makes a backup by the CronJob's own job, and returns its name once it is complete in the target.
func (u *upgrade) backUp(ctx context.Context, will string) (name string, err error) {
	if err := u.prepared(ctx); err != nil {
		return "", err
	}
	job, err := u.startJob(ctx, will)
	if err != nil {
		return "", err
	}
	began := u.now()
	found, waited, err := u.watch(u.budget).Until(ctx, func() clock.Found {
		look, made := u.lookAtJob(ctx, job, u.now().Sub(began))
		name = made
		return look
	})
	switch {
	case err != nil:
		return "", fmt.Errorf("wait for job %s, which goes on: %w", job.Metadata.Name, err)
	case !found.Done:
		return "", fmt.Errorf("job %s, after %s:%s%s", job.Metadata.Name, waited.Round(time.Second), lineBreak, found.State)
	}
	return name, nil
}

func (u *upgrade) watch(budget time.Duration) clock.Watch {
	return clock.Watch{
		Budget: budget, Tick: upgradeTick, Report: upgradeReport, Now: u.now, Pause: u.pause,
		Say: func(state string, waited time.Duration) {
			u.log(fmt.Sprintf("waiting for the backup before iris.image changes since %s: %s", waited.Round(time.Second),
				strings.ReplaceAll(state, lineBreak, "; ")))
		},
	}
}

// prepared waits for what the job is made from and what it needs, because the same update may make it.
func (u *upgrade) prepared(ctx context.Context) error {
	found, _, err := u.watch(upgradePatience).Until(ctx, func() clock.Found {
		if trouble := u.targetTrouble(ctx); trouble != "" { // The job would wait for it, and then say the same.
			return clock.Found{State: trouble}
		}
		if _, err := u.schedule(ctx); err != nil {
			return clock.Found{Hopeless: live.IsForbidden(err), State: err.Error()}
		}
		return clock.Found{Done: true}
	})
	switch {
	case err != nil:
		return fmt.Errorf("wait for the backup's target and its CronJob: %w", err)
	case !found.Done:
		return errors.New(found.State)
	}
	return nil
}

// startJob starts one, or finds the one that an update has started that was interrupted.
func (u *upgrade) startJob(ctx context.Context, will string) (observedJob, error) {
	var running struct {
		Items []observedJob `json:"items"`
	}
	image := checksum(will)
	if _, err := u.api.Get(ctx, u.jobsPath()+"jobs?labelSelector="+url.QueryEscape(upgradeLabel+"="+image), &running); err != nil {
		return observedJob{}, fmt.Errorf("look for a job that runs: %w", err)
	}
	for _, one := range running.Items {
		if !one.is("Complete") && !one.is("Failed") {
			return one, nil
		}
	}
	schedule, err := u.schedule(ctx)
	if err != nil {
		return observedJob{}, err
	}
	labels, spec := map[string]string{upgradeLabel: image}, schedule.Spec.Template.Spec
	maps.Copy(labels, schedule.Spec.Template.Metadata.Labels)
	if spec != nil {
		spec["backoffLimit"] = 0 // Somebody waits: the next pulumi up is the next attempt.
	}
	name := upgradeJob + "-" + u.now().UTC().Format("20060102-150405")
	var job observedJob
	err = u.api.Create(ctx, u.jobsPath()+"jobs", map[string]any{
		"apiVersion": "batch/v1", "kind": "Job", "spec": spec,
		"metadata": map[string]any{
			"name": name, "namespace": u.namespace, "labels": labels,
			"annotations": map[string]string{"cronjob.kubernetes.io/instantiate": "manual"}, // As kubectl create job --from.
			// The job goes with the schedule. One that is due meanwhile waits for it (agent/internal/backup, lookAtOthers).
			"ownerReferences": []any{map[string]any{
				"apiVersion": "batch/v1", "kind": "CronJob", "name": backupName, "uid": schedule.Metadata.UID, "controller": true,
			}},
		},
	}, &job)
	if err != nil {
		return observedJob{}, fmt.Errorf("start job %s: %w", name, err)
	}
	return job, nil
}

// backupSchedule is the CronJob, as far as it is read.
type backupSchedule struct {
	Metadata struct {
		UID string `json:"uid"`
	} `json:"metadata"`
	Spec struct {
		Template struct {
			Metadata struct {
				Labels map[string]string `json:"labels"`
			} `json:"metadata"`
			Spec map[string]any `json:"spec"`
		} `json:"jobTemplate"`
	} `json:"spec"`
}

func (u *upgrade) schedule(ctx context.Context) (schedule backupSchedule, err error) {
	found, err := u.api.Get(ctx, u.jobsPath()+"cronjobs/"+backupName, &schedule)
	switch {
	case err != nil:
		return schedule, fmt.Errorf("look at CronJob %s: %w", backupName, err)
	case !found:
		return schedule, fmt.Errorf("there is no CronJob %s in namespace %s: pulumi up --refresh makes one again that somebody has deleted. If "+
			"backups are new in this change, they come first: iris.image as it was, pulumi up, then the new iris.image", backupName, u.namespace)
	}
	return schedule, nil
}

// lookAtJob says how far the job is, and which backup it has made. An error of the API server is no end: it may be away for a while.
func (u *upgrade) lookAtJob(ctx context.Context, started observedJob, waited time.Duration) (found clock.Found, backup string) {
	name := started.Metadata.Name
	var job observedJob
	there, err := u.api.Get(ctx, u.jobsPath()+"jobs/"+name, &job)
	switch {
	case err != nil:
		return clock.Found{Hopeless: live.IsForbidden(err), State: err.Error()}, ""
	case !there:
		return clock.Found{Hopeless: true, State: "somebody has deleted it"}, ""
	case job.is("Failed"):
		facts, _ := u.podsOf(ctx, name)
		if len(facts) == 0 { // Its pods went with its deadline.
			facts = append(facts, job.message("Failed"))
		}
		return clock.Found{Hopeless: true, State: strings.Join(append(facts, "kubectl -n "+u.namespace+" logs job/"+name+" has more"), lineBreak)}, ""
	case !job.is("Complete"):
		facts, runs := u.podsOf(ctx, name)
		return clock.Found{
			Hopeless: !runs && waited >= upgradeMargin, State: strings.Join(append([]string{"job " + name + " is at work"}, facts...), lineBreak),
		}, ""
	}
	backup, err = u.made(ctx, started.Metadata.Created)
	switch {
	case err != nil:
		return clock.Found{Hopeless: live.IsForbidden(err), State: err.Error()}, ""
	case backup == "":
		return clock.Found{Hopeless: true, State: "it ended and made no backup, as when the database is scaled to 0"}, ""
	}
	return clock.Found{Done: true}, backup
}

// podsOf says why pods of a job have failed, or do not start, and whether one runs. Where that cannot be found out, one does.
func (u *upgrade) podsOf(ctx context.Context, job string) (facts []string, runs bool) {
	namespace := pods.Namespace{API: u.api, Name: u.namespace}
	all, err := namespace.List(ctx, "batch.kubernetes.io/job-name="+job)
	if err != nil {
		return nil, true
	}
	for _, one := range all {
		switch one.Status.Phase {
		case "Running", "Succeeded":
			runs = true
		default:
			facts = append(facts, namespace.Facts(ctx, one)...)
		}
	}
	return facts, runs
}

// made is the newest complete backup of this database since a time; empty: there is none.
func (u *upgrade) made(ctx context.Context, since time.Time) (name string, err error) {
	var all struct {
		Items []struct {
			Metadata upgradeMeta `json:"metadata"`
			Status   struct {
				State string `json:"state"`
			} `json:"status"`
		} `json:"items"`
	}
	marks := url.QueryEscape("ha-iris/backup=consistent,ha-iris/namespace=" + u.namespace)
	if _, err := u.api.Get(ctx, u.longhornPath()+"backups?labelSelector="+marks, &all); err != nil {
		return "", fmt.Errorf("look for the backup: %w", err)
	}
	newest := since.Add(-backupClocks)
	for _, one := range all.Items {
		if one.Status.State == "Completed" && one.Metadata.Created.After(newest) {
			name, newest = one.Metadata.Name, one.Metadata.Created
		}
	}
	return name, nil
}
