package iris

import (
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// data is what outlives the pod: docs/database.md, "What survives what".
type data struct {
	namespace *namespace
	claim     *corev1.PersistentVolumeClaim
}

func (s *scope) data(args *Args) (*data, error) {
	namespace, err := s.namespace()
	if err != nil {
		return nil, err
	}
	claim, err := s.claim(namespace, args)
	return &data{namespace: namespace, claim: claim}, err
}

// namespace is what all objects but itself and the PriorityClass are in.
type namespace struct{ object *corev1.Namespace }

func (s *scope) namespace() (*namespace, error) {
	labels := s.cfg.database().labels()
	// The cluster itself refuses a pod that asks for more than "restricted" allows, even one that somebody adds by hand.
	for _, mode := range []string{"enforce", "audit", "warn"} {
		labels["pod-security.kubernetes.io/"+mode] = pulumi.String("restricted")
	}
	object, err := corev1.NewNamespace(s.ctx, "namespace", &corev1.NamespaceArgs{
		Metadata: &metav1.ObjectMetaArgs{
			// Fixed: clients in the cluster use it as part of the Service's name, and a generated name would make every
			// stack that refers to it follow.
			Name:   pulumi.String(s.cfg.Namespace),
			Labels: labels,
		},
		// Protected like the claim: deleting the namespace deletes the claim in it, whatever protects the claim itself.
	}, s.dataOptions()...)
	return &namespace{object: object}, creating("namespace "+s.cfg.Namespace, err)
}

// name is the namespace's name as its object gives it, so that whatever is in it waits for it.
func (n *namespace) name() pulumi.StringOutput { return n.object.Metadata.Name().Elem() }

// metadata is that of a component's object in the namespace.
func (n *namespace) metadata(of component, name string, annotations pulumi.StringMap) *metav1.ObjectMetaArgs {
	return &metav1.ObjectMetaArgs{
		Name:        pulumi.String(name),
		Namespace:   n.name(),
		Labels:      of.labels(),
		Annotations: annotations,
	}
}

func (s *scope) claim(in *namespace, args *Args) (*corev1.PersistentVolumeClaim, error) {
	guard, err := guardSize(s.ctx, s.name)
	if err != nil {
		return nil, err
	}
	metadata := in.metadata(s.cfg.database(), claimName, pulumi.StringMap{skipAwait: pulumi.String("true")})
	labels := s.cfg.database().labels()
	for key, value := range args.ClaimLabels {
		labels[key] = pulumi.String(value)
	}
	metadata.Labels = labels
	claim, err := corev1.NewPersistentVolumeClaim(s.ctx, claimName, &corev1.PersistentVolumeClaimArgs{
		// Not awaited: a class that binds with the first consumer leaves the claim Pending until the pod exists, and once
		// bound the provider would wait for Pending again at every update (pulumi-kubernetes await/awaiters.go). The
		// Deployment's own wait covers the claim.
		Metadata: metadata,
		Spec: &corev1.PersistentVolumeClaimSpecArgs{
			AccessModes:      pulumi.ToStringArray([]string{string(s.cfg.AccessMode)}),
			StorageClassName: args.StorageClass,
			// ext4 on a block device, never a file share: IRIS does not support NFS for its data (ADOCK 5.4.3).
			VolumeMode: pulumi.String("Filesystem"),
			Resources: &corev1.VolumeResourceRequirementsArgs{
				Requests: pulumi.StringMap{"storage": pulumi.String(s.cfg.Size)},
			},
		},
	}, s.dataOptions(guard,
		// The class is a name; that its driver runs is no part of that name. Without this the claim would be created before its driver.
		pulumi.DependsOn(args.After),
	)...)
	return claim, creating("claim "+claimName, err)
}

// skipAwait is the annotation that tells the Kubernetes provider not to wait for an object.
const skipAwait = "pulumi.com/skipAwait"
