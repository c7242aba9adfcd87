package ledger

import (
	"math"
	"slices"
	"time"
)

// Statistics are those of the outages of several runs, in seconds. A run that did not recover is longer than all others; where it
// is what a figure stands for, the figure is missing.
type Statistics struct {
	Runs  int      `json:"runs"`
	Never int      `json:"never"`
	Min   *float64 `json:"min"`
	P50   *float64 `json:"p50"`
	P95   *float64 `json:"p95"`
	Max   *float64 `json:"max"`
}

// Summarize counts lengths, a negative one of which stands for a run that did not recover. Percentiles are by the nearest rank, so
// that each is the length of a run: with 20 runs the 95th is the second longest.
func Summarize(lengths []time.Duration) Statistics {
	s := Statistics{Runs: len(lengths)}
	sorted := make([]float64, 0, len(lengths))
	for _, length := range lengths {
		if length < 0 {
			s.Never++
			sorted = append(sorted, math.Inf(1))
			continue
		}
		sorted = append(sorted, length.Seconds())
	}
	slices.Sort(sorted)
	at := func(share float64) *float64 {
		if len(sorted) == 0 {
			return nil
		}
		rank := int(math.Ceil(share * float64(len(sorted))))
		value := sorted[max(rank, 1)-1]
		if math.IsInf(value, 1) {
			return nil
		}
		return &value
	}
	s.Min, s.P50, s.P95, s.Max = at(0), at(0.5), at(0.95), at(1)
	return s
}

// Exceeds says whether a figure is above a limit; a missing one of a run that did not recover is above every limit.
func (s Statistics) Exceeds(figure *float64, limit time.Duration) bool {
	if s.Runs == 0 || limit <= 0 {
		return false
	}
	return figure == nil || *figure > limit.Seconds()
}
