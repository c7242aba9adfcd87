// Package drill runs the experiments: it looks whether the cluster can survive them, makes the fault, measures what it costs,
// gives back what it took and waits until all is well again.
package drill

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"ha-iris/ops/drill/internal/fault"
	"ha-iris/ops/drill/internal/hold"
	"ha-iris/ops/drill/internal/kube"
	"ha-iris/ops/drill/internal/preflight"
	"ha-iris/ops/drill/internal/report"
)

// Config is what a drill is asked for.
type Config struct {
	Namespace   string
	Experiments []fault.Kind
	Runs        int
	// Phase is the longest time to wait before each fault, by chance: two heartbeats of a node are ten seconds apart.
	Phase time.Duration
	// HealAfter is how long after a cut the node is put back; zero: once the database is up again.
	HealAfter time.Duration
	// Recovery is the time after which a run has not recovered.
	Recovery time.Duration
	// Healing is how long the volume may take to be healthy again, with a rebuild.
	Healing time.Duration
	// Warming is how long the first rows may take to be acknowledged.
	Warming time.Duration
	// Settling is how long is looked after a recovery for a second interruption.
	Settling   time.Duration
	Objectives func(fault.Kind) report.Objectives
	// Young is how old an acknowledgement must be to count as lost: without synchronous commit IRIS writes its journal every
	// two seconds.
	Young    time.Duration
	Commands fault.Commands
	// Writer is auto, http, exec or none; Endpoint the database's web server, Address one of HTTP's with {run} and {row}.
	Writer, Endpoint, Address string
	Rate                      float64
	WriteTimeout              time.Duration
	// Disks finds a file of a container on the disks of the sandbox's nodes; ReadCommand prints it. Both may be empty.
	Disks       string
	ReadCommand string
	// Compare is that the database is stopped after each run and the replicas' files in Disks are compared.
	Compare bool
}

// Host is what the drill needs of the one who asked for it.
type Host struct {
	// Say prints a line of progress.
	Say func(format string, args ...any)
	// Confirm asks whether to go on.
	Confirm func(ctx context.Context) error
	// Ask is fault.Maker's.
	Ask func(ctx context.Context, what string, done func() bool) error
}

// Drill is one call.
type Drill struct {
	Cluster *kube.Client
	Config  Config
	Host    Host
	Report  *report.Report

	hold *hold.Hold
	make *fault.Maker
}

// patience for undoing, which must happen even after Ctrl-C: a machine's start takes minutes in a cloud.
const undoing = 10 * time.Minute

// Run does what was asked for and fills in the report, whose exit code says how it ended.
func (d *Drill) Run(ctx context.Context) {
	d.make = &fault.Maker{Cluster: d.Cluster, Commands: d.Config.Commands, Ask: d.ask}
	defer func() {
		d.Report.Ended = time.Now()
		d.Report.Judge()
	}()
	if !d.begins(ctx) {
		return
	}
	held, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go d.hold.Keep(held, hold.Every, stop)
	for _, kind := range d.Config.Experiments {
		if err := d.experiment(held, kind); err != nil {
			d.Report.Aborted = fmt.Sprintf("%s: %v", kind, err)
			break
		}
	}
	stop(nil) // From here on the Lease is not renewed any more.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	if err := d.hold.Release(last, len(d.Report.Uncleaned) == 0); err != nil {
		d.Report.Uncleaned = append(d.Report.Uncleaned, err.Error())
	}
}

// begins looks, asks and takes the Lease.
func (d *Drill) begins(ctx context.Context) bool {
	world, err := d.look(ctx)
	if err != nil {
		d.Report.Refusals = append(d.Report.Refusals, err.Error())
		return false
	}
	refusals, notes := preflight.Check(world)
	if world.Simulated && slices.Contains(d.Config.Experiments, fault.StopInstance) {
		refusals = append(refusals, "stop-instance: the nodes are simulated, no process runs there")
	}
	if d.Config.Compare && (world.Simulated || world.Volume == nil) {
		refusals = append(refusals, "--compare-replicas: there are no files of replicas of Longhorn behind simulated nodes or other storage")
	}
	d.Report.Notes = append(d.Report.Notes, notes...)
	if d.Report.Refusals = append(d.Report.Refusals, refusals...); len(d.Report.Refusals) > 0 {
		return false
	}
	names := make([]string, len(d.Config.Experiments))
	for i, kind := range d.Config.Experiments {
		names[i] = string(kind)
	}
	for _, line := range world.Plan(fmt.Sprintf("%s, %d times each", strings.Join(names, ", "), d.Config.Runs)) {
		d.Host.Say("%s", line)
	}
	if slices.Contains(d.Config.Experiments, fault.CutNode) {
		d.Host.Say("warning    cut-node loses acknowledged writes, and may damage the volume, unless a database that is cut off stops itself")
	}
	if err := d.Host.Confirm(ctx); err != nil {
		d.Report.Refusals = append(d.Report.Refusals, err.Error())
		return false
	}
	holder := fmt.Sprintf("drill-%s", name())
	if d.hold, err = hold.Acquire(ctx, d.Cluster, d.Config.Namespace, holder, time.Now()); err != nil {
		d.Report.Refusals = append(d.Report.Refusals, err.Error())
		return false
	}
	return true
}

// name is one of which there is no other.
func name() string {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789"
	made := make([]byte, 8)
	for i := range made {
		made[i] = letters[rand.IntN(len(letters))] //nolint:gosec // No secret.
	}
	return string(made)
}

