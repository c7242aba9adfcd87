package watchman

import (
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"

	"ha-iris/agent/internal/guard"
)

// The reasons of events. In mode observe nothing happens, and the reason says so.
const (
	reasonStarted       = "TakeOverStarted"
	reasonStep          = "TakeOverStep"
	reasonStepFailed    = "TakeOverStepFailed"
	reasonRefused       = "TakeOverRefused"
	reasonFinished      = "TakeOverFinished"
	reasonNote          = "TakeOverNote"
	reasonReturned      = "NodeReturned"
	reasonWouldTakeOver = "WouldTakeOver"
	reasonWouldGiveBack = "WouldGiveBack"
	reasonWouldRefuse   = "WouldRefuse"
)

// Reporter says once what changes: one line in the log and one event each, and the metrics.
type Reporter struct {
	namespace string
	log       *slog.Logger
	events    record.EventRecorder
	metrics   *Metrics
	// last is the decision that was reported last, failure the error, by step or "" for reads.
	last    string
	failure map[string]string
	notes   []string
	open    *takeOver
	// done is the last step that was reported as taken: one that takes its time is repeated each second.
	done subject
}

// takeOver is one that has begun and not ended.
type takeOver struct {
	node, pod, podUID string
	since             time.Time
}

// NewReporter returns a reporter for the pods of a namespace.
func NewReporter(namespace string, log *slog.Logger, events record.EventRecorder, metrics *Metrics) *Reporter {
	return &Reporter{namespace: namespace, log: log, events: events, metrics: metrics, failure: map[string]string{}}
}

// read reports that the cluster could not be read, and that it can be again.
func (r *Reporter) read(err error) {
	r.metrics.reads.WithLabelValues(result(err)).Inc()
	_, failing := r.failure[""]
	switch {
	case err != nil && !failing:
		r.failure[""] = err.Error()
		r.log.Warn("the cluster cannot be read; nothing is decided", "error", err)
	case err == nil && failing:
		delete(r.failure, "")
		r.log.Info("the cluster can be read again")
	}
}

// decided reports a decision that is not the one before.
func (r *Reporter) decided(decision guard.Decision, world guard.World, now time.Time) {
	r.metrics.decision(decision, world, now)
	r.end(decision, world, now)
	r.note(decision)
	if key := keyOf(decision); key != r.last {
		r.last = key
		r.announce(decision, world, now)
	}
}

// ages are the durations in reasons, which change each second.
var ages = regexp.MustCompile(`-?\d[\d.hmnsµ]*`)

// keyOf is the same for decisions that need not be told apart. One rule may forbid a step for several reasons in turn, and the last may stay.
func keyOf(decision guard.Decision) string {
	parts := []string{string(decision.Verdict), fmt.Sprint(subjectOf(decision.Step))}
	for _, one := range decision.Refusals {
		parts = append(parts, string(one.Rule), one.Node, ages.ReplaceAllString(one.Why, ""))
	}
	return strings.Join(parts, "|")
}

func (r *Reporter) announce(decision guard.Decision, world guard.World, now time.Time) {
	step := decision.Step
	line := []any{"verdict", string(decision.Verdict)}
	if step.Kind != "" {
		line = append(line, "step", string(step.Kind), "node", step.Node, "why", step.Why)
	}
	if len(decision.Refusals) > 0 {
		line = append(line, "refusals", refusals(decision.Refusals))
	}
	r.log.Info("decision", line...)
	switch decision.Verdict {
	case guard.Act:
		if r.open == nil && !returned(world, step.Node) {
			r.begin(step, world, now)
		}
	case guard.Refuse:
		r.refuse(decision, world)
	default: // the line in the log is enough
	}
}

// begin opens a take-over. One that an earlier leader has begun has a record, and is not announced twice.
func (r *Reporter) begin(step guard.Step, world guard.World, now time.Time) {
	r.open = &takeOver{node: step.Node, since: now}
	for _, pod := range world.Pods {
		if pod.Node == step.Node {
			r.open.pod, r.open.podUID = pod.Name, pod.UID
		}
	}
	for _, node := range world.Nodes {
		if node.Name == step.Node && node.Record != nil && (r.open.podUID == "" || node.Record.PodUID == r.open.podUID) {
			r.open.since = node.Record.Time
			r.log.Info("take-over resumed", "node", step.Node, "since", node.Record.Time)
			return
		}
	}
	r.both(corev1.EventTypeWarning, reasonStarted, fmt.Sprintf("node %s is lost: %s", step.Node, step.Why))
}

// end closes the take-over once pod and volume have left the node, or the node is back.
func (r *Reporter) end(decision guard.Decision, world guard.World, now time.Time) {
	if r.open == nil {
		return
	}
	node := r.open.node
	back := returned(world, node)
	if !back && (decision.Step.Node == node || r.busy(world)) {
		return
	}
	took := now.Sub(r.open.since)
	outcome, text := "finished", fmt.Sprintf("pod and volume have left node %s, %.0f s after the first step", node, took.Seconds())
	if back {
		outcome, text = "returned", fmt.Sprintf("node %s is back %.0f s after the first step", node, took.Seconds())
	} else {
		r.metrics.seconds.Observe(took.Seconds())
	}
	r.metrics.takeOvers.WithLabelValues(outcome).Inc()
	r.log.Info("take-over ended", "node", node, "result", outcome, "seconds", took.Seconds())
	r.both(corev1.EventTypeNormal, reasonFinished, text)
	r.open = nil
}

