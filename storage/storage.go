// Package storage provides the replicated block storage that the database volume lies on: Longhorn, or a StorageClass
// that the cluster already has.
package storage

import (
	"fmt"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/live"
	"ha-iris/internal/owner"
	"ha-iris/internal/traits"
)

const (
	componentType = "ha-iris:storage:Storage"
	provisioner   = "driver.longhorn.io"
	// Longhorn's documents, its support bundle and its webhooks all expect this namespace and release name.
	namespaceName = "longhorn-system"
	releaseName   = "longhorn"
	// releaseTimeout covers pulling Longhorn's images on three fresh nodes; Helm's default of 5 min is too short there,
	// and the uninstall hook alone may take 15 min (its activeDeadlineSeconds in the chart).
	releaseTimeout = 20 * 60
)

// Args is what New needs.
type Args struct {
	Config   Config
	Traits   traits.Storage
	Provider pulumi.ProviderResource
	// Owner marks the objects as the stack's and refuses to take over others. Nil: neither.
	Owner *owner.Stack
	// Live asks the cluster what is there; nil asks nothing.
	Live *live.Cluster
	// Stack is the stack's full name. Helm's records carry it, so that what an interrupted run leaves can be told from
	// a Longhorn of somebody else's.
	Stack string
	// Protect makes the engine refuse to delete or replace what the data depends on, and Longhorn refuse to be
	// uninstalled.
	Protect bool
	// Lifetime is nil, or the resource whose deletion takes everything in the cluster with it, so that nothing has to be
	// uninstalled from a cluster that is going away.
	Lifetime pulumi.Resource
	// After are resources that must exist first, such as the nodes.
	After []pulumi.Resource
}

// Storage is the storage of the database volume.
type Storage struct {
	pulumi.ResourceState

	// ClassName is the StorageClass. A plain value and not the class's output: an output would become unknown whenever
	// the class is replaced, and an unknown class name replaces the claim, the data included.
	ClassName pulumi.StringOutput
	// Ready are concrete resources without which a claim of that class would stay Pending.
	Ready []pulumi.Resource
}

// New installs Longhorn and its StorageClass, or passes on the class that is configured. It returns an error, before any
// resource is registered, when the configuration is invalid.
func New(ctx *pulumi.Context, name string, args *Args, opts ...pulumi.ResourceOption) (*Storage, error) {
	if err := args.Config.Validate(); err != nil {
		return nil, err
	}
	s := &Storage{ClassName: pulumi.String(args.Config.ClassName).ToStringOutput()}
	componentOpts := append([]pulumi.ResourceOption{pulumi.Provider(args.Provider), args.Owner.Of(part())}, opts...)
	if err := ctx.RegisterComponentResource(componentType, name, s, componentOpts...); err != nil {
		return nil, fmt.Errorf("storage: register %q: %w", name, err)
	}
	if err := s.provision(ctx, name, args); err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	if err := ctx.RegisterResourceOutputs(s, pulumi.Map{"className": s.ClassName}); err != nil {
		return nil, fmt.Errorf("storage: register outputs of %q: %w", name, err)
	}
	return s, nil
}

func (s *Storage) provision(ctx *pulumi.Context, name string, args *Args) error {
	if !args.Config.Install {
		s.Ready = args.After // Nothing of ours comes between the nodes and the database.
		return nil
	}
	namespace, err := s.namespace(ctx, args)
	if err != nil {
		return err
	}
	var prepared []pulumi.Resource
	if args.Traits.PrepareNodes {
		daemon, err := newNodePrep(ctx, nodePrepArgs{
			Namespace: namespace.Metadata.Name().Elem(), Image: args.Config.text(args.Config.NodePrepImage),
		}, s.options(args)...)
		if err != nil {
			return err
		}
		prepared = append(prepared, daemon)
	}
	keeper := s.keeper(ctx, args)
	guardRelease, err := keeper.guardRelease(ctx, name)
	if err != nil {
		return err
	}
	longhorn, err := s.longhorn(ctx, args, namespace, prepared, guardRelease)
	if err != nil {
		return err
	}
	guardClass, err := keeper.guardClass(ctx, name)
	if err != nil {
		return err
	}
	class, err := s.class(ctx, args, longhorn, guardClass)
	if err != nil {
		return err
	}
	s.Ready = []pulumi.Resource{longhorn, class}
	return nil
}

