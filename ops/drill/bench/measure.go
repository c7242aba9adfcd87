package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"ha-iris/ops/drill/internal/report"
)

// bench is one call.
type bench struct {
	*options

	progress io.Writer
	root     string
	// took are how long the runs of this call took, by set-up and kind, for the estimate.
	took map[string][]time.Duration
	// fresh is that nothing has gone wrong on the lab that runs; on is the set-up on it.
	fresh bool
	on    string
}

func (b *bench) say(format string, args ...any) {
	// Progress is a courtesy: a closed terminal must not stop a measurement.
	_, _ = fmt.Fprintf(b.progress, "%s  bench-failover: %s\n", time.Now().Format("15:04:05"), fmt.Sprintf(format, args...))
}

// measure makes the runs that are not there yet.
func (b *bench) measure(ctx context.Context) error {
	var err error
	if b.root, err = os.Getwd(); err != nil {
		return fmt.Errorf("find the checkout: %w", err)
	}
	if b.dir, err = filepath.Abs(b.dir); err != nil {
		return fmt.Errorf("find the directory of the results: %w", err)
	}
	b.took = map[string][]time.Duration{}
	if err := b.describe(); err != nil {
		return err
	}
	if err := b.owns(); err != nil {
		return err
	}
	left, err := b.left()
	if err != nil || left == 0 {
		return err
	}
	b.say("on the lab %q of this machine, created for each set-up and deleted afterwards: %s; about %s; results in %s",
		b.lab, strings.Join(b.setups, ", "), minutes(left), b.dir)
	if err := b.build(ctx); err != nil {
		return err
	}
	var failed []error
	for _, setup := range b.setups {
		err := b.setup(ctx, setup)
		failed = append(failed, err, b.remove(ctx))
		if ctx.Err() != nil {
			return errors.Join(append(failed, errors.New("interrupted: the same command goes on where this one ended"))...)
		}
	}
	return errors.Join(failed...)
}

func minutes(d time.Duration) string { return strings.TrimSuffix(d.Round(time.Minute).String(), "0s") }

