// Command bench measures the article's set-up and this program's side by side: it puts one after the other on a lab of its own and
// runs the drill's experiments on each. `make bench-failover` runs it in the right environment.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

const usage = `bench puts the article's set-up and this program's, one after the other, on three real nodes on this machine (Linux, root), runs the
experiments of ops/drill on each, and prints a table.

Usage: make bench-failover                                     (everything: takes days, and can be interrupted and resumed)
       make bench-failover BENCH="--runs 1 --experiments delete-pod,stop-instance"
       go run ./ops/drill/bench --report DIR [--write]

Set-ups:
  article    the article's manifests, Longhorn's default class and policies, Kubernetes' default tolerations
  longhorn   this program with failover.mode: longhorn
  guard      this program with failover.mode: guard, the agent of this checkout

Experiments: those of ops/drill, and cut-node-S: the node is cut off and put back S seconds later. The default is all six, and S of
5, 10, 20, 40, 60, 70, 80, 90, 110, 190. The replicas are compared after those that hit the node.

Options:
  --setups LIST       which, with commas between them (article,longhorn,guard)
  --experiments LIST  which
  --runs N            of each (20); SETUP=N and EXPERIMENT=N may be added, as in --runs 20 --runs article=5. The set-up's counts first
  --commit KIND       default, or synchronous: iris.synchronousCommit of this program's set-ups; the article's knows no such setting
  --dir DIR           where the results are kept (.local/bench-failover). Runs that are there already are not made again
  --lab NAME          the lab's name (failover). It is created for each set-up and deleted afterwards; an existing one that is not
                      this command's is left alone, and nothing begins
  --json FILE         writes the results as JSON, too
  --report DIRS       measures nothing: prints the table of the results that are in these directories, with commas between them
  --write             adds the runs to docs/failover-runs.csv, and writes the table of all that are there into docs/performance.md, between
                      its markers, and the pictures beside it

Nothing but that lab is touched. Ctrl-C ends the drill that runs, which gives back what it took; the results so far stay.
Exits with 0 when every run was made, whatever was measured, and 1 otherwise.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench-failover:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		_, err = io.WriteString(out, usage)
		return err
	}
	if err != nil {
		return fmt.Errorf("%w\nsee: go run ./ops/drill/bench --help", err)
	}
	if o.report != "" {
		return o.publish(strings.Split(o.report, ","), page, out)
	}
	b := &bench{options: o, progress: progress}
	failed := b.measure(ctx)
	return errors.Join(failed, o.publish([]string{o.dir}, page, out))
}

// publish prints the table of the results in directories, and writes what was asked for.
func (o *options) publish(dirs []string, page string, out io.Writer) error {
	var found []*results
	for _, dir := range dirs {
		one, err := load(dir)
		if err != nil {
			return err
		}
		found = append(found, one)
	}
	merged := sorted(found)
	for _, one := range merged {
		if _, err := io.WriteString(out, one.table()); err != nil {
			return fmt.Errorf("print the table: %w", err)
		}
	}
	if o.json != "" {
		content, err := json.MarshalIndent(summariesOf(merged), "", "  ")
		if err == nil {
			err = os.WriteFile(o.json, append(content, '\n'), 0o600)
		}
		if err != nil {
			return fmt.Errorf("write the results: %w", err)
		}
	}
	if !o.write {
		return nil
	}
	all, err := enter(page, found)
	if err != nil {
		return err
	}
	return writePage(page, all)
}
