package guard

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

var whole = []Kind{WriteRecord, DeletePod, SetTaint, FailReplica, ForceDeletePod}

// The measured take-over attached 13.4 s after the detection, less a start of the pod of about 2 s (longhorn-real.md).
func TestSequence_TakesTheMeasuredTime(t *testing.T) {
	t.Parallel()
	r := newRig(t).run(120 * second)
	r.wantKinds(whole...)
	r.wantAttachedBy(48.5 + 13.4)
	if got := r.tookAt(WriteRecord); got < 48.5 || got > 49.5 {
		t.Errorf("began after %.1f s, want within a second of the detection at 48.5", got)
	}
	node := r.world.node("n1")
	if record := node.Record; record == nil || !record.Tainted || record.BootID != "boot-n1" || record.PodUID != "uid-a" ||
		!record.Time.Equal(r.when[0]) {
		t.Errorf("got record %+v", record)
	}
	if r.last.Verdict != Idle || !node.OutOfService {
		t.Errorf("the node stays away: got %+v, taint %v", r.last, node.OutOfService)
	}
}

// A guard that is started again after any step, 5 s later, goes on from the objects.
func TestSequence_ResumesAfterEachStep(t *testing.T) {
	t.Parallel()
	for number, kind := range whole {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.afterStep = func(done int, _ Kind) {
				if done == number+1 {
					r.now = r.now.Add(5 * second)
					r.restart()
				}
			}
			r.run(120 * second)
			r.wantKinds(whole...)
			r.wantAttachedBy(48.5 + 13.4 + 5)
		})
	}
}

func TestSequence_GoesOnWhenABudgetIsSpent(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*rig)
		want   []Kind
		// step begins between two moments, in seconds after the start
		step     Kind
		from, to float64
		attached float64
	}{
		"Longhorn's node stays Ready": {
			change: func(r *rig) { r.events = slices.Delete(r.events, 1, 2) },
			want:   whole, step: WriteRecord, from: 58.5, to: 60, attached: 72,
		},
		"a dead connection": {
			change: func(r *rig) { r.detach = 12200 * time.Millisecond },
			want:   whole, step: SetTaint, from: 61, to: 63, attached: 72,
		},
		// The engine may live: the check ends the database before Kubernetes detaches. The replica is not touched while the volume is there.
		"never detached": {
			change: func(r *rig) { r.detach = -1 },
			want:   []Kind{WriteRecord, DeletePod, ForceDeletePod, SetTaint, FailReplica}, step: SetTaint, from: 69, to: 71.5, attached: 80,
		},
		"no node can be changed": {
			change: func(r *rig) { r.refused = []Kind{WriteRecord, SetTaint} },
			want:   []Kind{DeletePod, FailReplica, ForceDeletePod}, step: DeletePod, from: 51, to: 52.5, attached: 68,
		},
		"the taint is refused": {
			change: func(r *rig) { r.refused = []Kind{SetTaint} },
			want:   []Kind{WriteRecord, DeletePod, FailReplica, ForceDeletePod}, step: ForceDeletePod, from: 54, to: 56, attached: 65,
		},
		"the replica cannot be failed": {
			change: func(r *rig) { r.refused = []Kind{FailReplica} },
			want:   []Kind{WriteRecord, DeletePod, SetTaint, ForceDeletePod}, step: ForceDeletePod, from: 56, to: 58, attached: 67,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			test.change(r)
			r.run(120 * second)
			r.wantKinds(test.want...)
			r.wantAttachedBy(test.attached)
			if got := r.tookAt(test.step); got < test.from || got > test.to {
				t.Errorf("%s after %.1f s, want between %.1f and %.1f", test.step, got, test.from, test.to)
			}
		})
	}
}

func TestSequence_NodeObjectGone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.config.Proofs = []Proof{ProofDeleted}
	r.at(70*second, func() { r.world = r.world.without("n1") })
	r.run(120 * second)
	r.wantKinds(ForceDeletePod, DeleteAttachment)
	r.wantAttachedBy(80)
	if r.last.Verdict != Idle {
		t.Errorf("in the end: got %+v", r.last)
	}
}

// Two good others are needed to do without the lost node's replica; the last good one is never failed, nor the last but one.
func TestSequence_KeepsTheReplicaWithoutTwoGoodOthers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.world.Replicas[2].Healthy = false
	r.run(55 * second)
	r.wantKinds(WriteRecord, DeletePod, SetTaint, ForceDeletePod)
	if len(r.last.Notes) != 1 || !strings.Contains(r.last.Notes[0], "got 1 good ones") {
		t.Errorf("notes: got %q, want why it stays", r.last.Notes)
	}
}

