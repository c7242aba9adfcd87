package podparts_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"ha-iris/sandbox/internal/datapath/podparts"
)

// Every mount has its volume, and the kubelet's directory lets mounts out to the node.
func TestPodParts_MountsHaveTheirVolumes(t *testing.T) {
	for name, complete := range map[string]func(*corev1.PodSpec){
		"instance manager": podparts.InstanceManager,
		"plugin":           func(pod *corev1.PodSpec) { podparts.Plugin(pod, "/data/kubelet") },
	} {
		pod := &corev1.PodSpec{Containers: []corev1.Container{{Name: "only"}}}
		complete(pod)
		volumes := map[string]string{}
		for _, volume := range pod.Volumes {
			volumes[volume.Name] = volume.HostPath.Path
		}
		for _, mounted := range pod.Containers[0].VolumeMounts {
			if volumes[mounted.Name] == "" {
				t.Errorf("%s: mount %s has no volume", name, mounted.Name)
			}
			out := *mounted.MountPropagation == corev1.MountPropagationBidirectional
			if out != (volumes[mounted.Name] == "/data/kubelet") {
				t.Errorf("%s: %s is mounted %s", name, mounted.MountPath, *mounted.MountPropagation)
			}
		}
		if !*pod.Containers[0].SecurityContext.Privileged {
			t.Errorf("%s is not privileged", name)
		}
	}
}