// busy says whether pod or volume are still on the node.
func (r *Reporter) busy(world guard.World) bool {
	node := r.open.node
	return slices.ContainsFunc(world.Pods, func(one guard.Pod) bool { return one.Node == node }) ||
		slices.ContainsFunc(world.Attachments, func(one guard.Attachment) bool { return one.Node == node })
}

// refuse reports what forbids the step. In mode observe the mode is no news.
func (r *Reporter) refuse(decision guard.Decision, world guard.World) {
	others := slices.DeleteFunc(slices.Clone(decision.Refusals), func(one guard.Refusal) bool { return one.Rule == guard.RuleMode })
	observes := len(others) < len(decision.Refusals)
	step := decision.Step
	text := fmt.Sprintf("%s on node %s: %s", step.Kind, step.Node, step.Why)
	switch {
	case len(others) > 0 && observes:
		r.about(step, world, corev1.EventTypeWarning, reasonWouldRefuse, text+"; not done, because "+refusals(others))
	case len(others) > 0:
		r.about(step, world, corev1.EventTypeWarning, reasonRefused, text+"; not done, because "+refusals(others))
	case returned(world, step.Node):
		r.about(step, world, corev1.EventTypeNormal, reasonWouldGiveBack, text)
	default:
		r.about(step, world, corev1.EventTypeWarning, reasonWouldTakeOver, text)
	}
}

func refusals(all []guard.Refusal) string {
	parts := make([]string, 0, len(all))
	for _, one := range all {
		parts = append(parts, fmt.Sprintf("%s (%s): %s", one.Rule, one.Node, one.Why))
	}
	return strings.Join(parts, "; ")
}

// note reports what an operator should know, once for as long as it is so.
func (r *Reporter) note(decision guard.Decision) {
	for _, one := range decision.Notes {
		if !slices.Contains(r.notes, one) {
			r.log.Warn("note", "text", one)
			if r.open != nil {
				r.both(corev1.EventTypeWarning, reasonNote, one)
			}
		}
	}
	r.notes = slices.Clone(decision.Notes)
}

// did reports a step that was taken, or that failed.
func (r *Reporter) did(step guard.Step, err error) {
	r.metrics.steps.WithLabelValues(string(step.Kind), result(err)).Inc()
	key := fmt.Sprint(subjectOf(step))
	if err != nil {
		if r.failure[key] != err.Error() {
			r.failure[key], r.done = err.Error(), subject{}
			r.log.Warn("step failed", "step", string(step.Kind), "node", step.Node, "error", err)
			r.on(step, corev1.EventTypeWarning, reasonStepFailed, fmt.Sprintf("%s on node %s: %v", step.Kind, step.Node, err))
		}
		return
	}
	delete(r.failure, key)
	if r.done == subjectOf(step) {
		return
	}
	r.done = subjectOf(step)
	reason := reasonStep
	if step.Kind == guard.GiveBack {
		reason = reasonReturned
	}
	r.log.Info("step taken", "step", string(step.Kind), "node", step.Node, "pod", step.Pod, "object", step.Object)
	r.on(step, corev1.EventTypeNormal, reason, fmt.Sprintf("%s on node %s: %s", step.Kind, step.Node, step.Why))
}

// returned says whether a node is there and Ready.
func returned(world guard.World, name string) bool {
	return slices.ContainsFunc(world.Nodes, func(one guard.Node) bool { return one.Name == name && one.Ready == guard.ReadyTrue })
}

// on is an event of the pod that a step names, or else of its node.
func (r *Reporter) on(step guard.Step, kind, reason, text string) {
	object := nodeReference(step.Node)
	if step.Pod != "" {
		object = r.podReference(step.Pod, step.PodUID)
	}
	r.events.Event(object, kind, reason, text)
}

// about is an event of the node, and of the pod on it if there is one: not everybody may see events of nodes.
func (r *Reporter) about(step guard.Step, world guard.World, kind, reason, text string) {
	r.events.Event(nodeReference(step.Node), kind, reason, text)
	for _, pod := range world.Pods {
		if pod.Node == step.Node {
			r.events.Event(r.podReference(pod.Name, pod.UID), kind, reason, text)
		}
	}
}

// both is an event of the node and of the pod that are being taken over.
func (r *Reporter) both(kind, reason, text string) {
	r.events.Event(nodeReference(r.open.node), kind, reason, text)
	if r.open.pod != "" {
		r.events.Event(r.podReference(r.open.pod, r.open.podUID), kind, reason, text)
	}
}

// nodeReference has the name as its UID, as the kubelet's events have: kubectl describe looks for that.
func nodeReference(name string) *corev1.ObjectReference {
	return &corev1.ObjectReference{APIVersion: "v1", Kind: "Node", Name: name, UID: types.UID(name)}
}

func (r *Reporter) podReference(name, uid string) *corev1.ObjectReference {
	return &corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: r.namespace, Name: name, UID: types.UID(uid)}
}
