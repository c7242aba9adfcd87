package storage

import (
	"fmt"

	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	storagev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/storage/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// scratch installs storage that does not exist.
func (s *Storage) scratch(ctx *pulumi.Context, args *Args) error {
	installed, err := newRelease(ctx, "scratch", releaseArgs{
		Name: "scratch", Namespace: pulumi.String("kube-system"), Chart: pulumi.String("oci://registry.example.com/scratch"), Version: pulumi.String("1.0.0"),
		Values: map[string]any{"pool": args.Traits.ScratchPool}, TimeoutSeconds: releaseTimeout,
	}, s.options(args, pulumi.Protect(args.Protect), pulumi.DependsOn(args.After))...)
	if err != nil {
		return err
	}
	class, err := storagev1.NewStorageClass(ctx, args.Config.ClassName, &storagev1.StorageClassArgs{
		Metadata:             &metav1.ObjectMetaArgs{Name: pulumi.String(args.Config.ClassName)},
		Provisioner:          pulumi.String("scratch.example.com"),
		ReclaimPolicy:        pulumi.String("Retain"),
		AllowVolumeExpansion: pulumi.Bool(true),
	}, s.options(args, pulumi.DependsOn([]pulumi.Resource{installed}))...)
	if err != nil {
		return fmt.Errorf("create StorageClass %s: %w", args.Config.ClassName, err)
	}
	s.Ready = []pulumi.Resource{installed, class}
	return nil
}
