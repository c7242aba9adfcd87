// Package report says what a drill has measured: a table, JSON, JUnit's XML and pictures. It judges it too.
package report

import (
	"fmt"
	"time"

	"ha-iris/ops/drill/internal/ledger"
	"ha-iris/ops/drill/internal/timeline"
)

// The exit codes.
const (
	Passed     = 0
	Missed     = 1
	Lost       = 2
	Refused    = 3
	NotCleaned = 4
)

// Report is one call of the drill.
type Report struct {
	Tool        string       `json:"tool"`
	Begun       time.Time    `json:"begun"`
	Ended       time.Time    `json:"ended"`
	Context     string       `json:"context"`
	Namespace   string       `json:"namespace"`
	Writer      string       `json:"writer"`
	Experiments []Experiment `json:"experiments"`
	// Refusals are why it did not begin, Uncleaned what could not be undone, Aborted why it ended early.
	Refusals  []string `json:"refusals,omitempty"`
	Uncleaned []string `json:"uncleaned,omitempty"`
	Aborted   string   `json:"aborted,omitempty"`
	Notes     []string `json:"notes,omitempty"`
	ExitCode  int      `json:"exitCode"`
}

// Experiment are all runs of one fault.
type Experiment struct {
	Name       string            `json:"name"`
	Runs       []Run             `json:"runs"`
	Statistics ledger.Statistics `json:"gapSeconds"`
	// Objectives are those that count for it; Missed says which were not met, Broken which promises were.
	Objectives Objectives `json:"objectives"`
	Missed     []string   `json:"missed,omitempty"`
	Broken     []string   `json:"broken,omitempty"`
}

// Run is one fault.
type Run struct {
	Number int       `json:"number"`
	Fault  time.Time `json:"fault"`
	// Phase is how long was waited before the fault, in seconds, so that it falls anywhere between two heartbeats.
	Phase     float64 `json:"phaseSeconds"`
	Node      string  `json:"node"`
	Pod       string  `json:"pod"`
	NewNode   string  `json:"newNode,omitempty"`
	NewPod    string  `json:"newPod,omitempty"`
	Recovered bool    `json:"recovered"`
	// Interrupted is that somebody has ended the drill before the database was back, or was given up: the gap is no measurement.
	Interrupted bool `json:"interrupted,omitempty"`
	// Gap is between the last acknowledgement before the outage and the first one after it, in seconds; without a writer, from the
	// fault to the endpoint.
	Gap float64 `json:"gapSeconds"`
	// Outage is that gap, Interruptions are all pauses of at least three seconds.
	Outage        ledger.Outage   `json:"outage"`
	Interruptions []ledger.Outage `json:"interruptions"`
	Books         *ledger.Books   `json:"writes,omitempty"`
	// Inside are the acknowledgements that only the old pod's own node has seen; Overlap is how long they went on beside the new
	// pod's, and ClockError how wrong their times may be, in seconds.
	Inside     int                        `json:"insideAcknowledged"`
	Overlap    float64                    `json:"overlapSeconds"`
	ClockError float64                    `json:"clockErrorSeconds"`
	Phases     []timeline.Phase           `json:"phases"`
	Seconds    map[timeline.Owner]float64 `json:"secondsByOwner"`
	Events     []timeline.Event           `json:"events"`
	// Healed is when after the fault the volume was healthy again, in seconds.
	Healed float64 `json:"healedSeconds,omitempty"`
	// Differing is how many blocks of the replicas differ; nil: they were not compared.
	Differing *int     `json:"differingBlocks,omitempty"`
	Broken    []string `json:"broken,omitempty"`
	Notes     []string `json:"notes,omitempty"`
}

// Objectives are limits; zero is none, but for the lost writes, none of which is admitted without one.
type Objectives struct {
	P50  time.Duration `json:"maxP50,omitempty"`
	P95  time.Duration `json:"maxP95,omitempty"`
	Lost int           `json:"maxLost"`
}

// Judge fills in the statistics, what was missed and what was broken.
func (e *Experiment) Judge() {
	e.Missed, e.Broken = nil, nil
	lengths := make([]time.Duration, 0, len(e.Runs))
	lost := 0
	for _, run := range e.Runs {
		length := time.Duration(run.Gap * float64(time.Second))
		if !run.Recovered && !run.Interrupted {
			length = -1
			e.Missed = append(e.Missed, fmt.Sprintf("run %d: not recovered after %.0f s", run.Number, run.Gap))
		}
		if !run.Interrupted {
			lengths = append(lengths, length)
		}
		if run.Books != nil {
			lost += len(run.Books.Lost)
		}
		for _, broken := range run.Broken {
			e.Broken = append(e.Broken, fmt.Sprintf("run %d: %s", run.Number, broken))
		}
	}
	e.Statistics = ledger.Summarize(lengths)
	if e.Statistics.Exceeds(e.Statistics.P50, e.Objectives.P50) {
		e.Missed = append(e.Missed, fmt.Sprintf("p50 is %s s, the objective %g", figure(e.Statistics.P50), e.Objectives.P50.Seconds()))
	}
	if e.Statistics.Exceeds(e.Statistics.P95, e.Objectives.P95) {
		e.Missed = append(e.Missed, fmt.Sprintf("p95 is %s s, the objective %g", figure(e.Statistics.P95), e.Objectives.P95.Seconds()))
	}
	if lost > e.Objectives.Lost {
		e.Broken = append(e.Broken, fmt.Sprintf("%d acknowledged writes are lost, at most %d are admitted", lost, e.Objectives.Lost))
	}
}

// Judge sets the exit code: what is lost weighs most, then what is left undone, then what was too slow or not measured.
func (r *Report) Judge() {
	broken, missed := false, r.Aborted != ""
	for i := range r.Experiments {
		r.Experiments[i].Judge()
		broken = broken || len(r.Experiments[i].Broken) > 0
		missed = missed || len(r.Experiments[i].Missed) > 0
	}
	switch {
	case broken:
		r.ExitCode = Lost
	case len(r.Uncleaned) > 0:
		r.ExitCode = NotCleaned
	case len(r.Refusals) > 0:
		r.ExitCode = Refused
	case missed:
		r.ExitCode = Missed
	default:
		r.ExitCode = Passed
	}
}

// figure is a number of seconds, or that there is none.
func figure(value *float64) string {
	if value == nil {
		return "never"
	}
	return fmt.Sprintf("%.1f", *value)
}
