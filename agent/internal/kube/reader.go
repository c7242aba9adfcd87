package kube

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"ha-iris/agent/internal/guard"
)

// Reader implements guard.Reader. It is not safe for concurrent use. Every list is read without a resourceVersion: the API server
// then answers as of now and not from a cache that is behind.
type Reader struct {
	cluster *Cluster
	target  Target
	memory  *memory
	claim   claim
	// since is when the guard's own pod was created, or zero.
	since time.Time
	// alert says that the last look found something, so that the next one begins with everything.
	alert bool
}

// NewReader returns a reader that has seen nothing yet.
func NewReader(cluster *Cluster, target Target) *Reader {
	return &Reader{cluster: cluster, target: target, memory: newMemory(time.Now)}
}

// World implements guard.Reader. While nothing is the matter it reads pods and nodes only, and World.Live is false: no decision
// to act can come of that.
func (r *Reader) World(ctx context.Context) (guard.World, time.Time, error) {
	r.cluster.Dates.Forget()
	world, err := r.read(ctx)
	if err != nil {
		return guard.World{}, time.Time{}, err
	}
	now, err := r.cluster.Dates.Newest()
	if err != nil {
		return guard.World{}, time.Time{}, err
	}
	return world, now, nil
}

func (r *Reader) read(ctx context.Context) (guard.World, error) {
	if !r.alert {
		found, err := r.glance(ctx)
		if err != nil {
			return guard.World{}, err
		}
		if found.calm(r.target) {
			return r.world(found), nil
		}
	}
	found, err := r.look(ctx)
	if err != nil {
		return guard.World{}, err
	}
	r.alert = !found.calm(r.target)
	world := r.world(found)
	world.Live = true
	return world, nil
}

// findings are the objects of one look.
type findings struct {
	pods   []corev1.Pod
	nodes  []corev1.Node
	claim  claim
	others others
}

// glance reads what tells whether there is anything to look at. The pods come first: a node that is missing in what is read after
// them is gone, and not younger than the pod.
func (r *Reader) glance(ctx context.Context) (findings, error) {
	var found findings
	var err error
	if found.pods, err = r.pods(ctx); err != nil {
		return found, err
	}
	if found.nodes, err = r.nodes(ctx); err != nil {
		return found, err
	}
	if r.memory.wantsLeases() {
		if err := r.leases(ctx); err != nil {
			return found, err
		}
	}
	found.claim = r.claim
	return found, nil
}

// look reads everything. Pods and attachments come before nodes and leases, as in glance.
func (r *Reader) look(ctx context.Context) (findings, error) {
	var found findings
	first, within := errgroup.WithContext(ctx)
	first.Go(func() (err error) { found.pods, err = r.pods(within); return err })
	first.Go(func() (err error) { found.claim, err = r.resolve(within); return err })
	first.Go(func() (err error) { found.others.attachments, err = r.cluster.attachments(within); return err })
	if err := first.Wait(); err != nil {
		return found, err
	}
	r.claim = found.claim
	second, within := errgroup.WithContext(ctx)
	second.Go(func() (err error) { found.nodes, err = r.nodes(within); return err })
	second.Go(func() error { return r.leases(within) })
	if volume := found.claim.handle; volume != "" && r.target.LonghornNamespace != "" && found.claim.driver == longhornDriver {
		second.Go(func() (err error) {
			found.others.longhornNodes, err = r.cluster.longhornNodes(within, r.target.LonghornNamespace)
			return err
		})
		second.Go(func() (err error) { found.others.replicas, err = r.replicas(within, volume); return err })
		second.Go(func() (err error) { found.others.orphans, err = r.orphans(within, volume); return err })
	}
	return found, second.Wait()
}

// calm says that no decision about these objects can be other than to do nothing: no node has a record, and each pod of the claim
// is on a node that is Ready, and is so itself. A pod that is not may wait for the attachment of a node that is gone. What other nodes
// are like does not matter then.
func (f findings) calm(target Target) bool {
	ready := map[string]bool{}
	for i := range f.nodes {
		if _, recorded := f.nodes[i].Annotations[target.Annotation()]; recorded {
			return false
		}
		status, _ := readiness(&f.nodes[i])
		ready[f.nodes[i].Name] = status == guard.ReadyTrue
	}
	for i := range f.pods {
		pod := &f.pods[i]
		if !ready[pod.Spec.NodeName] || !pod.DeletionTimestamp.IsZero() || !podReady(pod) {
			return false
		}
	}
	return true
}

func podReady(pod *corev1.Pod) bool {
	for _, one := range pod.Status.Conditions {
		if one.Type == corev1.PodReady {
			return one.Status == corev1.ConditionTrue
		}
	}
	return false
}

// pods are those that use the claim, bound or not. One that has ended for good no longer uses it. The guard's own is looked for beside them.
func (r *Reader) pods(ctx context.Context) ([]corev1.Pod, error) {
	list, err := r.cluster.Core.Pods(r.target.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("the pods in %s: %w", r.target.Namespace, err)
	}
	var pods []corev1.Pod
	r.since = time.Time{}
	for _, pod := range list.Items {
		if pod.Name == r.target.Pod {
			r.since = pod.CreationTimestamp.Time
		}
		ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
		if !ended && uses(&pod, r.target.Claim) {
			pods = append(pods, pod)
		}
	}
	return pods, nil
}

func uses(pod *corev1.Pod, claim string) bool {
	for _, volume := range pod.Spec.Volumes {
		if source := volume.PersistentVolumeClaim; source != nil && source.ClaimName == claim {
			return true
		}
	}
	return false
}

func (r *Reader) nodes(ctx context.Context) ([]corev1.Node, error) {
	list, err := r.cluster.Core.Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("the nodes: %w", err)
	}
	return list.Items, nil
}

func (r *Reader) leases(ctx context.Context) error {
	list, err := r.cluster.Coordination.Leases(leaseNamespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("the leases in %s: %w", leaseNamespace, err)
	}
	r.memory.renewed(list.Items)
	return nil
}
