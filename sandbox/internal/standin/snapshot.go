package standin

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"ha-iris/sandbox/internal/datapath/imclient"
)

// snapshotStep takes one snapshot a step further (longhorn-manager snapshot_controller.go, reconcile).
type snapshotStep struct {
	*standIn
	state          *state
	volume, object *unstructured.Unstructured
	serves         bool
}

// run returns the engine's snapshots after the step.
func (t snapshotStep) run(ctx context.Context, links chain) (chain, error) {
	before := t.object.DeepCopy()
	if t.object.GetDeletionTimestamp() == nil {
		claimSnapshot(t.object, t.volume)
		links = t.create(ctx, links)
	} else {
		var gone bool
		var err error
		if links, gone, err = t.remove(ctx, links); err != nil {
			return links, err
		}
		if gone {
			return links, t.drop(ctx, t.state, snapshotKind, t.object)
		}
	}
	t.report(links)
	return links, t.longhorn.save(ctx, snapshotKind, before, t.object)
}

// create has the engine take the snapshot. A failure is said in the object and tried again.
func (t snapshotStep) create(ctx context.Context, links chain) chain {
	name, engine := t.object.GetName(), engineName(t.volume.GetName())
	if !truthAt(t.object, "spec", "createSnapshot") || textAt(t.object, "status", "creationTime") != "" || links.index(name) >= 0 {
		return links
	}
	failed := func(message string) chain {
		put(t.object, message, "status", "error")
		return links
	}
	if !t.serves {
		return failed(fmt.Sprintf("failed to take snapshot because the volume engine %s is not running. "+
			"Waiting for the volume to be attached", engine))
	}
	if limit, err := strconv.Atoi(t.state.setting("snapshot-max-count")); err == nil && len(links) >= limit {
		return failed(fmt.Sprintf("snapshot count %d of volume %s has reached snapshot-max-count %d", len(links), t.volume.GetName(), limit))
	}
	if node := textAt(t.volume, "status", "currentNodeID"); t.realNode(node) {
		if err := t.ask(ctx, node); err != nil {
			return failed(err.Error())
		}
		put(t.object, t.now(), "status", "requestedTime")
		return links
	}
	put(t.object, t.now(), "status", "requestedTime")
	return append(links, link{
		name: name, created: t.now(), size: plausibleSize(bytesOf(t.volume), len(links)), user: true, labels: mapAt(t.object, "spec", "labels"),
	})
}

// ask asks a real node's engine for the snapshot, once until that has failed.
func (t snapshotStep) ask(ctx context.Context, node string) error {
	manager := t.processes(t.state, node)
	if manager == nil {
		return fmt.Errorf("node %s: %w", node, errSilent)
	}
	if id := t.object.GetAnnotations()[taskAnnotation]; id != "" {
		task, err := manager.Task(ctx, id)
		if err == nil && task.State != imclient.Failed {
			return nil // it is on its way, or will be listed in the next round
		}
		removeAnnotation(t.object, taskAnnotation)
		if err != nil {
			return err
		}
		return fmt.Errorf("snapshot %s: %s", t.object.GetName(), task.Error)
	}
	task, err := manager.Snapshot(ctx, engineName(t.volume.GetName()), t.object.GetName())
	if err == nil {
		annotate(t.object, taskAnnotation, task.ID)
	}
	return err
}

// plausibleSize is what a snapshot of a volume without data says it holds: a twentieth of the volume first, then a two-hundredth.
func plausibleSize(volume int64, earlier int) int64 {
	share := volume / 20
	if earlier > 0 {
		share = volume / 200
	}
	return max(share/blockSize, 1) * blockSize
}

// remove removes a snapshot whose object was deleted. The last one, on which volume-head builds, is only marked: it goes once
// there is a later one.
func (t snapshotStep) remove(ctx context.Context, links chain) (left chain, gone bool, err error) {
	at := links.index(t.object.GetName())
	if at < 0 {
		return links, true, nil // never taken, or purged by now
	}
	if !t.serves || t.state.truth("disable-snapshot-purge") {
		return links, false, nil
	}
	links = slices.Clone(links)
	links[at].removed = true
	if links.child(at) == volumeHead {
		return links, false, nil
	}
	if node := textAt(t.volume, "status", "currentNodeID"); t.realNode(node) {
		manager := t.processes(t.state, node)
		if manager == nil {
			return links, false, nil
		}
		if _, err := manager.DeleteSnapshot(ctx, engineName(t.volume.GetName()), t.object.GetName()); err != nil {
			return links, false, fmt.Errorf("delete snapshot %s: %w", t.object.GetName(), err)
		}
		return links, false, nil // gone once the engine does not list it any more
	}
	links[at+1].size += links[at].size // its data becomes its child's
	return slices.Delete(links, at, at+1), true, nil
}

// report writes what the engine says of the snapshot (snapshot_controller.go, syncSnapshotWithSnapshotInfo). The manager sees a
// new one when it asks the engine the next time, at the latest after enginePoll.
func (t snapshotStep) report(links chain) {
	object := t.object
	at := links.index(object.GetName())
	taken := textAt(object, "status", "creationTime") != ""
	asked := truthAt(object, "spec", "createSnapshot") && !taken
	if at < 0 || asked && textAt(object, "status", "requestedTime") != "" && t.since(textAt(object, "status", "requestedTime")) < enginePoll {
		put(object, false, "status", "readyToUse")
		if at < 0 && !asked {
			put(object, lostSnapshot, "status", "error")
		}
		return
	}
	found := links[at]
	put(object, links.parent(at), "status", "parent")
	put(object, map[string]any{links.child(at): true}, "status", "children")
	put(object, found.removed, "status", "markRemoved")
	put(object, found.user, "status", "userCreated")
	put(object, found.created, "status", "creationTime")
	put(object, found.size, "status", "size")
	put(object, found.labelled(), "status", "labels")
	put(object, bytesOf(t.volume), "status", "restoreSize")
	if textAt(object, "status", "requestedTime") == "" {
		put(object, found.created, "status", "requestedTime")
	}
	ready := !found.removed && object.GetDeletionTimestamp() == nil
	put(object, ready, "status", "readyToUse")
	if ready {
		put(object, "", "status", "error")
	}
}
