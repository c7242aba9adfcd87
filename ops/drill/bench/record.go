package main

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"ha-iris/ops/drill/internal/ledger"
	"ha-iris/ops/drill/internal/report"
	"ha-iris/ops/drill/internal/timeline"
)

// recordFile has a line for each run that was ever published, beside the page: a measurement of days is made in pieces, and by
// more than one machine. Lines of a source whose times no longer stand for this one are deleted by hand.
const recordFile = "failover-runs.csv"

// columns of the record. An empty field is not known: without a writer nothing is known of writes. A line with no_run, which says
// why, stands for an experiment that could not be measured; the first run of it takes the reason away.
func columns() []string {
	return []string{
		"fault", "source", "machine", "commit", "setup", "experiment", "recovered", "gap_seconds", "phases",
		"acknowledged", "lost", "lost_young", "differing_blocks", "broken", "no_run",
	}
}

// sorted are the results by how commits are made, the runs of one experiment in the order of their faults, each once.
func sorted(all []*results) []*results {
	merged := map[string]*results{}
	for _, one := range all {
		into := merged[one.Commit]
		if into == nil {
			into = &results{about: one.about}
			merged[one.Commit] = into
		}
		into.add(one)
	}
	var found []*results
	for _, commit := range []string{commitSynchronous, commitDefault} {
		if merged[commit] != nil {
			found = append(found, merged[commit])
		}
	}
	return found
}

// add takes the runs of others in.
func (r *results) add(others *results) {
	r.Source, r.Machine = union(r.Source, others.Source), union(r.Machine, others.Machine)
	if others.Begun.Before(r.Begun) {
		r.Begun = others.Begun
	}
	for _, theirs := range others.cells {
		place := slices.IndexFunc(r.cells, func(ours cell) bool { return ours.setup == theirs.setup && ours.experiment == theirs.experiment })
		if place < 0 {
			r.cells = append(r.cells, cell{setup: theirs.setup, experiment: theirs.experiment})
			place = len(r.cells) - 1
		}
		ours := &r.cells[place]
		ours.failed = theirs.failed // The latest one counts.
		for _, run := range theirs.runs {
			if !slices.ContainsFunc(ours.runs, func(one report.Run) bool { return one.Fault.Equal(run.Fault) }) {
				ours.runs = append(ours.runs, run)
			}
		}
		slices.SortStableFunc(ours.runs, func(a, b report.Run) int { return a.Fault.Compare(b.Fault) })
	}
	slices.SortStableFunc(r.cells, func(a, b cell) int {
		return cmp.Or(cmp.Compare(r.place(a.name), r.place(b.name)), cmp.Compare(slices.Index(setups(), a.setup), slices.Index(setups(), b.setup)))
	})
}

// union are the entries of two lists with "and" between them, each once. A machine's text has commas of its own.
func union(a, b string) string {
	const between = " and "
	entries := append(strings.Split(a, between), strings.Split(b, between)...)
	slices.Sort(entries)
	return strings.Join(slices.Compact(entries), between)
}

// writeRecord writes the lines of runs, the oldest first.
func writeRecord(path string, lines [][]string) error {
	slices.SortFunc(lines, slices.Compare)
	var text strings.Builder
	writer := csv.NewWriter(&text)
	err := writer.WriteAll(append([][]string{columns()}, lines...))
	if err == nil {
		err = os.WriteFile(path, []byte(text.String()), 0o644)
	}
	if err != nil {
		return fmt.Errorf("write the record of runs: %w", err)
	}
	return nil
}

// lines are the results' for the record.
func (r *results) lines() [][]string {
	var lines [][]string
	for _, one := range r.cells {
		of := []string{r.Source, r.Machine, r.Commit, one.setup, one.name}
		if len(one.runs) == 0 && one.failed == "" {
			continue // It was interrupted before its first run.
		}
		if len(one.runs) == 0 {
			begun := r.Begun.UTC().Format(time.RFC3339Nano)
			lines = append(lines, slices.Concat([]string{begun}, of, make([]string, 8), []string{strings.Join(strings.Fields(one.failed), " ")}))
		}
		for _, run := range one.runs {
			line := slices.Concat([]string{run.Fault.UTC().Format(time.RFC3339Nano)}, of, []string{
				strconv.FormatBool(run.Recovered), strconv.FormatFloat(run.Gap, 'f', 3, 64), phases(run), "", "", "", "",
				strings.Join(run.Broken, "; "), "",
			})
			if books := run.Books; books != nil {
				line[9], line[10], line[11] = strconv.Itoa(books.Acknowledged), strconv.Itoa(len(books.Lost)), strconv.Itoa(len(books.Excused))
			}
			if run.Differing != nil {
				line[12] = strconv.Itoa(*run.Differing)
			}
			lines = append(lines, line)
		}
	}
	return lines
}

