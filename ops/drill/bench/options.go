package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The set-ups, in the order of the table.
const (
	article  = "article"
	longhorn = "longhorn"
	guarded  = "guard"
)

func setups() []string { return []string{article, longhorn, guarded} }

// The two ways to commit.
const (
	commitDefault     = "default"
	commitSynchronous = "synchronous"
)

// usualRuns is the fewest of which a 95th percentile is another run than the longest.
const usualRuns = 20

// options is a parsed command line.
type options struct {
	setups      []string
	experiments []experiment
	runs        counts
	commit      string
	dir, lab    string
	json        string
	report      string
	write       bool
}

// counts are numbers of runs: of all under the empty name, of a set-up or of an experiment.
type counts map[string]int

// String implements flag.Value.
func (c counts) String() string { return "" }

// Set implements flag.Value.
func (c counts) Set(text string) error {
	name, number, found := strings.Cut(text, "=")
	if !found {
		name, number = "", text
	}
	if _, err := parseExperiment(name); name != "" && err != nil && !slices.Contains(setups(), name) {
		return fmt.Errorf("%q is neither a set-up nor an experiment", name)
	}
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 {
		return fmt.Errorf("got %q, want a number of at least 1", number)
	}
	c[name] = n
	return nil
}

// of is how many runs there are to be.
func (c counts) of(setup string, e experiment) int {
	for _, name := range []string{setup, e.name, ""} {
		if n, found := c[name]; found {
			return n
		}
	}
	return usualRuns
}

func parse(args []string) (*options, error) {
	o := &options{runs: counts{}}
	var which, what string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // The error is printed once, by main.
	flags.StringVar(&which, "setups", strings.Join(setups(), ","), "")
	flags.StringVar(&what, "experiments", "", "")
	flags.Var(o.runs, "runs", "")
	flags.StringVar(&o.commit, "commit", commitDefault, "")
	flags.StringVar(&o.dir, "dir", filepath.Join(".local", "bench-failover"), "")
	flags.StringVar(&o.lab, "lab", "failover", "")
	flags.StringVar(&o.json, "json", "", "")
	flags.StringVar(&o.report, "report", "", "")
	flags.BoolVar(&o.write, "write", false, "")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	return o, o.check(which, what, flags.Args())
}

// labName is what make admits as a stack's name.
var labName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)

// check returns every mistake.
func (o *options) check(which, what string, rest []string) error {
	var mistakes []error
	wrong := func(format string, args ...any) { mistakes = append(mistakes, fmt.Errorf(format, args...)) }
	if len(rest) > 0 {
		wrong("got the arguments %q, want none", rest)
	}
	for _, name := range strings.Split(which, ",") {
		if !slices.Contains(setups(), name) {
			wrong("--setups: got %q, want some of %q", name, setups())
		}
	}
	for _, name := range setups() { // In this order, once each.
		if slices.Contains(strings.Split(which, ","), name) {
			o.setups = append(o.setups, name)
		}
	}
	if what == "" {
		o.experiments = allExperiments()
	} else {
		for _, name := range strings.Split(what, ",") {
			e, err := parseExperiment(name)
			if err != nil {
				wrong("--experiments: %w", err)
			} else if !slices.Contains(o.experiments, e) {
				o.experiments = append(o.experiments, e)
			}
		}
	}
	if o.commit != commitDefault && o.commit != commitSynchronous {
		wrong("--commit: got %q, want %s or %s", o.commit, commitDefault, commitSynchronous)
	}
	if !labName.MatchString(o.lab) || o.lab == "lab" || o.lab == "dev" {
		wrong("--lab: got %q, want a name of its own, of lower-case letters, digits and inner hyphens", o.lab)
	}
	return errors.Join(mistakes...)
}
