package iris

import (
	"fmt"
	"slices"
	"time"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	networkingv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/networking/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Verifications are restores of the last backup into a copy that is checked and deleted, as the storage is configured for them.
type Verifications struct {
	// Wanted says that somebody has asked for them, and that there is a target.
	Wanted bool
	// Cron is when they are made, in UTC, and Interval the longest time between two.
	Cron     string
	Interval time.Duration
	// Secret says that Cron may be a secret value, which the program then keeps as one.
	Secret bool
}

const (
	verifyName      = "iris-verify"
	verifyContainer = "verify"
	// copyName is the name of the copy's pod, claim and PodTemplate, and its pod's label.
	copyName = "iris-verify-copy"
	// The agent's own times (agent/internal/verify, Default), in seconds.
	verifyPatience = 10 * 60
	verifyRestore  = 6 * 60 * 60
	verifyCheck    = 12 * 60 * 60
	verifyCleanup  = 4 * 60
	// verifyGrace is what a pod that is told to stop may take: the result, and the copy's end.
	verifyGrace = verifyCleanup + 90
	// copyGrace is how long the copy's stop may take, in seconds, whatever the database's may: nobody needs what is in the copy, so that it need
	// not be stopped in order, but 0 would delete the pod without waiting for its processes, which may hold the volume still.
	copyGrace = 30
	// verifyWaits is how often a run waits as long as verifyPatience: for the sweep, a backup, the class, the claim, the pod and the marker rows.
	verifyWaits = 6
	// verifyRetries is one: a node may be lost in the middle. A bad backup is final, which the agent sees to: with a podFailurePolicy the Job would
	// wait for a lost node before it tries again (Kubernetes' Job API, podReplacementPolicy).
	verifyRetries = 1
)

// verifies says whether backups are verified.
func (c Config) verifies() bool {
	return c.Verifications.Wanted && c.Failover.image() != "" && c.LonghornNamespace != ""
}

// verifyRemark is what a preview says of the verifications, or nothing.
func (c Config) verifyRemark() string {
	if !c.Verifications.Wanted || c.verifies() {
		return ""
	}
	return "storage.backup.verify.enabled is true and no image of the agent is known, so that no backup is verified. To get one: make agent-image " +
		"REPO=YOUR_REGISTRY/NAME, then pulumi config set --path failover.image THE_IMAGE"
}

// verifyStart is how long IRIS may take to start on the copy, in seconds: as long as the database, and the same again for a node and the image.
func (c Config) verifyStart() int { return c.RecoveryBudgetSeconds + awaitMargin }

// verifyDeadline is all that a job may take, in seconds: each attempt all that one may. It waits twice for IRIS: until it is ready, and until it admits a login.
func (c Config) verifyDeadline() int {
	return (1 + verifyRetries) * (verifyWaits*verifyPatience + verifyRestore + 2*c.verifyStart() + verifyCheck + verifyGrace + 20*60)
}

func (c Config) verifyClass() string { return "ha-iris-verify-" + c.Namespace }

// verifyComponent makes one verification at a time (agent/README.md). It talks to the API server, whose address a policy cannot name.
func (c Config) verifyComponent() component {
	return component{
		name: "verify", app: verifyName, pod: c.verifyPod(),
		network: &network{egress: networkingv1.NetworkPolicyEgressRuleArray{&networkingv1.NetworkPolicyEgressRuleArgs{}}},
	}
}

// copyComponent is IRIS on the copy. It is isolated: nobody may reach it, and it may reach nobody, or what the application in the database sends
// would be sent twice.
func (c Config) copyComponent() component {
	return component{name: "verify-copy", app: copyName, isolated: true, pod: c.copyPod()}
}

// verifications creates the schedule, what its pods may do, and what the copy is made from. Another image is the copy's only once the database
// has it: a change of the image may be refused or wait for hours, and no newer release starts on a backup of the older one, which was not stopped
// in order (ADOCK 5.7).
func (s *scope) verifications(
	data *data, configuration *configuration, policies *policies, database pulumi.Resource, args *Args, filled pulumi.ResourceOption,
) error {
	if !s.cfg.verifies() {
		return nil
	}
	rights, err := s.verifyRights(data.namespace, database, args.After)
	if err != nil {
		return err
	}
	copied, err := s.copyTemplate(data.namespace, configuration, policies, database)
	if err != nil {
		return err
	}
	own := s.cfg.verifyComponent()
	pod := own.pod
	pod.ImagePullSecrets = configuration.pullSecrets
	container := s.cfg.verifyContainer()
	name, number := args.Owner.Marks()
	container.Env = corev1.EnvVarArray{
		&corev1.EnvVarArgs{Name: pulumi.String("STACK_NAME"), Value: name}, &corev1.EnvVarArgs{Name: pulumi.String("STACK_NUMBER"), Value: number},
		fromField("POD_NAME", "metadata.name"), fromField("POD_UID", "metadata.uid"),
	}
	pod.Containers = corev1.ContainerArray{container}
	template, err := policies.template(own, nil, pod)
	if err != nil {
		return err
	}
	verifications := s.cfg.Verifications
	_, err = s.schedule(data.namespace, own, template, schedule{
		name: verifyName, cron: cron(verifications.Cron, verifications.Secret), deadline: s.cfg.verifyDeadline(), retries: verifyRetries,
		// Nothing in the pod refers to the policies, the roles or the template.
	}, pulumi.DependsOn(slices.Concat(rights, policies.of(own), []pulumi.Resource{copied, data.claim})), filled)
	return err
}

// copyTemplate is what agent verify makes the copy's pod from: what it runs, and with which settings, is decided here.
func (s *scope) copyTemplate(
	in *namespace, configuration *configuration, policies *policies, database pulumi.Resource,
) (pulumi.Resource, error) {
	own := s.cfg.copyComponent()
	pod := own.pod
	pod.ImagePullSecrets = configuration.pullSecrets
	pod.Volumes = append(s.cfg.copyVolumes(), configuration.only(volumeSettings, volumeCredentials, volumeLicense)...)
	template, err := policies.template(own, nil, pod)
	if err != nil {
		return nil, err
	}
	object, err := corev1.NewPodTemplate(s.ctx, copyName, &corev1.PodTemplateArgs{
		Metadata: in.metadata(own, copyName, nil), Template: template,
	}, s.options(pulumi.DependsOn(append(policies.of(own), database)))...)
	return object, creating("PodTemplate "+copyName, err)
}

// only are the volumes of these names.
func (c *configuration) only(names ...string) corev1.VolumeArray {
	var found corev1.VolumeArray
	for _, one := range c.volumes {
		volume, _ := one.(*corev1.VolumeArgs)
		if volume == nil {
			continue
		}
		if name, _ := volume.Name.(pulumi.String); slices.Contains(names, string(name)) {
			found = append(found, volume)
		}
	}
	return found
}

func (c Config) copyVolumes() corev1.VolumeArray {
	return append(corev1.VolumeArray{&corev1.VolumeArgs{
		Name: pulumi.String(volumeData),
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSourceArgs{
			ClaimName: pulumi.String(copyName),
		},
	}}, mergeVolume())
}

// copyPod is the database's pod without its claim, its Service's label, the check beside it, the web servers and every way to the network. Image,
// settings, memory and users are the same, and so is the host's name: with another one IRIS logs a failover.
func (c Config) copyPod() *corev1.PodSpecArgs {
	alone := c
	alone.Failover.Mode = FailoverLonghorn // No check in the pod: nothing of it is on another node.
	alone.WebGateway.Enabled = true        // No script for the web server of its own.
	database := alone.irisContainer()
	database.Ports, database.LivenessProbe = nil, nil // One that is ended by a probe is none that can be looked at.
	merge := c.mergeContainer()
	merge.Command = pulumi.ToStringArray([]string{"/bin/sh", "-c", joinCommand(settingsDir, credentialDir, mergeDir, copySettings()...)})
	return &corev1.PodSpecArgs{
		Hostname:        pulumi.String("iris"),
		InitContainers:  corev1.ContainerArray{merge},
		Containers:      corev1.ContainerArray{database},
		NodeSelector:    c.nodeSelector(),
		Tolerations:     c.tolerations(),
		Affinity:        awayFromTheDatabase(), // Its reads, where there is another node.
		SecurityContext: podSecurity(),
		// A policy does not hold in every network. Without names little is found in any.
		DnsPolicy:                     pulumi.String("None"),
		DnsConfig:                     &corev1.PodDNSConfigArgs{Nameservers: pulumi.ToStringArray([]string{"127.0.0.1"})},
		AutomountServiceAccountToken:  pulumi.Bool(false),
		EnableServiceLinks:            pulumi.Bool(false),
		RestartPolicy:                 pulumi.String("Never"), // A start that fails is what is looked for.
		TerminationGracePeriodSeconds: pulumi.Int(copyGrace),
	}
}

// copySettings are lines for [Startup] that only the copy's merge file has, which lacks iris.actions: what those have made in the database is in its
// backup, and again they would work on what the database works on. In [Startup] the first half of the file ends, and later lines win over earlier
// ones (ACMF). So would productions that start by themselves (RACS EnsembleAutoStart).
func copySettings() []string { return []string{"EnsembleAutoStart=0"} }

// verifyPod is the run's own pod without what refers to other objects.
func (c Config) verifyPod() *corev1.PodSpecArgs {
	pod := c.backupPod()
	pod.Containers = corev1.ContainerArray{c.verifyContainer()}
	pod.ServiceAccountName = pulumi.String(verifyName)
	pod.TerminationGracePeriodSeconds = pulumi.Int(verifyGrace)
	return pod
}

func (c Config) verifyContainer() *corev1.ContainerArgs {
	container := c.backupContainer()
	container.Name = pulumi.String(verifyContainer)
	seconds := func(name string, value int) string { return fmt.Sprintf("--%s=%ds", name, value) }
	container.Args = pulumi.ToStringArray([]string{
		"verify", "--namespace", c.Namespace, "--claim", c.claimName(), "--deployment", deploymentName, "--container", irisContainerName,
		"--longhorn-namespace", c.LonghornNamespace, "--owner", "$(STACK_NUMBER)", "--stack", "$(STACK_NAME)", "--template", copyName, "--copy", copyName,
		"--class", c.verifyClass(), "--results", verifyName, "--pod", "$(POD_NAME)", "--pod-uid", "$(POD_UID)", seconds("patience", verifyPatience),
		seconds("restore-timeout", verifyRestore), seconds("start-timeout", c.verifyStart()), seconds("check-timeout", verifyCheck),
		seconds("cleanup-budget", verifyCleanup),
	})
	return container
}
