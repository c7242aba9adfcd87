package iris

import (
	"fmt"
	"slices"

	appsv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apps/v1"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	schedulingv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/scheduling/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

const (
	// user runs IRIS in the vendor's images; the group also owns the volume's files (ADOCK 5.2.6).
	user = 51773
	// priority is above every ordinary pod (0) and far below the system's (2,000,000,000): when the surviving nodes are
	// full, the database takes the place of something else instead of waiting for a new node.
	priority = 1_000_000
	// The article's paths. The directory is below the mount, because ext4's lost+found makes the mount's root look like a
	// damaged instance (ADOCK 5.4.3).
	dataMount     = "/external"
	dataDirectory = dataMount + "/iris"
	// Outside the data volume: nested in it, the kubelet would create directories there that belong to root.
	mergeDir      = "/run/ha-iris/merge"
	settingsDir   = "/run/ha-iris/settings"
	credentialDir = "/run/ha-iris/credentials"
	licenseDir    = "/run/ha-iris/license"
	scriptsDir    = "/run/ha-iris/scripts"
	// awaitMargin is added to the recovery budget wherever Pulumi or Kubernetes waits for the pod: scheduling, attaching
	// the volume and pulling the image on a slow line.
	awaitMargin = 600
)

// workload runs the database. after are the guard and what makes its backups, which its guards may use.
func (s *scope) workload(
	data *data, configuration *configuration, policies *policies, class *schedulingv1.PriorityClass, after []pulumi.Resource,
	rollout *rollout, guards ...pulumi.ResourceOption,
) (*appsv1.Deployment, error) {
	own := s.cfg.database()
	pod := own.pod
	pod.PriorityClassName = class.Metadata.Name().Elem()
	pod.ImagePullSecrets = configuration.pullSecrets
	volumes := append(dataVolumes(data.claim), configuration.volumes...)
	if s.cfg.Failover.guarded() {
		volumes = append(volumes, fenceVolumes()...)
	}
	pod.Volumes = volumes
	template, err := policies.template(own, configuration.annotations, pod)
	if err != nil {
		return nil, err
	}
	written, err := rollout.option(s.ctx, s.name)
	if err != nil {
		return nil, err
	}
	return s.deployment(data.namespace, template, slices.Concat(policies.of(own), after), append(guards, written)...)
}

func (s *scope) priorityClass(namespace *namespace) (*schedulingv1.PriorityClass, error) {
	class, err := schedulingv1.NewPriorityClass(s.ctx, "priority-class", &schedulingv1.PriorityClassArgs{
		Metadata: &metav1.ObjectMetaArgs{
			// Priority classes have no namespace; the namespace in the name keeps two stacks on a cluster apart.
			Name:   pulumi.String(s.cfg.priorityClassName()),
			Labels: s.cfg.database().labels(),
		},
		Value:       pulumi.Int(priority),
		Description: pulumi.String("The IRIS database in namespace " + s.cfg.Namespace),
		// It is not in the namespace, but on the wrong cluster the namespace is what refuses the update.
	}, s.options(pulumi.DependsOn([]pulumi.Resource{namespace.object}))...)
	return class, creating("PriorityClass", err)
}

func (c Config) priorityClassName() string { return "ha-iris-" + c.Namespace }

// deployment creates the article's Deployment. One pod, and never two: a second one on the same directory damages
// the data (ADOCK 5.4). Recreate only orders roll-outs; what keeps a replacement for a *lost* pod from starting beside it
// is the claim's ReadWriteOncePod.
func (s *scope) deployment(
	in *namespace, template *corev1.PodTemplateSpecArgs, after []pulumi.Resource, hooks ...pulumi.ResourceOption,
) (*appsv1.Deployment, error) {
	timeout := fmt.Sprintf("%ds", s.cfg.RecoveryBudgetSeconds+awaitMargin)
	deployment, err := appsv1.NewDeployment(s.ctx, deploymentName, &appsv1.DeploymentArgs{
		Metadata: in.metadata(s.cfg.database(), deploymentName, deploymentAnnotations()),
		Spec: &appsv1.DeploymentSpecArgs{
			Replicas: pulumi.Int(s.cfg.Replicas),
			Selector: &metav1.LabelSelectorArgs{MatchLabels: s.cfg.database().selector()},
			Strategy: &appsv1.DeploymentStrategyArgs{Type: pulumi.String("Recreate")},
			// Kubernetes' 600 s would report a long recovery as a failed roll-out.
			ProgressDeadlineSeconds: pulumi.Int(s.cfg.RecoveryBudgetSeconds + awaitMargin),
			Template:                template,
		},
	}, s.options(append(hooks,
		pulumi.Timeouts(&pulumi.CustomTimeouts{Create: timeout, Update: timeout}),
		pulumi.DependsOn(after), // The policies: nothing in the pod refers to them, and it must not run without them.
	)...)...)
	return deployment, creating("Deployment "+deploymentName, err)
}

// pod is the database's pod without what refers to other objects.
func (c Config) pod() *corev1.PodSpecArgs {
	containers := corev1.ContainerArray{c.irisContainer()}
	if c.usesWebGateway() {
		containers = append(containers, c.gatewayContainer())
	}
	return c.withFence(&corev1.PodSpecArgs{
		// A new name at every start makes IRIS log a failover and report itself unwell for minutes (CLS SYS.Container).
		Hostname:        pulumi.String("iris"),
		InitContainers:  corev1.ContainerArray{c.mergeContainer()},
		Containers:      containers,
		NodeSelector:    c.nodeSelector(),
		Tolerations:     c.tolerations(),
		Affinity:        c.databaseAffinity(),
		SecurityContext: podSecurity(),
		// No container talks to the Kubernetes API but the check in the pod, which mounts a token of its own.
		AutomountServiceAccountToken: pulumi.Bool(false),
		// The variables that Kubernetes would add for each Service begin with IRIS_, which IRIS' own tools read too.
		EnableServiceLinks:            pulumi.Bool(false),
		TerminationGracePeriodSeconds: pulumi.Int(c.stopGrace()),
	})
}

const (
	// orderlyStop is how long a stop in order may take: IRIS ends processes that stay after 120 s (ShutdownTimeout), and waits up to 30 s
	// more for them to leave shared memory (GSA).
	orderlyStop = 120 + 30
	// guardedGrace is more than that. A stop that is cut short is a crash, and an upgrade after a crash is refused.
	guardedGrace = 180
	// unguardedGrace is enough for most stops, 3 to 15 s and those 30 s more: Longhorn waits this time out before it frees the
	// volume of a dead node, so every second more is a second of downtime.
	unguardedGrace = 45
)

// stopGrace is the pod's grace period in seconds.
func (c Config) stopGrace() int {
	switch {
	case c.TerminationGracePeriodSeconds != 0:
		return c.TerminationGracePeriodSeconds
	case c.Failover.mode() == FailoverGuard:
		return guardedGrace
	default:
		return unguardedGrace
	}
}

// podSecurity satisfies Pod Security "restricted".
func podSecurity() *corev1.PodSecurityContextArgs {
	return &corev1.PodSecurityContextArgs{
		RunAsNonRoot: pulumi.Bool(true),
		RunAsUser:    pulumi.Int(user),
		RunAsGroup:   pulumi.Int(user),
		// Required by the vendor (ADOCK 5.4.3): a new volume belongs to root.
		FsGroup: pulumi.Int(user),
		// IRIS itself owns every file it makes, so walking through all of them at each mount would only cost time.
		FsGroupChangePolicy: pulumi.String("OnRootMismatch"),
		SeccompProfile:      &corev1.SeccompProfileArgs{Type: pulumi.String("RuntimeDefault")},
	}
}

func containerSecurity(readOnlyRoot bool) *corev1.SecurityContextArgs {
	return &corev1.SecurityContextArgs{
		AllowPrivilegeEscalation: pulumi.Bool(false),
		Capabilities:             &corev1.CapabilitiesArgs{Drop: pulumi.ToStringArray([]string{"ALL"})},
		ReadOnlyRootFilesystem:   pulumi.Bool(readOnlyRoot),
		RunAsNonRoot:             pulumi.Bool(true),
		RunAsUser:                pulumi.Int(user),
		RunAsGroup:               pulumi.Int(user),
	}
}

func (c Config) nodeSelector() pulumi.StringMapInput {
	if c.Architecture == "" {
		return nil
	}
	return pulumi.StringMap{"kubernetes.io/arch": pulumi.String(c.Architecture)}
}

// tolerations replace the 300 s that Kubernetes adds to a pod without any (DefaultTolerationSeconds).
func (c Config) tolerations() corev1.TolerationArray { return tolerate(c.TolerationSeconds) }

// tolerate is how long a pod stays on a node that is not ready or unreachable.
func tolerate(seconds int) corev1.TolerationArray {
	var tolerations corev1.TolerationArray
	for _, condition := range []string{"not-ready", "unreachable"} {
		tolerations = append(tolerations, &corev1.TolerationArgs{
			Key:               pulumi.String("node.kubernetes.io/" + condition),
			Operator:          pulumi.String("Exists"),
			Effect:            pulumi.String("NoExecute"),
			TolerationSeconds: pulumi.Int(seconds),
		})
	}
	return tolerations
}

// resources asks for memory and temporary storage in full (requests equal limits), because a pod that uses more than its
// request is among the first to be evicted when a node runs short. Processor time may exceed the request, so that
// a recovery can use what is idle.
func resources(cpu, cpuLimit, memory, ephemeral string) *corev1.ResourceRequirementsArgs {
	return &corev1.ResourceRequirementsArgs{
		Requests: pulumi.StringMap{
			"cpu": pulumi.String(cpu), "memory": pulumi.String(memory), "ephemeral-storage": pulumi.String(ephemeral),
		},
		Limits: pulumi.StringMap{
			"cpu": pulumi.String(cpuLimit), "memory": pulumi.String(memory), "ephemeral-storage": pulumi.String(ephemeral),
		},
	}
}
