package fencer

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ha-iris/agent/internal/fence"
)

func TestAdmission(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		api   fence.Word
		peer  bool
		want  reply
		least time.Duration // An answer within it would be from before the question, or too few.
		most  time.Duration
	}{
		"wanted":               {fence.WordWanted, true, reply{Go: true}, 0, 1100 * time.Millisecond},
		"unwanted":             {fence.WordUnwanted, true, reply{Final: true, Reason: "no longer wants"}, 0, 1100 * time.Millisecond},
		"only guards":          {fence.WordUnknown, true, reply{Go: true}, 3 * second, 6 * second},
		"cut off":              {fence.WordUnknown, false, reply{Reason: "cut off"}, 3 * second, 6 * second},
		"API server, no guard": {fence.WordWanted, false, reply{Go: true}, 0, 2100 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := fresh(t)
				n.set(test.api, test.peer)
				r := n.start(t, t.TempDir())
				defer r.kill()
				time.Sleep(2500 * time.Millisecond)
				asked := r.now()
				got := <-r.ask().reply
				took := r.now() - asked
				if got.Go != test.want.Go || got.Final != test.want.Final || !strings.Contains(got.Reason, test.want.Reason) {
					t.Errorf("got %+v, want %+v", got, test.want)
				}
				if took < test.least || took > test.most {
					t.Errorf("took %v, want %v to %v", took, test.least, test.most)
				}
			})
		})
	}
}

// A round that began before the question says nothing of the time after it.
func TestAdmission_CountsOnlyRoundsThatBeginAfterIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := fresh(t)
		n.set(fence.WordWanted, false) // A round takes its whole time-out.
		r := n.start(t, t.TempDir())
		defer r.kill()
		time.Sleep(1500 * time.Millisecond)
		one := r.ask() // In the middle of a round that will say "wanted".
		r.set(fence.WordUnwanted, false)
		if got := <-one.reply; got.Go || !got.Final {
			t.Errorf("got %+v", got)
		}
	})
}

func TestAdmission_EndedNeedsTheWord(t *testing.T) {
	t.Parallel()
	watched(t, func(t *testing.T, r *run) {
		r.admitted()
		r.set(fence.WordUnknown, false)
		r.check(29*second, fence.Ended)
		r.set(fence.WordUnknown, true)
		time.Sleep(2 * second)
		if got := <-r.ask().reply; got.Go || !strings.Contains(got.Reason, "only the API server") {
			t.Errorf("got %+v", got)
		}
		r.check(0, fence.Ended)
		r.set(fence.WordWanted, true)
		time.Sleep(2 * second)
		r.admitted()
		if got := r.loop.status.state; got != string(fence.Running) {
			t.Errorf("got %s", got)
		}
	})
}

// A container restarts while the database is paused: it waits, and the pause goes on.
func TestAdmission_RestartWhilePaused(t *testing.T) {
	t.Parallel()
	watched(t, func(t *testing.T, r *run) {
		r.admitted()
		r.set(fence.WordUnknown, false)
		r.check(7*second, fence.Paused)
		if got := <-r.ask().reply; got.Go || got.Final {
			t.Errorf("got %+v", got)
		}
		r.check(0, fence.Paused)
		r.set(fence.WordUnknown, true)
		time.Sleep(3 * second)
		r.admitted()
		r.check(second, fence.Running)
	})
}

func TestAdmission_SeveralAtOnceAndOneThatLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := fresh(t)
		r := n.start(t, t.TempDir())
		defer r.kill()
		ctx, leave := context.WithCancel(t.Context())
		left := &request{ctx: ctx, reply: make(chan reply, 1)}
		r.loop.requests <- left
		leave()
		first, second := r.ask(), r.ask()
		for _, one := range []*request{first, second} {
			if got := <-one.reply; !got.Go {
				t.Errorf("got %+v", got)
			}
		}
		synctest.Wait()
		if len(left.reply) > 0 || r.began0 != 2 {
			t.Errorf("one that left was let start; begun %d times", r.began0)
		}
	})
}

// An answer that is nearly as old as a pause takes lets nothing start that would be paused at once.
func TestAdmission_JustCutOff(t *testing.T) {
	t.Parallel()
	n := fresh(t)
	loop := newLoop(n.config(), newKeeper(t.TempDir()))
	defer loop.keeper.stop()
	rounds := []fence.Round{
		{Start: 10 * second, End: 10 * second, Peers: []bool{true}}, {Start: 14 * second, End: 14 * second, Peers: []bool{false}},
	}
	if got := loop.decide(rounds); got.Go || !strings.Contains(got.Reason, "just been cut off") {
		t.Errorf("got %+v", got)
	}
	if loop.machine != nil || n.began0 != 0 {
		t.Error("begun all the same")
	}
}