// describe notes what the results are of, or compares it with what is there.
func (b *bench) describe() error {
	path := filepath.Join(b.dir, aboutFile)
	content, err := os.ReadFile(path)
	if err == nil {
		var before about
		if err := json.Unmarshal(content, &before); err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		if before.Commit != b.commit {
			return fmt.Errorf("the results in %s are of --commit %s, want another --dir for %s", b.dir, before.Commit, b.commit)
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the results: %w", err)
	}
	source := "source unknown"
	if output, err := exec.Command("git", "describe", "--always", "--dirty").Output(); err == nil {
		source = "source " + strings.TrimSpace(string(output))
	}
	machine := fmt.Sprintf("three real nodes on one machine, %s/%s, %d cores", runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	content, err = json.MarshalIndent(about{Machine: machine, Source: source, Commit: b.commit, Begun: time.Now()}, "", "  ")
	if err == nil {
		err = errors.Join(os.MkdirAll(b.dir, 0o755), os.WriteFile(path, content, 0o600))
	}
	if err != nil {
		return fmt.Errorf("note what the results are of: %w", err)
	}
	return nil
}

// left is how long the missing runs will take.
func (b *bench) left() (time.Duration, error) {
	total := time.Duration(0)
	for _, setup := range b.setups {
		for _, e := range b.experiments {
			one, err := loadCell(b.dir, setup, e)
			if err != nil {
				return 0, err
			}
			if missing := b.runs.of(setup, e) - len(one.runs); missing > 0 {
				total += time.Duration(missing) * b.estimate(setup, e)
			}
		}
	}
	return total, nil
}

// estimate is the mean of the runs that were made, or a guess.
func (b *bench) estimate(setup string, e experiment) time.Duration {
	made := b.took[setup+e.name]
	if len(made) == 0 {
		return e.guess(setup)
	}
	sum := time.Duration(0)
	for _, one := range made {
		sum += one
	}
	return sum / time.Duration(len(made))
}

// setup makes the missing runs of a set-up. What cannot be measured is recorded, and the next experiment begun.
func (b *bench) setup(ctx context.Context, setup string) error {
	var failed []error
	for _, e := range b.experiments {
		if err := b.cell(ctx, setup, e); err != nil {
			b.say("%s, %s: %v", setup, e.name, err)
			failed = append(failed, fmt.Errorf("%s, %s: %w", setup, e.name, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(failed...)
}

// cell makes the missing runs of an experiment, by as many calls of the drill as it takes: one that ends early counts for the runs
// that it has made. It gives up when a call on a new lab has made none.
func (b *bench) cell(ctx context.Context, setup string, e experiment) error {
	for ctx.Err() == nil {
		one, err := loadCell(b.dir, setup, e)
		if err != nil {
			return err
		}
		missing := b.runs.of(setup, e) - len(one.runs)
		if missing <= 0 {
			return nil
		}
		wasNew := !b.fresh || b.on != setup
		err = b.try(ctx, setup, e, one.attempts+1, missing)
		if err == nil {
			continue
		}
		if ctx.Err() != nil {
			return err
		}
		if noted := b.note(setup, e, one.attempts+1, err); noted != nil {
			return errors.Join(err, noted)
		}
		after, loading := loadCell(b.dir, setup, e)
		if loading != nil || len(after.runs) == len(one.runs) && wasNew {
			return errors.Join(err, loading)
		}
		b.say("%s, %s: %v; going on with a new lab", setup, e.name, err)
	}
	return ctx.Err()
}

// try makes one attempt, on a new lab unless the one that runs is in order and has the set-up.
func (b *bench) try(ctx context.Context, setup string, e experiment, number, missing int) error {
	left, err := b.left()
	if err != nil {
		return err
	}
	b.say("%s, %s: %d of %d runs to make; about %s left for everything", setup, e.name, missing, b.runs.of(setup, e), minutes(left))
	if !b.fresh || b.on != setup {
		if err := b.prepare(ctx, setup); err != nil {
			return err
		}
	}
	return b.drill(ctx, setup, e, number, missing)
}

// note keeps why an attempt failed.
func (b *bench) note(setup string, e experiment, number int, reason error) error {
	path := attempt(b.dir, setup, e, number, ".failed")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("note the failure: %w", err)
	}
	if err := os.WriteFile(path, []byte(reason.Error()+"\n"), 0o600); err != nil {
		return fmt.Errorf("note the failure: %w", err)
	}
	return nil
}

// drill calls the drill once. The error is why it has not made all runs.
func (b *bench) drill(ctx context.Context, setup string, e experiment, number, runs int) error {
	path := attempt(b.dir, setup, e, number, ".json")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("make the directory for results: %w", err)
	}
	args := b.drillArguments(setup, e, runs, path)
	began := time.Now()
	_, running := b.run(ctx, command{
		program: filepath.Join(b.dir, "bin", "drill"), args: args, dir: b.root, log: attempt(b.dir, setup, e, number, ".log"), shown: true,
	})
	content, err := os.ReadFile(path)
	if err != nil {
		b.fresh = false
		return errors.Join(running, errors.New("the drill has written no results"))
	}
	var read report.Report
	if err := json.Unmarshal(content, &read); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	made := 0
	for _, one := range read.Experiments {
		made += len(one.Runs)
	}
	for range made {
		b.took[setup+e.name] = append(b.took[setup+e.name], time.Since(began)/time.Duration(made))
	}
	// A node that could not be given back, replicas that differ or a second instance say nothing about the next fault.
	b.fresh = read.ExitCode == report.Passed || read.ExitCode == report.Missed && read.Aborted == ""
	if made < runs {
		return fmt.Errorf("%d of %d runs made: %s", made, runs, why(&read))
	}
	return nil
}

// drillArguments are what the drill is called with.
func (b *bench) drillArguments(setup string, e experiment, runs int, results string) []string {
	args := []string{
		string(e.kind), "--sandbox", b.lab, "--runs", strconv.Itoa(runs), "--recovery", strconv.Itoa(never), "--json", results,
	}
	if e.returns > 0 {
		args = append(args, "--heal-after", strconv.Itoa(e.returns))
	}
	if e.kind.NodeLost() {
		args = append(args, "--compare-replicas")
	}
	if setup == article {
		args = append(args, "--namespace", article)
	}
	if setup == article || b.commit == commitDefault {
		args = append(args, "--lost-window", "2")
	}
	return args
}
