package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/clock"
	"ha-iris/internal/live"
)

// Volumes are the replicated volumes in the cluster, for changes that replace nodes.
type Volumes interface {
	// Unhealthy returns a line for each volume that has fewer healthy replicas than it should, on nodes that are there, with
	// the progress of its rebuild. None: the loss of any one node loses no data.
	Unhealthy(ctx context.Context, cluster *live.Cluster) ([]string, error)
	// Leave asks the storage to move all replicas off nodes, and returns a line for each that is still there. It may be called
	// again and again.
	Leave(ctx context.Context, cluster *live.Cluster, nodes []string) ([]string, error)
}

const (
	// DefaultRollTimeout is how long each zone waits for the volumes. A replica of 200 GiB is rebuilt in 30 to 60 min at the 60 to
	// 120 MB/s of the default machines' disks; the double of that.
	DefaultRollTimeout = "2h"
	// rollTick is the interval between two looks at the volumes.
	rollTick = 2 * time.Second
	// settleTime is how long the volumes must have been healthy without a break: the storage notices a node that has just gone
	// some seconds later (8 s engine-replica-timeout of Longhorn, facts/longhorn-real.md).
	settleTime = 10 * time.Second
	// reachTime is how long the API server's address may take to be known after the control plane is.
	reachTime = 2 * time.Minute
	// reportEvery is the interval at which a wait says how far it is although nothing has changed.
	reportEvery = time.Minute
)

// runbookNodes is the procedure for changes that replace nodes.
const runbookNodes = `docs/operations.md, "Other nodes"`

// roller makes changes that replace nodes wait for the volumes, so that never two zones are without their replicas. One zone at a
// time is changed because each pool depends on the one before.
type roller struct {
	live    *live.Cluster
	volumes Volumes
	// protect and preview are the run's.
	protect, preview bool
	// name is the cluster's, as on its nodes' label.
	name string
	// budget is how long one zone waits.
	budget time.Duration
	log    func(text string)
	// rolled is set once this run has begun to replace nodes.
	rolled atomic.Bool

	now   func() time.Time
	pause func(context.Context, time.Duration) error
}

func newRoller(ctx *pulumi.Context, c *Cluster, volumes Volumes, cfg Config) *roller {
	budget, _ := time.ParseDuration(cfg.RollTimeout) // Validated; empty where the program makes no nodes.
	// The hooks' resources are not registered yet when the hooks run; the component is.
	about := &pulumi.LogArgs{Resource: c}
	return &roller{
		live: c.Live, volumes: volumes, protect: c.protect, preview: ctx.DryRun(), name: cfg.Name, budget: budget,
		now: time.Now, pause: clock.Pause,
		log: func(text string) { _ = ctx.Log.Info(text, about) }, // A failure to log does not stop the run.
	}
}

// await returns once all volumes are healthy, and nodes, if it is not nil, finds nothing wrong with the stack's nodes. what says who
// waits, such as "zone eu-west-1a (1 of 3)"; the error names it.
func (r *roller) await(ctx context.Context, what string, nodes func([]poolNode) []string) error {
	if err := r.reach(ctx); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	var healthySince time.Time
	return r.until(ctx, what, "volumes are healthy and nodes as they should be", func() ([]string, error) {
		lines, err := r.look(ctx, nodes)
		switch {
		case err != nil || len(lines) > 0:
			healthySince = time.Time{}
			return lines, err
		case healthySince.IsZero():
			healthySince = r.now()
		}
		if r.now().Sub(healthySince) < settleTime {
			return []string{"all volumes are healthy; looking again"}, nil
		}
		return nil, nil
	})
}

func (r *roller) look(ctx context.Context, nodes func([]poolNode) []string) ([]string, error) {
	var lines []string
	if nodes != nil {
		all, err := r.nodes(ctx)
		if err != nil {
			return nil, err
		}
		lines = nodes(all)
	}
	if r.volumes == nil { // Not protected, or it would have been refused.
		return lines, nil
	}
	unhealthy, err := r.volumes.Unhealthy(ctx, r.live)
	return append(lines, unhealthy...), err
}

// nodes lists the nodes of the stack's pools.
func (r *roller) nodes(ctx context.Context) ([]poolNode, error) {
	var list struct {
		Items []poolNode `json:"items"`
	}
	selector := url.QueryEscape("ha-iris/cluster=" + r.name + "," + zoneLabel)
	if _, err := r.live.Get(ctx, "/api/v1/nodes?labelSelector="+selector, &list); err != nil {
		return nil, fmt.Errorf("list the nodes: %w", err)
	}
	return list.Items, nil
}

