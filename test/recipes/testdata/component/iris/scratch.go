package iris

import (
	appsv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apps/v1"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	networkingv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/networking/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// A component that does not exist, in as few lines as the package lets one write.

func (c Config) scratchComponent() component {
	return component{name: "scratch", app: "iris-scratch", network: &network{
		egress: networkingv1.NetworkPolicyEgressRuleArray{&networkingv1.NetworkPolicyEgressRuleArgs{
			Ports: networkingv1.NetworkPolicyPortArray{policyPort(443)},
		}},
	}, pod: &corev1.PodSpecArgs{
		Containers:      corev1.ContainerArray{sleeper("scratch", c.Image)},
		SecurityContext: podSecurity(),
	}}
}

func (s *scope) scratch(in *namespace, configuration *configuration, policies *policies) error {
	own := s.cfg.scratchComponent()
	own.pod.ImagePullSecrets = configuration.pullSecrets
	template, err := policies.template(own, nil, own.pod)
	if err != nil {
		return err
	}
	_, err = appsv1.NewDeployment(s.ctx, own.app, &appsv1.DeploymentArgs{
		Metadata: in.metadata(own, own.app, nil),
		Spec: &appsv1.DeploymentSpecArgs{
			Selector: &metav1.LabelSelectorArgs{MatchLabels: own.selector()},
			Template: template,
		},
	}, s.options(pulumi.DependsOn(policies.of(own)))...)
	return creating("Deployment "+own.app, err)
}
