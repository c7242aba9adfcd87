package fence

import (
	"testing"
	"time"
)

const second = time.Second

// at is a round that began and ended then, with one peer unless peers are given.
func at(seconds float64, apiServer bool, peers ...bool) Round {
	when := time.Duration(seconds * float64(second))
	round := Round{Start: when, End: when, APIServer: apiServer, Peers: peers}
	if apiServer {
		round.Pod = WordWanted
	}
	return round
}

// sequence is what a machine is told, and the state that it has after each round.
type sequence struct {
	parameters Parameters // The defaults if there are none.
	rounds     []Round
	want       []State
}

func (h sequence) check(t *testing.T) {
	t.Helper()
	p := h.parameters
	if p == (Parameters{}) {
		p = Default()
	}
	m, before := New(p, 0), Running
	for i, round := range h.rounds {
		got := m.Observe(round)
		if got.State != h.want[i] || got.Changed != (got.State != before) || got.Why == "" {
			t.Errorf("round %d at %v: got %+v after %s, want %s", i, round.End, got, before, h.want[i])
		}
		before = got.State
	}
}

func checkAll(t *testing.T, sequences map[string]sequence) {
	t.Helper()
	for name, h := range sequences {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h.check(t)
		})
	}
}

func TestMachine_PausesContinuesAndEnds(t *testing.T) {
	t.Parallel()
	old := at(5, true, true)
	old.Start = 3 * second
	slow := at(0.5, false, true)
	slow.End = 1400 * time.Millisecond
	checkAll(t, map[string]sequence{
		"silence short of the threshold": {rounds: []Round{at(0, true, true), at(3.9, false, false)}, want: []State{Running, Running}},
		"silence of the threshold":       {rounds: []Round{at(0, true, true), at(4, false, false)}, want: []State{Running, Paused}},
		"back in time":                   {rounds: []Round{at(4, false, false), at(5, false, true)}, want: []State{Paused, Running}},
		"an answer from before the pause": {
			rounds: []Round{at(4, false, false), old, at(6, true, true)}, want: []State{Paused, Paused, Running},
		},
		"too late": {
			rounds: []Round{at(4, false, false), at(11, false, false), at(24.9, false, false), at(25, true, true), at(26, true, true)},
			want:   []State{Paused, Paused, Paused, Ended, Ended},
		},
		"a slow answer counts from its question": {rounds: []Round{slow, at(4.5, false, false)}, want: []State{Running, Paused}},
		"rounds that end out of order are no sleep": {
			rounds: []Round{at(5, true, true), at(3, true, true), at(12, true, true)}, want: []State{Running, Running, Running},
		},
		"a clock that goes back is no sleep": {
			rounds: []Round{at(5, true, true), at(3, true, true), at(6, true, true)},
			want:   []State{Running, Running, Running},
		},
	})
}

func TestMachine_SleepIsASilence(t *testing.T) {
	t.Parallel()
	unwanted := at(61, true, true)
	unwanted.Pod = WordUnwanted
	checkAll(t, map[string]sequence{
		"asleep, briefly": {
			rounds: []Round{at(1, true, true), at(9, true, true), at(10, false, true)},
			want:   []State{Running, Paused, Running},
		},
		"asleep, and cut off": {
			rounds: []Round{at(9, false, false), at(10, false, false), at(34, false, false)},
			want:   []State{Paused, Paused, Ended},
		},
		"asleep for long, only peers answer": {
			rounds: []Round{at(60, true, true), at(61, false, true), at(80, false, true), at(91, true, true)},
			want:   []State{Paused, Paused, Paused, Running},
		},
		"asleep for long, and taken over": {
			rounds: []Round{at(60, true, true), unwanted, at(62, true, true)},
			want:   []State{Paused, Ended, Ended},
		},
		"without peers, a sleep is a sleep": {rounds: []Round{at(9, false), at(10, false)}, want: []State{Paused, Running}},
		"once awake, a peer is enough again": {
			rounds: []Round{at(60, true, true), at(61, true, true), at(65, false, false), at(66, false, true)},
			want:   []State{Paused, Running, Paused, Running},
		},
	})
}

func TestMachine_WithoutPeersDoesAsItIsTold(t *testing.T) {
	t.Parallel()
	strict := Default()
	strict.WithoutPeers = WithoutPeersFence
	checkAll(t, map[string]sequence{
		"no peers known, API server away": {
			rounds: []Round{at(0, true), at(4, false), at(11, false), at(18, false)},
			want:   []State{Running, Running, Running, Running},
		},
		"no peers known, strict": {
			parameters: strict, rounds: []Round{at(0, true), at(4, false)},
			want: []State{Running, Paused},
		},
		"the list of peers went with a cut": {rounds: []Round{at(0, true, true), at(4, false)}, want: []State{Running, Paused}},
	})
}

// Probes that hang must not keep the database alive.
func TestMachine_TickPausesAndEndsWithoutRounds(t *testing.T) {
	t.Parallel()
	m := New(Default(), 0)
	for now := time.Duration(0); now <= 40*second; now += second {
		want := Running
		if now >= 4*second {
			want = Paused
		}
		if now >= 25*second {
			want = Ended
		}
		if got := m.Tick(now); got.State != want {
			t.Fatalf("after %v: got %s, want %s", now, got.State, want)
		}
	}
}

// A pod that was given up is ended at once, whatever the state; one that is being deleted may stop in order, unless its engine may have
// gone on alone meanwhile.
func TestMachine_PodThatIsNoLongerThere(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		silent time.Duration
		word   Word
		want   State
	}{
		"gone while it runs":                    {0, WordGone, Ended},
		"gone while it is paused":               {6 * time.Second, WordGone, Ended},
		"deleted while it runs":                 {0, WordUnwanted, Running},
		"deleted in a pause within the stall":   {6 * time.Second, WordUnwanted, Running},
		"deleted in a pause beyond the stall":   {12 * time.Second, WordUnwanted, Ended},
		"still wanted, paused beyond the stall": {12 * time.Second, WordWanted, Running},
	} {
		machine, now := New(Default(), 0), time.Duration(0)
		for ; now < test.silent; now += time.Second {
			machine.Observe(Round{Start: now, End: now + time.Second, Peers: []bool{false}})
		}
		got := machine.Observe(Round{Start: now, End: now, APIServer: true, Pod: test.word, Peers: []bool{true}})
		if got.State != test.want {
			t.Errorf("%s: got %s (%s), want %s", name, got.State, got.Why, test.want)
		}
	}
}
