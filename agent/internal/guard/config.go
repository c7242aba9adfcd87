package guard

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"ha-iris/agent/internal/positive"
)

// Mode says whether the guard acts.
type Mode string

const (
	// ModeGuard acts.
	ModeGuard Mode = "guard"
	// ModeObserve says what it would do, and changes nothing.
	ModeObserve Mode = "observe"
)

// Proof is a reason to hold the database on a lost node for dead.
type Proof string

const (
	// ProofDeleted is that the Node object is gone: clouds delete it when the machine is. Somebody may also delete that of a machine that
	// runs, so that it counts once the check in the pod has had its time (Isolation), since the object is gone or the node was Unknown.
	ProofDeleted Proof = "deleted"
	// ProofShutdown is the cloud's taint node.cloudprovider.kubernetes.io/shutdown: EKS when the machine has stopped, AKS also
	// while it is deallocated, GKE never.
	ProofShutdown Proof = "shutdown"
	// ProofIsolation is that the pod has ended itself if it was cut off (package fence), because it has been unreachable for
	// longer than that takes. Where the kubelet alone died, Longhorn ends the engine over the network (longhorn-real.md,
	// run 5). A machine with both faults that still runs is not covered.
	ProofIsolation Proof = "isolation"
)

// Config is how the guard decides. Default has the measured times.
type Config struct {
	Mode Mode
	// Longhorn says that the storage is Longhorn. On other storage there are no replicas to look after, and nobody drops the
	// attachment before the taint is there. Default: true.
	Longhorn bool
	// FencedStorage says that storage other than Longhorn keeps a node from writing once the volume has left it. Default: false.
	FencedStorage bool
	// Proofs are those that count. Default: all three.
	Proofs []Proof
	// Isolation is how long after a cut the pod has ended itself at the latest. Default: 28 s, WorstEnd of package fence.
	Isolation time.Duration
	// LeaseStale is how old the node's last heartbeat must be. Default: 40 s, its Lease's length (failover.md 1.1).
	LeaseStale time.Duration
	// MonitorGrace is the shortest time without a heartbeat after which the control plane calls a node Unknown. Default: 40 s,
	// Kubernetes' default until 1.31; 50 s since.
	MonitorGrace time.Duration
	// RenewInterval is the longest time between two heartbeats: the cut may be that much later than the last one. Default:
	// 10.4 s, a quarter of 40 s with 4 % of jitter.
	RenewInterval time.Duration
	// KnownFor is how long before a node became Unknown, or its object went, the guard's pod must have been there: then the check in the
	// database's pod knows it, and its silence keeps the check from going on by the word of other guards that are cut off too. Default:
	// 75 s: the grace period of 50 s, one heartbeat, and time to read the list of guards.
	KnownFor time.Duration
	// ShutdownSettle is how long the shutdown taint must have been there. Default: 10 s, because AKS sets it early.
	ShutdownSettle time.Duration
	// ReadyFor is how long a node must be Ready before it gets rid of the taint. Default: 10 s.
	ReadyFor time.Duration
	// MajorityFor is how long a node must be Ready to count for the majority: after an API server was out of the kubelets' reach their
	// heartbeats come back one by one. Default: 20 s, two of the longest renewals (10.4 s), rounded down.
	MajorityFor time.Duration
	// EngineSearch is how long Longhorn's manager, back on a node, may take to report an engine that was left there as an orphan.
	// Default: 20 s (not measured; an instance manager's list is read each few seconds).
	EngineSearch time.Duration
	// Budgets are the times after which the next step is taken anyway.
	Budgets Budgets
}

