// Command bench measures the program on this machine: its cold build, and preview, up and destroy on a sandbox of its own,
// beside what the engine costs with an empty program. `make bench` runs it in the right environment.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"syscall"
)

const usage = `bench measures the program on this machine, on a sandbox of its own.

Usage: make bench                              (prints the tables of docs/performance.md)
       make bench BENCH="--cold=false --json"

Options:
  --runs N      how often each warm operation is measured; the median counts (default 11)
  --cold=false  leaves the cold build out, which takes minutes
  --limit X     fails if a warm preview takes more than X times the engine's floor (default: any number will do)
  --json        prints JSON instead of tables
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // The error is printed once, by main.
	runs := flags.Int("runs", 11, "")
	cold := flags.Bool("cold", true, "")
	limit := flags.Float64("limit", math.Inf(1), "")
	asJSON := flags.Bool("json", false, "")
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		_, err = io.WriteString(out, usage)
		return err
	}
	if err != nil {
		return fmt.Errorf("%w; see: go run ./test/bench --help", err)
	}
	if flags.NArg() > 0 || *runs < 1 {
		return fmt.Errorf("got %d arguments and %d runs, want none and at least 1; see: go run ./test/bench --help", flags.NArg(), *runs)
	}
	measured, err := measure(ctx, *runs, *cold, progress)
	if err != nil {
		return err
	}
	if err := measured.write(out, *asJSON); err != nil {
		return fmt.Errorf("print the results: %w", err)
	}
	if measured.Ratio > *limit {
		return fmt.Errorf("a warm preview takes %.2f times the engine's floor, want at most %.2f", measured.Ratio, *limit)
	}
	return nil
}

// The rows of the table, as docs/performance.md shows them.
const (
	rowColdBuild  = "cold build of the program"
	rowPeakMemory = "... peak memory"
	rowFloor      = "engine's floor: `preview` of an empty program"
	rowPreview    = "warm `preview`"
	rowNoOpUp     = "no-op `up`"
	rowFullUp     = "full `up`"
	rowDestroy    = "`destroy`"
)

// row is a line of the table: how long something takes, or how much memory.
type row struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds,omitempty"`
	Bytes   int64   `json:"bytes,omitempty"`
	Remark  string  `json:"remark"`
}

func (r row) value() string {
	switch {
	case r.Bytes > 0:
		return fmt.Sprintf("%.2f GB", float64(r.Bytes)/1e9)
	case r.Seconds >= 60:
		return fmt.Sprintf("%d min %02d s", int(r.Seconds)/60, int(r.Seconds)%60)
	default:
		return fmt.Sprintf("%.2f s", r.Seconds)
	}
}

// report is what was measured.
type report struct {
	// Machine is what it was measured on.
	Machine string `json:"machine"`
	Rows    []row  `json:"rows"`
	// Ratio of a warm preview to the engine's floor: the median of those of the rounds.
	Ratio float64 `json:"ratio"`
	// Path is the critical path of the full up.
	Path []step `json:"criticalPath"`
	// Resources is how many resources the full up created, those on the path included.
	Resources int `json:"resources"`
}

func (r report) write(out io.Writer, asJSON bool) error {
	if asJSON {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(r)
	}
	table := r.Machine + "\n\n| what | measured | remark |\n|---|---|---|\n"
	for _, one := range r.Rows {
		table += fmt.Sprintf("| %s | %s | %s |\n", one.Name, one.value(), one.Remark)
	}
	table += fmt.Sprintf("\nCritical path of the full `up`, %d of %d resources:\n\n| one after the other | took |\n|---|---|\n", len(r.Path), r.Resources)
	for _, one := range r.Path {
		table += fmt.Sprintf("| %s | %.2f s |\n", one.Name, one.Seconds)
	}
	_, err := io.WriteString(out, table)
	return err
}
