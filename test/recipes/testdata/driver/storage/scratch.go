package storage

import (
	"context"
	"fmt"

	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	storagev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/storage/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/guard"
	"ha-iris/internal/live"
	"ha-iris/internal/owner"
	"ha-iris/internal/problems"
	"ha-iris/internal/survey"
	"ha-iris/internal/traits"
)

// scratch is storage that does not exist.
//
//nolint:gochecknoglobals // A literal that nothing writes to, as the table that it belongs to.
var scratch = driver{
	name:           "Scratch",
	defaults:       func() Config { return Config{Install: true, Driver: "Scratch", ClassName: "scratch-iris"} },
	validate:       Config.validateScratch,
	validateBackup: refuseBackup("Scratch"),
	checkRestore:   refuseRestore("Scratch"),
	checkSource:    fillsNothing,
	restoreAsks:    asksNothing,
	// Everything is right on all nodes.
	validateOn: func(Config, traits.Storage, *problems.List) {},
	checkNodes: func(Config, int, *problems.List) {},
	needs: func(Config, traits.Storage) survey.Storage {
		return survey.Storage{Replicas: 3, Namespace: "kube-system"}
	},
	nodeLabels:    map[string]string{"scratch.example.com/disk": "yes"},
	usablePercent: func(traits.Storage) int { return 50 },
	tooLarge:      1 << 40,
	wantSmaller:   "less than 1Ti: Scratch ends there",
	part: owner.Part{
		Namespace: "kube-system",
		Signs:     []owner.Object{{APIVersion: "storage.k8s.io/v1", Kind: "CSIDriver", Name: "scratch.example.com"}},
	},
	recorded:    func(Config) pulumi.Map { return nil },
	unhealthy:   func(context.Context, *live.Cluster) ([]string, error) { return nil, nil },
	leave:       func(context.Context, *live.Cluster, []string) ([]string, error) { return nil, nil },
	checkChange: func(context.Context, *Args, guard.Inputs, guard.Inputs) error { return nil },
	provision:   (*Storage).installScratch,
}

func (c Config) validateScratch(found *problems.List) {
	if c.ClassName == "scratch" {
		found.Add("storage.className", c.ClassName, "another name: Scratch has a class of that name")
	}
}

func (s *Storage) installScratch(ctx *pulumi.Context, _ string, args *Args) ([]pulumi.Resource, error) {
	installed, err := newRelease(ctx, "scratch", releaseArgs{
		Name: "scratch", Namespace: pulumi.String("kube-system"), Chart: pulumi.String("oci://registry.example.com/scratch"), Version: pulumi.String("1.0.0"),
		Values: map[string]any{"root": args.Traits.KubeletRootDir}, TimeoutSeconds: 600,
	}, s.options(args, pulumi.Protect(args.Protect), pulumi.DependsOn(args.After))...)
	if err != nil {
		return nil, err
	}
	class, err := storagev1.NewStorageClass(ctx, args.Config.ClassName, &storagev1.StorageClassArgs{
		Metadata:             &metav1.ObjectMetaArgs{Name: pulumi.String(args.Config.ClassName), Labels: labels()},
		Provisioner:          pulumi.String("scratch.example.com"),
		ReclaimPolicy:        pulumi.String("Retain"),
		AllowVolumeExpansion: pulumi.Bool(true),
	}, s.options(args, pulumi.DependsOn([]pulumi.Resource{installed}))...)
	if err != nil {
		return nil, fmt.Errorf("create StorageClass %s: %w", args.Config.ClassName, err)
	}
	return []pulumi.Resource{installed, class}, nil
}
