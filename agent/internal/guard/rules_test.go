package guard

import (
	"slices"
	"strings"
	"testing"
	"time"

	"ha-iris/agent/internal/fence"
)

const second = time.Second

// start is the moment of the fault in all tests.
var start = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

func after(seconds float64) time.Time {
	return start.Add(time.Duration(seconds * float64(second)))
}

// lost is a cluster of five nodes 50 s after n1, with the pod, was lost; Kubernetes noticed at 48.5 s.
func lost() World {
	world := World{
		Live: true, GuardNode: "n2", GuardSince: start.Add(-time.Hour), Volume: "kubernetes.io/csi/driver.longhorn.io^v",
		Leases:        map[string]Lease{},
		Gone:          map[string]Gone{},
		Unvouched:     map[string]time.Duration{},
		Pods:          []Pod{{Name: "iris-a", UID: "uid-a", Node: "n1"}},
		Attachments:   []Attachment{{Name: "va-1", Node: "n1", Attached: true}},
		LonghornReady: map[string]bool{},
	}
	for _, name := range []string{"n1", "n2", "n3", "n4", "n5"} {
		node := Node{Name: name, ResourceVersion: "7", Ready: ReadyTrue, ReadySince: start.Add(-time.Hour), BootID: "boot-" + name}
		if name == "n1" {
			node.Ready, node.ReadySince = ReadyUnknown, after(48.5)
			node.VolumesInUse = []string{world.Volume}
		}
		world.Nodes = append(world.Nodes, node)
		world.Leases[name] = Lease{RenewTime: after(45)}
		world.Unvouched[name] = 28 * second
		world.LonghornReady[name] = name != "n1"
	}
	world.Leases["n1"] = Lease{RenewTime: after(-5)}
	for _, name := range []string{"n1", "n2", "n3"} {
		world.Replicas = append(world.Replicas, Replica{Name: "r-" + name, Node: name, Healthy: true})
	}
	return world
}

func (w World) without(name string) World {
	if node := w.node(name); node.Ready == ReadyUnknown {
		w.Gone[name] = Gone{UnknownSince: node.ReadySince}
	}
	w.Nodes = slices.DeleteFunc(w.Nodes, func(node Node) bool { return node.Name == name })
	delete(w.Leases, name)
	return w
}

func (w World) losing(names ...string) World {
	for _, name := range names {
		w.node(name).Ready, w.node(name).ReadySince = ReadyUnknown, after(48.5)
		w.Leases[name], w.LonghornReady[name] = Lease{RenewTime: after(-4)}, false
	}
	return w
}

func TestDefault_IsValidAndFitsTheCheckInThePod(t *testing.T) {
	t.Parallel()
	if err := Default().Validate(); err != nil {
		t.Errorf("the defaults are refused: %v", err)
	}
	if got, want := Default().Isolation, fence.Default().WorstEnd(); got < want {
		t.Errorf("the pod is held for ended %v after a cut, which may take %v", got, want)
	}
}

func TestValidate_ReportsAllAtOnce(t *testing.T) {
	t.Parallel()
	err := Config{Proofs: []Proof{"hearsay"}}.Validate()
	if err == nil {
		t.Fatal("an empty configuration was accepted")
	}
	for _, want := range []string{
		"Mode: got", `the proofs: got "hearsay"`, "Isolation", "LeaseStale", "MonitorGrace", "RenewInterval",
		"ShutdownSettle", "ReadyFor", "MajorityFor", "KnownFor", "Budgets.End", "Budgets.Return", "EngineSearch",
		"Budgets.Longhorn", "Budgets.Record", "Budgets.Detach", "Budgets.Taint", "Budgets.Replica",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s is missing in:\n%v", want, err)
		}
	}
	none := Default()
	none.Proofs = nil
	if err := none.Validate(); err == nil || err.Error() != "the proofs: got none, want at least one" {
		t.Errorf("no proofs: got %v", err)
	}
}

// forbidden is a world in which one rule alone forbids to act.
type forbidden struct {
	config Config
	change func(World) World
	want   Rule
}

