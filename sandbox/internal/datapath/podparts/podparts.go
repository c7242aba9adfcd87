// Package podparts is what Longhorn's pods need on real nodes so that longhorn-standin can play them: rights, mounts, arguments.
// On simulated nodes all of it is only a text.
package podparts

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"ha-iris/sandbox/internal/datapath/imclient"
)

// What longhorn-standin reads from its environment.
const (
	// NodeName is the Kubernetes node's.
	NodeName = "NODE_NAME"
	// Root is where the node's root directory is mounted.
	Root = "LONGHORN_STANDIN_ROOT"
	// KubeletDir is the kubelet's directory, the same in the container.
	KubeletDir = "LONGHORN_STANDIN_KUBELET_DIR"
)

const (
	program       = "/usr/bin/longhorn-standin"
	rootMount     = "/host"
	kubeletMount  = "/var/lib/kubelet"
	rootVolume    = "host"
	devVolume     = "host-dev"
	kubeletVolume = "kubelet"
	probeSeconds  = 5
)

func ptr[T any](value T) *T { return &value }

// InstanceManager completes the pod of a node's instance manager, whose only container is there already. Labels, name, owner and
// node stay the caller's.
func InstanceManager(pod *corev1.PodSpec) {
	container := &pod.Containers[0]
	container.Command = []string{program, "instance-manager"}
	container.Env = append(container.Env, nodeName(), corev1.EnvVar{Name: Root, Value: rootMount})
	container.SecurityContext = &corev1.SecurityContext{Privileged: ptr(true)}
	container.Ports = []corev1.ContainerPort{{Name: "instance", ContainerPort: imclient.Port}}
	container.ReadinessProbe = probe(imclient.Port)
	container.LivenessProbe = probe(imclient.Port)
	container.LivenessProbe.InitialDelaySeconds, container.LivenessProbe.FailureThreshold = 3, 3
	mountRoot(pod, container)
}

// Plugin completes the pod of longhorn-csi-plugin, whose only container is there already. kubeletDir is the setting
// csi.kubeletRootDir; empty is the default.
func Plugin(pod *corev1.PodSpec, kubeletDir string) {
	if kubeletDir == "" {
		kubeletDir = kubeletMount // what the deployer falls back to
	}
	container := &pod.Containers[0]
	container.Command = []string{program, "csi-plugin"}
	container.Env = append(container.Env, nodeName(), corev1.EnvVar{Name: Root, Value: rootMount},
		corev1.EnvVar{Name: KubeletDir, Value: kubeletDir})
	container.SecurityContext = &corev1.SecurityContext{Privileged: ptr(true)}
	mountRoot(pod, container)
	// The devices have the same path here and below the node's root, which resize2fs compares.
	pod.Volumes = append(pod.Volumes, hostPath(devVolume, "/dev"), hostPath(kubeletVolume, kubeletDir))
	container.VolumeMounts = append(container.VolumeMounts,
		corev1.VolumeMount{Name: devVolume, MountPath: "/dev", MountPropagation: ptr(corev1.MountPropagationHostToContainer)},
		corev1.VolumeMount{Name: kubeletVolume, MountPath: kubeletDir, MountPropagation: ptr(corev1.MountPropagationBidirectional)})
}

// mountRoot mounts the node's root directory, in which mounts that the node makes later appear.
func mountRoot(pod *corev1.PodSpec, container *corev1.Container) {
	pod.Volumes = append(pod.Volumes, hostPath(rootVolume, "/"))
	container.VolumeMounts = append(container.VolumeMounts, corev1.VolumeMount{
		Name: rootVolume, MountPath: rootMount, MountPropagation: ptr(corev1.MountPropagationHostToContainer),
	})
}

func hostPath(name, path string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: path}}}
}

func nodeName() corev1.EnvVar {
	return corev1.EnvVar{Name: NodeName, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "spec.nodeName"}}}
}

func probe(port int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler:   corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(port)}},
		TimeoutSeconds: 4, PeriodSeconds: probeSeconds,
	}
}

// Idle makes a container one that only stays alive: a CSI sidecar, whose work the controller does.
func Idle(container *corev1.Container) { container.Command = []string{program, "idle"} }
