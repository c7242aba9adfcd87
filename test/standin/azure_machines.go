package standin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

const (
	// aksDrainMinutes: AKS docs, "Upgrade an AKS cluster": the default of drainTimeoutInMinutes.
	aksDrainMinutes = 30
	// aksImage is the node image of a new pool.
	aksImage = "AKSUbuntu-2204gen2containerd-202611.01.0"
)

// aksPool is what an agent pool makes its nodes from.
func (c *change) aksPool(cluster *object, f fields) pool {
	about := cluster.fields()
	location := strings.ToLower(strings.ReplaceAll(about.str("location"), " ", ""))
	name := f.str("name")
	zones := []string{"0"} // cloud-provider-azure: the fault domain stands for the zone of a machine without one.
	if given := f.strs("availabilityZones"); len(given) > 0 {
		zones = nil
		for _, zone := range given {
			zones = append(zones, location+"-"+zone)
		}
	}
	count := 1
	if given, ok := f.number("count"); ok {
		count = given
	}
	p := pool{
		typ: azurePool, id: cluster.id + "/agentPools/" + name, urn: c.entry.URN, name: name, region: location,
		places: spread(zones, count), instance: f.str("vmSize"), diskGB: max(f.integer("osDiskSizeGB"), 30),
		version: patchRelease(cmp.Or(f.str("orchestratorVersion"), about.str("currentKubernetesVersion"))),
		labels:  textLabels(f, "nodeLabels"), taints: aksTaints(f),
	}
	if c.entry.Type == azureCluster {
		p.typ = azureCluster
	}
	p.built = p.version + "/" + f.str("osSKU")
	for key, value := range map[string]string{
		"agentpool": name, "kubernetes.azure.com/agentpool": name,
		"kubernetes.azure.com/cluster": about.str("nodeResourceGroup"),
		"kubernetes.azure.com/mode":    strings.ToLower(cmp.Or(f.str("mode"), "User")),
		"kubernetes.azure.com/os-sku":  cmp.Or(f.str("osSKU"), "Ubuntu"),
	} {
		p.labels[key] = value
	}
	number := numeric(p.id)
	p.nameOf = func(_ string, n int) string {
		return fmt.Sprintf("aks-%s-%s-vmss%06s", name, number, strconv.FormatInt(int64(n), 36))
	}
	return p
}

// numeric is the number of eight digits in a scale set's name.
func numeric(id string) string {
	n, err := strconv.ParseUint(lowerHash(id, 7), 16, 32)
	if err != nil {
		n = 0
	}
	return fmt.Sprintf("%08d", n%100000000)
}

// aksTaints reads taints in the form key=value:Effect.
func aksTaints(f fields) []any {
	taints := []any{}
	for _, taint := range f.strs("nodeTaints") {
		pair, effect, _ := strings.Cut(taint, ":")
		key, value, _ := strings.Cut(pair, "=")
		taints = append(taints, map[string]any{"key": key, "value": value, "effect": effect})
	}
	return taints
}

func (c *change) launchAKS(_ *object, p pool, _ fields) error {
	if err := c.azureQuota(p, 0); err != nil {
		return err
	}
	if err := c.azureCapacity(p); err != nil {
		c.failAfter(err)
		return nil
	}
	c.then(func(ctx context.Context, f *fleet) error {
		f.settle(p)
		return f.addAll(ctx, p, p.places, false)
	})
	return nil
}

// changeAKS upgrades the nodes that are not as the pool says, then follows its size. An upgrade that stopped goes on with
// the next update (AKS docs, "Upgrade an AKS cluster": "any subsequent PUT operation shall resume the stopped upgrade").
func (c *change) changeAKS(cluster *object, p pool, settings fields) error {
	if err := c.checkGrowth(cluster, p, settings); err != nil || c.partial != nil {
		return err
	}
	limit := cmp.Or(settings.integer("upgradeSettings.drainTimeoutInMinutes"), aksDrainMinutes)
	surge := settings.str("upgradeSettings.maxSurge")
	c.then(func(ctx context.Context, f *fleet) error {
		same := p
		same.places = f.placesOf(p.id)
		if err := f.rollAKS(ctx, same, surge, limit); err != nil {
			return err
		}
		if err := f.relabel(ctx, p); err != nil {
			return err
		}
		return f.scaleAKS(ctx, p, limit)
	})
	return nil
}

// checkGrowth refuses more machines than there can be, those of an upgrade's surge among them.
func (c *change) checkGrowth(cluster *object, p pool, settings fields) error {
	before, surge := p, 0
	for _, other := range c.pools() {
		if other.id == p.id {
			before = other
		}
	}
	if before.built != p.built {
		surge = surgeOf(settings.str("upgradeSettings.maxSurge"), len(p.places))
	}
	if surge == 0 && len(p.places) <= len(before.places) {
		return nil
	}
	if err := c.checkJoin(cluster, settings.str("vnetSubnetID")); err != nil {
		return err
	}
	if err := c.azureQuota(p, surge); err != nil {
		return err
	}
	if err := c.azureCapacity(p); err != nil {
		c.failAfter(err)
	}
	return nil
}

// surgeOf reads maxSurge, a number or a percentage that is rounded up; 1 when it is not given, never more than there are
// nodes (AKS docs, "Customize node surge upgrade").
func surgeOf(given string, nodes int) int {
	percent, isPercent := strings.CutSuffix(given, "%")
	n, err := strconv.Atoi(percent)
	switch {
	case err != nil:
		n = 1
	case isPercent:
		n = (n*nodes + 99) / 100
	}
	return max(1, min(n, nodes))
}

