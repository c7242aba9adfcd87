package iris

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	appsv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apps/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/clock"
	"ha-iris/internal/guard"
	"ha-iris/internal/live"
	"ha-iris/internal/pods"
)

const (
	// rolloutTick is the interval between two looks at the Deployment.
	rolloutTick = 2 * time.Second
	// rolloutReport is the interval at which the wait says how far it is although nothing has changed.
	rolloutReport = time.Minute
	// lastLooks is how often in a row a pod must be seen to fail again and again: the old pod may be one of those, and is there for a
	// moment longer.
	lastLooks = 5
	// lineBreak stands between the facts of an error.
	lineBreak = "\n  "
)

// rollout waits for the database that this run has changed. The Kubernetes provider does so for a new Deployment only: of an update
// whose strategy is Recreate it says that it is complete in the moment in which the old pod is scaled away, because none is wanted
// then and none is missing (pulumi-kubernetes 4.25, await/deployment.go, checkReplicaSetStatus).
type rollout struct {
	api       pods.Cluster
	namespace string
	selector  string
	budget    time.Duration
	// stopped says that the configuration wants no pod.
	stopped bool
	log     func(text string)
	// written is set once this run writes the Deployment.
	written atomic.Bool

	now   func() time.Time
	pause func(context.Context, time.Duration) error
}

func (s *scope) newRollout(api pods.Cluster) *rollout {
	about := &pulumi.LogArgs{Resource: s.parent}
	return &rollout{
		api: api, namespace: s.cfg.Namespace, selector: "app=" + s.cfg.database().app,
		// The old pod stops first, with the grace period that it was given, which may be a longer one than this configuration's.
		budget:  time.Duration(maxGrace+s.cfg.RecoveryBudgetSeconds+awaitMargin) * time.Second,
		log:     func(text string) { _ = s.ctx.Log.Info(text, about) }, // A failure to log does not stop the run.
		stopped: s.cfg.Replicas == 0,
		now:     time.Now, pause: clock.Pause,
	}
}

// option notes that the Deployment is written.
func (r *rollout) option(ctx *pulumi.Context, name string) (pulumi.ResourceOption, error) {
	return guard.BeforeWrite(ctx, name+"-guard-rollout", func(guard.Inputs, guard.Inputs) error {
		r.written.Store(true)
		return nil
	})
}

// after returns an output that is known once the database is ready, and fails the update if it does not become so. An update that
// changes nothing waits only for what an earlier one has left unfinished: for the engine the Deployment is as it should be then.
func (r *rollout) after(ctx *pulumi.Context, deployment *appsv1.Deployment) pulumi.Output {
	return deployment.ID().ApplyT(func(id pulumi.ID) (string, error) {
		if ctx.DryRun() || r.api == nil || !r.written.Load() && !r.unfinished(ctx.Context()) {
			return string(id), nil
		}
		return string(id), r.await(ctx.Context())
	})
}

// unfinished says whether the last change of the Deployment has never been completed. A pod that is away later, as after the loss of
// a node, does not count: the condition keeps the reason that it had (kubernetes, deployment/progress.go, syncRolloutStatus). What
// cannot be read is not waited for.
func (r *rollout) unfinished(ctx context.Context) bool {
	deployment, found, err := r.deployment(ctx)
	return err == nil && found && !deployment.complete() && deployment.Spec.Replicas > 0 && !deployment.wasComplete()
}

// onceKnown returns an output as it is, once the other one is known.
func onceKnown(output pulumi.StringOutput, ready pulumi.Output) pulumi.StringOutput {
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
	Spec struct {
		Replicas int `json:"replicas"`
		Template struct {
			Spec podImages `json:"spec"`
		} `json:"template"`
	} `json:"spec"`
	Status struct {
		ObservedGeneration int64           `json:"observedGeneration"`
		Replicas           int             `json:"replicas"`
		UpdatedReplicas    int             `json:"updatedReplicas"`
		AvailableReplicas  int             `json:"availableReplicas"`
		Conditions         live.Conditions `json:"conditions"`
	} `json:"status"`
}

