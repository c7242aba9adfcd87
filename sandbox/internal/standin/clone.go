package standin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// A volume with spec.dataSource gets another one's data before anybody can use it (longhorn-manager volume_controller.go and
// volume_clone_controller.go). Longhorn attaches both, the source for as long as the copy takes, and copies a snapshot into the only
// replica that the volume has until then. Its other replicas are rebuilt when it is used. On real nodes its engine does not start for
// the copy, as for a restore: the replica must not be open.

// Longhorn's words for how far a clone is. A new one has none.
const (
	cloneInitiated = "initiated"
	cloneCopied    = "copy-completed-awaiting-healthy"
	cloneCompleted = "completed"
	cloneFailed    = "failed"
)

const (
	snapshotSource = "snap://"
	volumeSource   = "vol://"
	// cloneSourceLabel of a volume is the one that it is cloned from, and cloneSnapshotLabel of a snapshot is the volume that it was
	// taken for (longhorn-manager types/types.go).
	cloneSourceLabel   = "longhorn.io/clone-source-volume"
	cloneSnapshotLabel = "longhorn.io/for-cloning-volume"
	// cloneRetry is the shortest time between two attempts, and doubles with each; maxClones is how many there are
	// (volume_controller.go, initialCloneRetryInterval and maxCloneRetry).
	cloneRetry = 30 * time.Second
	maxClones  = 10
)

// decodeDataSource returns what a data source names; no volume if it is none (types/data_source.go). Without a snapshot, one is taken.
func decodeDataSource(address string) (volume, snapshot string) {
	if name, is := strings.CutPrefix(address, volumeSource); is && !strings.Contains(name, "://") {
		return name, ""
	}
	names, is := strings.CutPrefix(address, snapshotSource)
	parts := strings.Split(names, "/")
	if !is || len(parts) != 2 || parts[0] == "" || parts[1] == "" {
		return "", ""
	}
	return parts[0], parts[1]
}

func cloneState(volume *unstructured.Unstructured) string {
	return textAt(volume, "status", "cloneStatus", "state")
}

// lacksData says whether the volume is to have another one's data and does not have all of them (controller/utils.go,
// isCloneTargetNotCompletedAndNotCopyCompleted).
func lacksData(volume *unstructured.Unstructured) bool {
	state := cloneState(volume)
	return textAt(volume, "spec", "dataSource") != "" && state != cloneCopied && state != cloneCompleted
}

// copying says whether Longhorn itself wants the volume attached to fill it, and its source too (the same file,
// isCloneTargetCopyInProgress and isCloneTargetActive). After a failure it wants neither.
func copying(volume *unstructured.Unstructured) bool {
	source, _ := decodeDataSource(textAt(volume, "spec", "dataSource"))
	return source != "" && (cloneState(volume) == "" || cloneState(volume) == cloneInitiated)
}

// readByClone says whether the volume is the source of a clone in progress.
func readByClone(s *state, volume *unstructured.Unstructured) bool {
	return slices.ContainsFunc(s.volumes, func(other *unstructured.Unstructured) bool {
		source, _ := decodeDataSource(textAt(other, "spec", "dataSource"))
		return source == volume.GetName() && copying(other)
	})
}

// markClone is what the original's webhook does to a volume with a data source (webhook/resources/volume/mutator.go).
func markClone(volume *unstructured.Unstructured) {
	source, _ := decodeDataSource(textAt(volume, "spec", "dataSource"))
	if source == "" {
		return
	}
	if textAt(volume, "spec", "cloneMode") == "" {
		put(volume, "full-copy", "spec", "cloneMode")
	}
	label(volume, cloneSourceLabel, source)
}

