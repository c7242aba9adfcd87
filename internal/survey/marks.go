package survey

import (
	"encoding/json"
	"fmt"
	"strings"
)

const (
	// guardAnnotation begins the guard's record on a node that it has freed; the namespace follows (agent/internal/kube).
	guardAnnotation = "guard.ha-iris/"
	outOfService    = "node.kubernetes.io/out-of-service"
)

// checkMarks looks for nodes from which nobody will take the guard's marks, because it was switched off while they were away.
func checkMarks(facts *facts, needs Database, found *findings) {
	if !facts.nodes.known() || needs.GuardActs {
		return
	}
	key := guardAnnotation + needs.Namespace
	for _, one := range facts.nodes.value.Items {
		record, marked := one.Metadata.Annotations[key]
		if !marked {
			continue
		}
		name := one.Metadata.Name
		commands := []string{fmt.Sprintf("kubectl annotate node %s %s-", name, key)}
		var said struct {
			Tainted bool `json:"tainted"`
		}
		// A taint that the record does not claim is somebody else's.
		if err := json.Unmarshal([]byte(record), &said); err == nil && said.Tainted {
			commands = append([]string{fmt.Sprintf("kubectl taint node %s %s-", name, outOfService)}, commands...)
		}
		found.warnings.AddSecret("failover.mode", fmt.Sprintf("no guard that acts, while node %s has the marks of one", name),
			"guard until the node is back, or, once the node is in order or its machine gone: "+strings.Join(commands, "; "))
	}
}
