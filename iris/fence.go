package iris

import (
	"fmt"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

const (
	fenceName      = "iris-fence"
	fenceContainer = "fence"
	fenceDir       = "/run/ha-iris/fence"
	volumeFence    = "fence"
	// volumeToken is where a client of the API server looks for its token. Only this container has one.
	volumeToken = "api-token"
	tokenDir    = "/var/run/secrets/kubernetes.io/serviceaccount"
	// tokenSeconds is Kubernetes' own lifetime of such a token; the kubelet renews it long before.
	tokenSeconds = 3607
	// fencePort serves the kubelet's probe and the metrics.
	fencePort     = 8091
	fencePortName = "fence"
)

// admission is what iris-main runs before it starts IRIS: it returns once the check lets the database start. The kubelet restarts
// containers on a node that is cut off too.
func admission() []string {
	return []string{"--before", fenceDir + "/agent admit --dir " + fenceDir}
}

// release is what the kubelet runs before it stops the database's container: a start that waits for the check ends, and with it the container. It
// takes milliseconds where the database runs.
func release() *corev1.LifecycleArgs {
	return &corev1.LifecycleArgs{PreStop: &corev1.LifecycleHandlerArgs{Exec: &corev1.ExecActionArgs{
		Command: pulumi.ToStringArray([]string{fenceDir + "/agent", "admit", "--stop"}),
	}}}
}

// fence checks from inside the pod whether anything off its node can be reached, and stops the database's processes before the
// volume's engine goes on alone (agent/README.md). An init container that is always restarted starts before the database and ends after it.
func (c Config) fence() *corev1.ContainerArgs {
	healthz := &corev1.HTTPGetActionArgs{Path: pulumi.String("/healthz"), Port: pulumi.String(fencePortName)}
	return &corev1.ContainerArgs{
		Name:            pulumi.String(fenceContainer),
		Image:           pulumi.String(c.Failover.image()),
		ImagePullPolicy: pulumi.String("IfNotPresent"),
		RestartPolicy:   pulumi.String("Always"),
		Args: pulumi.ToStringArray([]string{
			"fence", "--namespace", "$(POD_NAMESPACE)", "--pod", "$(POD_NAME)", "--uid", "$(POD_UID)", "--node", "$(NODE_NAME)",
			"--guard-service", guardName, "--dir", fenceDir, "--listen", fmt.Sprintf(":%d", fencePort),
			// No known guard means that their list was not read, which is no reason to trust the network.
			"--without-peers", "fence",
		}),
		Env: corev1.EnvVarArray{
			fromField("POD_NAMESPACE", "metadata.namespace"), fromField("POD_NAME", "metadata.name"),
			fromField("POD_UID", "metadata.uid"), fromField("NODE_NAME", "spec.nodeName"),
		},
		Ports: corev1.ContainerPortArray{port(fencePortName, fencePort)},
		// It has to act within a second on a busy node. Its own program, copied for the database's container, counts as storage.
		Resources: resources("50m", "1", "64Mi", "128Mi"),
		// The database's container runs the program that it copies: it is there before that container starts.
		StartupProbe: &corev1.ProbeArgs{
			HttpGet: healthz, PeriodSeconds: pulumi.Int(1), TimeoutSeconds: pulumi.Int(5), FailureThreshold: pulumi.Int(60),
		},
		LivenessProbe: &corev1.ProbeArgs{
			HttpGet:       healthz,
			PeriodSeconds: pulumi.Int(alivePeriod),
			// A restart leaves the database unwatched for seconds: only what does not answer for half a minute is restarted.
			TimeoutSeconds: pulumi.Int(5), FailureThreshold: pulumi.Int(3),
		},
		TerminationMessagePolicy: pulumi.String(logsOnError),
		SecurityContext:          containerSecurity(true),
		VolumeMounts: corev1.VolumeMountArray{
			&corev1.VolumeMountArgs{Name: pulumi.String(volumeFence), MountPath: pulumi.String(fenceDir)},
			readOnly(volumeToken, tokenDir),
		},
	}
}

// fenceVolumes are the directory that the check shares with the database, and the token that only the check gets.
func fenceVolumes() corev1.VolumeArray {
	return corev1.VolumeArray{
		&corev1.VolumeArgs{
			Name:     pulumi.String(volumeFence),
			EmptyDir: &corev1.EmptyDirVolumeSourceArgs{SizeLimit: pulumi.String("128Mi")},
		},
		tokenVolume(),
	}
}

// tokenVolume is what Kubernetes mounts into every container when it is asked to mount a token at all.
func tokenVolume() *corev1.VolumeArgs {
	return &corev1.VolumeArgs{
		Name: pulumi.String(volumeToken),
		Projected: &corev1.ProjectedVolumeSourceArgs{
			DefaultMode: pulumi.Int(0o440),
			Sources: corev1.VolumeProjectionArray{
				&corev1.VolumeProjectionArgs{ServiceAccountToken: &corev1.ServiceAccountTokenProjectionArgs{
					Path: pulumi.String("token"), ExpirationSeconds: pulumi.Int(tokenSeconds),
				}},
				&corev1.VolumeProjectionArgs{ConfigMap: &corev1.ConfigMapProjectionArgs{
					Name:  pulumi.String("kube-root-ca.crt"), // Kubernetes keeps it in every namespace.
					Items: corev1.KeyToPathArray{&corev1.KeyToPathArgs{Key: pulumi.String("ca.crt"), Path: pulumi.String("ca.crt")}},
				}},
				&corev1.VolumeProjectionArgs{DownwardAPI: &corev1.DownwardAPIProjectionArgs{
					Items: corev1.DownwardAPIVolumeFileArray{&corev1.DownwardAPIVolumeFileArgs{
						Path: pulumi.String("namespace"), FieldRef: &corev1.ObjectFieldSelectorArgs{FieldPath: pulumi.String("metadata.namespace")},
					}},
				}},
			},
		},
	}
}

// withFence adds the check to the database's pod.
func (c Config) withFence(pod *corev1.PodSpecArgs) *corev1.PodSpecArgs {
	if !c.Failover.guarded() {
		return pod
	}
	// First, so that it is there before anything that could touch the data.
	pod.InitContainers = append(corev1.ContainerArray{c.fence()}, c.mergeContainer())
	// It signals the processes of its neighbour, which has the same user.
	pod.ShareProcessNamespace = pulumi.Bool(true)
	pod.ServiceAccountName = pulumi.String(fenceName)
	return pod
}

func fromField(name, path string) *corev1.EnvVarArgs {
	return &corev1.EnvVarArgs{Name: pulumi.String(name), ValueFrom: &corev1.EnvVarSourceArgs{
		FieldRef: &corev1.ObjectFieldSelectorArgs{FieldPath: pulumi.String(path)},
	}}
}
