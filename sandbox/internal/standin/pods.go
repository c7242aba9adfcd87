package standin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// How long containers take that do not exist: long enough to see a pod's phases, short enough to wait for.
const (
	startTime  = time.Second
	workTime   = time.Second // of a Job's pod
	stopTime   = time.Second // the grace period is an upper bound that only a hanging process would use up
	removeTime = 200 * time.Millisecond
	// crashTime is how long containers run that end again and again, and how long they wait then. The kubelet's growing
	// pauses are left out: the time for them would be the tests'.
	crashTime = 2 * time.Second
	// maxRestarts ends the game: nobody reads more.
	maxRestarts = 5
)

// step is what happens next to a pod, and how long that takes.
type step struct {
	name  string
	takes time.Duration
	do    func(ctx context.Context, pod *corev1.Pod) error
}

// addPodLoop plays the rest of the kubelets' part: containers start, end and are stopped, as far as anybody can see from
// outside. Images count as present and probes as successful.
func (c *standIn) addPodLoop() error {
	l := c.loop("pods", c.syncPod)
	return errors.Join(
		on(c.cache.pods, func(pod *corev1.Pod) {
			if pod.Spec.NodeName != "" {
				l.queue.Add(pod.Namespace + "/" + pod.Name)
			}
		}),
		// A node that comes back to life finds pods in any state.
		c.onNodeLease(func(node string) {
			pods, err := c.cache.podsBy(byNode, node)
			if err != nil {
				c.log.Error("change of a lease is lost", "node", node, "error", err)
			}
			for _, pod := range pods {
				l.queue.Add(pod.Namespace + "/" + pod.Name)
			}
		}),
	)
}

func (c *standIn) syncPod(ctx context.Context, key string) (time.Duration, error) {
	pod, err := c.cache.pod(key)
	if err != nil || pod == nil {
		return 0, err
	}
	node, err := c.livingNode(pod.Spec.NodeName)
	if err != nil || node == nil {
		return 0, err // on a dead node nothing happens any more, whatever is asked of it
	}
	next := c.nextStep(pod)
	if next == nil {
		return 0, nil
	}
	tick := "pod/" + string(pod.UID) + "/" + next.name
	if elapsed := c.ticks.elapsed(tick); elapsed < next.takes {
		return next.takes - elapsed, nil
	}
	c.ticks.forget(tick)
	if err := next.do(ctx, pod); errors.Is(err, errWorking) {
		return next.takes, nil
	} else if err != nil {
		return 0, ignoreGone(err)
	}
	return 0, nil
}

// nextStep returns nil if the pod stays as it is until something else changes.
func (c *standIn) nextStep(pod *corev1.Pod) *step {
	running := pod.Status.Phase == corev1.PodRunning
	switch {
	case pod.DeletionTimestamp != nil && running:
		// Before the object goes, its containers stop and its volumes are unmounted.
		return &step{"stop", stopTime, c.endWith(0)}
	case pod.DeletionTimestamp != nil:
		return &step{"remove", removeTime, c.removePod}
	case pod.Status.Phase == corev1.PodPending && podCondition(pod, corev1.PodReadyToStartContainers):
		return &step{"start", seconds(pod, startAnnotation, startTime), c.startPod}
	case running && pod.Annotations[crashAnnotation] != "":
		switch {
		case podCondition(pod, corev1.PodReady):
			return &step{"crash", crashTime, c.crashPod}
		case restarts(pod) < maxRestarts:
			return &step{"restart", crashTime, c.restartPod}
		}
		return nil
	case running && ofJob(pod) && backupFlags(pod) != nil:
		return &step{"back up", workTime, c.makeBackup}
	case running && ofJob(pod) && pod.Labels[batchv1.JobNameLabel] != uninstallJobName:
		return &step{"work", workTime, c.endWith(0)}
	case running && !podCondition(pod, corev1.PodReady):
		// The node was dead, and the node lifecycle controller has marked its pods.
		return &step{"report", 0, c.reportReady}
	}
	return nil
}

// seconds is a time that the pod asks for, or the usual one.
func seconds(pod *corev1.Pod, annotation string, usual time.Duration) time.Duration {
	if number, err := strconv.Atoi(pod.Annotations[annotation]); err == nil && number > 0 {
		return time.Duration(number) * time.Second
	}
	return usual
}

