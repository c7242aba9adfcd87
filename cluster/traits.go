package cluster

import "ha-iris/internal/traits"

// traitsOf is the one table of differences, with the reason beside each value.
//
//nolint:gochecknoglobals // A literal table that nothing writes to; a function returning it would hide that.
var traitsOf = map[Cloud]traits.Traits{
	AKS: {
		Storage: traits.Storage{
			// The same on every Linux node of AKS, EKS and GKE; given, so that Longhorn need not find it with a probe pod.
			KubeletRootDir: "/var/lib/kubelet",
			// On the OS disk: pools have no data disks (Azure/AKS#401).
			DataPath: "/var/lib/longhorn/",
			// Our pool is labelled; a pool that somebody adds later must not lend its small disks unasked.
			LabelledDisksOnly: true,
			// The OS disk holds the system and the images as well.
			DedicatedDisk: false,
			// There is no hook for user data, and multipathd runs on AKS's Ubuntu.
			PrepareNodes: true,
		},
		Service: traits.Service{
			Annotations: map[string]string{
				// Minutes. Azure drops idle connections after 4; 30 is the most that the annotation takes. Clients of the
				// superserver keep connections open and idle.
				"service.beta.kubernetes.io/azure-load-balancer-tcp-idle-timeout": "30",
			},
			InternalAnnotations: map[string]string{
				"service.beta.kubernetes.io/azure-load-balancer-internal": "true",
			},
		},
	},
	EKS: {
		Storage: traits.Storage{
			KubeletRootDir: "/var/lib/kubelet",
			// Where userdata/eks-node.sh mounts the second EBS volume; immutable underneath, so never the root disk.
			DataPath:          "/var/lib/longhorn/",
			LabelledDisksOnly: true, // As on AKS.
			DedicatedDisk:     true,
			// User data runs before the kubelet, so a node that joins is prepared.
			PrepareNodes: false,
		},
		Service: traits.Service{
			Annotations: map[string]string{
				// Not the Classic Load Balancer, which is what one gets unasked: that one drops idle connections after 60 s,
				// the network load balancer after 350 s. Does not need the AWS Load Balancer Controller.
				"service.beta.kubernetes.io/aws-load-balancer-type": "nlb",
				// Each zone of a network load balancer sends to its own zone's node only. When that node is dead, the other
				// zones must take over.
				"service.beta.kubernetes.io/aws-load-balancer-cross-zone-load-balancing-enabled": "true",
				// A dead node gets no more connections after 2 checks of 10 s (the only other interval is 30), not 90 s.
				// Network load balancers want both thresholds equal.
				"service.beta.kubernetes.io/aws-load-balancer-healthcheck-interval":            "10",
				"service.beta.kubernetes.io/aws-load-balancer-healthcheck-healthy-threshold":   "2",
				"service.beta.kubernetes.io/aws-load-balancer-healthcheck-unhealthy-threshold": "2",
			},
			InternalAnnotations: map[string]string{
				"service.beta.kubernetes.io/aws-load-balancer-internal": "true",
			},
		},
	},
	GKE: {
		Storage: traits.Storage{
			KubeletRootDir: "/var/lib/kubelet",
			// On the boot disk of the Ubuntu image; pools have no persistent data disks. (Google's own system would need
			// another path: its /var/lib is mounted without the right to execute.)
			DataPath:          "/var/lib/longhorn/",
			LabelledDisksOnly: true, // As on AKS.
			DedicatedDisk:     false,
			// There is no hook for user data, and nobody promises that the image starts iscsid.
			PrepareNodes: true,
		},
		Service: traits.Service{
			// Nothing: the load balancer passes packets through and has no idle timeout to set.
			Annotations: nil,
			InternalAnnotations: map[string]string{
				"networking.gke.io/load-balancer-type": "Internal",
			},
		},
	},
	Existing: {
		Storage: traits.Storage{
			// Unknown distribution: k3s, kind and kubeadm differ, so Longhorn's own detection decides.
			KubeletRootDir: "",
			// Longhorn's default.
			DataPath: "/var/lib/longhorn/",
			// Nobody has labelled these nodes.
			LabelledDisksOnly: false,
			// Usually the root disk.
			DedicatedDisk: false,
			// A cluster we did not create is not ours to run privileged pods on; the README lists what nodes need.
			PrepareNodes: false,
		},
	},
}
