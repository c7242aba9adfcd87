// Package hold keeps two drills from being at work at once, by a Lease, which also says what a drill has done that is to be undone.
package hold

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"ha-iris/ops/drill/internal/kube"
)

const (
	// Name is the Lease's name, in the database's namespace.
	Name = "ha-iris-drill"
	// Annotation holds the Record.
	Annotation = "drill.ha-iris/record"

	// length is how long a drill counts as at work after its last sign. A drill that dies is seen as such after a
	// minute, and none is taken for dead when a request fails twice.
	length = 60 * time.Second
	// Every is how often a Lease is renewed.
	Every = 15 * time.Second

	microTime = "2006-01-02T15:04:05.000000Z07:00"
)

// Record is what is to be undone. It has no commands: what stands in a cluster's object must never be run.
type Record struct {
	Experiment string `json:"experiment"`
	Node       string `json:"node"`
	Namespace  string `json:"namespace"`
}

// State is a Lease that was found.
type State struct {
	Holder  string
	Renewed time.Time
	Live    bool
	// Record is nil when nothing is to be undone.
	Record *Record
}

// Read returns the Lease's state; nil: there is none.
func Read(ctx context.Context, cluster *kube.Client, namespace string, now time.Time) (*State, error) {
	lease, err := cluster.Get(ctx, kube.Leases, namespace, Name)
	if kube.IsGone(err) {
		return nil, nil //nolint:nilnil // There is none.
	}
	if err != nil {
		return nil, err
	}
	return read(lease, now)
}

func read(lease *unstructured.Unstructured, now time.Time) (*State, error) {
	state := &State{}
	state.Holder, _, _ = unstructured.NestedString(lease.Object, "spec", "holderIdentity")
	text, _, _ := unstructured.NestedString(lease.Object, "spec", "renewTime")
	if renewed, err := time.Parse(time.RFC3339Nano, text); err == nil {
		state.Renewed = renewed
		state.Live = now.Sub(renewed) < length
	}
	if text, found := lease.GetAnnotations()[Annotation]; found && text != "" {
		state.Record = &Record{}
		if err := json.Unmarshal([]byte(text), state.Record); err != nil {
			return nil, fmt.Errorf("read what the drill %s left in Lease %s: %w", state.Holder, Name, err)
		}
	}
	return state, nil
}

// Hold is this drill's Lease.
type Hold struct {
	cluster           *kube.Client
	namespace, holder string
}

// Acquire makes the Lease, or takes one over that is finished.
func Acquire(ctx context.Context, cluster *kube.Client, namespace, holder string, now time.Time) (*Hold, error) {
	hold := &Hold{cluster, namespace, holder}
	lease := map[string]any{
		"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
		"metadata": map[string]any{"name": Name, "namespace": namespace}, "spec": hold.spec(now),
	}
	_, err := cluster.Create(ctx, kube.Leases, namespace, lease)
	if err == nil {
		return hold, nil
	}
	if !apierrors.IsAlreadyExists(err) {
		return nil, fmt.Errorf("make Lease %s: %w", Name, err)
	}
	old, err := cluster.Get(ctx, kube.Leases, namespace, Name)
	if err != nil {
		return nil, err
	}
	state, err := read(old, now)
	if err != nil {
		return nil, err
	}
	if state.Live || state.Record != nil {
		return nil, fmt.Errorf("the Lease %s is held by the drill %s", Name, state.Holder)
	}
	old.Object["spec"] = hold.spec(now)
	if _, err := cluster.Update(ctx, kube.Leases, namespace, old); err != nil {
		return nil, fmt.Errorf("take over Lease %s: %w", Name, err)
	}
	return hold, nil
}

func (h *Hold) spec(now time.Time) map[string]any {
	return map[string]any{
		"holderIdentity": h.holder, "leaseDurationSeconds": int64(length.Seconds()),
		"renewTime": now.UTC().Format(microTime), "acquireTime": now.UTC().Format(microTime),
	}
}

// Keep renews the Lease until the context ends. It ends the drill when somebody else holds it; requests that fail do not: the API
// server may be slow while a node is lost.
func (h *Hold) Keep(ctx context.Context, every time.Duration, lost func(error)) {
	ticks := time.NewTicker(every)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
		state, err := Read(ctx, h.cluster, h.namespace, time.Now())
		if err != nil {
			continue
		}
		if state == nil || state.Holder != h.holder {
			lost(fmt.Errorf("the Lease %s is no longer this drill's", Name))
			return
		}
		_ = h.cluster.Patch(ctx, kube.Leases, h.namespace, Name, map[string]any{
			"spec": map[string]any{"renewTime": time.Now().UTC().Format(microTime)},
		})
	}
}

// Note writes down what is to be undone before it is done; nil: nothing is any more.
func (h *Hold) Note(ctx context.Context, record *Record) error {
	var text any // A null takes the annotation away.
	if record != nil {
		encoded, err := json.Marshal(record)
		if err != nil {
			return fmt.Errorf("encode the record: %w", err)
		}
		text = string(encoded)
	}
	return h.cluster.Patch(ctx, kube.Leases, h.namespace, Name, map[string]any{
		"metadata": map[string]any{"annotations": map[string]any{Annotation: text}},
	})
}

// Release deletes the Lease; if all was not given back, the Lease stays with what is left, and this drill is no longer at work.
func (h *Hold) Release(ctx context.Context, clean bool) error {
	if clean {
		return Remove(ctx, h.cluster, h.namespace)
	}
	return h.cluster.Patch(ctx, kube.Leases, h.namespace, Name, map[string]any{
		"spec": map[string]any{"renewTime": time.Now().Add(-length).UTC().Format(microTime)},
	})
}

// Remove deletes the Lease, whoever holds it.
func Remove(ctx context.Context, cluster *kube.Client, namespace string) error {
	return cluster.Delete(ctx, kube.Leases, namespace, Name, "")
}
