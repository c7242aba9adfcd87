package storage

import (
	"fmt"
	"strconv"

	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	storagev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/storage/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// revisionAnnotation on the class is the revision of the release whose driver was found on the nodes.
const revisionAnnotation = "ha-iris/longhorn-revision"

// classSpec has the immutable fields of a StorageClass. They are read only when a volume is created: a bound PVC keeps its volume
// when the class is deleted and created again under its name, and Longhorn's volumes keep their settings.
type classSpec struct {
	replicas                                      int
	parameters                                    map[string]string
	provisioner, reclaimPolicy, volumeBindingMode string
}

func classOf(cfg Config) classSpec {
	return classSpec{
		replicas: cfg.Replicas,
		parameters: map[string]string{
			"numberOfReplicas": strconv.Itoa(cfg.Replicas), // Parameters are strings.
			// Keeps a replica on the node where the database runs, for local reads. strict-local allows a single replica only.
			"dataLocality": "best-effort",
			// Minutes after which a failed replica is deleted instead of reused. Longhorn's documents use two days: a node that
			// is back within them rebuilds only what changed.
			"staleReplicaTimeout": "2880",
			// InterSystems supports ext4 and XFS for databases; ext4 is the one every node image can format.
			"fsType": "ext4",
		},
		provisioner: provisioner,
		// Deleting the PVC keeps the volume.
		reclaimPolicy: "Retain",
		// Longhorn's volumes can be attached to any node, so waiting for the first consumer would only delay.
		volumeBindingMode: "Immediate",
	}
}

// class is the class of the configuration. That of a clone, whose first volume is filled from a backup, says so for as long as the
// configuration does.
func (a *Args) class() classSpec {
	spec := classOf(a.Config)
	if a.Generations.first() && a.Generations.Backup != "" {
		spec.parameters[fromBackup] = a.Generations.Backup
	}
	return spec
}

// values returns the class as a part of the release's values, so that the release changes with the class. The class's annotation
// is then unknown in the preview, and the provider makes no dry run of the new class, which the API server would refuse while
// the old one exists (pulumi-kubernetes provider.go, Create: skipPreview).
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
	spec := args.class()
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
		pulumi.DependsOn([]pulumi.Resource{installed}))...) // The class refers to the driver by its name only.
	if err != nil {
		return nil, fmt.Errorf("create StorageClass %s: %w", args.Config.ClassName, err)
	}
	return class, nil
}
