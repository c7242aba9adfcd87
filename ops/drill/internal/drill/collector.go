package drill

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"ha-iris/ops/drill/internal/kube"
	"ha-iris/ops/drill/internal/preflight"
	"ha-iris/ops/drill/internal/timeline"
)

const (
	longhornNamespace = "longhorn-system"
	// recordPrefix and the namespace are the annotation in which the guard notes a take-over.
	recordPrefix = "guard.ha-iris/"
)

// collector watches what a failover consists of.
type collector struct {
	told    func(timeline.Event)
	watched int // How many kinds of objects.

	mu       sync.Mutex
	observer timeline.Observer
	listed   map[timeline.Kind]bool
	events   []timeline.Event
	pods     map[string]*unstructured.Unstructured
	nodes    map[string]*unstructured.Unstructured
	attached map[string]string // The name of an attachment, and the node that it is attached to.
	held     []timeline.Held
	endpoint string // The pod that the Service leads to.
	claim    string // The persistent volume.
}

// collect begins to watch, until the context ends.
func collect(ctx context.Context, cluster *kube.Client, world *preflight.World, told func(timeline.Event)) *collector {
	c := &collector{
		told:     told,
		observer: timeline.Observer{Record: recordPrefix + world.Namespace, Container: world.Container},
		listed:   map[timeline.Kind]bool{},
		pods:     map[string]*unstructured.Unstructured{}, nodes: map[string]*unstructured.Unstructured{}, attached: map[string]string{},
		claim: world.PersistentVolume,
	}
	watched := []struct {
		kind                timeline.Kind
		resource            kube.Kind
		namespace, selector string
	}{
		{timeline.Nodes, kube.Nodes, "", ""},
		{timeline.Pods, kube.Pods, world.Namespace, preflight.Selector},
		{timeline.Attachments, kube.Attachments, "", ""},
		{timeline.Slices, kube.EndpointSlices, world.Namespace, "kubernetes.io/service-name=" + preflight.ServiceName},
		{timeline.Messages, kube.Events, world.Namespace, ""},
	}
	if world.Volume != nil {
		watched = append(watched, struct {
			kind                timeline.Kind
			resource            kube.Kind
			namespace, selector string
		}{timeline.Volumes, kube.LonghornVolumes, longhornNamespace, ""})
	}
	for _, one := range watched {
		go cluster.Watch(ctx, kube.Watcher{
			Kind: one.resource, Namespace: one.namespace, Selector: one.selector,
			Listed: func(at time.Time, objects []*unstructured.Unstructured) { c.list(at, one.kind, objects) },
			Changed: func(at time.Time, object *unstructured.Unstructured, deleted bool) {
				c.change(at, one.kind, object, deleted)
			},
		})
	}
	c.watched = len(watched)
	return c
}

// ready waits until everything has been seen once.
func (c *collector) ready(ctx context.Context) error {
	return until(ctx, time.Minute, "the first look at the cluster", func() (bool, string) {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.listed) == c.watched, fmt.Sprintf("saw %d of %d kinds of objects", len(c.listed), c.watched)
	})
}

func (c *collector) list(at time.Time, kind timeline.Kind, objects []*unstructured.Unstructured) {
	c.mu.Lock()
	first := !c.listed[kind]
	c.listed[kind] = true
	events := c.observer.Forget(at, kind, objects)
	switch kind {
	case timeline.Pods:
		clear(c.pods)
	case timeline.Attachments:
		clear(c.attached)
	case timeline.Nodes:
		clear(c.nodes)
	default:
	}
	c.mu.Unlock()
	c.add(events)
	for _, object := range objects {
		c.see(at, kind, object, false, first)
	}
}

func (c *collector) change(at time.Time, kind timeline.Kind, object *unstructured.Unstructured, deleted bool) {
	c.see(at, kind, object, deleted, false)
}

