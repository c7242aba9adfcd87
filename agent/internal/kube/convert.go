package kube

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"ha-iris/agent/internal/guard"
)

// world is what the guard needs of the objects.
func (r *Reader) world(found findings) guard.World {
	r.memory.shutDown(found.nodes)
	r.memory.see(found.nodes, found.names())
	world := guard.World{
		GuardNode:     r.target.Node,
		GuardSince:    r.since,
		Volume:        found.claim.inUse(),
		Gone:          r.memory.gone(),
		OtherVolumes:  map[string][]string{},
		Leases:        r.memory.leases(),
		LonghornReady: found.others.longhornNodes,
		Replicas:      found.others.replicas,
		Orphans:       found.others.orphans,
	}
	for i := range found.nodes {
		world.Nodes = append(world.Nodes, r.node(&found.nodes[i]))
	}
	for i := range found.pods {
		if found.pods[i].Spec.NodeName != "" {
			world.Pods = append(world.Pods, convertPod(&found.pods[i]))
		}
	}
	for _, one := range found.others.attachments {
		switch name := one.Spec.Source.PersistentVolumeName; {
		case name != nil && *name == found.claim.volume && *name != "":
			world.Attachments = append(world.Attachments, guard.Attachment{
				Name: one.Name, UID: string(one.UID), Node: one.Spec.NodeName, Attached: one.Status.Attached,
			})
		case one.Status.Attached:
			world.OtherVolumes[one.Spec.NodeName] = append(world.OtherVolumes[one.Spec.NodeName], volumeName(&one))
		}
	}
	return world
}

// volumeName is the attached PersistentVolume, or the attachment where the volume is written in a pod's own specification.
func volumeName(attachment *storagev1.VolumeAttachment) string {
	if name := attachment.Spec.Source.PersistentVolumeName; name != nil {
		return *name
	}
	return attachment.Name
}

// names are the nodes that the database's pods and volume are on.
func (f findings) names() []string {
	var names []string
	for i := range f.pods {
		if node := f.pods[i].Spec.NodeName; node != "" {
			names = append(names, node)
		}
	}
	for i := range f.others.attachments {
		attachment := &f.others.attachments[i]
		if name := attachment.Spec.Source.PersistentVolumeName; name != nil && *name == f.claim.volume {
			names = append(names, attachment.Spec.NodeName)
		}
	}
	return names
}

func (r *Reader) node(node *corev1.Node) guard.Node {
	converted := guard.Node{
		Name:            node.Name,
		ResourceVersion: node.ResourceVersion,
		BootID:          node.Status.NodeInfo.BootID,
		OutOfService:    tainted(node, outOfServiceKey),
		Shutdown:        tainted(node, cloudShutdownKey),
		ShutdownFor:     r.memory.shutDownFor(node.Name),
	}
	converted.Ready, converted.ReadySince = readiness(node)
	for _, one := range node.Status.VolumesInUse {
		converted.VolumesInUse = append(converted.VolumesInUse, string(one))
	}
	if record, found := node.Annotations[r.target.Annotation()]; found {
		converted.Record = parseRecord(record)
	}
	return converted
}

// readiness is the node's condition Ready and since when. A node that has none yet is not Ready, but nobody has lost it either.
func readiness(node *corev1.Node) (guard.Ready, time.Time) {
	for _, one := range node.Status.Conditions {
		if one.Type == corev1.NodeReady {
			return guard.Ready(one.Status), one.LastTransitionTime.Time
		}
	}
	return guard.ReadyFalse, node.CreationTimestamp.Time
}

func tainted(node *corev1.Node, key string) bool {
	for _, one := range node.Spec.Taints {
		if one.Key == key {
			return true
		}
	}
	return false
}

// fenceCommand is the agent's subcommand that is the check in the pod.
const fenceCommand = "fence"

// watched says whether the check is in the pod, and ran when its kubelet last reported.
func watched(pod *corev1.Pod) bool {
	for i := range pod.Spec.InitContainers {
		container := &pod.Spec.InitContainers[i]
		always := container.RestartPolicy != nil && *container.RestartPolicy == corev1.ContainerRestartPolicyAlways
		if !always || len(container.Args) == 0 || container.Args[0] != fenceCommand {
			continue
		}
		return slices.ContainsFunc(pod.Status.InitContainerStatuses, func(status corev1.ContainerStatus) bool {
			return status.Name == container.Name && status.State.Running != nil
		})
	}
	return false
}

func convertPod(pod *corev1.Pod) guard.Pod {
	converted := guard.Pod{Name: pod.Name, UID: string(pod.UID), Node: pod.Spec.NodeName, Unwatched: !watched(pod)}
	if at := pod.DeletionTimestamp; at != nil {
		converted.DeletedAt = at.Time
		if grace := pod.DeletionGracePeriodSeconds; grace != nil {
			converted.DeletedAt = at.Add(-time.Duration(*grace) * time.Second)
		}
	}
	return converted
}
