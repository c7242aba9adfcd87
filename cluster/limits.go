package cluster

import (
	"fmt"

	"ha-iris/internal/problems"
)

// maxNameOfExisting and maxPath bound texts that nothing else does: an object's name in Kubernetes, a path on Linux.
const (
	maxNameOfExisting = 253
	maxPath           = 4096
)

// limits are what a cloud takes at most, by its own documents.
type limits struct {
	nodes, sourceRanges, tags int
	why                       string
}

// limitsOf returns the limits of a kind of cluster. Tags are those that a resource may carry, less those of this program.
func limitsOf(cloud Cloud) limits {
	switch cloud {
	case AKS:
		return limits{nodes: 1000, sourceRanges: 200, tags: 50 - 4, why: "AKS' limit per node pool"}
	case EKS:
		return limits{nodes: 450, sourceRanges: 40, tags: 50 - 6, why: "EKS' quota per managed node group"}
	case GKE:
		return limits{nodes: 3000, sourceRanges: 100, tags: 64 - 4, why: "GKE's limit of 1000 per node pool and zone"}
	case Existing:
	}
	return limits{nodes: 5000, why: "what Kubernetes is built for"}
}

func (c Config) checkLimits(found *problems.List) {
	most := limitsOf(c.Cloud)
	if c.Nodes > most.nodes {
		found.Add("cluster.nodes", c.Nodes, fmt.Sprintf("at most %d: %s", most.nodes, most.why))
	}
	atMost(found, "cluster.apiServerSourceRanges", len(c.APIServerSourceRanges), most.sourceRanges, "networks")
	atMost(found, "cluster.tags", len(c.Tags), most.tags, "tags")
	atMost(found, "cluster.name", len(c.Name), maxNameOfExisting, "characters")
	atMost(found, "cluster.context", len(c.Context), maxPath, "characters")
	atMost(found, "cluster.kubeconfigPath", len(c.KubeconfigPath), maxPath, "characters")
}

// atMost reports what is too long. A limit of 0 is none.
func atMost(found *problems.List, path string, got, most int, what string) {
	if most > 0 && got > most {
		found.AddSecret(path, fmt.Sprintf("%d %s", got, what), fmt.Sprintf("at most %d", most))
	}
}
