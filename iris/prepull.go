package iris

import (
	appsv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apps/v1"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// prePullComponent asks for no network: a sleeping container has nobody to talk to, and the kubelet pulls its image.
func (c Config) prePullComponent() component {
	return component{name: "pre-pull", app: prePullName, isolated: true, pod: c.prePullPod(), perNode: true}
}

// prePull keeps the pod's images on every node by running a sleeping container of each there. An image that is in
// use is also safe from the kubelet's clean-up. A first pull takes from tens of seconds to minutes, by registry and line,
// and would otherwise be part of a failover.
func (s *scope) prePull(in *namespace, configuration *configuration, policies *policies) error {
	if !s.cfg.PrePullImage {
		return nil
	}
	own := s.cfg.prePullComponent()
	pod := own.pod
	pod.ImagePullSecrets = configuration.pullSecrets
	template, err := policies.template(own, nil, pod)
	if err != nil {
		return err
	}
	_, err = appsv1.NewDaemonSet(s.ctx, prePullName, &appsv1.DaemonSetArgs{
		// Not awaited: a node that cannot pull, or that is down, must not stop an update of the database.
		Metadata: in.metadata(own, prePullName, prePullAnnotations()),
		Spec: &appsv1.DaemonSetSpecArgs{
			Selector: &metav1.LabelSelectorArgs{MatchLabels: own.selector()},
			// A new image is wanted on all nodes at once, and nobody is served by these pods.
			UpdateStrategy: &appsv1.DaemonSetUpdateStrategyArgs{
				Type:          pulumi.String("RollingUpdate"),
				RollingUpdate: &appsv1.RollingUpdateDaemonSetArgs{MaxUnavailable: pulumi.String("100%")},
			},
			Template: template,
		},
	}, s.options()...)
	return creating("DaemonSet "+prePullName, err)
}

// prePullPod is the pod without what refers to other objects.
func (c Config) prePullPod() *corev1.PodSpecArgs {
	containers := corev1.ContainerArray{sleeper("iris", c.Image)}
	if c.usesWebGateway() {
		containers = append(containers, sleeper("web-gateway", c.WebGateway.Image))
	}
	if c.Failover.guarded() {
		// Its image has no shell, and its program sleeps when told to.
		agent := sleeper("agent", c.Failover.image())
		agent.Command, agent.Args = nil, pulumi.ToStringArray([]string{"sleep"})
		containers = append(containers, agent)
	}
	return &corev1.PodSpecArgs{
		Containers:                   containers,
		NodeSelector:                 c.nodeSelector(),
		SecurityContext:              podSecurity(),
		AutomountServiceAccountToken: pulumi.Bool(false),
		EnableServiceLinks:           pulumi.Bool(false),
		// PID 1 ignores SIGTERM unless it says otherwise; there is nothing to wait for.
		TerminationGracePeriodSeconds: pulumi.Int(1),
	}
}

func sleeper(name, image string) *corev1.ContainerArgs {
	return &corev1.ContainerArgs{
		Name:                     pulumi.String(name),
		Image:                    pulumi.String(image),
		ImagePullPolicy:          pulumi.String("IfNotPresent"),
		Command:                  pulumi.ToStringArray([]string{"/bin/sleep", "infinity"}),
		Resources:                resources("5m", "50m", "16Mi", "16Mi"),
		TerminationMessagePolicy: pulumi.String(logsOnError),
		SecurityContext:          containerSecurity(true),
	}
}
