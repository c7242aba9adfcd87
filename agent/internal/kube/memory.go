package kube

import (
	"slices"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"

	"ha-iris/agent/internal/guard"
)

// leaseInterval is how often leases are read while nothing is the matter. A kubelet renews each 10 s; a renewal that is seen
// late makes a heartbeat younger than it is, never older.
const leaseInterval = 5 * time.Second

// memory has what one guard has seen for how long, by its own clock, which never jumps (time.Time carries it).
type memory struct {
	now      func() time.Time
	read     time.Time
	renewals map[string]renewal
	shutdown map[string]time.Time
	nodes    map[string]sighting
}

// sighting is what was last seen of a node: since when the control plane called it Unknown, and since when its object is gone.
type sighting struct {
	unknownSince, gone time.Time
}

// goneKept is how long a node that is gone is remembered: far longer than a take-over takes.
const goneKept = time.Hour

// renewal is a heartbeat and when it was first seen.
type renewal struct {
	at, seen time.Time
}

func newMemory(now func() time.Time) *memory {
	return &memory{
		now: now, renewals: map[string]renewal{}, shutdown: map[string]time.Time{}, nodes: map[string]sighting{},
	}
}

func (m *memory) wantsLeases() bool {
	return m.read.IsZero() || m.now().Sub(m.read) >= leaseInterval
}

// renewed takes the leases that were read. One without a renewal is as good as none.
func (m *memory) renewed(leases []coordinationv1.Lease) {
	m.read = m.now()
	current := make(map[string]renewal, len(leases))
	for _, lease := range leases {
		if lease.Spec.RenewTime == nil {
			continue
		}
		one := renewal{lease.Spec.RenewTime.Time, m.read}
		if before, known := m.renewals[lease.Name]; known && before.at.Equal(one.at) {
			one = before
		}
		current[lease.Name] = one
	}
	m.renewals = current
}

func (m *memory) leases() map[string]guard.Lease {
	leases := make(map[string]guard.Lease, len(m.renewals))
	for name, one := range m.renewals {
		leases[name] = guard.Lease{RenewTime: one.at, Unchanged: m.read.Sub(one.seen)}
	}
	return leases
}

// shutDown takes the nodes that were read, and notes since when the cloud has called them shut down.
func (m *memory) shutDown(nodes []corev1.Node) {
	current := map[string]time.Time{}
	for i := range nodes {
		name := nodes[i].Name
		if !tainted(&nodes[i], cloudShutdownKey) {
			continue
		}
		since, known := m.shutdown[name]
		if !known {
			since = m.now()
		}
		current[name] = since
	}
	m.shutdown = current
}

func (m *memory) shutDownFor(node string) time.Duration {
	since, known := m.shutdown[node]
	if !known {
		return 0
	}
	return m.now().Sub(since)
}

// see takes the nodes that were read, and the names of nodes that pods and attachments are on.
func (m *memory) see(nodes []corev1.Node, named []string) {
	there := map[string]bool{}
	for i := range nodes {
		there[nodes[i].Name] = true
		var seen sighting
		if ready, since := readiness(&nodes[i]); ready == guard.ReadyUnknown {
			seen.unknownSince = since
		}
		m.nodes[nodes[i].Name] = seen
	}
	for _, name := range named {
		if _, known := m.nodes[name]; !known {
			m.nodes[name] = sighting{}
		}
	}
	for name, seen := range m.nodes {
		switch {
		case there[name]:
		case seen.gone.IsZero():
			seen.gone = m.now()
			m.nodes[name] = seen
		case m.now().Sub(seen.gone) > goneKept && !slices.Contains(named, name):
			delete(m.nodes, name)
		}
	}
}

func (m *memory) gone() map[string]guard.Gone {
	gone := map[string]guard.Gone{}
	for name, seen := range m.nodes {
		if !seen.gone.IsZero() {
			gone[name] = guard.Gone{For: m.now().Sub(seen.gone), UnknownSince: seen.unknownSince}
		}
	}
	return gone
}
