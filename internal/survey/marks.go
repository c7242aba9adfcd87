package survey

import (
	"encoding/json"
	"fmt"
	"strings"
)

// checkMarks looks for nodes from which nobody will take the guard's marks, because it was switched off while they were away.
func checkMarks(facts *facts, needs Database, found *findings) {
	if !facts.nodes.known() || needs.GuardMark == "" {
		return
	}
	key := needs.GuardMark
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
			commands = append([]string{fmt.Sprintf("kubectl taint node %s node.kubernetes.io/out-of-service-", name)}, commands...)
		}
		found.warnings.AddSecret("failover.mode", fmt.Sprintf("no guard that acts, while node %s has the marks of one", name),
			"guard until the node is back, or, once the node is in order or its machine gone: "+strings.Join(commands, "; "))
	}
}
