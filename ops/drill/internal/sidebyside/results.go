// Package sidebyside keeps what drills have measured on several set-ups, and shows it: a table and pictures.
package sidebyside

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"ha-iris/ops/drill/internal/fault"
	"ha-iris/ops/drill/internal/report"
	"ha-iris/ops/drill/internal/timeline"
)

// Never is the time after which a run counts as one that never recovers.
const Never = 12 * time.Minute

// Setup is one way to run the database.
type Setup string

// The set-ups, in the order in which they are measured and shown.
const (
	Article  Setup = "article"
	Longhorn Setup = "longhorn"
	Guard    Setup = "guard"
)

// Setups are all of them.
func Setups() []Setup { return []Setup{Article, Longhorn, Guard} }

// Experiments are the drill's. What may damage the volume without a trace comes last.
func Experiments() []fault.Kind {
	kinds := slices.DeleteFunc(fault.Kinds(), func(kind fault.Kind) bool { return kind == fault.CutNode })
	return append(kinds, fault.CutNode)
}

// The commit modes.
const (
	Default     = "default"
	Synchronous = "synchronous"
)

// format is that of the file of results.
const format = 1

// fileName is the file of results in its directory.
const fileName = "results.json"

// Results are those of one comparison, over all calls that went into it.
type Results struct {
	Format int `json:"format"`
	// Runs is how many are wanted of each experiment on each set-up, Commit how the database commits.
	Runs        int          `json:"runs"`
	Commit      string       `json:"commit"`
	Setups      []Setup      `json:"setups"`
	Experiments []fault.Kind `json:"experiments"`
	// Machine is what it was measured on, Revisions the sources that it was measured with.
	Machine   string    `json:"machine"`
	Revisions []string  `json:"revisions"`
	Attempts  []Attempt `json:"attempts"`

	dir string
	// drills are the drills' own results, by the attempt's file.
	drills map[string]*report.Report
}

// Attempt is one call of the drill, or why there was none.
type Attempt struct {
	Setup      Setup      `json:"setup"`
	Experiment fault.Kind `json:"experiment"`
	Begun      time.Time  `json:"begun"`
	Ended      time.Time  `json:"ended"`
	// File has the drill's JSON, relative to the directory; empty: it wrote none.
	File     string `json:"file,omitempty"`
	ExitCode int    `json:"exitCode"`
	// Reason is why fewer runs than asked for were measured; empty: they all were.
	Reason string `json:"reason,omitempty"`
}

// Cell is one experiment on one set-up.
type Cell struct {
	Setup      Setup
	Experiment fault.Kind
}

// New are results without any, in a directory.
func New(dir string) *Results {
	return &Results{Format: format, Attempts: []Attempt{}, dir: dir, drills: map[string]*report.Report{}}
}

// Load reads a directory's results. The error is fs.ErrNotExist where there are none.
func Load(dir string) (*Results, error) {
	r := New(dir)
	if err := readJSON(filepath.Join(dir, fileName), r); err != nil {
		return nil, fmt.Errorf("read the results: %w", err)
	}
	var errs []error
	if r.Format != format {
		errs = append(errs, fmt.Errorf("%s: format is %d, want %d", filepath.Join(dir, fileName), r.Format, format))
	}
	for i, one := range r.Attempts {
		if one.File == "" {
			continue
		}
		if !filepath.IsLocal(one.File) {
			errs = append(errs, fmt.Errorf("%s: attempts[%d].file is %q, want a path below it", filepath.Join(dir, fileName), i, one.File))
			continue
		}
		if err := r.read(one.File); err != nil {
			errs = append(errs, err)
		}
	}
	return r, errors.Join(errs...)
}

// Note adds an attempt and writes the file anew. It returns how many runs the attempt has brought.
func (r *Results) Note(one Attempt) (int, error) {
	if one.File != "" {
		if err := r.read(one.File); err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				return 0, err
			}
			one.File = ""
		}
	}
	gained := len(r.measured(one))
	r.Attempts = append(r.Attempts, one)
	return gained, r.Save()
}

// Save writes the file of results, whole or not at all.
func (r *Results) Save() error {
	content, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("render the results: %w", err)
	}
	path := filepath.Join(r.dir, fileName)
	if err := os.WriteFile(path+".new", append(content, '\n'), 0o600); err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	return nil
}

func (r *Results) read(file string) error {
	found := &report.Report{}
	if err := readJSON(filepath.Join(r.dir, file), found); err != nil {
		return fmt.Errorf("read a drill's results: %w", err)
	}
	r.drills[file] = found
	return nil
}

func readJSON(path string, into any) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(content, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// Drill is what the drill of an attempt has written; nil: nothing.
func (r *Results) Drill(one Attempt) *report.Report { return r.drills[one.File] }

// Measured are the runs of a cell that were measured to their end.
func (r *Results) Measured(cell Cell) []report.Run {
	var runs []report.Run
	for _, one := range r.Attempts {
		if one.Setup == cell.Setup && one.Experiment == cell.Experiment {
			runs = append(runs, r.measured(one)...)
		}
	}
	return runs
}

func (r *Results) measured(one Attempt) []report.Run {
	drill := r.drills[one.File]
	if drill == nil {
		return nil
	}
	var runs []report.Run
	for i := range drill.Experiments {
		if drill.Experiments[i].Name != string(one.Experiment) {
			continue
		}
		for _, run := range drill.Experiments[i].Runs {
			if run.Recovered || waitedFor(run, drill.Aborted != "") {
				runs = append(runs, run)
			}
		}
	}
	return runs
}

// waitedFor says whether a run that did not recover had the time to: a drill that is ended gives back what it took at once, and its
// last run says nothing.
func waitedFor(run report.Run, aborted bool) bool {
	for _, event := range run.Events {
		if event.Mark == timeline.Undone {
			return event.At.Sub(run.Fault) >= Never-time.Second
		}
	}
	return !aborted
}
