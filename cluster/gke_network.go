package cluster

import (
	"fmt"
	"strings"

	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/container"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/pattern"
	"ha-iris/internal/problems"
)

var (
	gcpResource         = pattern.Lazy(`^[a-z]([a-z0-9-]*[a-z0-9])?$`)
	gcpSharedNetwork    = pattern.Lazy(`^projects/([^/\s]+)/global/networks/([^/\s]+)$`)
	gcpSharedSubnetwork = pattern.Lazy(`^projects/([^/\s]+)/regions/([^/\s]+)/subnetworks/([^/\s]+)$`)
)

// isGCPResource accepts the names of networks and of what is in them: up to 63 characters (RFC 1035).
func isGCPResource(name string) bool { return len(name) <= 63 && gcpResource().MatchString(name) }

// sharedHost returns the project that a network given by its path belongs to.
func (c Config) sharedHost() (host string, shared bool) {
	parts := gcpSharedNetwork().FindStringSubmatch(c.Network)
	if parts == nil || !gcpProject().MatchString(parts[1]) || !isGCPResource(parts[2]) {
		return "", false
	}
	return parts[1], true
}

func (c Config) checkGCPNetwork(found *problems.List) {
	host, shared := c.sharedHost()
	switch {
	case c.Network == "" && c.Subnetwork != "":
		found.AddMissing("cluster.network", "the network that cluster.subnetwork is part of")
	case c.Network != "" && !shared && !isGCPResource(c.Network):
		found.Add("cluster.network", c.Network, "a network's name, or projects/HOST/global/networks/NAME for one of another project")
	case shared && !c.isSubnetworkOf(host):
		found.Add("cluster.subnetwork", c.Subnetwork, fmt.Sprintf("projects/%s/regions/%s/subnetworks/NAME: cluster.network "+
			"belongs to that project", host, c.Region))
	case !shared && c.Subnetwork != "" && !isGCPResource(c.Subnetwork):
		found.Add("cluster.subnetwork", c.Subnetwork, "a subnetwork's name")
	}
	c.checkGCPRanges(found, shared)
}

// isSubnetworkOf reports whether cluster.subnetwork is the path of one of the host project in the cluster's region.
func (c Config) isSubnetworkOf(host string) bool {
	parts := gcpSharedSubnetwork().FindStringSubmatch(c.Subnetwork)
	return parts != nil && parts[1] == host && parts[2] == c.Region && isGCPResource(parts[3])
}

func (c Config) checkGCPRanges(found *problems.List, shared bool) {
	const pods, services = "cluster.podRange", "cluster.serviceRange"
	if c.PodRange == "" && c.ServiceRange == "" {
		if shared { // GKE, "Setting up clusters with Shared VPC": the ranges must exist.
			found.AddMissing(pods, "the name of a secondary range, and another in cluster.serviceRange: in a network of another project "+
				"GKE makes none")
		}
		return
	}
	for path, ranges := range map[string][2]string{pods: {c.PodRange, c.ServiceRange}, services: {c.ServiceRange, c.PodRange}} {
		switch {
		case ranges[0] == "":
			found.AddMissing(path, "the name of a secondary range too: the pods and the Services each have one")
		case !isGCPResource(ranges[0]):
			found.Add(path, ranges[0], "the name of a secondary range of cluster.subnetwork")
		}
	}
	switch {
	case c.PodRange == c.ServiceRange:
		found.Add(services, c.ServiceRange, "another range than cluster.podRange")
	case c.Subnetwork == "":
		found.AddMissing("cluster.subnetwork", "the subnetwork that the ranges are part of")
	}
}

// isolation gives the nodes private addresses only. The API server keeps its public one, for whoever runs pulumi. Changing it
// replaces the cluster (hashicorp/terraform-provider-google#20495).
//
// No firewall rule lets the control plane reach the nodes' webhooks (Longhorn's listen on 9502): in clusters made today it does
// not open connections to them. It is attached with Private Service Connect, which consumers open only, and calls through the
// tunnel of konnectivity, whose agents on the nodes connect to it. The rules in older guides are for VPC peering.
func (g *gke) isolation() container.ClusterPrivateClusterConfigPtrInput {
	if !g.cfg.PrivateNodes {
		return nil
	}
	return &container.ClusterPrivateClusterConfigArgs{
		EnablePrivateNodes:    pulumi.Bool(true),
		EnablePrivateEndpoint: pulumi.Bool(false),
	}
}

// gateways returns the way to the internet of private nodes. A network of the user's has to have one: a subnetwork can have one
// NAT only, and in a shared network this program has no rights.
func (g *gke) gateways() ([]pulumi.Resource, error) {
	if g.cfg.Network != "" {
		return nil, nil
	}
	if !g.cfg.PrivateNodes {
		return nil, g.warnOfOpenNetwork()
	}
	var router, nat pulumi.CustomResourceState // Untyped: their package is too large to compile.
	err := g.ctx.RegisterResource("gcp:compute/router:Router", g.name(""), pulumi.Map{
		"network": pulumi.String("default"),
		"region":  pulumi.String(g.cfg.Region),
	}, &router, g.options()...)
	if err != nil {
		return nil, fmt.Errorf("create router: %w", err)
	}
	err = g.ctx.RegisterResource("gcp:compute/routerNat:RouterNat", g.name(""), pulumi.Map{
		"router":                        routerName(&router),
		"region":                        pulumi.String(g.cfg.Region),
		"natIpAllocateOption":           pulumi.String("AUTO_ONLY"),
		"sourceSubnetworkIpRangesToNat": pulumi.String("ALL_SUBNETWORKS_ALL_IP_RANGES"),
	}, &nat, g.options()...)
	if err != nil {
		return nil, fmt.Errorf("create NAT gateway: %w", err)
	}
	return []pulumi.Resource{&nat}, nil
}

// routerName takes the router's name out of its id, projects/PROJECT/regions/REGION/routers/NAME: the state of an untyped resource
// has nothing else.
func routerName(router *pulumi.CustomResourceState) pulumi.StringOutput {
	return router.ID().ApplyT(func(id pulumi.ID) string {
		return string(id)[strings.LastIndex(string(id), "/")+1:]
	}).(pulumi.StringOutput)
}

// warnOfOpenNetwork: the network default comes with a rule that lets everybody reach port 22 (Google Cloud, "VPC firewall rules",
// pre-populated rules).
func (g *gke) warnOfOpenNetwork() error {
	return g.warn("the nodes have public addresses, and the firewall of the network default lets everybody reach their port 22. " +
		"Delete the rule, if nothing else needs it: gcloud compute firewall-rules delete default-allow-ssh --project " + g.cfg.Project +
		"; or set cluster.network, or cluster.privateNodes before the first up")
}
