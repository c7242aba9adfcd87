package kube

// VerifyRights are all that a run of agent verify uses, and nothing else (a test holds the requests against it).
func VerifyRights(target VerifyTarget) []Right {
	own, lh := target.Database.Namespace, target.Database.LonghornNamespace
	const classes, claims = "storageclasses", "persistentvolumeclaims"
	return []Right{
		{
			Verb: "get", Group: "apps", Resource: "deployments", Namespace: own, Name: target.Database.Deployment,
			Why: "which pod is the database's, and its UID for the event",
		},
		{Verb: "list", Resource: "pods", Namespace: own, Why: "the database's pod, the copy's, and that of another run"},
		// The name of the database's pod is generated, so that no name can be given.
		{Verb: "create", Resource: "pods/exec", Namespace: own, Why: "marker rows, and the integrity check in the copy"},
		{Verb: "create", Resource: "events", Namespace: own, Why: "how it ended"},
		{Verb: "list", Group: "longhorn.io", Resource: "volumes", Namespace: lh, Why: "the claim's volume, and how far the copy's is"},
		{Verb: "list", Group: "longhorn.io", Resource: "backups", Namespace: lh, Why: "which one is the last"},
		{Verb: "get", Resource: "podtemplates", Namespace: own, Name: target.Template, Why: "what the copy's pod is made from"},
		{Verb: "create", Resource: "pods", Namespace: own, Why: "the copy's"},
		{Verb: "delete", Resource: "pods", Namespace: own, Name: target.Copy, Why: "the copy's"},
		{Verb: "get", Resource: claims, Namespace: own, Name: target.Copy, Why: "whether the copy has a volume"},
		{Verb: "create", Resource: claims, Namespace: own, Why: "the copy's"},
		{Verb: "delete", Resource: claims, Namespace: own, Name: target.Copy, Why: "the copy's, and with it its volume"},
		{Verb: "get", Group: "storage.k8s.io", Resource: classes, Name: target.Class, Why: "what an earlier run has left"},
		{Verb: "create", Group: "storage.k8s.io", Resource: classes, Why: "which backup the copy's volume is filled from"},
		{Verb: "delete", Group: "storage.k8s.io", Resource: classes, Name: target.Class, Why: "the same, once the volume is there"},
		{Verb: "get", Resource: "configmaps", Namespace: own, Name: target.Results, Why: "what earlier runs have found"},
		{Verb: "create", Resource: "configmaps", Namespace: own, Why: "what was found, the first time"},
		{Verb: "update", Resource: "configmaps", Namespace: own, Name: target.Results, Why: "what was found"},
	}
}
