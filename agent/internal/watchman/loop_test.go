package watchman

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"ha-iris/agent/internal/guard"
)

var whole = []guard.Kind{guard.WriteRecord, guard.DeletePod, guard.SetTaint, guard.FailReplica, guard.ForceDeletePod}

func TestLoop_TakesOverAndGivesBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.rounds(7)
	r.wantSteps(whole...)
	r.wantReasons(reasonStarted, reasonStep, reasonFinished)
	if got := r.value("takeovers_total", "finished"); got != 1 || r.value("takeover_seconds", "") != 5 {
		t.Errorf("got %v take-overs, of %v s", got, r.value("takeover_seconds", ""))
	}
	if r.value("steps_total", "set-taint,ok") != 1 || r.value("database_node", "n2") != 1 || r.value("database_node", "n1") != 0 ||
		r.value("last_decision_timestamp_seconds", "") != float64(r.now.Unix()) {
		t.Error("the metrics do not say what was done")
	}
	r.ready("n1", guard.ReadyTrue)
	r.rounds(12)
	r.wantSteps(guard.Untaint)
	r.rounds(21)
	r.wantSteps(guard.GiveBack)
	r.wantReasons(reasonStep, reasonReturned)
	if got := r.lines("verdict=wait step=wait-return"); got != 2 {
		t.Errorf("the log says %d times that it waits:\n%s", got, r.log.String())
	}
}

// At once after a step that succeeded, and each second otherwise.
func TestLoop_LooksEachSecondAndAtOnceAfterAStep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
		defer cancel()
		begun := time.Now()
		r.node("n1").Shutdown, r.node("n1").ShutdownFor = true, time.Minute // The isolation of a node takes longer to prove in a new term.
		r.loop.Run(ctx)
		var seconds []float64
		for _, one := range r.looked {
			seconds = append(seconds, one.Sub(begun).Seconds())
		}
		if want := []float64{0, 0, 0, 0, 0, 0, 1, 2, 3}; !slices.Equal(seconds, want) {
			t.Errorf("looked after %v s, want %v", seconds, want)
		}
	})
}

// Kubernetes may attach the volume to the lost node again within a second of its detachment.
func TestLoop_LooksOftenWhileTheVolumeIsDetached(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		begun := time.Now()
		r.detachLooks = 3
		r.node("n1").Shutdown, r.node("n1").ShutdownFor = true, time.Minute
		r.loop.Run(ctx)
		var looked []int64
		for _, one := range r.looked {
			looked = append(looked, one.Sub(begun).Milliseconds())
		}
		// After record and deletion three looks that find the attachment, then taint, replica and forced deletion.
		if want := []int64{0, 0, 0, 200, 400, 600, 600, 600, 600, 1600}; !slices.Equal(looked, want) {
			t.Errorf("looked after %v ms, want %v", looked, want)
		}
	})
}

// Longhorn takes about a second to see that a node is lost.
func TestLoop_LooksOftenWhileLonghornCallsTheNodeReady(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.world.LonghornReady["n1"] = true
		r.node("n1").Shutdown, r.node("n1").ShutdownFor = true, time.Minute
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		begun := time.Now()
		r.loop.Run(ctx)
		var looked []int64
		for _, one := range r.looked {
			looked = append(looked, one.Sub(begun).Milliseconds())
		}
		if want := []int64{0, 200, 400}; !slices.Equal(looked, want) {
			t.Errorf("looked after %v ms, want %v", looked, want)
		}
	})
}

// A step that succeeds and is decided on again, such as the deletion of an object with a finalizer, is not repeated without a pause.
func TestLoop_TheSameStepAgainWaits(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ready("n1", guard.ReadyTrue)
	r.world.Pods[0].Node = "n2"
	r.world.Attachments, r.world.Replicas[0].Failed = nil, true
	r.node("n1").Record = &guard.Record{BootID: "boot-n1"}
	r.world.Orphans = []guard.Orphan{{Name: "o-1", Node: "n1"}}
	got := []time.Duration{r.loop.round(t.Context()), r.loop.round(t.Context()), r.loop.round(t.Context())}
	if !slices.Equal(got, []time.Duration{0, interval, interval}) {
		t.Errorf("again after: got %v", got)
	}
	r.wantSteps(guard.ClearEngine, guard.ClearEngine, guard.ClearEngine)
	if r.lines("step taken") != 1 || r.value("steps_total", "clear-engine,ok") != 3 {
		t.Errorf("got\n%s", r.log.String())
	}
}

func TestLoop_GoesOnWhenAStepsBudgetIsSpent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.refused[guard.WriteRecord] = errWebhook
	r.rounds(4)
	r.wantSteps(guard.DeletePod, guard.SetTaint)
	if r.lines(errWebhook.Error()) != 1 || r.value("steps_total", "write-record,error") != 2 {
		t.Errorf("got %v failures and the log\n%s", r.value("steps_total", "write-record,error"), r.log.String())
	}
	r.wantReasons(reasonStarted, reasonStepFailed, reasonStep)
}