func (f forbidden) check(t *testing.T) {
	t.Helper()
	config, world := f.config, lost()
	if config.Mode == "" {
		config = Default()
	}
	if f.change != nil {
		world = f.change(world)
	}
	got := config.Decide(world, after(50))
	if got.Verdict != Refuse || len(got.Refusals) != 1 || got.Refusals[0].Rule != f.want || got.Refusals[0].Why == "" {
		t.Errorf("got %+v, want a refusal by %s alone", got, f.want)
	}
	if got.Step.Kind == "" {
		t.Error("it does not say what it would do")
	}
}

func checkForbidden(t *testing.T, worlds map[string]forbidden) {
	t.Helper()
	for name, f := range worlds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f.check(t)
		})
	}
}

// Every rule forbids to act when everything else allows it, and names itself alone.
func TestRules_EachForbidsAlone(t *testing.T) {
	t.Parallel()
	observe := Default()
	observe.Mode = ModeObserve
	checkForbidden(t, map[string]forbidden{
		"observe":    {config: observe, want: RuleMode},
		"from cache": {change: func(w World) World { w.Live = false; return w }, want: RuleLive},
		"young heartbeat": {change: func(w World) World {
			w.Leases["n1"] = Lease{RenewTime: after(10.1)}
			return w
		}, want: RuleLease},
		"no Lease": {change: func(w World) World { delete(w.Leases, "n1"); return w }, want: RuleLease},
		"deleted Node whose kubelet lives": {change: func(w World) World {
			w = w.without("n1")
			w.Leases["n1"] = Lease{RenewTime: after(45)}
			return w
		}, want: RuleLease},
		"half of the nodes": {change: func(w World) World { return w.without("n5").losing("n4") }, want: RuleMajority},
		"most nodes came back a moment ago": {change: func(w World) World {
			for _, name := range []string{"n2", "n3", "n4"} {
				w.node(name).ReadySince = after(50 - 19)
			}
			return w
		}, want: RuleMajority},
		"half of the nodes, with the deleted one": {
			change: func(w World) World { return w.without("n1").without("n5").losing("n4") }, want: RuleMajority,
		},
		"guard's own node": {change: func(w World) World { w.GuardNode = "n5"; return w.losing("n5") }, want: RuleOwnNode},
		"guard's own node is the lost one": {
			change: func(w World) World { w.GuardNode = "n1"; return w }, want: RuleOwnNode,
		},
	})
}

func TestRules_NoGoodReplicaElsewhereForbidsAlone(t *testing.T) {
	t.Parallel()
	checkForbidden(t, map[string]forbidden{
		"no other replica": {change: func(w World) World { w.Replicas = w.Replicas[:1]; return w }, want: RuleReplica},
		"other replicas rebuilding": {change: func(w World) World {
			w.Replicas[1].Healthy, w.Replicas[2].Healthy = false, false
			return w
		}, want: RuleReplica},
		"other replicas failed": {change: func(w World) World {
			w.Replicas[1].Failed, w.Replicas[2].Failed = true, true
			return w
		}, want: RuleReplica},
		"other replica on a lost node": {change: func(w World) World {
			w.Replicas = w.Replicas[:2]
			w.GuardNode = "n3"
			return w.losing("n2")
		}, want: RuleReplica},
	})
}

func only(proof Proof) Config {
	config := Default()
	config.Proofs = []Proof{proof}
	return config
}

func TestRules_NoProofForbidsAlone(t *testing.T) {
	t.Parallel()
	slow := only(ProofIsolation)
	slow.Isolation = 40 * second
	checkForbidden(t, map[string]forbidden{
		"not shut down": {config: only(ProofShutdown), want: RuleProof},
		"shut down a moment ago": {config: only(ProofShutdown), change: func(w World) World {
			w.Nodes[0].Shutdown, w.Nodes[0].ShutdownFor = true, 9*second
			return w
		}, want: RuleProof},
		"not isolated for long enough": {config: slow, want: RuleProof},
		"a pod from before there was a check": {config: only(ProofIsolation), change: func(w World) World {
			w.Pods[0].Unwatched = true
			return w
		}, want: RuleProof},
		"kubelet says it is not ready": {config: only(ProofIsolation), change: func(w World) World {
			w.Nodes[0].Ready = ReadyFalse
			return w
		}, want: RuleProof},
	})
}

