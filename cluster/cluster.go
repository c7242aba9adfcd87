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
	// Live asks the cluster what is there, once its kubeconfig is known.
	Live *live.Cluster
	// Lifetime is the resource with which everything inside the cluster ends, for pulumi.DeletedWith: an object that
	// goes with its cluster need not be deleted one by one from an API server that is going too. Nil when the cluster
	// outlives this stack. Never for a LoadBalancer Service: what the cloud made for it lies outside the cluster, stays
	// behind and blocks the network's deletion. Nor for what must refuse to be deleted.
	Lifetime pulumi.Resource

	// nodeLabels are those of Args.
	nodeLabels map[string]string
	// surveyed waits for the look at a cluster that exists already and returns why the stack cannot run there.
	surveyed func() error
}

// Args is what New needs.
type Args struct {
	Config Config
	// Protect refuses another name, with which everything that has it in its own would be replaced, the database included.
	Protect bool
	// NodeLabels are further labels of every node that is made, as what runs on the cluster wants them.
	NodeLabels map[string]string
	// Needs is what a cluster that exists already is looked at for, before anything is registered. Nil: only whether it is there.
	Needs *survey.Needs
}

// New provides the cluster that args.Config asks for.
//
// It returns an error, before anything is created, when a cloud's credentials are missing, a region has not the zones that are
// asked for, or an existing cluster cannot be reached or can never carry what args.Needs says. The configuration was validated
// (Config.Validate).
func New(ctx *pulumi.Context, name string, args *Args, opts ...pulumi.ResourceOption) (*Cluster, error) {
	cfg := args.Config.WithDefaults()
	kind, known := cfg.kind()
	if !known {
		return nil, fmt.Errorf("cluster.cloud: got %q, want one of %s", cfg.Cloud, cloudNames())
	}
	c := &Cluster{Traits: kind.traits, Live: &live.Cluster{}, nodeLabels: args.NodeLabels}
	if kind.preflight != nil {
		if err := kind.preflight(cfg, ctx, c.Live); err != nil {
			return nil, err
		}
	}
	if err := c.survey(ctx, kind, cfg, args.Needs); err != nil {
		return nil, err
	}
	guarded, err := guardName(ctx, name, args.Protect)
	if err != nil {
		return nil, err
	}
	recorded := pulumi.Map{"name": pulumi.String(cfg.Name)}
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

// survey looks whether an existing cluster can carry the stack. An up registers nothing before that is known; a preview, which
// creates nothing, looks while the Kubernetes provider starts, and has the answer before anything in the cluster is registered.
func (c *Cluster) survey(ctx *pulumi.Context, kind kind, cfg Config, needs *survey.Needs) error {
	c.surveyed = func() error { return nil }
	if kind.survey == nil {
		return nil
	}
	c.surveyed = sync.OnceValue(func() error { return kind.survey(cfg, ctx, c.Live, needs) })
	if !ctx.DryRun() {
		return c.surveyed()
	}
	go func() { _ = c.surveyed() }() // connect has the same answer.
	return nil
}

// connect creates the Kubernetes provider. Every variant ends here, so that the rules about the kubeconfig hold for all.
func (c *Cluster) connect(ctx *pulumi.Context, name string, kubeconfig pulumi.StringInput, after []pulumi.Resource) error {
	secretKubeconfig, ok := pulumi.ToSecret(kubeconfig).(pulumi.StringOutput)
	if !ok {
		return fmt.Errorf("kubeconfig is %T, not a string output", kubeconfig)
	}
	c.Kubeconfig = secretKubeconfig.ApplyT(c.meet).(pulumi.StringOutput)
	// ClusterIdentifier: without it a changed kubeconfig (a rotated token, another port) makes the provider guess that
	// the cluster is a new one and replace everything on it, the data included (pulumi/pulumi-kubernetes#4019).
	provider, err := kubernetes.NewProvider(ctx, name, &kubernetes.ProviderArgs{
		Kubeconfig:            c.Kubeconfig,
		ClusterIdentifier:     c.Name,
		EnableServerSideApply: pulumi.Bool(true),
		// In place: replacing a ConfigMap or Secret of a fixed name deletes it first, and with it, for as long as the update
		// takes, everything that mounts it. The workload's checksum annotations roll the pod instead.
		EnableConfigMapMutable: pulumi.Bool(true),
		EnableSecretMutable:    pulumi.Bool(true),
	}, pulumi.Parent(c), pulumi.DependsOn(after)) // after: a provider that starts before the nodes finds no one to talk to.
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

// identify reads what tells this cluster from every other, a later one of the same name included. Kubernetes itself has no
// identity for a cluster; the uid of kube-system is what everybody uses (kubernetes/kubernetes#77487). A cluster that was looked
// at already is asked directly: the provider would fetch the API's whole schema first, a tenth of a warm preview (make bench).
// Where that does not work (a cloud's cluster, whose credentials a plugin brings; a token that kubectl has to renew) the
// provider reads.
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
	// The name under which the provider would write it. It draws one at each read otherwise, and each run would count a change.
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

// meet makes the cluster known to Live and returns the kubeconfig as it is. Everything in the cluster waits for that, because
// the provider does.
func (c *Cluster) meet(text string) string {
	c.Live.Connect(text)
	return text
}
