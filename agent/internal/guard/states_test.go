package guard

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// back is lost, 60 s later: n1 is Ready again for 11 s with the guard's record and taint, and the pod is gone.
func back() World {
	world := lost()
	world.Nodes[0].Ready, world.Nodes[0].ReadySince = ReadyTrue, after(99)
	world.Nodes[0].VolumesInUse, world.Nodes[0].OutOfService = nil, true
	world.Nodes[0].Record = &Record{BootID: "boot-n1", Time: after(49), PodUID: "uid-a", Tainted: true}
	world.Pods, world.Attachments = nil, []Attachment{{Name: "va-2", Node: "n2", Attached: true}}
	world.Replicas[0].Failed = true
	return world
}

// situation is one that the histories do not pass through, at 110 s.
type situation struct {
	world  func() World
	change func(*World)
	want   Verdict
	step   Kind
	node   string
}

func (s situation) check(t *testing.T) {
	t.Helper()
	world := s.world()
	if s.change != nil {
		s.change(&world)
	}
	got := Default().Decide(world, after(110))
	if got.Verdict != s.want || got.Step.Kind != s.step || got.Step.Node != s.node {
		t.Errorf("got %+v, want to %s: %s on %s", got, s.want, s.step, s.node)
	}
}

func checkSituations(t *testing.T, situations map[string]situation) {
	t.Helper()
	for name, s := range situations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s.check(t)
		})
	}
}

func TestStates_WhileANodeIsLost(t *testing.T) {
	t.Parallel()
	checkSituations(t, map[string]situation{
		"another pod's record": {world: lost, change: func(w *World) {
			w.Nodes[0].Record = &Record{BootID: "boot-n1", PodUID: "uid-z"}
		}, want: Act, step: WriteRecord, node: "n1"},
		"deleted by others while Longhorn still calls the node Ready": {world: lost, change: func(w *World) {
			w.Pods[0].DeletedAt, w.LonghornReady["n1"], w.Nodes[0].ReadySince = after(109), true, after(109)
		}, want: Act, step: WriteRecord, node: "n1"},
		"two lost nodes, one whose pod is being deleted": {world: lost, change: func(w *World) {
			*w, w.GuardNode = w.losing("n2"), "n3"
			w.Pods = append(w.Pods, Pod{Name: "iris-b", UID: "uid-b", Node: "n2", DeletedAt: after(50)})
			w.Replicas = append(w.Replicas, Replica{Name: "r-n4", Node: "n4", Healthy: true})
		}, want: Act, step: WriteRecord, node: "n2"},
		"replica while the next attachment is being made": {world: lost, change: func(w *World) {
			w.Nodes[0].Record = &Record{PodUID: "uid-a", Tainted: true}
			w.Nodes[0].OutOfService, w.Pods = true, nil
			w.Attachments = []Attachment{{Name: "va-2", Node: "n2"}}
		}, want: Act, step: FailReplica, node: "n1"},
		"replica when the volume is elsewhere": {world: lost, change: func(w *World) {
			w.Nodes[0].Record = &Record{PodUID: "uid-a", Tainted: true}
			w.Nodes[0].OutOfService, w.Pods = true, nil
			w.Attachments = []Attachment{{Name: "va-2", Node: "n2", Attached: true}}
		}, want: Idle},
	})
}

func TestStates_BackWithTheDataInQuestion(t *testing.T) {
	t.Parallel()
	checkSituations(t, map[string]situation{
		"back, all well":               {world: back, want: Act, step: Untaint, node: "n1"},
		"back, all well, another boot": {world: back, change: booted, want: Act, step: GiveBack, node: "n1"},
		"back, replica not failed, volume nowhere": {world: back, change: func(w *World) {
			w.Replicas[0].Failed, w.Attachments = false, nil
			w.Tried = map[Kind]time.Time{FailReplica: after(50)}
		}, want: Act, step: FailReplica, node: "n1"},
		"back, and a pod that was never deleted runs on": {world: back, change: func(w *World) {
			w.Nodes[0].Record.Tainted, w.Nodes[0].OutOfService = false, false
			w.Replicas[0].Failed, w.Attachments, w.Pods = false, nil, lost().Pods
		}, want: Act, step: GiveBack, node: "n1"},
		"back, the volume was taken away from a pod that is still being deleted": {world: back, change: func(w *World) {
			w.Nodes[0].Record.Tainted, w.Nodes[0].OutOfService = false, false
			w.Pods, w.Attachments, w.Replicas[0].Failed = lost().Pods, nil, false
			w.Pods[0].DeletedAt = after(98)
		}, want: Act, step: FailReplica, node: "n1"},
		"back, the pod is still being deleted": {world: back, change: func(w *World) {
			w.Nodes[0].Record.Tainted, w.Nodes[0].OutOfService = false, false
			w.Pods, w.Attachments = lost().Pods, lost().Attachments
			w.Pods[0].DeletedAt = after(98)
		}, want: Wait, step: WaitReturn, node: "n1"},
	})
}

