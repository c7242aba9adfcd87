package survey

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"ha-iris/internal/live"
)

// maxNodes is how many nodes are asked for: an object of a node has 10 to 20 KB. With more of them nothing is said of what the nodes
// lack.
const maxNodes = 500

// facts is what was read of the cluster.
type facts struct {
	version    answer[version]
	nodes      answer[list[node]]
	autoscaler answer[object]
	classes    answer[list[class]]
	namespace  answer[object]
	deployment answer[object]
	claim      answer[claim]
	quotas     answer[list[quota]]
	// service and daemonSet are asked for when a quota counts them.
	service   answer[service]
	daemonSet answer[object]
	limits    answer[list[limitRange]]
	// pod is how a trial of the database's pod ended.
	pod answer[object]
	// missing are the rights that the user lacks.
	missing answer[[]Right]
	// operator and snapshots are the kinds of the Prometheus Operator and of VolumeSnapshots, asked for when one is made.
	operator, snapshots answer[kinds]
	// daemonSets are asked for when a copy of the database is started now and then.
	daemonSets answer[list[daemon]]
}

// answer is what came of one question.
type answer[T any] struct {
	value T
	found bool
	err   error
}

// known reports whether the question was answered; that there is no such object is an answer.
func (a answer[T]) known() bool { return a.err == nil }

// there reports whether there is such an object, as far as is known.
func (a answer[T]) there() bool { return !a.known() || a.found }

type object struct{}

type list[T any] struct {
	Metadata struct {
		Continue string `json:"continue"`
	} `json:"metadata"`
	Items []T `json:"items"`
}

type metadata struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels"`
	// Annotations has those of nodes that the guard has marked.
	Annotations map[string]string `json:"annotations"`
}

// running reports whether the database is deployed already, as far as is known: then its pod runs, or did, and what the cluster
// lacks now may be back in a minute.
func (f *facts) running() bool { return f.deployment.there() }

// hasVolume reports whether the volume is there already, as far as is known.
func (f *facts) hasVolume() bool {
	return !f.claim.known() || (f.claim.found && f.claim.value.Status.Phase == "Bound")
}

// readFacts asks everything at once.
func readFacts(ctx context.Context, cluster *live.Cluster, needs Needs) *facts {
	var f facts
	var asked sync.WaitGroup
	within := "/api/v1/namespaces/" + needs.Database.Namespace
	for _, ask := range []func(){
		func() { f.version = read[version](ctx, cluster, "/version") },
		func() { f.nodes = read[list[node]](ctx, cluster, fmt.Sprintf("/api/v1/nodes?limit=%d", maxNodes)) },
		func() { f.autoscaler = read[object](ctx, cluster, autoscalerStatus) },
		func() { f.classes = read[list[class]](ctx, cluster, "/apis/storage.k8s.io/v1/storageclasses") },
		func() {
			// Without the namespace there is nobody who would refuse the pod, and the API server waits 50 ms for one to appear
			// (missingNamespaceWait in its admission of namespaces).
			if f.namespace = read[object](ctx, cluster, within); f.namespace.found {
				f.pod.err = tryPod(ctx, cluster, needs.Database)
			}
		},
		func() {
			f.deployment = read[object](ctx, cluster, "/apis/apps/v1/namespaces/"+needs.Database.Namespace+"/deployments/"+needs.Database.Deployment)
		},
		func() { f.claim = read[claim](ctx, cluster, within+"/persistentvolumeclaims/"+needs.Database.Claim) },
		func() {
			f.quotas = read[list[quota]](ctx, cluster, within+"/resourcequotas")
			f.readCounted(ctx, cluster, needs.Database)
		},
		func() { f.limits = read[list[limitRange]](ctx, cluster, within+"/limitranges") },
		func() { f.operator = readKinds(ctx, cluster, needs, operatorGroup) },
		func() { f.snapshots = readKinds(ctx, cluster, needs, snapshotGroup) },
		func() { f.daemonSets = readEnforcers(ctx, cluster, needs) },
		func() { f.missing.value, f.missing.err = missingRights(ctx, cluster, needs) },
	} {
		asked.Go(ask)
	}
	asked.Wait()
	return &f
}

func read[T any](ctx context.Context, cluster *live.Cluster, path string) answer[T] {
	var a answer[T]
	a.found, a.err = cluster.Get(ctx, path, &a.value)
	return a
}

// refused reports whether the server does not know the user.
func (f *facts) refused() bool { return isStatus(f.version.err, http.StatusUnauthorized) }

// unread says, in one line, what could not be looked at.
func (f *facts) unread() error {
	var forbidden, failed []string
	var cause error
	for _, question := range []struct {
		what string
		err  error
	}{
		{"its version", f.version.err},
		{"nodes", f.nodes.err},
		{"storage classes", f.classes.err},
		{"its namespace", f.namespace.err},
		{"its deployment", f.deployment.err},
		{"its claim", f.claim.err},
		{"its Service", f.service.err},
		{"its DaemonSet", f.daemonSet.err},
		{"resource quotas", f.quotas.err},
		{"limit ranges", f.limits.err},
		{"the user's rights", f.missing.err},
		{"the kinds of the Prometheus Operator", f.operator.err},
		{"the kinds of VolumeSnapshots", f.snapshots.err},
	} {
		switch {
		case question.err == nil:
		case isForbidden(question.err):
			forbidden = append(forbidden, question.what)
		default:
			failed = append(failed, question.what)
			cause = question.err // Any one will do: they mostly share a cause.
		}
	}
	switch {
	case len(failed) > 0:
		return fmt.Errorf("could not look at %s, and so did not check it: %w", strings.Join(append(failed, forbidden...), ", "), cause)
	case len(forbidden) > 0:
		return fmt.Errorf("could not look at %s, and so did not check it: the kubeconfig's user may not", strings.Join(forbidden, ", "))
	}
	return nil
}