// look reads the world, with the Lease of others in it.
func (d *Drill) look(ctx context.Context) (*preflight.World, error) {
	world, err := preflight.Gather(ctx, d.Cluster, d.Config.Namespace)
	if err != nil {
		return nil, err
	}
	state, err := hold.Read(ctx, d.Cluster, d.Config.Namespace, time.Now())
	if err != nil {
		return nil, err
	}
	if state != nil && d.hold == nil {
		world.Hold = &preflight.Hold{Holder: state.Holder, Renewed: state.Renewed, Live: state.Live, Unfinished: state.Record != nil}
	}
	return world, nil
}

func (d *Drill) experiment(ctx context.Context, kind fault.Kind) error {
	d.Report.Experiments = append(d.Report.Experiments, report.Experiment{Name: string(kind), Objectives: d.Config.Objectives(kind)})
	experiment := &d.Report.Experiments[len(d.Report.Experiments)-1]
	for number := 1; number <= d.Config.Runs; number++ {
		if err := d.becomesFit(ctx); err != nil {
			return err
		}
		if kind == fault.StopInstance && number > 1 {
			if err := d.renew(ctx); err != nil {
				return fmt.Errorf("run %d: %w", number, err)
			}
		}
		run, err := d.once(ctx, kind, number)
		if run != nil {
			run.Interrupted = ctx.Err() != nil && !run.Recovered && run.Gap < d.Config.Recovery.Seconds()
			if err == nil && d.Config.Compare && len(d.Report.Uncleaned) == 0 {
				err = d.compare(ctx, run)
			}
			experiment.Runs = append(experiment.Runs, *run)
			experiment.Judge()
		}
		if err != nil {
			return fmt.Errorf("run %d: %w", number, err)
		}
		if len(d.Report.Uncleaned) > 0 {
			return errors.New("what the fault took could not be given back")
		}
	}
	return nil
}

// becomesFit waits until the cluster can survive the next fault.
// renew has a new pod made if the database's container was started again: the kubelet then waits before the next start, 10 s at first and
// doubling up to 5 min, until the container has run for 10 min. The next run would measure that.
func (d *Drill) renew(ctx context.Context) error {
	world, err := d.look(ctx)
	if err != nil {
		return err
	}
	pod := world.Pod()
	if pod == nil || !slices.ContainsFunc(pod.Status.ContainerStatuses, func(one corev1.ContainerStatus) bool {
		return one.Name == world.Container && one.RestartCount > 0
	}) {
		return nil
	}
	d.Host.Say("deleting pod %s: the kubelet would wait before it starts its container another time, and that would be measured", pod.Name)
	if err := d.Cluster.Delete(ctx, kube.Pods, d.Config.Namespace, pod.Name, pod.UID); err != nil {
		return fmt.Errorf("make a new pod: %w", err)
	}
	err = until(ctx, d.Config.Healing, "a new pod", func() (bool, string) {
		world, err := d.look(ctx)
		if err != nil {
			return false, err.Error()
		}
		now := world.Pod()
		return now != nil && now.UID != pod.UID, "the old one is there still"
	})
	if err != nil {
		return err
	}
	return d.becomesFit(ctx)
}

func (d *Drill) becomesFit(ctx context.Context) error {
	say := func(state string) { d.Host.Say("waiting: %s", state) }
	return watch(ctx, d.Config.Healing, 2*time.Second, "the cluster is not fit again", say, func() (bool, string) {
		world, err := d.look(ctx)
		if err != nil {
			return false, err.Error()
		}
		refusals, _ := preflight.Check(world)
		return len(refusals) == 0, strings.Join(refusals, "; ")
	})
}

// ask tells the operator what to do, and goes on when it is seen to be done.
func (d *Drill) ask(ctx context.Context, what, node string, back bool) error {
	d.Host.Say("to do: %s", what)
	return d.Host.Ask(ctx, "waiting until node "+node+" is "+map[bool]string{true: "Ready", false: "no longer Ready"}[back], func() bool {
		object, err := d.Cluster.Get(ctx, kube.Nodes, "", node)
		return err == nil && isTrue(object, "Ready") == back
	})
}

// Cleanup gives back what a drill took that ended before it could, and deletes its Lease.
func (d *Drill) Cleanup(ctx context.Context) error {
	d.make = &fault.Maker{Cluster: d.Cluster, Commands: d.Config.Commands, Ask: d.ask}
	state, err := hold.Read(ctx, d.Cluster, d.Config.Namespace, time.Now())
	if err != nil {
		return err
	}
	if state == nil {
		d.Host.Say("there is nothing to clean up")
		return nil
	}
	if state.Live {
		return fmt.Errorf("the drill %s is at work, seen at %s: end it with Ctrl-C, or wait a minute if it is dead",
			state.Holder, state.Renewed.UTC().Format(time.RFC3339))
	}
	if record := state.Record; record != nil && record.Experiment == comparing {
		d.Host.Say("starting the database, which the drill %s has stopped to compare the replicas", state.Holder)
		if err := d.scale(ctx, 1); err != nil {
			return err
		}
	} else if record != nil {
		d.Host.Say("undoing %s on node %s, of the drill %s", record.Experiment, record.Node, state.Holder)
		if err := d.make.Undo(ctx, fault.Kind(record.Experiment), record.Node); err != nil {
			return err
		}
	}
	return hold.Remove(ctx, d.Cluster, d.Config.Namespace)
}