func TestStates_BackWithEnginesAndOtherTakeOvers(t *testing.T) {
	t.Parallel()
	checkSituations(t, map[string]situation{
		"back, with a stale engine": {
			world: back, change: func(w *World) { w.Orphans = []Orphan{{Name: "o", Node: "n1"}} }, want: Act, step: ClearEngine, node: "n1",
		},
		"back, an engine on another node": {
			world: back, change: func(w *World) { w.Orphans = []Orphan{{Name: "o", Node: "n4"}} }, want: Act, step: Untaint, node: "n1",
		},
		"back, an engine while the volume is there": {world: back, change: func(w *World) {
			w.Orphans, w.Attachments = []Orphan{{Name: "o", Node: "n1"}}, lost().Attachments
		}, want: Act, step: Untaint, node: "n1"},
		"back, the same boot with the volume": {
			world: back, change: func(w *World) { w.Nodes[0].VolumesInUse = []string{w.Volume} }, want: Act, step: Untaint, node: "n1",
		},
		"back, another boot with the volume": {world: back, change: func(w *World) {
			booted(w)
			w.Nodes[0].VolumesInUse = []string{w.Volume}
		}, want: Act, step: GiveBack, node: "n1"},
		"back, and another node waits": {world: back, change: func(w *World) {
			w.Nodes[3].Record = &Record{BootID: "boot-n4", Tainted: true}
			w.Nodes[0].ReadySince = after(108)
		}, want: Act, step: Untaint, node: "n4"},
		"back, while another take-over waits": {world: back, change: func(w *World) {
			*w = w.losing("n4")
			w.Nodes[3].Record = &Record{PodUID: "uid-b"}
			w.Pods = []Pod{{Name: "iris-b", UID: "uid-b", Node: "n4", DeletedAt: after(109)}}
			w.Attachments = []Attachment{{Name: "va-4", Node: "n4", Attached: true}}
		}, want: Act, step: Untaint, node: "n1"},
		"back for a moment, while another take-over waits": {world: back, change: func(w *World) {
			*w = w.losing("n4")
			w.Nodes[0].ReadySince, w.Nodes[3].Record = after(108), &Record{PodUID: "uid-b"}
			w.Pods = []Pod{{Name: "iris-b", UID: "uid-b", Node: "n4", DeletedAt: after(109)}}
			w.Attachments = []Attachment{{Name: "va-4", Node: "n4", Attached: true}}
		}, want: Wait, step: WaitDetach, node: "n4"},
	})
}

func booted(w *World) { w.Nodes[0].BootID = "another" }

// untainted is a node whose taint was taken away some seconds before 110 s.
func untainted(seconds float64) func(*World) {
	return func(w *World) {
		w.Nodes[0].OutOfService, w.Nodes[0].Record.Tainted = false, false
		w.Nodes[0].Record.Untainted, w.Nodes[0].ReadySince = after(110-seconds), after(110-seconds-11)
		w.LonghornReady["n1"] = true
	}
}

