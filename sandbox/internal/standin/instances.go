package standin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"

	"ha-iris/sandbox/internal/datapath/podparts"
)

const (
	instancePrefix = "instance-manager-"
	instanceImage  = "longhornio/longhorn-instance-manager"
)

// instanceName is that of a node's instance manager, its pod and its budget.
func instanceName(node string) string { return instancePrefix + checksum(node+instanceImage+"v1", 32) }

func instanceLabels(node string) map[string]string {
	return map[string]string{
		"longhorn.io/managed-by": managerName, "longhorn.io/component": "instance-manager", "longhorn.io/node": node,
		"longhorn.io/instance-manager-type": "aio", "longhorn.io/data-engine": "v1",
		"longhorn.io/instance-manager-image": "imi-" + checksum(instanceImage, 8),
	}
}

// instancePod returns the pod of a node's instance manager; nil if there is none.
func (c *standIn) instancePod(s *state, node string) *corev1.Pod {
	pod, err := c.cache.podLister.Pods(s.namespace).Get(instanceName(node))
	if err != nil {
		return nil
	}
	return pod
}

// instanceRuns says whether engines and replicas can run on the node.
func (c *standIn) instanceRuns(s *state, node string) bool {
	pod := c.instancePod(s, node)
	return pod != nil && pod.Spec.NodeName == node && podReady(pod)
}

// syncInstances keeps one instance manager with its pod on each node whose longhorn-manager can make one.
func (c *standIn) syncInstances(ctx context.Context, s *state) error {
	for _, name := range slices.Sorted(maps.Keys(s.nodes)) {
		reachable, err := c.reachable(name)
		if err != nil {
			return err
		}
		if !reachable {
			continue
		}
		managed, err := c.managerOn(s.namespace, name)
		if err != nil {
			return err
		}
		if !managed {
			continue
		}
		if err := c.syncInstance(ctx, s, name); err != nil {
			return err
		}
	}
	return nil
}

func (c *standIn) syncInstance(ctx context.Context, s *state, node string) error {
	object := s.instances[instanceName(node)]
	if object == nil {
		object = newObject(s.namespace, instanceKind, instanceName(node))
		object.SetLabels(instanceLabels(node))
		object.SetFinalizers([]string{longhornFinalizer})
		object.Object["spec"] = map[string]any{"nodeID": node, "type": "aio", "dataEngine": "v1", "image": instanceImage}
		if err := c.longhorn.create(ctx, instanceKind, object); err != nil {
			return err
		}
		created, err := c.longhorn.get(ctx, s.namespace, instanceKind, object.GetName())
		if err != nil || created == nil {
			return err
		}
		object = created
		s.instances[object.GetName()] = object
	}
	before := object.DeepCopy()
	pod, current := c.instancePod(s, node), "starting"
	switch {
	case pod == nil:
		if err := c.createInstancePod(ctx, s, object, node); err != nil {
			return err
		}
	case terminal(pod): // as after an eviction; the original, too, makes another one only when this one is gone
		current = "error"
		if err := ignoreGone(c.removePod(ctx, pod)); err != nil {
			return err
		}
	case podReady(pod):
		current = running
	}
	put(object, current, "status", "currentState")
	put(object, node, "status", "ownerID")
	return c.longhorn.save(ctx, instanceKind, before, object)
}

// createInstancePod makes a pod for the node that no scheduler is asked about. Its owner is Longhorn's object, so that a
// drain evicts it without being forced to.
func (c *standIn) createInstancePod(ctx context.Context, s *state, owner *unstructured.Unstructured, node string) error {
	reference := metav1.NewControllerRef(owner, owner.GroupVersionKind())
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.namespace, Name: owner.GetName(), Labels: instanceLabels(node),
			OwnerReferences: []metav1.OwnerReference{*reference},
		},
		Spec: corev1.PodSpec{
			NodeName: node, RestartPolicy: corev1.RestartPolicyNever, ServiceAccountName: "longhorn-service-account",
			PriorityClassName: s.setting("priority-class"),
			Containers: []corev1.Container{{
				Name: "instance-manager", Image: instanceImage, SecurityContext: &corev1.SecurityContext{Privileged: ptr(true)},
			}},
		},
	}
	podparts.InstanceManager(&pod.Spec)
	_, err := c.client.CoreV1().Pods(s.namespace).Create(ctx, pod, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create instance manager's pod on node %s: %w", node, err)
	}
	return nil
}

