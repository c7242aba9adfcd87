package standin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

const (
	// eksDrainMinutes: EKS user guide, "Understand each phase of node updates": pods have 15 minutes to leave a node.
	eksDrainMinutes = 15
	// eksDeleteMinutes: EKS user guide, "Delete a managed node group": 5 minutes, then the instance is terminated.
	eksDeleteMinutes = 5
	// exclude takes a node out of load balancers while it waits for its end ("Scale up phase", step 3).
	exclude = "node.kubernetes.io/exclude-from-external-load-balancers"
)

// either is an input, or what the cloud decided for it.
func (c *change) either(path string) string {
	if text, ok := c.in.text(path); ok {
		return text
	}
	return c.out.str(path)
}

// eksPool is what a node group makes its nodes from. Its zones are those of its subnets.
func (c *change) eksPool(cluster *object) pool {
	name := c.in.str("nodeGroupName")
	zones := c.zonesOf(fields{"vpcConfig": map[string]any{"subnetIds": c.in.get("subnetIds")}})
	p := pool{
		typ: awsNodeGroup, id: c.id, urn: c.entry.URN, name: name, region: c.region(), instance: "t3.medium",
		diskGB: c.in.integer("diskSize"), version: c.either("version") + ".0",
		labels: textLabels(c.in, "labels"), taints: eksTaints(c.in), nameOf: c.eksNodeName(),
		built: strings.Join([]string{
			c.either("launchTemplate.id"), c.either("launchTemplate.version"), c.either("version"),
			c.either("releaseVersion"),
		}, "/"),
	}
	if len(zones) > 0 { // Auto Scaling starts with any zone; this one starts with the first.
		p.places = spread(zones, c.in.integer("scalingConfig.desiredSize"))
	}
	if types := c.instanceTypes(); len(types) > 0 {
		p.instance = types[0]
	}
	p.labels["eks.amazonaws.com/nodegroup"] = name
	p.labels["eks.amazonaws.com/capacityType"] = "ON_DEMAND"
	p.labels["eks.amazonaws.com/nodegroup-image"] = "ami-" + lowerHash(c.either("amiType")+c.either("releaseVersion"), 17)
	if template, err := c.templateOf(c.in); err == nil && c.in.has("launchTemplate") {
		p.labels["eks.amazonaws.com/sourceLaunchTemplateId"] = template.id
		p.labels["eks.amazonaws.com/sourceLaunchTemplateVersion"] = c.either("launchTemplate.version")
		for _, device := range template.fields().objects("blockDeviceMappings") {
			p.diskGB = max(p.diskGB, device.integer("ebs.volumeSize"))
		}
	}
	if !c.in.has("version") {
		p.version = cluster.fields().str("version") + ".0"
	}
	return p
}

// eksNodeName is EC2's private name, which an address makes up.
func (c *change) eksNodeName() func(string, int) string {
	suffix := "." + c.region() + ".compute.internal"
	if c.region() == "us-east-1" { // EC2 user guide, "EC2 instance hostnames and domains".
		suffix = ".ec2.internal"
	}
	return func(_ string, n int) string { return fmt.Sprintf("ip-10-0-%d-%d%s", n/250, n%250+4, suffix) }
}

func eksTaints(in fields) []any {
	effects := map[string]string{
		"NO_SCHEDULE": "NoSchedule", "NO_EXECUTE": "NoExecute", "PREFER_NO_SCHEDULE": "PreferNoSchedule",
	}
	taints := []any{}
	for _, taint := range in.objects("taints") {
		taints = append(taints, map[string]any{
			"key": taint.str("key"), "value": taint.str("value"), "effect": effects[taint.str("effect")],
		})
	}
	return taints
}

// launchNodes makes the nodes of a new node group.
func (c *change) launchNodes(cluster *object) {
	p := c.eksPool(cluster)
	c.then(func(ctx context.Context, f *fleet) error {
		f.settle(p)
		if err := f.addAll(ctx, p, p.places, false); err != nil {
			return fmt.Errorf("waiting for EKS Node Group (%s) create: unexpected state 'CREATE_FAILED', wanted target "+
				"'ACTIVE'. last error: NodeCreationFailure: %w", p.id, err)
		}
		return nil
	})
}

// changeNodes does what Terraform does in two calls: first the version, with the size that the group has, then the
// configuration (terraform-provider-aws internal/service/eks/node_group.go, resourceNodeGroupUpdate).
func (c *change) changeNodes(cluster *object, versions bool) {
	p := c.eksPool(cluster)
	unavailable, force := c.eksUnavailable(), c.in.flag("forceUpdateVersion")
	id, typ := c.id, c.entry.Type
	before := c.before("launchTemplate.version", "version", "releaseVersion")
	c.then(func(ctx context.Context, f *fleet) error {
		if versions {
			same := p
			same.places = f.placesOf(p.id)
			if err := f.rollEKS(ctx, same, unavailable, force); err != nil {
				f.clouds.drift(typ, id, before)
				return fmt.Errorf("waiting for EKS Node Group (%s) version update: unexpected state 'Failed', wanted target "+
					"'Successful'. last error: %w", id, err)
			}
		}
		if err := f.relabel(ctx, p); err != nil {
			return err
		}
		return f.scaleEKS(ctx, p)
	})
}

