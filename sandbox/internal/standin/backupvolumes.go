package standin

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"ha-iris/sandbox/internal/datapath/bucket"
)

// onlyObject is a label with which a backup or a backup volume is deleted here and stays in the bucket.
const onlyObject = "longhorn.io/delete-custom-resource-only"

// backupVolumeName is that of the object for a volume's backups (longhorn-manager types/types.go).
func backupVolumeName(volume, target string) string {
	return volume + "-" + checksum(volume+"-"+target, 8)
}

// backupURL is how Longhorn names a backup to restore.
func backupURL(address, volume, backup string) string {
	separator := "?"
	if strings.Contains(address, "?") {
		separator = "&"
	}
	return address + separator + url.Values{"backup": {backup}, "volume": {volume}}.Encode()
}

// belongs says whether a backup or a backup volume is of that volume in that target.
func belongs(object *unstructured.Unstructured, volume, target string) bool {
	labels := object.GetLabels()
	return labels[backupVolumeLabel] == volume && labels[targetLabel] == target
}

// backupsOf are the backups of a volume in a target.
func (s *state) backupsOf(volume, target string) []*unstructured.Unstructured {
	return slices.DeleteFunc(slices.Clone(s.others[backupKind]), func(object *unstructured.Unstructured) bool {
		return !belongs(object, volume, target)
	})
}

// syncBackupVolumes brings the objects in line with what the bucket has: also what another cluster has put there, or this one before
// Longhorn was installed anew (backup_target_controller.go, syncBackupVolume).
func (c *standIn) syncBackupVolumes(ctx context.Context, s *state, target *unstructured.Unstructured, store bucket.Bucket) error {
	there, err := store.Volumes()
	if err != nil {
		return err
	}
	for _, object := range slices.Clone(s.others[backupVolumeKind]) {
		if object.GetLabels()[targetLabel] != target.GetName() || object.GetDeletionTimestamp() != nil ||
			slices.Contains(there, object.GetLabels()[backupVolumeLabel]) {
			continue
		}
		if err := c.forgetBackupVolume(ctx, s, object); err != nil {
			return err
		}
	}
	var errs []error
	for _, volume := range there {
		errs = append(errs, c.syncBackupVolume(ctx, s, target, store, volume))
	}
	return errors.Join(errs...)
}

// syncBackupVolume does so for one volume (backup_volume_controller.go).
func (c *standIn) syncBackupVolume(ctx context.Context, s *state, target *unstructured.Unstructured, store bucket.Bucket, volume string) error {
	backups, err := store.List(volume)
	if err != nil {
		return err
	}
	name := backupVolumeName(volume, target.GetName())
	object := s.find(backupVolumeKind, name)
	if object == nil {
		object = newObject(s.namespace, backupVolumeKind, name)
		object.SetFinalizers([]string{longhornFinalizer})
		label(object, targetLabel, target.GetName())
		label(object, backupVolumeLabel, volume)
		object.Object["spec"] = map[string]any{"backupTargetName": target.GetName(), "volumeName": volume}
		if object, err = c.add(ctx, s, backupVolumeKind, object); err != nil {
			return err
		}
	}
	if object.GetDeletionTimestamp() != nil {
		return nil
	}
	before := object.DeepCopy()
	put(object, "", "status", "lastBackupName")
	put(object, "", "status", "lastBackupAt")
	if len(backups) > 0 {
		last := backups[len(backups)-1]
		put(object, last.Name, "status", "lastBackupName")
		put(object, last.Created.UTC().Format(longhornTime), "status", "lastBackupAt")
		put(object, strconv.FormatInt(last.Size, 10), "status", "size")
		if textAt(object, "status", "createdAt") == "" {
			put(object, backups[0].Created.UTC().Format(longhornTime), "status", "createdAt")
		}
	}
	put(object, strconv.FormatInt(bucket.Stored(backups), 10), "status", "dataStored")
	put(object, c.now(), "status", "lastSyncedAt")
	return errors.Join(c.longhorn.save(ctx, backupVolumeKind, before, object), c.pullBackups(ctx, s, target, volume, backups))
}

// pullBackups makes objects for backups that the bucket has, and removes those of backups that it has not any more.
func (c *standIn) pullBackups(
	ctx context.Context, s *state, target *unstructured.Unstructured, volume string, backups []bucket.Backup,
) error {
	var errs []error
	for _, backup := range backups {
		if s.find(backupKind, backup.Name) != nil {
			continue
		}
		object := newObject(s.namespace, backupKind, backup.Name)
		object.SetFinalizers([]string{longhornFinalizer})
		label(object, targetLabel, target.GetName())
		label(object, backupVolumeLabel, volume)
		object.Object["spec"] = map[string]any{"snapshotName": "", "labels": map[string]any{}}
		c.describeBackup(s, object, target, backup)
		_, err := c.add(ctx, s, backupKind, object)
		errs = append(errs, err)
	}
	for _, object := range s.backupsOf(volume, target.GetName()) {
		gone := !slices.ContainsFunc(backups, func(backup bucket.Backup) bool { return backup.Name == object.GetName() })
		if gone && object.GetDeletionTimestamp() == nil && textAt(object, "status", "state") == backupCompleted {
			errs = append(errs, c.drop(ctx, s, backupKind, object))
		}
	}
	return errors.Join(errs...)
}

