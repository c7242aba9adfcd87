package kube

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clienttesting "k8s.io/client-go/testing"

	"ha-iris/agent/internal/guard"
)

var record = guard.Record{BootID: "b", Time: now, PodUID: "uid-iris-a"}

// steps are one of each kind, with all that it needs.
func steps() map[guard.Kind]guard.Step {
	steps := map[guard.Kind]guard.Step{}
	for _, step := range []guard.Step{
		{Kind: guard.WriteRecord, ResourceVersion: "7", Record: record},
		{Kind: guard.SetTaint, ResourceVersion: "7", Record: withTaint(record)},
		{Kind: guard.Untaint, ResourceVersion: "7", Record: record},
		{Kind: guard.GiveBack, ResourceVersion: "7", Record: withTaint(record)},
		{Kind: guard.DeletePod, Pod: "iris-a", PodUID: "uid-iris-a"},
		{Kind: guard.ForceDeletePod, Pod: "iris-a", PodUID: "uid-iris-a"},
		{Kind: guard.DeleteAttachment, Object: "va-1", ObjectUID: "uid-va-1"},
		{Kind: guard.FailReplica, Object: "r-n1", ResourceVersion: "9"},
		{Kind: guard.ClearEngine, Object: "o-1", ObjectUID: "uid-o-1"},
	} {
		step.Node = "n1"
		steps[step.Kind] = step
	}
	return steps
}

func withTaint(record guard.Record) guard.Record {
	record.Tainted = true
	return record
}

func newActorRig(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	r.add(orphanObject("o-1", "n1", "handle-1-e-0"))
	r.cluster.Dates.Observe(now)
	return r
}

// last is the last request: a deletion's options or a patch.
func (r *rig) last(dynamic bool) (metav1.DeleteOptions, map[string]any) {
	r.t.Helper()
	actions := r.core.Actions()
	if dynamic {
		actions = r.dynamic.Actions()
	}
	if len(actions) == 0 {
		r.t.Fatal("nothing was asked")
	}
	switch action := actions[len(actions)-1].(type) {
	case clienttesting.DeleteActionImpl:
		return action.DeleteOptions, nil
	case clienttesting.PatchActionImpl:
		if action.GetPatchType() != types.MergePatchType {
			r.t.Errorf("got a patch of type %s", action.GetPatchType())
		}
		var patch map[string]any
		if err := json.Unmarshal(action.GetPatch(), &patch); err != nil {
			r.t.Fatal(err)
		}
		return metav1.DeleteOptions{}, patch
	default:
		r.t.Fatalf("got %T", action)
		return metav1.DeleteOptions{}, nil
	}
}

func TestActor_DeletionsAreOfTheUIDThatWasDecidedOn(t *testing.T) {
	t.Parallel()
	force := int64(0)
	for kind, test := range map[guard.Kind]struct {
		uid     types.UID
		grace   *int64
		dynamic bool
	}{
		guard.DeletePod:        {uid: "uid-iris-a"},
		guard.ForceDeletePod:   {uid: "uid-iris-a", grace: &force},
		guard.DeleteAttachment: {uid: "uid-va-1"},
		guard.ClearEngine:      {uid: "uid-o-1", dynamic: true},
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			r := newActorRig(t)
			if err := r.actor.Do(t.Context(), steps()[kind]); err != nil {
				t.Fatal(err)
			}
			options, _ := r.last(test.dynamic)
			if options.Preconditions == nil || options.Preconditions.UID == nil || *options.Preconditions.UID != test.uid ||
				!reflect.DeepEqual(options.GracePeriodSeconds, test.grace) {
				t.Errorf("got %+v", options)
			}
		})
	}
}

