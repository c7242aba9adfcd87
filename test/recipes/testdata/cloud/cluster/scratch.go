package cluster

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/pattern"
	"ha-iris/internal/problems"
	"ha-iris/internal/traits"
)

// A cloud that does not exist, in as few lines as the contract of a cluster lets one write.

// Scratch is made up.
const Scratch Cloud = "scratch"

func scratchKind() kind {
	return kind{
		cloud:    Scratch,
		defaults: Config{InstanceType: "large", DataDiskGiB: 100},
		keys:     createdKeys("depth"),
		notes:    map[string]string{"zones": "north, south"},
		own: map[string]func(*Config) *string{
			scratchRegionKey: func(c *Config) *string { return &c.Region },
		},
		validate:      Config.validateScratch,
		limits:        limits{nodes: 100, why: "nobody makes more up"},
		cores:         func(string) (int, bool) { return 4, true },
		memoryPerCore: func(string) int { return 4 },
		traits:        traits.Traits{Storage: traits.Storage{DedicatedDisk: true}},
		provision:     (*Cluster).scratch,
	}
}

const scratchRegionKey = "scratch:region"

var scratchRegion = pattern.Lazy(`^[a-z]+$`)

func (c Config) validateScratch(found *problems.List) {
	c.checkName(found)
	c.checkRegion(found, scratchRegionKey, scratchRegion, "north")
	c.checkSourceRanges(found)
}

type scratchProvider struct{ pulumi.ProviderResourceState }

type scratchCluster struct {
	pulumi.CustomResourceState

	Name       pulumi.StringOutput `pulumi:"name"`
	Kubeconfig pulumi.StringOutput `pulumi:"kubeconfig"`
}

func (c *Cluster) scratch(ctx *pulumi.Context, name string, cfg Config) error {
	provider := &scratchProvider{}
	err := ctx.RegisterResource("pulumi:providers:scratch", name, pulumi.Map{"region": pulumi.String(cfg.Region)}, provider,
		pulumi.Parent(c))
	if err != nil {
		return fmt.Errorf("create provider: %w", err)
	}
	s := scope{ctx: ctx, component: c, cfg: cfg, provider: provider}
	control := &scratchCluster{}
	err = ctx.RegisterResource("scratch:index:Cluster", s.name(""), pulumi.Map{
		"nodes": pulumi.Int(cfg.Nodes), "depth": pulumi.Int(cfg.Depth), "nodeLabels": s.nodeLabels(), "tags": pulumi.ToStringMap(s.tags()),
	}, control, s.options()...)
	if err != nil {
		return fmt.Errorf("create cluster: %w", err)
	}
	c.Name, c.Lifetime = control.Name, control
	c.Ready = []pulumi.Resource{control}
	if err := c.reach(control.Kubeconfig); err != nil {
		return err
	}
	return c.connect(ctx, name, nil)
}