// prepareClone looks at the data source of a volume that the provisioner creates (manager/volume.go,
// verifyDataSourceForVolumeCreation). The driver does not ask for one that is there already. The HTTP API makes a 404 of what does not
// exist and a 500 of the rest, and the driver an Internal of both.
func (c *standIn) prepareClone(ctx context.Context, volume *unstructured.Unstructured) error {
	address, namespace, name := textAt(volume, "spec", "dataSource"), volume.GetNamespace(), volume.GetName()
	if address == "" {
		return nil
	}
	existing, err := c.longhorn.get(ctx, namespace, longhornVolumes, name)
	if err != nil || existing != nil {
		return err
	}
	refuse := func(code int, status, reason string) error {
		return fmt.Errorf("rpc error: code = Internal desc = Bad response statusCode [%[1]d]. Status [%[1]d %[2]s]. Body: [code=%[2]s, "+
			"detail=, message=failed to create volume: unable to create volume %[3]s: failed to verify data source: %[4]s] "+
			"from [http://longhorn-backend:9500/v1/volumes]", code, status, name, reason)
	}
	missing := func(kind, name string) error {
		return refuse(404, "Not Found", fmt.Sprintf("%s.longhorn.io %q not found", kind, name))
	}
	invalid := func(format string, arguments ...any) error {
		return refuse(500, "Internal Server Error", fmt.Sprintf(format, arguments...))
	}
	sourceName, snapshotName := decodeDataSource(address)
	if sourceName == "" {
		return invalid("invalid value for data source: %s", address)
	}
	source, err := c.longhorn.get(ctx, namespace, longhornVolumes, sourceName)
	switch {
	case err != nil:
		return err
	case source == nil:
		return missing("volume", sourceName)
	case bytesOf(source) != bytesOf(volume):
		return invalid("size of target volume (%d bytes) is different than size of source volume (%d bytes)", bytesOf(volume), bytesOf(source))
	}
	if snapshotName != "" {
		snapshot, err := c.longhorn.get(ctx, namespace, snapshotKind, snapshotName)
		switch {
		case err != nil:
			return err
		case snapshot == nil:
			return missing("snapshot", snapshotName)
		case !truthAt(snapshot, "status", "readyToUse"):
			return invalid("snapshot %s is not ready to use", snapshotName)
		}
	}
	markClone(volume)
	return nil
}

// clone takes the filling of a volume from another one a step further.
func (c *standIn) clone(ctx context.Context, s *state, volume, engine *unstructured.Unstructured) error {
	name := volume.GetName()
	replicas, before := copies(s.replicas[name]), engine.DeepCopy()
	err := c.beginClone(ctx, s, volume, engine)
	if err == nil {
		err = c.placeClone(s, volume)
	}
	node := textAt(volume, "status", "currentNodeID")
	if err == nil && node != "" && cloneState(volume) == cloneInitiated && textAt(volume, "status", "robustness") != unknown {
		c.copyData(ctx, s, volume, engine)
	}
	if err := errors.Join(err, c.saveReplicas(ctx, s, name, replicas), c.longhorn.save(ctx, engineKind, before, engine)); err != nil {
		return err
	}
	if copying(volume) && textAt(volume, "status", "currentNodeID") != "" {
		return nil
	}
	putDetached(volume)
	return c.settleDetached(ctx, s, volume, engine)
}

// beginClone begins a clone, or one that has failed anew, as soon as the source is attached (volume_controller.go, shouldInitVolumeClone
// and checkAndInitVolumeClone). For the first attempt Longhorn attaches it; after a failure somebody else has to.
func (c *standIn) beginClone(ctx context.Context, s *state, volume, engine *unstructured.Unstructured) error {
	attempts, next := numberAt(volume, "status", "cloneStatus", "attemptCount"), textAt(volume, "status", "cloneStatus", "nextAllowedAttemptAt")
	again := cloneState(volume) == cloneFailed && attempts < maxClones && (next == "" || c.since(next) > 0)
	if cloneState(volume) != "" && !again {
		return nil
	}
	name, snapshot := decodeDataSource(textAt(volume, "spec", "dataSource"))
	source := s.volume(name)
	if source == nil { // which is no attempt
		c.failClone(volume, fmt.Errorf("cannot find the source volume %s", name))
		return nil
	}
	if textAt(source, "status", "state") != attached {
		return nil
	}
	if snapshot == "" {
		var err error
		if snapshot, err = c.snapshotForClone(ctx, s, volume, source); err != nil || snapshot == "" {
			return err
		}
	}
	put(volume, map[string]any{
		"sourceVolume": name, "snapshot": snapshot, "state": cloneInitiated, "attemptCount": attempts + 1,
		"nextAllowedAttemptAt": c.clock.Now().Add(cloneRetry << attempts).UTC().Format(longhornTime),
	}, "status", "cloneStatus")
	put(engine, snapshotSource+name+"/"+snapshot, "spec", "requestedDataSource")
	put(engine, map[string]any{}, "status", "cloneStatus")
	return nil
}

