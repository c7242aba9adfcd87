// Package backup makes one backup that IRIS has prepared: it freezes IRIS, has a snapshot of the volume cut, thaws, and has the snapshot
// backed up. Whatever happens in between, IRIS is thawed: by this run, or by the dead man that the run leaves in the database's container
// before it freezes (freeze.sh).
package backup

import (
	"errors"
	"fmt"
	"time"

	"ha-iris/agent/internal/positive"
)

// Config is how a run is made.
type Config struct {
	// Retain is how many backups of this kind are kept. Default: 14.
	Retain int
	// FreezeLimit is when the dead man thaws. Default: 90 s; IRIS holds updates and logins after 600 s.
	FreezeLimit time.Duration
	// SnapshotBudget is how long the snapshot may take to be cut. Default: 60 s.
	SnapshotBudget time.Duration
	// Timeout is how long Longhorn may take for the backup. Default: 6 h; a first one takes the whole volume.
	Timeout time.Duration
	// Patience is how long is waited until a backup can begin: a pod that starts, another run that ends. Default: 10 min.
	Patience time.Duration
}

const (
	maxRetain = 365
	// maxFreeze leaves time for the dead man's attempts before IRIS' own limit of 600 s (GCDI, external backup).
	maxFreeze = 540 * time.Second
	// aroundSnapshot is what freezing and thawing take of the limit beside the snapshot: 10 s for IRIS (ExternalFreeze's TimeOut), the rest
	// for the connections.
	aroundSnapshot = 25 * time.Second
)

// Default returns what facts and vendors' limits suggest.
func Default() Config {
	return Config{Retain: 14, FreezeLimit: 90 * time.Second, SnapshotBudget: time.Minute, Timeout: 6 * time.Hour, Patience: 10 * time.Minute}
}

// Validate returns every problem, joined, or nil.
func (c Config) Validate() error {
	problems := positive.Check(
		positive.Length{Name: "--snapshot-budget", Value: c.SnapshotBudget}, positive.Length{Name: "--timeout", Value: c.Timeout},
		positive.Length{Name: "--patience", Value: c.Patience},
	)
	if c.Retain < 1 || c.Retain > maxRetain {
		problems = append(problems, fmt.Errorf("--retain: got %d, want 1 to %d", c.Retain, maxRetain))
	}
	if least := c.SnapshotBudget + aroundSnapshot; c.FreezeLimit < least || c.FreezeLimit > maxFreeze {
		problems = append(problems, fmt.Errorf("--freeze-limit: got %v, want %v (--snapshot-budget and %v) to %v: IRIS holds updates and logins after "+
			"600 s", c.FreezeLimit, least, aroundSnapshot, maxFreeze))
	}
	return errors.Join(problems...)
}
