// Package program is the whole program: the stack's configuration, the cluster, the storage and the database on it, and the outputs.
package program

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/cluster"
	"ha-iris/internal/owner"
	"ha-iris/iris"
	"ha-iris/storage"
)

// Run reads the configuration and deploys it. Its error lists every mistake of the configuration; nothing has been registered then.
func Run(ctx *pulumi.Context) error {
	cfg, err := loadConfig(ctx)
	if err != nil {
		return err
	}
	outputs, err := deploy(ctx, cfg)
	if err != nil {
		return err
	}
	outputs.export(ctx)
	return nil
}

// deploy is the whole program: the data flows from top to bottom and nowhere else.
func deploy(ctx *pulumi.Context, cfg Config) (*Outputs, error) {
	args := &cluster.Args{
		Config: cfg.Cluster, Protect: cfg.IRIS.ProtectData, NodeLabels: cfg.Storage.NodeLabels(), Needs: cfg.needs(),
		Backups: cfg.Storage.Backup.Managed, Snapshots: cfg.Storage.SnapshotClasses,
	}
	if volumes := cfg.Storage.Volumes(); volumes != nil { // A nil pointer in the interface would not be nil.
		args.Volumes = volumes
	}
	kubernetes, err := cluster.New(ctx, "cluster", args)
	if err != nil {
		return nil, err
	}
	stack, err := owner.New(ctx, kubernetes.Live, kubernetes.UID)
	if err != nil {
		return nil, err
	}
	defer stack.Complete()
	volumes, err := storage.New(ctx, "storage", &storage.Args{
		Config:   cfg.Storage,
		Traits:   kubernetes.Traits.Storage,
		Live:     kubernetes.Live,
		Stack:    stack.Name(),
		Provider: kubernetes.Provider,
		Owner:    stack,
		Protect:  cfg.IRIS.ProtectData,
		Lifetime: kubernetes.Lifetime,
		After:    kubernetes.Ready,

		Monitor:       cfg.IRIS.Watched(),
		MonitorLabels: cfg.IRIS.MonitoringLabels,

		BackupStore: kubernetes.BackupStore,
		Generations: cfg.generations(),
	})
	if err != nil {
		return nil, err
	}
	database, err := iris.New(ctx, "iris", &iris.Args{
		Config:       cfg.IRIS,
		StorageClass: volumes.ClassName,
		LaterClasses: volumes.LaterClasses,
		Restorer:     volumes.Restorer,
		ClaimLabels:  volumes.ClaimLabels,
		Service:      kubernetes.Traits.Service,
		Provider:     kubernetes.Provider,
		API:          kubernetes.Live,
		Owner:        stack,
		Lifetime:     kubernetes.Lifetime,
		After:        volumes.Ready,
		Snapshots:    volumes.Snapshots,
	})
	if err != nil {
		return nil, err
	}
	return newOutputs(kubernetes, volumes, database), nil
}
