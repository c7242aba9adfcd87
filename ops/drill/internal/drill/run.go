package drill

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"ha-iris/internal/clock"
	"ha-iris/ops/drill/internal/fault"
	"ha-iris/ops/drill/internal/hold"
	"ha-iris/ops/drill/internal/kube"
	"ha-iris/ops/drill/internal/ledger"
	"ha-iris/ops/drill/internal/preflight"
	"ha-iris/ops/drill/internal/report"
	"ha-iris/ops/drill/internal/timeline"
	"ha-iris/ops/drill/internal/writer"
)

const (
	// interruption is the shortest pause that is counted as one: longer than a row's time-out is not needed, and a loaded
	// machine pauses for less.
	interruption = 3 * time.Second
	// warm is how many rows have to be acknowledged before the fault.
	warm = 20
)

// attempt is one run while it is going on.
type attempt struct {
	*Drill

	kind   fault.Kind
	run    report.Run
	world  *preflight.World
	victim fault.Victim
	// container is the ID of the victim's container.
	container string

	seen   *collector
	ledger ledger.Ledger
	writer writer.Writer // Nil: none.
	rows   string        // What the rows are called after in the database.
	inside *writer.Inside
	// acknowledged is the longest that was read of what the pod's own writer noted.
	acknowledged []ledger.Write

	made, healed time.Time
	struck       atomic.Int64 // made, in nanoseconds, for those who watch meanwhile.
	undone       bool
}

// once makes a fault once. What it returns besides an error is what was measured until then.
func (d *Drill) once(ctx context.Context, kind fault.Kind, number int) (*report.Run, error) {
	world, err := d.look(ctx)
	if err != nil {
		return nil, err
	}
	pod := world.Pod()
	if pod == nil {
		return nil, errors.New("there is no pod of the database")
	}
	a := &attempt{Drill: d, kind: kind, world: world, victim: fault.Victim{
		Namespace: d.Config.Namespace, Pod: pod.Name, UID: pod.UID, Container: world.Container, Node: pod.Spec.NodeName,
	}}
	a.run = report.Run{Number: number, Node: pod.Spec.NodeName, Pod: pod.Name, Fault: time.Now()}
	watching, stop := context.WithCancel(context.WithoutCancel(ctx)) // What Ctrl-C leaves to be undone is watched too.
	defer stop()
	a.seen = collect(watching, d.Cluster, world, a.tell)
	if err := a.seen.ready(ctx); err != nil {
		return nil, err
	}
	if err := a.prepare(ctx); err != nil {
		return nil, err
	}
	return a.measure(ctx)
}

// tell prints what happens.
func (a *attempt) tell(event timeline.Event) {
	struck := a.struck.Load()
	if event.Mark == timeline.Message || event.Mark == timeline.AttachError || struck == 0 {
		return
	}
	after := time.Duration(event.At.UnixNano() - struck).Seconds()
	a.Host.Say("%s %d  %+6.1f s  %s %s %s", a.kind, a.run.Number, after, event.Mark, event.Object, event.Node)
}

// prepare chooses the writers.
func (a *attempt) prepare(ctx context.Context) error {
	a.rows = name()
	options := writer.Options{Run: a.rows, Rate: a.Config.Rate, Timeout: a.Config.WriteTimeout}
	standIn := isStandIn(a.world.Pod(), a.world.Container)
	how, address := a.Config.Writer, a.Config.Address
	if how == "auto" {
		how = a.choose(ctx, standIn)
	}
	if how == "http" && address == "" {
		endpoint := a.Config.Endpoint
		if endpoint == "" {
			endpoint = serviceAddress(ctx, a.Cluster, a.Config.Namespace)
		}
		if endpoint == "" {
			return errors.New("the writer http needs --endpoint: the Service has no address outside of the cluster")
		}
		address = writer.StandIn(endpoint)
	}
	switch how {
	case "http":
		a.writer = writer.NewHTTP(options, address)
	case "exec":
		a.writer = &writer.Session{Options: options, Shell: a.shell("")}
	default:
		a.Report.Writer = "none: no rows are written; the gap is from the fault to a ready endpoint, by the API's objects"
		return nil
	}
	a.Report.Writer = a.writer.About()
	if a.kind.Isolates() {
		a.inside = &writer.Inside{Options: options, StandIn: standIn}
	}
	return nil
}

