package timeline

import (
	"fmt"
	"slices"
	"time"
)

// Held is where the volume is attached, at a moment.
type Held struct {
	At    time.Time
	Nodes []string
}

// DoublyAttached says, of what was seen, when the volume was attached to two nodes at once, or nothing.
func DoublyAttached(seen []Held) string {
	for _, one := range seen {
		nodes := slices.Compact(slices.Sorted(slices.Values(one.Nodes)))
		if len(nodes) > 1 {
			return fmt.Sprintf("at %s the volume was attached to %d nodes at once: %v", one.At.UTC().Format(time.RFC3339Nano), len(nodes), nodes)
		}
	}
	return ""
}
