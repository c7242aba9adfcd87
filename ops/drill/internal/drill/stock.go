package drill

import (
	"context"
	"fmt"
	"slices"
	"time"

	"ha-iris/ops/drill/internal/ledger"
	"ha-iris/ops/drill/internal/timeline"
	"ha-iris/ops/drill/internal/writer"
)

// reading is how long the rows may take to be read.
const reading = 5 * time.Minute

// takeStock reads back what was written and fills in the run, also when the drill is being ended.
func (a *attempt) takeStock(ctx context.Context) error {
	// Where it never came back by itself it may do so now that the node is there; what is missing then is known best.
	_ = until(ctx, min(a.Config.Healing, reading), "a pod that serves", func() (bool, string) { return a.seen.serving() != nil, "" })
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reading)
	defer cancel()
	writes := slices.Concat(a.ledger.Writes(), a.acknowledged)
	a.run.Inside = len(a.acknowledged)
	end := time.Now()
	var outage ledger.Outage
	var err error
	if a.writer != nil {
		outage = a.gaps(writes, end)
		err = a.books(ctx, writes, outage)
	} else {
		outage = a.availability()
		a.run.Gap = outage.Length(end).Seconds()
	}
	a.run.Outage = outage
	a.run.Recovered = a.run.Recovered && outage.Recovered()
	if pod := a.seen.serving(); pod != nil {
		a.run.NewPod, a.run.NewNode = pod.GetName(), text(pod, "spec", "nodeName")
	}
	first := outage.First
	if a.writer == nil {
		first = time.Time{}
	}
	a.run.Events = a.seen.all()
	a.run.Phases = timeline.Build(timeline.Run{
		Events: a.run.Events, Fault: a.made, LastWrite: outage.Last, FirstWrite: first,
		Pod: string(a.victim.UID), Node: a.victim.Node, NodeLost: a.kind.NodeLost(),
	})
	a.run.Seconds = timeline.ByOwner(a.run.Phases)
	if twice := a.seen.doublyAttached(); twice != "" {
		a.run.Broken = append(a.run.Broken, twice)
	}
	a.run.Broken = append(a.run.Broken, a.unchanged(ctx)...)
	return err
}

func (a *attempt) gaps(writes []ledger.Write, end time.Time) ledger.Outage {
	acknowledged := ledger.Acknowledgements(writes, false)
	outage, found := a.outage(end)
	if !found {
		a.run.Notes = append(a.run.Notes, "nothing was acknowledged")
	}
	a.run.Gap = outage.Length(end).Seconds()
	a.run.Interruptions = ledger.Pauses(acknowledged, a.made, end, interruption)
	if a.inside != nil && a.replaced() {
		overlap := ledger.Overlap(a.acknowledged, outage.First)
		a.run.Overlap = overlap.Seconds()
		if overlap > a.inside.ClockError() {
			a.run.Broken = append(a.run.Broken, fmt.Sprintf("two instances acknowledged at once, for %.1f s", overlap.Seconds()))
		}
	}
	return outage
}

// replaced says whether another pod took over: an old one that goes on alone may acknowledge.
func (a *attempt) replaced() bool {
	pod := a.seen.serving()
	return pod != nil && pod.GetUID() != a.victim.UID
}

// availability is the outage by the API's objects, for nodes behind which nothing writes.
func (a *attempt) availability() ledger.Outage {
	outage := ledger.Outage{Last: a.made}
	for _, event := range a.seen.all() {
		if event.Mark == timeline.Endpoint && event.At.After(a.made) {
			outage.First = event.At // The last one, if it was interrupted twice.
		}
	}
	return outage
}

func (a *attempt) books(ctx context.Context, writes []ledger.Write, outage ledger.Outage) error {
	numbers := make([]int64, 0, len(writes))
	for _, write := range writes {
		numbers = append(numbers, write.Row)
	}
	slices.Sort(numbers)
	numbers = slices.Compact(numbers)
	a.Host.Say("%s %d  reading %d rows back", a.kind, a.run.Number, len(numbers))
	rows, err := a.writer.ReadBack(ctx, numbers)
	if err != nil {
		return err
	}
	books := ledger.Compare(known(writes, rows), rows, outage.Last, a.Config.Young)
	a.run.Books = &books
	if len(books.Duplicated) > 0 {
		a.run.Broken = append(a.run.Broken, fmt.Sprintf("%d rows are there twice", len(books.Duplicated)))
	}
	if a.inside != nil && !a.replaced() {
		_ = a.inside.Stop(ctx, a.shell(a.victim.Pod)) // It ends by itself, later.
	}
	if err := writer.Remove(ctx, a.shell(""), a.rows); err != nil {
		a.run.Notes = append(a.run.Notes, err.Error())
	}
	return nil
}

// known adds to the writes those of the pod's own writer that it did not note, because nobody answered it: they are unknown, no
// phantoms.
func known(writes []ledger.Write, rows []ledger.Row) []ledger.Write {
	noted := map[int64]bool{}
	for _, write := range writes {
		noted[write.Row] = true
	}
	for _, row := range rows {
		if row.Number > writer.FirstInside && !noted[row.Number] {
			writes = append(writes, ledger.Write{Row: row.Number, Outcome: ledger.Unknown, Inside: true})
		}
	}
	return writes
}
