package standin

import (
	"fmt"
	"slices"
	"strings"
)

// Quotas are what an account may use of a cloud. Zero: no limit.
type Quotas struct {
	// VCPUs limits cores: AWS's "Running On-Demand Standard instances", Azure's "Total Regional vCPUs", Google's CPUS.
	VCPUs int
	// Families limits the cores of one family of sizes in Azure, such as standardDASv5Family.
	Families map[string]int
	// SSDTotalGB is Google's SSD_TOTAL_GB: pd-ssd and pd-balanced.
	SSDTotalGB int
}

// RunOut lets a zone have no more machines of a type, or have some again. Zones are named as on nodes: eu-west-1a,
// europe-west1-b, westeurope-1.
func (c *Clouds) RunOut(zone, instance string, out bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.soldOut[zone+"/"+instance] = out
}

// use is what pools take of quotas.
type use struct {
	cpus, ssdGB int
	families    map[string]int
}

func (p pool) use(extra int) use {
	nodes := len(p.places) + extra
	cpus := nodes * sizeOf(p.instance).cpus
	used := use{cpus: cpus, families: map[string]int{azureFamily(p.instance): cpus}}
	if slices.Contains([]string{"pd-ssd", "pd-balanced"}, p.labels["cloud.google.com/gke-boot-disk"]) {
		used.ssdGB = nodes * p.diskGB
	}
	return used
}

func (u *use) add(other use) {
	u.cpus += other.cpus
	u.ssdGB += other.ssdGB
	for family, cpus := range other.families {
		u.families[family] += cpus
	}
}

// elsewhere is what the cloud's other node pools use.
func (c *change) elsewhere(except string) use {
	used := use{families: map[string]int{}}
	for _, p := range c.pools() {
		if p.id != except {
			used.add(p.use(0))
		}
	}
	return used
}

// pools are all node pools of this cloud as they are.
func (c *change) pools() []pool {
	var pools []pool
	for _, o := range c.objects {
		as := *c
		as.in, as.out, as.id, as.entry = o.fields(), o.fields(), o.id, &Entry{Type: o.typ, URN: o.urn}
		switch o.typ {
		case awsNodeGroup:
			if cluster := c.find(awsCluster, as.in.str("clusterName")); cluster != nil {
				pools = append(pools, as.eksPool(cluster))
			}
		case gcpNodePool:
			id, _, _ := strings.Cut(o.id, "/nodePools/")
			if cluster := c.find(gcpCluster, id); cluster != nil {
				pools = append(pools, as.gkePool(cluster))
			}
		case azureCluster:
			for _, f := range c.aksPools(o) {
				pools = append(pools, as.aksPool(o, f))
			}
		}
	}
	return pools
}

// soldOut returns a zone where a pool wants machines and the cloud has none, or "".
func (c *change) soldOut(p pool) string {
	for _, zone := range p.zones() {
		if c.p.clouds.soldOut[zone+"/"+p.instance] {
			return zone
		}
	}
	return ""
}

// awsRoom says why Auto Scaling launches no instances, which EKS reports once it has tried for a while (EKS API,
// Issue: AsgInstanceLaunchFailures; the causes are EC2's, "Error codes": VcpuLimitExceeded, InsufficientInstanceCapacity).
func (c *change) awsRoom(p pool, surge int) error {
	if zone := c.soldOut(p); zone != "" {
		return notLaunched("InsufficientInstanceCapacity - We currently do not have sufficient %s capacity in the "+
			"Availability Zone you requested (%s). Our system will be working on provisioning additional capacity. "+
			"Launching EC2 instance failed.", p.instance, zone)
	}
	limit := c.p.clouds.options.Quotas.VCPUs
	if used := c.elsewhere(p.id); limit > 0 && used.cpus+p.use(surge).cpus > limit {
		return notLaunched("VcpuLimitExceeded - You have requested more vCPU capacity than your current vCPU limit "+
			"of %d allows for the instance bucket that the specified instance type belongs to. Please visit "+
			"http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit. Launching EC2 instance "+
			"failed.", limit)
	}
	return nil
}

