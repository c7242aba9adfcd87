package standin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
)

// Longhorn's words for how a volume is, and for whether a node uses it.
const (
	healthy   = "healthy"
	degraded  = "degraded"
	faulted   = "faulted"
	unknown   = "unknown"
	attached  = "attached"
	attaching = "attaching"
	detached  = "detached"
)

// settle brings a volume's replicas and its engine in order and writes how it is. It takes the volume as it was read
// and as it is meant to be.
func (c *standIn) settle(ctx context.Context, s *state, volume, before *unstructured.Unstructured) error {
	if volume.GetDeletionTimestamp() != nil {
		return nil
	}
	if err := c.nameClaim(volume); err != nil {
		return err
	}
	markClone(volume)
	if !c.beginRestore(s, volume) {
		return c.longhorn.save(ctx, longhornVolumes, before, volume)
	}
	engine, err := c.engineOf(ctx, s, volume)
	if err != nil {
		return err
	}
	if len(s.replicas[volume.GetName()]) == 0 || truthAt(volume, "status", "restoreRequired") {
		if err := c.fill(ctx, s, volume); err != nil {
			return err
		}
	}
	// One that is faulted, as when its node has died, Longhorn lets go whoever wants it (volume_attachment_controller.go, shouldDoDetach).
	if moved(volume) && (!wanted(s, volume) || textAt(volume, "status", "robustness") == faulted) {
		putDetached(volume)
	}
	switch {
	case truthAt(volume, "status", "restoreRequired"):
		err = c.restore(ctx, s, volume, engine)
	case lacksData(volume):
		err = c.clone(ctx, s, volume, engine)
	default:
		err = c.settleUsable(ctx, s, volume, engine)
		c.endClone(volume)
	}
	holdForClone(s, volume)
	return errors.Join(err, c.longhorn.save(ctx, longhornVolumes, before, volume))
}

// settleUsable does so for a volume whose data is there.
func (c *standIn) settleUsable(ctx context.Context, s *state, volume, engine *unstructured.Unstructured) error {
	if textAt(volume, "status", "currentNodeID") == "" {
		if err := c.settleDetached(ctx, s, volume, engine); err != nil {
			return err
		}
		if err := c.reattach(ctx, s, volume); err != nil {
			return err
		}
	}
	if textAt(volume, "status", "currentNodeID") == "" {
		return nil
	}
	return c.settleAttached(ctx, s, volume, engine)
}

// nameClaim writes whose volume it is (longhorn-manager kubernetes_pv_controller.go).
func (c *standIn) nameClaim(volume *unstructured.Unstructured) error {
	volumes, err := c.cache.volumes.List(labels.Everything())
	if err != nil {
		return fmt.Errorf("list persistent volumes: %w", err)
	}
	for _, claimed := range volumes {
		if !ours(claimed) || claimed.Spec.CSI.VolumeHandle != volume.GetName() {
			continue
		}
		put(volume, claimed.Name, "status", "kubernetesStatus", "pvName")
		put(volume, string(claimed.Status.Phase), "status", "kubernetesStatus", "pvStatus")
		if reference := claimed.Spec.ClaimRef; reference != nil {
			put(volume, reference.Namespace, "status", "kubernetesStatus", "namespace")
			put(volume, reference.Name, "status", "kubernetesStatus", "pvcName")
		}
	}
	return nil
}

func putDetached(volume *unstructured.Unstructured) {
	put(volume, detached, "status", "state")
	put(volume, "", "status", "currentNodeID")
	removeAnnotation(volume, movingAnnotation)
}

// fill gives a new volume its replicas, as far as there is room for them. A clone has one until its data are there
// (volume_controller.go, getReplenishReplicasCount).
func (c *standIn) fill(ctx context.Context, s *state, volume *unstructured.Unstructured) error {
	number := numberAt(volume, "spec", "numberOfReplicas")
	if lacksData(volume) {
		number = min(number, 1)
	}
	for int64(len(s.replicas[volume.GetName()])) < number {
		where, found := c.choose(s, volume)
		if !found {
			return nil
		}
		if err := c.createReplica(ctx, s, volume, where); err != nil {
			return err
		}
	}
	return nil
}

