package standin

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"ha-iris/sandbox/internal/datapath/bucket"
	"ha-iris/sandbox/internal/datapath/imclient"
)

// A volume is restored before anybody can use it: Longhorn attaches it, each replica fills itself from the bucket, and then the
// volume is detached (longhorn-manager volume_restore_controller.go, volume_controller.go checkAndInitVolumeRestore and
// checkAndFinishVolumeRestore). On real nodes the engine itself does not start for that: the replicas must not be open.

// decodeBackupURL returns what a backup's URL names; empty texts if it is none.
func decodeBackupURL(address string) (volume, backup string) {
	parsed, err := url.Parse(address)
	if err != nil {
		return "", ""
	}
	return parsed.Query().Get("volume"), parsed.Query().Get("backup")
}

// fromBackup makes a new volume one like the volume of the backup that it is to be filled from. That overrides the size that was
// asked for, while the PersistentVolume has that one (backup.md, "Size trap"; webhook/resources/volume/mutator.go).
func fromBackup(volume, backup *unstructured.Unstructured) {
	put(volume, textAt(backup, "status", "volumeSize"), "spec", "size")
	put(volume, textAt(backup, "status", "backupTargetName"), "spec", "backupTargetName")
	label(volume, backupVolumeLabel, textAt(backup, "status", "volumeName"))
	label(volume, targetLabel, textAt(backup, "status", "backupTargetName"))
}

// prepareRestore does so for a volume that the provisioner creates.
func (c *standIn) prepareRestore(ctx context.Context, volume *unstructured.Unstructured) error {
	address := textAt(volume, "spec", "fromBackup")
	if address == "" {
		return nil
	}
	_, name := decodeBackupURL(address)
	if name == "" {
		return fmt.Errorf("rpc error: code = Internal desc = cannot get backup and volume name from backup URL %s", address)
	}
	backup, err := c.longhorn.get(ctx, volume.GetNamespace(), backupKind, name)
	if err != nil {
		return err
	}
	if backup == nil || textAt(backup, "status", "state") != backupCompleted {
		return fmt.Errorf("rpc error: code = Internal desc = cannot get backup %s", name)
	}
	fromBackup(volume, backup)
	return nil
}

// beginRestore notes once that the volume has to be filled. It reports false for a volume whose backup does not exist: the
// original's webhook refuses such a one.
func (c *standIn) beginRestore(s *state, volume *unstructured.Unstructured) bool {
	address := textAt(volume, "spec", "fromBackup")
	if address == "" || truthAt(volume, "status", "restoreInitiated") {
		return true
	}
	_, name := decodeBackupURL(address)
	backup := s.find(backupKind, name)
	if backup == nil || textAt(backup, "status", "state") != backupCompleted {
		c.restoreCondition(volume, false, restoreFailure, fmt.Sprintf("cannot get backup %s", name))
		return false
	}
	if len(s.replicas[volume.GetName()]) == 0 {
		fromBackup(volume, backup)
	}
	put(volume, true, "status", "restoreRequired")
	put(volume, true, "status", "restoreInitiated")
	return true
}

// Longhorn's words for how a restore is.
const (
	restoreInProgress = "RestoreInProgress"
	restoreFailure    = "RestoreFailure"
)

func (c *standIn) restoreCondition(volume *unstructured.Unstructured, holds bool, reason, message string) {
	put(volume, withCondition(conditionsOf(volume), c.now(), "Restore", conditionStatus(holds), reason, message), "status", "conditions")
}

// restore takes the filling of a volume a step further.
func (c *standIn) restore(ctx context.Context, s *state, volume, engine *unstructured.Unstructured) error {
	name := volume.GetName()
	replicas, before := copies(s.replicas[name]), engine.DeepCopy()
	placed, err := c.placeRestore(s, volume)
	if err != nil || !placed {
		return err
	}
	_, backup := decodeBackupURL(textAt(volume, "spec", "fromBackup"))
	_, store, err := c.targetOf(s, targetName(volume))
	if err != nil {
		c.log.Warn("restore waits", "volume", name, "error", err)
		return nil
	}
	progress := map[string]any{}
	for _, replica := range s.replicas[name] {
		if failed(replica) && !s.truth("allow-volume-creation-with-degraded-availability") && c.launchable(s, replica) {
			put(replica, "", "spec", "failedAt") // the volume has to have all of its replicas
		}
		if failed(replica) || good(replica) {
			continue
		}
		percent, err := c.fillReplica(ctx, s, volume, replica, store)
		progress[replicaAddress(replica)] = restoreProgress(textAt(volume, "spec", "fromBackup"), backup, percent, err)
		switch {
		case err != nil:
			c.log.Warn("replica failed the restore", "replica", replica.GetName(), "error", err)
			removeAnnotation(replica, taskAnnotation)
			c.fail(replica)
		case percent >= 100:
			removeAnnotation(replica, taskAnnotation)
			c.complete(replica)
		}
	}
	c.showRestore(volume, engine, backup, progress)
	if err := errors.Join(c.saveReplicas(ctx, s, name, replicas), c.longhorn.save(ctx, engineKind, before, engine)); err != nil {
		return err
	}
	return c.endRestore(ctx, s, volume, engine, backup)
}

func restoreProgress(address, backup string, percent int, err error) map[string]any {
	status := map[string]any{
		"isRestoring": err == nil && percent < 100, "progress": int64(percent), "state": "in_progress", "error": "",
		"currentRestoringBackup": backup, "lastRestored": "", "backupURL": address,
	}
	switch {
	case err != nil:
		status["state"], status["error"] = "error", err.Error()
	case percent >= 100:
		status["state"], status["lastRestored"], status["currentRestoringBackup"] = "complete", backup, ""
	}
	return status
}