// Budgets bound what may not happen: the order is better, but the database must come up.
type Budgets struct {
	// Longhorn is for Longhorn's node to be no longer Ready, since the node is not. Default: 10 s; below 1 s was measured.
	Longhorn time.Duration
	// Record is for the annotation, since the first try. Longhorn's webhook sees every change of a node and fails closed,
	// and must never keep the pod from being deleted. Default: 2 s (not measured).
	Record time.Duration
	// Detach is for the VolumeAttachment to go, since the pod's deletion. When it is spent the pod is deleted by force before Kubernetes
	// is made to detach, so that the check in it, where it reaches the API server, ends the database first. Default: 15 s; 2.0 to 2.2 s were measured, and 10 s
	// more in 2 of 8 runs, when Longhorn's driver asks a dead manager.
	Detach time.Duration
	// End is for the check to end the database after a forced deletion that comes before the detachment. Default: 5 s; the check's
	// interval, time-out and margin are 3 s together (package fence).
	End time.Duration
	// Taint is for the taint, since the first try. Default: 3 s, as Record.
	Taint time.Duration
	// Replica is for the replica on the lost node to be failed, since the first try. Default: 5 s (not measured). Longhorn
	// itself fails it when it attaches the volume, if the node is still away then.
	Replica time.Duration
	// Return is for a node that is back to let go of the volume, since it is Ready and has no taint of the guard, and for the volume to be
	// attached elsewhere while the node's replica is not trusted. Default: 2 min.
	Return time.Duration
}

// Default returns the configuration that acts, with all proofs.
func Default() Config {
	return Config{
		Mode:           ModeGuard,
		Longhorn:       true,
		Proofs:         []Proof{ProofDeleted, ProofShutdown, ProofIsolation},
		Isolation:      28 * time.Second,
		LeaseStale:     40 * time.Second,
		MonitorGrace:   40 * time.Second,
		RenewInterval:  10400 * time.Millisecond,
		KnownFor:       75 * time.Second,
		ShutdownSettle: 10 * time.Second,
		ReadyFor:       10 * time.Second,
		MajorityFor:    20 * time.Second,
		EngineSearch:   20 * time.Second,
		Budgets: Budgets{
			Longhorn: 10 * time.Second,
			Record:   2 * time.Second,
			Detach:   15 * time.Second,
			End:      5 * time.Second,
			Taint:    3 * time.Second,
			Replica:  5 * time.Second,
			Return:   2 * time.Minute,
		},
	}
}

// Validate returns every problem of the configuration, joined, or nil.
func (c Config) Validate() error {
	var problems []error
	if c.Mode != ModeGuard && c.Mode != ModeObserve {
		problems = append(problems, fmt.Errorf("Mode: got %q, want %q or %q", c.Mode, ModeGuard, ModeObserve))
	}
	if len(c.Proofs) == 0 {
		problems = append(problems, errors.New("the proofs: got none, want at least one"))
	}
	known := Default().Proofs
	for _, proof := range c.Proofs {
		if !slices.Contains(known, proof) {
			problems = append(problems, fmt.Errorf("the proofs: got %q, want some of %q", proof, known))
		}
	}
	if slices.Contains(c.Proofs, ProofIsolation) && !c.Longhorn && !c.FencedStorage {
		problems = append(problems, fmt.Errorf("the proofs: got %q without Longhorn, want storage that keeps a node from writing once "+
			"the volume has left it (fenced storage): where the kubelet alone has died nobody ends the database", ProofIsolation))
	}
	return errors.Join(append(problems, positive.Check(
		positive.Length{Name: "Isolation", Value: c.Isolation},
		positive.Length{Name: "LeaseStale", Value: c.LeaseStale},
		positive.Length{Name: "MonitorGrace", Value: c.MonitorGrace},
		positive.Length{Name: "RenewInterval", Value: c.RenewInterval},
		positive.Length{Name: "KnownFor", Value: c.KnownFor},
		positive.Length{Name: "ShutdownSettle", Value: c.ShutdownSettle},
		positive.Length{Name: "ReadyFor", Value: c.ReadyFor},
		positive.Length{Name: "Budgets.Longhorn", Value: c.Budgets.Longhorn},
		positive.Length{Name: "Budgets.Record", Value: c.Budgets.Record},
		positive.Length{Name: "Budgets.Detach", Value: c.Budgets.Detach},
		positive.Length{Name: "Budgets.End", Value: c.Budgets.End},
		positive.Length{Name: "Budgets.Taint", Value: c.Budgets.Taint},
		positive.Length{Name: "Budgets.Replica", Value: c.Budgets.Replica},
		positive.Length{Name: "Budgets.Return", Value: c.Budgets.Return},
		positive.Length{Name: "MajorityFor", Value: c.MajorityFor},
		positive.Length{Name: "EngineSearch", Value: c.EngineSearch},
	)...)...)
}
