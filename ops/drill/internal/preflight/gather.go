package preflight

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"ha-iris/internal/claims"
	"ha-iris/ops/drill/internal/kube"
)

// The names that this program gives (iris/objects.go, storage/longhorn.go).
const (
	longhornNamespace = "longhorn-system"
	longhornDriver    = "driver.longhorn.io"
	containerName     = "iris"
	dataVolume        = "iris-external-sys"
	// fakeNode marks the nodes of kwok, behind which nothing runs.
	fakeNode = "kwok.x-k8s.io/node"
)

// Selector chooses the database's pods; ServiceName is its Service, DeploymentName its Deployment.
const (
	Selector       = "app=iris"
	ServiceName    = "iris-svc"
	DeploymentName = "iris"
)

// Gather reads the world.
func Gather(ctx context.Context, cluster *kube.Client, namespace string) (*World, error) {
	world := &World{Namespace: namespace, Claim: claims.First, Container: containerName}
	var err error
	if world.Nodes, err = typed[corev1.Node](ctx, cluster, kube.Nodes, "", ""); err != nil {
		return nil, err
	}
	if world.Pods, err = typed[corev1.Pod](ctx, cluster, kube.Pods, "", ""); err != nil {
		return nil, err
	}
	if world.Database, err = typed[corev1.Pod](ctx, cluster, kube.Pods, namespace, Selector); err != nil {
		return nil, err
	}
	if pod := world.Pod(); pod != nil {
		world.Claim = claimOf(pod)
		for i := range world.Nodes {
			if _, fake := world.Nodes[i].Annotations[fakeNode]; fake && world.Nodes[i].Name == pod.Spec.NodeName {
				world.Simulated = true
			}
		}
	}
	if err := world.readClaim(ctx, cluster); err != nil {
		return nil, err
	}
	if world.Driver == longhornDriver {
		if world.Volume, err = ReadVolume(ctx, cluster, world.PersistentVolume); err != nil {
			return nil, err
		}
	}
	world.RunnerNode = runner(world, localAddresses())
	return world, nil
}

// claimOf is the claim that a pod of the database has its data on: after a restore another one than at first.
func claimOf(pod *corev1.Pod) string {
	for i := range pod.Spec.Volumes {
		if claim := pod.Spec.Volumes[i].PersistentVolumeClaim; pod.Spec.Volumes[i].Name == dataVolume && claim != nil {
			return claim.ClaimName
		}
	}
	return claims.First
}

func typed[T any](ctx context.Context, cluster *kube.Client, kind kube.Kind, namespace, selector string) ([]T, error) {
	list, err := cluster.List(ctx, kind, namespace, selector)
	if err != nil {
		return nil, err
	}
	found := make([]T, len(list.Items))
	for i := range list.Items {
		one, err := kube.Into[T](&list.Items[i])
		if err != nil {
			return nil, err
		}
		found[i] = *one
	}
	return found, nil
}

func (w *World) readClaim(ctx context.Context, cluster *kube.Client) error {
	claim, err := cluster.Get(ctx, kube.Claims, w.Namespace, w.Claim)
	if kube.IsGone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	w.ClaimUID = string(claim.GetUID())
	w.PersistentVolume = text(claim, "spec", "volumeName")
	if w.PersistentVolume == "" {
		return nil
	}
	volume, err := cluster.Get(ctx, kube.PersistentVolumes, "", w.PersistentVolume)
	if err != nil {
		return err
	}
	w.Driver = text(volume, "spec", "csi", "driver")
	return nil
}

// ReadVolume asks Longhorn, which calls a volume as Kubernetes does.
func ReadVolume(ctx context.Context, cluster *kube.Client, name string) (*Volume, error) {
	object, err := cluster.Get(ctx, kube.LonghornVolumes, longhornNamespace, name)
	if err != nil {
		return nil, err
	}
	volume := &Volume{Name: name, State: text(object, "status", "state"), Robustness: text(object, "status", "robustness")}
	replicas, err := cluster.List(ctx, kube.LonghornReplicas, longhornNamespace, "")
	if err != nil {
		return nil, err
	}
	for i := range replicas.Items {
		one := &replicas.Items[i]
		if text(one, "spec", "volumeName") != name {
			continue
		}
		volume.Replicas = append(volume.Replicas, Replica{
			Name: one.GetName(), Node: text(one, "spec", "nodeID"),
			Good: text(one, "spec", "healthyAt") != "" && text(one, "spec", "failedAt") == "",
		})
	}
	engines, err := cluster.List(ctx, kube.LonghornEngines, longhornNamespace, "")
	if err != nil {
		return nil, err
	}
	for i := range engines.Items {
		if text(&engines.Items[i], "spec", "volumeName") != name {
			continue
		}
		modes, _, _ := unstructured.NestedStringMap(engines.Items[i].Object, "status", "replicaModeMap")
		for replica, mode := range modes {
			if mode == "WO" { // Written to, not read from yet.
				volume.Rebuilding = append(volume.Rebuilding, replica)
			}
		}
	}
	return volume, nil
}

// runner is the node that has one of this machine's addresses or its name, or that a pod with one runs on.
func runner(world *World, local map[string]bool) string {
	if name := os.Getenv("NODE_NAME"); name != "" {
		return name
	}
	for i := range world.Nodes {
		for _, address := range world.Nodes[i].Status.Addresses {
			if local[address.Address] {
				return world.Nodes[i].Name
			}
		}
	}
	for i := range world.Pods {
		if pod := &world.Pods[i]; local[pod.Status.PodIP] {
			return pod.Spec.NodeName
		}
	}
	return ""
}

// localAddresses are this machine's, without those that mean itself on every machine.
func localAddresses() map[string]bool {
	local := map[string]bool{}
	if name, err := os.Hostname(); err == nil {
		local[name] = true
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return local
	}
	for _, address := range addresses {
		host, _, _ := strings.Cut(address.String(), "/")
		if ip := net.ParseIP(host); ip != nil && !ip.IsLoopback() && !ip.IsLinkLocalUnicast() {
			local[host] = true
		}
	}
	return local
}

func text(object *unstructured.Unstructured, path ...string) string {
	value, _, _ := unstructured.NestedString(object.Object, path...)
	return value
}

// Plan says in a line each what the drill will do to what.
func (w *World) Plan(experiment string) []string {
	pod := w.Pod()
	if pod == nil {
		return nil
	}
	lines := []string{
		fmt.Sprintf("database   pod %s/%s on node %s, claim %s (%s)", w.Namespace, pod.Name, pod.Spec.NodeName, w.Claim, w.ClaimUID),
	}
	if w.Volume != nil {
		good := []string{}
		for _, replica := range w.Volume.Replicas {
			if replica.Good {
				good = append(good, replica.Node)
			}
		}
		lines = append(lines, fmt.Sprintf("volume     %s, %s, healthy replicas on %s", w.Volume.Name, w.Volume.Robustness, strings.Join(good, ", ")))
	}
	return append(lines, "experiment "+experiment)
}
