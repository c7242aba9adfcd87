package iris

import (
	"fmt"

	"ha-iris/internal/claims"
	"ha-iris/internal/problems"
	"ha-iris/internal/rules"
)

// A restore makes another volume and leaves the one that is there alone. The database's volumes are numbered: generation 1 is the claim
// iris-pvc, generation n is iris-pvc-n, and the database runs on the newest. All of them from the oldest on are resources of the stack,
// protected in the same way, so that a restore deletes nothing.

// maxGenerations bounds the volumes that a stack keeps: each takes its size on several nodes.
const maxGenerations = 10

// claimName is the name of the claim that the database runs on.
func (c Config) claimName() string { return claims.Name(c.Generation) }

// claimNames are those of all generations that are kept, oldest first.
func (c Config) claimNames() []string {
	var names []string
	for generation := max(c.OldestGeneration, 1); generation < c.Generation; generation++ {
		names = append(names, claims.Name(generation))
	}
	return append(names, c.claimName())
}

// String is what the generation is filled from, in words; empty: it begins as an empty volume. Of a backup's address it has no options of a
// mount, which are nobody's business and do not say which backup it is.
func (r RestoreFrom) String() string {
	switch {
	case r.Backup != "":
		return "backup " + rules.WithoutOptions(r.Backup)
	case r.Snapshot != "":
		return "snapshot " + r.Snapshot
	default:
		return ""
	}
}

func (c Config) validateGenerations(found *problems.List) {
	if c.Generation < 1 {
		found.Add("iris.generation", c.Generation, "1 for the first volume, or a higher number")
	}
	switch oldest := max(1, c.Generation-maxGenerations+1); {
	case c.OldestGeneration < 1 || c.OldestGeneration > max(1, c.Generation):
		found.Add("iris.oldestGeneration", c.OldestGeneration, fmt.Sprintf("1 to %d, which is iris.generation", max(1, c.Generation)))
	case c.OldestGeneration < oldest:
		found.Add("iris.oldestGeneration", c.OldestGeneration, fmt.Sprintf("at least %d with iris.generation %d: a stack keeps at most %d volumes",
			oldest, c.Generation, maxGenerations))
	}
	from := c.RestoreFrom
	if from.Backup != "" && from.Snapshot != "" {
		found.AddSecret("iris.restoreFrom", "a backup and a snapshot", "one of the two")
	}
	if from.Snapshot != "" {
		checkName(found, "iris.restoreFrom.snapshot", from.Snapshot)
	}
}
