package standin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"ha-iris/sandbox/internal/datapath/bucket"
	"ha-iris/sandbox/internal/datapath/imclient"
)

// The states of a backup, in Longhorn's words. A new one has none.
const (
	backupPending    = "Pending"
	backupInProgress = "InProgress"
	backupCompleted  = "Completed"
	backupError      = "Error"
	backupDeleting   = "Deleting"
)

const (
	// accessModeLabel of a backup is the access mode of its volume.
	accessModeLabel = "longhorn.io/volume-access-mode"
	// jobLabel of a snapshot or a backup is the recurring job that made it (longhorn-manager types/types.go).
	jobLabel = "RecurringJob"
	// backupTime is how long a backup, a restore or a clone of a volume without data takes unless an annotation says otherwise.
	backupTime = 5 * time.Second
	// backupPatience is how long a snapshot is waited for: five looks (backup_controller.go, maxCreationRetry), one per resync.
	backupPatience = 4 * podResync
)

// syncBackups takes each backup a step further, removes deleted ones, and notes on the volumes which one is the last.
func (c *standIn) syncBackups(ctx context.Context, s *state) error {
	if err := c.syncTargets(ctx, s); err != nil {
		return err
	}
	var errs []error
	for _, object := range slices.Clone(s.others[backupKind]) {
		errs = append(errs, c.syncBackup(ctx, s, object))
	}
	return errors.Join(errors.Join(errs...), c.syncBackupVolumeObjects(ctx, s), c.noteLastBackups(ctx, s))
}

func (c *standIn) syncBackup(ctx context.Context, s *state, object *unstructured.Unstructured) error {
	before := object.DeepCopy()
	if object.GetDeletionTimestamp() != nil {
		return c.removeBackup(ctx, s, before, object)
	}
	if textAt(object, "status", "state") == backupError {
		return c.expireBackup(ctx, s, object)
	}
	c.claimBackup(s, object)
	if pendingBackup(object) {
		c.takeBackup(ctx, s, object)
	} else if later(textAt(object, "spec", "syncRequestedAt"), textAt(object, "status", "lastSyncedAt")) {
		c.inspectBackup(s, object)
	}
	if err := c.longhorn.save(ctx, backupKind, before, object); err != nil {
		return err
	}
	if textAt(object, "status", "state") != backupCompleted || textAt(before, "status", "state") == backupCompleted {
		return nil
	}
	return c.afterBackup(ctx, s, object)
}

// claimBackup is what the original's webhook does to a backup's object (webhook/resources/backup/mutator.go).
func (c *standIn) claimBackup(s *state, object *unstructured.Unstructured) {
	object.SetFinalizers([]string{longhornFinalizer})
	if object.GetLabels()[backupVolumeLabel] == "" {
		if snapshot := s.find(snapshotKind, textAt(object, "spec", "snapshotName")); snapshot != nil {
			label(object, backupVolumeLabel, textAt(snapshot, "spec", "volume"))
		}
	}
	volume := s.volume(object.GetLabels()[backupVolumeLabel])
	if object.GetLabels()[targetLabel] == "" && volume != nil {
		label(object, targetLabel, targetName(volume))
	}
	if textAt(object, "spec", "snapshotName") == "" {
		return
	}
	if textAt(object, "spec", "backupMode") == "" {
		put(object, "incremental", "spec", "backupMode")
	}
	if volume != nil && textAt(object, "spec", "labels", accessModeLabel) == "" {
		mode := textAt(volume, "spec", "accessMode")
		if mode == "" {
			mode = "rwo"
		}
		put(object, mode, "spec", "labels", accessModeLabel)
	}
}

// pendingBackup says whether the backup is still to be made from a snapshot. One without a snapshot's name came from the bucket.
func pendingBackup(object *unstructured.Unstructured) bool {
	state := textAt(object, "status", "state")
	return object.GetDeletionTimestamp() == nil && textAt(object, "spec", "snapshotName") != "" &&
		(state == "" || state == backupPending || state == backupInProgress)
}

