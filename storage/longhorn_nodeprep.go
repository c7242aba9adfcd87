package storage

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"maps"

	appsv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apps/v1"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// DefaultNodePrepImage needs only sh and nsenter; all other commands are the node's. A mirror or a digest
// works as well.
const DefaultNodePrepImage = "docker.io/library/busybox:1.37.0"

const (
	nodePrepName = "longhorn-node-prep"
	// nodePrepInterval is the interval in seconds at which a node is checked again, for example for a stopped iscsid. The load
	// is negligible.
	nodePrepInterval = 300
)

//go:embed nodeprep/prepare-node.sh
var nodePrepScript string

//go:embed nodeprep/loop.sh
var nodePrepLoop string

// nodePrepArgs is what the node preparation needs.
type nodePrepArgs struct {
	// Namespace must admit privileged pods.
	Namespace pulumi.StringInput
	// Image is a container image with sh and nsenter.
	Image pulumi.StringInput
}

// newNodePrep creates a DaemonSet that prepares every node that is there and every one that joins later, and that is
// ready on a node only once the node is. A resource that depends on it waits for all nodes: Longhorn's manager ends in a crash
// loop where iscsiadm is missing.
func newNodePrep(ctx *pulumi.Context, args nodePrepArgs, opts ...pulumi.ResourceOption) (*appsv1.DaemonSet, error) {
	scripts, err := corev1.NewConfigMap(ctx, nodePrepName, &corev1.ConfigMapArgs{
		Metadata: nodePrepMeta(args.Namespace),
		Data: pulumi.StringMap{
			"prepare-node.sh": pulumi.String(nodePrepScript),
			"loop.sh":         pulumi.String(nodePrepLoop),
		},
	}, opts...)
	if err != nil {
		return nil, fmt.Errorf("create ConfigMap %s: %w", nodePrepName, err)
	}
	daemonSet, err := appsv1.NewDaemonSet(ctx, nodePrepName, &appsv1.DaemonSetArgs{
		Metadata: nodePrepMeta(args.Namespace),
		Spec: &appsv1.DaemonSetSpecArgs{
			Selector: &metav1.LabelSelectorArgs{MatchLabels: nodePrepSelector()},
			Template: &corev1.PodTemplateSpecArgs{
				Metadata: &metav1.ObjectMetaArgs{
					Labels: nodePrepLabels(),
					// A changed script must run: pods do not notice a changed ConfigMap.
					Annotations: pulumi.StringMap{"ha-iris/script": pulumi.String(nodePrepChecksum())},
				},
				Spec: nodePrepPod(args.Image, scripts.Metadata.Name().Elem()),
			},
		},
	}, append(append([]pulumi.ResourceOption{}, opts...),
		// 10 min: a package mirror may be slow, and the pod retries until it succeeds.
		pulumi.Timeouts(&pulumi.CustomTimeouts{Create: "10m", Update: "10m"}))...)
	if err != nil {
		return nil, fmt.Errorf("create DaemonSet %s: %w", nodePrepName, err)
	}
	return daemonSet, nil
}

func nodePrepSelector() pulumi.StringMap {
	return pulumi.StringMap{"app.kubernetes.io/name": pulumi.String(nodePrepName)}
}

func nodePrepLabels() pulumi.StringMap {
	own := labels()
	own["app.kubernetes.io/component"] = pulumi.String("node-preparation")
	maps.Copy(own, nodePrepSelector())
	return own
}

// nodePrepMeta gives the objects fixed names without a random suffix, which are easy to find with kubectl.
func nodePrepMeta(namespace pulumi.StringInput) *metav1.ObjectMetaArgs {
	return &metav1.ObjectMetaArgs{Name: pulumi.String(nodePrepName), Namespace: namespace, Labels: nodePrepLabels()}
}

func nodePrepChecksum() string {
	sum := sha256.Sum256([]byte(nodePrepLoop + nodePrepScript))
	return hex.EncodeToString(sum[:])
}

func nodePrepPod(image, scripts pulumi.StringInput) *corev1.PodSpecArgs {
	return &corev1.PodSpecArgs{
		HostPID: pulumi.Bool(true), // To enter the namespaces of the node's PID 1.
		// Every node, whatever its taints: a new node is prepared before Longhorn may use it.
		Tolerations: corev1.TolerationArray{&corev1.TolerationArgs{Operator: pulumi.String("Exists")}},
		Containers:  corev1.ContainerArray{nodePrepContainer(image)},
		Volumes: corev1.VolumeArray{
			&corev1.VolumeArgs{
				Name:      pulumi.String("scripts"),
				ConfigMap: &corev1.ConfigMapVolumeSourceArgs{Name: scripts},
			},
			&corev1.VolumeArgs{Name: pulumi.String("state"), EmptyDir: &corev1.EmptyDirVolumeSourceArgs{}},
		},
		AutomountServiceAccountToken: pulumi.Bool(false), // It does not call the API server.
		// The loop ends at once.
		TerminationGracePeriodSeconds: pulumi.Int(5),
	}
}

func nodePrepContainer(image pulumi.StringInput) *corev1.ContainerArgs {
	return &corev1.ContainerArgs{
		Name:    pulumi.String("prepare"),
		Image:   image,
		Command: pulumi.ToStringArray([]string{"sh", "/scripts/loop.sh"}),
		Env: corev1.EnvVarArray{&corev1.EnvVarArgs{
			Name: pulumi.String("INTERVAL"), Value: pulumi.String(fmt.Sprint(nodePrepInterval)),
		}},
		// Loading kernel modules and starting services requires root on the node.
		SecurityContext: &corev1.SecurityContextArgs{
			Privileged:             pulumi.Bool(true),
			RunAsUser:              pulumi.Int(0),
			ReadOnlyRootFilesystem: pulumi.Bool(true),
		},
		ReadinessProbe: &corev1.ProbeArgs{
			Exec:          &corev1.ExecActionArgs{Command: pulumi.ToStringArray([]string{"test", "-f", "/state/ready"})},
			PeriodSeconds: pulumi.Int(2), // A first up waits for this; the check of a file is cheap.
		},
		Resources: &corev1.ResourceRequirementsArgs{
			Requests: pulumi.StringMap{"cpu": pulumi.String("5m"), "memory": pulumi.String("16Mi")},
			// A package manager counts against this limit; services that it starts do not.
			Limits: pulumi.StringMap{"memory": pulumi.String("512Mi")},
		},
		VolumeMounts: corev1.VolumeMountArray{
			&corev1.VolumeMountArgs{
				Name: pulumi.String("scripts"), MountPath: pulumi.String("/scripts"), ReadOnly: pulumi.Bool(true),
			},
			&corev1.VolumeMountArgs{Name: pulumi.String("state"), MountPath: pulumi.String("/state")},
		},
	}
}