// An object that is gone, or whose name another one has, is what the deletion was for. Anything else is an error.
func TestActor_GoneIsDone(t *testing.T) {
	t.Parallel()
	for _, kind := range []guard.Kind{guard.DeletePod, guard.ForceDeletePod, guard.DeleteAttachment, guard.ClearEngine} {
		for name, test := range map[string]struct {
			err  error
			fine bool
		}{
			"gone":        {apierrors.NewNotFound(schema.GroupResource{Resource: "things"}, "x"), true},
			"another UID": {apierrors.NewConflict(schema.GroupResource{Resource: "things"}, "x", errors.New("Precondition failed: UID")), true},
			"forbidden":   {apierrors.NewForbidden(schema.GroupResource{Resource: "things"}, "x", errors.New("no")), false},
			"away":        {errors.New("connection refused"), false},
		} {
			t.Run(string(kind)+" "+name, func(t *testing.T) {
				t.Parallel()
				r := newActorRig(t)
				r.fail("delete", test.err)
				if err := r.actor.Do(t.Context(), steps()[kind]); (err == nil) != test.fine {
					t.Errorf("got %v", err)
				}
			})
		}
	}
}

func (r *rig) fail(verb string, err error) {
	fails := func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, err }
	r.core.PrependReactor(verb, "*", fails)
	r.dynamic.PrependReactor(verb, "*", fails)
}

func TestActor_NothingWithoutItsPrecondition(t *testing.T) {
	t.Parallel()
	for kind, step := range steps() {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			r := newActorRig(t)
			step.ResourceVersion, step.PodUID, step.ObjectUID = "", "", ""
			if err := r.actor.Do(t.Context(), step); err == nil {
				t.Error("done")
			}
			for _, one := range r.requests() {
				if one != "get nodes" {
					t.Errorf("asked %s", one)
				}
			}
		})
	}
}

// The record and the taint are written in one patch, and other taints and annotations stay.
func TestActor_NodePatches(t *testing.T) {
	t.Parallel()
	const key = "guard.ha-iris/iris"
	others := []corev1.Taint{
		{Key: "node.kubernetes.io/unreachable", Effect: corev1.TaintEffectNoExecute, TimeAdded: &metav1.Time{Time: now.Add(-time.Minute)}},
		{Key: "dedicated", Value: "db", Effect: corev1.TaintEffectNoSchedule},
		{Key: outOfServiceKey, Value: outOfServiceValue, Effect: corev1.TaintEffectNoSchedule},
	}
	mine := corev1.Taint{Key: outOfServiceKey, Value: outOfServiceValue, Effect: corev1.TaintEffectNoExecute}
	for kind, test := range map[guard.Kind]struct {
		before, after []corev1.Taint
		tainted       bool
	}{
		guard.WriteRecord: {before: others, after: others},
		guard.SetTaint:    {before: others, after: append(append([]corev1.Taint{}, others...), mine), tainted: true},
		guard.Untaint:     {before: append(append([]corev1.Taint{}, others...), mine), after: others},
		guard.GiveBack:    {before: append(append([]corev1.Taint{}, others...), mine), after: others},
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			r := newActorRig(t)
			r.changeNode("n1", func(node *corev1.Node) {
				node.Spec.Taints, node.Annotations = test.before, map[string]string{"kept": "1", key: "old"}
			})
			if err := r.actor.Do(t.Context(), steps()[kind]); err != nil {
				t.Fatal(err)
			}
			metadata := 2
			if kind == guard.WriteRecord {
				metadata = 3 // The label too.
			}
			if _, patch := r.last(false); reflect.ValueOf(patch["metadata"]).Len() != metadata ||
				patch["metadata"].(map[string]any)["resourceVersion"] != "7" {
				t.Errorf("got %v", patch)
			}
			node, err := r.core.CoreV1().Nodes().Get(t.Context(), "n1", metav1.GetOptions{})
			if err != nil || len(node.Spec.Taints) != len(test.after) || node.Annotations["kept"] != "1" {
				t.Fatalf("got %+v, %v", node, err)
			}
			for i := range test.after {
				if !node.Spec.Taints[i].MatchTaint(&test.after[i]) {
					t.Errorf("got %+v, want %+v", node.Spec.Taints, test.after)
				}
			}
			value, found := node.Annotations[key]
			if kind == guard.GiveBack {
				if found {
					t.Errorf("the record stays: %s", value)
				}
				return
			}
			if got := parseRecord(value); got.BootID != "b" || !got.Time.Equal(now) || got.PodUID != "uid-iris-a" || got.Tainted != test.tainted {
				t.Errorf("got %s", value)
			}
		})
	}
}

