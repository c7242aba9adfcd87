package standin

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"ha-iris/sandbox/internal/images"
)

// The agent is ha-iris' own, so it is not played: in the place of its container on a simulated node a process on this machine runs the
// program of this checkout with the container's arguments and the account's rights, and dies with its pod and its node.

const (
	// agentImage begins the name of the agent's image, whichever tag it has.
	agentImage = images.AgentRepository + ":"
	// agentTick is how long a process outlives its node at most.
	agentTick = time.Second
	// agentToken is how long the token of an account is good for: nobody renews it, and no sandbox runs that long.
	agentToken = 7 * 24 * time.Hour
)

// agentSubcommand is the only one that runs here: the check in the database's pod has no processes to stop on a simulated node.
const agentSubcommand = "guard"

// agents starts and stops programs on this machine. Both may be called again.
type agents interface {
	// Start starts the agent for a pod unless it runs already. An error says that it does not run yet.
	Start(pod string, arguments []string, token func() (string, error)) error
	// Stop kills the pod's agent, if there is one.
	Stop(pod string)
}

// agentArguments are those of the pod's agent, or nil if none runs here.
func agentArguments(pod *corev1.Pod) []string {
	for _, container := range pod.Spec.Containers {
		if strings.HasPrefix(container.Image, agentImage) && len(container.Args) > 0 && container.Args[0] == agentSubcommand {
			return expand(container, pod)
		}
	}
	return nil
}

// expand replaces $(NAME) in a container's arguments as a kubelet does, for variables that are fields of the pod.
func expand(container corev1.Container, pod *corev1.Pod) []string {
	fields := map[string]string{
		"metadata.name": pod.Name, "metadata.namespace": pod.Namespace, "metadata.uid": string(pod.UID), "spec.nodeName": pod.Spec.NodeName,
		"metadata.labels['" + batchv1.JobNameLabel + "']": pod.Labels[batchv1.JobNameLabel],
	}
	var pairs []string
	for _, variable := range container.Env {
		value := variable.Value
		if variable.ValueFrom != nil && variable.ValueFrom.FieldRef != nil {
			value = fields[variable.ValueFrom.FieldRef.FieldPath]
		}
		pairs = append(pairs, "$("+variable.Name+")", value)
	}
	expanded := slices.Clone(container.Args)
	replacer := strings.NewReplacer(pairs...)
	for i := range expanded {
		expanded[i] = replacer.Replace(expanded[i])
	}
	return expanded
}

// addAgentLoop looks at each pod that has an agent, and at its node, each second.
func (c *standIn) addAgentLoop() error {
	l := c.loop("agents", c.syncAgent)
	return on(c.cache.pods, func(pod *corev1.Pod) {
		if pod.Spec.NodeName != "" && agentArguments(pod) != nil {
			l.queue.Add(pod.Namespace + "/" + pod.Name)
		}
	})
}

func (c *standIn) syncAgent(ctx context.Context, key string) (time.Duration, error) {
	pod, err := c.cache.pod(key)
	if err != nil {
		return 0, err
	}
	if pod == nil || c.agents == nil {
		c.stopAgent(key)
		return 0, nil
	}
	node, err := c.livingNode(pod.Spec.NodeName)
	if err != nil {
		return 0, err
	}
	if node == nil || pod.Status.Phase != corev1.PodRunning {
		c.stopAgent(key)
		return agentTick, nil
	}
	err = c.agents.Start(key, agentArguments(pod), func() (string, error) { return c.tokenFor(ctx, pod) })
	if err != nil {
		return 0, fmt.Errorf("run the agent of pod %s: %w", key, err)
	}
	return agentTick, nil
}

func (c *standIn) stopAgent(pod string) {
	if c.agents != nil {
		c.agents.Stop(pod)
	}
}

// tokenFor is a token of the pod's account, which ends with the pod.
func (c *standIn) tokenFor(ctx context.Context, pod *corev1.Pod) (string, error) {
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: ptr(int64(agentToken.Seconds())),
		BoundObjectRef:    &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: pod.Name, UID: pod.UID},
	}}
	answer, err := c.client.CoreV1().ServiceAccounts(pod.Namespace).CreateToken(ctx, pod.Spec.ServiceAccountName, request, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("token of account %s/%s: %w", pod.Namespace, pod.Spec.ServiceAccountName, err)
	}
	return answer.Status.Token, nil
}