// takeBackup takes the backup a step further (backup_controller.go, reconcile).
func (c *standIn) takeBackup(ctx context.Context, s *state, object *unstructured.Unstructured) {
	target, store, err := c.targetOf(s, object.GetLabels()[targetLabel])
	if err != nil {
		c.failBackup(object, err.Error())
		return
	}
	name := object.GetLabels()[backupVolumeLabel]
	volume := s.volume(name)
	if volume == nil {
		c.failBackup(object, fmt.Sprintf("cannot find the corresponding volume: volume %q not found", name))
		return
	}
	put(object, textAt(volume, "spec", "size"), "status", "volumeSize")
	serves, err := c.serves(ctx, s, volume)
	if err != nil {
		c.log.Warn("backup waits", "backup", object.GetName(), "error", err)
		return
	}
	if textAt(object, "status", "state") == backupInProgress {
		c.followBackup(ctx, s, object, volume, target, store, serves)
		return
	}
	if !serves {
		return // Longhorn attaches the volume, if it can
	}
	if reason := c.backupObstacle(s, object, name); reason != "" {
		c.delayBackup(object, reason)
		return
	}
	c.ticks.forget("backup/" + object.GetName())
	if err := c.beginBackup(ctx, s, object, volume, store); err != nil {
		c.failBackup(object, err.Error())
	}
}

// backupObstacle is what a backup waits for, in Longhorn's words.
func (c *standIn) backupObstacle(s *state, object *unstructured.Unstructured, volume string) string {
	name := textAt(object, "spec", "snapshotName")
	snapshot := s.find(snapshotKind, name)
	if snapshot == nil {
		return fmt.Sprintf("Failed to get the Snapshot %s", name)
	}
	if !truthAt(snapshot, "status", "readyToUse") {
		return fmt.Sprintf("Waiting for the snapshot %s to be ready", name)
	}
	for _, other := range s.backupsOf(volume, object.GetLabels()[targetLabel]) {
		if textAt(other, "status", "state") == backupDeleting {
			return fmt.Sprintf("Wait for backup %s to be deleted", other.GetName())
		}
	}
	return ""
}

func (c *standIn) delayBackup(object *unstructured.Unstructured, reason string) {
	tick := "backup/" + object.GetName()
	if c.ticks.elapsed(tick) >= backupPatience && !strings.HasPrefix(reason, "Wait for backup") {
		c.ticks.forget(tick)
		c.failBackup(object, strings.Replace(reason, "Waiting for", "Failed waiting for", 1))
		return
	}
	put(object, backupPending, "status", "state")
	put(object, map[string]any{"info": reason}, "status", "messages")
}

func (c *standIn) failBackup(object *unstructured.Unstructured, reason string) {
	put(object, backupError, "status", "state")
	put(object, reason, "status", "error")
	put(object, c.now(), "status", "lastSyncedAt")
}

// beginBackup has a replica store the snapshot. On simulated nodes it only takes its time.
func (c *standIn) beginBackup(ctx context.Context, s *state, object, volume *unstructured.Unstructured, store bucket.Bucket) error {
	snapshot := s.find(snapshotKind, textAt(object, "spec", "snapshotName"))
	node := textAt(volume, "status", "currentNodeID")
	replica := c.backupReplica(ctx, s, volume, node)
	if replica == nil {
		return fmt.Errorf("no replica of volume %s has snapshot %s", volume.GetName(), snapshot.GetName())
	}
	if c.realNode(node) {
		task, err := c.processes(s, textAt(replica, "spec", "nodeID")).Backup(ctx, replica.GetName(), imclient.Backup{
			Name: object.GetName(), Volume: volume.GetName(), Snapshot: snapshot.GetName(), Bucket: store.Dir,
			Labels: texts(mapAt(object, "spec", "labels")), Full: textAt(object, "spec", "backupMode") == "full",
		})
		if err != nil {
			return err
		}
		annotate(object, taskAnnotation, task.ID)
	}
	annotate(object, startedAnnotation, c.now())
	put(object, backupInProgress, "status", "state")
	put(object, int64(0), "status", "progress")
	put(object, map[string]any{}, "status", "messages")
	put(object, snapshot.GetName(), "status", "snapshotName")
	put(object, textAt(snapshot, "status", "creationTime"), "status", "snapshotCreatedAt")
	put(object, replicaAddress(replica), "status", "replicaAddress")
	return nil
}

func replicaAddress(replica *unstructured.Unstructured) string {
	return "tcp://" + net.JoinHostPort(textAt(replica, "status", "ip"), strconv.FormatInt(numberAt(replica, "status", "port"), 10))
}

