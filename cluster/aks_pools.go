package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/pulumi/pulumi-azure-native-sdk/containerservice/v3"
	"github.com/pulumi/pulumi-azure-native-sdk/resources/v3"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/internals"

	"ha-iris/internal/guard"
)

// Azure cannot change the machine type, the disk or the zone of a pool, and an upgrade in place empties the disks of its nodes
// (Longhorn, "Upgrade Kubernetes on AKS", advises new pools). So a pool's name contains a hash of what would replace its nodes.
// Another hash makes another pool beside the old one; the program moves the replicas and the pods over, zone by zone, and the
// engine deletes the old pools at the end of the up.

const (
	azureSystemPool = "system"
	// azureSystemSize is the smallest size that Azure accepts for a system pool: 2 cores and 4 GiB.
	azureSystemSize = "Standard_D2as_v5"
	// azureSystemDiskGiB holds the system and its images. It is a tier of Azure's managed disks (P6).
	azureSystemDiskGiB = 64
	// azurePoolLabel on a node is the name of its pool. Azure's own labels have it too, but not for nodes of others only.
	azurePoolLabel = "ha-iris/pool"
	// azureDrainMinutes is how long an upgrade in place, which this program never makes, waits for replicas to move to the
	// surge node. Azure's maximum is 1440, its default 30.
	azureDrainMinutes = 240
)

// systemPool is a small pool without replicas. The cluster's own resource must contain a pool and cannot exchange it later, so
// that none with data must be there. It takes only what tolerates its taint, and the other pools run the system's pods as well.
func (a *aks) systemPool() *containerservice.ManagedClusterAgentPoolProfileArgs {
	pool := &containerservice.ManagedClusterAgentPoolProfileArgs{
		Name:              pulumi.String(azureSystemPool),
		Mode:              pulumi.String(string(containerservice.AgentPoolModeSystem)),
		Type:              pulumi.String(string(containerservice.AgentPoolTypeVirtualMachineScaleSets)), // Zones need it.
		AvailabilityZones: pulumi.ToStringArray(a.zones()),
		VmSize:            pulumi.String(azureSystemSize),
		OsType:            pulumi.String(string(containerservice.OSTypeLinux)),
		OsSKU:             pulumi.String(string(containerservice.OSSKUUbuntu)),
		OsDiskType:        pulumi.String(string(containerservice.OSDiskTypeManaged)),
		OsDiskSizeGB:      pulumi.Int(azureSystemDiskGiB),
		// A fixed number, but with the autoscaler: see poolArgs.
		EnableAutoScaling: pulumi.Bool(true),
		Count:             pulumi.Int(1),
		MinCount:          pulumi.Int(1),
		MaxCount:          pulumi.Int(1),
		NodeTaints:        pulumi.ToStringArray([]string{"CriticalAddonsOnly=true:NoSchedule"}),
		Tags:              pulumi.ToStringMap(a.tags()),
	}
	if len(a.cfg.SubnetIDs) > 0 {
		pool.VnetSubnetID = pulumi.String(a.cfg.SubnetIDs[0])
	}
	return pool
}

func (a *aks) zones() []string {
	if len(a.cfg.Zones) > 0 {
		return a.cfg.Zones
	}
	return azureZones()
}

// poolNameOf is the name of the pool of zone number 1 to 3: at most 12 lower-case letters and digits.
func (a *aks) poolNameOf(number int) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{
		a.cfg.InstanceType, fmt.Sprint(a.cfg.DataDiskGiB), a.cfg.NodeVersion, fmt.Sprint(a.cfg.NodeGeneration),
	}, "/")))
	return fmt.Sprintf("z%d%s", number, hex.EncodeToString(sum[:])[:8])
}

// nodes creates the three pools, one after the other: Azure refuses an operation while another one is under way in the cluster.
// access is what they need before.
func (a *aks) nodes(group *resources.ResourceGroup, managed *containerservice.ManagedCluster, access []pulumi.Resource) ([]pulumi.Resource, error) {
	rolling, err := a.hasOldNodes()
	if err != nil {
		return nil, err
	}
	var pools []pulumi.Resource
	var last *containerservice.AgentPool
	for i, zone := range a.zones() {
		pool, err := a.agentPool(i+1, zone, group, managed, slices.Concat(access, pools), rolling)
		if err != nil {
			return nil, err
		}
		pools, last = append(pools, pool), pool
	}
	// Whether old nodes are there is asked again: an error here keeps the engine from deleting their pools.
	a.component.Kubeconfig = a.settled(last, func(ctx context.Context) error { return a.vacate(ctx, zoneCount+1) })
	return pools, nil
}

// hasOldNodes asks the cluster and not the state, so that an interrupted up can be repeated. In a preview that cannot ask there are
// none, and the engine shows what the protection refuses.
func (a *aks) hasOldNodes() (bool, error) {
	kubeconfig, err := internals.UnsafeAwaitOutput(a.ctx.Context(), a.component.Kubeconfig)
	if err != nil {
		return false, fmt.Errorf("wait for the cluster's kubeconfig: %w", err)
	}
	if !kubeconfig.Known {
		return false, nil // A preview of a new cluster.
	}
	nodes, err := a.component.roller.nodesSoon(a.ctx.Context())
	if err != nil && a.ctx.DryRun() {
		a.component.roller.log(fmt.Sprintf("whether nodes have to be replaced could not be looked at: %v", err))
		return false, nil
	}
	return slices.ContainsFunc(nodes, a.isOld), err
}

// isOld reports whether a node is of a pool with another hash.
func (a *aks) isOld(one poolNode) bool {
	return one.zone() > 0 && one.Metadata.Labels[azurePoolLabel] != a.poolNameOf(one.zone())
}

