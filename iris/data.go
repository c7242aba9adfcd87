package iris

import (
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/claims"
)

// data is what outlives the pod: docs/database.md, "What survives what".
type data struct {
	namespace *namespace
	// claim is the newest generation's, on which the database runs.
	claim *corev1.PersistentVolumeClaim
}

func (s *scope) data(args *Args) (*data, error) {
	namespace, err := s.namespace(args.Snapshots)
	if err != nil {
		return nil, err
	}
	claim, err := s.claims(namespace, args)
	return &data{namespace: namespace, claim: claim}, err
}

// namespace is what all objects but itself and the PriorityClass are in.
type namespace struct{ object *corev1.Namespace }

// namespace makes it. Longhorn and its classes go in the same destroy, and once Longhorn is gone nothing deletes a VolumeSnapshot, so the namespace would
// stay Terminating with one that somebody has left in it (TestLab_Snapshots): it goes before them.
func (s *scope) namespace(snapshots []pulumi.Resource) (*namespace, error) {
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
	}, s.dataOptions(pulumi.DependsOn(snapshots))...)
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

// claims makes the claims of all generations and returns the newest one.
func (s *scope) claims(in *namespace, args *Args) (newest *corev1.PersistentVolumeClaim, err error) {
	size, err := guardSize(s.ctx, s.name)
	if err != nil {
		return nil, err
	}
	source, err := s.guardSource(args)
	if err != nil {
		return nil, err
	}
	for _, name := range s.cfg.claimNames() {
		if newest, err = s.claim(in, args, name, size, source); err != nil {
			return nil, err
		}
	}
	return newest, nil
}

func (s *scope) claim(in *namespace, args *Args, name string, guards ...pulumi.ResourceOption) (*corev1.PersistentVolumeClaim, error) {
	metadata := in.metadata(s.cfg.database(), name, pulumi.StringMap{skipAwait: pulumi.String("true")})
	labels := s.cfg.database().labels()
	for key, value := range args.ClaimLabels {
		labels[key] = pulumi.String(value)
	}
	metadata.Labels = labels
	generation, _ := claims.Generation(name)
	class := args.StorageClass
	if later, found := args.LaterClasses[generation]; found {
		class = pulumi.String(later)
	}
	// The source is read once, and cannot change; whether the configuration still has it must not matter. A claim that the database does
	// not run on any more stays as it is in all that iris.size and others say of the newest.
	fixed := []string{"spec.dataSource"}
	if name != s.cfg.claimName() {
		fixed = append(fixed, "spec.resources", "spec.accessModes", "spec.storageClassName")
	}
	claim, err := corev1.NewPersistentVolumeClaim(s.ctx, name, &corev1.PersistentVolumeClaimArgs{
		// Not awaited: a class that binds with the first consumer leaves the claim Pending until the pod exists, and once
		// bound the provider would wait for Pending again at every update (pulumi-kubernetes await/awaiters.go). The
		// Deployment's own wait covers the claim.
		Metadata: metadata,
		Spec: &corev1.PersistentVolumeClaimSpecArgs{
			AccessModes:      pulumi.ToStringArray([]string{string(s.cfg.AccessMode)}),
			StorageClassName: class,
			DataSource:       s.cfg.dataSource(name),
			// ext4 on a block device, never a file share: IRIS does not support NFS for its data (ADOCK 5.4.3).
			VolumeMode: pulumi.String("Filesystem"),
			Resources: &corev1.VolumeResourceRequirementsArgs{
				Requests: pulumi.StringMap{"storage": pulumi.String(s.cfg.Size)},
			},
		},
	}, s.dataOptions(append(guards, pulumi.IgnoreChanges(fixed),
		// The class is a name; that its driver runs is no part of that name. Without this the claim would be created before its driver.
		pulumi.DependsOn(args.After),
	)...)...)
	return claim, creating("claim "+name, err)
}

// dataSource is the snapshot that a claim is filled from; nil for one that has none.
func (c Config) dataSource(claim string) corev1.TypedLocalObjectReferencePtrInput {
	if claim != c.claimName() || c.RestoreFrom.Snapshot == "" {
		return nil
	}
	return &corev1.TypedLocalObjectReferenceArgs{
		ApiGroup: pulumi.String("snapshot.storage.k8s.io"), Kind: pulumi.String("VolumeSnapshot"), Name: pulumi.String(c.RestoreFrom.Snapshot),
	}
}

// skipAwait is the annotation that tells the Kubernetes provider not to wait for an object.
const skipAwait = "pulumi.com/skipAwait"
