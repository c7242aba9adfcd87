package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"ha-iris/internal/clock"
)

const (
	// lookEvery is how often Longhorn is asked how far it is, sayEvery how often that is said.
	lookEvery, sayEvery = 2 * time.Second, 10 * time.Second
	// cutting is how long a snapshot may take: it is cut in a second where the volume is attached.
	cutting = 2 * time.Minute
)

// now makes a backup and waits until it is at the target.
func now(ctx context.Context, d *database, o options, out, progress io.Writer) error {
	mounted, err := d.volume(ctx)
	if err != nil {
		return err
	}
	take := d.makeConsistent
	if o.crash {
		take = d.makeCrashConsistent
	}
	made, err := take(ctx, mounted, o.timeout, progress)
	if err != nil {
		return err
	}
	if o.json {
		return json.NewEncoder(out).Encode(entryOf(made))
	}
	_, err = fmt.Fprintf(out, "Backup %s (%s) of %s is complete.\n", made.Metadata.Name, made.kind(), made.when().UTC().Format(time.RFC3339))
	return err
}

// makeCrashConsistent has a snapshot of the volume cut and backed up: the state after a power cut, as that of Longhorn's schedule.
func (d *database) makeCrashConsistent(ctx context.Context, mounted volume, budget time.Duration, progress io.Writer) (backup, error) {
	name := "ha-iris-" + time.Now().UTC().Format("20060102-150405")
	object := func(kind string, labels map[string]string, spec map[string]any) map[string]any {
		return map[string]any{
			"apiVersion": "longhorn.io/v1beta2", "kind": kind, "spec": spec,
			"metadata": metadata{Name: name, Namespace: "longhorn-system", Labels: labels},
		}
	}
	snapshot := object("Snapshot", map[string]string{kindLabel: onDemand}, map[string]any{"volume": mounted.name, "createSnapshot": true})
	if err := d.cluster.Create(ctx, longhornPath+"snapshots", snapshot, nil); err != nil {
		return backup{}, fmt.Errorf("ask for a snapshot: %w", err)
	}
	if err := d.await(ctx, progress, cutting, func() (clock.Found, error) { return d.cut(ctx, name) }); err != nil {
		return backup{}, fmt.Errorf("snapshot %s of volume %s: %w", name, mounted.name, err)
	}
	asked := object("Backup", map[string]string{"backup-volume": mounted.name, kindLabel: onDemand}, map[string]any{
		"snapshotName": name, "labels": map[string]string{kindLabel: onDemand},
	})
	if err := d.cluster.Create(ctx, longhornPath+"backups", asked, nil); err != nil {
		return backup{}, fmt.Errorf("ask for a backup: %w", err)
	}
	if err := d.await(ctx, progress, budget, func() (clock.Found, error) { return d.stored(ctx, name) }); err != nil {
		return backup{}, fmt.Errorf("backup %s: %w", name, err)
	}
	d.forgetEarlier(ctx, mounted, name, progress)
	return d.find(ctx, mounted, name)
}

// forgetEarlier deletes the snapshots of earlier runs like this one: their backups do not need them, they take room on the nodes' disks, and
// Longhorn deletes none that no job of its made. The newest stays, so that the next backup reads only what has changed.
func (d *database) forgetEarlier(ctx context.Context, mounted volume, name string, progress io.Writer) {
	var all struct {
		Items []struct {
			Metadata metadata `json:"metadata"`
			Spec     struct {
				Volume string `json:"volume"`
			} `json:"spec"`
		} `json:"items"`
	}
	_, err := d.cluster.Get(ctx, longhornPath+"snapshots?labelSelector="+url.QueryEscape(kindLabel+"="+onDemand), &all)
	for _, one := range all.Items {
		if one.Spec.Volume == mounted.name && one.Metadata.Name != name && one.Metadata.Labels[kindLabel] == onDemand {
			err = errors.Join(err, d.cluster.Delete(ctx, longhornPath+"snapshots/"+one.Metadata.Name, one.Metadata.UID))
		}
	}
	if err != nil { // The backup is made all the same.
		_, _ = fmt.Fprintf(progress, "Snapshots of earlier runs are left: %v\n", err)
	}
}

// await looks until something is done, and says how far it is.
func (d *database) await(ctx context.Context, progress io.Writer, budget time.Duration, look func() (clock.Found, error)) error {
	watch := clock.Watch{
		Budget: budget, Tick: lookEvery, Report: sayEvery, Now: time.Now, Pause: d.pause,
		Say: func(state string, waited time.Duration) { // Progress that cannot be written stops nothing.
			_, _ = fmt.Fprintf(progress, "%3.0f s: %s\n", waited.Seconds(), state)
		},
	}
	var failed error
	found, waited, err := watch.Until(ctx, func() clock.Found {
		state, err := look()
		if failed = err; err != nil {
			state.State = err.Error() // The API server may be away for a moment.
		}
		return state
	})
	switch {
	case err != nil:
		return err
	case found.Done:
		return nil
	case found.Hopeless:
		return fmt.Errorf("%w: %s", errFailed, found.State)
	case failed != nil:
		return failed
	default:
		return fmt.Errorf("after %.0f s: %s; Longhorn goes on with it", waited.Seconds(), found.State)
	}
}

// cut says whether the snapshot is there.
func (d *database) cut(ctx context.Context, name string) (clock.Found, error) {
	var snapshot struct {
		Status struct {
			Created string `json:"creationTime"`
			Ready   bool   `json:"readyToUse"`
			Error   string `json:"error"`
		} `json:"status"`
	}
	found, err := d.cluster.Get(ctx, longhornPath+"snapshots/"+name, &snapshot)
	status := snapshot.Status
	switch {
	case err != nil:
		return clock.Found{}, err
	case !found:
		return clock.Found{Hopeless: true, State: "somebody has deleted it"}, nil
	case status.Ready && status.Created != "":
		return clock.Found{Done: true}, nil
	case status.Error != "":
		return clock.Found{State: hidden(status.Error)}, nil // Longhorn tries again.
	default:
		return clock.Found{State: "the snapshot is not cut yet; the volume must be attached, so that the database must run"}, nil
	}
}

// stored says whether the backup is at the target.
func (d *database) stored(ctx context.Context, name string) (clock.Found, error) {
	var made backup
	found, err := d.cluster.Get(ctx, longhornPath+"backups/"+name, &made)
	switch {
	case err != nil:
		return clock.Found{}, err
	case !found:
		return clock.Found{Hopeless: true, State: "somebody has deleted it"}, nil
	case made.Status.State == completed:
		return clock.Found{Done: true}, nil
	case made.Status.State == "Error":
		return clock.Found{Hopeless: true, State: hidden(made.Status.Error)}, nil
	default:
		return clock.Found{State: state(made)}, nil
	}
}
