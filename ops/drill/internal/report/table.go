package report

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"ha-iris/ops/drill/internal/timeline"
)

// Table writes what a person wants to know.
func (r *Report) Table(w io.Writer) error {
	var text strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&text, format+"\n", args...) }
	for i := range r.Experiments {
		experiment := &r.Experiments[i]
		line("\n%s", experiment.Name)
		if err := experiment.table(&text); err != nil {
			return err
		}
		s := experiment.Statistics
		line("gap in seconds: min %s, p50 %s, p95 %s, max %s; %d of %d runs recovered",
			figure(s.Min), figure(s.P50), figure(s.P95), figure(s.Max), s.Runs-s.Never, s.Runs)
		if err := experiment.phases(&text); err != nil {
			return err
		}
		for _, missed := range experiment.Missed {
			line("MISSED  %s", missed)
		}
		for _, broken := range experiment.Broken {
			line("BROKEN  %s", broken)
		}
		for _, run := range experiment.Runs {
			for _, note := range run.Notes {
				line("note    run %d: %s", run.Number, note)
			}
		}
	}
	for _, one := range r.Refusals {
		line("REFUSED %s", one)
	}
	for _, one := range r.Uncleaned {
		line("LEFT    %s", one)
	}
	if r.Aborted != "" {
		line("ENDED   %s", r.Aborted)
	}
	for _, one := range r.Notes {
		line("note    %s", one)
	}
	line("\n%s", verdict(r.ExitCode))
	_, err := io.WriteString(w, text.String())
	return err
}

func verdict(code int) string {
	switch code {
	case Passed:
		return "passed"
	case Missed:
		return "an objective was missed"
	case Lost:
		return "data was lost, or an invariant broken"
	case Refused:
		return "refused to start"
	default:
		return "not cleaned up"
	}
}

func (e *Experiment) table(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if _, err := fmt.Fprintln(table, "run\tgap s\tinterruptions\tacked\tfailed\tunknown\tlost\texcused\tdouble\toverlap s\tseconds by owner"); err != nil {
		return err
	}
	for i := range e.Runs {
		run := &e.Runs[i]
		gap := fmt.Sprintf("%.1f", run.Gap)
		if !run.Recovered {
			gap = "> " + gap
		}
		counts := "-\t-\t-\t-\t-\t-"
		if books := run.Books; books != nil {
			counts = fmt.Sprintf("%d\t%d\t%d\t%d\t%d\t%d", books.Acknowledged, books.Failed, books.Unknown, len(books.Lost), len(books.Excused),
				len(books.Duplicated))
		}
		if _, err := fmt.Fprintf(table, "%d\t%s\t%d\t%s\t%.1f\t%s\n", run.Number, gap, len(run.Interruptions), counts, run.Overlap,
			owners(run.Seconds)); err != nil {
			return err
		}
	}
	return table.Flush()
}

func owners(seconds map[timeline.Owner]float64) string {
	var parts []string
	for _, owner := range Owners() {
		if spent := seconds[owner]; spent >= 0.05 {
			parts = append(parts, fmt.Sprintf("%s %.1f", owner, spent))
		}
	}
	return strings.Join(parts, ", ")
}

// Owners are all owners, in the order of the legend.
func Owners() []timeline.Owner {
	return []timeline.Owner{timeline.Kubernetes, timeline.Guard, timeline.Longhorn, timeline.IRIS, timeline.Drill}
}

// phases writes those of the run in the middle.
func (e *Experiment) phases(w io.Writer) error {
	for i := range e.Runs {
		run := &e.Runs[i]
		if p50 := e.Statistics.P50; !run.Recovered || p50 == nil || run.Gap != *p50 {
			continue
		}
		if _, err := fmt.Fprintf(w, "run %d, seconds after the fault, and since what came before:\n", run.Number); err != nil {
			return err
		}
		return run.phases(w)
	}
	return nil
}

func (r *Run) phases(w io.Writer) error {
	table := tabwriter.NewWriter(w, 2, 0, 2, ' ', 0)
	for _, phase := range r.Phases {
		if _, err := fmt.Fprintf(table, "  +%.1f s\t%.1f s\t%s\t%s\t%s\n", phase.Begins+phase.Seconds, phase.Seconds, phase.To, phase.Owner,
			short(phase.Detail)); err != nil {
			return err
		}
	}
	return table.Flush()
}

func short(text string) string {
	const most = 60
	if runes := slices.Collect(strings.SplitSeq(text, "")); len(runes) > most {
		return strings.Join(runes[:most-3], "") + "..."
	}
	return text
}

// JSON writes everything.
func (r *Report) JSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}
