package iris

import (
	"fmt"
	"maps"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	networkingv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/networking/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// component is a part of the instance that has pods. Its labels, selector and network policy are all made here. The
// namespace denies all traffic (default-deny), so a component says what its pods need, or that they need nothing.
type component struct {
	// name is the label app.kubernetes.io/component of its objects.
	name string
	// app is the label by which selectors find its pods, and the name of its network policy. No two components share one:
	// the Service and the Deployment would take the other's pods for theirs.
	app string
	// network is what its pods may do. Either this or isolated is set.
	network *network
	// isolated says that its pods need no network: default-deny is all the policy that they get.
	isolated bool
	// pod is its pod without what refers to other objects: the survey counts it before there are any.
	pod *corev1.PodSpecArgs
	// perNode says that the pod runs on every node.
	perNode bool
	// replicas is how many pods there are elsewhere; 0 stands for 1.
	replicas int
}

// network is who may connect to a component's pods, and where they may connect to.
type network struct {
	ingress networkingv1.NetworkPolicyIngressRuleArray
	egress  networkingv1.NetworkPolicyEgressRuleArray
}

// components are those that the configuration asks for. One that is not among them gets no pod template.
func (c Config) components() []component {
	components := []component{c.database()}
	if c.PrePullImage {
		components = append(components, c.prePullComponent())
	}
	if c.Failover.guarded() {
		components = append(components, c.guardComponent())
	}
	if c.backsUp() {
		components = append(components, c.backupComponent())
	}
	if c.verifies() {
		components = append(components, c.verifyComponent(), c.copyComponent())
	}
	return components
}

// labels are those of the component's objects.
func (c component) labels() pulumi.StringMap {
	return pulumi.StringMap{
		"app.kubernetes.io/name":       pulumi.String("iris"),
		"app.kubernetes.io/component":  pulumi.String(c.name),
		"app.kubernetes.io/part-of":    pulumi.String("ha-iris"),
		"app.kubernetes.io/managed-by": pulumi.String("pulumi"),
	}
}

// selector finds the component's pods. One label, because the selector of a Deployment or DaemonSet can never change.
func (c component) selector() pulumi.StringMap { return pulumi.StringMap{"app": pulumi.String(c.app)} }

func (c component) podLabels() pulumi.StringMap {
	labels := c.labels()
	maps.Copy(labels, c.selector())
	return labels
}

func (c component) checkNetwork() error {
	if c.isolated == (c.network != nil) {
		return fmt.Errorf("component %s: got network %v and isolated %v, want one of them", c.name, c.network != nil, c.isolated)
	}
	return nil
}

// template is the template of a component's pods. Nothing else in this package makes one, so there are no pods of a
// component whose network policy was forgotten.
func (p *policies) template(of component, annotations pulumi.StringMap, spec *corev1.PodSpecArgs) (*corev1.PodTemplateSpecArgs, error) {
	if _, known := p.own[of.name]; !known {
		return nil, fmt.Errorf("component %s: not among the configuration's components, so it has no network policy", of.name)
	}
	return &corev1.PodTemplateSpecArgs{
		Metadata: &metav1.ObjectMetaArgs{Labels: of.podLabels(), Annotations: annotations},
		Spec:     spec,
	}, nil
}