func (c *collector) see(at time.Time, kind timeline.Kind, object *unstructured.Unstructured, deleted, first bool) {
	if kind == timeline.Attachments && text(object, "spec", "source", "persistentVolumeName") != c.claim ||
		kind == timeline.Volumes && object.GetName() != c.claim {
		return
	}
	c.mu.Lock()
	events := c.observer.Observe(at, kind, object, deleted, first)
	c.remember(at, kind, object, deleted)
	c.mu.Unlock()
	c.add(events)
}

// remember keeps what is asked for later.
func (c *collector) remember(at time.Time, kind timeline.Kind, object *unstructured.Unstructured, deleted bool) {
	name := object.GetName()
	switch kind {
	case timeline.Pods:
		keep(c.pods, name, object, deleted)
	case timeline.Nodes:
		keep(c.nodes, name, object, deleted)
	case timeline.Attachments:
		attached, _, _ := unstructured.NestedBool(object.Object, "status", "attached")
		delete(c.attached, name)
		if attached && !deleted {
			c.attached[name] = text(object, "spec", "nodeName")
		}
		var nodes []string
		for _, node := range c.attached {
			nodes = append(nodes, node)
		}
		c.held = append(c.held, timeline.Held{At: at, Nodes: nodes})
	case timeline.Slices:
		c.endpoint = ""
		list, _, _ := unstructured.NestedSlice(object.Object, "endpoints")
		for _, one := range list {
			endpoint, _ := one.(map[string]any)
			if ready, _, _ := unstructured.NestedBool(endpoint, "conditions", "ready"); ready && !deleted {
				c.endpoint, _, _ = unstructured.NestedString(endpoint, "targetRef", "name")
			}
		}
	default:
	}
}

func keep(in map[string]*unstructured.Unstructured, name string, object *unstructured.Unstructured, deleted bool) {
	if deleted {
		delete(in, name)
		return
	}
	in[name] = object
}

func (c *collector) add(events []timeline.Event) {
	if len(events) == 0 {
		return
	}
	c.mu.Lock()
	c.events = append(c.events, events...)
	c.mu.Unlock()
	for _, event := range events {
		c.told(event)
	}
}

// note adds an event that is the drill's own.
func (c *collector) note(event timeline.Event) { c.add([]timeline.Event{event}) }

func (c *collector) all() []timeline.Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.events)
}

func (c *collector) doublyAttached() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return timeline.DoublyAttached(c.held)
}

// serving is the pod that is Ready and stays.
func (c *collector) serving() *unstructured.Unstructured {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, pod := range c.pods {
		if pod.GetDeletionTimestamp() == nil && isTrue(pod, "Ready") {
			return pod
		}
	}
	return nil
}

func (c *collector) endpointIs() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.endpoint
}

func (c *collector) nodeReady(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	node := c.nodes[name]
	return node != nil && isTrue(node, "Ready")
}

// running is the name of a pod whose database container runs, one that stays before one that is being deleted.
func (c *collector) running() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	best := ""
	for name, pod := range c.pods {
		if containerID(pod, c.observer.Container) == "" {
			continue
		}
		if best == "" || pod.GetDeletionTimestamp() == nil {
			best = name
		}
	}
	return best
}

func isTrue(object *unstructured.Unstructured, kind string) bool {
	list, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, one := range list {
		if condition, ok := one.(map[string]any); ok && condition["type"] == kind {
			return condition["status"] == "True"
		}
	}
	return false
}

// containerID is that of the database's container while it runs.
func containerID(pod *unstructured.Unstructured, container string) string {
	list, _, _ := unstructured.NestedSlice(pod.Object, "status", "containerStatuses")
	for _, one := range list {
		status, ok := one.(map[string]any)
		if !ok || status["name"] != container {
			continue
		}
		if _, running, _ := unstructured.NestedMap(status, "state", "running"); running {
			id, _, _ := unstructured.NestedString(status, "containerID")
			return id
		}
	}
	return ""
}

func text(object *unstructured.Unstructured, path ...string) string {
	value, _, _ := unstructured.NestedString(object.Object, path...)
	return value
}
