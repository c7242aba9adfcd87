// Package cluster provides the Kubernetes cluster that everything else runs on: one that a cloud provisions, or one
// that already exists. Nothing outside this package knows which.
package cluster

import (
	"fmt"
	"sync"

	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/live"
	"ha-iris/internal/survey"
	"ha-iris/internal/traits"
)

const componentType = "ha-iris:cluster:Cluster"

// Cluster is all that the rest of the program sees of a cluster.
type Cluster struct {
	pulumi.ResourceState

	// Name is the cluster's name. It also identifies the cluster to the Kubernetes provider.
	Name pulumi.StringOutput
	// Kubeconfig gives cluster-admin access; secret.
	Kubeconfig pulumi.StringOutput
	// Provider is the one Kubernetes provider for this cluster.
	Provider pulumi.ProviderResource
	// Traits are the differences between clusters that matter downstream. Plain values, known in every preview.
	Traits traits.Traits
	// Ready are concrete resources that must exist before anything is installed. Depend on these, never on the
	// component: in the Go SDK a child joins its component in the goroutine that registers it, so DependsOn(component)
	// misses some at random (as in pulumi/pulumi#7833).
	Ready []pulumi.Resource
	// UID is the uid of the namespace kube-system, which no two clusters share. Unknown while the cluster is not there.
	UID pulumi.StringOutput
	// BackupStore is the bucket for backups; nil unless Args.Backups asks for one.
	BackupStore *traits.BackupStore
	// Live asks the cluster what is there, once its kubeconfig is known.
	Live *live.Cluster
	// Lifetime is the resource with which everything inside the cluster ends, for pulumi.DeletedWith: an object that
	// is deleted with its cluster need not be deleted one by one before. Nil when the cluster
	// outlives this stack. Not to be used for a LoadBalancer Service, whose cloud resources lie outside the cluster and
	// would block the network's deletion, nor for resources that are protected against deletion.
	Lifetime pulumi.Resource

	// nodeLabels are those of Args.
	nodeLabels map[string]string
	// backups says that a bucket for backups is made, snapshots that VolumeSnapshots can be.
	backups, snapshots bool
	// protect makes the engine refuse to delete or replace the cluster and its nodes.
	protect bool
	// roller holds changes that replace nodes back until the volumes are healthy.
	roller *roller
	// surveyed waits for the survey of an existing cluster and returns why the stack cannot run there.
	surveyed func() error
}

// Args is what New needs.
type Args struct {
	Config Config
	// Protect makes the engine refuse to delete or replace the cluster and its nodes, and refuses a change of the cluster's name,
	// which would replace everything, the database included.
	Protect bool
	// Volumes are the storage's, for changes that replace nodes. Nil: they are not known.
	Volumes Volumes
	// Backups makes a bucket for backups, on the kinds of cluster that can (Config.MakesBackupStore).
	Backups bool
	// Snapshots adds the kinds of VolumeSnapshots and their controller where the cluster is created without (addonsWithPods). It changes
	// nothing on a cluster that exists already.
	Snapshots bool
	// NodeLabels are additional labels of every node that is created, for the storage driver.
	NodeLabels map[string]string
	// Needs is what an existing cluster is surveyed for, before anything is registered. Nil: only its reachability is checked.
	Needs *survey.Needs
}

// New provides the cluster that args.Config asks for.
//
// It returns an error, before anything is created, when a cloud's credentials are missing, a region lacks the configured
// zones, or an existing cluster cannot be reached or can never carry what args.Needs says. The configuration was validated
// (Config.Validate).
func New(ctx *pulumi.Context, name string, args *Args, opts ...pulumi.ResourceOption) (*Cluster, error) {
	cfg := args.Config.WithDefaults()
	kind, known := cfg.kind()
	if !known {
		return nil, fmt.Errorf("cluster.cloud: got %q, want one of %s", cfg.Cloud, cloudNames())
	}
	c := &Cluster{
		Traits: kind.traits, Live: &live.Cluster{}, nodeLabels: args.NodeLabels, protect: args.Protect,
		backups: args.Backups, snapshots: args.Snapshots,
	}
	c.roller = newRoller(ctx, c, args.Volumes, cfg)
	if kind.preflight != nil {
		if err := kind.preflight(cfg, ctx, c.Live); err != nil {
			return nil, err
		}
	}
	if err := c.survey(ctx, kind, cfg, args.Needs); err != nil {
		return nil, err
	}
	if err := cfg.warnOpen(ctx); err != nil {
		return nil, err
	}
	guarded, err := guardComponent(ctx, name, args.Protect)
	if err != nil {
		return nil, err
	}
	recorded := pulumi.Map{"name": pulumi.String(cfg.Name)}
	if cfg.creates() {
		recorded["pools"] = pulumi.String(poolsPerZone)
	}
	if err := ctx.RegisterComponentResourceV2(componentType, name, recorded, c, append([]pulumi.ResourceOption{guarded}, opts...)...); err != nil {
		return nil, fmt.Errorf("cluster: register %q: %w", name, err)
	}
	if err := kind.provision(c, ctx, name, cfg); err != nil {
		return nil, fmt.Errorf("cluster: %s %q: %w", cfg.Cloud, cfg.Name, err)
	}
	if err := ctx.RegisterResourceOutputs(c, pulumi.Map{"name": c.Name, "kubeconfig": c.Kubeconfig}); err != nil {
		return nil, fmt.Errorf("cluster: register outputs of %q: %w", name, err)
	}
	return c, nil
}

