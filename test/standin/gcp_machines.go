package standin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// gkeDrainMinutes: GKE docs, "Node upgrade strategies": budgets and grace periods are honoured for up to an hour, then the
// node is deleted all the same.
const gkeDrainMinutes = 60

// gkeInPlace are the parts of nodeConfig that GKE changes on running nodes (GKE docs, "Node pool update": labels, taints
// and network tags without recreating nodes).
func gkeInPlace() []string {
	return []string{"labels", "taints", "resourceLabels", "tags", "resourceManagerTags"}
}

// gkePool is what a node pool makes its nodes from: nodeCount, or what it began with, in every zone.
func (c *change) gkePool(cluster *object) pool {
	f := toFields(merge(toProperties(c.out), toProperties(c.in)))
	region, _ := gcpRegionOf(cluster.fields().str("location"))
	count := f.integer("nodeCount")
	if smallest, ok := f.number("autoscaling.minNodeCount"); ok {
		count = max(count, smallest)
	}
	var places []string
	for _, zone := range f.strs("nodeLocations") {
		for range count {
			places = append(places, zone)
		}
	}
	name, machineType := f.str("name"), "e2-medium" // Kubernetes Engine API, NodeConfig.machineType.
	if given, ok := f.text("nodeConfig.machineType"); ok {
		machineType = given
	}
	disk := 100 // NodeConfig.diskSizeGb.
	if given, ok := f.number("nodeConfig.diskSizeGb"); ok {
		disk = given
	}
	p := pool{
		typ: gcpNodePool, id: c.id, urn: c.entry.URN, name: name, region: region, places: places, instance: machineType, diskGB: disk,
		version: f.str("version"), labels: textLabels(f, "nodeConfig.labels"), taints: gkeTaints(f),
		built: gkeBuilt(f, gkeParts()...),
	}
	p.labels["cloud.google.com/gke-nodepool"] = name
	p.labels["cloud.google.com/gke-boot-disk"] = "pd-balanced"
	if kind, ok := f.text("nodeConfig.diskType"); ok {
		p.labels["cloud.google.com/gke-boot-disk"] = kind
	}
	prefix := "gke-" + lastPart(cluster.id) + "-" + name
	prefix = strings.TrimRight(prefix[:min(len(prefix), 45)], "-") + "-"
	p.nameOf = func(zone string, n int) string {
		return prefix + lowerHash(p.id+zone, 8) + "-" + lowerHash(fmt.Sprint(p.id, n), 4)
	}
	return p
}

func gkeTaints(f fields) []any {
	taints := []any{}
	effects := map[string]string{
		"NO_SCHEDULE": "NoSchedule", "NO_EXECUTE": "NoExecute", "PREFER_NO_SCHEDULE": "PreferNoSchedule",
	}
	for _, taint := range f.objects("nodeConfig.taints") {
		taints = append(taints, map[string]any{
			"key": taint.str("key"), "value": taint.str("value"), "effect": effects[taint.str("effect")],
		})
	}
	return taints
}

// gkeParts are the parts of a node pool whose change makes GKE recreate every node, in the order in which Terraform sends
// them, and each is a call of its own: two of them changed are two rolls (terraform-provider-google
// services/container/resource_container_node_pool.go, nodePoolUpdate, and node_config.go, nodePoolNodeConfigUpdate). All
// that no other part has is the last of nodeConfig.
func gkeParts() []string {
	return []string{"disk and machine", "imageType", "workloadMetadataConfig", "kubeletConfig", "linuxNodeConfig", "rest", "version"}
}

// gkePart returns what a part holds.
func gkePart(f fields, part string) any {
	config, _ := f.get("nodeConfig").(map[string]any)
	switch part {
	case "version":
		return f.str("version")
	case "disk and machine":
		return []any{config["diskSizeGb"], config["diskType"], config["machineType"]}
	case "rest":
		rest := fields{}
		for key, value := range config {
			own := slices.Contains(gkeParts(), key) || slices.Contains(gkeInPlace(), key)
			if !own && !slices.Contains([]string{"diskSizeGb", "diskType", "machineType"}, key) {
				rest[key] = value
			}
		}
		return map[string]any(rest)
	default:
		return config[part]
	}
}

func gkeBuilt(f fields, parts ...string) string {
	var built []string
	for _, part := range parts {
		built = append(built, fmt.Sprint(gkePart(f, part)))
	}
	return strings.Join(built, "/")
}

func (c *change) launchPool(cluster *object) {
	p := c.gkePool(cluster)
	c.then(func(ctx context.Context, f *fleet) error {
		f.settle(p)
		return f.addAll(ctx, p, p.places, false)
	})
}