// With the taint nothing of Longhorn runs on the node, so what was left there can only go once it is taken away.
func TestStates_BackWithoutTheTaint(t *testing.T) {
	t.Parallel()
	checkSituations(t, map[string]situation{
		"nothing is left": {world: back, change: untainted(20), want: Act, step: GiveBack, node: "n1"},
		"for a moment":    {world: back, change: untainted(19), want: Wait, step: WaitReturn, node: "n1"},
		"with the volume": {world: back, change: func(w *World) {
			untainted(30)(w)
			w.Nodes[0].VolumesInUse = []string{w.Volume}
		}, want: Wait, step: WaitReturn, node: "n1"},
		"with the volume, for too long": {world: back, change: func(w *World) {
			w.Nodes[0].ReadySince = after(-30)
			untainted(120)(w)
			w.Nodes[0].VolumesInUse = []string{w.Volume}
		}, want: Act, step: GiveBack, node: "n1"},
		"without Longhorn": {world: back, change: func(w *World) {
			untainted(30)(w)
			delete(w.LonghornReady, "n1")
		}, want: Wait, step: WaitReturn, node: "n1"},
		"with a stale engine": {world: back, change: func(w *World) {
			untainted(5)(w)
			w.Orphans = []Orphan{{Name: "o", Node: "n1"}}
		}, want: Act, step: ClearEngine, node: "n1"},
		"rebooted meanwhile": {world: back, change: func(w *World) {
			untainted(1)(w)
			booted(w)
		}, want: Act, step: GiveBack, node: "n1"},
	})
}

// What the guard writes is what it goes on from.
func TestStates_Records(t *testing.T) {
	t.Parallel()
	world := lost()
	world.Pods[0].DeletedAt, world.Attachments = after(50), nil
	world.Tried = map[Kind]time.Time{WriteRecord: after(50)}
	want := Record{BootID: "boot-n1", Time: after(60), PodUID: "uid-a", Tainted: true}
	got := Default().Decide(world, after(60)).Step
	if got.Kind != SetTaint || got.Record != want {
		t.Errorf("without a record: got %+v, want %+v with the taint", got, want)
	}
	world.Nodes[0].OutOfService, world.Nodes[0].Record = true, &Record{BootID: "old", PodUID: "uid-z", Tainted: true}
	world.Tried = nil
	got = Default().Decide(world, after(60)).Step
	if got.Kind != WriteRecord || got.Record != want {
		t.Errorf("a taint of our own from before: got %+v, want %+v", got, want)
	}
	world.Nodes[0].Record = nil
	if got = Default().Decide(world, after(60)).Step; got.Kind != WriteRecord || got.Record.Tainted {
		t.Errorf("an operator's taint: got %+v, want a record that does not claim it", got)
	}
}

func TestStates_NoteOfAReplicaThatIsNotTrusted(t *testing.T) {
	t.Parallel()
	world := back()
	world.Replicas[0].Failed = false
	got := Default().Decide(world, after(110))
	if len(got.Notes) != 1 || !strings.Contains(got.Notes[0], "r-n1 on n1 was not failed before") {
		t.Errorf("got notes %q", got.Notes)
	}
}

// Without a taint of the guard's own, or with somebody else's, a node of the same boot is waited for all the same.
func TestStates_BackWithoutTheGuardsTaint(t *testing.T) {
	t.Parallel()
	foreign := func(w *World) { w.Nodes[0].Record.Tainted = false }
	none := func(w *World) { w.Nodes[0].Record.Tainted, w.Nodes[0].OutOfService = false, false }
	checkSituations(t, map[string]situation{
		"somebody else's taint": {world: back, change: foreign, want: Wait, step: WaitReturn, node: "n1"},
		"somebody else's taint after a reboot": {world: back, change: func(w *World) {
			foreign(w)
			w.Nodes[0].BootID = "another"
		}, want: Act, step: GiveBack, node: "n1"},
		"none, and Longhorn is not ready": {world: back, change: none, want: Wait, step: WaitReturn, node: "n1"},
		"none, and Longhorn has not looked for long": {world: back, change: func(w *World) {
			none(w)
			w.LonghornReady["n1"] = true
		}, want: Wait, step: WaitReturn, node: "n1"},
		"none, and nothing is left": {world: back, change: func(w *World) {
			none(w)
			w.LonghornReady["n1"], w.Nodes[0].ReadySince = true, after(90)
		}, want: Act, step: GiveBack, node: "n1"},
	})
}

