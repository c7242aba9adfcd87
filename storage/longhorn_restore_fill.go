package storage

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"ha-iris/internal/clock"
	"ha-iris/internal/live"
)

// filledVolume is Longhorn's object of a volume, as far as it says where its data come from.
type filledVolume struct {
	Spec struct {
		FromBackup   string `json:"fromBackup"`
		DataSource   string `json:"dataSource"`
		BackingImage string `json:"backingImage"`
	} `json:"spec"`
	Status struct {
		RestoreRequired  bool            `json:"restoreRequired"`
		RestoreInitiated bool            `json:"restoreInitiated"`
		Conditions       live.Conditions `json:"conditions"`
		CloneStatus      cloneStatus     `json:"cloneStatus"`
	} `json:"status"`
}

// cloneStatus is how far the copying of a snapshot is. Attempts counts those that have begun.
type cloneStatus struct {
	State    string `json:"state"`
	Attempts int    `json:"attemptCount"`
}

// cloneAttempts is after how many Longhorn does not try again (longhorn-manager 1.12.1 volume_controller.go, maxCloneRetry).
const cloneAttempts = 10

// Filled implements Restorer.
func (r *longhornRestore) Filled(ctx context.Context, driver, name string) (clock.Found, error) {
	if driver != provisioner {
		if r.generations.Backup != "" {
			return clock.Found{Hopeless: true, State: fmt.Sprintf("the volume %s is of %s, so it was not made from the backup in %s", name, driver,
				restoreKey)}, nil
		}
		return clock.Found{Done: true}, nil // It has taken the snapshot, or the claim would not be bound.
	}
	var volume filledVolume
	found, err := r.keeper.live.Get(ctx, longhornPath+"volumes/"+name, &volume)
	switch {
	case err != nil:
		return clock.Found{}, fmt.Errorf("look at Longhorn's volume %s: %w", name, err)
	case !found:
		return clock.Found{State: "Longhorn has not made the volume " + name + " yet"}, nil
	}
	if wrong := r.otherSource(volume); wrong != "" {
		return clock.Found{Hopeless: true, State: "the volume " + name + " " + wrong}, nil
	}
	empty, err := r.madeEmpty(ctx, volume, name)
	if err != nil {
		return clock.Found{}, err
	}
	if empty {
		return clock.Found{Hopeless: true, State: "the volume " + name + " was made for this claim, and made empty: iris.restoreFrom was left out, " +
			"or taken out, before there were data"}, nil
	}
	status := volume.Status
	for _, condition := range status.Conditions {
		// Nothing tries again (longhorn-manager volume_controller.go, checkAndFinishVolumeRestore).
		if condition.Type == "Restore" && condition.Reason == "RestoreFailure" {
			return clock.Found{Hopeless: true, State: "Longhorn could not restore the backup into volume " + name + ": " +
				r.cfg.redact(condition.Message)}, nil
		}
	}
	switch {
	case volume.Spec.FromBackup != "":
		// What is required is not known before it has begun (volume_controller.go, checkAndInitVolumeRestore).
		if status.RestoreInitiated && !status.RestoreRequired {
			return clock.Found{Done: true}, nil
		}
		return clock.Found{State: "Longhorn restores the backup into volume " + name + r.progress(ctx, name)}, nil
	case volume.Spec.DataSource != "" && !cloned(status.CloneStatus.State):
		return r.copying(ctx, name, volume)
	}
	return clock.Found{Done: true}, nil
}

// copying says how far a volume is that is filled from a snapshot of another volume. One that has failed is tried again, at most 10 times and
// after 30 s at first and then twice as long each time, while something uses the other volume (longhorn-manager 1.12.1 volume_controller.go,
// shouldInitVolumeClone and checkAndInitVolumeClone). Without that volume nothing is.
func (r *longhornRestore) copying(ctx context.Context, name string, volume filledVolume) (clock.Found, error) {
	clone, reason := volume.Status.CloneStatus, r.progress(ctx, name)
	if clone.State != "failed" {
		return clock.Found{State: fmt.Sprintf("Longhorn copies the snapshot into volume %s%s", name, reason)}, nil
	}
	state := fmt.Sprintf("Longhorn could not copy the snapshot into volume %s%s", name, reason)
	if clone.Attempts >= cloneAttempts {
		return clock.Found{Hopeless: true, State: fmt.Sprintf("%s; it has tried %d times and does not try again", state, clone.Attempts)}, nil
	}
	// The status names it only once an attempt has begun, and without it none begins.
	_, rest, _ := strings.Cut(volume.Spec.DataSource, "://")
	source, _, _ := strings.Cut(rest, "/")
	found, err := r.keeper.live.Get(ctx, longhornPath+"volumes/"+source, &struct{}{})
	switch {
	case err != nil:
		return clock.Found{}, fmt.Errorf("look at Longhorn's volume %s: %w", source, err)
	case !found:
		return clock.Found{Hopeless: true, State: fmt.Sprintf("%s; the volume %s that it is of is gone", state, source)}, nil
	}
	return clock.Found{State: fmt.Sprintf("%s, and tries again while something uses the volume %s", state, source)}, nil
}

