package watchman

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/client-go/tools/record"

	"ha-iris/agent/internal/guard"
)

// start is the API server's time at the beginning of all tests: the control plane has just noticed that n1 is lost.
var start = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// rig is a cluster of which only what a loop sees exists. The API server's time goes on by a second with each look.
type rig struct {
	t       *testing.T
	config  guard.Config
	world   guard.World
	now     time.Time
	unread  error
	refused map[guard.Kind]error
	steps   []guard.Kind
	looked  []time.Time
	loop    *Loop
	voucher *Voucher
	slept   time.Duration
	// detachLooks is after how many looks more the attachment goes once the pod is being deleted.
	detachLooks int
	reporter    *Reporter
	metrics     *Metrics
	events      *record.FakeRecorder
	log         bytes.Buffer
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, config: guard.Default(), now: start, refused: map[guard.Kind]error{}}
	r.world = guard.World{
		Live: true, GuardNode: "n2", GuardSince: start.Add(-time.Hour), Leases: map[string]guard.Lease{"n1": {RenewTime: start.Add(-48 * time.Second)}},
		Pods:          []guard.Pod{{Name: "iris-a", UID: "uid-a", Node: "n1"}},
		Attachments:   []guard.Attachment{{Name: "va-1", UID: "uid-va-1", Node: "n1", Attached: true}},
		LonghornReady: map[string]bool{"n2": true, "n3": true},
	}
	for _, name := range []string{"n1", "n2", "n3"} {
		node := guard.Node{Name: name, ResourceVersion: "7", Ready: guard.ReadyTrue, ReadySince: start.Add(-time.Hour), BootID: "boot-" + name}
		r.world.Nodes = append(r.world.Nodes, node)
		r.world.Replicas = append(r.world.Replicas, guard.Replica{Name: "r-" + name, ResourceVersion: "9", Node: name, Healthy: true})
	}
	r.ready("n1", guard.ReadyUnknown)
	r.voucher = NewVoucher(func() time.Duration { return r.now.Sub(start) + r.slept }, DefaultTerms(), Identity("guard-b", "n2"))
	r.voucher.floor = -time.Hour // This guard has led for long.
	r.restart()
	return r
}

// restart is another term of leading.
func (r *rig) restart() {
	r.events, r.metrics = record.NewFakeRecorder(100), NewMetrics()
	r.reporter = NewReporter("iris", slog.New(slog.NewTextHandler(&r.log, nil)), r.events, r.metrics)
	r.loop = NewLoop(r.config, r, r, r.reporter, r.voucher)
}

func (r *rig) node(name string) *guard.Node {
	return &r.world.Nodes[slices.IndexFunc(r.world.Nodes, func(one guard.Node) bool { return one.Name == name })]
}

func (r *rig) ready(name string, ready guard.Ready) {
	node := r.node(name)
	node.Ready, node.ReadySince = ready, r.now
}

// World implements guard.Reader.
func (r *rig) World(context.Context) (guard.World, time.Time, error) {
	r.now = r.now.Add(time.Second)
	r.looked = append(r.looked, time.Now())
	if r.world.Pods[0].DeletedAt.IsZero() {
		return r.world, r.now, r.unread
	}
	if r.detachLooks--; r.detachLooks < 0 {
		r.world.Attachments = nil
	}
	return r.world, r.now, r.unread
}

// Do implements guard.Actor.
func (r *rig) Do(_ context.Context, step guard.Step) error {
	if err := r.refused[step.Kind]; err != nil {
		return err
	}
	r.steps = append(r.steps, step.Kind)
	node := r.node(step.Node)
	switch step.Kind {
	case guard.WriteRecord, guard.SetTaint:
		record := step.Record
		node.Record, node.OutOfService = &record, step.Kind == guard.SetTaint
	case guard.DeletePod:
		r.world.Pods[0].DeletedAt = r.now
	case guard.ForceDeletePod:
		r.world.Pods = []guard.Pod{{Name: "iris-b", UID: "uid-b", Node: "n2"}}
	case guard.FailReplica:
		r.world.Replicas[0].Failed = true
	case guard.Untaint:
		record := step.Record
		node.Record, node.OutOfService = &record, false
		r.world.LonghornReady["n1"] = true
	case guard.GiveBack:
		node.Record, node.OutOfService = nil, false
	default:
	}
	return nil
}

// rounds lets the loop look some times.
func (r *rig) rounds(count int) {
	for range count {
		r.loop.round(r.t.Context())
	}
}

// reasons are those of the events since the last call, without those that follow each other.
func (r *rig) reasons() []string {
	var reasons []string
	for {
		select {
		case event := <-r.events.Events:
			reasons = append(reasons, strings.Fields(event)[1])
		default:
			return slices.Compact(reasons)
		}
	}
}

func (r *rig) wantReasons(want ...string) {
	r.t.Helper()
	if got := r.reasons(); !slices.Equal(got, want) {
		r.t.Errorf("events: got %q, want %q", got, want)
	}
}

func (r *rig) wantSteps(want ...guard.Kind) {
	r.t.Helper()
	if !slices.Equal(r.steps, want) {
		r.t.Errorf("steps: got %q, want %q", r.steps, want)
	}
	r.steps = nil
}

// lines are the lines of the log with a text.
func (r *rig) lines(text string) int { return strings.Count(r.log.String(), text) }

// value is a metric, by its name and the value of its label.
func (r *rig) value(name, label string) float64 {
	r.t.Helper()
	families, err := r.metrics.registry.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			labels := make([]string, 0, len(metric.GetLabel()))
			for _, one := range metric.GetLabel() {
				labels = append(labels, one.GetValue())
			}
			if family.GetName() == "ha_iris_guard_"+name && strings.Join(labels, ",") == label {
				return metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + metric.GetHistogram().GetSampleSum()
			}
		}
	}
	return 0
}

var errWebhook = errors.New("the webhook does not answer")

func TestMetrics_AreWellFormed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.rounds(8)
	problems, err := testutil.GatherAndLint(r.metrics.registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("got %v, %v", problems, err)
	}
}
