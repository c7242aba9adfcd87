package fence

import (
	"fmt"
	"testing"
	"time"
)

// history is a fault: which target can be reached when, how long its answers take, and when this process sleeps.
type history struct {
	// away says of the API server (0) and the peers (1, 2) whether it cannot be reached.
	away func(target int, at time.Duration) bool
	// latency of every answer.
	latency time.Duration
	// sleep is when nothing of this process runs.
	sleepFrom, sleepTo time.Duration
	// taken says that another pod has the volume.
	taken func(at time.Duration) bool
}

// moment is what the machine said, and what it was told.
type moment struct {
	round Round
	state State
}

// play runs the machine through a history as a single loop would, with the clock moved by hand.
func play(p Parameters, h history, phase, length time.Duration) []moment {
	m := New(p, 0)
	var moments []moment
	for now := phase; now < length; {
		round := h.round(p, now)
		if h.sleepFrom <= round.End && round.End < h.sleepTo {
			round.End = h.sleepTo
		}
		moments = append(moments, moment{round, m.Observe(round).State})
		now = max(round.Start+p.Interval, round.End)
	}
	return moments
}

// round asks the three targets. An answer needs the way to be there when the probe begins and when the answer comes.
func (h history) round(p Parameters, now time.Duration) Round {
	round := Round{Start: now, End: now + h.latency}
	for target := range 3 {
		ok := !h.away(target, now) && !h.away(target, now+h.latency)
		if !ok {
			round.End = now + p.Timeout
		}
		switch target {
		case 0:
			round.APIServer = ok
		default:
			round.Peers = append(round.Peers, ok)
		}
	}
	if round.APIServer {
		round.Pod = WordWanted
		if h.taken != nil && h.taken(round.End) {
			round.Pod = WordUnwanted
		}
	}
	return round
}

// between says of every target in the list that it is away from one moment to another.
func between(from, to time.Duration, targets ...int) func(int, time.Duration) bool {
	return func(target int, at time.Duration) bool {
		for _, one := range targets {
			if one == target {
				return from <= at && at < to
			}
		}
		return false
	}
}

// phases are the moments of a fault within a second of the loop.
func phases(do func(phase time.Duration)) {
	for phase := time.Duration(0); phase < second; phase += 130 * time.Millisecond {
		do(phase)
	}
}

// checkSilence holds everywhere: no pause without silence for the threshold, and an end to the pause with the first answer.
func checkSilence(t *testing.T, p Parameters, moments []moment) {
	t.Helper()
	heard, before := time.Duration(0), Running
	for _, one := range moments {
		if one.round.Answered() {
			heard = one.round.Start
		}
		if silent := one.round.End - heard; before == Running && one.state == Paused && silent < p.PauseAfter {
			t.Fatalf("paused at %v, after a silence of %v only", one.round.End, silent)
		}
		if before == Paused && one.round.Answered() && one.state == Paused {
			t.Fatalf("still paused at %v although something answered", one.round.End)
		}
		before = one.state
	}
}

// checkCut holds for a cut. Writes are acknowledged on the cut-off side from the end of the stall on, by a database that
// runs; a decision takes the margin to come true.
func checkCut(t *testing.T, p Parameters, moments []moment, cut, back time.Duration) {
	t.Helper()
	since := map[State]time.Duration{}
	before := Running
	for _, one := range moments {
		if one.state != before {
			since[one.state] = one.round.End
		}
		if one.state == Running && one.round.End+p.Margin >= cut+p.Stall && one.round.End < back {
			t.Fatalf("acknowledges at %v, %v after the cut, and the network is back at %v", one.round.End, one.round.End-cut, back)
		}
		before = one.state
	}
	paused, wasPaused := since[Paused]
	if wasPaused && paused+p.Margin > cut+p.WorstPause() {
		t.Errorf("paused %v after the cut, want at most %v", paused+p.Margin-cut, p.WorstPause())
	}
	ended, wasEnded := since[Ended]
	if wasEnded && ended+p.Margin > cut+p.WorstEnd() {
		t.Errorf("ended %v after the cut, want at most %v", ended+p.Margin-cut, p.WorstEnd())
	}
	lasted := back - cut
	if must := lasted >= p.WorstPause(); must && !wasPaused {
		t.Error("never paused")
	}
	// The silence begins up to an interval and a time-out before the cut, and as much may pass until the first answer after it.
	if must, may := lasted >= p.WorstEnd(), lasted > p.EndAfter-2*(p.Interval+p.Timeout); must && !wasEnded || wasEnded && !may {
		t.Errorf("a cut of %v: ended is %v", lasted, wasEnded)
	}
	if final := moments[len(moments)-1].state; wasEnded != (final == Ended) || (!wasEnded && final != Running) {
		t.Errorf("in the end %s, ended is %v", final, wasEnded)
	}
}

