package iris

import (
	"fmt"
	"slices"

	"ha-iris/internal/problems"
)

// FailoverMode says who gives the database of a lost node free.
type FailoverMode string

const (
	// FailoverAuto is guard where the program knows an image of the agent, and longhorn elsewhere.
	FailoverAuto FailoverMode = "auto"
	// FailoverGuard lets the guard act (agent/), and the check in the pod stop a database that is cut off.
	FailoverGuard FailoverMode = "guard"
	// FailoverObserve is FailoverGuard with a guard that only says what it would do. The check in the pod works as there.
	FailoverObserve FailoverMode = "observe"
	// FailoverLonghorn leaves it to Kubernetes' and Longhorn's own time-outs.
	FailoverLonghorn FailoverMode = "longhorn"
)

// FailoverProof is a reason to hold the database on a lost node for dead.
type FailoverProof string

const (
	// ProofDeleted is that the Node object is gone.
	ProofDeleted FailoverProof = "deleted"
	// ProofShutdown is the cloud's taint node.cloudprovider.kubernetes.io/shutdown.
	ProofShutdown FailoverProof = "shutdown"
	// ProofIsolation is that the check in the pod has ended the database by then.
	ProofIsolation FailoverProof = "isolation"
)

// releasedAgent is the image of the agent that the release workflow published, at its digest; empty before the first release.
const releasedAgent = ""

// Failover is the object ha-iris:failover of the stack's configuration.
type Failover struct {
	// Mode says who gives the database of a lost node free: guard (the agent in the cluster, and a check in the pod that stops a
	// database that is cut off), observe (the same, but the guard only says what it would do), longhorn (Kubernetes' and Longhorn's
	// time-outs alone), or auto: guard where an image of the agent is known, else longhorn. Default: auto.
	Mode FailoverMode `json:"mode"`
	// Image is the agent's image, pinned by digest or by a full build tag. Default: empty, the one of the program's release.
	Image string `json:"image"`
	// Proof lists what counts as proof that the database on a lost node is dead: deleted (its Node object is gone), shutdown (the
	// cloud's taint), isolation (the check in the pod has ended it). Default: empty, all; without isolation where the
	// storage is not this stack's and failover.fencedStorage is not set.
	Proof []FailoverProof `json:"proof"`
	// FencedStorage says of storage that this stack does not install that it shuts out a node that was cut off, as Longhorn's
	// engine does for 8 s: without it isolation is no proof there. Default: false.
	FencedStorage bool `json:"fencedStorage"`
}

func defaultFailover() Failover { return Failover{Mode: FailoverAuto, Proof: []FailoverProof{}} }

func (f Failover) image() string {
	if f.Image != "" {
		return f.Image
	}
	return releasedAgent
}

// mode is what FailoverAuto stands for.
func (f Failover) mode() FailoverMode {
	switch {
	case f.Mode != FailoverAuto:
		return f.Mode
	case f.image() == "":
		return FailoverLonghorn
	default:
		return FailoverGuard
	}
}

// guarded says whether the guard runs, and with it the check in the pod.
func (f Failover) guarded() bool {
	mode := f.mode()
	return mode == FailoverGuard || mode == FailoverObserve
}

func (c Config) validateFailover(found *problems.List) {
	f := c.Failover
	oneOf(found, "failover.mode", f.Mode, FailoverAuto, FailoverGuard, FailoverObserve, FailoverLonghorn)
	if f.Image != "" {
		checkImage(found, "failover.image", f.Image)
	}
	if f.guarded() && f.image() == "" {
		found.AddMissing("failover.image", fmt.Sprintf("the agent's image at a digest, which failover.mode %s needs and this build of the "+
			"program does not know: make agent-image REPO=YOUR_REGISTRY/NAME prints it. Or failover.mode auto", f.Mode))
	}
	for index, proof := range f.Proof {
		path := fmt.Sprintf("failover.proof[%d]", index)
		oneOf(found, path, proof, ProofDeleted, ProofShutdown, ProofIsolation)
		if slices.Contains(f.Proof[:index], proof) {
			found.Add(path, string(proof), "each proof once")
		}
	}
	if slices.Contains(f.Proof, ProofIsolation) && c.LonghornNamespace == "" && !f.FencedStorage {
		found.Add("failover.proof", string(ProofIsolation), "none of it, or failover.fencedStorage true: the storage is not this stack's, and "+
			"nobody knows that it shuts out a node that was cut off")
	}
}

// failoverRemark is what a preview says of the failover, or nothing. Of other storage it is known that Kubernetes alone deletes no pod of a
// dead node, and detaches no volume of a pod that is there (failover.md 1.3, 1.4).
func (c Config) failoverRemark() string {
	if c.Failover.Mode != FailoverAuto || c.Failover.guarded() {
		return ""
	}
	cost := "Longhorn's and Kubernetes' time-outs alone recover from a lost node: 117 to 227 s and IRIS' start, instead of about 62 s " +
		"(docs/architecture.md), and what a node that is cut off acknowledges is lost"
	if c.LonghornNamespace == "" {
		cost = "the pod of a lost node stays there, and with it the volume, until somebody deletes it by force or your storage does " +
			"(docs/architecture.md, Other storage)"
	}
	return "failover.mode is auto and no image of the agent is known, so " + cost +
		". To get the guard: make agent-image REPO=YOUR_REGISTRY/NAME, then pulumi config set --path failover.image THE_IMAGE"
}
