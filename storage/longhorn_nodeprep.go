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

// DefaultNodePrepImage needs sh and nsenter and nothing else; everything else runs in the node. A mirror or a digest
// serves as well.
const DefaultNodePrepImage = "docker.io/library/busybox:1.37.0"

const (
	nodePrepName = "longhorn-node-prep"
	// nodePrepInterval is how often a node is looked at again, in seconds: soon enough for an iscsid that somebody
	// stopped, and rare enough to cost nothing.
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
// ready on a node only once the node is. Whoever depends on it waits for all of them: Longhorn's manager ends in a crash
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
		// 10 min: a package mirror may be slow, and the pod tries again until it works.
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

// nodePrepMeta names the objects the way operators meet them in kubectl; a suffix would tell them nothing.
func nodePrepMeta(namespace pulumi.StringInput) *metav1.ObjectMetaArgs {
	return &metav1.ObjectMetaArgs{Name: pulumi.String(nodePrepName), Namespace: namespace, Labels: nodePrepLabels()}
}

func nodePrepChecksum() string {
	sum := sha256.Sum256([]byte(nodePrepLoop + nodePrepScript))
	return hex.EncodeToString(sum[:])
}

func nodePrepPod(image, scripts pulumi.StringInput) *corev1.PodSpecArgs {
	return &corev1.PodSpecArgs{
		HostPID: pulumi.Bool(true), // To enter the namespaces of the node's first process.
		// Every node, whatever keeps other pods away: a new node is prepared before Longhorn may use it.
		Tolerations: corev1.TolerationArray{&corev1.TolerationArgs{Operator: pulumi.String("Exists")}},
		Containers:  corev1.ContainerArray{nodePrepContainer(image)},
		Volumes: corev1.VolumeArray{
			&corev1.VolumeArgs{
				Name:      pulumi.String("scripts"),
				ConfigMap: &corev1.ConfigMapVolumeSourceArgs{Name: scripts},
			},
			&corev1.VolumeArgs{Name: pulumi.String("state"), EmptyDir: &corev1.EmptyDirVolumeSourceArgs{}},
		},
		AutomountServiceAccountToken: pulumi.Bool(false), // It never speaks to the API server.
		// The loop ends at once; nothing has to be finished.
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
		// Loading kernel modules and starting services is what root on the node does; there is no lesser right for it.
		SecurityContext: &corev1.SecurityContextArgs{
			Privileged:             pulumi.Bool(true),
			RunAsUser:              pulumi.Int(0),
			ReadOnlyRootFilesystem: pulumi.Bool(true),
		},
		ReadinessProbe: &corev1.ProbeArgs{
			Exec:          &corev1.ExecActionArgs{Command: pulumi.ToStringArray([]string{"test", "-f", "/state/ready"})},
			PeriodSeconds: pulumi.Int(2), // A first up waits for this; looking at a file costs nothing.
		},
		Resources: &corev1.ResourceRequirementsArgs{
			Requests: pulumi.StringMap{"cpu": pulumi.String("5m"), "memory": pulumi.String("16Mi")},
			// A package manager, where one has to run, is counted here; what it starts is not.
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