// placeRestore attaches the volume where one of its replicas is. It reports false while there is none that can be filled, or while not
// all have a place, unless fewer are admitted: such a volume is not scheduled, and is not attached (longhorn-manager volume_controller.go).
func (c *standIn) placeRestore(s *state, volume *unstructured.Unstructured) (bool, error) {
	if int64(len(s.replicas[volume.GetName()])) < numberAt(volume, "spec", "numberOfReplicas") &&
		!s.truth("allow-volume-creation-with-degraded-availability") {
		return false, nil
	}
	node := textAt(volume, "status", "currentNodeID")
	if node != "" {
		reachable, err := c.reachable(node)
		if err != nil || reachable {
			return reachable, err
		}
		putDetached(volume) // its engine is gone; what the replicas have stays
	}
	for _, replica := range s.replicas[volume.GetName()] {
		if failed(replica) || !c.launchable(s, replica) {
			continue
		}
		put(volume, textAt(replica, "spec", "nodeID"), "status", "currentNodeID")
		put(volume, attached, "status", "state")
		put(volume, healthy, "status", "robustness")
		annotate(volume, movingAnnotation, "true")
		c.restoreCondition(volume, true, restoreInProgress, "")
		return true, nil
	}
	return false, nil
}

// fillReplica says how far a replica is with filling itself, in percent, and starts it.
func (c *standIn) fillReplica(ctx context.Context, s *state, volume, replica *unstructured.Unstructured, store bucket.Bucket) (int, error) {
	if lost, err := c.lost(s, replica); err != nil || lost {
		return 0, errors.Join(err, fmt.Errorf("replica %s cannot be reached", replica.GetName()))
	}
	c.start(s, replica)
	source, backup := decodeBackupURL(textAt(volume, "spec", "fromBackup"))
	if c.realNode(textAt(replica, "spec", "nodeID")) {
		return c.fillReal(ctx, s, replica, func(manager *imclient.Client) (imclient.Task, error) {
			return manager.Restore(ctx, replica.GetName(), imclient.Restore{Name: backup, Volume: source, Bucket: store.Dir})
		})
	}
	if _, err := store.Get(source, backup); err != nil {
		return 0, err
	}
	return c.filledByNow(ctx, s, volume, replica)
}

// filledByNow is how far a replica without data is after the time that it has had, in percent.
func (c *standIn) filledByNow(ctx context.Context, s *state, volume, replica *unstructured.Unstructured) (int, error) {
	takes, err := c.takes(ctx, s, volume, backupAnnotation, backupTime)
	if err != nil {
		return 0, err
	}
	started := replica.GetAnnotations()[startedAnnotation]
	if started == "" {
		annotate(replica, startedAnnotation, c.now())
		return 0, nil
	}
	return int(min(c.since(started), takes) * 100 / takes), nil
}

// fillReal has a replica's process on a real node fill its files, as it is asked. One whose node does not answer is waited for.
func (c *standIn) fillReal(
	ctx context.Context, s *state, replica *unstructured.Unstructured, ask func(*imclient.Client) (imclient.Task, error),
) (int, error) {
	node := textAt(replica, "spec", "nodeID")
	if _, err := c.look(ctx, s, node); err != nil {
		return 0, nil //nolint:nilerr // of a silent node nobody knows anything
	}
	if id := replica.GetAnnotations()[taskAnnotation]; id != "" {
		return c.taskProgress(ctx, s, node, id)
	}
	if _, err := c.startReplica(ctx, s, replica); err != nil {
		return 0, err
	}
	task, err := ask(c.processes(s, node))
	if err != nil {
		return 0, err
	}
	annotate(replica, taskAnnotation, task.ID)
	return 0, nil
}

// showRestore writes what the engine says of it.
func (c *standIn) showRestore(volume, engine *unstructured.Unstructured, backup string, progress map[string]any) {
	putRunning(engine, volume)
	put(engine, backup, "spec", "requestedBackupRestore")
	for address, status := range progress {
		put(engine, status, "status", "restoreStatus", address)
	}
}

// endRestore detaches the volume once its replicas are filled, or have all failed. The latter is final: nothing tries again.
func (c *standIn) endRestore(ctx context.Context, s *state, volume, engine *unstructured.Unstructured, backup string) error {
	replicas := s.replicas[volume.GetName()]
	filled := count(replicas, good)
	if count(replicas, fresh) > 0 ||
		filled > 0 && int64(filled) < numberAt(volume, "spec", "numberOfReplicas") && !s.truth("allow-volume-creation-with-degraded-availability") {
		return nil
	}
	before := engine.DeepCopy()
	if filled == 0 {
		put(volume, faulted, "status", "robustness")
		c.restoreCondition(volume, false, restoreFailure, "All replica restore failed and the volume became Faulted")
	} else {
		put(volume, unknown, "status", "robustness")
		put(volume, false, "status", "restoreRequired")
		put(engine, backup, "status", "lastRestoredBackup")
		c.restoreCondition(volume, false, "", "")
	}
	put(engine, "", "spec", "requestedBackupRestore")
	if err := c.longhorn.save(ctx, engineKind, before, engine); err != nil {
		return err
	}
	putDetached(volume)
	return errors.Join(c.stopProcesses(ctx, s, volume, engine), c.stopEngine(ctx, engine))
}
