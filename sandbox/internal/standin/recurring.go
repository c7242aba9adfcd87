package standin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/rand"
)

// Labels by which a volume, or its claim, asks for recurring jobs (longhorn.md 7).
const (
	jobPrefix    = "recurring-job.longhorn.io/"
	groupPrefix  = "recurring-job-group.longhorn.io/"
	sourceLabel  = jobPrefix + "source"
	enabled      = "enabled"
	defaultGroup = groupPrefix + "default"
)

const (
	taskSnapshot = "snapshot"
	taskBackup   = "backup"
	forceSuffix  = "-force-create"
	// jobPatience is how long a job waits for its snapshot (app/recurringjob/constant.go, SnapshotReadyTimeout times WaitInterval).
	jobPatience = 390 * 5 * time.Second
	// jobNamePart is how much of a job's name begins those of its snapshots (app/recurringjob/volume.go).
	jobNamePart = 8
)

// schedule is when a recurring job is due. It is kept in memory: what was missed while this program was away is not made up for, as
// by a CronJob whose controller was away for long.
type schedule struct {
	cron string
	next time.Time
}

// jobRun is a recurring job under way for one volume, which in the original is a pod.
type jobRun struct {
	job, volume, snapshot, backup string
	began                         time.Time
}

// syncJobs starts the recurring jobs that are due and takes those under way a step further.
func (c *standIn) syncJobs(ctx context.Context, s *state) error {
	var errs []error
	for _, volume := range s.volumes {
		errs = append(errs, c.labelVolume(ctx, volume))
	}
	for _, job := range slices.Clone(s.others[jobKind]) {
		errs = append(errs, c.syncJob(ctx, s, job))
	}
	for _, run := range slices.Clone(c.jobRuns) {
		ended, err := c.advance(ctx, s, run)
		if ended {
			c.jobRuns = slices.DeleteFunc(c.jobRuns, func(other *jobRun) bool { return other == run })
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// jobLabelOf says whether the label asks for a recurring job, or for a group of them.
func jobLabelOf(name string) bool {
	return name != sourceLabel && (strings.HasPrefix(name, jobPrefix) || strings.HasPrefix(name, groupPrefix))
}

// labelVolume gives the volume its claim's labels if that says so, and one without any the group default (volume_controller.go,
// updateRecurringJobs).
func (c *standIn) labelVolume(ctx context.Context, volume *unstructured.Unstructured) error {
	if volume.GetDeletionTimestamp() != nil {
		return nil
	}
	before, labels := volume.DeepCopy(), map[string]string{}
	for name, value := range volume.GetLabels() {
		labels[name] = value
	}
	namespace, name := textAt(volume, "status", "kubernetesStatus", "namespace"), textAt(volume, "status", "kubernetesStatus", "pvcName")
	claim, err := c.cache.claims.PersistentVolumeClaims(namespace).Get(name)
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("look up claim %s/%s: %w", namespace, name, err)
	}
	if err == nil && claim.Labels[sourceLabel] == enabled {
		for name := range volume.GetLabels() {
			if jobLabelOf(name) {
				delete(labels, name)
			}
		}
		for name, value := range claim.Labels {
			if jobLabelOf(name) {
				labels[name] = value
			}
		}
	}
	asked := false
	for name := range labels {
		asked = asked || jobLabelOf(name)
	}
	if !asked {
		labels[defaultGroup] = enabled
	}
	volume.SetLabels(labels)
	return c.longhorn.save(ctx, longhornVolumes, before, volume)
}

// selectJobs labels a new volume as its class asks for.
func selectJobs(volume *unstructured.Unstructured, selector string) error {
	if selector == "" {
		return nil
	}
	var jobs []struct {
		Name    string `json:"name"`
		IsGroup bool   `json:"isGroup"`
	}
	if err := json.Unmarshal([]byte(selector), &jobs); err != nil {
		return fmt.Errorf("rpc error: code = InvalidArgument desc = invalid json format of recurringJobSelector: %w", err)
	}
	for _, job := range jobs {
		prefix := jobPrefix
		if job.IsGroup {
			prefix = groupPrefix
		}
		label(volume, prefix+job.Name, enabled)
	}
	return nil
}

// syncJob starts a job that is due, in UTC, unless it is still under way (the original's CronJob forbids that).
func (c *standIn) syncJob(ctx context.Context, s *state, job *unstructured.Unstructured) error {
	name, now := job.GetName(), c.clock.Now().UTC()
	if job.GetDeletionTimestamp() != nil {
		delete(c.schedules, name)
		return c.drop(ctx, s, jobKind, job)
	}
	before := job.DeepCopy()
	job.SetFinalizers([]string{longhornFinalizer})
	known, text := c.schedules[name], textAt(job, "spec", "cron")
	times, err := cron.ParseStandard(text)
	if err != nil {
		if known.cron != text {
			c.log.Warn("recurring job never runs", "job", name, "cron", text, "error", err)
		}
		c.schedules[name] = schedule{cron: text}
		return c.longhorn.save(ctx, jobKind, before, job)
	}
	due := known.cron == text && !known.next.After(now)
	if due || known.cron != text {
		c.schedules[name] = schedule{cron: text, next: times.Next(now)}
	}
	running := slices.ContainsFunc(c.jobRuns, func(run *jobRun) bool { return run.job == name })
	if due && !running {
		put(job, numberAt(job, "status", "executionCount")+1, "status", "executionCount")
	}
	if err := c.longhorn.save(ctx, jobKind, before, job); err != nil || !due || running {
		return err
	}
	return c.startJob(ctx, s, job)
}

// taskOf is what the job makes, with or without force; false if that is not played.
func taskOf(job *unstructured.Unstructured) (task string, forced, played bool) {
	task, forced = strings.CutSuffix(textAt(job, "spec", "task"), forceSuffix)
	return task, forced, task == taskSnapshot || task == taskBackup
}

// startJob begins the job for every volume that asks for it and can be used (app/recurringjob/util.go, filterVolumesForJob).
func (c *standIn) startJob(ctx context.Context, s *state, job *unstructured.Unstructured) error {
	_, forced, played := taskOf(job)
	if !played {
		c.log.Warn("recurring job is not played", "job", job.GetName(), "task", textAt(job, "spec", "task"))
		return nil
	}
	var errs []error
	for _, volume := range s.volumes {
		usable := textAt(volume, "status", "state") == attached || s.truth("allow-recurring-job-while-volume-detached")
		if !asksFor(volume, job) || volume.GetDeletionTimestamp() != nil || !usable ||
			truthAt(volume, "status", "restoreRequired") || textAt(volume, "status", "robustness") == faulted {
			continue
		}
		run := &jobRun{job: job.GetName(), volume: volume.GetName(), began: c.clock.Now()}
		if !forced {
			errs = append(errs, c.cleanUpSnapshots(ctx, s, job, run, false))
		}
		errs = append(errs, c.beginRun(ctx, s, job, run))
	}
	return errors.Join(errs...)
}

func asksFor(volume, job *unstructured.Unstructured) bool {
	labels := volume.GetLabels()
	groups, _, err := unstructured.NestedStringSlice(job.Object, "spec", "groups")
	return labels[jobPrefix+job.GetName()] == enabled ||
		err == nil && slices.ContainsFunc(groups, func(group string) bool { return labels[groupPrefix+group] == enabled })
}

// jobLabels are what the job's snapshots and backups are labelled with.
func jobLabels(job *unstructured.Unstructured) map[string]any {
	labels := map[string]any{}
	for name, value := range mapAt(job, "spec", "labels") {
		labels[name] = value
	}
	labels[jobLabel] = job.GetName()
	return labels
}

// beginRun asks for the snapshot, unless an earlier one of the job is still to be taken.
func (c *standIn) beginRun(ctx context.Context, s *state, job *unstructured.Unstructured, run *jobRun) error {
	c.jobRuns = append(c.jobRuns, run)
	for _, object := range s.snapshotsOfJob(run) {
		if truthAt(object, "spec", "createSnapshot") && textAt(object, "status", "creationTime") == "" {
			run.snapshot = object.GetName()
			return nil
		}
	}
	run.snapshot = run.job[:min(len(run.job), jobNamePart)] + "-" + rand.String(16)
	object := newObject(s.namespace, snapshotKind, run.snapshot)
	object.Object["spec"] = map[string]any{"volume": run.volume, "createSnapshot": true, "labels": jobLabels(job)}
	_, err := c.add(ctx, s, snapshotKind, object)
	return err
}

// advance takes a run a step further and says whether it has ended, well or not.
func (c *standIn) advance(ctx context.Context, s *state, run *jobRun) (ended bool, err error) {
	job, snapshot := s.find(jobKind, run.job), s.find(snapshotKind, run.snapshot)
	if job == nil || snapshot == nil {
		return true, nil
	}
	task, _, _ := taskOf(job)
	switch {
	case run.backup != "":
		return c.advanceBackup(ctx, s, job, run)
	case !truthAt(snapshot, "status", "readyToUse"):
		if c.clock.Now().Sub(run.began) < jobPatience {
			return false, nil
		}
		c.log.Warn("recurring job gave up waiting for its snapshot", "job", run.job, "volume", run.volume)
		return true, nil
	case task == taskSnapshot:
		return true, c.cleanUpSnapshots(ctx, s, job, run, false)
	}
	run.backup = "backup-" + rand.String(16)
	object := newObject(s.namespace, backupKind, run.backup)
	object.Object["spec"] = map[string]any{"snapshotName": run.snapshot, "labels": jobLabels(job), "backupMode": backupMode(job)}
	label(object, backupVolumeLabel, run.volume)
	_, err = c.add(ctx, s, backupKind, object)
	return false, err
}

// backupMode is full for every so many executions, if the job says so (longhorn.md 7, full-backup-interval).
func backupMode(job *unstructured.Unstructured) string {
	interval, err := strconv.ParseInt(textAt(job, "spec", "parameters", "full-backup-interval"), 10, 64)
	if err == nil && interval > 0 && numberAt(job, "status", "executionCount")%interval == 0 {
		return "full"
	}
	return "incremental"
}

// advanceBackup waits for the backup, and then removes what the job keeps no longer.
func (c *standIn) advanceBackup(ctx context.Context, s *state, job *unstructured.Unstructured, run *jobRun) (ended bool, err error) {
	backup := s.find(backupKind, run.backup)
	if backup == nil || textAt(backup, "status", "state") == backupError {
		c.log.Warn("recurring job failed to create its backup", "job", run.job, "volume", run.volume)
		return true, nil
	}
	if textAt(backup, "status", "state") != backupCompleted {
		return false, nil
	}
	var own []*unstructured.Unstructured
	for _, other := range s.backupsOf(run.volume, backup.GetLabels()[targetLabel]) {
		if textAt(other, "status", "labels", jobLabel) == run.job {
			own = append(own, other)
		}
	}
	errs := []error{c.cleanUpSnapshots(ctx, s, job, run, true)}
	for _, old := range expired(own, numberAt(job, "spec", "retain"), "backupCreatedAt") {
		errs = append(errs, c.deleteOnce(ctx, backupKind, old))
	}
	return true, errors.Join(errs...)
}

func (s *state) snapshotsOfJob(run *jobRun) []*unstructured.Unstructured {
	return slices.DeleteFunc(s.snapshotsOf(run.volume), func(object *unstructured.Unstructured) bool {
		return textAt(object, "spec", "labels", jobLabel) != run.job
	})
}

// cleanUpSnapshots removes the job's snapshots that are too many. A backup job keeps those of the last backup and of this run only,
// unless auto-cleanup-recurring-job-backup-snapshot is off (app/recurringjob/volume.go).
func (c *standIn) cleanUpSnapshots(ctx context.Context, s *state, job *unstructured.Unstructured, run *jobRun, stored bool) error {
	own := s.snapshotsOfJob(run)
	old := expired(own, numberAt(job, "spec", "retain"), "creationTime")
	if task, _, _ := taskOf(job); task == taskBackup && s.truth("auto-cleanup-recurring-job-backup-snapshot") {
		last := ""
		if volume := s.volume(run.volume); volume != nil && !stored {
			if backup := s.find(backupKind, textAt(volume, "status", "lastBackup")); backup != nil {
				last = textAt(backup, "status", "snapshotName")
			}
		}
		old = slices.DeleteFunc(own, func(object *unstructured.Unstructured) bool {
			return object.GetName() == run.snapshot || object.GetName() == last
		})
	}
	var errs []error
	for _, object := range old {
		errs = append(errs, c.deleteOnce(ctx, snapshotKind, object))
	}
	return errors.Join(errs...)
}

func (c *standIn) deleteOnce(ctx context.Context, plural string, object *unstructured.Unstructured) error {
	if object.GetDeletionTimestamp() != nil {
		return nil
	}
	return c.longhorn.delete(ctx, plural, object)
}

// expired are all but the latest ones, by a time in their status. What has no time yet is the latest.
func expired(objects []*unstructured.Unstructured, keep int64, field string) []*unstructured.Unstructured {
	sorted := slices.DeleteFunc(slices.Clone(objects), func(object *unstructured.Unstructured) bool {
		return object.GetDeletionTimestamp() != nil
	})
	slices.SortStableFunc(sorted, func(a, b *unstructured.Unstructured) int {
		first, second := textAt(a, "status", field), textAt(b, "status", field)
		if first == "" || second == "" {
			return strings.Compare(second, first)
		}
		return strings.Compare(first, second)
	})
	return sorted[:max(0, len(sorted)-int(keep))]
}
