package iris

import (
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// What survives what:
//
//	container crash, pod deleted, node drained    the volume, attached to the next pod
//	node lost for good                            the volume: its other replicas (the storage's matter)
//	pulumi destroy, protected (the default)       everything: Pulumi refuses
//	pulumi destroy, unprotected                   nothing but backups where the stack installed Longhorn: uninstalling it wipes
//	                                              its volumes. Otherwise what the StorageClass says; with Retain the
//	                                              PersistentVolume, released
//	kubectl delete namespace                      with Retain the PersistentVolume, released; the claim is gone
//	cluster deleted                               nothing but backups
func (b *builder) createData() error {
	if err := b.createNamespace(); err != nil {
		return err
	}
	return b.createClaim()
}

func (b *builder) createNamespace() error {
	namespaceLabels := labels(componentDatabase)
	// The cluster itself refuses a pod that asks for more than "restricted" allows, even one that somebody adds by hand.
	for _, mode := range []string{"enforce", "audit", "warn"} {
		namespaceLabels["pod-security.kubernetes.io/"+mode] = pulumi.String("restricted")
	}
	namespace, err := corev1.NewNamespace(b.ctx, "namespace", &corev1.NamespaceArgs{
		Metadata: &metav1.ObjectMetaArgs{
			// Fixed: clients in the cluster use it as part of the Service's name, and a generated name would make every
			// stack that refers to it follow.
			Name:   pulumi.String(b.cfg.Namespace),
			Labels: namespaceLabels,
		},
		// Protected like the claim: deleting the namespace deletes the claim in it, whatever protects the claim itself.
	}, b.dataOptions()...)
	b.namespace = namespace
	return creating("namespace "+b.cfg.Namespace, err)
}

func (b *builder) createClaim() error {
	guard, err := guardSize(b.ctx, b.name)
	if err != nil {
		return err
	}
	claim, err := corev1.NewPersistentVolumeClaim(b.ctx, claimName, &corev1.PersistentVolumeClaimArgs{
		// Not awaited: a class that binds with the first consumer leaves the claim Pending until the pod exists, and once
		// bound the provider would wait for Pending again at every update (pulumi-kubernetes await/awaiters.go). The
		// Deployment's own wait covers the claim.
		Metadata: b.metadata(claimName, pulumi.StringMap{skipAwait: pulumi.String("true")}),
		Spec: &corev1.PersistentVolumeClaimSpecArgs{
			AccessModes:      pulumi.ToStringArray([]string{string(b.cfg.AccessMode)}),
			StorageClassName: b.args.StorageClass,
			// ext4 on a block device, never a file share: IRIS does not support NFS for its data (ADOCK 5.4.3).
			VolumeMode: pulumi.String("Filesystem"),
			Resources: &corev1.VolumeResourceRequirementsArgs{
				Requests: pulumi.StringMap{"storage": pulumi.String(b.cfg.Size)},
			},
		},
	}, b.dataOptions(guard,
		// The class is a name; that its driver runs is no part of that name. Without it the claim waits for nobody.
		pulumi.DependsOn(b.args.After),
	)...)
	b.claim = claim
	return creating("claim "+claimName, err)
}

// skipAwait is the annotation that tells the Kubernetes provider not to wait for an object.
const skipAwait = "pulumi.com/skipAwait"
