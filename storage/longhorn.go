package storage

import (
	"fmt"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/owner"
)

const (
	provisioner = "driver.longhorn.io"
	// Longhorn's documents, its support bundle and its webhooks all expect this namespace and release name.
	namespaceName = "longhorn-system"
	releaseName   = "longhorn"
	// releaseTimeout covers pulling Longhorn's images on three fresh nodes; Helm's default of 5 min is too short there,
	// and the uninstall hook alone may take 15 min (its activeDeadlineSeconds in the chart).
	releaseTimeout = 20 * 60
	// dataPath is the directory on each node that holds the replicas, Longhorn's default. Where that is a disk of its own, the node's
	// user data mounts the disk here.
	dataPath = "/var/lib/longhorn/"
	// uiCommand opens the UI on loopback only, because it has no login. The Service is that of Longhorn's chart. ops/longhornui does
	// the same with the stack's kubeconfig.
	uiCommand = "kubectl -n " + namespaceName + " port-forward --address 127.0.0.1 service/longhorn-frontend 9000:80"
	// diskLabel makes Longhorn use a node's data path. It is on every node that is made for Longhorn, and the setting
	// createDefaultDiskLabeledNodes goes with it, so that Longhorn does not use the root disk of a node that is added later.
	diskLabel = "node.longhorn.io/create-default-disk"
)

// longhorn is SUSE's Longhorn, by its official chart.
//
//nolint:gochecknoglobals // A literal that nothing writes to, as the table that it belongs to.
var longhorn = driver{
	name:           "Longhorn",
	defaults:       longhornDefaults,
	validate:       Config.validateLonghorn,
	validateBackup: Config.validateLonghornBackup,
	checkRestore:   checkLonghornRestore,
	validateOn:     Config.validateLonghornOn,
	checkNodes:     Config.checkLonghornNodes,
	needs:          longhornNeeds,
	restoreAsks:    longhornRestoreAsks,
	nodeLabels:     map[string]string{diskLabel: "true"},
	usablePercent:  longhornShare,
	// A replica is one sparse file, and a file on ext4 is smaller than 16 TiB.
	tooLarge:    16 << 40,
	wantSmaller: "less than 16Ti: each replica is one file of Longhorn's, and ext4 ends there",
	part: owner.Part{
		Namespace: namespaceName,
		Advice: map[string]string{
			"": "storage.install: false and storage.className, to use the Longhorn that is there (README, \"A cluster of yours\"); " +
				"what an earlier Longhorn has left behind, delete",
			"StorageClass": "storage.className: a name that is free",
			snapshotKind:   "storage.className: a name that is free, or storage.snapshotClasses: false",
		},
		Signs: []owner.Object{
			{APIVersion: "storage.k8s.io/v1", Kind: "CSIDriver", Name: provisioner},
			{APIVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinition", Name: "volumes.longhorn.io"},
		},
	},
	recorded:    func(c Config) pulumi.Map { return pulumi.Map{"replicas": pulumi.Int(c.Replicas)} },
	checkChange: checkReplicas,
	checkSource: checkFirstSource,
	unhealthy:   longhornUnhealthy,
	leave:       longhornLeave,
	provision:   (*Storage).installLonghorn,
}

func (s *Storage) installLonghorn(ctx *pulumi.Context, name string, args *Args) ([]pulumi.Resource, error) {
	s.UICommand = pulumi.String(uiCommand).ToStringOutput()
	namespace, err := s.namespace(ctx, args)
	if err != nil {
		return nil, err
	}
	var prepared []pulumi.Resource
	if args.Traits.PrepareNodes {
		daemon, err := newNodePrep(ctx, nodePrepArgs{
			Namespace: namespace.Metadata.Name().Elem(), Image: args.Config.text(args.Config.NodePrepImage),
		}, s.options(args)...)
		if err != nil {
			return nil, err
		}
		prepared = append(prepared, daemon)
	}
	backups, err := s.prepareBackups(ctx, args, namespace)
	if err != nil {
		return nil, err
	}
	prepared = append(prepared, backups.before()...)
	keeper := s.keeper(ctx, args)
	guardRelease, err := keeper.guardRelease(ctx, name)
	if err != nil {
		return nil, err
	}
	installed, err := s.longhornRelease(ctx, args, namespace, prepared, backups, guardRelease)
	if err != nil {
		return nil, err
	}
	if err := s.longhornMonitor(ctx, args, installed); err != nil {
		return nil, err
	}
	if err := s.longhornSnapshots(ctx, args, installed); err != nil {
		return nil, err
	}
	guardClass, err := keeper.guardClass(ctx, name)
	if err != nil {
		return nil, err
	}
	class, err := s.class(ctx, args, installed, guardClass)
	if err != nil {
		return nil, err
	}
	backups.release, backups.class = installed, class
	if err := s.longhornBackups(ctx, name, args, keeper, backups); err != nil {
		return nil, err
	}
	later, err := s.laterClasses(ctx, name, args, keeper, class)
	if err != nil {
		return nil, err
	}
	// No schedule: the database does not wait for its backups.
	return append([]pulumi.Resource{installed, class}, later...), nil
}

func (s *Storage) namespace(ctx *pulumi.Context, args *Args) (*corev1.Namespace, error) {
	namespaceLabels := labels()
	// Longhorn's manager, CSI plugin and instance managers are privileged and mount host paths.
	namespaceLabels["pod-security.kubernetes.io/enforce"] = pulumi.String("privileged")
	namespace, err := corev1.NewNamespace(ctx, namespaceName, &corev1.NamespaceArgs{
		Metadata: &metav1.ObjectMetaArgs{Name: pulumi.String(namespaceName), Labels: namespaceLabels},
	}, s.options(args, pulumi.Protect(args.Protect),
		pulumi.DependsOn(args.After))...) // The namespace has no input from the nodes, but its pods need them.
	if err != nil {
		return nil, fmt.Errorf("create namespace %s: %w", namespaceName, err)
	}
	return namespace, nil
}

func (s *Storage) longhornRelease(
	ctx *pulumi.Context, args *Args, namespace *corev1.Namespace, prepared []pulumi.Resource, backups backedUp, guard pulumi.ResourceOption,
) (*release, error) {
	cfg := args.Config
	releaseArgs := releaseArgs{
		Name:           releaseName,
		Namespace:      namespace.Metadata.Name().Elem(),
		Chart:          cfg.text(cfg.Chart),
		Version:        cfg.text(cfg.Version),
		Values:         own(merge(chartValues(cfg, args.Traits, !args.Protect), backups.store.values(cfg)), args.Stack, args.class()),
		TimeoutSeconds: releaseTimeout,
	}
	switch cfg.chartKind() {
	case chartRepository:
		releaseArgs.Chart, releaseArgs.Repository = pulumi.String(releaseName), releaseArgs.Chart
	case chartLocal:
		releaseArgs.Version = nil // A local chart has its own version.
	case chartOCI:
	}
	// Its uninstall hook takes away webhooks that reject every update of nodes and claims (longhorn-manager webhook/resources).
	return newRelease(ctx, releaseName, releaseArgs, s.options(args, guard,
		// The release's outputs repeat the values.
		pulumi.AdditionalSecretOutputs(secretOutputs(cfg)),
		// Replacing the release uninstalls it, and its hook wipes every volume.
		pulumi.Protect(args.Protect),
		// Longhorn's manager exits on a node where `iscsiadm --version` fails.
		pulumi.DependsOn(prepared))...)
}