// changePool rolls once for every part that changed, with the surge that the pool had: its own change comes last.
func (c *change) changePool(cluster *object) error {
	p := c.gkePool(cluster)
	was := toFields(merge(toProperties(c.out), toProperties(c.was)))
	if c.was.has("nodeConfig") {
		was["nodeConfig"] = c.was["nodeConfig"]
	}
	is := toFields(merge(toProperties(c.out), toProperties(c.in)))
	var rolls []string
	for i, part := range gkeParts() {
		if fmt.Sprint(gkePart(was, part)) != fmt.Sprint(gkePart(is, part)) {
			rolls = append(rolls, gkeBuilt(is, gkeParts()[:i+1]...)+"//"+gkeBuilt(was, gkeParts()[i+1:]...))
		}
	}
	surge, unavailable := 1, 0 // Kubernetes Engine API, UpgradeSettings, in each zone at a time.
	if was.has("upgradeSettings") {
		surge, unavailable = was.integer("upgradeSettings.maxSurge"), was.integer("upgradeSettings.maxUnavailable")
	}
	if err := c.roomGCP(cluster, p, min(surge, len(rolls)*surge), len(rolls) > 0); err != nil || c.partial != nil {
		return err
	}
	blue := was.str("upgradeSettings.strategy") == "BLUE_GREEN"
	c.then(func(ctx context.Context, f *fleet) error {
		if blue && len(rolls) > 0 {
			return errors.New("the stand-in rolls node pools by surge only, not BLUE_GREEN")
		}
		for i, built := range rolls {
			step := p
			step.places = f.placesOf(p.id)
			if step.built = built; i == len(rolls)-1 {
				step.built = p.built
			}
			if err := f.rollGKE(ctx, step, surge, unavailable); err != nil {
				return fmt.Errorf("error while updating node pool: %w", err)
			}
		}
		if err := f.relabel(ctx, p); err != nil {
			return err
		}
		return f.scaleGKE(ctx, p)
	})
	return nil
}

// roomGCP refuses more machines than there can be.
func (c *change) roomGCP(cluster *object, p pool, surge int, rolls bool) error {
	as := *c
	as.in = c.was
	if len(p.places) <= len(as.gkePool(cluster).places) && !rolls {
		return nil
	}
	if err := c.gcpQuota(p, surge); err != nil {
		return err
	}
	if err := c.gcpCapacity(p); err != nil {
		c.failAfter(err)
	}
	return nil
}

// rollGKE replaces a pool's nodes, zone after zone (GKE docs, "Node upgrade strategies", surge upgrades): maxSurge new
// nodes, then as many old ones as that and maxUnavailable are cordoned, drained and deleted. New nodes have new names and
// new boot disks.
func (f *fleet) rollGKE(ctx context.Context, p pool, surge, unavailable int) error {
	outdated := f.outdated(p)
	f.settle(p)
	for _, zone := range p.zones() {
		for batch := range slices.Chunk(in(zone, outdated), max(1, surge+unavailable)) {
			if err := f.addAll(ctx, p, spread([]string{zone}, min(surge, len(batch))), false); err != nil {
				return err
			}
			if err := f.retireGKE(ctx, p, batch); err != nil {
				return err
			}
			if err := f.addAll(ctx, p, f.grow(p), false); err != nil {
				return err
			}
		}
	}
	return nil
}

// retireGKE cordons, drains and deletes nodes, drained or not once the hour is up.
func (f *fleet) retireGKE(ctx context.Context, p pool, ending []*machine) error {
	if err := together(ending, func(m *machine) error { return f.cordon(ctx, p, m, nil) }); err != nil {
		return err
	}
	return together(ending, func(m *machine) error {
		err := f.drain(ctx, p, m, f.minutes(gkeDrainMinutes))
		var stuck *drainError
		if err != nil && !errors.As(err, &stuck) {
			return err
		}
		return f.end(ctx, p, m)
	})
}

// scaleGKE follows the pool's size and zones. GKE picks the nodes that go at random (GKE docs, "Resize a cluster"); this
// one takes the oldest, which have most to lose.
func (f *fleet) scaleGKE(ctx context.Context, p pool) error {
	f.settle(p)
	if err := f.addAll(ctx, p, f.grow(p), false); err != nil {
		return err
	}
	return f.retireGKE(ctx, p, f.shrink(p, oldest))
}

// removePool ends a pool's nodes. Disruption budgets count only with nodeDrainConfig.respectPdbDuringNodePoolDeletion,
// which this version of the provider does not have; what is left of a drain then is nothing to rely on.
func (c *change) removePool(id string) {
	c.then(func(ctx context.Context, f *fleet) error { return f.endAll(ctx, f.last(id), f.of(id)) })
}

// Repair does to a node of GKE what its auto-repair does to one that does not answer for long: the machine is made anew
// with its name and an empty disk (GKE docs, "Auto-repair nodes"). A node that does not answer cannot be drained.
func (c *Clouds) Repair(ctx context.Context, node string) error {
	f, m, p, err := c.machineOf(node, gcpNodePool)
	if err != nil {
		return err
	}
	if err := f.end(ctx, p, m); err != nil {
		return err
	}
	_, err = f.boot(ctx, p, &machine{name: m.name, pool: m.pool, zone: m.zone}, f.number())
	return err
}