// A Node object may be deleted while its machine runs.
func TestRules_ADeletedNodeIsNoProofAtOnce(t *testing.T) {
	t.Parallel()
	checkForbidden(t, map[string]forbidden{
		"not deleted": {config: only(ProofDeleted), want: RuleProof},
		"deleted a moment ago": {config: only(ProofDeleted), change: func(w World) World {
			w = w.without("n1")
			w.Gone["n1"] = Gone{For: 27 * second}
			return w
		}, want: RuleProof},
		"deleted soon after it was lost": {config: only(ProofDeleted), change: func(w World) World {
			w = w.without("n1")
			w.Gone["n1"] = Gone{For: second, UnknownSince: after(52)}
			return w
		}, want: RuleProof},
		"deleted, and the check cannot know the guard": {config: only(ProofDeleted), change: func(w World) World {
			w = w.without("n1")
			w.GuardSince = after(48.5 - 74)
			return w
		}, want: RuleProof},
		"deleted, and told to go on": {config: only(ProofDeleted), change: func(w World) World {
			w = w.without("n1")
			w.Unvouched["n1"] = 27 * second
			return w
		}, want: RuleProof},
	})
}

// By this guard, or by others that are cut off together with the check.
func TestRules_ACheckThatWasToldToGoOnForbidsAlone(t *testing.T) {
	t.Parallel()
	checkForbidden(t, map[string]forbidden{
		"a guard that reached it": {config: only(ProofIsolation), change: func(w World) World {
			w.Unvouched["n1"] = 27 * second
			return w
		}, want: RuleProof},
		"a guard that the check cannot know": {config: only(ProofIsolation), change: func(w World) World {
			w.GuardSince = after(48.5 - 74)
			return w
		}, want: RuleProof},
		"a guard without a pod": {config: only(ProofIsolation), change: func(w World) World {
			w.GuardSince = time.Time{}
			return w
		}, want: RuleProof},
		"a guard that may have reached it": {config: only(ProofIsolation), change: func(w World) World {
			delete(w.Unvouched, "n1")
			return w
		}, want: RuleProof},
	})
}

func TestRules_AllReasonsAtOnce(t *testing.T) {
	t.Parallel()
	config, world := Default(), lost().losing("n2", "n3", "n4")
	config.Mode, config.Proofs, world.Live = ModeObserve, []Proof{ProofDeleted, ProofShutdown}, false
	world.Leases["n1"] = Lease{RenewTime: after(49)}
	var got []Rule
	for _, refusal := range config.Decide(world, after(50)).Refusals {
		got = append(got, refusal.Rule)
	}
	want := []Rule{RuleMode, RuleLive, RuleLease, RuleMajority, RuleOwnNode, RuleReplica, RuleProof}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// What is allowed although it looks close to what is not.
func TestRules_Allow(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(World) World
		proofs []Proof
		want   Kind
	}{
		"a lost node":        {change: func(w World) World { return w }, want: WriteRecord},
		"a lost zone of two": {change: func(w World) World { return w.losing("n4") }, want: WriteRecord},
		"the cloud's taint": {change: func(w World) World {
			w.Nodes[0].Shutdown, w.Nodes[0].ShutdownFor = true, 10*second
			return w
		}, proofs: []Proof{ProofShutdown}, want: WriteRecord},
		"a deleted Node": {change: func(w World) World { return w.without("n1") }, proofs: []Proof{ProofDeleted}, want: ForceDeletePod},
		"a Node that was deleted while it was Ready": {change: func(w World) World {
			w = w.without("n1")
			w.Gone["n1"] = Gone{For: 28 * second}
			return w
		}, proofs: []Proof{ProofDeleted}, want: ForceDeletePod},
		"most nodes for long enough": {change: func(w World) World {
			for _, name := range []string{"n2", "n3", "n4"} {
				w.node(name).ReadySince = after(50 - 20)
			}
			return w
		}, want: WriteRecord},
		"a volume that another one's forced deletion left": {change: func(w World) World {
			w.Pods, w.Tried = nil, map[Kind]time.Time{WaitEnd: after(45)}
			return w
		}, want: SetTaint},
		"one other copy": {change: func(w World) World { w.Replicas = w.Replicas[:2]; return w }, want: WriteRecord},
		"one of three":   {change: func(w World) World { return w.without("n4").without("n5") }, want: WriteRecord},
		"a clock ahead": {change: func(w World) World {
			w.Leases["n1"] = Lease{RenewTime: after(25), Unchanged: 41 * second}
			return w
		}, want: WriteRecord},
		"a clock behind":  {change: func(w World) World { w.Leases["n1"] = Lease{RenewTime: after(-35)}; return w }, want: WriteRecord},
		"a stale replica": {change: func(w World) World { w.Replicas[0].Failed = true; return w }, want: WriteRecord},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := Default()
			if test.proofs != nil {
				config.Proofs = test.proofs
			}
			if got := config.Decide(test.change(lost()), after(50)); got.Verdict != Act || got.Step.Kind != test.want {
				t.Errorf("got %+v, want to %s", got, test.want)
			}
		})
	}
}