func (a *attempt) choose(ctx context.Context, standIn bool) string {
	switch {
	case a.world.Simulated:
		return "none"
	case a.Config.Address != "":
		return "http"
	case standIn && (a.Config.Endpoint != "" || serviceAddress(ctx, a.Cluster, a.Config.Namespace) != ""):
		return "http"
	default:
		return "exec"
	}
}

// measure writes, makes the fault, waits for what follows and takes stock.
func (a *attempt) measure(ctx context.Context) (*report.Run, error) {
	writing, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if a.writer != nil {
			a.writer.Run(writing, &a.ledger)
		}
	}()
	err := a.warmUp(ctx)
	if err == nil {
		err = a.strike(ctx)
	}
	if !a.made.IsZero() { // From here on something is to be undone, whatever else happens.
		err = a.follow(ctx, err)
	}
	stop()
	<-done
	if a.made.IsZero() {
		return nil, err
	}
	err = errors.Join(err, a.takeStock(ctx))
	return &a.run, err
}

// warmUp waits until rows are acknowledged, and then for a while by chance.
func (a *attempt) warmUp(ctx context.Context) error {
	if a.writer != nil {
		err := until(ctx, a.Config.Warming, "the first acknowledged rows", func() (bool, string) {
			acknowledged := len(ledger.Acknowledgements(a.ledger.Writes(), false))
			return acknowledged >= warm, fmt.Sprintf("%d were acknowledged, by %s", acknowledged, a.writer.About())
		})
		if err != nil {
			return err
		}
	}
	if a.inside != nil {
		if err := a.inside.Start(ctx, a.shell(a.victim.Pod)); err != nil {
			return err
		}
		a.run.ClockError = a.inside.ClockError().Seconds()
	}
	wait := time.Duration(rand.Int64N(int64(a.Config.Phase) + 1)) //nolint:gosec // No secret.
	a.run.Phase = wait.Seconds()
	a.Host.Say("%s %d  in %.1f s, on pod %s, node %s", a.kind, a.run.Number, wait.Seconds(), a.victim.Pod, a.victim.Node)
	if err := clock.Pause(ctx, wait); err != nil {
		return err
	}
	if pod, err := a.Cluster.Get(ctx, kube.Pods, a.victim.Namespace, a.victim.Pod); err == nil {
		a.container = containerID(pod, a.victim.Container)
	}
	return nil
}

// strike makes the fault. What it will have to undo is written down first.
func (a *attempt) strike(ctx context.Context) error {
	record := &hold.Record{Experiment: string(a.kind), Node: a.victim.Node, Namespace: a.Config.Namespace}
	if err := a.hold.Note(ctx, record); err != nil {
		return err
	}
	a.made = time.Now()
	a.run.Fault = a.made
	a.struck.Store(a.made.UnixNano())
	a.seen.note(timeline.Event{At: a.made, Mark: timeline.Fault, Object: string(a.kind), Node: a.victim.Node})
	if err := a.make.Make(ctx, a.kind, a.victim); err != nil {
		return fmt.Errorf("make the fault: %w", err)
	}
	return nil
}

// follow waits for the recovery, unless the fault could not be made, gives back what it took and waits until all is healthy, with
// the writers going on.
func (a *attempt) follow(ctx context.Context, failed error) error {
	if failed == nil {
		failed = a.recovers(ctx)
	}
	// Also after Ctrl-C.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoing)
	defer cancel()
	if err := a.undo(last); err != nil {
		a.Report.Uncleaned = append(a.Report.Uncleaned, fmt.Sprintf("%s on node %s: %v", a.kind, a.victim.Node, err))
	}
	if failed == nil {
		failed = a.heals(ctx)
	}
	return failed
}

// recovers waits until the database is back. That it is not is a result and no error.
func (a *attempt) recovers(ctx context.Context) error {
	deadline := a.made.Add(a.Config.Recovery)
	healAt := time.Time{}
	if a.kind == fault.CutNode && a.Config.HealAfter > 0 {
		healAt = a.made.Add(a.Config.HealAfter)
	}
	for {
		now := time.Now()
		switch {
		case a.isBack(now):
			a.run.Recovered = true
			return clock.Pause(ctx, a.Config.Settling)
		case now.After(deadline):
			return nil
		case !healAt.IsZero() && now.After(healAt) && !a.undone:
			if err := a.undo(ctx); err != nil {
				a.Host.Say("undo: %v", err) // It is tried again at the end.
			}
		}
		if err := clock.Pause(ctx, 250*time.Millisecond); err != nil {
			return err
		}
	}
}

