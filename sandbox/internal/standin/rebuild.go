package standin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// progress says how much of a fresh replica is filled, in percent.
func (c *standIn) progress(ctx context.Context, s *state, volume, replica *unstructured.Unstructured) (int, error) {
	if c.realNode(textAt(replica, "spec", "nodeID")) {
		return c.rebuilt(ctx, s, volume, replica), nil
	}
	takes, err := c.rebuildTakes(ctx, s, volume)
	if err != nil {
		return 0, err
	}
	if wasHealthy(replica) { // its old files are there, and only what changed is copied
		takes = max(takes/reuseShare, time.Second)
	}
	started := replica.GetAnnotations()[startedAnnotation]
	if started == "" {
		annotate(replica, startedAnnotation, c.now())
		return 0, nil
	}
	return int(min(c.since(started), takes) * 100 / takes), nil
}

// rebuildTakes is how long a full rebuild of the volume takes: as its annotation says, or that of Longhorn's namespace.
func (c *standIn) rebuildTakes(ctx context.Context, s *state, volume *unstructured.Unstructured) (time.Duration, error) {
	return c.takes(ctx, s, volume, rebuildAnnotation, rebuildTime)
}

// takes is how long something takes with the volume's data: as its annotation says, or that of Longhorn's namespace.
func (c *standIn) takes(
	ctx context.Context, s *state, volume *unstructured.Unstructured, annotation string, otherwise time.Duration,
) (time.Duration, error) {
	text := volume.GetAnnotations()[annotation]
	if text == "" {
		namespace, err := c.client.CoreV1().Namespaces().Get(ctx, s.namespace, metav1.GetOptions{})
		if ignoreGone(err) != nil {
			return 0, fmt.Errorf("read namespace %s: %w", s.namespace, err)
		}
		if err == nil {
			text = namespace.Annotations[annotation]
		}
	}
	if number, err := strconv.Atoi(text); err == nil && number > 0 {
		return time.Duration(number) * time.Second, nil
	}
	return otherwise, nil
}

// waited says whether a degraded volume has waited long enough for its failed replicas to return.
func (c *standIn) waited(s *state, volume *unstructured.Unstructured) bool {
	return c.since(textAt(volume, "status", "lastDegradedAt")) > s.seconds("replica-replenishment-wait-interval")
}

// missing is how many replicas the volume lacks. Those that have to leave do not count; they go once others are there.
func missing(s *state, volume *unstructured.Unstructured) int64 {
	staying := count(s.replicas[volume.GetName()], func(replica *unstructured.Unstructured) bool {
		return !failed(replica) && !evicting(replica)
	})
	return numberAt(volume, "spec", "numberOfReplicas") - int64(staying)
}

// mayRebuild: one replica of a volume at a time, and none at all if the user has switched it off.
func mayRebuild(s *state, volume *unstructured.Unstructured) bool {
	return s.setting("concurrent-replica-rebuild-per-node-limit") != "0" && count(s.replicas[volume.GetName()], fresh) == 0
}

// reuse takes up a failed replica whose node and disk are back.
func (c *standIn) reuse(s *state, volume *unstructured.Unstructured) {
	if !mayRebuild(s, volume) || missing(s, volume) <= 0 {
		return
	}
	replica := c.returned(s, volume.GetName())
	if replica == nil {
		return
	}
	if textAt(replica, "spec", "healthyAt") == "" {
		put(replica, numberAt(replica, "spec", "rebuildRetryCount")+1, "spec", "rebuildRetryCount")
	}
	put(replica, "", "spec", "failedAt")
	put(replica, "", "spec", "healthyAt")
	annotate(replica, startedAnnotation, c.now())
	c.start(s, replica)
}

// replenish adds a replica for one that is lost or has to leave (longhorn-manager volume_controller.go,
// replenishReplicas). While a failed one may return, a degraded volume waits for it.
func (c *standIn) replenish(ctx context.Context, s *state, volume *unstructured.Unstructured) error {
	if !mayRebuild(s, volume) {
		return nil
	}
	replicas := s.replicas[volume.GetName()]
	if missing(s, volume) <= 0 {
		return c.bringHome(ctx, s, volume)
	}
	waits := textAt(volume, "status", "robustness") == degraded && count(replicas, mayReturn) > 0 && !c.waited(s, volume)
	if waits {
		return nil
	}
	where, found := c.choose(s, volume)
	if !found {
		return nil
	}
	return c.createReplica(ctx, s, volume, where)
}

// bringHome adds a replica on the node that uses the volume, if it wants one there and has none. Another one goes then.
func (c *standIn) bringHome(ctx context.Context, s *state, volume *unstructured.Unstructured) error {
	node := textAt(volume, "status", "currentNodeID")
	atHome := func(replica *unstructured.Unstructured) bool {
		return textAt(replica, "spec", "nodeID") == node && !failed(replica)
	}
	if textAt(volume, "spec", "dataLocality") != "best-effort" || textAt(volume, "status", "robustness") != healthy ||
		count(s.replicas[volume.GetName()], atHome) > 0 {
		return nil
	}
	for _, where := range c.places(s) {
		if where.node == node {
			return c.createReplica(ctx, s, volume, where)
		}
	}
	return nil
}

