package kube

import (
	"encoding/json"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"ha-iris/agent/internal/guard"
)

// Target is what one guard looks after.
type Target struct {
	// Namespace and Claim name the database's PersistentVolumeClaim.
	Namespace, Claim string
	// Node and Pod are the node that the guard runs on, and its own pod in the same namespace.
	Node, Pod string
	// LonghornNamespace is empty where the storage is not Longhorn.
	LonghornNamespace string
}

const (
	// annotationPrefix begins the annotation with the guard's record. Its name is the namespace: two databases on one cluster keep
	// a record each.
	annotationPrefix = "guard.ha-iris/"
	// labelValue is the label's only value. The Deployment and the admission policy have the same (iris/placement.go, iris/guardrights.go).
	labelValue      = "volume"
	outOfServiceKey = "node.kubernetes.io/out-of-service"
	// outOfServiceValue is the one that Kubernetes' documentation uses. Kubernetes looks at the key and the effect alone; the
	// guard takes only a taint with this value and the effect NoExecute for its own.
	outOfServiceValue = "nodeshutdown"
	cloudShutdownKey  = "node.cloudprovider.kubernetes.io/shutdown"
	leaseNamespace    = "kube-node-lease"
	longhornDriver    = "driver.longhorn.io"
)

// Annotation is the key of the guard's record on nodes.
func (t Target) Annotation() string { return annotationPrefix + t.Namespace }

// Label is the key of the label of the node that has the volume: the annotation's, which fits, because a namespace is never longer than the
// 63 characters that a label's name may have.
func (t Target) Label() string { return t.Annotation() }

// parseRecord reads an annotation. One that is not the guard's own writing counts as a record of nothing: it is written anew or
// given back, and no taint is ever taken away for it.
func parseRecord(text string) *guard.Record {
	record := &guard.Record{}
	if err := json.Unmarshal([]byte(text), record); err != nil {
		return &guard.Record{}
	}
	return record
}

// longhorn is a kind of Longhorn's, in the version that 1.12.1 stores.
func longhorn(resource string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "longhorn.io", Version: "v1beta2", Resource: resource}
}