// backupReplica chooses a good replica whose node answers.
func (c *standIn) backupReplica(ctx context.Context, s *state, volume *unstructured.Unstructured, node string) *unstructured.Unstructured {
	for _, replica := range s.replicas[volume.GetName()] {
		if !good(replica) {
			continue
		}
		if !c.realNode(node) {
			return replica
		}
		if _, err := c.look(ctx, s, textAt(replica, "spec", "nodeID")); err == nil {
			return replica
		}
	}
	return nil
}

// followBackup looks how far the replica is.
func (c *standIn) followBackup(
	ctx context.Context, s *state, object, volume, target *unstructured.Unstructured, store bucket.Bucket, serves bool,
) {
	name := object.GetName()
	progress, err := 0, error(nil)
	switch {
	case !serves:
		err = fmt.Errorf("cannot find backup %s status in longhorn engine", name)
	case c.realNode(textAt(volume, "status", "currentNodeID")):
		progress, err = c.realBackup(ctx, s, object, volume)
	default:
		progress, err = c.simulatedBackup(ctx, s, object, volume, store)
	}
	if err != nil {
		c.failBackup(object, err.Error())
		return
	}
	put(object, int64(progress), "status", "progress")
	if progress < 100 {
		return
	}
	backup, err := store.Get(volume.GetName(), name)
	if err != nil {
		c.failBackup(object, err.Error())
		return
	}
	c.describeBackup(s, object, target, backup)
}

// realBackup asks the replica's instance manager. A replica that has ended since takes the backup with it.
func (c *standIn) realBackup(ctx context.Context, s *state, object, volume *unstructured.Unstructured) (progress int, err error) {
	at := slices.IndexFunc(s.replicas[volume.GetName()], func(replica *unstructured.Unstructured) bool {
		return replicaAddress(replica) == textAt(object, "status", "replicaAddress")
	})
	if at < 0 {
		return 0, fmt.Errorf("cannot find backup %s status in longhorn engine", object.GetName())
	}
	return c.taskProgress(ctx, s, textAt(s.replicas[volume.GetName()][at], "spec", "nodeID"), object.GetAnnotations()[taskAnnotation])
}

// taskProgress is how far a node's instance manager is with a task, in percent.
func (c *standIn) taskProgress(ctx context.Context, s *state, node, id string) (int, error) {
	manager := c.processes(s, node)
	if manager == nil {
		return 0, fmt.Errorf("node %s: %w", node, errSilent)
	}
	task, err := manager.Task(ctx, id)
	switch {
	case err != nil:
		return 0, err
	case task.State == imclient.Failed:
		return 0, errors.New(task.Error)
	case task.State == imclient.Complete:
		return 100, nil
	}
	return min(task.Progress, 99), nil
}

// simulatedBackup lets time pass, and then stores a description of what there would be.
func (c *standIn) simulatedBackup(ctx context.Context, s *state, object, volume *unstructured.Unstructured, store bucket.Bucket) (int, error) {
	takes, err := c.takes(ctx, s, volume, backupAnnotation, backupTime)
	if err != nil {
		return 0, err
	}
	elapsed := c.since(object.GetAnnotations()[startedAnnotation])
	if elapsed < takes {
		return int(elapsed * 100 / takes), nil
	}
	links := readChain(s.engines[volume.GetName()])
	at := links.index(textAt(object, "spec", "snapshotName"))
	if at < 0 {
		return 0, fmt.Errorf("snapshot %s is gone", textAt(object, "spec", "snapshotName"))
	}
	backup := bucket.Backup{
		Name: object.GetName(), Volume: volume.GetName(), Snapshot: links[at].name, Size: bytesOf(volume), Created: c.clock.Now().UTC(),
		Labels: texts(mapAt(object, "spec", "labels")), Full: textAt(object, "spec", "backupMode") == "full",
	}
	for _, one := range links[:at+1] {
		backup.Content += one.size
	}
	backup.SnapshotCreated, _ = time.Parse(longhornTime, links[at].created) // written by this program
	earlier, err := store.List(volume.GetName())
	if err != nil {
		return 0, err
	}
	backup.Uploaded = backup.Content
	if len(earlier) > 0 {
		backup.Uploaded = max(backup.Content-earlier[len(earlier)-1].Content, 0)
		if backup.Full {
			backup.Again = backup.Content - backup.Uploaded
		}
	}
	return 100, store.Record(backup)
}

