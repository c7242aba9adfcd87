package storage

import (
	"fmt"
	"strconv"

	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	storagev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/storage/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// revisionAnnotation on the class is the release's revision whose driver was seen on the nodes.
const revisionAnnotation = "ha-iris/longhorn-revision"

// classSpec is what of a StorageClass Kubernetes never changes. Only a new volume's making reads it: a claim that is bound
// keeps its volume when the class is deleted and made again under its name, and Longhorn's volumes keep their settings.
type classSpec struct {
	replicas                                      int
	parameters                                    map[string]string
	provisioner, reclaimPolicy, volumeBindingMode string
}

func classOf(cfg Config) classSpec {
	return classSpec{
		replicas: cfg.Replicas,
		parameters: map[string]string{
			"numberOfReplicas": strconv.Itoa(cfg.Replicas), // The API wants strings.
			// Keeps a copy on the node where the database runs: reads stay local. strict-local would mean a single copy.
			"dataLocality": "best-effort",
			// Minutes after which a failed copy is deleted instead of reused. Longhorn's documents use two days: a node that
			// is repaired over a weekend day rebuilds only what changed.
			"staleReplicaTimeout": "2880",
			// InterSystems supports ext4 and XFS for databases; ext4 is the one every node image can format.
			"fsType": "ext4",
		},
		provisioner: provisioner,
		// Deleting the claim, by whatever accident, keeps the volume.
		reclaimPolicy: "Retain",
		// Longhorn's volumes can be attached to any node, so waiting for the first consumer would only delay.
		volumeBindingMode: "Immediate",
	}
}

// values are the class as a part of the release's values. It has to be there: the release then changes with the class, the
// class's annotation is unknown in the preview, and the provider does not try the new class out on the API server, which
// refuses it while the old one is there (pulumi-kubernetes provider.go, Create: skipPreview).
func (c classSpec) values() map[string]any {
	parameters := map[string]any{}
	for name, value := range c.parameters {
		parameters[name] = value
	}
	return map[string]any{
		"replicas": c.replicas, "parameters": parameters, "provisioner": c.provisioner,
		"reclaimPolicy": c.reclaimPolicy, "volumeBindingMode": c.volumeBindingMode,
	}
}

func (s *Storage) class(
	ctx *pulumi.Context, args *Args, installed *release, guard pulumi.ResourceOption,
) (*storagev1.StorageClass, error) {
	spec := classOf(args.Config)
	class, err := storagev1.NewStorageClass(ctx, args.Config.ClassName, &storagev1.StorageClassArgs{
		Metadata: &metav1.ObjectMetaArgs{
			Name:        pulumi.String(args.Config.ClassName),
			Labels:      labels(),
			Annotations: pulumi.StringMap{revisionAnnotation: installed.revision()},
		},
		Provisioner:          pulumi.String(spec.provisioner),
		Parameters:           pulumi.ToStringMap(spec.parameters),
		ReclaimPolicy:        pulumi.String(spec.reclaimPolicy),
		AllowVolumeExpansion: pulumi.Bool(true),
		VolumeBindingMode:    pulumi.String(spec.volumeBindingMode),
	}, s.options(args, guard,
		pulumi.ReplaceOnChanges([]string{"parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"}),
		pulumi.DeleteBeforeReplace(true),                   // It keeps its name.
		pulumi.DependsOn([]pulumi.Resource{installed}))...) // The class names the driver by a string; the release brings it.
	if err != nil {
		return nil, fmt.Errorf("create StorageClass %s: %w", args.Config.ClassName, err)
	}
	return class, nil
}
