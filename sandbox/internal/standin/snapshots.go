package standin

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"ha-iris/sandbox/internal/datapath/imclient"
)

const (
	// volumeHead is Longhorn's name of what is written since the last snapshot.
	volumeHead = "volume-head"
	// lostSnapshot is what an object says whose snapshot the engine does not have any more (snapshot_controller.go).
	lostSnapshot = "lost track of the corresponding snapshot info inside volume engine"
	// blockSize is what sizes are multiples of, Longhorn's default backup block (longhorn.md 7).
	blockSize = int64(2 << 20)
)

// snapshotsOf are the snapshots' objects of a volume.
func (s *state) snapshotsOf(volume string) []*unstructured.Unstructured {
	var found []*unstructured.Unstructured
	for _, object := range s.others[snapshotKind] {
		if textAt(object, "spec", "volume") == volume {
			found = append(found, object)
		}
	}
	return found
}

// syncSnapshots brings the snapshots' objects in line with what the engines have, and the other way round.
func (c *standIn) syncSnapshots(ctx context.Context, s *state) error {
	var errs []error
	for _, volume := range s.volumes {
		if engine := s.engines[volume.GetName()]; engine != nil && volume.GetDeletionTimestamp() == nil {
			errs = append(errs, c.syncSnapshotsOf(ctx, s, volume, engine))
		}
	}
	for _, object := range slices.Clone(s.others[snapshotKind]) {
		if s.volume(textAt(object, "spec", "volume")) == nil {
			errs = append(errs, c.endOrphanedSnapshot(ctx, s, object))
		}
	}
	return errors.Join(errs...)
}

// endOrphanedSnapshot lets a snapshot go with its volume. One that was asked for of a volume that does not exist is refused by the
// original's webhook; here it says so.
func (c *standIn) endOrphanedSnapshot(ctx context.Context, s *state, object *unstructured.Unstructured) error {
	if object.GetDeletionTimestamp() != nil || len(object.GetFinalizers()) > 0 {
		return c.drop(ctx, s, snapshotKind, object)
	}
	before := object.DeepCopy()
	put(object, "failed to get volume "+textAt(object, "spec", "volume"), "status", "error")
	put(object, false, "status", "readyToUse")
	return c.longhorn.save(ctx, snapshotKind, before, object)
}

func (c *standIn) syncSnapshotsOf(ctx context.Context, s *state, volume, engine *unstructured.Unstructured) error {
	before := engine.DeepCopy()
	links := readChain(engine)
	serves, err := c.serves(ctx, s, volume)
	if err != nil {
		return err
	}
	if serves {
		links = c.lookAtSnapshots(ctx, s, volume, links)
	}
	var errs []error
	for _, object := range s.snapshotsOf(volume.GetName()) {
		step := snapshotStep{standIn: c, state: s, volume: volume, object: object, serves: serves}
		links, err = step.run(ctx, links)
		errs = append(errs, err)
	}
	writeChain(engine, links)
	errs = append(errs, c.longhorn.save(ctx, engineKind, before, engine), c.adoptSnapshots(ctx, s, volume, links))
	return errors.Join(errs...)
}

// serves says whether the volume's engine can be asked for something: it runs, on a node that is not silent.
func (c *standIn) serves(ctx context.Context, s *state, volume *unstructured.Unstructured) (bool, error) {
	node := textAt(volume, "status", "currentNodeID")
	filled := !truthAt(volume, "status", "restoreRequired") && !lacksData(volume)
	if node == "" || textAt(volume, "status", "state") != attached || !filled {
		return false, nil
	}
	reachable, err := c.reachable(node)
	if err != nil || !reachable || !c.realNode(node) {
		return reachable, err
	}
	process, err := c.runs(ctx, s, volume.GetName(), node)
	if errors.Is(err, errSilent) {
		return false, nil
	}
	return err == nil && process != nil && process.State == imclient.Running, err
}

// moved says whether Longhorn itself has attached the volume.
func moved(volume *unstructured.Unstructured) bool {
	return volume.GetAnnotations()[movingAnnotation] != ""
}

// lookAtSnapshots returns what the engine has. On a simulated node that is what its object says.
func (c *standIn) lookAtSnapshots(ctx context.Context, s *state, volume *unstructured.Unstructured, known chain) chain {
	replica := c.readable(ctx, s, volume)
	if replica == nil {
		return known
	}
	links := chain{}
	snapshots := slices.Clone(replica.Snapshots)
	slices.SortStableFunc(snapshots, func(a, b imclient.Snapshot) int { return a.Created.Compare(b.Created) })
	for _, snapshot := range snapshots {
		found := link{name: snapshot.Name, created: snapshot.Created.UTC().Format(longhornTime), size: snapshot.Allocated}
		if at := known.index(snapshot.Name); at >= 0 {
			found.removed, found.user, found.labels = known[at].removed, known[at].user, known[at].labels
		}
		if object := s.find(snapshotKind, snapshot.Name); object != nil && truthAt(object, "spec", "createSnapshot") {
			found.user, found.labels = true, mapAt(object, "spec", "labels")
		}
		links = append(links, found)
	}
	return links
}

