// Package storage provides the replicated block storage that the database volume lies on: a driver that it installs, or a
// StorageClass that the cluster already has.
package storage

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/live"
	"ha-iris/internal/owner"
	"ha-iris/internal/traits"
)

const componentType = "ha-iris:storage:Storage"

// Args is what New needs.
type Args struct {
	Config   Config
	Traits   traits.Storage
	Provider pulumi.ProviderResource
	// Owner marks the objects as the stack's and refuses to take over others. Nil: neither.
	Owner *owner.Stack
	// Live reads from the cluster; nil: nothing is read.
	Live *live.Cluster
	// Stack is the stack's full name. Helm's records carry it, so that what an interrupted run leaves can be told from
	// what somebody else has installed.
	Stack string
	// Protect makes the engine refuse to delete or replace what the data depends on, and the driver refuse to be
	// uninstalled.
	Protect bool
	// Lifetime is nil, or the resource whose deletion takes everything in the cluster with it, so that nothing has to be
	// uninstalled from a cluster that is going away.
	Lifetime pulumi.Resource
	// BackupStore is the bucket that storage.backup.managed asks for; nil without that.
	BackupStore *traits.BackupStore
	// Monitor asks for what makes the Prometheus Operator's Prometheus read the driver's metrics, with MonitorLabels on it.
	Monitor       bool
	MonitorLabels map[string]string
	// Generations are the claims that the classes are for.
	Generations Generations
	// After are resources that must exist first, such as the nodes.
	After []pulumi.Resource
}

// Storage is the storage of the database volume.
type Storage struct {
	pulumi.ResourceState

	// ClassName is the StorageClass. A plain value and not the class's output: an output would become unknown whenever
	// the class is replaced, and an unknown class name replaces the claim, the data included.
	ClassName pulumi.StringOutput
	// LaterClasses are the classes of the generations after the first; without an entry it is ClassName.
	LaterClasses map[int]string
	// Restorer fills volumes from backups; nil when nothing is installed that does.
	Restorer Restorer
	// ClaimLabels are the labels of a claim whose volume is to be backed up; none without backups.
	ClaimLabels map[string]string
	// BackupTarget is where backups go, without mount options; empty without backups.
	BackupTarget pulumi.StringOutput
	// RecoveryPoint is the longest time between two backups that are due, such as 15m; empty without backups.
	RecoveryPoint pulumi.StringOutput
	// UICommand makes the driver's own web interface reachable from a machine with kubectl; empty when none is installed.
	UICommand pulumi.StringOutput
	// Ready are concrete resources without which a claim of that class would stay Pending.
	Ready []pulumi.Resource
	// Snapshots are what takes VolumeSnapshots, and deletes them: without it a namespace that has some is never gone. None without
	// storage.snapshotClasses.
	Snapshots []pulumi.Resource
}

// New installs a driver and its StorageClass, or passes on the class that is configured. The configuration was validated
// (Config.Validate).
func New(ctx *pulumi.Context, name string, args *Args, opts ...pulumi.ResourceOption) (*Storage, error) {
	none := pulumi.String("").ToStringOutput()
	s := &Storage{
		ClassName: pulumi.String(args.Config.ClassName).ToStringOutput(), BackupTarget: none, RecoveryPoint: none, UICommand: none,
	}
	guarded, err := guardFixed(ctx, name, args)
	if err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	componentOpts := append([]pulumi.ResourceOption{pulumi.Provider(args.Provider), args.Owner.Of(args.Config.driver().part), guarded}, opts...)
	if err := ctx.RegisterComponentResourceV2(componentType, name, recorded(args.Config, args.Generations), s, componentOpts...); err != nil {
		return nil, fmt.Errorf("storage: register %q: %w", name, err)
	}
	if err := s.provision(ctx, name, args); err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	outputs := pulumi.Map{
		"className": s.ClassName, "backupTarget": s.BackupTarget, "recoveryPoint": s.RecoveryPoint, "uiCommand": s.UICommand,
	}
	if err := ctx.RegisterResourceOutputs(s, outputs); err != nil {
		return nil, fmt.Errorf("storage: register outputs of %q: %w", name, err)
	}
	return s, nil
}

func (s *Storage) provision(ctx *pulumi.Context, name string, args *Args) (err error) {
	if !args.Config.Install {
		s.Ready = args.After // The database depends directly on the nodes.
		return nil
	}
	s.Ready, err = args.Config.driver().provision(s, ctx, name, args)
	return err
}

// options are those of every child, as a fresh slice: appending to a shared one overwrites a sibling's option.
func (s *Storage) options(args *Args, own ...pulumi.ResourceOption) []pulumi.ResourceOption {
	options := append([]pulumi.ResourceOption{pulumi.Parent(s)}, own...)
	if args.Lifetime != nil {
		options = append(options, pulumi.DeletedWith(args.Lifetime))
	}
	return options
}

// labels are those of every object.
func labels() pulumi.StringMap {
	return pulumi.StringMap{
		"app.kubernetes.io/part-of":    pulumi.String("ha-iris"),
		"app.kubernetes.io/managed-by": pulumi.String("pulumi"),
	}
}