// What was tried for one node counts neither for another one nor for its next loss.
func TestLoop_WhatWasTriedIsOfOneTakeOver(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*rig){
		"another node": func(r *rig) {
			r.ready("n1", guard.ReadyTrue)
			r.world.Pods[0] = guard.Pod{Name: "iris-b", UID: "uid-b", Node: "n3"}
			r.ready("n3", guard.ReadyUnknown)
			r.world.Leases["n3"] = r.world.Leases["n1"]
			r.node("n1").ReadySince = start.Add(-time.Minute) // It counts for the majority.
			r.world.LonghornReady["n1"], r.world.LonghornReady["n3"] = true, false
		},
		"the same node later": func(r *rig) {
			r.ready("n1", guard.ReadyTrue)
			r.rounds(1)
			r.ready("n1", guard.ReadyUnknown)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.refused[guard.WriteRecord] = errWebhook
			r.rounds(2)
			change(r)
			r.refused = nil
			r.rounds(1)
			r.wantSteps(guard.WriteRecord)
		})
	}
}

// A process that was asleep between looking and acting does not act on what it saw.
func TestLoop_DoesNotActOnWhatIsOld(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	clock := time.Duration(0)
	r.loop.clock = func() time.Duration { clock += stale + 1; return clock }
	r.rounds(1)
	r.wantSteps()
	r.loop.clock = func() time.Duration { clock += stale; return clock }
	r.rounds(1)
	r.wantSteps(guard.WriteRecord)
}

func TestLoop_DoesNothingWithoutAWorld(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.unread = errors.New("connection refused")
	r.rounds(5)
	r.wantSteps()
	if r.lines("cannot be read") != 1 || r.value("reads_total", "error") != 5 {
		t.Errorf("got %v and\n%s", r.value("reads_total", "error"), r.log.String())
	}
	r.unread = nil
	r.rounds(2)
	r.wantSteps(guard.WriteRecord, guard.DeletePod)
	if r.lines("can be read again") != 1 {
		t.Errorf("got\n%s", r.log.String())
	}
}

// The end of a term is no failure to read, and nothing is done after it.
func TestLoop_EndsWithItsTerm(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	r.loop.round(ended)
	r.wantSteps()
	if r.log.Len() > 0 {
		t.Errorf("got\n%s", r.log.String())
	}
}

func TestReport_Observe(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.config.Mode = guard.ModeObserve
	r.restart()
	r.rounds(5)
	r.wantSteps()
	r.wantReasons(reasonWouldTakeOver)
	r.world.Leases["n1"] = guard.Lease{RenewTime: r.now}
	r.rounds(5)
	r.wantReasons(reasonWouldRefuse)
	r.ready("n1", guard.ReadyTrue)
	r.node("n1").Record = &guard.Record{BootID: "another"}
	r.world.Pods[0].Node, r.world.Replicas[0].Failed = "n2", true
	r.rounds(15)
	r.wantSteps()
	r.wantReasons(reasonWouldGiveBack)
}

// A refusal is said once, although the ages in its reason change each second.
func TestReport_Refusal(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.world.Leases["n1"] = guard.Lease{RenewTime: start.Add(-10 * time.Second)}
	r.rounds(5)
	r.wantReasons(reasonRefused)
	if r.lines("verdict=refuse") != 1 || r.value("refusals", "lease") != 1 {
		t.Errorf("got %v and\n%s", r.value("refusals", "lease"), r.log.String())
	}
	r.rounds(40)
	r.wantSteps(whole...)
	if r.value("refusals", "lease") != 0 {
		t.Error("the metric still says that it is refused")
	}
}

// Another leader goes on with what the one before has begun, does not announce it again, and counts from its beginning.
func TestReport_Resumed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.rounds(2)
	r.restart()
	r.rounds(5)
	r.wantSteps(whole...)
	r.wantReasons(reasonStep, reasonFinished)
	if got := r.value("takeover_seconds", ""); got != 5 || r.lines("take-over resumed") != 1 {
		t.Errorf("got %v s and\n%s", got, r.log.String())
	}
}

func TestReport_NodeReturnsInTheMiddle(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.rounds(1)
	r.ready("n1", guard.ReadyTrue)
	r.rounds(1)
	if got := r.value("takeovers_total", "returned"); got != 1 || r.value("takeover_seconds", "") != 0 {
		t.Errorf("got %v", got)
	}
	r.wantReasons(reasonStarted, reasonStep, reasonFinished)
}

func TestReport_NotesAreSaidOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.world.Replicas[2].Healthy = false
	r.rounds(8)
	if r.lines("msg=note") != 1 {
		t.Errorf("got\n%s", r.log.String())
	}
	if !slices.Contains(r.reasons(), reasonNote) {
		t.Error("there is no event of it")
	}
}
