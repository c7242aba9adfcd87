// Command drill makes a fault on purpose and measures what it costs: how long the database is away, and what is lost.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"k8s.io/klog/v2"

	"ha-iris/ops/drill/internal/drill"
	"ha-iris/ops/drill/internal/kube"
	"ha-iris/ops/drill/internal/report"
)

const usage = `drill makes a fault on purpose and measures what it costs: how long the database is away, and what is lost.

Usage: go run ./ops/drill EXPERIMENT [OPTION]...

Experiments:
  stop-instance  kills the processes of IRIS in its container
  delete-pod     deletes the pod
  drain-node     cordons the node, evicts its pods, and uncordons it afterwards
  stop-kubelet   stops the kubelet of the node; the database runs on there
  cut-node       cuts the node off the network; the database runs on there
  lose-node      stops the node's machine at once
  all            all of these, one after the other
  cleanup        gives back what a drill took that ended before it could

Nothing is begun unless the cluster can survive it: the database Ready, its volume healthy with replicas on two other Ready
nodes and nothing being rebuilt, two other nodes with room and with the image, no other drill, and this program not on the
database's node. All reasons against it are printed.

The cluster:
  --sandbox NAME        the sandbox of that name in this checkout, and its commands for machines
  --kubeconfig FILE     default: kubectl's
  --context NAME        default: the current one
  --namespace NAME      the database's (iris)
  --yes                 asks nothing; --context must then be given, unless it is a sandbox

Machines; {node} is the node's name. Without a command the drill says what is to be done, and waits until it is:
  --stop-node-cmd COMMAND     --start-node-cmd COMMAND
  --cut-node-cmd COMMAND      --join-node-cmd COMMAND
  --stop-kubelet-cmd COMMAND  --start-kubelet-cmd COMMAND

Runs:
  --runs N              of each experiment (1)
  --phase SECONDS       the longest time to wait, by chance, before each fault (10)
  --heal-after SECONDS  when a node that is cut off is put back (once the database is up again)
  --recovery SECONDS    after which a run has not recovered (720)
  --settling SECONDS    how long is looked for a second interruption after a recovery (10)
  --healing SECONDS     for the volume to be healthy again after a run (1800)
  --compare-replicas    stops the database after each run, compares the replicas block by block, and starts it again (real nodes of a
                        sandbox only); replicas that differ end the experiment

Writes:
  --writer KIND         auto, http, exec (iris session in the pod) or none (auto)
  --endpoint URL        the web server of the sandbox's stand-in of IRIS (the Service's address)
  --write-url URL       any address with {run} and {row} in it: POST writes a row, 2xx acknowledges it; GET reads it
  --rate N              rows per second, whether they are answered or not (10)
  --write-timeout SECONDS  for an answer; without one the outcome is unknown (3)
  --read-acks-cmd COMMAND  prints {file} of /tmp of the database's container on {node}: what a node that is cut off has
                        acknowledged; needed where the pod is deleted before the node is back

Objectives; the first two may be given per experiment too, as in lose-node=95:
  --max-p50 SECONDS  --max-p95 SECONDS   for the time without acknowledged writes
  --max-lost N          acknowledged writes that may be missing (0)
  --lost-window SECONDS acknowledged writes may be missing that were younger when the outage began (0; without synchronous
                        commit IRIS writes its journal every 2 s)

Results:
  --json FILE  --junit FILE  --svg DIRECTORY

Exits with 0 when everything passed, 1 when an objective was missed, 2 when data was lost or an invariant broken, 3 when it
refused to start, 4 when something could not be given back. "go run" itself makes 1 of all of these: build the program, or
read exitCode in the JSON.

Examples:
  go run ./ops/drill lose-node --sandbox lab --runs 20 --max-p50 80 --max-p95 95 --svg drill
  go run ./ops/drill lose-node --context prod --stop-node-cmd './vm stop {node}' --start-node-cmd './vm start {node}'
`

func main() {
	// What client-go logs of a connection that breaks is what a drill is about, and would go between its lines.
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	options, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		if _, err := io.WriteString(stdout, usage); err != nil {
			return report.Refused
		}
		return report.Passed
	}
	code := report.Refused
	if err == nil {
		code, err = options.run(ctx, stdin, stdout, stderr)
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "drill:", err) // Nowhere is left to report that this fails.
	}
	return code
}

func (o *options) run(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	cluster, target, err := kube.Connect(o.kubeconfig, o.context)
	if err != nil {
		return report.Refused, err
	}
	terminal := newTerminal(stdin, stderr)
	d := &drill.Drill{
		Cluster: cluster, Config: o.config,
		Host: drill.Host{
			Say: terminal.say, Ask: terminal.ask,
			Confirm: func(ctx context.Context) error { return o.confirm(ctx, target, terminal) },
		},
		Report: &report.Report{
			Tool: "ha-iris drill", Begun: time.Now(), Context: target.Context, Namespace: o.config.Namespace,
			Experiments: []report.Experiment{},
		},
	}
	terminal.say("context    %s, %s", target.Context, target.Server)
	if o.cleanup {
		if err := d.Cleanup(ctx); err != nil {
			return report.NotCleaned, err
		}
		return report.Passed, nil
	}
	d.Run(ctx)
	return o.results(d.Report, stdout)
}
