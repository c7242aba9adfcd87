// Package writer writes rows to the database at a fixed rate, whether it answers or not (open loop: a writer that waits for an
// answer would not see how long none comes), keeps what was acknowledged apart from what is unknown, and reads the rows back.
package writer

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"ha-iris/ops/drill/internal/ledger"
)

// Global is where the rows are, in namespace USER: one subscript for the run, one for the row.
const Global = "^haIrisDrill"

// FirstInside is the number of the first row of the writer in the database's own pod.
const FirstInside = 1_000_000_000

// Writer writes rows and reads them back.
type Writer interface {
	// Run writes until the context ends.
	Run(ctx context.Context, into *ledger.Ledger)
	// ReadBack looks for the rows of these numbers; it may find others too.
	ReadBack(ctx context.Context, numbers []int64) ([]ledger.Row, error)
	// About says how it writes.
	About() string
}

// Options are common to all writers.
type Options struct {
	// Run is the name of this run; letters and digits.
	Run string
	// Rate is rows per second, Timeout how long an answer may take.
	Rate    float64
	Timeout time.Duration
}

func (o Options) interval() time.Duration { return time.Duration(float64(time.Second) / o.Rate) }

// node is a row's name in the database.
func node(run string, row int64) string { return fmt.Sprintf(`%s(%q,%d)`, Global, run, row) }

// content is what an HTTP writer sends.
func content(row int64) string { return fmt.Sprintf("row=%d", row) }

var listed = regexp.MustCompile(`\^haIrisDrill\("([A-Za-z0-9]+)",(\d+)\)="?([^"\r\n]*)"?`)

// parseRows reads what ZWRITE says of a run.
func parseRows(text, run string) []ledger.Row {
	var rows []ledger.Row
	for _, match := range listed.FindAllStringSubmatch(text, -1) {
		number, err := strconv.ParseInt(match[2], 10, 64)
		if err != nil || match[1] != run {
			continue
		}
		row := ledger.Row{Number: number, Times: 1}
		if times, err := strconv.Atoi(match[3]); err == nil {
			row.Times = times
		} else {
			row.Damaged = match[3] != content(number)
		}
		rows = append(rows, row)
	}
	return rows
}

// parseAcknowledged reads what a writer in the pod has noted: a row and the seconds since the machine's start. The last line may
// be cut.
func parseAcknowledged(text string, boot time.Time) []ledger.Write {
	var writes []ledger.Write
	for line := range strings.Lines(text) {
		number, seconds, found := strings.Cut(strings.TrimSpace(line), " ")
		row, err := strconv.ParseInt(number, 10, 64)
		if !found || err != nil || !strings.HasSuffix(line, "\n") {
			continue
		}
		at, err := strconv.ParseFloat(seconds, 64)
		if err != nil {
			continue
		}
		done := boot.Add(time.Duration(at * float64(time.Second)))
		writes = append(writes, ledger.Write{Row: row, Outcome: ledger.Acknowledged, Sent: done, Done: done, Inside: true})
	}
	return writes
}
