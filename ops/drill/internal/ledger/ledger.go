// Package ledger keeps what was written to the database and what became of it, and says what an outage has cost. It has no clock
// and no network.
package ledger

import (
	"slices"
	"sync"
	"time"
)

// Outcome is what a writer knows of one write.
type Outcome string

const (
	// Acknowledged is that the database has said that it is committed.
	Acknowledged Outcome = "acknowledged"
	// Failed is that it certainly was not done: the database refused it or was never asked.
	Failed Outcome = "failed"
	// Unknown is that it was sent and no answer came, or one that does not say: it may be there or not, and both are right.
	Unknown Outcome = "unknown"
)

// Write is one row that was to be written.
type Write struct {
	Row     int64   `json:"row"`
	Outcome Outcome `json:"outcome"`
	// Sent and Done are by the clock of the machine that the drill runs on.
	Sent time.Time `json:"sent"`
	Done time.Time `json:"done"`
	// Inside is that the writer is in the database's own pod, so that a cut does not part them.
	Inside bool `json:"inside,omitempty"`
}

// Ledger is what one run has written. Safe for concurrent use.
type Ledger struct {
	mu     sync.Mutex
	writes []Write
	last   time.Time
}

// Add notes a write.
func (l *Ledger) Add(w Write) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writes = append(l.writes, w)
	if w.Outcome == Acknowledged && !w.Inside && w.Done.After(l.last) {
		l.last = w.Done
	}
}

// LastAcknowledged is when a writer outside of the pod was last acknowledged something.
func (l *Ledger) LastAcknowledged() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// Writes are all writes, in the order in which their outcome became known.
func (l *Ledger) Writes() []Write {
	l.mu.Lock()
	defer l.mu.Unlock()
	sorted := slices.Clone(l.writes)
	slices.SortStableFunc(sorted, func(a, b Write) int { return a.Done.Compare(b.Done) })
	return sorted
}

// Acknowledgements are the times of the acknowledged writes of one side, in order.
func Acknowledgements(writes []Write, inside bool) []time.Time {
	var times []time.Time
	for _, w := range writes {
		if w.Outcome == Acknowledged && w.Inside == inside {
			times = append(times, w.Done)
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	return times
}