// Retire implements Restorer. Longhorn rebuilds a lost replica only while a volume is attached, unless the volume itself says otherwise
// (longhorn-manager controller/volume_rebuilding_controller.go), and each replaced node would take a replica of one that is detached for good.
//
// The setting offline-replica-rebuilding would say so for all volumes: when the database is moved away from a lost node, where there are nodes
// for another replica, it would attach the volume for the rebuild in the moment between its detachment and its attachment to the new pod's
// node, which then waits for one more detachment.
func (r *longhornRestore) Retire(ctx context.Context, driver, name string) error {
	if driver != provisioner {
		return nil
	}
	if _, err := r.keeper.live.Patch(ctx, longhornPath+"volumes/"+name, map[string]any{"spec": map[string]any{offlineRebuilding: rebuildsOffline}}); err != nil {
		return fmt.Errorf("have Longhorn rebuild the volume %s while nothing uses it: %w; by hand: %s", name, err, rebuildOffline(name))
	}
	return nil
}

// otherSource says what a volume was made from if that is not what the configuration has; "" if it is, or if the configuration has none any
// more. A class that an earlier update has left, or a claim that somebody has made, names another one, or none.
//
// A VolumeSnapshot becomes a data source, a backup or a backing image, by its type (longhorn-manager csi/controller_server.go, CreateVolume).
func (r *longhornRestore) otherSource(volume filledVolume) string {
	spec := volume.Spec
	got := "it was made empty"
	switch {
	case spec.FromBackup != "" && spec.DataSource != "":
		return "is to have the data of a backup and of " + spec.DataSource + " at once: nothing says which of them it has"
	case spec.FromBackup != "":
		backup, of := backupNames(spec.FromBackup)
		got = "it was made from " + backup + " of volume " + of
	case spec.DataSource != "":
		got = "it was made from " + spec.DataSource
	case spec.BackingImage != "":
		got = "it was made from the backing image " + spec.BackingImage
	}
	switch want := r.generations; {
	case want.Backup != "":
		backup, of := backupNames(want.Backup)
		if madeFrom, ofThat := backupNames(spec.FromBackup); madeFrom != backup || ofThat != of {
			return fmt.Sprintf("was not made from %s of volume %s, which %s has: %s", backup, of, restoreKey, got)
		}
	case want.Snapshot != "" && spec.FromBackup == "" && spec.BackingImage == "" && !strings.HasPrefix(spec.DataSource, "snap://"):
		return fmt.Sprintf("was not made from the VolumeSnapshot %s: %s", want.Snapshot, got)
	}
	return ""
}

// madeEmpty reports whether the volume of a later generation was made for its claim from nothing, when the configuration does not say any more
// from what. One that was there before the claim, and was freed for it, is what somebody wanted. A provisioner names a volume by the claim that
// it makes it for (external-provisioner, controller.go, makeVolumeName).
func (r *longhornRestore) madeEmpty(ctx context.Context, volume filledVolume, name string) (bool, error) {
	spec, from := volume.Spec, r.generations
	if from.first() || from.Backup != "" || from.Snapshot != "" || spec.FromBackup != "" || spec.DataSource != "" || spec.BackingImage != "" {
		return false, nil
	}
	var object struct {
		Spec struct {
			ClaimRef struct {
				UID string `json:"uid"`
			} `json:"claimRef"`
		} `json:"spec"`
	}
	found, err := r.keeper.live.Get(ctx, "/api/v1/persistentvolumes/"+name, &object)
	if err != nil {
		return false, fmt.Errorf("look at PersistentVolume %s: %w", name, err)
	}
	return found && name == "pvc-"+object.Spec.ClaimRef.UID, nil
}

// backupNames are the names in a backup's URL, whatever its target and its options.
func backupNames(address string) (backup, volume string) {
	_, parameters, _ := strings.Cut(address, "?")
	query, err := url.ParseQuery(parameters)
	if err != nil {
		return "", ""
	}
	return query.Get("backup"), query.Get("volume")
}

// cloned reports whether a volume has all data of the one that it is made from; the second state waits for its other replicas
// (longhorn-manager, VolumeCloneState).
func cloned(state string) bool {
	return state == "completed" || state == "copy-completed-awaiting-healthy"
}

// replicaProgress is how far the filling of one replica is.
type replicaProgress struct {
	Progress int    `json:"progress"`
	Error    string `json:"error"`
}

// progress says how far a restore or a copy is, by its slowest replica; nothing when that is not known.
func (r *longhornRestore) progress(ctx context.Context, volume string) string {
	var engines struct {
		Items []struct {
			Spec struct {
				VolumeName string `json:"volumeName"`
			} `json:"spec"`
			Status struct {
				RestoreStatus map[string]replicaProgress `json:"restoreStatus"`
				CloneStatus   map[string]replicaProgress `json:"cloneStatus"`
			} `json:"status"`
		} `json:"items"`
	}
	if _, err := r.keeper.live.Get(ctx, longhornPath+"engines", &engines); err != nil {
		return ""
	}
	least, text := 0, ""
	for _, engine := range engines.Items {
		if engine.Spec.VolumeName != volume {
			continue
		}
		all := engine.Status.RestoreStatus
		if len(all) == 0 {
			all = engine.Status.CloneStatus
		}
		for address, replica := range all {
			switch {
			case replica.Error != "":
				return fmt.Sprintf("; the replica at %s says: %s", address, r.cfg.redact(replica.Error))
			case text == "" || replica.Progress < least:
				least = replica.Progress
				text = fmt.Sprintf(", %d %%", least)
			}
		}
	}
	return text
}
