package iris

import (
	"fmt"
	"slices"
	"strings"

	appsv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apps/v1"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	networkingv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/networking/v1"
	schedulingv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/scheduling/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

const (
	guardName = "iris-guard"
	// guardReplicas is two that the check in the pod can ask beside one on the database's own node: while the API server is away the check
	// goes on by their word, and a single one could be cut off together with it (agent/README.md).
	guardReplicas = 3
	guardPort     = 8090
	// guardPortName is what the check in the pod looks for in the Service.
	guardPortName = "alive"
	// guardTolerationSeconds is how long a guard stays on a node that is lost; another one leads within 20 s meanwhile.
	guardTolerationSeconds = 5
	// guardUser is the user "nonroot" of distroless images, which ko builds upon.
	guardUser   = 65532
	hostnameKey = "kubernetes.io/hostname"
	zoneKey     = "topology.kubernetes.io/zone"
)

// guardComponent frees the database of a lost node (agent/README.md). It talks to the API server, whose address a policy cannot name:
// that is each cloud's own.
func (c Config) guardComponent() component {
	ports := networkingv1.NetworkPolicyPortArray{policyPort(guardPort)}
	own := networkingv1.NetworkPolicyPeerArray{&networkingv1.NetworkPolicyPeerArgs{
		PodSelector: &metav1.LabelSelectorArgs{MatchLabels: pulumi.StringMap{"app": pulumi.String(deploymentName)}},
	}}
	ingress := networkingv1.NetworkPolicyIngressRuleArray{&networkingv1.NetworkPolicyIngressRuleArgs{From: own, Ports: ports}}
	if c.MonitoringNamespace != "" {
		ingress = append(ingress, &networkingv1.NetworkPolicyIngressRuleArgs{
			From: networkingv1.NetworkPolicyPeerArray{namespacePeer(c.MonitoringNamespace)}, Ports: ports,
		})
	}
	return component{
		name: "guard", app: guardName, pod: c.guardPod(), replicas: guardReplicas,
		network: &network{ingress: ingress, egress: networkingv1.NetworkPolicyEgressRuleArray{&networkingv1.NetworkPolicyEgressRuleArgs{}}},
	}
}

// guard creates the guard with what it may do. The database's pod waits for the account of its check, which is made here too.
//
// after are resources without which the storage's namespace is not there.
func (s *scope) guard(
	data *data, configuration *configuration, policies *policies, class *schedulingv1.PriorityClass, after []pulumi.Resource,
	filled pulumi.ResourceOption,
) ([]pulumi.Resource, error) {
	if !s.cfg.Failover.guarded() {
		return nil, nil
	}
	rights, err := s.guardRights(data.namespace, after)
	if err != nil {
		return nil, err
	}
	own := s.cfg.guardComponent()
	pod := own.pod
	pod.ImagePullSecrets = configuration.pullSecrets
	// The database's: a node that runs full must not lose its guard first.
	pod.PriorityClassName = class.Metadata.Name().Elem()
	template, err := policies.template(own, nil, pod)
	if err != nil {
		return nil, err
	}
	service, err := corev1.NewService(s.ctx, guardName, &corev1.ServiceArgs{
		Metadata: data.namespace.metadata(own, guardName, pulumi.StringMap{skipAwait: pulumi.String("true")}),
		Spec: &corev1.ServiceSpecArgs{
			ClusterIP: pulumi.String("None"), // Each guard is asked by its own address.
			Selector:  own.selector(),
			// One on a node whose kubelet is silent may be all that the check in the pod can reach.
			PublishNotReadyAddresses: pulumi.Bool(true),
			Ports: corev1.ServicePortArray{&corev1.ServicePortArgs{
				Name: pulumi.String(guardPortName), Port: pulumi.Int(guardPort), TargetPort: pulumi.String(guardPortName),
			}},
		},
	}, s.options()...)
	if err != nil {
		return nil, creating("Service "+guardName, err)
	}
	deployment, err := appsv1.NewDeployment(s.ctx, guardName, &appsv1.DeploymentArgs{
		Metadata: data.namespace.metadata(own, guardName, exceptionAnnotations(guardExceptions())),
		Spec: &appsv1.DeploymentSpecArgs{
			Replicas: pulumi.Int(guardReplicas),
			Selector: &metav1.LabelSelectorArgs{MatchLabels: own.selector()},
			// One at a time and never a fourth: the others answer meanwhile.
			Strategy: &appsv1.DeploymentStrategyArgs{
				Type:          pulumi.String("RollingUpdate"),
				RollingUpdate: &appsv1.RollingUpdateDeploymentArgs{MaxSurge: pulumi.Int(0), MaxUnavailable: pulumi.Int(1)},
			},
			Template: template,
		},
	}, s.options(
		// The claim, because the hook waits for it.
		pulumi.DependsOn(slices.Concat(rights, policies.of(own), []pulumi.Resource{data.claim})),
		filled, // It looks after one claim. While a new one is filled, that is the one that the database runs on.
	)...)
	return slices.Concat(rights, []pulumi.Resource{service, deployment}), creating("Deployment "+guardName, err)
}

// guardPod is the pod without what refers to other objects.
func (c Config) guardPod() *corev1.PodSpecArgs {
	return &corev1.PodSpecArgs{
		Containers:         corev1.ContainerArray{c.guardContainer()},
		ServiceAccountName: pulumi.String(guardName),
		Volumes:            corev1.VolumeArray{tokenVolume()},
		// A token for the one container, as a volume of its own.
		AutomountServiceAccountToken: pulumi.Bool(false),
		EnableServiceLinks:           pulumi.Bool(false),
		Tolerations:                  tolerate(guardTolerationSeconds),
		TopologySpreadConstraints:    guardSpread(),
		Affinity:                     c.guardAffinity(),
		SecurityContext: &corev1.PodSecurityContextArgs{
			RunAsNonRoot: pulumi.Bool(true), RunAsUser: pulumi.Int(guardUser), RunAsGroup: pulumi.Int(guardUser),
			FsGroup:        pulumi.Int(guardUser), // The token's file.
			SeccompProfile: &corev1.SeccompProfileArgs{Type: pulumi.String("RuntimeDefault")},
		},
		// It gives its Lease back at once.
		TerminationGracePeriodSeconds: pulumi.Int(minGrace),
	}
}

// guardSpread keeps the guards on different nodes, and in different zones where there are some. A node that nothing can be scheduled on does
// not count: with one of three down or drained, the third guard starts beside another one and the Deployment is complete.
func guardSpread() corev1.TopologySpreadConstraintArray {
	selector := &metav1.LabelSelectorArgs{MatchLabels: pulumi.StringMap{"app": pulumi.String(guardName)}}
	return corev1.TopologySpreadConstraintArray{
		&corev1.TopologySpreadConstraintArgs{
			TopologyKey: pulumi.String(hostnameKey), MaxSkew: pulumi.Int(1), WhenUnsatisfiable: pulumi.String("DoNotSchedule"),
			NodeTaintsPolicy: pulumi.String("Honor"), LabelSelector: selector,
		},
		&corev1.TopologySpreadConstraintArgs{
			TopologyKey: pulumi.String(zoneKey), MaxSkew: pulumi.Int(1), WhenUnsatisfiable: pulumi.String("ScheduleAnyway"),
			LabelSelector: selector,
		},
	}
}

func (c Config) guardContainer() *corev1.ContainerArgs {
	arguments := []string{
		"guard", "--mode", string(c.Failover.mode()), "--namespace", "$(POD_NAMESPACE)", "--pod", "$(POD_NAME)", "--node", "$(NODE_NAME)",
		"--claim", c.claimName(), "--longhorn-namespace=" + c.LonghornNamespace, "--lease", guardName, "--listen", fmt.Sprintf(":%d", guardPort),
		fmt.Sprintf("--fenced-storage=%t", c.Failover.FencedStorage),
	}
	if len(c.Failover.Proof) > 0 { // Otherwise those that the storage allows, as the guard knows them.
		arguments = append(arguments, "--proofs", strings.ReplaceAll(names(c.Failover.Proof), ", ", ","))
	}
	security := containerSecurity(true)
	security.RunAsUser, security.RunAsGroup = pulumi.Int(guardUser), pulumi.Int(guardUser)
	healthz := &corev1.HTTPGetActionArgs{Path: pulumi.String("/healthz"), Port: pulumi.String(guardPortName)}
	return &corev1.ContainerArgs{
		Name:            pulumi.String("guard"),
		Image:           pulumi.String(c.Failover.image()),
		ImagePullPolicy: pulumi.String("IfNotPresent"),
		Args:            pulumi.ToStringArray(arguments),
		Env: corev1.EnvVarArray{
			fromField("POD_NAMESPACE", "metadata.namespace"), fromField("POD_NAME", "metadata.name"), fromField("NODE_NAME", "spec.nodeName"),
		},
		Ports:     corev1.ContainerPortArray{port(guardPortName, guardPort)},
		Resources: resources("20m", "500m", "96Mi", "16Mi"),
		ReadinessProbe: &corev1.ProbeArgs{
			HttpGet:       &corev1.HTTPGetActionArgs{Path: pulumi.String("/readyz"), Port: pulumi.String(guardPortName)},
			PeriodSeconds: pulumi.Int(readyPeriod), FailureThreshold: pulumi.Int(readyFailures),
		},
		LivenessProbe: &corev1.ProbeArgs{
			HttpGet: healthz, PeriodSeconds: pulumi.Int(alivePeriod), TimeoutSeconds: pulumi.Int(5), FailureThreshold: pulumi.Int(3),
		},
		TerminationMessagePolicy: pulumi.String(logsOnError),
		SecurityContext:          security,
		VolumeMounts:             corev1.VolumeMountArray{readOnly(volumeToken, tokenDir)},
	}
}