// A clock of the node that is 30 s behind makes a heartbeat of 10 s look 40 s old: the control plane's word counts.
func TestRules_ClockBehindIsNoProof(t *testing.T) {
	t.Parallel()
	world := lost()
	world.Leases["n1"] = Lease{RenewTime: after(9)}
	world.Nodes[0].Ready = ReadyTrue
	if got := Default().Decide(world, after(50)); got.Verdict != Idle {
		t.Errorf("the node is Ready: got %+v", got)
	}
	world.Nodes[0].Ready = ReadyFalse
	got := Default().Decide(world, after(50))
	if got.Verdict != Refuse || len(got.Refusals) != 1 || got.Refusals[0].Rule != RuleProof {
		t.Errorf("the kubelet lives and says it is not ready: got %+v", got)
	}
}

// A second node is lost while the first is being given up: its turn comes when that is finished, and not before.
func TestRules_OneTakeOverAtOnce(t *testing.T) {
	t.Parallel()
	world := lost().losing("n2")
	world.GuardNode = "n3"
	world.Replicas = append(world.Replicas, Replica{Name: "r-n4", Node: "n4", Healthy: true})
	world.Nodes[0].Record = &Record{BootID: "boot-n1", Time: after(49), PodUID: "uid-a"}
	world.Pods[0].DeletedAt = after(49)
	world.Pods = append(world.Pods, Pod{Name: "iris-b", UID: "uid-b", Node: "n2"})
	got := Default().Decide(world, after(50))
	if got.Verdict != Wait || got.Step.Kind != WaitDetach || got.Step.Node != "n1" {
		t.Errorf("got %+v, want to wait for n1", got)
	}
	if len(got.Refusals) != 1 || got.Refusals[0].Rule != RuleOpen || got.Refusals[0].Node != "n2" {
		t.Errorf("got %+v, want n2 refused by %s alone", got.Refusals, RuleOpen)
	}
	world.Pods, world.Attachments = world.Pods[1:], nil
	world.Nodes[0].Record.Tainted, world.Nodes[0].OutOfService, world.Replicas[0].Failed = true, true, true
	if got := Default().Decide(world, after(52)); got.Verdict != Act || got.Step.Kind != WriteRecord || got.Step.Node != "n2" {
		t.Errorf("n1 is finished: got %+v, want n2's turn", got)
	}
}

func TestRules_NothingToDo(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(World) World{
		"all nodes are Ready": func(w World) World { w.Nodes[0].Ready = ReadyTrue; return w },
		"a Ready node with an old heartbeat and a pod being deleted": func(w World) World {
			w.Nodes[0].Ready, w.Pods[0].DeletedAt = ReadyTrue, after(49)
			return w
		},
		"the lost node has only a replica": func(w World) World { w.Pods[0].Node, w.Attachments[0].Node = "n2", "n2"; return w },
		"an operator's taint on a node that is back": func(w World) World {
			w.Nodes[0].Ready, w.Nodes[0].OutOfService, w.Pods, w.Attachments = ReadyTrue, true, nil, nil
			w.Nodes[0].VolumesInUse = nil
			return w
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := Default().Decide(change(lost()), after(50)); got.Verdict != Idle || len(got.Refusals) > 0 {
				t.Errorf("got %+v, want nothing", got)
			}
		})
	}
}