func notLaunched(format string, args ...any) error {
	return fmt.Errorf("AsgInstanceLaunchFailures: Could not launch On-Demand Instances. %s", fmt.Sprintf(format, args...))
}

// gcpQuota refuses what is over a quota (terraform-google-kubernetes-engine #1795 has the text).
func (c *change) gcpQuota(p pool, surge int) error {
	quotas, used, wanted := c.p.clouds.options.Quotas, c.elsewhere(p.id), p.use(surge)
	for _, q := range []struct {
		name                string
		limit, used, wanted int
	}{
		{"CPUS", quotas.VCPUs, used.cpus, wanted.cpus}, {"SSD_TOTAL_GB", quotas.SSDTotalGB, used.ssdGB, wanted.ssdGB},
	} {
		free := q.limit - q.used
		if q.limit > 0 && q.wanted > free {
			project, err := c.project()
			if err != nil {
				return err
			}
			return gcpError(403, "forbidden", "Insufficient regional quota to satisfy request: resource %q: request requires "+
				"'%d.0' and is short '%d.0'. project has a quota of '%d.0' with '%d.0' available. View and manage quotas at "+
				"https://console.cloud.google.com/iam-admin/quotas?usage=USED&project=%s.", q.name, q.wanted, q.wanted-free,
				q.limit, free, project)
		}
	}
	return nil
}

// gcpCapacity is what an operation ends with when a zone has no machines (Compute Engine docs, "Troubleshooting resource
// availability errors"; kubernetes/k8s.io #9834).
func (c *change) gcpCapacity(p pool) error {
	zone := c.soldOut(p)
	if zone == "" {
		return nil
	}
	project, err := c.project()
	if err != nil {
		return err
	}
	return fmt.Errorf("Error waiting for GKE NodePool: Google Compute Engine: Not all instances running in IGM. Current "+
		"errors: [ZONE_RESOURCE_POOL_EXHAUSTED]: The zone 'projects/%s/zones/%s' does not have enough resources available "+
		"to fulfill the request. '(resource type:compute)'", project, zone)
}

// azureQuota refuses what is over a quota, of the region first (Azure docs, "Troubleshoot the
// ErrCode_InsufficientVCPUQuota error").
func (c *change) azureQuota(p pool, surge int) error {
	quotas, used, wanted := c.p.clouds.options.Quotas, c.elsewhere(p.id), p.use(surge)
	if left := quotas.VCPUs - used.cpus; quotas.VCPUs > 0 && wanted.cpus > left {
		return azureBad("ErrCode_InsufficientVCPUQuota", "Insufficient regional vcpu quota left for location %s. left regional "+
			"vcpu quota %d, requested quota %d. If you want to increase the quota, please follow this instruction: "+
			"https://learn.microsoft.com/en-us/azure/quotas/view-quotas. Surge nodes would also consume vcpu quota.", p.region,
			max(left, 0), wanted.cpus)
	}
	family := azureFamily(p.instance)
	limit := quotas.Families[family]
	if left := limit - used.families[family]; limit > 0 && wanted.families[family] > left {
		return azureBad("ErrCode_InsufficientVCPUQuota", "Insufficient vcpu quota requested %d, remaining %d for family %s for "+
			"region %s. If you want to increase the quota, please follow this instruction: "+
			"https://learn.microsoft.com/en-us/azure/quotas/view-quotas. Surge nodes would also consume vcpu quota.",
			wanted.families[family], max(left, 0), family, p.region)
	}
	return nil
}

// azureCapacity is what an operation ends with when a zone has no machines (Azure docs, "Troubleshoot the
// ZonalAllocationFailed error").
func (c *change) azureCapacity(p pool) error {
	if c.soldOut(p) == "" {
		return nil
	}
	return azureBad("ReconcileVMSSAgentPoolFailed", "Code=\"ZonalAllocationFailed\" Message=\"Allocation failed. We do not have "+
		"sufficient capacity for the requested VM size in this zone. Read more about improving likelihood of allocation "+
		"success at http://aka.ms/allocation-guidance\"")
}
