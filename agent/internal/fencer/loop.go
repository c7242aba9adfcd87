// Package fencer runs the check in the database's pod: it asks in every round who can be reached, lets package fence decide, and
// keeps the database's processes in the state that was decided. Before the database starts it is asked whether it may (Client).
package fencer

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"ha-iris/agent/internal/boottime"
	"ha-iris/agent/internal/fence"
	"ha-iris/agent/internal/processes"
)

// sweeps is how often in an interval the processes are looked at while they are paused or ended: what the kubelet or a person
// begins meanwhile runs for a quarter of a second at most.
const sweeps = 4

// Database is the processes.
type Database interface {
	fence.Database
	// Begin forgets the end: the database was let start.
	Begin()
	// Left is the number of processes that are there, without what came after the end.
	Left() (int, error)
	// Memory is what has to outlive this process.
	Memory() processes.Memory
	// Denied is the number of processes that could not be signalled.
	Denied() int64
}

// Witness asks.
type Witness interface {
	fence.Prober
	// Peers are the addresses of the guards.
	Peers() []string
}

// Config is what the loop works with.
type Config struct {
	Parameters fence.Parameters
	Witness    Witness
	Database   Database
	Now        boottime.Clock
	// BootID is the node's boot.
	BootID string
	Log    *slog.Logger
}

// Loop is the check. Everything but status and requests belongs to the goroutine of Run.
type Loop struct {
	config   Config
	keeper   *keeper
	machine  *fence.Machine // Nil until the database was let start.
	doubtful bool           // Only the API server's word may let it start.
	judged   time.Duration
	heard    time.Duration
	failure  string // The last error of the database or of the record that was logged.
	requests chan *request
	pending  []*request
	status   status
}

// newLoop returns a loop without a past.
func newLoop(config Config, keeper *keeper) *Loop {
	now := config.Now()
	l := &Loop{config: config, keeper: keeper, judged: now, heard: now, requests: make(chan *request)}
	l.status.change(notAdmitted, now)
	l.status.look(now, now)
	return l
}

// Run goes on until the context ends and no process of the database is left. A container's end is no reason to look away: the
// kubelet ends this one after the database's, so whatever is left then is still to be watched, and when it restarts this one alone
// the database runs on. A paused database stays stopped: it may not write, not even to stop in order, until something answers,
// and then it runs into its own SIGTERM. If nothing does it is ended, or the kubelet kills both.
func (l *Loop) Run(ctx context.Context) {
	defer l.keeper.stop()
	probes, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	rounds := make(chan fence.Round, 1)
	probe := func() { go func() { rounds <- l.config.Witness.Probe(probes) }() }
	interval := l.config.Parameters.Interval
	next := time.NewTimer(interval)
	next.Stop() // It runs between the end of a round and the next one: rounds do not overlap.
	sweep := time.NewTicker(interval / sweeps)
	defer sweep.Stop()
	l.tick(probes)
	probe()
	ended := ctx.Done()
	for {
		select {
		case round := <-rounds:
			next.Reset(max(0, interval-(l.config.Now()-round.Start)))
			l.observe(probes, round)
		case <-next.C:
			probe()
		case <-sweep.C:
			l.sweep(probes)
		case one := <-l.requests:
			one.since = l.config.Now()
			l.pending = append(l.pending, one)
		case <-ended:
			ended = nil // It would be chosen again at once.
		}
		if ctx.Err() != nil && l.finished() {
			return
		}
	}
}

// finished says whether nothing is left to be watched.
func (l *Loop) finished() bool {
	if l.machine == nil {
		return true
	}
	left, err := l.config.Database.Left()
	return err == nil && left == 0
}

// observe takes a round.
func (l *Loop) observe(ctx context.Context, round fence.Round) {
	if round.Answered() {
		l.heard = max(l.heard, round.Start)
	}
	if l.machine != nil {
		l.judged = round.End
		l.apply(ctx, l.machine.Observe(round))
	}
	l.admit(round)
	// Each round, so that another process knows whether somebody looked all the time, or for how long nobody did.
	l.keeper.put(l.record())
	l.status.look(l.config.Now(), l.heard)
}

// sweep takes the place of a round that is late, and looks after a database that must not run.
func (l *Loop) sweep(ctx context.Context) {
	if l.machine == nil {
		return
	}
	now := l.config.Now()
	if p := l.config.Parameters; now-l.judged >= p.Interval+p.Timeout {
		l.tick(ctx)
		return
	}
	if memory := l.machine.Memory(); memory.State != fence.Running {
		l.act(ctx, memory.State)
	}
}

// tick judges without a round.
func (l *Loop) tick(ctx context.Context) {
	if l.machine == nil {
		return
	}
	l.judged = l.config.Now()
	l.apply(ctx, l.machine.Tick(l.judged))
}

// apply brings the database into the state that was decided.
func (l *Loop) apply(ctx context.Context, verdict fence.Verdict) {
	if !verdict.Changed {
		l.act(ctx, verdict.State)
		return
	}
	now := l.config.Now()
	before := l.status.lasted(now)
	l.status.change(string(verdict.State), now)
	l.act(ctx, verdict.State)
	l.save()
	level := slog.LevelWarn
	if verdict.State == fence.Running {
		level = slog.LevelInfo
	}
	l.config.Log.Log(ctx, level, "the database is "+string(verdict.State), "why", verdict.Why,
		"stateBefore", before.Round(time.Millisecond), "took", (l.config.Now() - now).Round(time.Microsecond))
}

// act is done again and again while a state lasts.
func (l *Loop) act(ctx context.Context, state fence.State) {
	var err error
	switch state {
	case fence.Paused:
		err = l.config.Database.Pause(ctx)
	case fence.Ended:
		err = l.config.Database.End(ctx)
	default:
		err = l.config.Database.Continue(ctx)
	}
	l.say(err)
}

// say logs an error once until another one or none comes.
func (l *Loop) say(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != "" && text != l.failure {
		l.config.Log.Error("the check", "error", err)
	}
	l.failure = text
}

// record is what another process would need now.
func (l *Loop) record() record {
	one := record{
		BootID: l.config.BootID, Admitted: l.machine != nil, Doubtful: l.doubtful,
		Processes: l.config.Database.Memory(), Peers: l.config.Witness.Peers(),
	}
	if l.machine != nil {
		one.Machine = l.machine.Memory()
	}
	return one
}

// save keeps the record of a change, and goes on if that fails: stopping the database comes first.
func (l *Loop) save() {
	if err := l.keeper.keep(l.record()); err != nil {
		l.config.Log.Error("the state is not recorded: a restart of the check would go on from an older one", "error", err)
	}
}

// errNoRecord refuses a start: without a record a restart of the check would not know that a database runs.
var errNoRecord = errors.New("the check cannot record its state")