// settleDetached: nothing runs, and nothing is known. A rebuild that the detachment interrupted has failed.
func (c *standIn) settleDetached(ctx context.Context, s *state, volume, engine *unstructured.Unstructured) error {
	name := volume.GetName()
	replicas := copies(s.replicas[name])
	hasData := count(s.replicas[name], wasHealthy) > 0
	for _, replica := range s.replicas[name] {
		if fresh(replica) && hasData {
			c.fail(replica)
		}
		put(replica, stopped, "spec", "desireState")
		put(replica, stopped, "status", "currentState")
	}
	was, robustness := textAt(volume, "status", "robustness"), unknown
	if lost := count(s.replicas[name], failed); lost > 0 && count(s.replicas[name], good) == 0 && (hasData || lost == len(s.replicas[name])) {
		robustness = faulted
		if c.salvage(s, volume) {
			robustness = unknown
		}
	}
	if was == faulted && robustness == unknown {
		put(volume, c.now(), "status", "remountRequestedAt")
	}
	put(volume, robustness, "status", "robustness")
	put(volume, "", "status", "lastDegradedAt")
	// The processes first: what still runs on a node that answers must not be called stopped.
	if err := c.stopProcesses(ctx, s, volume, engine); err != nil {
		return err
	}
	return errors.Join(c.saveReplicas(ctx, s, name, replicas), c.stopEngine(ctx, engine), c.cleanUp(ctx, s, volume))
}

func wasHealthy(replica *unstructured.Unstructured) bool {
	return textAt(replica, "spec", "healthyAt") != "" || textAt(replica, "spec", "lastHealthyAt") != ""
}

// salvage takes up the replicas that failed last, if all have failed and their disks are back.
func (c *standIn) salvage(s *state, volume *unstructured.Unstructured) bool {
	if !s.truth("auto-salvage") {
		return false
	}
	var usable []*unstructured.Unstructured
	last := time.Duration(1<<63 - 1)
	for _, replica := range s.replicas[volume.GetName()] {
		if textAt(replica, "spec", "healthyAt") == "" || !c.launchable(s, replica) {
			continue
		}
		if _, schedulable := s.sound(textAt(replica, "spec", "nodeID"), textAt(replica, "spec", "diskID")); schedulable {
			usable = append(usable, replica)
			last = min(last, c.since(textAt(replica, "spec", "failedAt")))
		}
	}
	for _, replica := range usable {
		if c.since(textAt(replica, "spec", "failedAt"))-last <= salvageWindow {
			put(replica, "", "spec", "failedAt")
		}
	}
	return len(usable) > 0
}

// wanted says whether Longhorn itself needs the volume's engine: a replica has to leave (volume_eviction_controller.go), or a
// snapshot is to be taken or removed, or stored as a backup (handleAttachmentTicketCreation of snapshot_controller.go and
// backup_controller.go), or it is being restored, or cloned (volume_clone_controller.go).
func wanted(s *state, volume *unstructured.Unstructured) bool {
	name := volume.GetName()
	return truthAt(volume, "status", "restoreRequired") || copying(volume) || readByClone(s, volume) || count(s.replicas[name], evicting) > 0 ||
		slices.ContainsFunc(s.snapshotsOf(name), func(object *unstructured.Unstructured) bool { return pendingSnapshot(s, object) }) ||
		slices.ContainsFunc(s.others[backupKind], func(object *unstructured.Unstructured) bool {
			return pendingBackup(object) && object.GetLabels()[backupVolumeLabel] == name
		})
}

// reattach takes up a volume whose engine ended although a node uses it, as soon as there is a replica again; and one
// that nobody uses, for as long as Longhorn wants it itself.
func (c *standIn) reattach(ctx context.Context, s *state, volume *unstructured.Unstructured) error {
	node, err := c.usedBy(volume)
	if err != nil {
		return err
	}
	replicas := s.replicas[volume.GetName()]
	isNew := count(replicas, wasHealthy) == 0
	startable := func(replica *unstructured.Unstructured) bool {
		return (good(replica) || isNew && fresh(replica)) && c.launchable(s, replica)
	}
	if count(replicas, startable) == 0 {
		return nil
	}
	if node != "" {
		if !c.instanceRuns(s, node) {
			return nil
		}
		return c.launch(ctx, s, volume, node)
	}
	if !wanted(s, volume) {
		return nil
	}
	for _, replica := range replicas {
		if startable(replica) && (node == "" || !evicting(replica)) {
			node = textAt(replica, "spec", "nodeID")
		}
	}
	if err := c.launch(ctx, s, volume, node); err != nil {
		return err
	}
	annotate(volume, movingAnnotation, "true")
	return nil
}

