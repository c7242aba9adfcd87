package fence

import (
	"fmt"
	"time"
)

// State is what the database has to be in.
type State string

const (
	// Running lets the database run.
	Running State = "running"
	// Paused keeps every process of it stopped.
	Paused State = "paused"
	// Ended keeps it dead. There is no way back but a new start that Admit lets through.
	Ended State = "ended"
)

// Verdict is what a Machine says after each round.
type Verdict struct {
	// State is the state that the database has to be in from now on.
	State State
	// Changed says that it was another one before.
	Changed bool
	// Why says for a log or an event what led to the state.
	Why string
}

// Machine decides, round by round. It is not safe for concurrent use.
type Machine struct {
	parameters Parameters
	state      State
	why        string
	// heard is the start of the last round with an answer: whoever answered may have done so right after it, not later.
	heard time.Duration
	// judged is when the machine last looked.
	judged time.Duration
	// asked is the earliest start of a round whose answer counts: one that began before a pause may carry an old answer.
	asked time.Duration
	// peers says that a guard on another node was known at some time.
	peers bool
	// slept says that the silence before a sleep and the sleep were long enough for a take-over.
	slept bool
}

// New returns a machine for a database that Admit has let start, by the clock of Round.
func New(parameters Parameters, now time.Duration) *Machine {
	return &Machine{parameters: parameters, state: Running, why: "started", heard: now, judged: now, asked: now}
}

// Observe judges a round. Rounds come in the order of their ends.
func (m *Machine) Observe(round Round) Verdict {
	m.peers = m.peers || len(round.Peers) > 0
	before := m.state
	if m.wakes(round.End) || m.expires(round.End) {
		return m.verdict(before)
	}
	if round.Pod == WordGone && round.Start >= m.asked {
		m.enter(Ended, "the API server no longer has this pod: it was given up, and its volume may be in use elsewhere")
		return m.verdict(before)
	}
	if m.answers(round) && round.Start >= m.asked {
		silent := round.End - m.heard
		m.heard = max(m.heard, round.Start)
		m.resume(round, silent)
	}
	m.silence(round.End)
	return m.verdict(before)
}

// Tick judges without a round: for when the probes themselves do not return. Called each interval, beside Observe.
func (m *Machine) Tick(now time.Duration) Verdict {
	before := m.state
	if !m.wakes(now) && !m.expires(now) {
		m.silence(now)
	}
	return m.verdict(before)
}

// answers says whether a round is a reason to go on.
func (m *Machine) answers(round Round) bool {
	return m.parameters.answers(round, m.peers)
}

// answers says whether a round is a reason to go on, where peers says whether any was ever known.
func (p Parameters) answers(round Round, peers bool) bool {
	alone := len(round.Peers) == 0 && !peers
	return round.Answered() || (alone && p.WithoutPeers == WithoutPeersIgnore)
}

// wakes notices that this process may have been asleep: between two looks lies a stall, in which the engine may have gone
// on alone and the database with it. It pauses first; the next round, which begins after this, is asked. The silence is counted on, unless
// it was long enough for a take-over already. A paused database needs none of this: nothing happened to it in the meantime.
func (m *Machine) wakes(now time.Duration) bool {
	gap := now - m.judged
	m.judged = max(m.judged, now)
	if m.state != Running || gap < m.parameters.Stall {
		return false
	}
	if m.slept = now-m.heard >= m.parameters.EndAfter; m.slept {
		m.heard = now // Paused until the API server says whether the volume is still this pod's.
	}
	m.asked = now
	m.enter(Paused, fmt.Sprintf("nothing was judged for %v: the machine or this process may have slept", gap))
	return true
}

// expires ends for good what has been silent for too long. An answer that comes now comes too late.
func (m *Machine) expires(now time.Duration) bool {
	if m.state == Paused && now-m.heard >= m.parameters.EndAfter {
		m.enter(Ended, fmt.Sprintf("nothing on another node and no API server answered for %v", now-m.heard))
	}
	return m.state == Ended
}

// resume continues a paused database after an answer. After a sleep that was long enough for a take-over only the API server
// can say whether this pod is still the one. A pod that was deleted in a silence longer than the stall has an engine that went on alone:
// to let it stop in order would let it acknowledge.
func (m *Machine) resume(round Round, silent time.Duration) {
	switch {
	case m.state != Paused:
	case round.Pod == WordUnwanted && silent >= m.parameters.Stall:
		m.enter(Ended, fmt.Sprintf("the pod was deleted while nothing answered for %v", silent))
	case !m.slept:
		m.enter(Running, "reachable again")
	case round.Pod == WordWanted:
		m.slept = false
		m.enter(Running, "reachable again, and the API server still has this pod")
	case round.Pod == WordUnwanted:
		m.enter(Ended, "slept, and the API server no longer has this pod")
	}
}

// silence pauses a running database when nothing has answered for the threshold.
func (m *Machine) silence(now time.Duration) {
	if silent := now - m.heard; m.state == Running && silent >= m.parameters.PauseAfter {
		m.asked = now
		m.enter(Paused, fmt.Sprintf("nothing on another node and no API server answered for %v", silent))
	}
}

func (m *Machine) enter(state State, why string) {
	m.state, m.why = state, why
}

func (m *Machine) verdict(before State) Verdict {
	return Verdict{State: m.state, Changed: m.state != before, Why: m.why}
}