func restarts(pod *corev1.Pod) int32 {
	if len(pod.Status.ContainerStatuses) == 0 {
		return 0
	}
	return pod.Status.ContainerStatuses[0].RestartCount
}

// crashPod lets the pod's containers end and wait for their next start, as a kubelet reports it.
func (c *standIn) crashPod(ctx context.Context, pod *corev1.Pod) error {
	now := metav1.NewTime(c.clock.Now())
	status := corev1.PodStatus{
		Phase:      corev1.PodRunning,
		Conditions: c.conditions(pod, corev1.ConditionFalse, "ContainersNotReady"),
	}
	for _, container := range pod.Spec.Containers {
		crashed := containerStatus(container, corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{
			Reason: "CrashLoopBackOff", Message: "back-off restarting failed container " + container.Name,
		}})
		crashed.RestartCount = restarts(pod) + 1
		crashed.LastTerminationState = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: 1, Reason: "Error", Message: pod.Annotations[crashAnnotation], StartedAt: now, FinishedAt: now,
		}}
		status.ContainerStatuses = append(status.ContainerStatuses, crashed)
	}
	return c.patchPod(ctx, pod, status)
}

// restartPod lets the pod's containers run again, which makes it ready for a moment.
func (c *standIn) restartPod(ctx context.Context, pod *corev1.Pod) error {
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(c.clock.Now())}}
	status := corev1.PodStatus{Phase: corev1.PodRunning, Conditions: c.conditions(pod, corev1.ConditionTrue, "")}
	for i, container := range pod.Spec.Containers {
		again := containerStatus(container, running)
		again.RestartCount, again.LastTerminationState = restarts(pod), pod.Status.ContainerStatuses[i].LastTerminationState
		status.ContainerStatuses = append(status.ContainerStatuses, again)
	}
	return c.patchPod(ctx, pod, status)
}

func ofJob(pod *corev1.Pod) bool {
	owner := metav1.GetControllerOf(pod)
	return owner != nil && owner.Kind == "Job"
}

func (c *standIn) startPod(ctx context.Context, pod *corev1.Pod) error {
	now := metav1.NewTime(c.clock.Now())
	host, address, err := c.addresses(pod)
	if err != nil {
		return err
	}
	status := corev1.PodStatus{
		Phase:      corev1.PodRunning,
		StartTime:  pod.Status.StartTime,
		HostIP:     host,
		HostIPs:    []corev1.HostIP{{IP: host}},
		PodIP:      address,
		PodIPs:     []corev1.PodIP{{IP: address}},
		Conditions: c.conditions(pod, corev1.ConditionTrue, ""),
	}
	if status.StartTime == nil {
		status.StartTime = &now
	}
	status.Conditions = append(status.Conditions, corev1.PodCondition{
		Type: corev1.PodInitialized, Status: corev1.ConditionTrue, LastTransitionTime: now,
	})
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}}
	done := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		Reason: "Completed", StartedAt: now, FinishedAt: now,
	}}
	for _, container := range pod.Spec.Containers {
		status.ContainerStatuses = append(status.ContainerStatuses, containerStatus(container, running))
	}
	for _, container := range pod.Spec.InitContainers {
		state := done
		if policy := container.RestartPolicy; policy != nil && *policy == corev1.ContainerRestartPolicyAlways {
			state = running // a sidecar
		}
		initialized := containerStatus(container, state)
		initialized.Ready = true
		status.InitContainerStatuses = append(status.InitContainerStatuses, initialized)
	}
	return c.patchPod(ctx, pod, status)
}

func containerStatus(container corev1.Container, state corev1.ContainerState) corev1.ContainerStatus {
	return corev1.ContainerStatus{
		Name: container.Name, Image: container.Image, State: state,
		Ready: state.Running != nil, Started: ptr(state.Running != nil),
	}
}