// eksUnavailable is how many nodes are drained at once (EKS API, NodegroupUpdateConfig: 1 unless told otherwise; a
// percentage is rounded up).
func (c *change) eksUnavailable() int {
	if percent, ok := c.in.number("updateConfig.maxUnavailablePercentage"); ok {
		return max(1, (percent*c.in.integer("scalingConfig.desiredSize")+99)/100)
	}
	return max(1, c.in.integer("updateConfig.maxUnavailable"))
}

// rollEKS is the default update strategy (EKS user guide, "Understand each phase of node updates"): new nodes first, up to
// two in every zone, which is what this one launches, or as many as may be unavailable; then every old node of the group
// is cordoned, before the first is drained; then they are drained and terminated, a few at a time; then the group goes
// back to its size, whatever runs on the nodes that it has too many of.
func (f *fleet) rollEKS(ctx context.Context, p pool, unavailable int, force bool) error {
	old := f.outdated(p)
	f.settle(p)
	if len(old) == 0 {
		return nil
	}
	if err := f.addAll(ctx, p, spread(p.zones(), eksSurge(p, unavailable)), false); err != nil {
		return fmt.Errorf("NodeCreationFailure: %w", err)
	}
	// The first such page of the guide tells why only the old ones: what a failed update has updated already is left
	// alone.
	if err := together(old, func(m *machine) error { return f.cordon(ctx, p, m, map[string]any{exclude: "true"}) }); err != nil {
		return err
	}
	for batch := range slices.Chunk(old, unavailable) {
		err := together(batch, func(m *machine) error { return f.replaceEKS(ctx, p, m, force) })
		if err != nil {
			return f.giveUpEKS(ctx, p, err)
		}
		var missing []string // Auto Scaling launches as many as the group lacks.
		for _, zone := range p.zones() {
			if lacks := p.want(zone) - len(in(zone, f.of(p.id))); lacks > 0 {
				missing = append(missing, spread([]string{zone}, lacks)...)
			}
		}
		if err := f.addAll(ctx, p, missing, false); err != nil {
			return fmt.Errorf("NodeCreationFailure: %w", err)
		}
	}
	return f.scaleEKS(ctx, p)
}

// eksSurge is how many nodes an update adds for its time.
func eksSurge(p pool, unavailable int) int { return max(2*len(p.zones()), unavailable) }

// replaceEKS drains and terminates one node. It waits a minute in between ("Upgrade phase", step 4).
func (f *fleet) replaceEKS(ctx context.Context, p pool, m *machine, force bool) error {
	err := f.drain(ctx, p, m, f.minutes(eksDrainMinutes))
	var stuck *drainError
	if errors.As(err, &stuck) && force {
		err = f.force(ctx, m)
	}
	if err != nil {
		return err
	}
	if err := f.pause(ctx, max(f.minutes(1), f.options.Settle)); err != nil {
		return err
	}
	return f.end(ctx, p, m)
}

// giveUpEKS ends a failed update. The guide says that it fails and that nodes updated before stay; what becomes of the
// new nodes that the group has too many of, and of the old ones' cordons, it does not say. The unkind reading: Auto
// Scaling goes back to the group's size by ending the newest nodes, and only then can the old ones be used again.
func (f *fleet) giveUpEKS(ctx context.Context, p pool, cause error) error {
	var stuck *drainError
	if !errors.As(cause, &stuck) {
		return cause
	}
	if err := f.endAll(ctx, p, f.shrink(p, newest)); err != nil {
		return errors.Join(cause, err)
	}
	for _, m := range f.outdated(p) {
		if err := f.uncordon(ctx, m, map[string]any{exclude: nil}); err != nil {
			return errors.Join(cause, err)
		}
	}
	// aws/containers-roadmap #1282 has the text.
	return fmt.Errorf("%s: PodEvictionFailure: Reached max retries while trying to evict pods from nodes in node group %s",
		stuck.node, lastColon(p.id))
}

func lastColon(id string) string { return id[strings.LastIndex(id, ":")+1:] }

// scaleEKS follows the group's size. Fewer nodes is Auto Scaling's doing, which takes any node, without regard for
// disruption budgets (EKS user guide, "Simplify node lifecycle with managed node groups": they "aren't respected when
// terminating a node with AZRebalance or reducing the desired node count"); the pods have a while to leave, and this one
// takes the oldest node, as the termination policy does that looks at launch templates.
func (f *fleet) scaleEKS(ctx context.Context, p pool) error {
	f.settle(p)
	if err := f.addAll(ctx, p, f.grow(p), false); err != nil {
		return fmt.Errorf("NodeCreationFailure: %w", err)
	}
	return f.terminateEKS(ctx, p, f.shrink(p, oldest), eksDrainMinutes)
}

func (f *fleet) terminateEKS(ctx context.Context, p pool, ending []*machine, minutes int) error {
	return together(ending, func(m *machine) error {
		err := f.cordon(ctx, p, m, map[string]any{exclude: "true"})
		if err == nil {
			err = f.drain(ctx, p, m, f.minutes(minutes))
		}
		var stuck *drainError
		if err != nil && !errors.As(err, &stuck) {
			return err
		}
		return f.end(ctx, p, m)
	})
}

// removeNodes ends all nodes of a group at once: Auto Scaling goes to zero.
func (c *change) removeNodes() {
	id := c.id
	c.then(func(ctx context.Context, f *fleet) error {
		return f.terminateEKS(ctx, f.last(id), f.of(id), eksDeleteMinutes)
	})
}
