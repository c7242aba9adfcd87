package iris

import (
	"fmt"
	"slices"

	batchv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/batch/v1"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	networkingv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/networking/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Backups are the backups for which IRIS is frozen, as the storage is configured for them.
type Backups struct {
	// Wanted says that there is a target for them and nobody has switched them off.
	Wanted bool
	// Cron is when they are made, in UTC, and Retain how many are kept.
	Cron   string
	Retain int
	// Secret says that Cron may be a secret value, which the program then keeps as one.
	Secret bool
}

const (
	backupName      = "iris-backup-consistent"
	backupContainer = "backup"
	// The agent's own times (agent/internal/backup, Default): until a backup can begin, for Longhorn's part, and until the dead man has thawed.
	backupPatience = 10 * 60
	backupTimeout  = 6 * 60 * 60
	backupFreeze   = 90
	// backupDeadline is all of that and 20 min for what lies between.
	backupDeadline = backupPatience + backupTimeout + 20*60
	// backupGrace is what a pod that is told to stop while IRIS is frozen may take: as long as the thaw is tried, and an event.
	backupGrace = backupFreeze + 60
	// backupLate is how late a backup may begin, because the cluster was away when it was due. One at noon is better than none.
	backupLate = 60 * 60
	// backupRetries are beside the first attempt. Each begins with a look at what the last one has left.
	backupRetries = 2
	// backupRemembered is how long a job that has ended is kept: an alert on a failed one lasts over a weekend.
	backupRemembered = 3 * 24 * 60 * 60
	backupHistory    = 3
)

// backsUp says whether backups are made while IRIS is frozen.
func (c Config) backsUp() bool {
	return c.Backups.Wanted && c.Failover.image() != "" && c.LonghornNamespace != ""
}

// whyNoBackup is why no backups are made while IRIS is frozen; empty: they are.
func (c Config) whyNoBackup() string {
	switch {
	case c.backsUp():
		return ""
	case c.LonghornNamespace == "":
		return "the storage is not this stack's"
	case !c.Backups.Wanted:
		return "storage.backup has no target, or storage.backup.consistent.enabled is false"
	default:
		return "no image of the agent is known (failover.image)"
	}
}

// backupRemark is what a preview says of the backups, or nothing.
func (c Config) backupRemark() string {
	if !c.Backups.Wanted || c.backsUp() {
		return ""
	}
	return "no image of the agent is known, so that backups are crash-consistent only: IRIS recovers from them as from a power cut, and none is kept " +
		"for longer than storage.backup.retain says. To get daily ones for which IRIS is frozen: make agent-image REPO=YOUR_REGISTRY/NAME, then " +
		"pulumi config set --path failover.image THE_IMAGE. Without: pulumi config set --path storage.backup.consistent.enabled false"
}

// backupComponent makes one backup at a time (agent/README.md). It talks to the API server, whose address a policy cannot name, and nobody
// talks to it; that it executes something in the database's pod goes through the API server too.
func (c Config) backupComponent() component {
	return component{
		name: "backup", app: backupName, pod: c.backupPod(),
		network: &network{egress: networkingv1.NetworkPolicyEgressRuleArray{&networkingv1.NetworkPolicyEgressRuleArgs{}}},
	}
}

// backups creates the schedule, with what its pods may do.
func (s *scope) backups(
	data *data, configuration *configuration, policies *policies, args *Args, filled pulumi.ResourceOption,
) ([]pulumi.Resource, error) {
	if !s.cfg.backsUp() {
		return nil, nil
	}
	rights, err := s.backupRights(data.namespace, args.After)
	if err != nil {
		return nil, err
	}
	own := s.cfg.backupComponent()
	pod := own.pod
	pod.ImagePullSecrets = configuration.pullSecrets
	container := s.cfg.backupContainer()
	name, number := args.Owner.Marks()
	container.Env = corev1.EnvVarArray{
		&corev1.EnvVarArgs{Name: pulumi.String("STACK_NAME"), Value: name}, &corev1.EnvVarArgs{Name: pulumi.String("STACK_NUMBER"), Value: number},
		// By its job's name a run knows whether the schedule has made it.
		fromField("JOB_NAME", "metadata.labels['batch.kubernetes.io/job-name']"),
	}
	pod.Containers = corev1.ContainerArray{container}
	template, err := policies.template(own, nil, pod)
	if err != nil {
		return nil, err
	}
	// Nothing in the pod refers to the policies or the roles.
	nightly, err := s.schedule(data.namespace, own, template, schedule{
		name: backupName, cron: cron(s.cfg.Backups.Cron, s.cfg.Backups.Secret), deadline: backupDeadline, retries: backupRetries,
	},
		// The claim, because the hook waits for it.
		pulumi.DependsOn(slices.Concat(rights, policies.of(own), []pulumi.Resource{data.claim})),
		filled, // It backs one claim up. While a new one is filled, or if that fails, that is the one that the database runs on.
	)
	return append(rights, nightly), err
}

// schedule is what is done again and again.
type schedule struct {
	// name is the CronJob's.
	name string
	cron pulumi.StringInput
	// deadline is how long a job may take, in seconds, and retries how many attempts there are beside the first.
	deadline, retries int
}

func (s *scope) schedule(
	in *namespace, own component, template *corev1.PodTemplateSpecArgs, what schedule, options ...pulumi.ResourceOption,
) (*batchv1.CronJob, error) {
	job, err := batchv1.NewCronJob(s.ctx, what.name, &batchv1.CronJobArgs{
		Metadata: in.metadata(own, what.name, exceptionAnnotations(backupExceptions())),
		Spec: &batchv1.CronJobSpecArgs{
			Schedule: what.cron,
			TimeZone: pulumi.String("Etc/UTC"), // As Longhorn's; otherwise it is the control plane's.
			// Two at once would wait for each other.
			ConcurrencyPolicy:          pulumi.String("Forbid"),
			StartingDeadlineSeconds:    pulumi.Int(backupLate),
			SuccessfulJobsHistoryLimit: pulumi.Int(backupHistory),
			FailedJobsHistoryLimit:     pulumi.Int(backupHistory),
			JobTemplate: &batchv1.JobTemplateSpecArgs{
				Metadata: &metav1.ObjectMetaArgs{Labels: own.labels()}, // Jobs are looked for by them.
				Spec: &batchv1.JobSpecArgs{
					ActiveDeadlineSeconds:   pulumi.Int(what.deadline),
					BackoffLimit:            pulumi.Int(what.retries),
					TtlSecondsAfterFinished: pulumi.Int(backupRemembered),
					Template:                template,
				},
			},
		},
	}, s.options(options...)...)
	return job, creating("CronJob "+what.name, err)
}

// cron is when something is due. One that was stored encrypted is kept so.
func cron(text string, secret bool) pulumi.StringInput {
	if !secret {
		return pulumi.String(text)
	}
	if hidden, ok := pulumi.ToSecret(pulumi.String(text)).(pulumi.StringOutput); ok {
		return hidden
	}
	return pulumi.StringOutput{} // ToSecret keeps the element type, so this is unreachable; an unknown output leaks nothing.
}

// backupPod is the pod without what refers to other objects.
func (c Config) backupPod() *corev1.PodSpecArgs {
	return &corev1.PodSpecArgs{
		Containers:         corev1.ContainerArray{c.backupContainer()},
		ServiceAccountName: pulumi.String(backupName),
		Volumes:            corev1.VolumeArray{tokenVolume()},
		// A token for the one container, as a volume of its own.
		AutomountServiceAccountToken: pulumi.Bool(false),
		EnableServiceLinks:           pulumi.Bool(false),
		RestartPolicy:                pulumi.String("Never"), // Each attempt is a pod, whose log stays.
		SecurityContext: &corev1.PodSecurityContextArgs{
			RunAsNonRoot: pulumi.Bool(true), RunAsUser: pulumi.Int(guardUser), RunAsGroup: pulumi.Int(guardUser),
			FsGroup:        pulumi.Int(guardUser), // The token's file.
			SeccompProfile: &corev1.SeccompProfileArgs{Type: pulumi.String("RuntimeDefault")},
		},
		TerminationGracePeriodSeconds: pulumi.Int(backupGrace),
	}
}

func (c Config) backupContainer() *corev1.ContainerArgs {
	security := containerSecurity(true)
	security.RunAsUser, security.RunAsGroup = pulumi.Int(guardUser), pulumi.Int(guardUser)
	seconds := func(name string, value int) string { return fmt.Sprintf("--%s=%ds", name, value) }
	return &corev1.ContainerArgs{
		Name:            pulumi.String(backupContainer),
		Image:           pulumi.String(c.Failover.image()),
		ImagePullPolicy: pulumi.String("IfNotPresent"),
		Args: pulumi.ToStringArray([]string{
			"backup", "--namespace", c.Namespace, "--claim", c.claimName(), "--deployment", deploymentName, "--container", irisContainerName,
			"--longhorn-namespace", c.LonghornNamespace, "--owner", "$(STACK_NUMBER)", "--stack", "$(STACK_NAME)", "--cron-job", backupName, "--job", "$(JOB_NAME)",
			fmt.Sprintf("--retain=%d", c.Backups.Retain), seconds("freeze-limit", backupFreeze), seconds("timeout", backupTimeout),
			seconds("patience", backupPatience),
		}),
		Resources:                resources("20m", "500m", "96Mi", "16Mi"),
		TerminationMessagePolicy: pulumi.String(logsOnError),
		SecurityContext:          security,
		VolumeMounts:             corev1.VolumeMountArray{readOnly(volumeToken, tokenDir)},
	}
}
