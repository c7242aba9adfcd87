package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"ha-iris/internal/clock"
)

const (
	// cronJob makes the backups for which IRIS is frozen (iris/backup.go), and consistent is their kind.
	cronJob    = "iris-backup-consistent"
	consistent = "consistent"
)

// makeConsistent runs the job of the nightly backup now. Where there is none, the backup is crash-consistent.
func (d *database) makeConsistent(ctx context.Context, mounted volume, budget time.Duration, progress io.Writer) (backup, error) {
	jobs := "/apis/batch/v1/namespaces/" + d.namespace + "/"
	var schedule struct {
		Metadata struct {
			UID string `json:"uid"`
		} `json:"metadata"`
		Spec struct {
			Template struct {
				Metadata map[string]any `json:"metadata"`
				Spec     map[string]any `json:"spec"`
			} `json:"jobTemplate"`
		} `json:"spec"`
	}
	found, err := d.cluster.Get(ctx, jobs+"cronjobs/"+cronJob, &schedule)
	switch {
	case err != nil:
		return backup{}, fmt.Errorf("look up CronJob %s: %w", cronJob, err)
	case !found:
		_, _ = fmt.Fprintf(progress, "There is no CronJob %s (docs/operations.md, \"The daily backup\"): IRIS is not frozen for this backup.\n", cronJob)
		return d.makeCrashConsistent(ctx, mounted, budget, progress)
	}
	name := cronJob + "-" + time.Now().UTC().Format("20060102-150405")
	about := map[string]any{
		"name": name, "namespace": d.namespace, "labels": schedule.Spec.Template.Metadata["labels"],
		"annotations": map[string]string{"cronjob.kubernetes.io/instantiate": "manual"}, // As kubectl create job --from.
		"ownerReferences": []any{map[string]any{
			"apiVersion": "batch/v1", "kind": "CronJob", "name": cronJob, "uid": schedule.Metadata.UID, "controller": true,
		}},
	}
	job := map[string]any{"apiVersion": "batch/v1", "kind": "Job", "metadata": about, "spec": schedule.Spec.Template.Spec}
	var started struct {
		Metadata metadata `json:"metadata"`
	}
	if err := d.cluster.Create(ctx, jobs+"jobs", job, &started); err != nil {
		return backup{}, fmt.Errorf("start job %s: %w", name, err)
	}
	if err := d.await(ctx, progress, budget, func() (clock.Found, error) { return d.ended(ctx, jobs+"jobs/"+name, name) }); err != nil {
		return backup{}, fmt.Errorf("job %s: %w; kubectl -n %s logs job/%s has why", name, err, d.namespace, name)
	}
	return d.newest(ctx, mounted, started.Metadata.CreationTimestamp)
}

// ended says whether a job is over.
func (d *database) ended(ctx context.Context, path, name string) (clock.Found, error) {
	var job struct {
		Status struct {
			Active, Failed int
			Conditions     []struct {
				Type, Status, Message string
			}
		}
	}
	found, err := d.cluster.Get(ctx, path, &job)
	switch {
	case err != nil:
		return clock.Found{}, err
	case !found:
		return clock.Found{Hopeless: true, State: "somebody has deleted it"}, nil
	}
	for _, one := range job.Status.Conditions {
		switch {
		case one.Status != "True":
		case one.Type == "Complete":
			return clock.Found{Done: true}, nil
		case one.Type == "Failed":
			return clock.Found{Hopeless: true, State: one.Message}, nil
		}
	}
	return clock.Found{State: fmt.Sprintf("job %s runs, %d attempts failed", name, job.Status.Failed)}, nil
}

// newest is the backup that a job has made. One that made none had nothing to do, and says so in its log.
func (d *database) newest(ctx context.Context, mounted volume, since time.Time) (backup, error) {
	all, err := d.backups(ctx, mounted.name)
	if err != nil {
		return backup{}, err
	}
	// By the API server's clock and a node's, and never by this machine's.
	const skew = 5 * time.Second
	for _, one := range all {
		if one.kind() == consistent && one.Status.State == completed && one.when().After(since.Add(-skew)) {
			return one, nil
		}
	}
	return backup{}, fmt.Errorf("%w: the job is complete and made none, as when the database is scaled to 0", errFailed)
}