// podImages is the part of a pod that says which image the database has, on which volume, and how long its stop may take in seconds.
type podImages struct {
	Grace   int `json:"terminationGracePeriodSeconds"`
	Volumes []struct {
		Claim struct {
			Name string `json:"claimName"`
		} `json:"persistentVolumeClaim"`
	} `json:"volumes"`
	Containers []struct {
		Name  string `json:"name"`
		Image string `json:"image"`
	} `json:"containers"`
}

// database is the image of the database's container; empty where there is none.
func (p podImages) database() string {
	for _, one := range p.Containers {
		if one.Name == irisContainerName {
			return one.Image
		}
	}
	return ""
}

// claim is that of the data, the pod's only one; empty where there is none.
func (p podImages) claim() string {
	for _, one := range p.Volumes {
		if one.Claim.Name != "" {
			return one.Claim.Name
		}
	}
	return ""
}

// complete is "kubectl rollout status" for one replica.
func (d observedDeployment) complete() bool {
	s := d.Status
	return s.ObservedGeneration >= d.Metadata.Generation && s.Replicas == 1 && s.UpdatedReplicas == 1 && s.AvailableReplicas == 1
}

// wasComplete says whether the present template has once been rolled out.
func (d observedDeployment) wasComplete() bool {
	return d.Status.ObservedGeneration >= d.Metadata.Generation && slices.ContainsFunc(d.Status.Conditions, func(c live.Condition) bool {
		return c.Type == "Progressing" && c.Reason == "NewReplicaSetAvailable"
	})
}

func (r *rollout) deployment(ctx context.Context) (deployment observedDeployment, found bool, err error) {
	return observed(ctx, r.api, r.namespace)
}

func observed(ctx context.Context, api pods.Cluster, namespace string) (deployment observedDeployment, found bool, err error) {
	found, err = api.Get(ctx, "/apis/apps/v1/namespaces/"+namespace+"/deployments/"+deploymentName, &deployment)
	return deployment, found, err
}

// await returns once the Deployment's only pod is the new one and ready. It gives up when a container fails again and again, and
// when the time is up. An error of the API server is no end: it may be away for a while.
func (r *rollout) await(ctx context.Context) error {
	watch := clock.Watch{
		Budget: r.budget, Tick: rolloutTick, Report: rolloutReport, Now: r.now, Pause: r.pause,
		Say: func(state string, waited time.Duration) {
			r.log(fmt.Sprintf("waiting for the database since %s: %s", waited.Round(time.Second), strings.ReplaceAll(state, lineBreak, "; ")))
		},
	}
	hopelessLooks := 0
	found, waited, err := watch.Until(ctx, func() clock.Found {
		done, hopeless, facts := r.look(ctx)
		if hopelessLooks++; !hopeless {
			hopelessLooks = 0
		}
		return clock.Found{Done: done, Hopeless: hopelessLooks >= lastLooks, State: strings.Join(facts, lineBreak)}
	})
	switch {
	case err != nil:
		return fmt.Errorf("wait for the database: %w", err)
	case !found.Done:
		return fmt.Errorf("the database has not become ready within %s:%s%s\nNo volume was replaced or deleted. When the cause is mended, run "+
			"pulumi up again (docs/operations.md, \"What a change of the database does\")",
			waited.Round(time.Second), lineBreak, strings.Join(slices.Concat([]string{found.State}, r.events(ctx), r.afterUpgrade(ctx)), lineBreak))
	}
	return nil
}

// look says how far the database is.
func (r *rollout) look(ctx context.Context) (done, hopeless bool, facts []string) {
	deployment, found, err := r.deployment(ctx)
	switch {
	case err != nil:
		return false, false, []string{err.Error()}
	case !found:
		return false, false, []string{"there is no Deployment " + r.namespace + "/" + deploymentName}
	case deployment.complete():
		return true, false, nil
	case deployment.Spec.Replicas == 0 && r.stopped:
		r.log("iris.replicas is 0: the database is stopped, and its volume stays")
		return true, false, nil
	case deployment.Spec.Replicas == 0:
		r.log("somebody has scaled the database to 0, so nothing is waited for")
		return true, false, nil
	}
	all, err := r.pods().List(ctx, r.selector)
	if err != nil {
		return false, false, []string{err.Error()}
	}
	for _, p := range all {
		switch {
		case p.Status.Phase == "Failed" || p.Status.Phase == "Succeeded": // Evicted: it is no part of the Deployment any more.
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

// events are warnings about pods that are not ready.
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
