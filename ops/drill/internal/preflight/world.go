// Package preflight says why a cluster would not survive a fault, before the fault is made. What it decides is a pure function of
// what was read.
package preflight

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Replica is one copy of the volume.
type Replica struct {
	Name, Node string
	// Good is that it runs and has all data.
	Good bool
}

// Volume is what Longhorn says of the database's volume.
type Volume struct {
	Name              string
	State, Robustness string
	Replicas          []Replica
	// Rebuilding are the replicas that are being filled.
	Rebuilding []string
}

// Hold is another drill's Lease.
type Hold struct {
	Holder  string
	Renewed time.Time
	// Live is that it was renewed lately, Unfinished that a drill has left something undone.
	Live, Unfinished bool
}

// World is what the decision is made of.
type World struct {
	// Namespace and Claim are the database's; Endpoint is its Service's address, from outside if it has one.
	Namespace, Claim string
	ClaimUID         string
	// PersistentVolume is the bound volume's name, Driver its CSI driver's.
	PersistentVolume, Driver string
	// Database are the pods of the database, and which container is its own.
	Database  []corev1.Pod
	Container string
	// Nodes and Pods are those of the whole cluster.
	Nodes []corev1.Node
	Pods  []corev1.Pod
	// Volume is nil where the storage is not Longhorn.
	Volume *Volume
	Hold   *Hold
	// RunnerNode is the node that this program runs on; empty: none.
	RunnerNode string
	// Simulated is that nodes have no containers.
	Simulated bool
}

// Pod is the pod that the database runs in, or nil.
func (w *World) Pod() *corev1.Pod {
	for i := range w.Database {
		if w.Database[i].DeletionTimestamp == nil {
			return &w.Database[i]
		}
	}
	return nil
}

// NodeReady says whether a node is Ready.
func NodeReady(node *corev1.Node) bool {
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

// PodReady says whether a pod is Ready.
func PodReady(pod *corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}
