// Package watchman runs a guard: it looks at the cluster each second while it leads, takes the steps that package guard decides on,
// says what it does, and answers the check in the database's pod whether it leads or not.
package watchman

import (
	"context"
	"time"

	"ha-iris/agent/internal/boottime"
	"ha-iris/agent/internal/guard"
)

const (
	// interval is how often the leader looks (guard.Actor wants a second).
	interval = time.Second
	// waitInterval is how often it looks while Longhorn has not yet called a lost node not Ready, which takes it a second, and while it drops that
	// node's attachment: Kubernetes' attach/detach controller was seen to attach the volume to that node again 0.7 s later, which costs 4 s and more until
	// Longhorn has refused it (TestLab_Guard; longhorn-real.md, "What owns each second" 5). With eight reads each time it stays below
	// requestsPerSecond of package kube.
	waitInterval = 200 * time.Millisecond
	// stale is when what was read is too old to act on, because this process slept in between: the node may be back. It is more
	// than two rounds of reads of 2 s each take, and as long as a leader may go without renewing.
	stale = 10 * time.Second
)

// Loop decides and acts for as long as this guard leads. It is made anew each time it comes to lead.
type Loop struct {
	config   guard.Config
	reader   guard.Reader
	actor    guard.Actor
	reporter *Reporter
	voucher  *Voucher
	clock    boottime.Clock
	tried    map[guard.Kind]time.Time
	// node is the one that tried is about.
	node string
	// done is the last step that succeeded.
	done subject
}

// NewLoop returns a loop that knows nothing yet.
func NewLoop(config guard.Config, reader guard.Reader, actor guard.Actor, reporter *Reporter, voucher *Voucher) *Loop {
	return &Loop{
		config: config, reader: reader, actor: actor, reporter: reporter,
		voucher: voucher, clock: voucher.clock, tried: map[guard.Kind]time.Time{},
	}
}

// Run looks until the context ends: at once after a step that succeeded, soon while Longhorn has something to do, and otherwise each second.
func (l *Loop) Run(ctx context.Context) {
	l.voucher.lead()
	defer l.voucher.resign()
	for ctx.Err() == nil {
		begun := time.Now()
		pause := time.NewTimer(l.round(ctx) - time.Since(begun))
		select {
		case <-ctx.Done():
		case <-pause.C:
		}
		pause.Stop()
	}
}

// round looks once, and says how long after its begin to look again.
func (l *Loop) round(ctx context.Context) time.Duration {
	begun := l.clock()
	world, now, err := l.reader.World(ctx)
	if ctx.Err() != nil {
		return interval
	}
	l.reporter.read(err)
	if err != nil {
		return interval
	}
	l.voucher.look(&world)
	decision := l.decide(world, now)
	l.reporter.decided(decision, world, now)
	if step := decision.Step.Kind; decision.Verdict == guard.Wait && step == guard.WaitEnd && l.tried[step].IsZero() {
		l.tried[step] = now
	}
	if decision.Verdict == guard.Wait && (decision.Step.Kind == guard.WaitDetach || decision.Step.Kind == guard.WaitLonghorn) {
		return waitInterval
	}
	if decision.Verdict != guard.Act || l.clock()-begun > stale || !l.act(ctx, decision.Step, now) {
		return interval
	}
	return 0
}

// decide keeps what was tried for one node away from decisions about another one.
func (l *Loop) decide(world guard.World, now time.Time) guard.Decision {
	world.Tried = l.tried
	decision := l.config.Decide(world, now)
	if decision.Step.Node == l.node {
		return decision
	}
	l.node = decision.Step.Node
	if len(l.tried) == 0 {
		return decision
	}
	clear(l.tried)
	return l.config.Decide(world, now)
}

// act takes the step, and says whether to look again at once. A step that is decided on again although it has succeeded is something
// that takes its time, such as an object with a finalizer: that waits a second.
func (l *Loop) act(ctx context.Context, step guard.Step, now time.Time) bool {
	if _, tried := l.tried[step.Kind]; !tried {
		l.tried[step.Kind] = now
	}
	err := l.actor.Do(ctx, step)
	l.reporter.did(step, err)
	if err != nil {
		return false
	}
	delete(l.tried, step.Kind)
	again := l.done == subjectOf(step)
	l.done = subjectOf(step)
	return !again
}

// subject is what makes two steps the same.
type subject struct {
	kind              guard.Kind
	node, pod, object string
}

func subjectOf(step guard.Step) subject {
	return subject{step.Kind, step.Node, step.Pod, step.Object}
}
