// Package alive is what the check in the database's pod and the guards say to each other.
package alive

import "net/url"

// Path is where a guard answers the check.
const Path = "/alive"

// Says is what a guard tells the check in the pod of a node.
type Says string

const (
	// Reachable is that nobody may take the volume from the node before the check has had its time to end the database.
	Reachable Says = "reachable"
	// Lost is that the node is lost to the control plane: that this guard can be reached from it is no reason to go on.
	Lost Says = "lost"
	// Follower is that another guard leads, who alone knows.
	Follower Says = "follower"
	// Cut is that this guard does not reach the API server. Where all that the check knows say so, none of them can take over; one that it
	// does not know must not (guard.Config.KnownFor).
	Cut Says = "cut"
)

// Answer is a guard's: the node that it runs on, and what it says of the one that asks.
type Answer struct {
	Node string `json:"node"`
	Says Says   `json:"says"`
}

const (
	nodeKey, apiServerKey = "node", "apiserver"
	answers, silent       = "answers", "silent"
)

// Question is the query of a check on a node, and whether the API server answered its last round.
func Question(node string, reachesAPIServer bool) url.Values {
	said := silent
	if reachesAPIServer {
		said = answers
	}
	return url.Values{nodeKey: {node}, apiServerKey: {said}}
}

// Asked reads a question. Without a word of the API server it counts as silent.
func Asked(query url.Values) (node string, reachesAPIServer bool) {
	return query.Get(nodeKey), query.Get(apiServerKey) == answers
}