// phases are a run's for the record: when each began after the fault, how long it took, whose it was, and what ended it.
func phases(run report.Run) string {
	said := make([]string, 0, len(run.Phases))
	for _, phase := range run.Phases {
		said = append(said, fmt.Sprintf("%.3f+%.3f %s: %s", phase.Begins, phase.Seconds, phase.Owner, phase.To))
	}
	return strings.Join(said, "; ")
}

// phasesOf reads what phases has written.
func phasesOf(text string) ([]timeline.Phase, error) {
	if text == "" {
		return nil, nil
	}
	var found []timeline.Phase
	from := timeline.Fault
	for _, one := range strings.Split(text, "; ") {
		phase := timeline.Phase{From: from}
		head, mark, named := strings.Cut(one, ": ")
		if _, err := fmt.Sscanf(head, "%f+%f %s", &phase.Begins, &phase.Seconds, &phase.Owner); err != nil || !named {
			return nil, fmt.Errorf("got the phase %q, want one such as %q", one, "1.000+48.000 Kubernetes: node not ready")
		}
		phase.To = timeline.Mark(mark)
		found, from = append(found, phase), phase.To
	}
	return found, nil
}

// readRecord reads the record. Where there is none, there were no runs.
func readRecord(path string) (lines [][]string, all []*results, err error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read the record of runs: %w", err)
	}
	lines, err = csv.NewReader(strings.NewReader(string(content))).ReadAll()
	if err == nil && (len(lines) == 0 || !slices.Equal(lines[0], columns())) {
		err = fmt.Errorf("the first line is not %s", strings.Join(columns(), ","))
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read the record of runs %s: %w", path, err)
	}
	for number, line := range lines[1:] {
		one, err := fromLine(line)
		if err != nil {
			return nil, nil, fmt.Errorf("read the record of runs %s, line %d: %w", path, number+2, err)
		}
		all = append(all, one)
	}
	return lines[1:], all, nil
}

// fromLine is a run of the record, as results of its own.
func fromLine(line []string) (*results, error) {
	e, err := parseExperiment(line[5])
	if err != nil {
		return nil, err
	}
	at, err := time.Parse(time.RFC3339Nano, line[0])
	if err != nil {
		return nil, err
	}
	if !slices.Contains(setups(), line[4]) || line[3] != commitSynchronous && line[3] != commitDefault {
		return nil, fmt.Errorf("there is no set-up %q with commit %q", line[4], line[3])
	}
	found := &results{about: about{Machine: line[2], Source: line[1], Commit: line[3], Begun: at}}
	if reason := line[14]; reason != "" {
		found.cells = []cell{{setup: line[4], experiment: e, failed: reason}}
		return found, nil
	}
	run, err := runOf(line)
	if err != nil {
		return nil, err
	}
	run.Fault = at
	found.cells = []cell{{setup: line[4], experiment: e, runs: []report.Run{run}}}
	return found, nil
}

// runOf is what a line says of its run.
func runOf(line []string) (report.Run, error) {
	recovered, failedWord := strconv.ParseBool(line[6])
	length, failedGap := strconv.ParseFloat(line[7], 64)
	steps, failedPhase := phasesOf(line[8])
	if err := errors.Join(failedWord, failedGap, failedPhase); err != nil {
		return report.Run{}, err
	}
	run := report.Run{Recovered: recovered, Gap: length, Phases: steps}
	if line[13] != "" {
		run.Broken = []string{line[13]}
	}
	var numbers [4]int
	for i, text := range line[9:13] {
		if text == "" {
			continue
		}
		var err error
		if numbers[i], err = strconv.Atoi(text); err != nil || numbers[i] < 0 {
			return report.Run{}, fmt.Errorf("got %q, want a number", text)
		}
	}
	if line[9] != "" {
		run.Books = &ledger.Books{
			Acknowledged: numbers[0], Lost: make([]ledger.Write, numbers[1]), Excused: make([]ledger.Write, numbers[2]),
		}
	}
	if line[12] != "" {
		run.Differing = &numbers[3]
	}
	return run, nil
}

// enter puts the runs of results into the record beside the page and returns all that are there, with what they say of failures.
func enter(page string, found []*results) ([]*results, error) {
	path := filepath.Join(filepath.Dir(page), recordFile)
	lines, all, err := readRecord(path)
	if err != nil {
		return nil, err
	}
	for _, one := range found {
		for _, line := range one.lines() {
			// What a run is known by: when, and of what.
			same := func(other []string) bool { return other[0] == line[0] && slices.Equal(other[3:6], line[3:6]) }
			if !slices.ContainsFunc(lines, same) {
				lines = append(lines, line)
			}
		}
	}
	if err := writeRecord(path, lines); err != nil {
		return nil, err
	}
	return sorted(append(all, found...)), nil
}