// A replica that could not be failed, because it would have left one good one, joins nothing before the volume is elsewhere.
func TestStates_BackWithAReplicaThatHadToStay(t *testing.T) {
	t.Parallel()
	stays := func(w *World) {
		w.Replicas, w.Replicas[0].Failed = w.Replicas[:2], false
		w.Attachments, w.Nodes[0].BootID = nil, "another"
	}
	checkSituations(t, map[string]situation{
		"the volume is nowhere yet": {world: back, change: stays, want: Wait, step: WaitReturn, node: "n1"},
		"the volume is elsewhere": {world: back, change: func(w *World) {
			stays(w)
			w.Attachments = []Attachment{{Name: "va-2", Node: "n2", Attached: true}}
		}, want: Act, step: GiveBack, node: "n1"},
		"it stays nowhere": {world: back, change: func(w *World) {
			stays(w)
			w.Nodes[0].ReadySince = after(110 - 120)
		}, want: Act, step: GiveBack, node: "n1"},
	})
}

// Whatever the world looks like: a Ready node's pod, attachment and taint are left alone, two good replicas remain, preconditions
// are given, only what exists is touched, and nothing is done against a rule.
func TestStates_NeverInAnyWorld(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(14, 1))
	acted := map[Kind]int{}
	for range 20000 {
		config, world := randomWorld(random)
		got := config.Decide(world, after(110))
		if got.Verdict != Act {
			continue
		}
		acted[got.Step.Kind]++
		r := rig{t: t, config: config, world: world}
		r.check(got.Step)
		mine := slices.DeleteFunc(slices.Clone(got.Refusals), func(one Refusal) bool { return one.Node != got.Step.Node })
		if len(mine) > 0 || !world.Live {
			t.Fatalf("acts against a rule: %+v", got)
		}
		if node := world.node(got.Step.Node); node != nil && node.Ready != ReadyTrue && (node.Ready != ReadyUnknown && !node.Shutdown) {
			t.Fatalf("acts without a proof: %+v", got)
		}
	}
	for _, kind := range append(slices.Clone(whole), DeleteAttachment, ClearEngine, GiveBack) {
		if acted[kind] == 0 {
			t.Errorf("no world led to %s; the check proves little", kind)
		}
	}
}

func randomWorld(random *rand.Rand) (Config, World) {
	chance := func(of int) bool { return random.IntN(of) == 0 }
	config, world := Default(), lost()
	if chance(10) {
		config.Mode = ModeObserve
	}
	world.Live = !chance(10)
	world.Replicas = append(world.Replicas, Replica{Name: "r-n4", Node: "n4", Healthy: true})
	for i := range world.Nodes {
		node := &world.Nodes[i]
		if chance(4) {
			node.Ready = []Ready{ReadyTrue, ReadyFalse, ReadyUnknown}[random.IntN(3)]
		}
		node.ReadySince = after(110 - float64(random.IntN(60)))
		node.OutOfService, node.Shutdown, node.ShutdownFor = chance(3), chance(5), time.Duration(random.IntN(20))*second
		if chance(3) {
			node.Record = &Record{BootID: "boot-n1", PodUID: "uid-a", Tainted: chance(2)}
		}
		world.Leases[node.Name] = Lease{RenewTime: after(110 - float64(random.IntN(80)))}
		world.LonghornReady[node.Name] = chance(3)
	}
	for i := range world.Replicas {
		world.Replicas[i].Healthy, world.Replicas[i].Failed = !chance(4), chance(6)
	}
	if chance(2) {
		world.Pods[0].DeletedAt = after(110 - float64(random.IntN(60)))
	}
	if chance(3) {
		world.Pods = nil
	}
	if chance(2) {
		world.Attachments = nil
	}
	if chance(4) {
		world.Orphans = []Orphan{{Name: "o", Node: "n1"}}
	}
	if chance(4) {
		world.OtherVolumes = map[string][]string{"n1": {"pvc-other"}}
	}
	if chance(5) {
		world.Tried = map[Kind]time.Time{WriteRecord: after(100), SetTaint: after(100), FailReplica: after(100), WaitEnd: after(100)}
	}
	if chance(6) {
		world = world.without("n1")
	}
	return config, world
}
