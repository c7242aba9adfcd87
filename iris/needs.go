package iris

import (
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/survey"
	"ha-iris/internal/wire"
)

// communityCores is the largest number of cores on which the Community edition starts. It counts those that it sees, and a pod's
// CPU limit hides none of them (ACLOUD, Community Edition's limits).
const communityCores = 20

// MaxCores is the largest number of cores of a node on which the configured edition starts; 0: any.
func (c Config) MaxCores() int {
	if c.Edition == Community {
		return communityCores
	}
	return 0
}

// Needs is what the database asks of a cluster that exists already. The configuration is valid.
func (c Config) Needs() survey.Database {
	size, _ := c.VolumeBytes() // Validated.
	needs := survey.Database{
		Namespace: c.Namespace, Deployment: deploymentName, Claim: c.claimName(), Service: serviceName, DaemonSet: prePullName,
		PriorityClass:  c.priorityClassName(),
		ServiceMonitor: c.Metrics == ServiceMonitor,
		PrometheusRule: c.Alerts,
		VolumeBytes:    size,
		OncePerPod:     c.AccessMode == ReadWriteOncePod,
		MaxCores:       c.MaxCores(),
		GuardRoles:     c.guardNamespaces(),
		BackupRoles:    c.backupNamespaces(),
		Asks:           c.asks(),
		VerifyRoles:    c.verifyNamespaces(),
	}
	if c.Failover.mode() != FailoverGuard {
		needs.GuardMark = c.guardMark()
	}
	database := c.database().name
	for _, one := range c.components() {
		pod := withoutObjects(one.podLabels(), one.pod)
		switch {
		case one.name == database:
			needs.Pod = pod
		case one.perNode:
			needs.PerNode = append(needs.PerNode, pod)
		default:
			for range max(one.replicas, 1) {
				needs.Beside = append(needs.Beside, pod)
			}
		}
	}
	ports := 1
	if c.Service.Superserver {
		ports = 2
	}
	if c.Service.Type == LoadBalancer {
		needs.LoadBalancers = 1
	}
	if c.Service.external() {
		needs.NodePorts = ports
	}
	return needs
}

// asks are the requests of this package's own: to wait for the database, to have it backed up before another image, and to restore.
func (c Config) asks() []survey.Right {
	get, list := []string{"get"}, []string{"list"}
	asks := survey.Rights(c.Namespace, list, "pods")
	if c.backsUp() {
		asks = append(asks, survey.Rights(c.Namespace, []string{"get", "list", "create"}, "jobs.batch")...)
		asks = append(asks, survey.Rights(c.LonghornNamespace, get, "backuptargets.longhorn.io")...)
		asks = append(asks, survey.Rights(c.LonghornNamespace, list, "backups.longhorn.io")...)
	}
	if restores := c.RestoreFrom.String() != ""; restores || c.OldestGeneration < c.Generation {
		asks = append(asks, survey.Rights("", []string{"get", "list"}, "persistentvolumes")...)
		asks = append(asks, survey.Rights("", get, "storageclasses.storage.k8s.io")...)
	}
	if c.RestoreFrom.Snapshot != "" {
		asks = append(asks, survey.Rights(c.Namespace, get, "volumesnapshots.snapshot.storage.k8s.io")...)
	}
	return asks
}

// withoutObjects is a pod as the API server gets it, with empty directories in place of all volumes and the namespace's own account.
func withoutObjects(labels pulumi.StringMap, spec *corev1.PodSpecArgs) map[string]any {
	volumes := corev1.VolumeArray{}
	seen := map[pulumi.StringInput]bool{}
	for _, containers := range []corev1.ContainerArrayInput{spec.InitContainers, spec.Containers} {
		for _, mount := range mountsOf(containers) {
			if !seen[mount.Name] {
				seen[mount.Name] = true
				volumes = append(volumes, &corev1.VolumeArgs{Name: mount.Name, EmptyDir: &corev1.EmptyDirVolumeSourceArgs{}})
			}
		}
	}
	if len(volumes) > 0 {
		spec.Volumes = volumes
	}
	spec.ServiceAccountName = nil // Not there before the first up, and the API server would refuse the pod for it.
	return map[string]any{"metadata": map[string]any{"labels": wire.Of(labels)}, "spec": wire.Of(spec)}
}

func mountsOf(containers corev1.ContainerArrayInput) []*corev1.VolumeMountArgs {
	var mounts []*corev1.VolumeMountArgs
	list, _ := containers.(corev1.ContainerArray)
	for _, one := range list {
		own, _ := one.(*corev1.ContainerArgs)
		if own == nil {
			continue
		}
		array, _ := own.VolumeMounts.(corev1.VolumeMountArray)
		for _, mount := range array {
			if mount, ok := mount.(*corev1.VolumeMountArgs); ok {
				mounts = append(mounts, mount)
			}
		}
	}
	return mounts
}
