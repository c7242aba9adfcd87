package storage

import (
	"context"

	"ha-iris/internal/clock"
	"ha-iris/internal/problems"
	"ha-iris/internal/survey"
)

// Generations are the claims of the database, one for each volume that it has had. The zero value is a single one that begins empty.
type Generations struct {
	// Oldest and Newest are the first and the last of those that are kept; 0 stands for 1.
	Oldest, Newest int
	// Backup is the URL of the backup that the newest is filled from when it is made; empty: none.
	Backup string
	// Snapshot is the name of the VolumeSnapshot that it is filled from instead; empty: none.
	Snapshot string
	// Namespace is where the claims are.
	Namespace string
	// Size is the size of the newest, with a unit.
	Size string
}

// later are the generations after the first that are kept.
func (g Generations) later() []int {
	var numbers []int
	for n := max(g.Oldest, 2); n <= g.Newest; n++ {
		numbers = append(numbers, n)
	}
	return numbers
}

// restores reports whether the newest generation is filled from something.
func (g Generations) restores() bool { return g.Backup != "" || g.Snapshot != "" }

// first reports whether the newest generation is the first one.
func (g Generations) first() bool { return g.Newest <= 1 }

// Restorer fills volumes from backups.
type Restorer interface {
	// Check returns why the newest generation's claim cannot be filled from the configured source, nil if it can or if that cannot be found
	// out yet. Of a VolumeSnapshot it knows no more than whether the storage would let it fill the claim. Outside of previews it waits for what
	// is still on its way. It is called before the claim is made.
	Check(ctx context.Context) error
	// Filled says whether a driver's volume has all its data, and how far it is.
	Filled(ctx context.Context, driver, volume string) (clock.Found, error)
	// Retire has the storage keep the data of a driver's volume whole although nothing uses it any more. Doing it again changes nothing.
	Retire(ctx context.Context, driver, volume string) error
}

// CheckRestore returns what is wrong with a backup's URL as the key at path has it, or nil. It calls no network.
func (c Config) CheckRestore(path, backup string) error {
	var found problems.List
	switch {
	case backup == "":
	case !c.Install:
		found.AddSecret(path, "a value", "nothing with storage.install: false: volumes are filled from backups by "+c.driver().name+
			", which is not installed then; iris.restoreFrom.snapshot takes a VolumeSnapshot of the storage that is there")
	default:
		c.driver().checkRestore(path, backup, &found)
	}
	return found.Err()
}

// refuseRestore returns the checkRestore of a driver that fills no volumes.
func refuseRestore(driver string) func(path, backup string, found *problems.List) {
	return func(path, _ string, found *problems.List) {
		found.AddSecret(path, "a value", "nothing: this program makes no backups with "+driver)
	}
}

// fillsNothing is the checkSource of a driver that fills no volumes.
func fillsNothing(context.Context, *Args) error { return nil }

// asksNothing is its restoreAsks.
func asksNothing(Generations) []survey.Right { return nil }