// Without a taint of the guard's own the list of taints is not touched; the last taint leaves an empty list and not none.
func TestActor_GiveBackTakesOnlyItsOwn(t *testing.T) {
	t.Parallel()
	r := newActorRig(t)
	step := steps()[guard.GiveBack]
	step.Record.Tainted = false
	if err := r.actor.Do(t.Context(), step); err != nil {
		t.Fatal(err)
	}
	if _, patch := r.last(false); patch["spec"] != nil {
		t.Errorf("got %v", patch)
	}
	if err := r.actor.Do(t.Context(), steps()[guard.GiveBack]); err != nil {
		t.Fatal(err)
	}
	_, patch := r.last(false)
	if spec, _ := patch["spec"].(map[string]any); spec == nil || !reflect.DeepEqual(spec["taints"], []any{}) {
		t.Errorf("got %v", patch)
	}
	r.drop("nodes", "", "n1")
	if err := r.actor.Do(t.Context(), steps()[guard.GiveBack]); err != nil {
		t.Errorf("a node that is gone: %v", err)
	}
}

// A node that has changed since it was decided on is left alone, whether that shows when it is read or when it is written.
func TestActor_NodeThatHasChanged(t *testing.T) {
	t.Parallel()
	for _, kind := range []guard.Kind{guard.WriteRecord, guard.SetTaint, guard.Untaint, guard.GiveBack} {
		r := newActorRig(t)
		if kind != guard.WriteRecord {
			step := steps()[kind]
			step.ResourceVersion = "6"
			if err := r.actor.Do(t.Context(), step); err == nil {
				t.Errorf("%s: an older version was accepted", kind)
			}
		}
		r.fail("patch", apierrors.NewConflict(schema.GroupResource{Resource: "nodes"}, "n1", errors.New("modified")))
		if err := r.actor.Do(t.Context(), steps()[kind]); !apierrors.IsConflict(err) {
			t.Errorf("%s: got %v", kind, err)
		}
	}
}

func TestActor_FailsAReplicaAsLonghornDoes(t *testing.T) {
	t.Parallel()
	r := newActorRig(t)
	if err := r.actor.Do(t.Context(), steps()[guard.FailReplica]); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"metadata": map[string]any{"resourceVersion": "9"},
		"spec": map[string]any{
			"failedAt": "2026-11-27T12:00:00Z", "lastFailedAt": "2026-11-27T12:00:00Z", "desireState": "stopped",
		},
	}
	if _, patch := r.last(true); !reflect.DeepEqual(patch, want) {
		t.Errorf("got %v", patch)
	}
	r.lose("n1")
	if replica := r.look().Replicas[0]; replica.Name != "r-n1" || !replica.Failed || replica.Healthy {
		t.Errorf("got %+v", replica)
	}
	r.fail("patch", apierrors.NewConflict(schema.GroupResource{Resource: "replicas"}, "r-n1", errors.New("modified")))
	if err := r.actor.Do(t.Context(), steps()[guard.FailReplica]); !apierrors.IsConflict(err) {
		t.Errorf("one that has changed: got %v", err)
	}
	r.cluster.Dates.Forget()
	if err := r.actor.Do(t.Context(), steps()[guard.FailReplica]); !errors.Is(err, errNoDate) {
		t.Errorf("without a time: got %v", err)
	}
}

func TestActor_WaitingIsNothingToDo(t *testing.T) {
	t.Parallel()
	r := newActorRig(t)
	for _, kind := range []guard.Kind{guard.WaitLonghorn, guard.WaitDetach, guard.WaitReturn, ""} {
		if err := r.actor.Do(t.Context(), guard.Step{Kind: kind, Node: "n1"}); err == nil {
			t.Errorf("%q: done", kind)
		}
	}
}
