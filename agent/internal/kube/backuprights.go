package kube

// BackupRights are all that a run of agent backup uses, and nothing else (a test holds the requests against it).
func BackupRights(target BackupTarget) []Right {
	own, lh := target.Namespace, target.LonghornNamespace
	rights := []Right{
		{
			Verb: "get", Group: "apps", Resource: "deployments", Namespace: own, Name: target.Deployment,
			Why: "whether the database is scaled to 0, and its UID for the event",
		},
		{Verb: "list", Resource: "pods", Namespace: own, Why: "the database's pod, and whether it is ready"},
		// The pod's name is generated, so that no name can be given.
		{Verb: "create", Resource: "pods/exec", Namespace: own, Why: "freeze and thaw"},
		{Verb: "create", Resource: "events", Namespace: own, Why: "how it ended"},
		{Verb: "list", Group: "longhorn.io", Resource: "volumes", Namespace: lh, Why: "the claim's volume, its state and its target"},
		{Verb: "get", Group: "longhorn.io", Resource: "backuptargets", Namespace: lh, Why: "whether it is available"},
	}
	for _, resource := range []string{"snapshots", "backups"} {
		rights = append(rights,
			Right{Verb: "get", Group: "longhorn.io", Resource: resource, Namespace: lh, Why: "how far it is"},
			Right{Verb: "list", Group: "longhorn.io", Resource: resource, Namespace: lh, Why: "other runs', and old ones"},
			Right{Verb: "create", Group: "longhorn.io", Resource: resource, Namespace: lh, Why: "the run's own"},
			Right{Verb: "delete", Group: "longhorn.io", Resource: resource, Namespace: lh, Why: "own ones beyond the number that is kept"},
		)
	}
	return rights
}
