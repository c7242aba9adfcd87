package main

import (
	"encoding/json"
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
)

// about says what a directory of results is of. All runs in it are of one kind.
type about struct {
	Machine string    `json:"machine"`
	Source  string    `json:"source"`
	Commit  string    `json:"commit"`
	Begun   time.Time `json:"begun"`
}

const aboutFile = "about.json"

// cell are the runs of one experiment on one set-up.
type cell struct {
	setup string
	experiment
	runs []report.Run
	// failed is why the last attempt gave no run; empty: it gave one.
	failed string
	// attempts is how many there were.
	attempts int
}

// results are those of a directory.
type results struct {
	about
	cells []cell
}

// load reads a directory of results. What is not there is left out.
func load(dir string) (*results, error) {
	found := &results{}
	content, err := os.ReadFile(filepath.Join(dir, aboutFile))
	if err == nil {
		err = json.Unmarshal(content, &found.about)
	}
	if err != nil {
		return nil, fmt.Errorf("read the results: %w", err)
	}
	for _, setup := range setups() {
		names, err := experimentsOf(filepath.Join(dir, setup))
		if err != nil {
			return nil, err
		}
		for _, e := range names {
			one, err := loadCell(dir, setup, e)
			if err != nil {
				return nil, err
			}
			found.cells = append(found.cells, one)
		}
	}
	return found, nil
}

// experimentsOf are those that have results, in the order of the table.
func experimentsOf(dir string) ([]experiment, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the results: %w", err)
	}
	var found []experiment
	for _, entry := range entries {
		if e, err := parseExperiment(entry.Name()); err == nil && entry.IsDir() {
			found = append(found, e)
		}
	}
	known := allExperiments()
	slices.SortFunc(found, func(a, b experiment) int {
		if a.returns != b.returns {
			return a.returns - b.returns
		}
		return slices.Index(known, a) - slices.Index(known, b)
	})
	return found, nil
}

// attempt is the path of an attempt's file.
func attempt(dir, setup string, e experiment, number int, extension string) string {
	return filepath.Join(dir, setup, e.name, strconv.Itoa(number)+extension)
}

// loadCell reads what the attempts at an experiment have given: the drill's JSON, and beside it why there is nothing in it.
func loadCell(dir, setup string, e experiment) (cell, error) {
	one := cell{setup: setup, experiment: e}
	for number := 1; ; number++ {
		reason, err := os.ReadFile(attempt(dir, setup, e, number, ".failed"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return one, fmt.Errorf("read the results: %w", err)
		}
		content, missing := os.ReadFile(attempt(dir, setup, e, number, ".json"))
		if missing != nil && err != nil {
			return one, nil //nolint:nilerr // That neither file is there is how the attempts end.
		}
		one.attempts = number
		one.failed = strings.TrimSpace(string(reason))
		if missing != nil {
			continue
		}
		var read report.Report
		if err := json.Unmarshal(content, &read); err != nil {
			return one, fmt.Errorf("read %s: %w", attempt(dir, setup, e, number, ".json"), err)
		}
		for _, experiment := range read.Experiments {
			for _, run := range experiment.Runs {
				if !run.Interrupted {
					one.runs = append(one.runs, run)
				}
			}
		}
	}
}

// why says what a drill's report has against itself; empty: nothing.
func why(r *report.Report) string {
	reasons := slices.Concat(r.Refusals, r.Uncleaned)
	if r.Aborted != "" {
		reasons = append(reasons, r.Aborted)
	}
	return strings.Join(reasons, "; ")
}

// summary is what the table has of a cell.
type summary struct {
	Setup        string            `json:"setup"`
	Experiment   string            `json:"experiment"`
	Statistics   ledger.Statistics `json:"gapSeconds"`
	Acknowledged int               `json:"acknowledged"`
	// Lost are acknowledged writes that are missing, Young those among them that the database had not promised to keep.
	Lost  int `json:"lost"`
	Young int `json:"lostYoung"`
	// Unwritten is how many runs had no writer: their outages are by the API's objects, and nothing is known of losses.
	Unwritten int `json:"withoutWriter"`
	// Broken are the runs in which a promise was broken besides, and how.
	Broken []string `json:"broken,omitempty"`
	// Failed is why there are no more runs.
	Failed string `json:"failed,omitempty"`
	// Ratio is the article's median divided by this one's; at least so much where the article's is never; nil: not known.
	Ratio   *float64 `json:"ratio,omitempty"`
	AtLeast bool     `json:"ratioAtLeast,omitempty"`
}

func (c cell) summary() summary {
	s := summary{Setup: c.setup, Experiment: c.name, Failed: c.failed}
	lengths := make([]time.Duration, 0, len(c.runs))
	for i, run := range c.runs {
		length := time.Duration(run.Gap * float64(time.Second))
		if !run.Recovered {
			length = -1
		}
		lengths = append(lengths, length)
		if books := run.Books; books != nil {
			s.Acknowledged += books.Acknowledged
			s.Lost += len(books.Lost) + len(books.Excused)
			s.Young += len(books.Excused)
		} else {
			s.Unwritten++
		}
		for _, broken := range run.Broken {
			s.Broken = append(s.Broken, fmt.Sprintf("run %d: %s", i+1, broken))
		}
	}
	s.Statistics = ledger.Summarize(lengths)
	return s
}

// never is after how many seconds a run has not recovered: the drill's default.
const never = 720

// published is what --json has of runs with one kind of commit.
type published struct {
	about
	Cells []summary `json:"cells"`
}

func summariesOf(all []*results) []published {
	found := make([]published, 0, len(all))
	for _, one := range all {
		found = append(found, published{about: one.about, Cells: one.summaries()})
	}
	return found
}

// summaries are those of all cells, with the ratios.
func (r *results) summaries() []summary {
	all := make([]summary, 0, len(r.cells))
	for _, one := range r.cells {
		all = append(all, one.summary())
	}
	for i := range all {
		ours := &all[i]
		for _, theirs := range all {
			if theirs.Setup == article && ours.Setup != article && theirs.Experiment == ours.Experiment {
				ours.compare(theirs.Statistics)
			}
		}
	}
	return all
}

func (s *summary) compare(theirs ledger.Statistics) {
	if theirs.Runs == 0 || s.Statistics.P50 == nil || *s.Statistics.P50 <= 0 {
		return
	}
	length := float64(never)
	if theirs.P50 != nil {
		length = *theirs.P50
	}
	ratio := length / *s.Statistics.P50
	s.Ratio, s.AtLeast = &ratio, theirs.P50 == nil
}