// rollAKS upgrades a pool in place (AKS docs, "Upgrade an AKS cluster"): surge nodes, in a zone that nobody knows ahead of
// time ("Special considerations for node pools that span multiple availability zones"), then as many old nodes as those
// are cordoned and drained, and reimaged: they keep their names and lose their disks. The surge nodes are drained and
// deleted at the end.
func (f *fleet) rollAKS(ctx context.Context, p pool, maxSurge string, limit int) error {
	old := slices.DeleteFunc(f.outdated(p), func(m *machine) bool { return m.surge })
	f.settle(p)
	if len(old) > 0 {
		surge := surgeOf(maxSurge, len(old))
		missing := max(0, surge-len(f.surging(p.id))) // Those of an upgrade that stopped are still there.
		if err := f.addAll(ctx, p, spread(p.zones()[:1], missing), true); err != nil {
			return err
		}
		for batch := range slices.Chunk(old, surge) {
			if err := together(batch, func(m *machine) error { return f.upgradeAKS(ctx, p, m, limit) }); err != nil {
				return err
			}
		}
	}
	return f.retireAKS(ctx, p, f.surging(p.id), limit)
}

func (f *fleet) surging(id string) []*machine {
	return slices.DeleteFunc(f.of(id), func(m *machine) bool { return !m.surge })
}

// upgradeAKS upgrades one node. When it cannot be drained the upgrade stops and leaves it schedulable (AKS docs, "Upgrade
// options": undrainable node behaviour Schedule, the default and the only one of this API version).
func (f *fleet) upgradeAKS(ctx context.Context, p pool, m *machine, limit int) error {
	if err := f.emptyAKS(ctx, p, m, limit); err != nil {
		return err
	}
	if err := f.reimage(ctx, p, m); err != nil {
		return err
	}
	return f.uncordon(ctx, m, nil)
}

// emptyAKS cordons and drains a node.
func (f *fleet) emptyAKS(ctx context.Context, p pool, m *machine, limit int) error {
	if err := f.cordon(ctx, p, m, nil); err != nil {
		return err
	}
	err := f.drain(ctx, p, m, f.minutes(limit))
	var stuck *drainError
	if !errors.As(err, &stuck) {
		return err
	}
	// The text is from Azure docs, "Troubleshoot UpgradeFailed errors due to eviction failures caused by PDBs".
	failed := azureBad("UpgradeFailed", "Drain node %s failed when evicting pod %s failed with Too Many Requests error. "+
		"This is often caused by a restrictive Pod Disruption Budget (PDB) policy. See "+
		"https://aka.ms/aks/debugdrainfailures. Original error: Cannot evict pod as it would violate the pod's disruption "+
		"budget.", m.name, strings.Join(stuck.pods, ", "))
	return errors.Join(failed, f.uncordon(ctx, m, nil))
}

// retireAKS cordons, drains and deletes nodes.
func (f *fleet) retireAKS(ctx context.Context, p pool, ending []*machine, limit int) error {
	return together(ending, func(m *machine) error {
		if err := f.emptyAKS(ctx, p, m, limit); err != nil {
			return err
		}
		return f.end(ctx, p, m)
	})
}

// scaleAKS follows the pool's size. Fewer nodes are cordoned and drained first (AKS docs, "Scale the node count"), the
// last ones made; that one that cannot be drained stops it is this stand-in's reading.
func (f *fleet) scaleAKS(ctx context.Context, p pool, limit int) error {
	f.settle(p)
	if err := f.addAll(ctx, p, f.grow(p), false); err != nil {
		return err
	}
	return f.retireAKS(ctx, p, f.shrink(p, newest), limit)
}

// removeAKS ends a pool's machines at once: "When you delete a node pool, AKS doesn't perform cordon and drain, and there
// are no recovery options for data loss" (azure-aks-docs, create-node-pools.md and resize-node-pool.md). delete-node-pool.md
// of 2024 on speaks of disruption budgets that prevent a deletion; this is the unkind reading of the two.
func (c *change) removeAKS(id string) {
	c.then(func(ctx context.Context, f *fleet) error { return f.endAll(ctx, f.last(id), f.of(id)) })
}

// UpgradeNodeImages makes AKS give a pool's nodes a newer image, as its node OS upgrade channel does by itself. The pool
// is the ARM id of an agent pool: CLUSTER/agentPools/NAME.
func (c *Clouds) UpgradeNodeImages(ctx context.Context, id string) error {
	if c.fleet == nil {
		return errors.New("node pools have no machines without Options.Machines")
	}
	p := c.fleet.last(id)
	if p.id == "" {
		return fmt.Errorf("no agent pool %s", id)
	}
	p.built += "+"
	return c.fleet.rollAKS(ctx, p, "", aksDrainMinutes)
}

// Reimage does to a node of AKS what its auto-repair does to one that a reboot did not heal: the machine keeps its name
// and gets an empty disk, and nobody drains it (AKS docs, "Node auto-repair").
func (c *Clouds) Reimage(ctx context.Context, node string) error {
	f, m, p, err := c.machineOf(node, azurePool, azureCluster)
	if err != nil {
		return err
	}
	p.built = m.built
	return f.reimage(ctx, p, m)
}
