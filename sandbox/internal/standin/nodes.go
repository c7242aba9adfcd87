package standin

import (
	"context"
	"fmt"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
)

// diskLabel on a node asks Longhorn for a disk there; it counts only with create-default-disk-labeled-nodes.
const diskLabel = "node.longhorn.io/create-default-disk"

// lives says whether the node's kubelet is played at the moment: kwok holds its Lease and renews it. Whoever takes the
// Lease away kills the node, and both kwok and this program fall silent there at once, long before Kubernetes notices.
func (c *standIn) lives(node *corev1.Node) (bool, error) {
	if !simulated(node) {
		return false, nil // a real kubelet does its own work
	}
	lease, err := c.cache.leases.Leases(corev1.NamespaceNodeLease).Get(node.Name)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look up lease of node %s: %w", node.Name, err)
	}
	spec := lease.Spec
	if spec.HolderIdentity == nil || spec.RenewTime == nil || spec.LeaseDurationSeconds == nil {
		return false, nil
	}
	expires := spec.RenewTime.Add(time.Duration(*spec.LeaseDurationSeconds) * time.Second)
	return strings.HasPrefix(*spec.HolderIdentity, c.kwokPrefix) && c.clock.Now().Before(expires), nil
}

// onNodeLease calls add for each change of the Lease by which a node lives.
func (c *standIn) onNodeLease(add func(node string)) error {
	return on(c.informers.Coordination().V1().Leases().Informer(), func(lease *coordinationv1.Lease) {
		if lease.Namespace == corev1.NamespaceNodeLease {
			add(lease.Name)
		}
	})
}

// livingNode returns the node if its kubelet is played at the moment, and nil if it is gone, dead or real.
func (c *standIn) livingNode(name string) (*corev1.Node, error) {
	node, err := c.cache.nodes.Get(name)
	if apierrors.IsNotFound(err) {
		return nil, nil // nobody is there
	}
	if err != nil {
		return nil, fmt.Errorf("look up node %s: %w", name, err)
	}
	if lives, err := c.lives(node); err != nil || !lives {
		return nil, err
	}
	return node, nil
}

// simulated says whether nothing runs on the node.
func simulated(node *corev1.Node) bool { return node.Annotations[fakeNodeAnnotation] == fakeNodeValue }

func readyCondition(node *corev1.Node) corev1.NodeCondition {
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition
		}
	}
	return corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionUnknown}
}

// down says whether Longhorn considers the node dead: missing, silent, or not ready for longer than the grace.
func (c *standIn) down(name string) (bool, error) {
	node, err := c.cache.nodes.Get(name)
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("look up node %s: %w", name, err)
	}
	condition := readyCondition(node)
	switch condition.Status {
	case corev1.ConditionTrue:
		return false, nil
	case corev1.ConditionFalse:
		return c.clock.Now().Sub(condition.LastTransitionTime.Time) > notReadyGrace, nil
	case corev1.ConditionUnknown:
	}
	return true, nil
}

// syncLonghornNodes keeps one Longhorn node, with its disk, for each node that longhorn-manager runs on.
func (c *standIn) syncLonghornNodes(ctx context.Context, namespace string) error {
	nodes, err := c.cache.nodes.List(labels.Everything())
	if err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	for _, node := range nodes {
		managed, err := c.managerOn(namespace, node.Name)
		if err != nil {
			return err
		}
		if !managed {
			continue
		}
		if err := c.syncLonghornNode(ctx, namespace, node); err != nil {
			return err
		}
	}
	return nil
}

func (c *standIn) managerOn(namespace, node string) (bool, error) {
	pods, err := c.cache.podsBy(byNode, node)
	if err != nil {
		return false, err
	}
	for _, pod := range pods {
		if pod.Namespace == namespace && pod.Labels["app"] == managerName {
			return true, nil
		}
	}
	return false, nil
}

func (c *standIn) syncLonghornNode(ctx context.Context, namespace string, node *corev1.Node) error {
	object, err := c.longhorn.get(ctx, namespace, longhornNodes, node.Name)
	if err != nil {
		return err
	}
	if object == nil {
		object = newObject(namespace, longhornNodes, node.Name)
		object.SetFinalizers([]string{longhornFinalizer})
		object.Object["spec"] = map[string]any{"name": node.Name, "allowScheduling": true, "evictionRequested": false, "disks": map[string]any{}}
		if err := c.longhorn.create(ctx, longhornNodes, object); err != nil {
			return err
		}
		if object, err = c.longhorn.get(ctx, namespace, longhornNodes, node.Name); err != nil || object == nil {
			return err
		}
	}
	return c.ensureDisk(ctx, namespace, node, object)
}

// ensureDisk gives a node its default disk. Longhorn does so only while the node has none.
func (c *standIn) ensureDisk(ctx context.Context, namespace string, node *corev1.Node, object *unstructured.Unstructured) error {
	disks, _, err := unstructured.NestedMap(object.Object, "spec", "disks")
	if err != nil {
		return fmt.Errorf("read disks of Longhorn's node %s: %w", node.Name, err)
	}
	labelledOnly, err := c.longhorn.boolSetting(ctx, namespace, "create-default-disk-labeled-nodes")
	if err != nil {
		return err
	}
	wanted := !labelledOnly || node.Labels[diskLabel] == "true" || node.Labels[diskLabel] == "config"
	if len(disks) > 0 || !wanted {
		return nil
	}
	path, err := c.longhorn.setting(ctx, namespace, "default-data-path")
	if err != nil {
		return err
	}
	updated := object.DeepCopy()
	disk := map[string]any{"path": path, "allowScheduling": true, "evictionRequested": false, "diskType": "filesystem"}
	if err := unstructured.SetNestedMap(updated.Object, map[string]any{"default-disk": disk}, "spec", "disks"); err != nil {
		return fmt.Errorf("give Longhorn's node %s a disk: %w", node.Name, err)
	}
	return c.longhorn.update(ctx, longhornNodes, updated)
}

func conditionStatus(holds bool) string {
	if holds {
		return string(corev1.ConditionTrue)
	}
	return string(corev1.ConditionFalse)
}
