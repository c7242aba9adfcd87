package fence

import "testing"

// resumed is a machine that another process had in the state, which heard and looked at second 100, and goes on at a later second.
func resumed(state State, slept bool, later float64) *Machine {
	memory := Memory{State: state, Heard: 100 * second, Judged: 100 * second, Peers: true, Slept: slept}
	return Resume(Default(), memory, at(later, false).Start)
}

func TestResume(t *testing.T) {
	t.Parallel()
	unwanted := at(102, true)
	unwanted.Pod = WordUnwanted
	for name, test := range map[string]struct {
		machine *Machine
		rounds  []Round
		want    []State
	}{
		"running, away for a moment": {resumed(Running, false, 102), []Round{at(102.5, true)}, []State{Running}},
		"running, away and cut off": {
			resumed(Running, false, 102), []Round{at(103.9, false), at(104, false)}, []State{Running, Paused},
		},
		"running, its list of peers is lost": {resumed(Running, false, 104), []Round{at(104, false)}, []State{Paused}},
		"running, away for a stall": {
			resumed(Running, false, 108), []Round{at(108, false, true), at(109, false, true)}, []State{Paused, Running},
		},
		"running, away for a take-over": {
			resumed(Running, false, 125),
			[]Round{at(125, false, true), at(126, false, true), at(127, true)},
			[]State{Paused, Paused, Running},
		},
		"paused, an answer": {resumed(Paused, false, 102), []Round{at(102, false), at(103, false, true)}, []State{Paused, Running}},
		"paused, the silence lasts": {
			resumed(Paused, false, 110), []Round{at(124.9, false), at(125, false)}, []State{Paused, Ended},
		},
		"paused, back too late": {resumed(Paused, false, 130), []Round{at(130, true)}, []State{Ended}},
		"paused after a sleep":  {resumed(Paused, true, 101), []Round{at(101, false, true), at(102, true)}, []State{Paused, Running}},
		"paused, taken over":    {resumed(Paused, true, 101), []Round{unwanted}, []State{Ended}},
		"ended":                 {resumed(Ended, false, 101), []Round{at(102, true)}, []State{Ended}},
		"nothing is known": {
			Unwatched(Default(), 100*second),
			[]Round{at(100.1, true), at(101, false, true), at(102, true)},
			[]State{Paused, Paused, Running},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i, round := range test.rounds {
				if got := test.machine.Observe(round); got.State != test.want[i] {
					t.Errorf("round %d: got %+v, want %s", i, got, test.want[i])
				}
			}
		})
	}
}

func TestMemory_OutlivesTheMachine(t *testing.T) {
	t.Parallel()
	machine := New(Default(), 0)
	machine.Observe(at(1, true, true))
	machine.Observe(at(60, true, true))
	want := Memory{State: Paused, Heard: 60 * second, Judged: 60 * second, Peers: true, Slept: true}
	if got := machine.Memory(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := Resume(Default(), want, 70*second).Memory(); got != want {
		t.Errorf("got %+v after a restart, want %+v", got, want)
	}
}

// A database that was let start on an answer that is already old is not given the whole time anew.
func TestBegin_CountsFromTheLastAnswer(t *testing.T) {
	t.Parallel()
	p := Default()
	rounds := []Round{at(10, false, true), at(11, false, false), at(12, false, false), at(13, false, false)}
	machine := p.Begin(rounds)
	if got := machine.Memory(); got.State != Running || got.Heard != 10*second || !got.Peers {
		t.Errorf("got %+v", got)
	}
	if got := machine.Observe(at(14, false, false)); got.State != Paused {
		t.Errorf("4 s after the answer: got %+v", got)
	}
	if got := p.Begin(append(rounds, at(14, false, false))).Memory(); got.State != Paused {
		t.Errorf("an answer too old: got %+v", got)
	}
}
