package kube

// Right is one thing that the guard does with one kind of object.
type Right struct {
	Verb, Group, Resource string
	// Namespace is empty for objects of the whole cluster, and for all that RBAC cannot bound to a namespace.
	Namespace string
	// Name is the only object that it is needed for, or empty.
	Name string
	// Acts says that mode observe does not need it.
	Acts bool
	Why  string
}

// nodeEvents is where events of nodes go, which are in no namespace themselves.
const nodeEvents = "default"

// Rights are all that the guard uses, and nothing else (a test holds the requests against it).
func Rights(target Target, lease string) []Right {
	own, lh := target.Namespace, target.LonghornNamespace
	rights := []Right{
		{Verb: "list", Resource: "nodes", Why: "Ready, boot ID, taints, the volumes in use, the guard's record; those with its label"},
		{Verb: "get", Resource: "nodes", Acts: true, Why: "the taints, before the list of them is changed; what a node is like, before it gets the label"},
		{Verb: "patch", Resource: "nodes", Acts: true, Why: "the guard's annotation and label, and the out-of-service taint"},
		{Verb: "list", Resource: "pods", Namespace: own, Why: "the pods that use the claim"},
		{Verb: "delete", Resource: "pods", Namespace: own, Acts: true, Why: "the lost node's pod"},
		{Verb: "get", Resource: "persistentvolumeclaims", Namespace: own, Name: target.Claim, Why: "the claim's volume"},
		{Verb: "get", Resource: "persistentvolumes", Why: "what the driver calls the volume"},
		{Verb: "list", Group: "coordination.k8s.io", Resource: "leases", Namespace: leaseNamespace, Why: "the nodes' heartbeats"},
		{Verb: "list", Group: "storage.k8s.io", Resource: "volumeattachments", Why: "where the volume is attached"},
		{Verb: "delete", Group: "storage.k8s.io", Resource: "volumeattachments", Acts: true, Why: "that of a node whose object is gone"},
		{Verb: "get", Group: "coordination.k8s.io", Resource: "leases", Namespace: own, Name: lease, Why: "the election"},
		{Verb: "create", Group: "coordination.k8s.io", Resource: "leases", Namespace: own, Why: "the election, the first time"},
		{Verb: "update", Group: "coordination.k8s.io", Resource: "leases", Namespace: own, Name: lease, Why: "the election"},
		{Verb: "create", Resource: "events", Namespace: own, Why: "events of the pod"},
		{Verb: "patch", Resource: "events", Namespace: own, Why: "the same, again"},
		{Verb: "create", Resource: "events", Namespace: nodeEvents, Why: "events of nodes"},
		{Verb: "patch", Resource: "events", Namespace: nodeEvents, Why: "the same, again"},
	}
	if lh == "" {
		return rights
	}
	return append(rights,
		Right{Verb: "list", Group: "longhorn.io", Resource: "nodes", Namespace: lh, Why: "whether Longhorn has noticed the loss"},
		Right{Verb: "list", Group: "longhorn.io", Resource: "replicas", Namespace: lh, Why: "that others are healthy"},
		Right{Verb: "patch", Group: "longhorn.io", Resource: "replicas", Namespace: lh, Acts: true, Why: "the lost node's is failed"},
		Right{Verb: "list", Group: "longhorn.io", Resource: "orphans", Namespace: lh, Why: "an engine that was left on a node"},
		Right{Verb: "delete", Group: "longhorn.io", Resource: "orphans", Namespace: lh, Acts: true, Why: "it is ended"},
	)
}