// texts are the fields that are texts.
func texts(fields map[string]any) map[string]string {
	found := map[string]string{}
	for name, value := range fields {
		if text, ok := value.(string); ok {
			found[name] = text
		}
	}
	return found
}

// inspectBackup reads the backup from the bucket again.
func (c *standIn) inspectBackup(s *state, object *unstructured.Unstructured) {
	target, store, err := c.targetOf(s, object.GetLabels()[targetLabel])
	if err != nil {
		return
	}
	if backup, err := store.Get(object.GetLabels()[backupVolumeLabel], object.GetName()); err == nil {
		c.describeBackup(s, object, target, backup)
	}
}

// afterBackup shows the backup in its backup volume, and removes its snapshot if the user wants that.
func (c *standIn) afterBackup(ctx context.Context, s *state, object *unstructured.Unstructured) error {
	target, store, err := c.targetOf(s, object.GetLabels()[targetLabel])
	if err != nil {
		c.log.Warn("backup volume is not updated", "backup", object.GetName(), "error", err)
		return nil
	}
	if err := c.syncBackupVolume(ctx, s, target, store, object.GetLabels()[backupVolumeLabel]); err != nil {
		return err
	}
	snapshot := s.find(snapshotKind, textAt(object, "spec", "snapshotName"))
	_, recurring := mapAt(object, "spec", "labels")[jobLabel]
	if snapshot == nil || recurring || !s.truth("auto-cleanup-snapshot-after-on-demand-backup-completed") {
		return nil
	}
	return c.longhorn.delete(ctx, snapshotKind, snapshot)
}

// expireBackup removes a failed backup after its time (failed-backup-ttl, in minutes; 0 keeps it).
func (c *standIn) expireBackup(ctx context.Context, s *state, object *unstructured.Unstructured) error {
	const minute = time.Minute / time.Second
	kept := s.seconds("failed-backup-ttl") * minute
	if kept <= 0 || c.since(textAt(object, "status", "lastSyncedAt")) <= kept {
		return nil
	}
	return c.drop(ctx, s, backupKind, object)
}

// removeBackup removes a deleted backup from the bucket too. What is being restored or written has to end first.
func (c *standIn) removeBackup(ctx context.Context, s *state, before, object *unstructured.Unstructured) error {
	labels := object.GetLabels()
	target, store, err := c.targetOf(s, labels[targetLabel])
	_, kept := labels[onlyObject]
	if kept || target == nil || textAt(target, "spec", "backupTargetURL") == "" {
		return c.drop(ctx, s, backupKind, object)
	}
	if err == nil && restoring(s, labels[backupVolumeLabel]) {
		err = fmt.Errorf("backup %s cannot be deleted due to an ongoing volume restoration", object.GetName())
	}
	if err == nil {
		err = store.Delete(labels[backupVolumeLabel], object.GetName())
	}
	if err != nil {
		put(object, backupDeleting, "status", "state")
		put(object, map[string]any{"error": err.Error()}, "status", "messages")
		return c.longhorn.save(ctx, backupKind, before, object)
	}
	if snapshot := s.find(snapshotKind, textAt(object, "spec", "snapshotName")); snapshot != nil && s.truth("auto-cleanup-snapshot-when-delete-backup") {
		if err := c.longhorn.delete(ctx, snapshotKind, snapshot); err != nil {
			return err
		}
	}
	if err := c.drop(ctx, s, backupKind, object); err != nil {
		return err
	}
	if s.find(backupVolumeKind, backupVolumeName(labels[backupVolumeLabel], labels[targetLabel])) == nil {
		return nil
	}
	return c.syncBackupVolume(ctx, s, target, store, labels[backupVolumeLabel])
}

// restoring says whether a volume is being filled from a backup of that volume.
func restoring(s *state, backupVolume string) bool {
	return slices.ContainsFunc(s.volumes, func(volume *unstructured.Unstructured) bool {
		return truthAt(volume, "status", "restoreRequired") && volume.GetLabels()[backupVolumeLabel] == backupVolume
	})
}
