package timeline

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type object = map[string]any

// show is what an observer says of one object after another.
func show(observer *Observer, at float64, kind Kind, content object, deleted, first bool) string {
	var said []string
	for _, event := range observer.Observe(second(at), kind, &unstructured.Unstructured{Object: content}, deleted, first) {
		said = append(said, strings.TrimSpace(fmt.Sprintf("%s %s %s", event.Mark, event.Node, event.Detail)))
	}
	return strings.Join(said, "; ")
}

func node(ready string, annotations object, taints ...string) object {
	var list []any
	for _, taint := range taints {
		list = append(list, object{"key": taint, "effect": "NoExecute"})
	}
	return object{
		"metadata": object{"name": "a", "uid": "n", "annotations": annotations}, "spec": object{"taints": list},
		"status": object{"conditions": []any{object{"type": "Ready", "status": ready}}},
	}
}

func TestObserver_SeesANodeGoAndReturn(t *testing.T) {
	t.Parallel()
	o := &Observer{Record: "guard.ha-iris/iris"}
	unreachable, outOfService := "node.kubernetes.io/unreachable", "node.kubernetes.io/out-of-service"
	record := object{"guard.ha-iris/iris": "{}"}
	for i, step := range []struct {
		content object
		first   bool
		want    string
	}{
		{node("True", nil), true, ""},
		{node("True", nil), false, ""},
		{node("Unknown", nil), false, "node not ready a Unknown"},
		{node("Unknown", nil, unreachable), false, "node tainted a " + unreachable},
		{node("Unknown", record, unreachable), false, "take-over recorded a {}"},
		{node("Unknown", object{"guard.ha-iris/other": "{}", "guard.ha-iris/iris": "{}"}, unreachable, outOfService), false, "out-of-service taint a NoExecute"},
		{node("True", record, outOfService), false, "node ready a True"},
		{node("True", nil), false, "take-over given back a"},
	} {
		if got := show(o, float64(i), Nodes, step.content, false, step.first); got != step.want {
			t.Errorf("step %d: got %q, want %q", i, got, step.want)
		}
	}
}

func pod(uid, node, ready, container string, more object) object {
	metadata := object{"name": "iris-" + uid, "uid": uid}
	for key, value := range more {
		metadata[key] = value
	}
	content := object{
		"metadata": metadata, "spec": object{"nodeName": node},
		"status": object{"conditions": []any{object{"type": "Ready", "status": ready}}},
	}
	if container != "" {
		content["status"].(object)["containerStatuses"] = []any{
			object{"name": "other", "containerID": "x", "state": object{"running": object{}}},
			object{"name": "iris", "containerID": container, "state": object{"running": object{}}},
		}
	}
	return content
}

func TestObserver_SeesPodsComeAndGo(t *testing.T) {
	t.Parallel()
	o := &Observer{Container: "iris"}
	deleting := object{"deletionTimestamp": "2026-11-01T00:00:00Z"}
	for i, step := range []struct {
		content        object
		deleted, first bool
		want           string
	}{
		{pod("1", "a", "True", "c1", nil), false, true, ""},
		{pod("1", "a", "False", "c2", nil), false, false, "container started a c2; pod not ready a not ready"},
		{pod("1", "a", "True", "c2", nil), false, false, "pod ready a True"},
		{pod("1", "a", "True", "c2", deleting), false, false, "pod deleted a deleted"},
		{pod("2", "", "", "", nil), false, false, "new pod created  created; pod not ready  not ready"},
		{pod("1", "a", "True", "c2", deleting), true, false, "pod gone a"},
		{pod("2", "b", "", "", nil), false, false, "scheduled b b"},
		{pod("2", "b", "False", "c3", nil), false, false, "container started b c3"},
		{pod("2", "b", "True", "c3", nil), false, false, "pod ready b True"},
	} {
		if got := show(o, float64(i), Pods, step.content, step.deleted, step.first); got != step.want {
			t.Errorf("step %d: got %q, want %q", i, got, step.want)
		}
	}
}

func TestObserver_SeesAttachmentsEndpointsAndVolumes(t *testing.T) {
	t.Parallel()
	o := &Observer{}
	attachment := func(attached bool, refused string) object {
		return object{
			"metadata": object{"name": "csi-1", "uid": "v"}, "spec": object{"nodeName": "b"},
			"status": object{"attached": attached, "attachError": object{"message": refused}},
		}
	}
	slice := func(ready bool) object {
		return object{
			"metadata":  object{"name": "s", "uid": "s"},
			"endpoints": []any{object{"conditions": object{"ready": ready}, "targetRef": object{"name": "iris-2"}}},
		}
	}
	volume := func(robustness string) object {
		return object{"metadata": object{"name": "pvc-1", "uid": "l"}, "status": object{"robustness": robustness, "currentNodeID": "b"}}
	}
	for i, step := range []struct {
		kind    Kind
		content object
		deleted bool
		want    string
	}{
		{Attachments, attachment(false, ""), false, ""},
		{Attachments, attachment(false, "node is not ready"), false, "attachment refused b node is not ready"},
		{Attachments, attachment(true, ""), false, "volume attached b b"},
		{Attachments, attachment(true, ""), true, "volume detached b"},
		{Slices, slice(false), false, ""},
		{Slices, slice(true), false, "endpoint ready  iris-2"},
		{Volumes, volume("healthy"), false, "volume healthy b healthy"},
		{Volumes, volume("degraded"), false, "volume not healthy b degraded"},
		{Messages, object{"metadata": object{"name": "e"}, "reason": "Killing", "message": "Stopping"}, false, "event  Killing: Stopping"},
		{Slices, slice(true), true, ""},
	} {
		if got := show(o, float64(i), step.kind, step.content, step.deleted, false); got != step.want {
			t.Errorf("step %d: got %q, want %q", i, got, step.want)
		}
	}
}

func TestObserver_NoticesAfterABrokenWatchWhatIsGone(t *testing.T) {
	t.Parallel()
	o := &Observer{Container: "iris"}
	show(o, 0, Pods, pod("1", "a", "True", "c1", nil), false, true)
	show(o, 0, Pods, pod("2", "b", "True", "c2", nil), false, true)
	show(o, 0, Attachments, object{"metadata": object{"name": "csi-1", "uid": "v"}, "spec": object{"nodeName": "a"}}, false, true)
	events := o.Forget(second(5), Pods, []*unstructured.Unstructured{{Object: pod("2", "b", "True", "c2", nil)}})
	if len(events) != 1 || events[0].Mark != PodGone || events[0].UID != "1" || events[0].Node != "a" {
		t.Errorf("got %+v, want pod 1 gone", events)
	}
	if again := o.Forget(second(6), Pods, []*unstructured.Unstructured{{Object: pod("2", "b", "True", "c2", nil)}}); len(again) != 0 {
		t.Errorf("it is gone twice: %+v", again)
	}
	events = o.Forget(second(7), Attachments, nil)
	if len(events) != 1 || events[0].Mark != Detached || events[0].Node != "a" {
		t.Errorf("got %+v, want the attachment gone", events)
	}
}
