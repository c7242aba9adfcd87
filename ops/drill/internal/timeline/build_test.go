package timeline

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func second(s float64) time.Time {
	return time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(s * float64(time.Second)))
}

// lost is a lost node in the guard's order, with the seconds of longhorn-real.md, and events that do not belong to it.
func lost(guarded bool) Run {
	events := []Event{
		{At: second(-30), Mark: NotReady, Node: "a"}, // An earlier fault's.
		{At: second(48.5), Mark: NotReady, Node: "a"},
		{At: second(48.6), Mark: Tainted, Node: "a"},
		{At: second(48.7), Mark: Unready, UID: "old", Node: "a"},
		{At: second(49.0), Mark: PodDeleted, UID: "old", Node: "a"},
		{At: second(51.1), Mark: Detached, Node: "a"},
		{At: second(51.6), Mark: PodGone, UID: "old", Node: "a"},
		{At: second(49.1), Mark: PodCreated, UID: "new"},
		{At: second(51.7), Mark: Scheduled, UID: "new", Node: "b"},
		{At: second(10), Mark: NotReady, Node: "c"}, // Other nodes' and pods'.
		{At: second(11), Mark: Detached, Node: "c"},
		{At: second(50), Mark: Unready, UID: "new"},
		{At: second(12), Mark: PodGone, UID: "older", Node: "a"},
		{At: second(59.8), Mark: Attached, Node: "b"},
		{At: second(61), Mark: Started, UID: "new", Node: "b"},
		{At: second(72), Mark: Ready, UID: "new", Node: "b"},
		{At: second(72.1), Mark: Endpoint, Object: "iris-svc-1"},
		{At: second(90), Mark: NodeReady, Node: "a"},
	}
	if guarded {
		events = append(events, Event{At: second(48.9), Mark: TakeOver, Node: "a"})
	}
	return Run{
		Events: events, Fault: second(0), LastWrite: second(-0.1), FirstWrite: second(72.4), Pod: "old", Node: "a", NodeLost: true,
	}
}

func TestBuild_OrdersALostNode(t *testing.T) {
	t.Parallel()
	var got []string
	sum := 0.0
	for _, phase := range Build(lost(true)) {
		got = append(got, fmt.Sprintf("%s %.1f %s", phase.To, phase.Seconds, phase.Owner))
		sum += phase.Seconds
	}
	want := []string{
		"node not ready 48.5 Kubernetes", "node tainted 0.1 Kubernetes", "pod not ready 0.1 Kubernetes", "take-over recorded 0.2 guard",
		"pod deleted 0.1 guard", "new pod created 0.1 Kubernetes", "volume detached 2.0 Longhorn", "pod gone 0.5 guard",
		"scheduled 0.1 Kubernetes", "volume attached 8.1 Longhorn", "container started 1.2 Kubernetes", "pod ready 11.0 IRIS",
		"endpoint ready 0.1 Kubernetes", "first acknowledged write 0.3 Kubernetes",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if sum < 72.399 || sum > 72.401 {
		t.Errorf("the phases sum up to %.3f s, want 72.4", sum)
	}
}

func TestBuild_GivesThePodsEndToThoseWhoBringItAbout(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		run     Run
		deleted Owner
		gone    Owner
	}{
		"with the guard":    {lost(true), Guard, Guard},
		"without the guard": {lost(false), Kubernetes, Longhorn},
		"an orderly stop": {func() Run {
			run := lost(false)
			run.NodeLost = false
			return run
		}(), Kubernetes, IRIS},
	} {
		owners := map[Mark]Owner{}
		for _, phase := range Build(test.run) {
			owners[phase.To] = phase.Owner
		}
		if owners[PodDeleted] != test.deleted || owners[PodGone] != test.gone {
			t.Errorf("%s: deleted by %s, gone by %s; want %s, %s", name, owners[PodDeleted], owners[PodGone], test.deleted, test.gone)
		}
	}
}

func TestBuild_ShowsWritesThatWentOnAfterTheFault(t *testing.T) {
	t.Parallel()
	run := lost(false)
	run.LastWrite = second(55.2) // The kubelet alone is dead.
	for _, phase := range Build(run) {
		if phase.To == LastWrite {
			return
		}
	}
	t.Error("the last write is no mark")
}

func TestBuild_EndsWithTheEndpointWithoutWrites(t *testing.T) {
	t.Parallel()
	run := lost(false)
	run.LastWrite, run.FirstWrite = time.Time{}, time.Time{}
	phases := Build(run)
	if len(phases) == 0 || phases[len(phases)-1].To != Endpoint {
		t.Errorf("the phases are %v", phases)
	}
	if empty := Build(Run{Fault: second(0)}); len(empty) != 0 {
		t.Errorf("of nothing came %v", empty)
	}
}

func TestByOwner_Sums(t *testing.T) {
	t.Parallel()
	sums := ByOwner([]Phase{{Seconds: 1, Owner: Guard}, {Seconds: 2, Owner: Guard}, {Seconds: 4, Owner: IRIS}})
	if sums[Guard] != 3 || sums[IRIS] != 4 {
		t.Errorf("got %v", sums)
	}
}

func TestDoublyAttached_SeesTwoNodesAtOnce(t *testing.T) {
	t.Parallel()
	fine := []Held{{second(0), []string{"a"}}, {second(1), nil}, {second(2), []string{"b"}}, {second(3), []string{"b", "b"}}}
	if said := DoublyAttached(fine); said != "" {
		t.Errorf("one after the other: %s", said)
	}
	if said := DoublyAttached(append(fine, Held{second(4), []string{"b", "a"}})); !strings.Contains(said, "[a b]") {
		t.Errorf("both at once: %q", said)
	}
}
