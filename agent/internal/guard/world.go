// Package guard decides when the pod of a lost node is freed, and in which order, so that the database comes up elsewhere soon
// and nothing that was acknowledged is lost (guard.md, longhorn-real.md).
//
// Config.Decide is a pure function of the objects: a guard that is restarted in the middle of a take-over goes on from them. The
// package does nothing itself; what reads and writes the cluster stands behind Reader and Actor.
package guard

import (
	"context"
	"time"
)

// Ready is the status of a condition Ready.
type Ready string

const (
	// ReadyTrue is a node that works.
	ReadyTrue Ready = "True"
	// ReadyFalse is a node whose kubelet lives and says that it does not work.
	ReadyFalse Ready = "False"
	// ReadyUnknown is a node of which the control plane has heard nothing for its grace period.
	ReadyUnknown Ready = "Unknown"
)

// World is what the guard knows of the cluster. Times are the API server's, unless a field says otherwise.
type World struct {
	// Live says that nodes, leases and pods were read for this decision, and do not come from a cache.
	Live bool
	// GuardNode is the node that the guard itself runs on.
	GuardNode string
	// GuardSince is when the guard's own pod was created, or zero when its pod is not there.
	GuardSince time.Time
	// Volume is the database's volume as nodes name it in status.volumesInUse: kubernetes.io/csi/driver.longhorn.io^NAME.
	Volume string
	// Nodes are all nodes of the cluster.
	Nodes []Node
	// Gone are nodes whose object is gone, by name, as far as this guard has seen them or a pod or an attachment names them.
	Gone map[string]Gone
	// Unvouched is for how long no guard can have told the check on a node that it is not cut off. A missing one is no time at all.
	Unvouched map[string]time.Duration
	// OtherVolumes are those attached to a node that are not the database's, by the node's name.
	OtherVolumes map[string][]string
	// Leases are the nodes' Leases (namespace kube-node-lease) by the node's name, also of nodes whose object is gone.
	Leases map[string]Lease
	// Pods are the pods that use the database's PVC and are bound to a node.
	Pods []Pod
	// Attachments are the VolumeAttachments of the database's volume.
	Attachments []Attachment
	// LonghornReady has, by the node's name, whether Longhorn's own node object is Ready. A missing one is not.
	LonghornReady map[string]bool
	// Replicas are those of the database's volume.
	Replicas []Replica
	// Orphans are Longhorn's orphans of type engine-instance that are engines of the database's volume.
	Orphans []Orphan
	// Tried has when this guard first tried a kind of step of the open take-over that has not succeeded since, or waited in WaitEnd; it is
	// emptied when a decision names another node. After a restart it is empty: the budgets that count from here begin again, nothing else changes.
	Tried map[Kind]time.Time
}

// Node is what counts of a Node object.
type Node struct {
	Name string
	// ResourceVersion is the precondition of every change of the node.
	ResourceVersion string
	Ready           Ready
	// ReadySince is the condition's lastTransitionTime, which the control plane writes when it is Unknown.
	ReadySince time.Time
	// BootID is status.nodeInfo.bootID: another one after every boot.
	BootID string
	// VolumesInUse is status.volumesInUse.
	VolumesInUse []string
	// OutOfService says that the taint node.kubernetes.io/out-of-service is there, whoever set it.
	OutOfService bool
	// Shutdown says that the cloud's taint node.cloudprovider.kubernetes.io/shutdown is there.
	Shutdown bool
	// ShutdownFor is how long this guard has seen that taint: it carries no time (effect NoSchedule).
	ShutdownFor time.Duration
	// Record is the guard's annotation, or nil.
	Record *Record
}

// Gone is what is known of a node whose object is gone.
type Gone struct {
	// For is how long this guard has seen that, by its own clock.
	For time.Duration
	// UnknownSince is since when the control plane had called it Unknown when it was seen last, or zero.
	UnknownSince time.Time
}

