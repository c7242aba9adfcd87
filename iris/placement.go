package iris

import (
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// maxAffinityWeight is the most that the API server takes. Beside no other preference every weight counts the same: the scheduler makes the
// best node's sum 100 (kubernetes 1.34, helper.DefaultNormalizeScore).
const maxAffinityWeight = 100

// databaseAffinity lets the database's next pod prefer the node that has the volume, which the guard labels: there it was back after 13 to 17 s
// in 20 runs, and after 30 to 42 s in 16, with more labs on the machine, where the volume had to be detached and attached first (delete-pod in
// docs/failover-runs.csv, the latter in its history). Kubernetes does not do that by itself, and an affinity of the pod to itself cannot: with ReadWriteOncePod it is scheduled
// when the old one is gone. Only preferred, because that node may be full, cordoned or lost: then any other one is as good as before.
//
// Of the scheduler's scores, each up to 100 (kubernetes 1.34, apis/config/v1/default_plugins.go), NodeAffinity counts twice. Against it can be
// NodeResourcesFit, less than 100, and NodeResourcesBalancedAllocation, at most 50 of CPU and memory, both once: less than 200. ImageLocality is
// for it, because the images are where the database ran. PodTopologySpread counts pods of this Deployment, of which there are none; it tells nodes
// apart only where some have a zone and others have not. A taint PreferNoSchedule counts three times and outweighs it, as it should. So may pods
// that would not be beside the database (InterPodAffinity, twice): guardAffinity makes none of the guards, and a verification's copy is elsewhere.
// The scheduler looks at all nodes of up to 100, and at a part of more.
func (c Config) databaseAffinity() corev1.AffinityPtrInput {
	if c.Failover.mode() != FailoverGuard {
		return nil // Nobody writes the label.
	}
	return c.preferVolume("In")
}

// guardAffinity keeps the guards off the database's node where there are others: one there goes with it. Where the guard labels that node, the
// label says it. An anti-affinity to the database's pod would say it of both: the database's next pod would keep off the guards' nodes, and
// whenever not all nodes have as many guards, such as after one was lost, it would outweigh databaseAffinity.
func (c Config) guardAffinity() *corev1.AffinityArgs {
	if c.Failover.mode() == FailoverGuard {
		return c.preferVolume("NotIn")
	}
	return awayFromTheDatabase()
}

// preferVolume prefers nodes by the label of the one that has the volume.
func (c Config) preferVolume(operator string) *corev1.AffinityArgs {
	return &corev1.AffinityArgs{NodeAffinity: &corev1.NodeAffinityArgs{
		PreferredDuringSchedulingIgnoredDuringExecution: corev1.PreferredSchedulingTermArray{&corev1.PreferredSchedulingTermArgs{
			Weight: pulumi.Int(maxAffinityWeight),
			Preference: &corev1.NodeSelectorTermArgs{MatchExpressions: corev1.NodeSelectorRequirementArray{&corev1.NodeSelectorRequirementArgs{
				Key: pulumi.String(c.guardMark()), Operator: pulumi.String(operator), Values: pulumi.ToStringArray([]string{guardLabelValue}),
			}}},
		}},
	}}
}

// awayFromTheDatabase keeps a pod off the database's node, where there is another one.
func awayFromTheDatabase() *corev1.AffinityArgs {
	return &corev1.AffinityArgs{PodAntiAffinity: &corev1.PodAntiAffinityArgs{
		PreferredDuringSchedulingIgnoredDuringExecution: corev1.WeightedPodAffinityTermArray{&corev1.WeightedPodAffinityTermArgs{
			Weight: pulumi.Int(maxAffinityWeight),
			PodAffinityTerm: &corev1.PodAffinityTermArgs{
				TopologyKey:   pulumi.String(hostnameKey),
				LabelSelector: &metav1.LabelSelectorArgs{MatchLabels: pulumi.StringMap{"app": pulumi.String(deploymentName)}},
			},
		}},
	}}
}