func TestHistory_CutAndBack(t *testing.T) {
	t.Parallel()
	for _, latency := range []time.Duration{5 * time.Millisecond, 400 * time.Millisecond, 990 * time.Millisecond} {
		for seconds := 1; seconds <= 200; seconds++ {
			t.Run(fmt.Sprintf("back after %d s, answers take %v", seconds, latency), func(t *testing.T) {
				t.Parallel()
				p := Default()
				phases(func(phase time.Duration) {
					cut := 20 * second
					back := cut + time.Duration(seconds)*second
					moments := play(p, history{away: between(cut, back, 0, 1, 2), latency: latency}, phase, back+20*second)
					checkSilence(t, p, moments)
					checkCut(t, p, moments, cut, back)
				})
			})
		}
	}
}

// Whatever keeps one target within reach stops nothing.
func TestHistory_FalseAlarmsStopNothing(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]func(from, to time.Duration) func(int, time.Duration) bool{
		"API server away":  func(from, to time.Duration) func(int, time.Duration) bool { return between(from, to, 0) },
		"one peer away":    func(from, to time.Duration) func(int, time.Duration) bool { return between(from, to, 1) },
		"all peers away":   func(from, to time.Duration) func(int, time.Duration) bool { return between(from, to, 1, 2) },
		"API server alone": func(from, to time.Duration) func(int, time.Duration) bool { return between(from, to, 0, 2) },
		"guard's rollout": func(from, to time.Duration) func(int, time.Duration) bool { // one after the other, both for a moment
			half := (from + to) / 2
			first, other := between(from, half+2*second, 1), between(half, to, 2)
			return func(target int, at time.Duration) bool { return first(target, at) || other(target, at) }
		},
		"every other second lost": func(time.Duration, time.Duration) func(int, time.Duration) bool {
			return func(_ int, at time.Duration) bool { return at/second%2 == 1 }
		},
	} {
		for _, seconds := range []int{1, 3, 5, 9, 20, 30, 60, 200} {
			t.Run(fmt.Sprintf("%s for %d s", name, seconds), func(t *testing.T) {
				t.Parallel()
				phases(func(phase time.Duration) {
					from := 10 * second
					to := from + time.Duration(seconds)*second
					for _, one := range play(Default(), history{away: away(from, to), latency: 10 * time.Millisecond}, phase, to+10*second) {
						if one.state != Running {
							t.Fatalf("%s at %v", one.state, one.round.End)
						}
					}
				})
			})
		}
	}
}

// A process that did not run for a while knows nothing: it pauses the database for a round when that was a stall or more,
// and asks the API server when it was long enough for a take-over.
func TestHistory_Asleep(t *testing.T) {
	t.Parallel()
	for seconds := 1; seconds <= 200; seconds++ {
		for _, taken := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d s, taken over is %v", seconds, taken), func(t *testing.T) {
				t.Parallel()
				phases(func(phase time.Duration) { checkAsleep(t, time.Duration(seconds)*second, taken, phase) })
			})
		}
	}
}

func checkAsleep(t *testing.T, length time.Duration, taken bool, phase time.Duration) {
	t.Helper()
	p := Default()
	wake := 10*second + length
	h := history{
		away:      between(0, 0),
		latency:   10 * time.Millisecond,
		sleepFrom: 10 * second, sleepTo: wake,
		taken: func(at time.Duration) bool { return taken && at > 10*second+p.EarliestTakeOver },
	}
	moments := play(p, h, phase, wake+10*second)
	final := moments[len(moments)-1].state
	if want := taken && length >= p.EarliestTakeOver; want != (final == Ended) || (!want && final != Running) {
		t.Fatalf("in the end %s", final)
	}
	for _, one := range moments {
		if asleep := one.round.End == wake && length >= p.Stall; asleep && one.state != Paused {
			t.Errorf("%s when it wakes", one.state)
		}
		if late := one.round.End > wake+p.Interval+p.Timeout; late && one.state == Paused {
			t.Errorf("still paused at %v, awake since %v", one.round.End, wake)
		}
	}
}

// A check that was itself away for part of a cut ends the database as soon as one that was not.
func TestHistory_AsleepInACut(t *testing.T) {
	t.Parallel()
	const cut = 10 * second
	p := Default()
	for seconds := time.Duration(9); seconds < 24; seconds++ {
		phases(func(phase time.Duration) {
			h := history{away: between(cut, time.Hour, 0, 1, 2), latency: 10 * time.Millisecond, sleepFrom: cut, sleepTo: cut + seconds*second}
			for _, one := range play(p, h, phase, cut+60*second) {
				if one.round.End > cut+p.WorstEnd() && one.state != Ended {
					t.Fatalf("asleep for %d s of a cut: %s %v after it, want the end after %v", seconds, one.state, one.round.End-cut, p.WorstEnd())
				}
			}
		})
	}
}
