package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The page that shows the results, and the lines between which they are.
const (
	page      = "docs/performance.md"
	beginMark = "<!-- failover:begin -->"
	endMark   = "<!-- failover:end -->"
)

// pictureFile is a picture's name, beside the page.
func (r *results) pictureFile() string {
	if r.Commit == commitDefault {
		return "failover-runs-default.svg"
	}
	return "failover-runs.svg"
}

// table is Markdown: a line for each experiment and set-up, and below it what cannot be said in one.
func (r *results) table() string {
	var text strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&text, format+"\n", args...) }
	line("%s; %s; begun %s; %s.\n", r.Machine, r.Source, r.Begun.UTC().Format("2006-01-02"), commitText(r.Commit))
	all := r.summaries()
	if len(all) == 0 {
		line("No runs yet.")
		return text.String()
	}
	slices.SortStableFunc(all, func(a, b summary) int { return r.place(a.Experiment) - r.place(b.Experiment) })
	line("| experiment | set-up | runs | min | p50 | p95 | max | never | lost of acknowledged | article / this |")
	line("|---|---|---|---|---|---|---|---|---|---|")
	for _, s := range all {
		line("| `%s` | %s | %d | %s | %s | %s | %s | %d | %s | %s |", s.Experiment, s.Setup, s.Statistics.Runs, s.figure(s.Statistics.Min),
			s.figure(s.Statistics.P50), s.p95(), s.figure(s.Statistics.Max), s.Statistics.Never, s.losses(), s.ratio())
	}
	var notes []string
	for _, s := range all {
		where := fmt.Sprintf("- `%s`, %s: ", s.Experiment, s.Setup)
		if s.Failed != "" {
			notes = append(notes, where+"no more runs, because "+oneLine(s.Failed))
		}
		if len(s.Broken) > 0 {
			notes = append(notes, where+oneLine(strings.Join(s.Broken, "; ")))
		}
	}
	if len(notes) > 0 {
		line("\n%s", strings.Join(notes, "\n"))
	}
	return text.String()
}

// place is where an experiment stands in the table.
func (r *results) place(name string) int {
	e, err := parseExperiment(name)
	if err != nil {
		return 0
	}
	if e.returns > 0 {
		return 100 + e.returns
	}
	return slices.Index(allExperiments(), e)
}

func commitText(commit string) string {
	if commit == commitSynchronous {
		return "synchronous commit, except for the article's set-up, which has no such setting"
	}
	return "default commit: IRIS writes its journal every 2 s"
}

// oneLine is a text that breaks no list and no table.
func oneLine(text string) string {
	const most = 300
	text = strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", `\|`)
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + " ..."
	}
	return text
}

// figure is a number of seconds; of a run that did not recover, that it did not.
func (s summary) figure(value *float64) string {
	switch {
	case s.Statistics.Runs == 0:
		return "-"
	case value == nil:
		return "never"
	default:
		return fmt.Sprintf("%.1f", *value)
	}
}

// p95 is only one where there are enough runs for it.
func (s summary) p95() string {
	if runs := s.Statistics.Runs; runs > 0 && runs < usualRuns {
		return fmt.Sprintf("max of %d", runs)
	}
	return s.figure(s.Statistics.P95)
}

func (s summary) losses() string {
	if s.Statistics.Runs == s.Unwritten {
		return "-"
	}
	text := fmt.Sprintf("%d of %d", s.Lost, s.Acknowledged)
	if s.Young > 0 {
		text = fmt.Sprintf("%d (%d of the last 2 s) of %d", s.Lost, s.Young, s.Acknowledged)
	}
	if s.Unwritten > 0 {
		text += fmt.Sprintf(", in %d runs", s.Statistics.Runs-s.Unwritten)
	}
	return text
}

func (s summary) ratio() string {
	switch {
	case s.Ratio == nil:
		return "-"
	case s.AtLeast:
		return fmt.Sprintf("> %.1f", *s.Ratio)
	default:
		return fmt.Sprintf("%.1f", *s.Ratio)
	}
}

// writePage puts the tables into a page, between the marks, and their pictures beside it.
func writePage(path string, all []*results) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	before, rest, begins := strings.Cut(string(content), beginMark+"\n")
	_, after, ends := strings.Cut(rest, endMark)
	if !begins || !ends {
		return fmt.Errorf("write the table: %s has no lines %q and %q", path, beginMark, endMark)
	}
	var text strings.Builder
	for _, one := range all {
		if text.Len() > 0 {
			text.WriteString("\n")
		}
		text.WriteString(one.table())
		if len(one.cells) == 0 {
			continue
		}
		fmt.Fprintf(&text, "\n![Seconds without an acknowledged write, a mark for each run](%s)\n", one.pictureFile())
		if err := os.WriteFile(filepath.Join(filepath.Dir(path), one.pictureFile()), []byte(one.picture()), 0o644); err != nil {
			return fmt.Errorf("draw the table: %w", err)
		}
	}
	if len(all) > 0 {
		steps, err := all[0].phasesPicture() // With synchronous commits, where there are such runs.
		if err == nil && steps != "" {
			err = os.WriteFile(filepath.Join(filepath.Dir(path), phasesFile), []byte(steps), 0o644)
		}
		if err != nil {
			return fmt.Errorf("draw the phases: %w", err)
		}
	}
	if err := os.WriteFile(path, []byte(before+beginMark+"\n"+text.String()+endMark+after), 0o644); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	return nil
}