// Record is the guard's annotation on a node whose pod it frees: what a restarted guard goes on from.
type Record struct {
	// BootID is the node's when the take-over began.
	BootID string `json:"bootID"`
	// Time is when the take-over began.
	Time time.Time `json:"time"`
	// PodUID is the pod that is freed.
	PodUID string `json:"podUID"`
	// Tainted says that the out-of-service taint is the guard's own. It never removes another one.
	Tainted bool `json:"tainted,omitempty"`
	// Untainted is when the guard took its taint from a node that is back.
	Untainted time.Time `json:"untainted,omitzero"`
}

// Lease is a node's heartbeat.
type Lease struct {
	// RenewTime is spec.renewTime, written by the node's clock.
	RenewTime time.Time
	// Unchanged is how long this guard has seen that same renewal, by its own clock; 0 after its start. It is right however
	// wrong the node's clock is.
	Unchanged time.Duration
}

// Pod is what counts of a Pod object.
type Pod struct {
	Name string
	// UID is the precondition of every deletion.
	UID  string
	Node string
	// DeletedAt is when its deletion was asked for (deletionTimestamp less deletionGracePeriodSeconds), or zero.
	DeletedAt time.Time
	// Unwatched says that no check ran in it, by its spec or by the last that its kubelet said: nothing has ended its database where it
	// was cut off. A pod from before the guard was switched on is one, for as long as it is not replaced.
	Unwatched bool
}

// Attachment is what counts of a VolumeAttachment.
type Attachment struct {
	Name string
	// UID is the precondition of its deletion.
	UID  string
	Node string
	// Attached is status.attached.
	Attached bool
}

// Replica is what counts of a replica in Longhorn.
type Replica struct {
	Name string
	// ResourceVersion is the precondition of its change: once Longhorn has begun to rebuild it, it must not be failed any more.
	ResourceVersion string
	Node            string
	// Healthy says that it was read and written (spec.healthyAt) and has not failed since.
	Healthy bool
	// Failed says that Longhorn no longer uses its content (spec.failedAt).
	Failed bool
}

// Orphan is an engine that runs on a node and belongs to nothing.
type Orphan struct {
	Name string
	// UID is the precondition of its deletion.
	UID  string
	Node string
}

// Reader reads the cluster.
type Reader interface {
	// World reads everything that a decision needs, nodes, leases and pods live, and the API server's time (its header Date).
	World(ctx context.Context) (World, time.Time, error)
}

// Labeller keeps a label on the node that has the database's volume, which the database's next pod prefers: there the volume need be neither
// detached nor attached.
type Labeller interface {
	// Label looks where the volume is attached, and moves the label there. It returns what it has changed, also beside an error.
	Label(ctx context.Context) ([]Labelled, error)
}

// Labelled is a node that has got the label, or lost it.
type Labelled struct {
	Node string
	Has  bool
}

// Actor changes the cluster.
type Actor interface {
	// Do takes a step with its preconditions. An error is no reason to stop: the world is read again and decided on each second,
	// and at once after a step that succeeded.
	Do(ctx context.Context, step Step) error
}

func (w World) node(name string) *Node {
	for i := range w.Nodes {
		if w.Nodes[i].Name == name {
			return &w.Nodes[i]
		}
	}
	return nil
}

func (w World) podOn(node string) *Pod {
	for i := range w.Pods {
		if w.Pods[i].Node == node {
			return &w.Pods[i]
		}
	}
	return nil
}

func (w World) attachmentOn(node string) *Attachment {
	for i := range w.Attachments {
		if w.Attachments[i].Node == node {
			return &w.Attachments[i]
		}
	}
	return nil
}

// attachedElsewhere says whether another node has the volume.
func (w World) attachedElsewhere(node string) bool {
	for _, one := range w.Attachments {
		if one.Node != node && one.Attached {
			return true
		}
	}
	return false
}

// stranded says whether the database's volume is on a node and on no other.
func (w World) stranded(node string) bool {
	return w.attachmentOn(node) != nil && !w.attachedElsewhere(node)
}

// ready says whether a node is there and Ready.
func (w World) ready(name string) bool {
	node := w.node(name)
	return node != nil && node.Ready == ReadyTrue
}

// good counts the healthy replicas on Ready nodes other than the given one.
func (w World) good(except string) int {
	count := 0
	for _, one := range w.Replicas {
		if one.Node != except && one.Healthy && !one.Failed && w.ready(one.Node) {
			count++
		}
	}
	return count
}
