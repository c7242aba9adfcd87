package guard

// Verdict is the kind of a decision.
type Verdict string

const (
	// Idle is that nothing is to be done.
	Idle Verdict = "idle"
	// Wait is that the step is somebody else's, or not due yet: look again in a second.
	Wait Verdict = "wait"
	// Act is to take the step now, and then to decide again at once.
	Act Verdict = "act"
	// Refuse is that the step would be next and must not be taken.
	Refuse Verdict = "refuse"
)

// Kind is what a step does.
type Kind string

const (
	// WaitLonghorn waits until Longhorn's own node object is no longer Ready: until then it releases nothing.
	WaitLonghorn Kind = "wait-longhorn"
	// WriteRecord annotates the node with Step.Record, with its resourceVersion as the precondition.
	WriteRecord Kind = "write-record"
	// DeletePod deletes the pod with its own grace period and its UID as the precondition. Longhorn then drops the attachment.
	DeletePod Kind = "delete-pod"
	// WaitDetach waits until the node's VolumeAttachment is gone.
	WaitDetach Kind = "wait-detach"
	// WaitEnd waits for the check in a pod that was deleted by force before the volume had left its node: it ends the database once the API
	// server no longer has the pod.
	WaitEnd Kind = "wait-end"
	// SetTaint adds node.kubernetes.io/out-of-service=nodeshutdown:NoExecute and annotates with Step.Record, in one patch with
	// the resourceVersion as the precondition.
	SetTaint Kind = "set-taint"
	// FailReplica makes Longhorn no longer use the content of the replica on the lost node, with its resourceVersion as the
	// precondition.
	FailReplica Kind = "fail-replica"
	// ForceDeletePod deletes the pod with grace 0 and its UID as the precondition.
	ForceDeletePod Kind = "force-delete-pod"
	// DeleteAttachment deletes the VolumeAttachment of a node whose object is gone; Kubernetes takes six minutes.
	DeleteAttachment Kind = "delete-attachment"
	// ClearEngine deletes the orphan, with which Longhorn ends the engine that was left on the node.
	ClearEngine Kind = "clear-engine"
	// WaitReturn waits until a node that is back may be used again.
	WaitReturn Kind = "wait-return"
	// Untaint removes the guard's taint from a node that is back with the boot that it was lost with, and writes Step.Record, in one
	// patch with the resourceVersion as the precondition. Until then Longhorn's own pods cannot run there, and nobody can unmount the
	// volume or find the engine that was left.
	Untaint Kind = "untaint"
	// GiveBack removes the guard's annotation, and the taint if Record.Tainted, in one patch with the resourceVersion as the
	// precondition.
	GiveBack Kind = "give-back"
)

// Step is one step of a take-over. Fields that its kind does not need are empty.
type Step struct {
	Kind Kind
	Node string
	// ResourceVersion is the node's or the replica's, as a precondition of its change.
	ResourceVersion string
	// Record is what to write, or what was written.
	Record Record
	// Pod and PodUID name the pod, with the UID as a precondition.
	Pod, PodUID string
	// Object is the name of the VolumeAttachment, replica or orphan; ObjectUID is a precondition of its deletion.
	Object, ObjectUID string
	// Why is for logs and events.
	Why string
}

// Rule is a condition without which nothing is done.
type Rule string

const (
	// RuleMode wants mode guard.
	RuleMode Rule = "mode"
	// RuleLive wants nodes, leases and pods read live: a cache may be older than the node's return.
	RuleLive Rule = "live"
	// RuleLease wants a heartbeat older than LeaseStale.
	RuleLease Rule = "lease"
	// RuleMajority wants most nodes Ready: otherwise the fault is more likely on this side.
	RuleMajority Rule = "majority"
	// RuleOwnNode wants the guard's own node Ready.
	RuleOwnNode Rule = "own-node"
	// RuleReplica wants a healthy replica on another Ready node: without one the volume cannot come up there. With Longhorn only.
	RuleReplica Rule = "replica"
	// RuleOpen wants no other take-over open.
	RuleOpen Rule = "open-take-over"
	// RuleProof wants one of the proofs.
	RuleProof Rule = "proof"
)

// Refusal is one rule that forbids a step for a node.
type Refusal struct {
	Rule Rule
	Node string
	// Why says what was found and what is wanted.
	Why string
}

// Decision is the outcome of Config.Decide.
type Decision struct {
	Verdict Verdict
	// Step is what to do (Act), to wait for (Wait) or what would be next (Refuse).
	Step Step
	// Refusals are all rules that forbid the step. With Act and Wait they are of other nodes, whose turn it is not.
	Refusals []Refusal
	// Notes are what an operator should know although it forbids nothing.
	Notes []string
}