// usedBy returns the living node that a volume is attached to in Kubernetes' eyes; empty if there is none.
func (c *standIn) usedBy(volume *unstructured.Unstructured) (string, error) {
	volumes, err := c.cache.volumes.List(labels.Everything())
	if err != nil {
		return "", fmt.Errorf("list persistent volumes: %w", err)
	}
	for _, claimed := range volumes {
		if !ours(claimed) || claimed.Spec.CSI.VolumeHandle != volume.GetName() {
			continue
		}
		attachments, err := c.cache.attachmentsOf(claimed.Name)
		if err != nil {
			return "", err
		}
		for _, attachment := range attachments {
			down, err := c.down(attachment.Spec.NodeName)
			if err != nil {
				return "", err
			}
			if attachment.Status.Attached && attachment.DeletionTimestamp == nil && !down {
				return attachment.Spec.NodeName, nil
			}
		}
	}
	return "", nil
}

// settleAttached: the engine reads and writes the good replicas and fills the fresh one.
func (c *standIn) settleAttached(ctx context.Context, s *state, volume, engine *unstructured.Unstructured) error {
	name, node := volume.GetName(), textAt(volume, "status", "currentNodeID")
	down, err := c.down(node)
	if err != nil {
		return err
	}
	if down {
		put(volume, c.robustnessOnDeadNode(s, node), "status", "robustness")
		return nil
	}
	if textAt(volume, "status", "robustness") == faulted { // the node is back, and the engine has ended meanwhile
		putDetached(volume)
		return errors.Join(c.stopProcesses(ctx, s, volume, engine), c.stopEngine(ctx, engine))
	}
	replicas := copies(s.replicas[name])
	if c.realNode(node) {
		alive, err := c.examineReal(ctx, s, volume)
		switch {
		case errors.Is(err, errSilent):
			return nil // nothing is known, so nothing changes
		case errors.Is(err, errStarting):
			put(volume, attaching, "status", "state")
			return errors.Join(c.saveReplicas(ctx, s, name, replicas), c.runEngine(ctx, s, volume, engine))
		}
		if err == nil && !alive {
			put(volume, faulted, "status", "robustness")
			putDetached(volume)
			put(engine, node, "spec", "nodeID") // also an engine that was found there, and never written down as this one
			err = errors.Join(c.stopProcesses(ctx, s, volume, engine), c.stopEngine(ctx, engine))
		}
		if err != nil || !alive {
			return errors.Join(err, c.saveReplicas(ctx, s, name, replicas))
		}
	} else if err := c.examine(ctx, s, volume); err != nil {
		return err
	}
	sound := int64(count(s.replicas[name], good))
	c.rate(volume, sound)
	if sound == 0 {
		// The original's engine ends, and with it the attachment.
		putDetached(volume)
		return errors.Join(c.saveReplicas(ctx, s, name, replicas), c.stopProcesses(ctx, s, volume, engine), c.stopEngine(ctx, engine))
	}
	put(volume, attached, "status", "state")
	c.reuse(s, volume)
	if err := c.saveReplicas(ctx, s, name, replicas); err != nil {
		return err
	}
	if err := c.replenish(ctx, s, volume); err != nil {
		return err
	}
	return errors.Join(c.cleanUp(ctx, s, volume), c.runEngine(ctx, s, volume, engine))
}

// robustnessOnDeadNode: an engine on a dead node may still run, for all Longhorn knows, until its instance manager's pod
// is gone or going. That is what the out-of-service taint brings about (longhorn-manager instance_manager_controller.go,
// syncStatusWithPod; volume_controller.go, "dead unexpectedly").
func (c *standIn) robustnessOnDeadNode(s *state, node string) string {
	if _, err := c.cache.nodes.Get(node); err != nil {
		return unknown // Longhorn drops its instance manager too, and asks nobody
	}
	if pod := c.instancePod(s, node); pod == nil || terminal(pod) || pod.DeletionTimestamp != nil {
		return faulted
	}
	return unknown
}

// rate writes how the volume is.
func (c *standIn) rate(volume *unstructured.Unstructured, sound int64) {
	was, is := textAt(volume, "status", "robustness"), healthy
	switch {
	case sound == 0:
		is = faulted
	case sound < numberAt(volume, "spec", "numberOfReplicas"):
		is = degraded
	}
	if is == degraded && was != degraded {
		put(volume, c.now(), "status", "lastDegradedAt")
	}
	if is != degraded {
		put(volume, "", "status", "lastDegradedAt")
	}
	put(volume, is, "status", "robustness")
}