func TestSequence_ObserveOnlySpeaks(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.config.Mode = ModeObserve
	r.run(120 * second)
	r.wantKinds()
	if r.last.Verdict != Refuse || r.last.Step.Kind != WriteRecord {
		t.Errorf("got %+v, want what it would do", r.last)
	}
	r.world.node("n1").Record = &Record{Tainted: true}
	r.comesBack(0, "another")
	r.run(160 * second)
	r.wantKinds()
}

// The node returns right after each step, in the same boot or after another one.
func TestSequence_NodeReturnsInTheMiddle(t *testing.T) {
	t.Parallel()
	for number, kind := range whole {
		for _, bootID := range []string{"boot-n1", "another"} {
			t.Run(fmt.Sprintf("after %s, boot %s", kind, bootID), func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				r.afterStep = func(done int, _ Kind) {
					if done == number+1 {
						r.comesBack(0, bootID)
					}
				}
				r.run(200 * second)
				checkReturned(t, r, number, bootID)
			})
		}
	}
}

// checkReturned: the rig itself checks that a Ready node is left alone.
func checkReturned(t *testing.T, r *rig, number int, bootID string) {
	t.Helper()
	node := r.world.node("n1")
	if node.Record != nil || node.OutOfService || r.last.Verdict != Idle {
		t.Fatalf("in the end: record %+v, taint %v, %+v", node.Record, node.OutOfService, r.last)
	}
	if !slices.Equal(r.kinds()[:number+1], whole[:number+1]) || r.kinds()[len(r.taken)-1] != GiveBack {
		t.Errorf("steps: got %v", r.kinds())
	}
	back, given := r.when[number].Sub(start).Seconds(), r.tookAt(GiveBack)
	wait := 10.0
	switch {
	case bootID != "boot-n1" || number == 0: // Nothing of before can be there, or the pod that was never deleted runs on.
	case slices.Contains(r.kinds(), SetTaint):
		wait = 10 + 20 // The taint goes first, and Longhorn looks for what was left.
	default:
		wait = 25 // The volume is in use for as long.
	}
	if given < back+wait || given > back+wait+2.5 {
		t.Errorf("given back %.1f s after the return, want %.0f", given-back, wait)
	}
	if failed := r.world.Replicas[0].Failed; failed != (number > 0) {
		t.Errorf("the returned node's replica is failed: %v, its pod was given up: %v", failed, number > 0)
	}
	if elsewhere := r.tookAt(FailReplica); number > 1 && elsewhere >= r.attached.Sub(start).Seconds() {
		t.Errorf("the replica was failed after %.1f s, the volume attached at %v", elsewhere, r.attached)
	}
}

// A node that is lost again while it waits is not given back.
func TestSequence_KeepsTheTaintOfANodeThatGoesAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.at(100*second, func() { r.comesBack(0, "another") })
	r.at(108*second, func() { r.world.node("n1").Ready, r.world.node("n1").ReadySince = ReadyUnknown, r.now })
	r.run(300 * second)
	r.wantKinds(whole...)
	if node := r.world.node("n1"); !node.OutOfService || node.Record == nil {
		t.Errorf("taint %v, record %+v", node.OutOfService, node.Record)
	}
}

func TestSequence_ClearsTheStaleEngineBeforeTheNodeIsUsed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.at(90*second, func() {
		r.comesBack(0, "boot-n1")
		r.in(12*second, func() { r.world.Orphans = []Orphan{{Name: "orphan-1", Node: "n1"}} })
	})
	r.run(150 * second)
	r.wantKinds(append(slices.Clone(whole), Untaint, ClearEngine, GiveBack)...)
	if step := r.taken[len(whole)+1]; step.Object != "orphan-1" {
		t.Errorf("clears %+v", step)
	}
}