// vacate empties the old nodes of the zones with a lower number, once their successors are there and all volumes are healthy.
func (a *aks) vacate(ctx context.Context, below int) error {
	for number := 1; number < below; number++ {
		if err := a.vacateZone(ctx, number); err != nil {
			return err
		}
	}
	return nil
}

func (a *aks) vacateZone(ctx context.Context, number int) error {
	r := a.component.roller
	what := pool{number: number, zone: a.zones()[number-1]}.describe()
	if err := r.reach(ctx); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	of := func(nodes []poolNode) (old []string, successors int) {
		for _, one := range nodes {
			switch {
			case one.zone() != number:
			case a.isOld(one):
				old = append(old, one.Metadata.Name)
			case one.state() == "":
				successors++
			}
		}
		return old, successors
	}
	nodes, err := r.nodes(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if old, _ := of(nodes); len(old) == 0 {
		return nil
	}
	r.rolled.Store(true) // Perhaps begun by a run before, which was interrupted.
	// The replicas of the other zones carry this one's while it moves.
	if err := r.await(ctx, what, nil); err != nil {
		return err
	}
	return r.vacate(ctx, what, func() (old, missing []string, err error) {
		nodes, err := r.nodes(ctx)
		if err != nil {
			return nil, nil, err
		}
		old, successors := of(nodes)
		if len(old) > 0 && successors < a.perZone() {
			missing = append(missing, fmt.Sprintf("%d of %d nodes of the new pool %s are ready", successors, a.perZone(), a.poolNameOf(number)))
		}
		return old, missing, nil
	})
}

// agentPool creates the nodes of one zone. before is what must exist, such as the pools of the zones before; rolling says that nodes
// of earlier pools are there.
func (a *aks) agentPool(
	number int, zone string, group *resources.ResourceGroup, managed *containerservice.ManagedCluster, before []pulumi.Resource,
	rolling bool,
) (*containerservice.AgentPool, error) {
	guarded, err := a.guardPool(pool{
		number: number, zone: zone,
		count: func(pool guard.Inputs) (float64, bool) { return pool.Number("count") },
		replacing: func(before, _ guard.Inputs) []string {
			if before.None() && rolling {
				return []string{"new pool " + a.poolNameOf(number)}
			}
			return nil
		},
		// A new pool takes nothing away by itself, and may be what a volume lacks. The zones before are emptied first.
		succeed: func(ctx context.Context) error { return a.vacate(ctx, number) },
	})
	if err != nil {
		return nil, err
	}
	pool, err := containerservice.NewAgentPool(a.ctx, a.poolName(number), a.poolArgs(number, zone, group, managed), a.options(
		pulumi.DependsOn(slices.Clone(before)),
		// The engine refuses to replace a protected pool, which is wanted except while pools have successors.
		pulumi.Protect(a.component.protect && !rolling),
		pulumi.DeleteBeforeReplace(false), // The names differ; the provider knows only that this program chose them.
		pulumi.Timeouts(&pulumi.CustomTimeouts{Create: "45m", Update: "45m", Delete: "60m"}),
		guarded,
	)...)
	if err != nil {
		return nil, fmt.Errorf("create agent pool of zone %s: %w", zone, err)
	}
	return pool, nil
}

func (a *aks) poolArgs(number int, zone string, group *resources.ResourceGroup, managed *containerservice.ManagedCluster) *containerservice.AgentPoolArgs {
	labels := a.labelsOf(number)
	labels[azurePoolLabel] = pulumi.String(a.poolNameOf(number))
	args := &containerservice.AgentPoolArgs{
		ResourceGroupName: group.Name,
		ResourceName:      managed.Name,
		AgentPoolName:     pulumi.String(a.poolNameOf(number)),
		Mode:              pulumi.String(string(containerservice.AgentPoolModeSystem)), // See systemPool.
		Type:              pulumi.String(string(containerservice.AgentPoolTypeVirtualMachineScaleSets)),
		AvailabilityZones: pulumi.ToStringArray([]string{zone}),
		VmSize:            pulumi.String(a.cfg.InstanceType),
		// Ubuntu includes open-iscsi. An ephemeral OS disk would be wiped whenever the machine is moved.
		OsType:       pulumi.String(string(containerservice.OSTypeLinux)),
		OsSKU:        pulumi.String(string(containerservice.OSSKUUbuntu)),
		OsDiskType:   pulumi.String(string(containerservice.OSDiskTypeManaged)),
		OsDiskSizeGB: pulumi.Int(a.cfg.DataDiskGiB),
		// A fixed number, but with the autoscaler: node repair does not replace a deleted machine, the autoscaler's minimum does.
		// Changes of the count are not ignored: Azure refuses a count below minCount.
		EnableAutoScaling: pulumi.Bool(true),
		Count:             pulumi.Int(a.perZone()),
		MinCount:          pulumi.Int(a.perZone()),
		MaxCount:          pulumi.Int(a.perZone()),
		// Unset: then raising the cluster's version upgrades the control plane only (Azure/AKS#3087).
		OrchestratorVersion: optional(a.cfg.NodeVersion),
		NodeLabels:          labels,
		Tags:                pulumi.ToStringMap(a.tags()),
		UpgradeSettings: &containerservice.AgentPoolUpgradeSettingsArgs{
			MaxSurge: pulumi.String("1"), DrainTimeoutInMinutes: pulumi.Int(azureDrainMinutes),
		},
	}
	if len(a.cfg.SubnetIDs) > 0 {
		args.VnetSubnetID = pulumi.String(a.cfg.SubnetIDs[0])
	}
	return args
}