// options are those of every child, as a fresh slice: appending to a shared one overwrites a sibling's option.
func (s *Storage) options(args *Args, own ...pulumi.ResourceOption) []pulumi.ResourceOption {
	options := append([]pulumi.ResourceOption{pulumi.Parent(s)}, own...)
	if args.Lifetime != nil {
		options = append(options, pulumi.DeletedWith(args.Lifetime))
	}
	return options
}

// part says what tells that somebody else has installed Longhorn, in whatever namespace, and what to set then.
func part() owner.Part {
	return owner.Part{
		Namespace: namespaceName,
		Advice: map[string]string{
			"": "storage.install: false and storage.className, to use the Longhorn that is there (README, \"A cluster of yours\"); " +
				"what an earlier Longhorn has left behind, delete",
			"StorageClass": "storage.className: a name that is free",
		},
		Signs: []owner.Object{
			{APIVersion: "storage.k8s.io/v1", Kind: "CSIDriver", Name: provisioner},
			{APIVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinition", Name: "volumes.longhorn.io"},
		},
	}
}

// labels are those of every object.
func labels() pulumi.StringMap {
	return pulumi.StringMap{
		"app.kubernetes.io/part-of":    pulumi.String("ha-iris"),
		"app.kubernetes.io/managed-by": pulumi.String("pulumi"),
	}
}

func (s *Storage) namespace(ctx *pulumi.Context, args *Args) (*corev1.Namespace, error) {
	namespaceLabels := labels()
	// Longhorn's manager, CSI plugin and instance managers are privileged and mount host paths.
	namespaceLabels["pod-security.kubernetes.io/enforce"] = pulumi.String("privileged")
	namespace, err := corev1.NewNamespace(ctx, namespaceName, &corev1.NamespaceArgs{
		Metadata: &metav1.ObjectMetaArgs{Name: pulumi.String(namespaceName), Labels: namespaceLabels},
	}, s.options(args, pulumi.Protect(args.Protect),
		pulumi.DependsOn(args.After))...) // The namespace's value needs nothing of the nodes; what runs in it does.
	if err != nil {
		return nil, fmt.Errorf("create namespace %s: %w", namespaceName, err)
	}
	return namespace, nil
}

func (s *Storage) longhorn(
	ctx *pulumi.Context, args *Args, namespace *corev1.Namespace, prepared []pulumi.Resource, guard pulumi.ResourceOption,
) (*release, error) {
	cfg := args.Config
	releaseArgs := releaseArgs{
		Name:           releaseName,
		Namespace:      namespace.Metadata.Name().Elem(),
		Chart:          cfg.text(cfg.Chart),
		Version:        cfg.text(cfg.Version),
		Values:         own(chartValues(cfg, args.Traits, !args.Protect), args.Stack, classOf(cfg)),
		TimeoutSeconds: releaseTimeout,
	}
	switch cfg.chartKind() {
	case chartRepository:
		releaseArgs.Chart, releaseArgs.Repository = pulumi.String(releaseName), releaseArgs.Chart
	case chartLocal:
		releaseArgs.Version = nil // A local chart is the version that it is.
	case chartOCI:
	}
	return newRelease(ctx, releaseName, releaseArgs, s.options(args, guard,
		// What Helm answers repeats the values.
		pulumi.AdditionalSecretOutputs(secretOutputs(cfg)),
		// A replaced release is an uninstalled one: its hook wipes every volume.
		pulumi.Protect(args.Protect),
		// Longhorn's manager exits on a node where `iscsiadm --version` fails.
		pulumi.DependsOn(prepared))...)
}
