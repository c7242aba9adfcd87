package fence

import "time"

// Memory is what of a machine has to outlive the process that watches. Its times count from the boot of the node, so it says
// nothing after another boot.
type Memory struct {
	State State `json:"state"`
	// Heard is the start of the last round with an answer.
	Heard time.Duration `json:"heard"`
	// Judged is when the machine last looked.
	Judged time.Duration `json:"judged"`
	// Peers says that a guard on another node was known at some time.
	Peers bool `json:"peers"`
	// Slept says that only the API server's word lets a paused database go on.
	Slept bool `json:"slept"`
}

// Memory returns what Resume needs to go on.
func (m *Machine) Memory() Memory {
	return Memory{State: m.state, Heard: m.heard, Judged: m.judged, Peers: m.peers, Slept: m.slept}
}

// Resume returns a machine that goes on where another one was, as one that was asleep since would: a paused database stays
// paused until an answer and its silence is counted on, an ended one stays ended, and one that ran while nobody looked for a
// stall or longer is paused by the next look.
func Resume(parameters Parameters, memory Memory, now time.Duration) *Machine {
	return &Machine{
		parameters: parameters,
		state:      memory.State,
		why:        "the check goes on after a restart",
		heard:      min(memory.Heard, now),
		judged:     min(memory.Judged, now),
		asked:      now, // No round of the other process is told to this one.
		peers:      memory.Peers,
		slept:      memory.Slept,
	}
}

// Unwatched returns a machine for a database that runs and of which nothing is known: its first look pauses it, and only the
// API server's word lets it go on.
func Unwatched(parameters Parameters, now time.Duration) *Machine {
	long := max(parameters.Stall, parameters.EndAfter)
	return Resume(parameters, Memory{State: Running, Heard: now - long, Judged: now - long}, now)
}

// Begin returns the machine of a database that Admit has let start, with the rounds that it was let start on: what was heard in
// the first of them may be as old as PauseAfter by now. There has to be at least one.
func (p Parameters) Begin(rounds []Round) *Machine {
	machine := New(p, rounds[0].Start)
	for _, round := range rounds {
		machine.Observe(round)
	}
	return machine
}
