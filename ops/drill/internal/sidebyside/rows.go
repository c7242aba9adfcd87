package sidebyside

import (
	"fmt"
	"slices"
	"time"

	"ha-iris/ops/drill/internal/fault"
	"ha-iris/ops/drill/internal/ledger"
	"ha-iris/ops/drill/internal/report"
)

// Row is what is said of a cell.
type Row struct {
	Experiment fault.Kind `json:"experiment"`
	Setup      Setup      `json:"setup"`
	Wanted     int        `json:"wanted"`
	// Gap are the statistics of the outages, in seconds.
	Gap ledger.Statistics `json:"gapSeconds"`
	// Acknowledged are the writes of the runs whose rows were read back; Unread is how many runs' were not.
	Acknowledged int `json:"acknowledged"`
	Unread       int `json:"unreadRuns"`
	// Lost are acknowledged writes that are missing, Older those of them that were older than what the database has not promised to
	// keep yet, when the outage began.
	Lost  int `json:"lost"`
	Older int `json:"lostOlder"`
	// Ratio is the article's p50 by this one's; nil: there is none. AtLeast is that the article's never came.
	Ratio   *float64 `json:"ratio"`
	AtLeast bool     `json:"ratioAtLeast,omitempty"`
	// Remarks are broken promises, Reasons why runs are missing.
	Remarks []string `json:"remarks,omitempty"`
	Reasons []string `json:"reasons,omitempty"`

	runs []report.Run
}

// Rows are all cells: by experiment, then by set-up.
func (r *Results) Rows() []Row {
	var rows []Row
	for _, kind := range r.Experiments {
		first := len(rows)
		for _, setup := range r.Setups {
			rows = append(rows, r.row(Cell{setup, kind}))
		}
		article := slices.IndexFunc(rows[first:], func(row Row) bool { return row.Setup == Article })
		if article < 0 {
			continue
		}
		for i := first; i < len(rows); i++ {
			if rows[i].Setup != Article {
				rows[i].compare(rows[first+article].Gap)
			}
		}
	}
	return rows
}

func (r *Results) row(cell Cell) Row {
	row := Row{Experiment: cell.Experiment, Setup: cell.Setup, Wanted: r.Runs, runs: r.Measured(cell)}
	lengths := make([]time.Duration, 0, len(row.runs))
	for i, run := range row.runs {
		length := time.Duration(run.Gap * float64(time.Second))
		if !run.Recovered {
			length = -1
		}
		lengths = append(lengths, length)
		for _, broken := range run.Broken {
			row.Remarks = append(row.Remarks, fmt.Sprintf("run %d: %s", i+1, broken))
		}
		if run.Books == nil {
			row.Unread++
			continue
		}
		row.Acknowledged += run.Books.Acknowledged
		row.Older += len(run.Books.Lost)
		row.Lost += len(run.Books.Lost) + len(run.Books.Excused)
	}
	row.Gap = ledger.Summarize(lengths)
	if len(row.runs) < r.Runs {
		row.Reasons = r.reasons(cell)
	}
	return row
}

// reasons are why runs of a cell are missing, each once.
func (r *Results) reasons(cell Cell) []string {
	var found []string
	for _, one := range r.Attempts {
		if one.Setup == cell.Setup && one.Experiment == cell.Experiment && one.Reason != "" && !slices.Contains(found, one.Reason) {
			found = append(found, one.Reason)
		}
	}
	return found
}

// compare computes the ratio of the medians. One that never came is longer than Never.
func (row *Row) compare(article ledger.Statistics) {
	if article.Runs == 0 || row.Gap.P50 == nil || *row.Gap.P50 <= 0 {
		return
	}
	ratio := Never.Seconds()
	if article.P50 != nil {
		ratio = *article.P50
	}
	ratio /= *row.Gap.P50
	row.Ratio, row.AtLeast = &ratio, article.P50 == nil
}