// cleanUp removes failed replicas that are of no use any more, and one good replica too many. That a volume is healthy
// again does not make Longhorn remove a failed one.
func (c *standIn) cleanUp(ctx context.Context, s *state, volume *unstructured.Unstructured) error {
	name := volume.GetName()
	stale := time.Duration(numberAt(volume, "spec", "staleReplicaTimeout")) * time.Minute
	for _, replica := range slices.Clone(s.replicas[name]) {
		useless := numberAt(replica, "spec", "rebuildRetryCount") >= maxRebuilds ||
			stale > 0 && c.since(textAt(replica, "spec", "failedAt")) > stale
		lastHope := wasHealthy(replica) && count(s.replicas[name], good) == 0
		if !failed(replica) || !useless || lastHope {
			continue
		}
		if err := c.removeReplica(ctx, s, replica); err != nil {
			return err
		}
	}
	if int64(count(s.replicas[name], good)) <= numberAt(volume, "spec", "numberOfReplicas") {
		return nil
	}
	if replica := superfluous(s, volume); replica != nil {
		return c.removeReplica(ctx, s, replica)
	}
	return nil
}

// superfluous chooses the replica to remove: one that has to leave, failed ones first; else one that shares its node or
// its zone and is not where the volume is used; else any that is not there.
func superfluous(s *state, volume *unstructured.Unstructured) *unstructured.Unstructured {
	replicas := s.replicas[volume.GetName()]
	var leaving, others []*unstructured.Unstructured
	nodes, zones := map[string]int{}, map[string]int{}
	for _, replica := range replicas {
		node := textAt(replica, "spec", "nodeID")
		switch {
		case evicting(replica) && failed(replica):
			leaving = slices.Insert(leaving, 0, replica)
		case evicting(replica):
			leaving = append(leaving, replica)
		case good(replica):
			others = append(others, replica)
			nodes[node]++
			zones[s.zone(node)]++
		}
	}
	if len(leaving) > 0 && len(others) > 0 {
		return leaving[0]
	}
	var chosen *unstructured.Unstructured
	for _, replica := range others {
		node := textAt(replica, "spec", "nodeID")
		if node == textAt(volume, "status", "currentNodeID") && nodes[node] < 2 {
			continue
		}
		if nodes[node] > 1 || zones[s.zone(node)] > 1 {
			return replica
		}
		chosen = replica
	}
	return chosen
}

func (s *state) zone(node string) string {
	if object := s.nodes[node]; object != nil {
		return textAt(object, "status", "zone")
	}
	return ""
}

// runEngine writes what the engine sees of its replicas.
func (c *standIn) runEngine(ctx context.Context, s *state, volume, engine *unstructured.Unstructured) error {
	before := engine.DeepCopy()
	node := textAt(volume, "status", "currentNodeID")
	modes, addresses, rebuilds := map[string]any{}, map[string]any{}, map[string]any{}
	from := ""
	for _, replica := range s.replicas[volume.GetName()] {
		if failed(replica) || textAt(replica, "status", "currentState") != running {
			continue
		}
		address := fmt.Sprintf("%s:%d", textAt(replica, "status", "ip"), numberAt(replica, "status", "port"))
		addresses[replica.GetName()], modes[replica.GetName()] = address, modeRW
		if good(replica) {
			from = "tcp://" + address
		}
	}
	var errs []error
	for _, replica := range s.replicas[volume.GetName()] {
		address, runs := addresses[replica.GetName()]
		if !fresh(replica) || !runs {
			continue
		}
		progress, err := c.progress(ctx, s, volume, replica)
		errs = append(errs, err)
		modes[replica.GetName()] = modeWO
		rebuilds[fmt.Sprint("tcp://", address)] = map[string]any{
			"isRebuilding": true, "progress": int64(max(progress, 1)), "state": "in_progress", "error": "", "fromReplicaAddress": from,
		}
	}
	c.monitor(engine, node)
	if c.realNode(node) {
		process, err := c.runs(ctx, s, volume.GetName(), node)
		if err != nil || process == nil || process.Endpoint == "" {
			put(engine, "", "status", "endpoint")
		}
	}
	putRunning(engine, volume)
	put(engine, addresses, "spec", "replicaAddressMap")
	put(engine, addresses, "status", "currentReplicaAddressMap")
	put(engine, modes, "status", "replicaModeMap")
	put(engine, rebuilds, "status", "rebuildStatus")
	return errors.Join(errors.Join(errs...), c.longhorn.save(ctx, engineKind, before, engine))
}

// putRunning writes that the engine runs where its volume is.
func putRunning(engine, volume *unstructured.Unstructured) {
	node := textAt(volume, "status", "currentNodeID")
	put(engine, node, "spec", "nodeID")
	put(engine, running, "spec", "desireState")
	put(engine, textAt(volume, "spec", "size"), "spec", "volumeSize")
	put(engine, running, "status", "currentState")
	put(engine, instanceName(node), "status", "instanceManagerName")
}

func (c *standIn) stopEngine(ctx context.Context, engine *unstructured.Unstructured) error {
	before := engine.DeepCopy()
	if err := c.stopMonitor(engine); err != nil {
		return err
	}
	put(engine, "", "spec", "nodeID")
	put(engine, stopped, "spec", "desireState")
	put(engine, map[string]any{}, "spec", "replicaAddressMap")
	put(engine, stopped, "status", "currentState")
	put(engine, "", "status", "instanceManagerName")
	for _, field := range []string{"currentReplicaAddressMap", "replicaModeMap", "rebuildStatus", "restoreStatus"} {
		put(engine, map[string]any{}, "status", field)
	}
	return c.longhorn.save(ctx, engineKind, before, engine)
}
