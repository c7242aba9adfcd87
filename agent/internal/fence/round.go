package fence

import (
	"context"
	"slices"
	"time"
)

// Word is what the API server says of this pod.
type Word string

const (
	// WordUnknown means that the API server was not reached.
	WordUnknown Word = ""
	// WordWanted means that the pod is there, with this UID, and is not being deleted.
	WordWanted Word = "wanted"
	// WordUnwanted means that the pod is there and is being deleted: its database is to stop in order.
	WordUnwanted Word = "unwanted"
	// WordGone means that the pod is gone, or is another one of the same name: it was given up, and another one may have its volume.
	WordGone Word = "gone"
)

// Round is the outcome of asking every target once, side by side.
type Round struct {
	// Start and End are read from a clock that never jumps and that counts the time in which the machine slept: on Linux
	// CLOCK_BOOTTIME. CLOCK_MONOTONIC, which time.Time carries, stands still in a suspended machine.
	Start, End time.Duration
	// APIServer says whether the API server answered a read of this pod. A read goes to etcd's majority; a health check
	// could be answered by an API server on this very node that is cut off with it.
	APIServer bool
	// Pod is what that answer said.
	Pod Word
	// Peers has, for each known guard on another node, whether its answer lets the database go on: a guard that leads says that the node is
	// not lost, or all say that they do not reach the API server either (package watchman). A guard on this node is no peer. While the
	// API server is away the last known ones are asked.
	Peers []bool
}

// Answered says whether anything off this node answered.
func (r Round) Answered() bool {
	return r.APIServer || slices.Contains(r.Peers, true)
}

// Prober asks the targets.
type Prober interface {
	// Probe asks every target once and returns within the time-out of the parameters.
	Probe(ctx context.Context) Round
}

// Database is the database's processes. Each method is called again every round while its state lasts, because a process may
// have been started meanwhile, and does nothing where nothing is to be done.
type Database interface {
	// Pause stops every process (SIGSTOP). One that waits for the disk stops before it can tell anybody what was written.
	Pause(ctx context.Context) error
	// Continue lets every paused process run again (SIGCONT).
	Continue(ctx context.Context) error
	// End kills every process (SIGKILL): a clean stop would write.
	End(ctx context.Context) error
}

// Final says whether a database in this pod may never be started again.
func (w Word) Final() bool { return w == WordUnwanted || w == WordGone }