// syncBudgets protects each instance manager's pod, and gives way when its node is cordoned and the policy allows it
// (longhorn-manager instance_manager_controller.go, syncInstanceManagerPDB).
func (c *standIn) syncBudgets(ctx context.Context, s *state) error {
	var errs []error
	for name, object := range s.instances {
		node, err := c.cache.nodes.Get(textAt(object, "spec", "nodeID"))
		if apierrors.IsNotFound(err) {
			errs = append(errs, c.longhorn.remove(ctx, instanceKind, object), c.removeBudget(ctx, s, name))
			continue
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("look up node of %s: %w", name, err))
			continue
		}
		switch {
		case !c.instanceRuns(s, node.Name): // what is there stays
		case !node.Spec.Unschedulable:
			errs = append(errs, c.createBudget(ctx, s, name, node.Name))
		case c.givesWay(s, node.Name):
			errs = append(errs, c.removeBudget(ctx, s, name))
		}
	}
	return errors.Join(errs...)
}

func (c *standIn) createBudget(ctx context.Context, s *state, name, node string) error {
	if s.budgets[name] != nil {
		return nil
	}
	budget := &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: name},
		Spec: policyv1.PodDisruptionBudgetSpec{
			MinAvailable: ptr(intstr.FromInt32(1)), Selector: &metav1.LabelSelector{MatchLabels: instanceLabels(node)},
		},
	}
	created, err := c.client.PolicyV1().PodDisruptionBudgets(s.namespace).Create(ctx, budget, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create budget %s: %w", name, err)
	}
	s.budgets[name] = created
	return nil
}

func (c *standIn) removeBudget(ctx context.Context, s *state, name string) error {
	if s.budgets[name] == nil {
		return nil
	}
	delete(s.budgets, name)
	err := c.client.PolicyV1().PodDisruptionBudgets(s.namespace).Delete(ctx, name, metav1.DeleteOptions{})
	if ignoreGone(err) != nil {
		return fmt.Errorf("delete budget %s: %w", name, err)
	}
	return nil
}

// The values of node-drain-policy.
const (
	alwaysAllow      = "always-allow"
	allowStopped     = "allow-if-replica-is-stopped"
	blockForEviction = "block-for-eviction"
	blockForLast     = "block-for-eviction-if-contains-last-replica"
)

// givesWay says whether a cordoned node's instance manager may be evicted (canDeleteInstanceManagerPDB).
func (c *standIn) givesWay(s *state, node string) bool {
	if s.enginesOn(node) > 0 {
		return false
	}
	policy, replicas := s.setting("node-drain-policy"), s.replicasOn(node)
	if policy == alwaysAllow {
		return true
	}
	if policy == blockForEviction && len(replicas) > 0 {
		return false
	}
	for _, replica := range replicas {
		idle := textAt(replica, "spec", "desireState") == stopped && textAt(replica, "status", "currentState") == stopped
		unused := textAt(replica, "spec", "healthyAt") == "" && !failed(replica)
		if policy == allowStopped && idle || unused || c.protectedElsewhere(s, replica) {
			continue
		}
		return false
	}
	return true
}

// protectedElsewhere says whether the volume has a good replica on another node that is not cordoned, and whose instance
// manager runs behind a budget.
func (c *standIn) protectedElsewhere(s *state, replica *unstructured.Unstructured) bool {
	return slices.ContainsFunc(s.replicas[textAt(replica, "spec", "volumeName")], func(other *unstructured.Unstructured) bool {
		name := textAt(other, "spec", "nodeID")
		if !good(other) || name == textAt(replica, "spec", "nodeID") {
			return false
		}
		node, err := c.cache.nodes.Get(name)
		return err == nil && !node.Spec.Unschedulable && c.instanceRuns(s, name) && s.budgets[instanceName(name)] != nil
	})
}

// requestEvictions notes on the replicas of a node's disks whether they have to leave: as the user asks for the node or
// the disk, or as the drain policy asks for a cordoned node (node_controller.go, syncReplicaEvictionRequested).
func (c *standIn) requestEvictions(ctx context.Context, s *state, node *corev1.Node, object *unstructured.Unstructured) error {
	automatic := false
	for name := range mapAt(object, "status", "diskStatus") {
		asked := truthAt(object, "spec", "evictionRequested") || truthAt(object, "spec", "disks", name, "evictionRequested")
		scheduled := mapAt(object, "status", "diskStatus", name, "scheduledReplica")
		for _, replica := range s.replicasOnDisk(textAt(object, "status", "diskStatus", name, "diskUUID")) {
			if scheduled[replica.GetName()] == nil {
				continue
			}
			wanted := asked || node.Spec.Unschedulable && c.drainMoves(s, replica)
			automatic = automatic || wanted && !asked
			if evicting(replica) == wanted {
				continue
			}
			before := replica.DeepCopy()
			put(replica, wanted, "spec", "evictionRequested")
			if err := c.longhorn.save(ctx, replicaKind, before, replica); err != nil {
				return err
			}
		}
	}
	put(object, automatic, "status", "autoEvicting")
	return nil
}

func (c *standIn) drainMoves(s *state, replica *unstructured.Unstructured) bool {
	switch s.setting("node-drain-policy") {
	case blockForEviction:
		return true
	case blockForLast:
		return !c.protectedElsewhere(s, replica)
	default:
		return false
	}
}