// addresses returns the node's address and one for the pod: the first of the node's range that no pod there has.
func (c *standIn) addresses(pod *corev1.Pod) (host, address string, err error) {
	node, err := c.cache.nodes.Get(pod.Spec.NodeName)
	if err != nil {
		return "", "", fmt.Errorf("look up node %s: %w", pod.Spec.NodeName, err)
	}
	for _, found := range node.Status.Addresses {
		if found.Type == corev1.NodeInternalIP {
			host = found.Address
		}
	}
	if pod.Spec.HostNetwork {
		return host, host, nil
	}
	pods, err := c.cache.podsBy(byNode, node.Name)
	if err != nil {
		return "", "", err
	}
	taken, alive := map[string]bool{}, map[types.UID]bool{}
	for _, other := range pods {
		taken[other.Status.PodIP], alive[other.UID] = true, true
	}
	for address, owner := range c.podAddresses { // given away a moment ago, which the cache may not show yet
		taken[address] = taken[address] || alive[owner] && owner != pod.UID
	}
	addresses, err := netip.ParsePrefix(node.Spec.PodCIDR)
	if err != nil {
		return "", "", fmt.Errorf("pod range of node %s: %w", node.Name, err)
	}
	// The first address is the network's, the second the bridge's.
	for free := addresses.Addr().Next().Next(); addresses.Contains(free); free = free.Next() {
		if !taken[free.String()] {
			c.podAddresses[free.String()] = pod.UID
			return host, free.String(), nil
		}
	}
	return "", "", fmt.Errorf("node %s has no free pod address in %s", node.Name, addresses)
}

// conditions are those that say whether the pod's containers run.
func (c *standIn) conditions(pod *corev1.Pod, status corev1.ConditionStatus, reason string) []corev1.PodCondition {
	kinds := []corev1.PodConditionType{corev1.ContainersReady, corev1.PodReady}
	for _, gate := range pod.Spec.ReadinessGates {
		kinds = append(kinds, gate.ConditionType)
	}
	conditions := make([]corev1.PodCondition, 0, len(kinds)+1)
	for _, kind := range kinds {
		conditions = append(conditions, corev1.PodCondition{
			Type: kind, Status: status, Reason: reason, LastTransitionTime: metav1.NewTime(c.clock.Now()),
		})
	}
	return conditions
}

func (c *standIn) reportReady(ctx context.Context, pod *corev1.Pod) error {
	return c.patchPod(ctx, pod, corev1.PodStatus{Conditions: c.conditions(pod, corev1.ConditionTrue, "")})
}

func (c *standIn) endWith(code int32) func(context.Context, *corev1.Pod) error {
	return func(ctx context.Context, pod *corev1.Pod) error { return c.endPod(ctx, pod, code) }
}

// endPod lets the pod's containers end with the exit code.
func (c *standIn) endPod(ctx context.Context, pod *corev1.Pod, code int32) error {
	if c.realNode(pod.Spec.NodeName) {
		return endReal(ctx, pod, code)
	}
	phase, reason, condition := corev1.PodSucceeded, "Completed", "PodCompleted"
	if code != 0 {
		phase, reason, condition = corev1.PodFailed, "Error", "PodFailed"
	}
	now := metav1.NewTime(c.clock.Now())
	ended := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		ExitCode: code, Reason: reason, StartedAt: now, FinishedAt: now,
	}}
	status := corev1.PodStatus{Phase: phase, Conditions: c.conditions(pod, corev1.ConditionFalse, condition)}
	for _, container := range pod.Spec.Containers {
		status.ContainerStatuses = append(status.ContainerStatuses, containerStatus(container, ended))
	}
	return c.patchPod(ctx, pod, status)
}

// patchPod writes the fields of the status that are set, and leaves the others as they are.
func (c *standIn) patchPod(ctx context.Context, pod *corev1.Pod, status corev1.PodStatus) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": pod.UID}, "status": status})
	if err != nil {
		return fmt.Errorf("encode pod status: %w", err)
	}
	_, err = c.client.CoreV1().Pods(pod.Namespace).Patch(
		ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	if err != nil {
		return fmt.Errorf("report status of pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return nil
}

func (c *standIn) removePod(ctx context.Context, pod *corev1.Pod) error {
	err := c.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: ptr(int64(0)),
		Preconditions:      metav1.NewUIDPreconditions(string(pod.UID)),
	})
	if err != nil {
		return fmt.Errorf("remove pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return nil
}
