package main

import (
	"fmt"

	appsv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apps/v1"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	networkingv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/networking/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

const (
	watchType = "iris-consumer:index:Watch"
	watchName = "iris-watch"
	// defaultImage is pinned by the digest of the index of all architectures.
	defaultImage = "busybox:1.37.0@sha256:9db7b59979c38555a39def84a31fb98b5296952f9e3afd4f6f11f05b07adfab0"
	// user is nobody: the image's default is root, which Pod Security "restricted" refuses.
	user = 65534
	// dnsPort is where every cluster's DNS answers.
	dnsPort = 53
)

// watch is a pod that is ready for as long as IRIS accepts connections from inside the cluster. An application would take
// its place: the same namespace rules, the same way to the address.
type watch struct {
	pulumi.ResourceState

	namespace *corev1.Namespace
	upstream  *upstream
	image     string
}

func newWatch(ctx *pulumi.Context, name, namespace, image string, upstream *upstream, provider pulumi.ProviderResource) error {
	w := &watch{upstream: upstream, image: image}
	if err := ctx.RegisterComponentResource(watchType, name, w, pulumi.Provider(provider)); err != nil {
		return fmt.Errorf("register %q: %w", name, err)
	}
	for _, create := range []func() error{
		func() error { return w.createNamespace(ctx, namespace) },
		func() error { return w.createPolicy(ctx) },
		func() error { return w.createDeployment(ctx) },
	} {
		if err := create(); err != nil {
			return err
		}
	}
	return ctx.RegisterResourceOutputs(w, pulumi.Map{"namespace": pulumi.String(namespace)})
}

// createNamespace makes the namespace under the name that the other stack knows it by: its NetworkPolicy lets in the
// namespaces listed in iris.service.clientNamespaces and no others.
func (w *watch) createNamespace(ctx *pulumi.Context, name string) error {
	labels := labels()
	labels["pod-security.kubernetes.io/enforce"] = pulumi.String("restricted")
	namespace, err := corev1.NewNamespace(ctx, name, &corev1.NamespaceArgs{
		Metadata: &metav1.ObjectMetaArgs{Name: pulumi.String(name), Labels: labels},
	}, pulumi.Parent(w))
	if err != nil {
		return fmt.Errorf("create namespace %s: %w", name, err)
	}
	w.namespace = namespace
	return nil
}

// createPolicy lets the pods reach IRIS and the cluster's DNS, nothing else, and lets nobody reach them.
func (w *watch) createPolicy(ctx *pulumi.Context) error {
	dns := networkingv1.NetworkPolicyPortArray{}
	for _, protocol := range []string{"UDP", "TCP"} {
		dns = append(dns, &networkingv1.NetworkPolicyPortArgs{
			Protocol: pulumi.String(protocol), Port: pulumi.Int(dnsPort),
		})
	}
	_, err := networkingv1.NewNetworkPolicy(ctx, watchName, &networkingv1.NetworkPolicyArgs{
		Metadata: w.metadata(),
		Spec: &networkingv1.NetworkPolicySpecArgs{
			PodSelector: &metav1.LabelSelectorArgs{},
			PolicyTypes: pulumi.ToStringArray([]string{"Ingress", "Egress"}),
			Egress: networkingv1.NetworkPolicyEgressRuleArray{
				&networkingv1.NetworkPolicyEgressRuleArgs{
					To:    networkingv1.NetworkPolicyPeerArray{w.irisPeer()},
					Ports: networkingv1.NetworkPolicyPortArray{&networkingv1.NetworkPolicyPortArgs{Port: w.upstream.Port}},
				},
				// To anywhere: the DNS may be a cache on the node, which no selector of pods matches.
				&networkingv1.NetworkPolicyEgressRuleArgs{Ports: dns},
			},
		},
	}, pulumi.Parent(w))
	if err != nil {
		return fmt.Errorf("create NetworkPolicy %s: %w", watchName, err)
	}
	return nil
}

// irisPeer names the namespace of IRIS by the label that Kubernetes itself keeps on it.
func (w *watch) irisPeer() *networkingv1.NetworkPolicyPeerArgs {
	return &networkingv1.NetworkPolicyPeerArgs{NamespaceSelector: &metav1.LabelSelectorArgs{
		MatchLabels: pulumi.StringMap{"kubernetes.io/metadata.name": w.upstream.Namespace},
	}}
}

func (w *watch) createDeployment(ctx *pulumi.Context) error {
	_, err := appsv1.NewDeployment(ctx, watchName, &appsv1.DeploymentArgs{
		Metadata: w.metadata(),
		Spec: &appsv1.DeploymentSpecArgs{
			Replicas: pulumi.Int(1),
			Selector: &metav1.LabelSelectorArgs{MatchLabels: selector()},
			Template: &corev1.PodTemplateSpecArgs{
				Metadata: &metav1.ObjectMetaArgs{Labels: labels()},
				Spec: &corev1.PodSpecArgs{
					AutomountServiceAccountToken: pulumi.Bool(false), // It does not talk to Kubernetes.
					SecurityContext: &corev1.PodSecurityContextArgs{
						RunAsNonRoot:   pulumi.Bool(true),
						RunAsUser:      pulumi.Int(user),
						RunAsGroup:     pulumi.Int(user),
						SeccompProfile: &corev1.SeccompProfileArgs{Type: pulumi.String("RuntimeDefault")},
					},
					Containers: corev1.ContainerArray{w.container()},
				},
			},
		},
	}, pulumi.Parent(w))
	if err != nil {
		return fmt.Errorf("create Deployment %s: %w", watchName, err)
	}
	return nil
}

func (w *watch) container() *corev1.ContainerArgs {
	amounts := pulumi.StringMap{
		"cpu": pulumi.String("10m"), "memory": pulumi.String("16Mi"), "ephemeral-storage": pulumi.String("8Mi"),
	}
	return &corev1.ContainerArgs{
		Name:            pulumi.String("watch"),
		Image:           pulumi.String(w.image),
		ImagePullPolicy: pulumi.String("IfNotPresent"),
		// A shell, because sleep alone as process 1 ignores the signal to stop.
		Command: pulumi.ToStringArray([]string{"/bin/sh", "-c", "trap exit TERM; while :; do sleep 3600 & wait; done"}),
		Env: corev1.EnvVarArray{
			&corev1.EnvVarArgs{Name: pulumi.String("IRIS_HOST"), Value: w.upstream.Host},
			&corev1.EnvVarArgs{Name: pulumi.String("IRIS_PORT"), Value: pulumi.Sprintf("%d", w.upstream.Port)},
		},
		// Ready is "IRIS accepts connections". While it fails over, this says so, and pulumi up waits.
		ReadinessProbe: &corev1.ProbeArgs{
			Exec: &corev1.ExecActionArgs{Command: pulumi.StringArray{
				pulumi.String("nc"), pulumi.String("-z"), pulumi.String("-w"), pulumi.String("3"),
				w.upstream.Host, pulumi.Sprintf("%d", w.upstream.Port),
			}},
			PeriodSeconds:  pulumi.Int(5),
			TimeoutSeconds: pulumi.Int(5),
		},
		Resources: &corev1.ResourceRequirementsArgs{Requests: amounts, Limits: amounts},
		SecurityContext: &corev1.SecurityContextArgs{
			AllowPrivilegeEscalation: pulumi.Bool(false),
			Capabilities:             &corev1.CapabilitiesArgs{Drop: pulumi.ToStringArray([]string{"ALL"})},
			ReadOnlyRootFilesystem:   pulumi.Bool(true),
		},
	}
}

func (w *watch) metadata() *metav1.ObjectMetaArgs {
	return &metav1.ObjectMetaArgs{
		Name: pulumi.String(watchName), Namespace: w.namespace.Metadata.Name().Elem(), Labels: labels(),
	}
}

func selector() pulumi.StringMap {
	return pulumi.StringMap{"app.kubernetes.io/name": pulumi.String(watchName)}
}

func labels() pulumi.StringMap {
	labels := selector()
	labels["app.kubernetes.io/part-of"] = pulumi.String("iris-consumer")
	labels["app.kubernetes.io/managed-by"] = pulumi.String("pulumi")
	return labels
}