// readable is the process of a good replica on a real node that answers; nil if there is none.
func (c *standIn) readable(ctx context.Context, s *state, volume *unstructured.Unstructured) *imclient.Replica {
	for _, replica := range s.replicas[volume.GetName()] {
		node := textAt(replica, "spec", "nodeID")
		if !good(replica) || !c.realNode(node) {
			continue
		}
		instances, err := c.look(ctx, s, node)
		if err != nil {
			continue
		}
		for i := range instances.Replicas {
			if instances.Replicas[i].Name == replica.GetName() {
				return &instances.Replicas[i]
			}
		}
	}
	return nil
}

// adoptSnapshots makes objects for what the engine has made by itself (engine_controller.go, syncSnapshotCRs).
func (c *standIn) adoptSnapshots(ctx context.Context, s *state, volume *unstructured.Unstructured, links chain) error {
	for _, one := range links {
		if s.find(snapshotKind, one.name) != nil {
			continue
		}
		object := newObject(s.namespace, snapshotKind, one.name)
		object.Object["spec"] = map[string]any{"volume": volume.GetName(), "createSnapshot": false}
		claimSnapshot(object, volume)
		if _, err := c.add(ctx, s, snapshotKind, object); err != nil {
			return err
		}
	}
	return nil
}

// claimSnapshot is what the original's webhook does to a snapshot's object (webhook/resources/snapshot/mutator.go).
func claimSnapshot(object, volume *unstructured.Unstructured) {
	object.SetFinalizers([]string{longhornFinalizer})
	label(object, "longhornvolume", volume.GetName())
	if len(object.GetOwnerReferences()) == 0 {
		object.SetOwnerReferences([]metav1.OwnerReference{{
			APIVersion: volume.GetAPIVersion(), Kind: volume.GetKind(), Name: volume.GetName(), UID: volume.GetUID(),
		}})
	}
}

func label(object *unstructured.Unstructured, name, value string) {
	labels := object.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[name] = value
	object.SetLabels(labels)
}

// link is one of an engine's snapshots.
type link struct {
	name, created string
	size          int64
	removed, user bool
	labels        map[string]any
}

// labelled are its labels, never nil: what is nil comes back from the API server as something else.
func (l link) labelled() map[string]any {
	labels := map[string]any{}
	maps.Copy(labels, l.labels)
	return labels
}

// chain are an engine's snapshots, the oldest first. What is written since the last one is volume-head.
type chain []link

func (l chain) index(name string) int {
	return slices.IndexFunc(l, func(one link) bool { return one.name == name })
}

// readChain reads the snapshots from the engine's object. They stay there while the engine is stopped, as in the original.
func readChain(engine *unstructured.Unstructured) chain {
	all := mapAt(engine, "status", "snapshots")
	var links chain
	at := volumeHead
	for range all { // each entry names the one before it
		fields, _ := all[at].(map[string]any)
		parent, _ := fields["parent"].(string)
		entry, ok := all[parent].(map[string]any)
		if !ok {
			break
		}
		one := link{name: parent}
		one.created, _ = entry["created"].(string)
		one.removed, _ = entry["removed"].(bool)
		one.user, _ = entry["usercreated"].(bool)
		one.labels, _ = entry["labels"].(map[string]any)
		text, _ := entry["size"].(string)
		one.size, _ = strconv.ParseInt(text, 10, 64) // what is no number is nothing
		links = append(links, one)
		at = parent
	}
	slices.Reverse(links)
	return links
}

// writeChain writes the snapshots to the engine's object.
func writeChain(engine *unstructured.Unstructured, links chain) {
	all := map[string]any{}
	parent := ""
	for at, one := range append(slices.Clone(links), link{name: volumeHead}) {
		children := map[string]any{}
		if at < len(links) {
			children[links.child(at)] = true
		}
		all[one.name] = map[string]any{
			"name": one.name, "parent": parent, "children": children, "removed": one.removed, "usercreated": one.user,
			"created": one.created, "size": strconv.FormatInt(one.size, 10), "labels": one.labelled(),
		}
		parent = one.name
	}
	put(engine, all, "status", "snapshots")
}

// child is the name of what follows the snapshot.
func (l chain) child(at int) string {
	if at+1 < len(l) {
		return l[at+1].name
	}
	return volumeHead
}

func (l chain) parent(at int) string {
	if at == 0 {
		return ""
	}
	return l[at-1].name
}

// pendingSnapshot says whether an object waits for its volume's engine.
func pendingSnapshot(s *state, object *unstructured.Unstructured) bool {
	taken := textAt(object, "status", "creationTime") != ""
	if object.GetDeletionTimestamp() == nil {
		return truthAt(object, "spec", "createSnapshot") && !taken
	}
	_, last := mapAt(object, "status", "children")[volumeHead]
	stuck := last && truthAt(object, "status", "markRemoved")
	return taken && !stuck && !s.truth("disable-snapshot-purge")
}
