package cluster

import (
	"fmt"

	"ha-iris/internal/problems"
)

// maxNameOfExisting and maxPath bound texts that have no other limit: the length of an object's name in Kubernetes and of a path
// on Linux.
const (
	maxNameOfExisting = 253
	maxPath           = 4096
	// maxAdminGroups is more than anybody has; no limit is documented.
	maxAdminGroups = 100
)

// limits are the maximums of a kind of cluster according to its documentation. tags is the limit per resource minus this
// program's own tags; why is the reason for nodes.
type limits struct {
	nodes, sourceRanges, tags int
	why                       string
}

func (c Config) checkLimits(found *problems.List, most limits) {
	if c.Nodes > most.nodes {
		found.Add("cluster.nodes", c.Nodes, fmt.Sprintf("at most %d: %s", most.nodes, most.why))
	}
	found.AtMost("cluster.apiServerSourceRanges", len(c.APIServerSourceRanges), most.sourceRanges, "networks")
	found.AtMost("cluster.tags", len(c.Tags), most.tags, "tags")
	found.AtMost("cluster.name", len(c.Name), maxNameOfExisting, "characters")
	found.AtMost("cluster.aadAdminGroups", len(c.AADAdminGroups), maxAdminGroups, "groups")
	found.AtMost("cluster.context", len(c.Context), maxPath, "characters")
	found.AtMost("cluster.kubeconfigPath", len(c.KubeconfigPath), maxPath, "characters")
}
