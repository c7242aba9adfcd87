package iris

import (
	appsv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apps/v1"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// createPrePull keeps the pod's images on every node by running a sleeping container of each there. An image that is in
// use is also safe from the kubelet's clean-up. A first pull takes from tens of seconds to minutes, by registry and line,
// and would otherwise be part of a failover.
func (b *builder) createPrePull() error {
	// Not the database's "app: iris": the Service and the Deployment would take these pods for theirs.
	own := pulumi.StringMap{"app": pulumi.String(prePullName)}
	allLabels := labels(componentPrePull)
	allLabels["app"] = own["app"]
	// Not awaited: a node that cannot pull, or that is down, must not stop an update of the database.
	meta := b.metadata(prePullName, prePullAnnotations())
	meta.Labels = labels(componentPrePull)
	_, err := appsv1.NewDaemonSet(b.ctx, prePullName, &appsv1.DaemonSetArgs{
		Metadata: meta,
		Spec: &appsv1.DaemonSetSpecArgs{
			Selector: &metav1.LabelSelectorArgs{MatchLabels: own},
			// A new image is wanted on all nodes at once, and nobody is served by these pods.
			UpdateStrategy: &appsv1.DaemonSetUpdateStrategyArgs{
				Type:          pulumi.String("RollingUpdate"),
				RollingUpdate: &appsv1.RollingUpdateDaemonSetArgs{MaxUnavailable: pulumi.String("100%")},
			},
			Template: &corev1.PodTemplateSpecArgs{
				Metadata: &metav1.ObjectMetaArgs{Labels: allLabels},
				Spec:     b.prePullPod(),
			},
		},
	}, b.options()...)
	return creating("DaemonSet "+prePullName, err)
}

func (b *builder) prePullPod() *corev1.PodSpecArgs {
	containers := corev1.ContainerArray{sleeper("iris", b.cfg.Image)}
	if b.cfg.usesWebGateway() {
		containers = append(containers, sleeper("web-gateway", b.cfg.WebGateway.Image))
	}
	return &corev1.PodSpecArgs{
		ImagePullSecrets:             b.pullSecrets(),
		Containers:                   containers,
		NodeSelector:                 b.nodeSelector(),
		SecurityContext:              podSecurity(),
		AutomountServiceAccountToken: pulumi.Bool(false),
		EnableServiceLinks:           pulumi.Bool(false),
		// A process with number 1 ignores SIGTERM unless it says otherwise; there is nothing to wait for.
		TerminationGracePeriodSeconds: pulumi.Int(1),
	}
}

func sleeper(name, image string) *corev1.ContainerArgs {
	return &corev1.ContainerArgs{
		Name:            pulumi.String(name),
		Image:           pulumi.String(image),
		ImagePullPolicy: pulumi.String("IfNotPresent"),
		Command:         pulumi.ToStringArray([]string{"/bin/sleep", "infinity"}),
		Resources:       resources("5m", "50m", "16Mi", "16Mi"),
		SecurityContext: containerSecurity(true),
	}
}
