package storage

import (
	"fmt"
	"slices"

	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes"
	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apiextensions"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/problems"
	"ha-iris/internal/rules"
)

const (
	snapshotVersion, snapshotKind = "snapshot.storage.k8s.io/v1", "VolumeSnapshotClass"
	// The classes are named after the StorageClass.
	snapshotSuffix, backupSuffix = "-snapshot", "-backup"
	// maxName is Kubernetes' limit for the name of such an object.
	maxName = 253
)

// snapshotClass is a way in which Longhorn takes a VolumeSnapshot.
type snapshotClass struct {
	name string
	// kind is snap, a snapshot that lies with its volume on the nodes, or bak, a backup to the target (Longhorn's "CSI Snapshot Support").
	kind string
	// deletionPolicy is what becomes of it with its VolumeSnapshot.
	deletionPolicy string
}

// snapshotClasses are those that are made. A backup is there for when the cluster is not: deleting a VolumeSnapshot, or its namespace,
// leaves it at the target. A snapshot ends with its volume anyway, and would take its space for good.
func (c Config) snapshotClasses() []snapshotClass {
	if !c.SnapshotClasses {
		return nil
	}
	classes := []snapshotClass{{c.ClassName + snapshotSuffix, "snap", "Delete"}}
	if c.Backup.enabled() {
		classes = append(classes, snapshotClass{c.ClassName + backupSuffix, "bak", "Retain"})
	}
	return classes
}

// validateSnapshots refuses a name that leaves no room for the classes' own.
func (c Config) validateSnapshots(found *problems.List) {
	if c.SnapshotClasses && rules.IsSubdomain(c.ClassName) && !rules.IsSubdomain(c.ClassName+snapshotSuffix) {
		found.Add("storage.className", c.ClassName, fmt.Sprintf("at most %d characters with storage.snapshotClasses: the names of its classes end in %s",
			maxName-len(snapshotSuffix), snapshotSuffix))
	}
}

// longhornSnapshots makes the classes for VolumeSnapshots. None of them is the cluster's default: whoever takes a snapshot says of which
// kind. They wait for the cluster too: what brings their kind may be a part of it.
func (s *Storage) longhornSnapshots(ctx *pulumi.Context, args *Args, installed pulumi.Resource) error {
	for _, class := range args.Config.snapshotClasses() {
		made, err := apiextensions.NewCustomResource(ctx, class.name, &apiextensions.CustomResourceArgs{
			ApiVersion: pulumi.String(snapshotVersion),
			Kind:       pulumi.String(snapshotKind),
			Metadata:   &metav1.ObjectMetaArgs{Name: pulumi.String(class.name), Labels: labels()},
			OtherFields: kubernetes.UntypedArgs{
				"driver": provisioner, "deletionPolicy": class.deletionPolicy, "parameters": map[string]any{"type": class.kind},
			},
		}, s.options(args, pulumi.DependsOn(append(slices.Clone(args.After), installed)))...)
		if err != nil {
			return fmt.Errorf("create %s %s: %w", snapshotKind, class.name, err)
		}
		s.Snapshots = append(s.Snapshots, made)
	}
	return nil
}