// An operator taints by hand, early or in the middle: the guard needs its own proof, adds no taint and never takes that one away.
func TestSequence_OperatorTaints(t *testing.T) {
	t.Parallel()
	for _, seconds := range []time.Duration{20, 48, 49, 51, 53, 70} {
		t.Run(fmt.Sprintf("after %d s", seconds), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.at(seconds*second, func() {
				r.world.node("n1").OutOfService = true
				if pod := r.world.podOn("n1"); pod != nil && pod.DeletedAt.IsZero() {
					r.deletePod() // by Kubernetes, because of the taint
				}
			})
			r.at(90*second, func() { r.comesBack(0, "another") })
			r.run(150 * second)
			ours := slices.Contains(r.kinds(), SetTaint)
			if node := r.world.node("n1"); node.OutOfService == ours || node.Record != nil {
				t.Errorf("in the end the taint is there: %v, it was ours: %v, record %+v", node.OutOfService, ours, node.Record)
			}
			if ours != (seconds >= 53) || r.tookAt(FailReplica) < 48.5 || r.tookAt(ForceDeletePod) < r.tookAt(FailReplica) {
				t.Errorf("steps: got %v", r.kinds())
			}
		})
	}
}

// An operator who takes our taint away means it.
func TestSequence_DoesNotFightOverTheTaint(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.afterStep = func(_ int, kind Kind) {
		if kind == SetTaint {
			r.world.node("n1").OutOfService = false
		}
	}
	r.run(120 * second)
	r.wantKinds(whole...)
}

// A clock of the node that is 30 s off in either direction changes neither what is done nor when, while the guard has seen it.
func TestSequence_ClockSkew(t *testing.T) {
	t.Parallel()
	for _, skew := range []time.Duration{-30 * second, 30 * second} {
		t.Run(skew.String(), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			for seconds := time.Duration(1); seconds < 120; seconds++ {
				r.at(seconds*second, func() {
					r.world.Leases["n1"] = Lease{RenewTime: start.Add(skew), Unchanged: seconds * second}
				})
			}
			r.run(120 * second)
			r.wantKinds(whole...)
			r.wantAttachedBy(48.5 + 13.4)
		})
	}
}

// Two nodes of three, and a zone of two that has the guard: nothing is touched.
func TestSequence_TooMuchIsLost(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*rig){
		"two of three nodes": func(r *rig) {
			r.world = r.world.without("n4").without("n5")
			r.at(48600*time.Millisecond, func() { r.world.losing("n3") })
		},
		"the guard's zone": func(r *rig) {
			r.at(48600*time.Millisecond, func() { r.world.losing("n2") })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			change(r)
			r.run(300 * second)
			r.wantKinds()
			if r.last.Verdict != Refuse || len(r.last.Refusals) == 0 {
				t.Errorf("got %+v, want a refusal", r.last)
			}
		})
	}
}

// Volumes of others on the node keep the taint away, unless the machine is known to have stopped.
func TestSequence_VolumesOfOthers(t *testing.T) {
	t.Parallel()
	for _, shutdown := range []bool{false, true} {
		t.Run(fmt.Sprintf("shut down: %v", shutdown), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.world.OtherVolumes = map[string][]string{"n1": {"pvc-of-another-stack"}}
			r.at(48600*time.Millisecond, func() { r.world.node("n1").Shutdown, r.world.node("n1").ShutdownFor = shutdown, 20*second })
			want := []Kind{WriteRecord, DeletePod, FailReplica, ForceDeletePod}
			if shutdown {
				want = whole
			}
			r.run(56 * second)
			noted := slices.ContainsFunc(r.last.Notes, func(note string) bool { return strings.Contains(note, "pvc-of-another-stack") })
			r.run(120 * second).wantKinds(want...)
			r.wantAttachedBy(48.5 + 13.4)
			if noted == shutdown {
				t.Errorf("notes: got %q", r.last.Notes)
			}
		})
	}
}

// On other storage there are no replicas, and the taint is what lets the volume go.
func TestSequence_OtherStorage(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.config.Longhorn = false
	r.config.Proofs = []Proof{ProofShutdown}
	r.world.Replicas, r.world.LonghornReady = nil, map[string]bool{}
	r.detach = -1
	r.at(50*second, func() {
		node := r.world.node("n1")
		node.Shutdown, node.ShutdownFor = true, 10*second
	})
	r.run(120 * second)
	r.wantKinds(WriteRecord, DeletePod, SetTaint, ForceDeletePod)
	r.wantAttachedBy(60)
}

func TestValidate_IsolationWithoutLonghornWantsFencedStorage(t *testing.T) {
	t.Parallel()
	config := Default()
	config.Longhorn = false
	if err := config.Validate(); err == nil || !strings.Contains(err.Error(), "fenced storage") {
		t.Errorf("got %v, want a refusal", err)
	}
	config.FencedStorage = true
	if err := config.Validate(); err != nil {
		t.Errorf("fenced: got %v", err)
	}
}
