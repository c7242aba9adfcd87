package timeline

import (
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Kind is what is watched.
type Kind string

// The kinds.
const (
	Nodes       Kind = "nodes"
	Pods        Kind = "pods"
	Attachments Kind = "volumeattachments"
	Slices      Kind = "endpointslices"
	Volumes     Kind = "volumes"
	Messages    Kind = "events"
)

// Observer turns what is seen of objects into events, by what was seen of them before.
type Observer struct {
	// Record is the annotation that a take-over is recorded in, guard.ha-iris/NAMESPACE.
	Record string
	// Container is the database's container.
	Container string

	seen map[string]state
}

// state is what counts of an object: a mark that holds, and what it holds with.
type state map[Mark]string

// Observe returns the events that an object's new content brings. What is seen at first only counts from then on.
func (o *Observer) Observe(at time.Time, kind Kind, object *unstructured.Unstructured, deleted, first bool) []Event {
	if o.seen == nil {
		o.seen = map[string]state{}
	}
	key := string(kind) + "/" + string(object.GetUID()) + "/" + object.GetName()
	before, known := o.seen[key]
	base := Event{At: at, Object: object.GetName(), UID: string(object.GetUID())}
	if deleted {
		delete(o.seen, key)
		return o.gone(base, kind, object, known)
	}
	now, node := o.read(kind, object)
	base.Node = node
	o.seen[key] = now
	if first {
		return nil
	}
	return differences(base, before, now)
}

// Forget makes the objects of a kind that are not among the given ones look deleted: after a watch broke, nobody says so.
func (o *Observer) Forget(at time.Time, kind Kind, present []*unstructured.Unstructured) []Event {
	keep := map[string]bool{}
	for _, object := range present {
		keep[string(kind)+"/"+string(object.GetUID())+"/"+object.GetName()] = true
	}
	var events []Event
	for _, key := range slices.Sorted(maps.Keys(o.seen)) {
		if !strings.HasPrefix(key, string(kind)+"/") || keep[key] {
			continue
		}
		parts := strings.SplitN(key, "/", 3)
		event := Event{At: at, UID: parts[1], Object: parts[2], Node: o.seen[key][Scheduled], Detail: "seen late: the watch had ended"}
		switch kind {
		case Pods:
			event.Mark = PodGone
			events = append(events, event)
		case Attachments:
			event.Mark, event.Node = Detached, o.seen[key][nodeOf]
			events = append(events, event)
		default:
		}
		delete(o.seen, key)
	}
	return events
}

// nodeOf is no mark: it is where an attachment leads to.
const nodeOf Mark = "node"

func (o *Observer) gone(base Event, kind Kind, object *unstructured.Unstructured, known bool) []Event {
	switch {
	case !known:
		return nil
	case kind == Pods:
		base.Mark, base.Node = PodGone, text(object, "spec", "nodeName")
	case kind == Attachments:
		base.Mark, base.Node = Detached, text(object, "spec", "nodeName")
	default:
		return nil
	}
	return []Event{base}
}

// differences are the marks that hold now, and did not or differently before.
func differences(base Event, before, now state) []Event {
	var events []Event
	for _, mark := range slices.Sorted(maps.Keys(now)) {
		if mark == nodeOf || before[mark] == now[mark] {
			continue
		}
		event := base
		event.Mark, event.Detail = mark, now[mark]
		events = append(events, event)
	}
	if _, had := before[TakeOver]; had {
		if _, has := now[TakeOver]; !has {
			base.Mark = GivenBack
			events = append(events, base)
		}
	}
	return events
}

func (o *Observer) read(kind Kind, object *unstructured.Unstructured) (now state, node string) {
	switch kind {
	case Nodes:
		return o.readNode(object), object.GetName()
	case Pods:
		return o.readPod(object), text(object, "spec", "nodeName")
	case Attachments:
		return readAttachment(object), text(object, "spec", "nodeName")
	case Slices:
		return readSlice(object), ""
	case Volumes:
		return readVolume(object), text(object, "status", "currentNodeID")
	default:
		return state{Message: text(object, "reason") + ": " + text(object, "message")}, text(object, "source", "host")
	}
}

func (o *Observer) readNode(object *unstructured.Unstructured) state {
	now := state{}
	if ready := condition(object, "Ready"); ready == "True" {
		now[NodeReady] = ready
	} else {
		now[NotReady] = ready
	}
	if blocked, _, _ := unstructured.NestedBool(object.Object, "spec", "unschedulable"); blocked {
		now[Cordoned] = "unschedulable"
	}
	if record, found := object.GetAnnotations()[o.Record]; found {
		now[TakeOver] = record
	}
	for _, taint := range members(object, "spec", "taints") {
		key, _ := taint["key"].(string)
		effect, _ := taint["effect"].(string)
		switch {
		case key == "node.kubernetes.io/out-of-service":
			now[OutOfService] = effect
		case effect == "NoExecute" && (key == "node.kubernetes.io/unreachable" || key == "node.kubernetes.io/not-ready"):
			now[Tainted] = key
		}
	}
	return now
}

func (o *Observer) readPod(object *unstructured.Unstructured) state {
	now := state{PodCreated: "created"}
	if node := text(object, "spec", "nodeName"); node != "" {
		now[Scheduled] = node
	}
	if object.GetDeletionTimestamp() != nil {
		now[PodDeleted] = "deleted"
	}
	if condition(object, "Ready") == "True" {
		now[Ready] = "True"
	} else {
		now[Unready] = "not ready"
	}
	for _, status := range members(object, "status", "containerStatuses") {
		if status["name"] != o.Container {
			continue
		}
		if id, found, _ := unstructured.NestedString(status, "containerID"); found {
			if _, running, _ := unstructured.NestedMap(status, "state", "running"); running {
				now[Started] = id
			}
		}
	}
	return now
}

func readAttachment(object *unstructured.Unstructured) state {
	now := state{nodeOf: text(object, "spec", "nodeName")}
	if attached, _, _ := unstructured.NestedBool(object.Object, "status", "attached"); attached {
		now[Attached] = text(object, "spec", "nodeName")
	}
	if refused := text(object, "status", "attachError", "message"); refused != "" {
		now[AttachError] = refused
	}
	return now
}

func readSlice(object *unstructured.Unstructured) state {
	for _, endpoint := range members(object, "endpoints") {
		if ready, _, _ := unstructured.NestedBool(endpoint, "conditions", "ready"); ready {
			name, _, _ := unstructured.NestedString(endpoint, "targetRef", "name")
			return state{Endpoint: name}
		}
	}
	return state{}
}

func readVolume(object *unstructured.Unstructured) state {
	robustness := text(object, "status", "robustness")
	if robustness == "healthy" {
		return state{Healthy: robustness}
	}
	return state{Degraded: robustness}
}

func condition(object *unstructured.Unstructured, kind string) string {
	for _, one := range members(object, "status", "conditions") {
		if one["type"] == kind {
			status, _ := one["status"].(string)
			return status
		}
	}
	return ""
}

func text(object *unstructured.Unstructured, path ...string) string {
	value, _, _ := unstructured.NestedString(object.Object, path...)
	return value
}

// members is a list of objects.
func members(object *unstructured.Unstructured, path ...string) []map[string]any {
	list, _, _ := unstructured.NestedSlice(object.Object, path...)
	var found []map[string]any
	for _, one := range list {
		if m, ok := one.(map[string]any); ok {
			found = append(found, m)
		}
	}
	return found
}
