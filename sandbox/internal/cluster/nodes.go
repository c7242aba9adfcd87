package cluster

import (
	"context"
	"fmt"
	"runtime"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

const (
	// fakeNodeAnnotation marks the nodes that kwok simulates; a real node that joins is left alone.
	fakeNodeAnnotation = "kwok.x-k8s.io/node"
	fakeNodeValue      = "fake"
	// nodeLeaseSeconds is how long a kubelet's Lease lasts by default.
	nodeLeaseSeconds = 40
	region           = "sandbox"
)

// Node is what a user wants to know of a node.
type Node struct {
	Name      string `json:"name"`
	Zone      string `json:"zone"`
	Ready     bool   `json:"ready"`
	Simulated bool   `json:"simulated"`
}

// simulatedNodes are three machines, one per zone. They have twice the cores and memory of a cloud's default machine, so
// that what is tried here meets no limit of theirs.
func simulatedNodes(kubernetesVersion string) []*corev1.Node {
	nodes := make([]*corev1.Node, 0, 3)
	for i, letter := range []string{"a", "b", "c"} {
		name := "ha-iris-node-" + letter
		nodes = append(nodes, &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{
				Name: name,
				Annotations: map[string]string{
					fakeNodeAnnotation: fakeNodeValue,
					// A kubelet sets it; without it the attach/detach controller leaves the node's volumes alone.
					"volumes.kubernetes.io/controller-managed-attach-detach": "true",
				},
				Labels: map[string]string{
					corev1.LabelHostname:           name,
					corev1.LabelOSStable:           "linux",
					corev1.LabelArchStable:         runtime.GOARCH,
					corev1.LabelTopologyRegion:     region,
					corev1.LabelTopologyZone:       fmt.Sprintf("sandbox-%d", i+1),
					corev1.LabelInstanceTypeStable: "simulated",
				},
			},
			Status: nodeStatus(name, fmt.Sprintf("10.77.0.%d", 11+i), kubernetesVersion),
		})
	}
	return nodes
}

func nodeStatus(name, ip, kubernetesVersion string) corev1.NodeStatus {
	capacity := corev1.ResourceList{
		corev1.ResourceCPU:              resource.MustParse("8"),
		corev1.ResourceMemory:           resource.MustParse("32Gi"),
		corev1.ResourceEphemeralStorage: resource.MustParse("200Gi"),
		corev1.ResourcePods:             resource.MustParse("110"),
	}
	return corev1.NodeStatus{
		Capacity:    capacity,
		Allocatable: capacity,
		Addresses: []corev1.NodeAddress{
			{Type: corev1.NodeInternalIP, Address: ip},
			{Type: corev1.NodeHostName, Address: name},
		},
		NodeInfo: corev1.NodeSystemInfo{
			Architecture:            runtime.GOARCH,
			OperatingSystem:         "linux",
			OSImage:                 "simulated (no machine)",
			ContainerRuntimeVersion: "kwok://simulated",
			KernelVersion:           "simulated",
			KubeletVersion:          kubernetesVersion,
		},
	}
}

// ensureNodes creates the nodes that are not there. An existing node keeps what its user did to it.
func ensureNodes(ctx context.Context, client kubernetes.Interface) error {
	version, err := client.Discovery().ServerVersion()
	if err != nil {
		return fmt.Errorf("ask the API server for its version: %w", err)
	}
	for _, node := range simulatedNodes(version.GitVersion) {
		_, err := client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("create node %s: %w", node.Name, err)
		}
	}
	return nil
}

// releaseLeases deletes the Leases that a previous kwok process held. kwok invents a new identity at each start and would
// otherwise leave the nodes alone until the old Leases expire. A Lease with another duration is somebody's way of
// keeping a node dead, and stays.
func releaseLeases(ctx context.Context, client kubernetes.Interface) error {
	leases := client.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	list, err := leases.List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list the nodes' leases: %w", err)
	}
	for _, lease := range list.Items {
		if seconds := lease.Spec.LeaseDurationSeconds; seconds == nil || *seconds != nodeLeaseSeconds {
			continue
		}
		if err := leases.Delete(ctx, lease.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("release lease of node %s: %w", lease.Name, err)
		}
	}
	return nil
}

// keptDead says whether somebody holds the node's Lease in kwok's place, so that the node is meant to be down.
func keptDead(ctx context.Context, client kubernetes.Interface, node string) (bool, error) {
	lease, err := client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(ctx, node, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read lease of node %s: %w", node, err)
	}
	seconds := lease.Spec.LeaseDurationSeconds
	return seconds != nil && *seconds > int32(time.Hour.Seconds()), nil
}

// listNodes returns the cluster's nodes by name.
func listNodes(ctx context.Context, client kubernetes.Interface) ([]Node, error) {
	list, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list nodes: %w", err)
	}
	nodes := make([]Node, 0, len(list.Items))
	for _, node := range list.Items {
		nodes = append(nodes, Node{
			Name:      node.Name,
			Zone:      node.Labels[corev1.LabelTopologyZone],
			Ready:     nodeReady(&node),
			Simulated: node.Annotations[fakeNodeAnnotation] == fakeNodeValue,
		})
	}
	return nodes, nil
}

func nodeReady(node *corev1.Node) bool {
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}