// unharmed is how long a database that was put back in time must go on before the cut counts as survived: a node is called lost up
// to 60 s after its last heartbeat (failover.md 1.1), but one that is back sends the next within ten.
const unharmed = 30 * time.Second

// isBack says whether another pod serves, or another container in the same one, or the same one again after an early return; and
// rows are acknowledged.
func (a *attempt) isBack(now time.Time) bool {
	pod := a.seen.serving()
	if pod == nil {
		return false
	}
	replaced := pod.GetUID() != a.victim.UID
	restarted := a.kind == fault.StopInstance && a.container != "" && containerID(pod, a.victim.Container) != a.container
	stayed := a.undone && now.Sub(a.healed) > unharmed && a.seen.nodeReady(a.victim.Node)
	if !replaced && !restarted && !stayed {
		return false
	}
	if a.writer == nil {
		return a.seen.endpointIs() == pod.GetName()
	}
	last := a.ledger.LastAcknowledged()
	if !last.After(a.made) || now.Sub(last) > time.Second {
		return false
	}
	// What was on its way to the old pod does not count.
	outage, found := a.outage(now)
	return found && outage.Recovered()
}

func (a *attempt) outage(end time.Time) (ledger.Outage, bool) {
	return ledger.Longest(ledger.Acknowledgements(a.ledger.Writes(), false), a.made, end, a.Config.Recovery)
}

// undo gives back what the fault took, once.
func (a *attempt) undo(ctx context.Context) error {
	if a.undone {
		return nil
	}
	a.readInside(ctx)
	if err := a.make.Undo(ctx, a.kind, a.victim.Node); err != nil {
		return err
	}
	a.undone, a.healed = true, time.Now()
	a.seen.note(timeline.Event{At: a.healed, Mark: timeline.Undone, Object: string(a.kind), Node: a.victim.Node})
	if a.inside != nil {
		a.followInside(ctx)
	}
	if a.kind.NodeLost() {
		a.Host.Say("%s %d  waiting until node %s is Ready", a.kind, a.run.Number, a.victim.Node)
		err := until(ctx, undoing, "node "+a.victim.Node, func() (bool, string) { return a.seen.nodeReady(a.victim.Node), "not Ready" })
		if err != nil {
			return err
		}
	}
	return a.hold.Note(ctx, nil)
}

// heals waits until the volume has all its replicas again.
func (a *attempt) heals(ctx context.Context) error {
	if a.world.Volume == nil {
		return nil
	}
	say := func(state string) { a.Host.Say("waiting for the volume: %s", state) }
	return watch(ctx, a.Config.Healing, time.Second, "the volume is not healthy", say, func() (bool, string) {
		volume, err := preflight.ReadVolume(ctx, a.Cluster, a.world.PersistentVolume)
		if err != nil {
			return false, err.Error()
		}
		if volume.Robustness != "healthy" || len(volume.Rebuilding) > 0 {
			return false, fmt.Sprintf("it is %s, rebuilding %v", volume.Robustness, volume.Rebuilding)
		}
		a.run.Healed = time.Since(a.made).Seconds()
		return true, ""
	})
}

// unchanged says what is another claim or volume than before, or nothing.
func (a *attempt) unchanged(ctx context.Context) []string {
	claim, err := a.Cluster.Get(ctx, kube.Claims, a.Config.Namespace, a.world.Claim)
	switch {
	case err != nil && !kube.IsGone(err):
		return []string{fmt.Sprintf("the claim could not be compared: %v", err)}
	case err != nil || claim.GetUID() != types.UID(a.world.ClaimUID):
		return []string{fmt.Sprintf("the claim %s is another one than %s", a.world.Claim, a.world.ClaimUID)}
	case text(claim, "spec", "volumeName") != a.world.PersistentVolume:
		return []string{fmt.Sprintf("the volume is another one than %s", a.world.PersistentVolume)}
	default:
		return nil
	}
}
