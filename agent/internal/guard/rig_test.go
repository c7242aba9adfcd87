package guard

import (
	"errors"
	"maps"
	"slices"
	"testing"
	"time"
)

// rig is a small cluster with the timing of longhorn-real.md, and a guard that looks each second. n1, with the pod, is lost at
// the start.
type rig struct {
	t      *testing.T
	config Config
	world  World
	now    time.Time
	events []event
	taken  []Step
	when   []time.Time
	// detach is how long Longhorn takes to drop the attachment; negative is never.
	detach time.Duration
	// refused are the kinds that fail, as with a webhook that does not answer.
	refused []Kind
	// afterStep is called after each step that succeeded.
	afterStep func(number int, kind Kind)
	attached  time.Time
	last      Decision
}

type event struct {
	at time.Time
	do func()
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, config: Default(), world: lost(), now: start, detach: 2100 * time.Millisecond}
	node := r.world.node("n1")
	node.Ready = ReadyTrue
	r.world.LonghornReady["n1"] = true
	r.world.Tried = map[Kind]time.Time{}
	r.at(48500*time.Millisecond, func() {
		node := r.world.node("n1")
		if node != nil {
			node.Ready, node.ReadySince = ReadyUnknown, r.now
		}
	})
	r.at(48900*time.Millisecond, func() { r.world.LonghornReady["n1"] = false })
	return r
}

func (r *rig) at(since time.Duration, do func()) {
	r.events = append(r.events, event{start.Add(since), do})
}

func (r *rig) in(length time.Duration, do func()) { r.at(r.now.Sub(start)+length, do) }

// run lets the guard look until some time after the start.
func (r *rig) run(until time.Duration) *rig {
	r.t.Helper()
	for r.now.Before(start.Add(until)) {
		r.happen()
		r.last = r.config.Decide(r.world, r.now)
		pause := second
		if r.last.Verdict == Wait && r.last.Step.Kind == WaitEnd && r.world.Tried[WaitEnd].IsZero() {
			r.world.Tried[WaitEnd] = r.now
		}
		if r.last.Verdict == Act {
			if err := r.do(r.last.Step); err == nil {
				pause = 50 * time.Millisecond
			}
		}
		r.now = r.now.Add(pause)
	}
	return r
}

func (r *rig) happen() {
	due := slices.DeleteFunc(slices.Clone(r.events), func(one event) bool { return one.at.After(r.now) })
	r.events = slices.DeleteFunc(r.events, func(one event) bool { return !one.at.After(r.now) })
	for _, one := range due {
		one.do()
	}
	for _, node := range r.world.Nodes {
		if node.Ready == ReadyTrue && (node.Name != "n1" || r.now.After(start.Add(49*second))) {
			r.world.Leases[node.Name] = Lease{RenewTime: r.now}
		}
	}
}

// do applies a step, and checks what must never be done.
func (r *rig) do(step Step) error {
	r.t.Helper()
	if _, tried := r.world.Tried[step.Kind]; !tried {
		r.world.Tried[step.Kind] = r.now
	}
	if slices.Contains(r.refused, step.Kind) {
		return errors.New("the webhook does not answer")
	}
	r.check(step)
	r.apply(step)
	delete(r.world.Tried, step.Kind)
	r.taken, r.when = append(r.taken, step), append(r.when, r.now)
	if r.afterStep != nil {
		r.afterStep(len(r.taken), step.Kind)
	}
	return nil
}

func (r *rig) check(step Step) {
	r.t.Helper()
	if r.config.Mode != ModeGuard {
		r.t.Errorf("%s in mode %s", step.Kind, r.config.Mode)
	}
	node := r.world.node(step.Node)
	back := node != nil && node.Ready == ReadyTrue
	if allowed := []Kind{Untaint, GiveBack, FailReplica, ClearEngine}; back && !slices.Contains(allowed, step.Kind) {
		r.t.Errorf("%s on %s, which is Ready", step.Kind, step.Node)
	}
	if !back && (step.Kind == GiveBack || step.Kind == Untaint) {
		r.t.Errorf("gives %s back although it is not Ready", step.Node)
	}
	changesNode := slices.Contains([]Kind{WriteRecord, SetTaint, Untaint, GiveBack}, step.Kind)
	if changesNode && (node == nil || step.ResourceVersion != node.ResourceVersion) {
		r.t.Errorf("%s without the resourceVersion", step.Kind)
	}
	if slices.Contains([]Kind{DeletePod, ForceDeletePod}, step.Kind) {
		if pod := r.world.podOn(step.Node); pod == nil || pod.UID != step.PodUID || pod.Name != step.Pod {
			r.t.Errorf("%s of a pod that is not there: %+v", step.Kind, step)
		}
	}
	if others := r.world.OtherVolumes[step.Node]; step.Kind == SetTaint && len(others) > 0 && !node.Shutdown {
		r.t.Errorf("taints a node with volumes of others: %v", others)
	}
	if step.Kind == SetTaint && r.config.Longhorn && r.world.attachmentOn(step.Node) != nil && r.world.podOn(step.Node) != nil {
		r.t.Error("makes Kubernetes detach before the pod is gone")
	}
	if good := r.world.good(step.Node); step.Kind == FailReplica && good < 2 {
		r.t.Errorf("fails a replica with %d good others", good)
	}
}

