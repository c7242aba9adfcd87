package iris

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	appsv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apps/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/clock"
	"ha-iris/internal/guard"
	"ha-iris/internal/pods"
)

const (
	// rolloutTick is the interval between two looks at the Deployment.
	rolloutTick = 2 * time.Second
	// rolloutReport is the interval at which the wait says how far it is although nothing has changed.
	rolloutReport = time.Minute
)

// rollout waits for the database that this run has changed. The Kubernetes provider does so for a new Deployment only: of an update
// whose strategy is Recreate it says that it is complete in the moment in which the old pod is scaled away, because none is wanted
// then and none is missing (pulumi-kubernetes 4.25, await/deployment.go, checkReplicaSetStatus).
type rollout struct {
	api       pods.Cluster
	namespace string
	selector  string
	budget    time.Duration
	log       func(text string)
	// written is set once this run writes the Deployment. An update that changes nothing waits for nothing.
	written atomic.Bool

	now   func() time.Time
	pause func(context.Context, time.Duration) error
}

func (s *scope) newRollout(api pods.Cluster) *rollout {
	about := &pulumi.LogArgs{Resource: s.parent}
	return &rollout{
		api: api, namespace: s.cfg.Namespace, selector: "app=" + s.cfg.database().app,
		budget: time.Duration(s.cfg.RecoveryBudgetSeconds+awaitMargin) * time.Second,
		log:    func(text string) { _ = s.ctx.Log.Info(text, about) }, // A failure to log does not stop the run.
		now:    time.Now, pause: clock.Pause,
	}
}

// option notes that the Deployment is written.
func (r *rollout) option(ctx *pulumi.Context, name string) (pulumi.ResourceOption, error) {
	return guard.BeforeWrite(ctx, name+"-guard-rollout", func(guard.Inputs, guard.Inputs) error {
		r.written.Store(true)
		return nil
	})
}

// after returns an output that is known once the database is ready, and fails the update if it does not become so.
func (r *rollout) after(ctx *pulumi.Context, deployment *appsv1.Deployment) pulumi.Output {
	return deployment.ID().ApplyT(func(id pulumi.ID) (string, error) {
		if ctx.DryRun() || r.api == nil || !r.written.Load() {
			return string(id), nil
		}
		return string(id), r.await(ctx.Context())
	})
}

// text returns an output as it is, once the other one is known.
func (r *rollout) text(output pulumi.StringOutput, ready pulumi.Output) pulumi.StringOutput {
	gated, _ := pulumi.All(output, ready).ApplyT(func(values []any) string {
		text, _ := values[0].(string)
		return text
	}).(pulumi.StringOutput)
	return gated
}

// observedDeployment is the part of a Deployment that says how far it is.
type observedDeployment struct {
	Metadata struct {
		Generation int64 `json:"generation"`
	} `json:"metadata"`
	Status struct {
		ObservedGeneration int64 `json:"observedGeneration"`
		Replicas           int   `json:"replicas"`
		UpdatedReplicas    int   `json:"updatedReplicas"`
		AvailableReplicas  int   `json:"availableReplicas"`
	} `json:"status"`
}

// complete is "kubectl rollout status" for one replica.
func (d observedDeployment) complete() bool {
	s := d.Status
	return s.ObservedGeneration >= d.Metadata.Generation && s.Replicas == 1 && s.UpdatedReplicas == 1 && s.AvailableReplicas == 1
}

// await returns once the Deployment's only pod is the new one and ready. It gives up when a container fails again and again, and
// when the time is up. An error of the API server is no end: it may be away for a while.
func (r *rollout) await(ctx context.Context) error {
	began := r.now()
	var last string
	var reported time.Time
	for {
		done, hopeless, facts := r.look(ctx)
		if done {
			return nil
		}
		state, now := strings.Join(facts, "; "), r.now()
		if waited := now.Sub(began); hopeless || waited >= r.budget {
			facts = append(facts, r.events(ctx)...)
			return fmt.Errorf("the database is not ready after %s:\n  %s\nThe volume is as it was. When the cause is mended, run pulumi up "+
				"again (docs/operations.md, \"What a change of the database does\")", waited.Round(time.Second), strings.Join(facts, "\n  "))
		}
		if state != last || now.Sub(reported) >= rolloutReport {
			r.log(fmt.Sprintf("waiting for the database since %s: %s", now.Sub(began).Round(time.Second), state))
			last, reported = state, now
		}
		if err := r.pause(ctx, rolloutTick); err != nil {
			return fmt.Errorf("wait for the database: %w", err)
		}
	}
}

// look says how far the database is.
func (r *rollout) look(ctx context.Context) (done, hopeless bool, facts []string) {
	var deployment observedDeployment
	path := "/apis/apps/v1/namespaces/" + r.namespace + "/deployments/" + deploymentName
	found, err := r.api.Get(ctx, path, &deployment)
	switch {
	case err != nil:
		return false, false, []string{err.Error()}
	case !found:
		return false, false, []string{"there is no Deployment " + r.namespace + "/" + deploymentName}
	case deployment.complete():
		return true, false, nil
	}
	all, err := r.pods().List(ctx, r.selector)
	if err != nil {
		return false, false, []string{err.Error()}
	}
	for _, p := range all {
		switch {
		case p.Metadata.Deletion != "":
			facts = append(facts, p.Metadata.Name+" ends")
		case !p.Ready():
			hopeless = hopeless || p.Hopeless()
			facts = append(facts, r.pods().Facts(ctx, p)...)
		}
	}
	if len(facts) == 0 {
		facts = append(facts, "its new pod is not there yet")
	}
	return false, hopeless, facts
}

func (r *rollout) pods() pods.Namespace { return pods.Namespace{API: r.api, Name: r.namespace} }

// events are the latest warnings about pods that are not ready.
func (r *rollout) events(ctx context.Context) []string {
	all, err := r.pods().List(ctx, r.selector)
	if err != nil {
		return nil
	}
	troubled := map[string]bool{}
	for _, p := range all {
		troubled[p.Metadata.Name] = !p.Ready()
	}
	return r.pods().Events(ctx, troubled)
}