// until calls look until it returns no lines, for as long as the budget. An error is no end: an API server may be away for a
// while, above all while nodes change.
func (r *roller) until(ctx context.Context, what, aim string, look func() ([]string, error)) error {
	watch := clock.Watch{
		Budget: r.budget, Tick: rollTick, Report: reportEvery, Now: r.now, Pause: r.pause,
		Say: func(state string, waited time.Duration) {
			r.log(fmt.Sprintf("%s waits, %s left: %s", what, (r.budget - waited).Round(time.Second), state))
		},
	}
	found, _, err := watch.Until(ctx, func() clock.Found {
		lines, err := look()
		if err != nil {
			return clock.Found{State: err.Error()}
		}
		return clock.Found{Done: len(lines) == 0, State: strings.Join(lines, "; ")}
	})
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", what, err)
	case !found.Done:
		return fmt.Errorf("%s: not all %s within %s (cluster.rollTimeout): %s. Nothing was forced; when the cause is mended, run "+
			"pulumi up again, which goes on from here (%s)", what, aim, r.budget, found.State, runbookNodes)
	}
	return nil
}

// reach waits until the cluster is known: its kubeconfig is an output of the control plane.
func (r *roller) reach(ctx context.Context) error {
	for deadline := r.now().Add(reachTime); !r.live.Known(); {
		if !r.now().Before(deadline) {
			return errors.New("the cluster's kubeconfig did not become known, so whether its volumes are healthy is not known either")
		}
		if err := r.pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// nodesSoon is nodes with patience in an up: the API server of a new cluster may need a while until it answers.
func (r *roller) nodesSoon(ctx context.Context) ([]poolNode, error) {
	for deadline := r.now().Add(reachTime); ; {
		nodes, err := r.nodes(ctx)
		if err == nil || r.preview || !r.now().Before(deadline) {
			return nodes, err
		}
		if err := r.pause(ctx, rollTick); err != nil {
			return nil, err
		}
	}
}

// vacate moves everything with data off nodes: first the replicas, then the pods that use a volume, so that these restart once and
// beside a replica. old is asked at each look, because a cloud may replace an old node meanwhile; its error, or lines of what has to
// come first, keep everything as it is.
func (r *roller) vacate(ctx context.Context, what string, old func() (nodes, missing []string, err error)) error {
	return r.until(ctx, what, "replicas and pods left the old nodes", func() ([]string, error) {
		nodes, missing, err := old()
		if err != nil || len(missing) > 0 || len(nodes) == 0 {
			return missing, err
		}
		for _, node := range nodes {
			if err := r.cordon(ctx, node); err != nil {
				return nil, err
			}
		}
		if r.volumes != nil {
			if lines, err := r.volumes.Leave(ctx, r.live, nodes); err != nil || len(lines) > 0 {
				return lines, err
			}
		}
		return r.evict(ctx, nodes)
	})
}

func (r *roller) cordon(ctx context.Context, node string) error {
	_, err := r.live.Patch(ctx, "/api/v1/nodes/"+node, map[string]any{"spec": map[string]any{"unschedulable": true}})
	return err // No longer there is as good as cordoned.
}

// pod is what the eviction needs of one.
type pod struct {
	Metadata struct {
		Name              string `json:"name"`
		Namespace         string `json:"namespace"`
		DeletionTimestamp string `json:"deletionTimestamp"`
		OwnerReferences   []struct {
			Kind string `json:"kind"`
		} `json:"ownerReferences"`
	} `json:"metadata"`
	Spec struct {
		NodeName string `json:"nodeName"`
		Volumes  []struct {
			Claim *struct{} `json:"persistentVolumeClaim"`
		} `json:"volumes"`
	} `json:"spec"`
	Status struct {
		Phase string `json:"phase"`
	} `json:"status"`
}

func (p pod) usesVolume() bool {
	for _, owner := range p.Metadata.OwnerReferences {
		if owner.Kind == "DaemonSet" {
			return false
		}
	}
	for _, volume := range p.Spec.Volumes {
		if volume.Claim != nil {
			return p.Status.Phase != "Succeeded" && p.Status.Phase != "Failed"
		}
	}
	return false
}

// evict asks the API server to evict the pods on nodes that use a volume, and returns a line for each that is still there. An
// eviction that a disruption budget refuses is asked for again at the next call.
func (r *roller) evict(ctx context.Context, nodes []string) ([]string, error) {
	var list struct {
		Items []pod `json:"items"`
	}
	if _, err := r.live.Get(ctx, "/api/v1/pods", &list); err != nil {
		return nil, err
	}
	var left []string
	for _, p := range list.Items {
		if !slices.Contains(nodes, p.Spec.NodeName) || !p.usesVolume() {
			continue
		}
		line := fmt.Sprintf("pod %s/%s leaves node %s", p.Metadata.Namespace, p.Metadata.Name, p.Spec.NodeName)
		if p.Metadata.DeletionTimestamp == "" {
			path := fmt.Sprintf("/api/v1/namespaces/%s/pods/%s/eviction", p.Metadata.Namespace, p.Metadata.Name)
			err := r.live.Create(ctx, path, map[string]any{
				"apiVersion": "policy/v1", "kind": "Eviction",
				"metadata": map[string]any{"name": p.Metadata.Name, "namespace": p.Metadata.Namespace},
			}, nil)
			if err != nil {
				line += ": " + err.Error()
			}
		}
		left = append(left, line)
	}
	return left, nil
}
