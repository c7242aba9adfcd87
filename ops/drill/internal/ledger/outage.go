package ledger

import "time"

// Outage is a time without acknowledgements.
type Outage struct {
	// Last is the last acknowledgement before it.
	Last time.Time `json:"last"`
	// First is the first one after it; zero: none until the end.
	First time.Time `json:"first,omitzero"`
}

// Recovered says whether there was an acknowledgement after it.
func (o Outage) Recovered() bool { return !o.First.IsZero() }

// Length is how long it lasted, until the given end if there was no acknowledgement after it.
func (o Outage) Length(end time.Time) time.Duration {
	if o.Recovered() {
		return o.First.Sub(o.Last)
	}
	return end.Sub(o.Last)
}

// Pauses are the times without acknowledgements that ended after the fault and lasted at least so long, in order. The last one is
// open if nothing was acknowledged in the end.
func Pauses(acknowledged []time.Time, fault, end time.Time, atLeast time.Duration) []Outage {
	var found []Outage
	keep := func(o Outage) {
		if o.Length(end) >= atLeast {
			found = append(found, o)
		}
	}
	var last time.Time
	for _, at := range acknowledged {
		if !last.IsZero() && at.After(fault) {
			keep(Outage{Last: last, First: at})
		}
		last = at
	}
	if !last.IsZero() {
		keep(Outage{Last: last})
	}
	return found
}

// Longest is the longest time without acknowledgements that ended after the fault: what a fault brings about may begin long after
// it, as when only a kubelet dies. A time that has not ended counts before all others when it lasts at least so long. False: there
// were fewer than two acknowledgements.
func Longest(acknowledged []time.Time, fault, end time.Time, never time.Duration) (Outage, bool) {
	pauses := Pauses(acknowledged, fault, end, 0)
	if len(pauses) == 0 {
		return Outage{}, false
	}
	open := pauses[len(pauses)-1]
	if open.Length(end) >= never || len(pauses) == 1 {
		return open, true
	}
	longest := pauses[0]
	for _, one := range pauses[:len(pauses)-1] {
		if one.Length(end) > longest.Length(end) {
			longest = one
		}
	}
	return longest, true
}

// Overlap is how long the pod that was given up went on acknowledging after another one had begun to: nothing, if all is well.
func Overlap(writes []Write, takenOver time.Time) time.Duration {
	inside := Acknowledgements(writes, true)
	if takenOver.IsZero() || len(inside) == 0 {
		return 0
	}
	return max(0, inside[len(inside)-1].Sub(takenOver))
}
