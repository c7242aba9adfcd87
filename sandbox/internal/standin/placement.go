package standin

import (
	"cmp"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// place is a disk that may take a replica.
type place struct {
	node, zone, uuid, path string
	// load is the number of replicas there.
	load int
}

// places lists the disks that may take replicas: on nodes that are ready, not cordoned and not excluded by the user,
// with a running instance manager (longhorn-manager replica_scheduler.go).
func (c *standIn) places(s *state) []place {
	var found []place
	for _, name := range slices.Sorted(maps.Keys(s.nodes)) {
		node := s.nodes[name]
		if !takesReplicas(node) || !c.instanceRuns(s, name) {
			continue
		}
		status := mapAt(node, "status", "diskStatus")
		for _, disk := range slices.Sorted(maps.Keys(status)) {
			uuid, path := textAt(node, "status", "diskStatus", disk, "diskUUID"), textAt(node, "spec", "disks", disk, "path")
			if _, schedulable := s.sound(name, uuid); schedulable {
				found = append(found, place{name, textAt(node, "status", "zone"), uuid, path, len(s.replicasOnDisk(uuid))})
			}
		}
	}
	return found
}

func takesReplicas(node *unstructured.Unstructured) bool {
	return truthAt(node, "spec", "allowScheduling") && !truthAt(node, "spec", "evictionRequested") &&
		node.GetDeletionTimestamp() == nil && holds(conditionsOf(node), "Ready") && holds(conditionsOf(node), "Schedulable")
}

// choose finds a disk for another replica: on a node and in a zone without one, else on a node without one, else, if the
// user allows it, anywhere. A failed replica counts as one until it is being replaced.
func (c *standIn) choose(s *state, volume *unstructured.Unstructured) (place, bool) {
	nodes, zones := c.taken(s, volume)
	levels := []func(place) bool{func(p place) bool { return !nodes[p.node] && !zones[p.zone] }}
	if s.truth("replica-zone-soft-anti-affinity") {
		levels = append(levels, func(p place) bool { return !nodes[p.node] })
		if s.truth("replica-soft-anti-affinity") {
			levels = append(levels, func(place) bool { return true })
		}
	}
	all := c.places(s)
	for _, suits := range levels {
		var best []place
		for _, candidate := range all {
			if suits(candidate) {
				best = append(best, candidate)
			}
		}
		if len(best) > 0 {
			return slices.MinFunc(best, func(a, b place) int { return cmp.Compare(a.load, b.load) }), true
		}
	}
	return place{}, false
}

// taken returns the nodes and zones that have a replica of the volume. Those that take no replicas are left out, as in
// the original: their zones are free.
func (c *standIn) taken(s *state, volume *unstructured.Unstructured) (nodes, zones map[string]bool) {
	nodes, zones = map[string]bool{}, map[string]bool{}
	replacing := textAt(volume, "status", "robustness") == degraded && c.waited(s, volume)
	for _, replica := range s.replicas[volume.GetName()] {
		if failed(replica) && (replacing || !mayReturn(replica)) {
			continue
		}
		name := textAt(replica, "spec", "nodeID")
		if node := s.nodes[name]; node != nil && takesReplicas(node) {
			nodes[name], zones[textAt(node, "status", "zone")] = true, true
		}
	}
	return nodes, zones
}

// mayReturn says whether a failed replica could be used again, if its node and its disk come back. Longhorn does not ask
// whether they can.
func mayReturn(replica *unstructured.Unstructured) bool {
	return failed(replica) && textAt(replica, "spec", "nodeID") != "" && textAt(replica, "spec", "diskID") != "" && !evicting(replica)
}

// returned finds the failed replica that can be used again: its node takes replicas, its disk is there and is the same,
// and no other copy lives there. Of several it is the one that failed last.
func (c *standIn) returned(s *state, volume string) *unstructured.Unstructured {
	nodes := map[string]bool{}
	for _, replica := range s.replicas[volume] {
		if !failed(replica) {
			nodes[textAt(replica, "spec", "nodeID")] = true
		}
	}
	var found *unstructured.Unstructured
	for _, replica := range s.replicas[volume] {
		name := textAt(replica, "spec", "nodeID")
		node := s.nodes[name]
		if !mayReturn(replica) || nodes[name] && !s.truth("replica-soft-anti-affinity") || node == nil || !takesReplicas(node) {
			continue
		}
		ready, schedulable := s.sound(name, textAt(replica, "spec", "diskID"))
		if !ready || !schedulable || !c.instanceRuns(s, name) {
			continue
		}
		if found == nil || textAt(found, "spec", "failedAt") < textAt(replica, "spec", "failedAt") {
			found = replica
		}
	}
	return found
}
