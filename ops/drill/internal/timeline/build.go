package timeline

import (
	"slices"
	"time"
)

// Run is what a timeline is made of.
type Run struct {
	Events []Event
	Fault  time.Time
	// LastWrite and FirstWrite are those around the outage; zero: not known.
	LastWrite, FirstWrite time.Time
	// Pod is the UID of the pod that the fault hits, Node the node that it is on.
	Pod, Node string
	// NodeLost is that the node itself is hit.
	NodeLost bool
}

// Build orders what happened from the fault to the first write after it. Of each mark the first one counts: of the pod and the
// node that the fault hits for what is taken away, and of the new pod for what comes. Without writes it ends with the endpoint.
func Build(run Run) []Phase {
	marks := run.marks()
	end := run.FirstWrite
	if end.IsZero() {
		end = run.lastOf(marks)
	}
	phases := []Phase{}
	before := Event{At: run.Fault, Mark: Fault}
	for _, mark := range marks {
		if mark.At.After(end) || mark.At.Before(run.Fault) {
			continue
		}
		phases = append(phases, Phase{
			From: before.Mark, To: mark.Mark, Begins: before.At.Sub(run.Fault).Seconds(), Seconds: mark.At.Sub(before.At).Seconds(),
			Owner: run.owner(mark.Mark), Detail: mark.Detail,
		})
		before = mark
	}
	return phases
}

// lastOf is the last mark that a recovery has.
func (r Run) lastOf(marks []Event) time.Time {
	var last time.Time
	for _, mark := range marks {
		if last.IsZero() || mark.At.After(last) {
			last = mark.At
		}
	}
	return last
}

// marks are the first event of each mark that belongs to the failover, by time, with the writes among them.
func (r Run) marks() []Event {
	first := map[Mark]Event{}
	for _, event := range r.Events {
		if event.At.Before(r.Fault) || !r.counts(event) {
			continue
		}
		if earlier, found := first[event.Mark]; !found || event.At.Before(earlier.At) {
			first[event.Mark] = event
		}
	}
	if !r.LastWrite.IsZero() && r.LastWrite.After(r.Fault) {
		first[LastWrite] = Event{At: r.LastWrite, Mark: LastWrite}
	}
	if !r.FirstWrite.IsZero() {
		first[FirstWrite] = Event{At: r.FirstWrite, Mark: FirstWrite}
	}
	ordered := make([]Event, 0, len(first))
	for _, event := range first {
		ordered = append(ordered, event)
	}
	slices.SortFunc(ordered, func(a, b Event) int {
		if c := a.At.Compare(b.At); c != 0 {
			return c
		}
		return rank(a.Mark) - rank(b.Mark)
	})
	return ordered
}

// counts says whether an event is a step of the failover.
func (r Run) counts(event Event) bool {
	switch event.Mark {
	case Cordoned, NotReady, Tainted, TakeOver, OutOfService, Detached:
		return event.Node == r.Node
	case PodDeleted, PodGone, Unready:
		return event.UID == r.Pod
	case PodCreated, Scheduled:
		return event.UID != r.Pod
	case Attached:
		return true
	case Started, Ready, Endpoint:
		return true // Of the same pod too, when a container alone was started again.
	default:
		return false
	}
}

func rank(mark Mark) int {
	return slices.Index([]Mark{
		Cordoned, LastWrite, NotReady, Tainted, TakeOver, Unready, PodDeleted, Detached, OutOfService, PodGone, PodCreated, Scheduled, Attached,
		Started, Ready, Endpoint, FirstWrite,
	}, mark)
}

// owner says whose the time until a mark is (longhorn-real.md, "What owns each second").
func (r Run) owner(mark Mark) Owner {
	switch mark {
	case Cordoned:
		return Drill
	case TakeOver, OutOfService:
		return Guard
	case Detached, Attached:
		return Longhorn
	case Ready, LastWrite:
		return IRIS
	case FirstWrite:
		return Kubernetes // The pod is ready: what is left is the way to it.
	case PodDeleted:
		if r.tookOver() {
			return Guard
		}
		return Kubernetes
	case PodGone:
		switch {
		case !r.NodeLost:
			return IRIS // It stops in order.
		case r.tookOver():
			return Guard
		default:
			return Longhorn // It waits out the grace period and its own tick, then deletes by force.
		}
	default:
		return Kubernetes
	}
}

func (r Run) tookOver() bool {
	return slices.ContainsFunc(r.Events, func(e Event) bool {
		return e.Mark == TakeOver && e.Node == r.Node && !e.At.Before(r.Fault)
	})
}

// ByOwner sums the seconds of each owner.
func ByOwner(phases []Phase) map[Owner]float64 {
	sums := map[Owner]float64{}
	for _, phase := range phases {
		sums[phase.Owner] += phase.Seconds
	}
	return sums
}