func (r *rig) apply(step Step) {
	node := r.world.node(step.Node)
	switch step.Kind {
	case WriteRecord, SetTaint:
		record := step.Record
		node.Record = &record
		node.OutOfService = node.OutOfService || step.Kind == SetTaint
		if node.OutOfService && r.world.podOn("n1") == nil {
			r.in(100*time.Millisecond, r.detached) // by Kubernetes
		}
	case Untaint:
		record := step.Record
		node.Record, node.OutOfService = &record, false
		r.in(8*second, func() { r.world.LonghornReady["n1"] = true })
		r.in(10*second, func() { node.VolumesInUse = nil })
	case GiveBack:
		node.OutOfService = node.OutOfService && !step.Record.Tainted
		node.Record = nil
	case DeletePod:
		r.deletePod()
	case ForceDeletePod:
		r.podGone()
	case DeleteAttachment:
		r.detached()
	case FailReplica:
		for i := range r.world.Replicas {
			if r.world.Replicas[i].Name == step.Object {
				r.world.Replicas[i].Failed = true
			}
		}
	case ClearEngine:
		r.world.Orphans = nil
	default:
		r.t.Errorf("a step %q to take", step.Kind)
	}
}

// deletePod is what anybody does who deletes the pod; Longhorn then drops the attachment, once the node is down.
func (r *rig) deletePod() {
	r.world.podOn("n1").DeletedAt = r.now
	if r.detach < 0 {
		return
	}
	down := max(r.now.Sub(start), 48900*time.Millisecond)
	r.at(down+r.detach, func() {
		if !r.world.ready("n1") {
			r.detached()
		}
	})
}

func (r *rig) detached() {
	r.world.Attachments = slices.DeleteFunc(r.world.Attachments, func(one Attachment) bool { return one.Node == "n1" })
}

// podGone lets the next pod come: bound at once, attached 8.1 s later, or when the old attachment has gone.
func (r *rig) podGone() {
	r.world.Pods = slices.DeleteFunc(r.world.Pods, func(one Pod) bool { return one.Node == "n1" })
	r.in(100*time.Millisecond, func() {
		r.world.Pods = append(r.world.Pods, Pod{Name: "iris-b", UID: "uid-b", Node: "n2"})
		if node := r.world.node("n1"); node != nil && node.OutOfService { // Kubernetes then detaches by itself
			r.detached()
		}
	})
	r.in(8100*time.Millisecond, r.attach)
}

// attach is what Kubernetes does once the volume has left n1, with up to 8.1 s since the next pod came.
func (r *rig) attach() {
	if r.world.attachmentOn("n1") != nil {
		r.in(4*second, r.attach)
		return
	}
	r.world.Attachments = append(r.world.Attachments, Attachment{Name: "va-2", Node: "n2", Attached: true})
	r.attached = r.now
}

// comesBack lets n1 return some time from now: its kubelet ends a pod that is being deleted and then unmounts.
func (r *rig) comesBack(in time.Duration, bootID string) {
	r.in(in, func() {
		node := r.world.node("n1")
		node.Ready, node.ReadySince, node.BootID = ReadyTrue, r.now, bootID
		r.world.LonghornReady["n1"] = !node.OutOfService
		r.in(3*second, func() {
			if pod := r.world.podOn("n1"); pod != nil && !pod.DeletedAt.IsZero() {
				r.podGone()
				r.in(2*second, r.detached)
			}
		})
		r.in(25*second, func() {
			if r.world.podOn("n1") == nil && !r.world.node("n1").OutOfService { // Longhorn's driver is not there with the taint.
				r.world.node("n1").VolumesInUse = nil
			}
		})
	})
}

func (r *rig) kinds() []Kind {
	kinds := make([]Kind, 0, len(r.taken))
	for _, step := range r.taken {
		kinds = append(kinds, step.Kind)
	}
	return kinds
}

// tookAt is when a kind of step was first taken, in seconds after the start, or -1.
func (r *rig) tookAt(kind Kind) float64 {
	if i := slices.Index(r.kinds(), kind); i >= 0 {
		return r.when[i].Sub(start).Seconds()
	}
	return -1
}

func (r *rig) wantKinds(want ...Kind) {
	r.t.Helper()
	if got := r.kinds(); !slices.Equal(got, want) {
		r.t.Errorf("steps: got %v, want %v", got, want)
	}
}

// wantAttachedBy checks when the volume was attached elsewhere, in seconds after the start.
func (r *rig) wantAttachedBy(seconds float64) {
	r.t.Helper()
	switch got := r.attached.Sub(start).Seconds(); {
	case r.attached.IsZero():
		r.t.Error("never attached elsewhere")
	case got > seconds:
		r.t.Errorf("attached elsewhere after %.1f s, want at most %.1f", got, seconds)
	}
}

// restart is a guard that knows nothing but the objects.
func (r *rig) restart() {
	clear(r.world.Tried)
	for _, name := range slices.Collect(maps.Keys(r.world.Leases)) {
		r.world.Leases[name] = Lease{RenewTime: r.world.Leases[name].RenewTime}
	}
}
