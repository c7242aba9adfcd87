package fencer

import (
	"fmt"

	"ha-iris/agent/internal/fence"
	"ha-iris/agent/internal/processes"
)

// Past is what an earlier process of the check left in this pod.
type Past struct {
	record  record
	known   bool
	problem error
}

// Recall reads it. A record that cannot be read, or of another boot, says nothing but that there was a time of which nothing is
// known: the volume may have been taken over, and only the API server's word lets the database start.
func Recall(directory, bootID string) Past {
	found, known, err := load(directory)
	switch {
	case err != nil:
		return Past{record: record{Doubtful: true}, problem: err}
	case known && found.BootID != bootID:
		return Past{record: record{Doubtful: found.Admitted || found.Doubtful, Peers: found.Peers}, known: true}
	default:
		return Past{record: found, known: known}
	}
}

// Peers are the guards that were asked.
func (p Past) Peers() []string { return p.record.Peers }

// Processes are what was paused and ended.
func (p Past) Processes() processes.Memory { return p.record.Processes }

// New returns the check, which goes on where the past ended.
func New(config Config, directory string, past Past) (*Loop, error) {
	l := newLoop(config, newKeeper(directory))
	if past.problem != nil {
		config.Log.Error("only the API server's word lets the database start", "error", past.problem)
	}
	l.doubtful = past.record.Doubtful
	now := config.Now()
	switch {
	case past.record.Admitted:
		l.machine = fence.Resume(config.Parameters, past.record.Machine, now)
		l.heard = past.record.Machine.Heard
	case !past.known:
		left, err := config.Database.Left()
		if err != nil {
			return nil, err
		}
		if left > 0 { // It should not be: whoever starts the database asks before, and that is recorded.
			config.Log.Error("processes run of which nothing is recorded", "processes", left)
			l.machine = fence.Unwatched(config.Parameters, now)
		}
	}
	if l.machine != nil {
		state := l.machine.Memory().State
		l.status.change(string(state), now)
		config.Log.Info("the check goes on", "state", string(state))
	}
	if err := l.keeper.keep(l.record()); err != nil {
		return nil, fmt.Errorf("in %s: %w", directory, err)
	}
	return l, nil
}

// Save records a change before what follows from it. Package processes calls it from the loop's own goroutine.
func (l *Loop) Save() { l.save() }