// examine finds out which replicas the engine has lost, and which it has filled by now.
func (c *standIn) examine(ctx context.Context, s *state, volume *unstructured.Unstructured) error {
	replicas := s.replicas[volume.GetName()]
	isNew := count(replicas, wasHealthy) == 0
	for _, replica := range replicas {
		if failed(replica) {
			continue
		}
		lost, err := c.lost(s, replica)
		if err != nil {
			return err
		}
		if lost {
			c.fail(replica)
			continue
		}
		c.start(s, replica)
		progress := 100
		if fresh(replica) && !isNew {
			if progress, err = c.progress(ctx, s, volume, replica); err != nil {
				return err
			}
		}
		if fresh(replica) && progress >= 100 {
			c.complete(replica)
		}
	}
	return nil
}

// lost says whether the engine has lost a replica: at once if its instance manager or its disk is gone, and when the
// engine's patience ends if its node is silent.
func (c *standIn) lost(s *state, replica *unstructured.Unstructured) (bool, error) {
	name, tick := textAt(replica, "spec", "nodeID"), "replica/"+replica.GetName()
	reachable, err := c.reachable(name)
	if err != nil {
		return false, err
	}
	if !reachable {
		return c.ticks.elapsed(tick) >= replicaTimeout(s), nil
	}
	c.ticks.forget(tick)
	return !c.launchable(s, replica), nil
}

// reachable says whether the node is there and alive. It is the truth, which Kubernetes learns later.
func (c *standIn) reachable(name string) (bool, error) {
	node, err := c.cache.nodes.Get(name)
	if err != nil {
		return false, nil //nolint:nilerr // a node that is not in the cache is not there
	}
	if simulated(node) {
		return c.lives(node)
	}
	down, err := c.down(name)
	return !down, err
}

// launchable says whether Longhorn can start the replica: its node is not down, its instance manager runs, its files
// are there.
func (c *standIn) launchable(s *state, replica *unstructured.Unstructured) bool {
	name := textAt(replica, "spec", "nodeID")
	node, err := c.cache.nodes.Get(name)
	if err != nil || !c.instanceRuns(s, name) {
		return false
	}
	down, err := c.down(name)
	return err == nil && !down && c.diskUUID(node, textAt(replica, "spec", "diskPath")) == textAt(replica, "spec", "diskID")
}

func (c *standIn) start(s *state, replica *unstructured.Unstructured) {
	put(replica, running, "spec", "desireState")
	put(replica, running, "status", "currentState")
	put(replica, instanceName(textAt(replica, "spec", "nodeID")), "status", "instanceManagerName")
	if c.realNode(textAt(replica, "spec", "nodeID")) {
		return // where it is was noted when its process started
	}
	address, port := c.address(s, replica)
	put(replica, address, "status", "ip")
	put(replica, port, "status", "port")
}

func (c *standIn) fail(replica *unstructured.Unstructured) {
	put(replica, c.now(), "spec", "failedAt")
	put(replica, c.now(), "spec", "lastFailedAt")
	put(replica, stopped, "spec", "desireState")
	put(replica, stopped, "status", "currentState")
	removeAnnotation(replica, startedAnnotation)
}

func (c *standIn) complete(replica *unstructured.Unstructured) {
	put(replica, c.now(), "spec", "healthyAt")
	put(replica, c.now(), "spec", "lastHealthyAt")
	put(replica, int64(0), "spec", "rebuildRetryCount")
	removeAnnotation(replica, startedAnnotation)
}

// copies are the replicas as they were read.
func copies(replicas []*unstructured.Unstructured) map[string]*unstructured.Unstructured {
	before := make(map[string]*unstructured.Unstructured, len(replicas))
	for _, replica := range replicas {
		before[replica.GetName()] = replica.DeepCopy()
	}
	return before
}

func (c *standIn) saveReplicas(ctx context.Context, s *state, volume string, before map[string]*unstructured.Unstructured) error {
	for _, replica := range s.replicas[volume] {
		if err := c.longhorn.save(ctx, replicaKind, before[replica.GetName()], replica); err != nil {
			return err
		}
	}
	return nil
}

func removeAnnotation(object *unstructured.Unstructured, name string) {
	annotations := object.GetAnnotations()
	delete(annotations, name)
	object.SetAnnotations(annotations)
}

// replicaTimeout is how long an engine waits for a silent replica.
func replicaTimeout(s *state) time.Duration {
	seconds := 0
	if _, err := fmt.Sscanf(s.setting("engine-replica-timeout"), `{"v1":"%d"`, &seconds); err != nil {
		return 8 * time.Second // the setting's default
	}
	return time.Duration(seconds) * time.Second
}