// describeBackup writes what the bucket says of a backup.
func (c *standIn) describeBackup(s *state, object, target *unstructured.Unstructured, backup bucket.Backup) {
	labels := map[string]any{}
	for name, value := range backup.Labels {
		labels[name] = value
	}
	number := func(value int64) string { return strconv.FormatInt(value, 10) }
	for field, value := range map[string]any{
		"state": backupCompleted, "progress": int64(100), "error": "", "backupTargetName": target.GetName(),
		"url":          backupURL(textAt(target, "spec", "backupTargetURL"), backup.Volume, backup.Name),
		"snapshotName": backup.Snapshot, "snapshotCreatedAt": backup.SnapshotCreated.UTC().Format(longhornTime),
		"backupCreatedAt": backup.Created.UTC().Format(longhornTime), "size": number(backup.Content), "labels": labels,
		"messages": map[string]any{}, "volumeName": backup.Volume, "volumeSize": number(backup.Size),
		"compressionMethod": s.setting("backup-compression-method"), "newlyUploadDataSize": number(backup.Uploaded),
		"reUploadedDataSize": number(backup.Again), "lastSyncedAt": c.now(),
	} {
		put(object, value, "status", field)
	}
}

// forgetBackups removes the objects of what is in a target, which the bucket keeps.
func (c *standIn) forgetBackups(ctx context.Context, s *state, target string) error {
	for _, object := range slices.Clone(s.others[backupVolumeKind]) {
		if object.GetLabels()[targetLabel] != target {
			continue
		}
		if err := c.forgetBackupVolume(ctx, s, object); err != nil {
			return err
		}
	}
	return nil
}

func (c *standIn) forgetBackupVolume(ctx context.Context, s *state, object *unstructured.Unstructured) error {
	labels := object.GetLabels()
	for _, backup := range s.backupsOf(labels[backupVolumeLabel], labels[targetLabel]) {
		if err := c.drop(ctx, s, backupKind, backup); err != nil {
			return err
		}
	}
	return c.drop(ctx, s, backupVolumeKind, object)
}

// syncBackupVolumeObjects removes what somebody deleted, with what the bucket has of it, and looks at what somebody asks for.
func (c *standIn) syncBackupVolumeObjects(ctx context.Context, s *state) error {
	var errs []error
	for _, object := range slices.Clone(s.others[backupVolumeKind]) {
		labels := object.GetLabels()
		target, store, err := c.targetOf(s, labels[targetLabel])
		_, kept := labels[onlyObject]
		deleted := object.GetDeletionTimestamp() != nil
		switch {
		case deleted && (kept || target == nil):
			errs = append(errs, c.forgetBackupVolume(ctx, s, object))
		case err != nil: // the target's own condition says why
		case deleted:
			if err := store.DeleteVolume(labels[backupVolumeLabel]); err != nil {
				c.log.Warn("failed to delete remote backup volume", "volume", object.GetName(), "error", err)
				continue
			}
			errs = append(errs, c.forgetBackupVolume(ctx, s, object))
		case later(textAt(object, "spec", "syncRequestedAt"), textAt(object, "status", "lastSyncedAt")):
			errs = append(errs, c.syncBackupVolume(ctx, s, target, store, labels[backupVolumeLabel]))
		}
	}
	return errors.Join(errs...)
}

// later says whether the first time is after the second one.
func later(first, second string) bool {
	asked, err := time.Parse(longhornTime, first)
	if err != nil {
		return false
	}
	done, err := time.Parse(longhornTime, second)
	return err != nil || asked.After(done)
}

// noteLastBackups writes to the volumes which backup is their last one.
func (c *standIn) noteLastBackups(ctx context.Context, s *state) error {
	var errs []error
	for _, volume := range s.volumes {
		if volume.GetDeletionTimestamp() != nil {
			continue
		}
		before := volume.DeepCopy()
		name, at := "", ""
		if object := s.find(backupVolumeKind, backupVolumeName(volume.GetName(), targetName(volume))); object != nil {
			name, at = textAt(object, "status", "lastBackupName"), textAt(object, "status", "lastBackupAt")
		}
		put(volume, name, "status", "lastBackup")
		put(volume, at, "status", "lastBackupAt")
		errs = append(errs, c.longhorn.save(ctx, longhornVolumes, before, volume))
	}
	return errors.Join(errs...)
}
