package standin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"ha-iris/sandbox/internal/datapath/engine"
	"ha-iris/sandbox/internal/datapath/imclient"
)

// The copy itself: the original's engine has the sync agent of its replica fetch the snapshot from that of a replica of the source,
// past the source's engine (longhorn-engine pkg/sync/sync.go, CloneSnapshot).

// copyData takes the copy a step further, and judges it (volume_controller.go, "Aggregate clone statuses").
func (c *standIn) copyData(ctx context.Context, s *state, volume, engine *unstructured.Unstructured) {
	replica := s.replicas[volume.GetName()][0]
	source, err := c.cloneSource(ctx, s, volume, replica)
	percent := 0
	switch {
	case errors.Is(err, errNotYet):
		return
	case err == nil:
		percent, err = c.fillClone(ctx, s, volume, replica, source)
	case c.copied(ctx, s, replica): // before that happened
		percent, err = 100, nil
	}
	showClone(volume, engine, replica, source, percent, err)
	switch {
	case err != nil:
		c.failClone(volume, err)
	case percent >= 100:
		put(volume, cloneCopied, "status", "cloneStatus", "state")
		put(engine, "", "spec", "requestedDataSource")
		c.endClone(volume) // with one replica it is complete
	default:
		return
	}
	forgetCopy(replica)
}

// copied says whether a real node's instance manager has come to the end of the copy.
func (c *standIn) copied(ctx context.Context, s *state, replica *unstructured.Unstructured) bool {
	id, node := replica.GetAnnotations()[taskAnnotation], textAt(replica, "spec", "nodeID")
	if id == "" || !c.realNode(node) {
		return false
	}
	percent, err := c.taskProgress(ctx, s, node, id)
	return err == nil && percent >= 100
}

// forgetCopy removes what is noted on a replica of a copy that has ended.
func forgetCopy(replica *unstructured.Unstructured) {
	for _, name := range []string{sourceAnnotation, startedAnnotation, taskAnnotation} {
		removeAnnotation(replica, name)
	}
}

// errNotYet is for a source that nobody can say anything about yet.
var errNotYet = errors.New("the source does not serve yet")

// cloneSource is the source's replica that is read, or why the copy has failed. It stays the same one for the whole copy, and so does
// the place where the source is attached: with its engine all of its replicas end.
func (c *standIn) cloneSource(ctx context.Context, s *state, volume, replica *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	name, snapshot := textAt(volume, "status", "cloneStatus", "sourceVolume"), textAt(volume, "status", "cloneStatus", "snapshot")
	source := s.volume(name)
	if source == nil || source.GetDeletionTimestamp() != nil {
		return nil, fmt.Errorf("cannot find the source volume %s", name)
	}
	var found *unstructured.Unstructured
	if noted := replica.GetAnnotations()[sourceAnnotation]; noted != "" {
		found = c.stillRead(s, source, noted)
		if found == nil {
			return nil, fmt.Errorf("the source volume %s was detached", name)
		}
		if lost, err := c.lost(s, found); err == nil && lost {
			return nil, fmt.Errorf("replica %s of the source volume cannot be reached", found.GetName())
		}
	} else {
		if serves, err := c.serves(ctx, s, source); err != nil || !serves {
			return nil, errors.Join(errNotYet, err)
		}
		if found = c.firstReadable(ctx, s, source); found == nil {
			return nil, errors.New("cannot find a RW replica in the source volume for cloning")
		}
		annotate(replica, sourceAnnotation, textAt(source, "status", "currentNodeID")+"/"+found.GetName())
	}
	if process := s.engines[name]; process == nil || readChain(process).index(snapshot) < 0 {
		return nil, fmt.Errorf("cannot find snapshot %s in the source replica %s", snapshot, replicaAddress(found))
	}
	return found, nil
}

// stillRead finds the replica that was noted; nil if it has ended, also if it is rebuilt since, or if the engine beside it has.
func (c *standIn) stillRead(s *state, source *unstructured.Unstructured, noted string) *unstructured.Unstructured {
	node, name, _ := strings.Cut(noted, "/")
	if textAt(source, "status", "currentNodeID") != node {
		return nil
	}
	for _, replica := range s.replicas[source.GetName()] {
		if replica.GetName() == name && good(replica) && textAt(replica, "status", "currentState") == running {
			return replica
		}
	}
	return nil
}

// firstReadable is the first replica that the source's engine reads.
func (c *standIn) firstReadable(ctx context.Context, s *state, source *unstructured.Unstructured) *unstructured.Unstructured {
	name, node := source.GetName(), textAt(source, "status", "currentNodeID")
	reads := good
	if c.realNode(node) {
		process, err := c.runs(ctx, s, name, node)
		if err != nil || process == nil {
			return nil
		}
		reads = func(replica *unstructured.Unstructured) bool {
			return slices.ContainsFunc(process.Replicas, func(one engine.ReplicaStatus) bool {
				return one.Name == replica.GetName() && one.Mode == engine.ReadWrite
			})
		}
	}
	for _, replica := range s.replicas[name] {
		if reads(replica) {
			return replica
		}
	}
	return nil
}

// fillClone says how far the replica is with the copy, in percent, and starts it.
func (c *standIn) fillClone(ctx context.Context, s *state, volume, replica, source *unstructured.Unstructured) (int, error) {
	if !c.realNode(textAt(replica, "spec", "nodeID")) {
		return c.filledByNow(ctx, s, volume, replica)
	}
	if !c.realNode(textAt(source, "spec", "nodeID")) {
		return 0, fmt.Errorf("replica %s of the source volume is on a simulated node: it has no data", source.GetName())
	}
	address := net.JoinHostPort(textAt(source, "status", "ip"), strconv.FormatInt(numberAt(source, "status", "port"), 10))
	return c.fillReal(ctx, s, replica, func(manager *imclient.Client) (imclient.Task, error) {
		return manager.Clone(ctx, replica.GetName(), imclient.Clone{
			Snapshot: textAt(volume, "status", "cloneStatus", "snapshot"), Address: address, ReplicaTimeout: replicaTimeout(s),
		})
	})
}

// showClone writes what the engine says of it.
func showClone(volume, engine, replica, source *unstructured.Unstructured, percent int, err error) {
	putRunning(engine, volume)
	address := strings.TrimPrefix(replicaAddress(replica), "tcp://")
	addresses := map[string]any{replica.GetName(): address}
	put(engine, addresses, "spec", "replicaAddressMap")
	put(engine, addresses, "status", "currentReplicaAddressMap")
	put(engine, map[string]any{replica.GetName(): modeRW}, "status", "replicaModeMap")
	status := map[string]any{
		"isCloning": err == nil && percent < 100, "error": "", "progress": int64(percent), "state": "in_progress",
		"fromReplicaAddress": "", "snapshotName": textAt(volume, "status", "cloneStatus", "snapshot"),
	}
	if source != nil {
		status["fromReplicaAddress"] = replicaAddress(source)
	}
	switch {
	case err != nil:
		status["state"], status["error"] = "error", err.Error()
	case percent >= 100:
		status["state"] = "complete"
	}
	put(engine, map[string]any{replicaAddress(replica): status}, "status", "cloneStatus")
}