// failClone says it once.
func (c *standIn) failClone(volume *unstructured.Unstructured, reason error) {
	if cloneState(volume) != cloneFailed {
		c.log.Warn("clone has failed", "volume", volume.GetName(), "error", reason)
		put(volume, cloneFailed, "status", "cloneStatus", "state")
	}
}

// snapshotForClone takes the snapshot of the source that the volume gets; "" until it is there. Its name is the same each time, so
// that there is one only. It stays: nothing in the original removes it.
func (c *standIn) snapshotForClone(ctx context.Context, s *state, volume, source *unstructured.Unstructured) (string, error) {
	between := fmt.Sprint(source.GetName(), source.GetUID(), volume.GetName(), volume.GetUID())
	name := uuid.NewSHA1(uuid.NameSpaceOID, []byte(between)).String()
	object := s.find(snapshotKind, name)
	if object == nil {
		object = newObject(s.namespace, snapshotKind, name)
		object.Object["spec"] = map[string]any{
			"volume": source.GetName(), "createSnapshot": true, "labels": map[string]any{cloneSnapshotLabel: volume.GetName()},
		}
		_, err := c.add(ctx, s, snapshotKind, object)
		return "", err
	}
	if !truthAt(object, "status", "readyToUse") {
		return "", nil
	}
	return name, nil
}

// placeClone attaches the volume where its replica is, and notices what has become of both. In the original the volume's owner decides
// where, which is whichever manager saw it first. The empty replica counts as healthy from then on, as each that an engine has opened:
// that the data are missing is in cloneStatus only.
func (c *standIn) placeClone(s *state, volume *unstructured.Unstructured) error {
	replicas := s.replicas[volume.GetName()]
	if !copying(volume) || len(replicas) == 0 {
		return nil
	}
	replica, node := replicas[0], textAt(volume, "status", "currentNodeID")
	if node == "" {
		switch {
		case failed(replica): // Longhorn waits until it can be salvaged
		case c.launchable(s, replica):
			forgetCopy(replica) // the processes of an earlier attempt are gone
			c.start(s, replica)
			if fresh(replica) {
				c.complete(replica)
			}
			put(volume, textAt(replica, "spec", "nodeID"), "status", "currentNodeID")
			put(volume, attached, "status", "state")
			annotate(volume, movingAnnotation, "true")
			c.rate(volume, 1)
		case wasHealthy(replica): // noticed by the attempt to attach
			c.fail(replica)
		}
		return nil
	}
	down, err := c.down(node)
	if err != nil {
		return err
	}
	if down {
		put(volume, c.robustnessOnDeadNode(s, node), "status", "robustness")
		if textAt(volume, "status", "robustness") == faulted {
			putDetached(volume) // to begin anew
		}
		return nil
	}
	lost, err := c.lost(s, replica)
	if err != nil {
		return err
	}
	c.rate(volume, 1)
	if lost {
		c.fail(replica)
		putDetached(volume)
	}
	return nil
}

// endClone calls a clone completed once the volume has all of its replicas.
func (c *standIn) endClone(volume *unstructured.Unstructured) {
	if cloneState(volume) != cloneCopied || textAt(volume, "status", "robustness") != healthy {
		return
	}
	put(volume, cloneCompleted, "status", "cloneStatus", "state")
	put(volume, withCondition(conditionsOf(volume), c.now(), "Scheduled", conditionStatus(true), "", ""), "status", "conditions")
}
