// Package fence decides in the database's pod whether the database may go on, from who can be reached.
//
// A node that is cut off, not dead, is the worst fault of this design: after a stall of the writes Longhorn's engine drops the
// replicas that it cannot reach and acknowledges on the one on its own node, and what it acknowledges then is lost
// (longhorn-real.md: 873 to 1,823 writes in four of four cuts). So the database is paused before the stall ends, which costs
// nothing because nothing could be written meanwhile, continues when the network is back in time, and is ended for good before
// anybody may take the volume over.
//
// The package only decides. What asks the targets and what signals the processes stands behind Prober and Database.
package fence

import (
	"errors"
	"fmt"
	"time"

	"ha-iris/agent/internal/positive"
)

// WithoutPeers says what silence of the API server means while no guard on another node is known.
type WithoutPeers string

const (
	// WithoutPeersIgnore lets the database go on. With one witness, its silence is far more often its own restart or upgrade
	// than a cut: managed control planes are away for a minute with all nodes healthy, and a database that stops then
	// was stopped by its own protection. CloudNativePG decides the same way: its primary isolation check needs the API server
	// and the other instances to be silent, and with a single instance it skips the check (liveness.go,
	// evaluateLivenessPinger). The price, in longhorn mode only: what a cut-off node acknowledges is lost.
	WithoutPeersIgnore WithoutPeers = "ignore"
	// WithoutPeersFence takes the API server's silence alone for isolation. It is the value where the guard runs: there an
	// empty list of peers means that the list was not loaded, which is no reason to trust a network. It is also for those
	// who rather have the database away with the API server than lose an acknowledged write.
	WithoutPeersFence WithoutPeers = "fence"
)

// Parameters are the times of the check. Default has the measured ones; Validate checks their sum.
type Parameters struct {
	// Interval is the time between the starts of two rounds of probes. Default: 1 s.
	Interval time.Duration
	// Timeout bounds each probe; those of one round run side by side. Default: 1 s, with which API server and peers were
	// found to be out of reach 1.26 to 1.46 s after a cut (longhorn-real.md, probes each 0.5 s).
	Timeout time.Duration
	// PauseAfter is how long nothing at all may answer before the database is paused, from the start of the last round that
	// had an answer. Default: 4 s, three lost rounds in a row: the most that keeps a second of reserve under Stall.
	PauseAfter time.Duration
	// EndAfter is how long nothing at all may answer before the database is ended for good, counted as PauseAfter is.
	// Default: 25 s, the most that keeps the worst case below EarliestTakeOver.
	EndAfter time.Duration
	// Margin is what a decision takes until every process has stopped, on a node that is busy. Default: 1 s; 50
	// busy processes on 2 cores took 3 to 258 ms (TestReal_PausingFiftyBusyProcessesFitsTheMargin).
	Margin time.Duration
	// Stall is how long an engine without its remote replicas holds writes back. Default: 8 s, Longhorn's
	// engine-replica-timeout (8 to 30); 8.8 to 9.1 s were measured with it, and the setting is what can be relied on.
	Stall time.Duration
	// EarliestTakeOver is the first moment after a cut at which anybody may take the volume. Default: 29.6 s, before which no
	// Kubernetes calls the node unreachable: node-monitor-grace-period 40 s (50 s since 1.32), less the 10.4 s by which the
	// last renewal of the Lease may precede the cut (failover.md 1.1). The earliest detach seen was at 48 s.
	EarliestTakeOver time.Duration
	// WithoutPeers decides while no peer is known. Default: WithoutPeersIgnore; WithoutPeersFence where the guard runs.
	WithoutPeers WithoutPeers
}

// Default returns the parameters for Longhorn's default engine-replica-timeout and any supported Kubernetes.
func Default() Parameters {
	return Parameters{
		Interval:         time.Second,
		Timeout:          time.Second,
		PauseAfter:       4 * time.Second,
		EndAfter:         25 * time.Second,
		Margin:           time.Second,
		Stall:            8 * time.Second,
		EarliestTakeOver: 29600 * time.Millisecond,
		WithoutPeers:     WithoutPeersIgnore,
	}
}

// WorstPause is the longest time between a cut and the moment when the last process of the database has been paused. The
// threshold counts from a round that began before the cut; it may be passed just after one round has been judged, and the next
// begins an interval later and lasts its time-out.
func (p Parameters) WorstPause() time.Duration {
	return p.Interval + p.Timeout + p.PauseAfter + p.Margin
}

// WorstEnd is the longest time between a cut and the moment when the database has ended for good, as WorstPause.
func (p Parameters) WorstEnd() time.Duration {
	return p.Interval + p.Timeout + p.EndAfter + p.Margin
}

// Validate returns every problem of the parameters, joined, or nil.
func (p Parameters) Validate() error {
	problems := p.invalid()
	if quiet := p.Interval + p.Timeout; p.PauseAfter <= quiet {
		problems = append(problems, fmt.Errorf("PauseAfter: got %v, want more than %v, the interval and the time-out: "+
			"between two answers of a healthy target may be as much", p.PauseAfter, quiet))
	}
	if worst := p.WorstPause(); worst >= p.Stall {
		problems = append(problems, fmt.Errorf("the pause: got %v at worst (Interval %v + Timeout %v + PauseAfter %v + Margin %v), "+
			"want less than Stall, %v: after it the engine acknowledges alone",
			worst, p.Interval, p.Timeout, p.PauseAfter, p.Margin, p.Stall))
	}
	if worst := p.WorstEnd(); worst >= p.EarliestTakeOver {
		problems = append(problems, fmt.Errorf("the end: got %v at worst (Interval %v + Timeout %v + EndAfter %v + Margin %v), "+
			"want less than EarliestTakeOver, %v", worst, p.Interval, p.Timeout, p.EndAfter, p.Margin, p.EarliestTakeOver))
	}
	if p.EndAfter <= p.PauseAfter {
		problems = append(problems, fmt.Errorf("EndAfter: got %v, want more than PauseAfter, %v", p.EndAfter, p.PauseAfter))
	}
	return errors.Join(problems...)
}

// invalid is what is wrong with single parameters.
func (p Parameters) invalid() []error {
	problems := positive.Check(
		positive.Length{Name: "Interval", Value: p.Interval},
		positive.Length{Name: "Timeout", Value: p.Timeout},
		positive.Length{Name: "PauseAfter", Value: p.PauseAfter},
		positive.Length{Name: "EndAfter", Value: p.EndAfter},
		positive.Length{Name: "Margin", Value: p.Margin},
		positive.Length{Name: "Stall", Value: p.Stall},
		positive.Length{Name: "EarliestTakeOver", Value: p.EarliestTakeOver},
	)
	if p.WithoutPeers != WithoutPeersIgnore && p.WithoutPeers != WithoutPeersFence {
		problems = append(problems, fmt.Errorf("WithoutPeers: got %q, want %q or %q",
			p.WithoutPeers, WithoutPeersIgnore, WithoutPeersFence))
	}
	return problems
}
