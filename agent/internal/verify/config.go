package verify

import (
	"errors"
	"time"

	"ha-iris/agent/internal/positive"
)

// Config is how long each part of a run may take.
type Config struct {
	// Patience is how long is waited until a run can begin: what an earlier one has left must be gone. Default: 10 min.
	Patience time.Duration
	// RestoreTimeout is for the copy's volume, until it has all data. Default: 6 h, as agent backup's for a first backup.
	RestoreTimeout time.Duration
	// StartTimeout is for IRIS, its recovery included, and for room on a node. Default: 30 min.
	StartTimeout time.Duration
	// CheckTimeout is for the integrity check, which reads every block. Default: 12 h.
	CheckTimeout time.Duration
	// CleanupBudget is how long is waited until nothing of the copy is left. Default: 4 min.
	CleanupBudget time.Duration
}

// Default returns times that a volume of some hundred GiB keeps.
func Default() Config {
	return Config{
		Patience: 10 * time.Minute, RestoreTimeout: 6 * time.Hour, StartTimeout: 30 * time.Minute, CheckTimeout: 12 * time.Hour,
		CleanupBudget: 4 * time.Minute,
	}
}

// Validate returns every problem, joined, or nil.
func (c Config) Validate() error {
	return errors.Join(positive.Check(
		positive.Length{Name: "--patience", Value: c.Patience}, positive.Length{Name: "--restore-timeout", Value: c.RestoreTimeout},
		positive.Length{Name: "--start-timeout", Value: c.StartTimeout}, positive.Length{Name: "--check-timeout", Value: c.CheckTimeout},
		positive.Length{Name: "--cleanup-budget", Value: c.CleanupBudget},
	)...)
}
