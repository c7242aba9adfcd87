package standin

import (
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// monitor asks a running engine for its device, for the first time when the monitor has run for a while. A device of an
// earlier attachment that nobody has cleared counts at once (longhorn-manager engine_controller.go, EngineMonitor).
func (c *standIn) monitor(engine *unstructured.Unstructured, node string) {
	tick := "monitor/" + engine.GetName()
	if was := textAt(engine, "spec", "nodeID"); was != "" && was != node {
		c.ticks.forget(tick)
		put(engine, "", "status", "endpoint")
	}
	if c.ticks.elapsed(tick) >= enginePoll {
		put(engine, "/dev/longhorn/"+textAt(engine, "spec", "volumeName"), "status", "endpoint")
	}
}

// stopMonitor is for an engine that ends. Whoever monitors it clears its device. On a dead node nobody did, unless
// another manager has begun to.
func (c *standIn) stopMonitor(engine *unstructured.Unstructured) error {
	c.ticks.forget("monitor/" + engine.GetName())
	node := textAt(engine, "spec", "nodeID")
	if node == "" {
		return nil // it has ended before
	}
	monitored, err := c.monitored(node)
	if err == nil && monitored {
		put(engine, "", "status", "endpoint")
	}
	return err
}

// monitored says whether a manager monitors the engines of the node. Those of a dead node are taken over at a resync; the
// new owner monitors them if at that time it still believes their instance manager to run, which it learns otherwise at
// a resync of its own. Which timer ends first decides whether the volume is attached after 4 or 8 s. Both were measured,
// about as often (longhorn-real.md); the reason is inferred from longhorn-manager's code.
func (c *standIn) monitored(node string) (bool, error) {
	down, err := c.down(node)
	if err != nil || !down {
		return true, err
	}
	object, err := c.cache.nodes.Get(node)
	if err != nil {
		return true, nil //nolint:nilerr // a node that is gone takes its instance manager with it
	}
	managers, err := c.readyManagers()
	if err != nil {
		return false, err
	}
	lost := readyCondition(object).LastTransitionTime.Time
	first := func(informer string) time.Time {
		var earliest time.Time
		for _, manager := range managers {
			next := nextResync(strings.Join([]string{string(manager), informer}, "/"), lost)
			if earliest.IsZero() || next.Before(earliest) {
				earliest = next
			}
		}
		return earliest
	}
	return first(engineKind).Before(first(instanceKind)), nil
}