// survey checks whether an existing cluster can run the stack. An up registers nothing before the result is known. A preview
// creates nothing, so there the check runs while the Kubernetes provider starts; connect waits for its result.
func (c *Cluster) survey(ctx *pulumi.Context, kind kind, cfg Config, needs *survey.Needs) error {
	c.surveyed = func() error { return nil }
	if kind.survey == nil {
		return nil
	}
	c.surveyed = sync.OnceValue(func() error { return kind.survey(cfg, ctx, c.Live, needs) })
	if !ctx.DryRun() {
		return c.surveyed()
	}
	go func() { _ = c.surveyed() }() // connect returns the error.
	return nil
}

// reach passes the kubeconfig on to Live, as soon as it is known: changes of nodes look at the cluster.
func (c *Cluster) reach(kubeconfig pulumi.StringInput) error {
	secretKubeconfig, ok := pulumi.ToSecret(kubeconfig).(pulumi.StringOutput)
	if !ok {
		return fmt.Errorf("kubeconfig is %T, not a string output", kubeconfig)
	}
	c.Kubeconfig = secretKubeconfig.ApplyT(c.meet).(pulumi.StringOutput)
	return nil
}

// connect creates the Kubernetes provider. Every kind's provision ends here, after reach, so that all treat the kubeconfig alike.
func (c *Cluster) connect(ctx *pulumi.Context, name string, after []pulumi.Resource) error {
	// ClusterIdentifier: without it a changed kubeconfig (a rotated token, another port) makes the provider assume that
	// the cluster is a new one and replace everything on it, the data included (pulumi/pulumi-kubernetes#4019).
	provider, err := kubernetes.NewProvider(ctx, name, &kubernetes.ProviderArgs{
		Kubeconfig:            c.Kubeconfig,
		ClusterIdentifier:     c.Name,
		EnableServerSideApply: pulumi.Bool(true),
		// In place: replacing a ConfigMap or Secret of a fixed name deletes it first, and with it, for as long as the update
		// takes, everything that mounts it. The workload's checksum annotations roll the pod instead.
		EnableConfigMapMutable: pulumi.Bool(true),
		EnableSecretMutable:    pulumi.Bool(true),
	}, pulumi.Parent(c), pulumi.DependsOn(after)) // after: without nodes nothing in the cluster becomes ready.
	if err != nil {
		return fmt.Errorf("create Kubernetes provider: %w", err)
	}
	c.Provider = provider
	c.Ready = append(c.Ready, provider)
	if err := c.surveyed(); err != nil {
		return err
	}
	return c.identify(ctx)
}

// identify reads the cluster's UID, which differs even for a later cluster of the same name. Kubernetes has no id for a cluster;
// the uid of kube-system is commonly used instead (kubernetes/kubernetes#77487). If the kubeconfig is known already, it is read
// directly: the provider would fetch the API's whole schema first, a tenth of a warm preview (make bench). Otherwise, or when
// that fails (a token that only kubectl can renew), the provider reads it.
func (c *Cluster) identify(ctx *pulumi.Context) error {
	var found struct {
		Metadata struct {
			UID string `json:"uid"`
		} `json:"metadata"`
	}
	if c.Live.Known() {
		there, err := c.Live.Get(ctx.Context(), "/api/v1/namespaces/kube-system", &found)
		if err == nil && there && found.Metadata.UID != "" {
			c.UID = pulumi.String(found.Metadata.UID).ToStringOutput()
			return nil
		}
	}
	// A fixed field manager. Otherwise the provider generates one at each read, which every run would show as a change.
	known := pulumi.Map{"__fieldManager": pulumi.String("ha-iris")}
	var system corev1.Namespace
	err := ctx.ReadResource("kubernetes:core/v1:Namespace", "kube-system", pulumi.ID("kube-system"), known, &system,
		pulumi.Parent(c), pulumi.Provider(c.Provider))
	if err != nil {
		return fmt.Errorf("read namespace kube-system: %w", err)
	}
	c.UID = system.Metadata.Uid().Elem()
	return nil
}

// meet passes the kubeconfig to Live and returns it unchanged. The provider depends on its result, and with it everything in
// the cluster.
func (c *Cluster) meet(text string) string {
	c.Live.Connect(text)
	return text
}
