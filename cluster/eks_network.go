package cluster

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/ec2"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/problems"
)

// vpcCIDR is the network of a VPC that this program creates. For another one, such as a VPC that is peered, there is
// cluster.subnetIds.
const vpcCIDR = "10.0.0.0/16"

// publicCIDR and privateCIDR are the networks of the subnet in zone i, 0 to 2: 4091 addresses each, because the VPC CNI
// gives every pod one.
func publicCIDR(i int) string  { return fmt.Sprintf("10.0.%d.0/20", 16*i) }
func privateCIDR(i int) string { return fmt.Sprintf("10.0.%d.0/20", 128+16*i) }

// refusedZoneIDs are zones in which EKS places no control plane (EKS user guide, network requirements).
func refusedZoneIDs() []string { return []string{"use1-az3", "usw1-az2", "cac1-az3"} }

// validAWSZone accepts names of the region's zones and zone ids. findZones checks whether they exist.
func (c Config) validAWSZone(zone string) bool {
	if awsZoneID().MatchString(zone) {
		return !slices.Contains(refusedZoneIDs(), zone)
	}
	letter, ok := strings.CutPrefix(zone, c.Region)
	return ok && len(letter) == 1 && letter >= "a" && letter <= "z"
}

// findZones asks AWS for the region's zones and returns the names of the three to use; with cluster.subnetIds it checks
// those instead. It makes the first call to AWS, which fails when credentials are missing.
func (e *eks) findZones() ([]string, error) {
	if len(e.cfg.SubnetIDs) > 0 {
		return nil, e.checkSubnetZones()
	}
	available, err := aws.GetAvailabilityZones(e.ctx, &aws.GetAvailabilityZonesArgs{
		// Impaired zones are included, so that an up works during an outage.
		ExcludeZoneIds: refusedZoneIDs(),
		// Not the local zones, in which EKS runs no managed nodes.
		Filters: []aws.GetAvailabilityZonesFilter{{Name: "opt-in-status", Values: []string{"opt-in-not-required"}}},
	}, pulumi.Parent(e.component), pulumi.Provider(e.provider))
	if err != nil {
		return nil, lookupError("look up the zones of "+e.cfg.Region, err, awsCredentials)
	}
	return pickAWSZones(e.cfg, available.Names, available.ZoneIds)
}

// pickAWSZones returns the names of the configured zones, or of the region's first three. names and ids are parallel.
func pickAWSZones(cfg Config, names, ids []string) ([]string, error) {
	var found problems.List
	if len(cfg.Zones) == 0 {
		if len(names) < zoneCount {
			found.Add(awsRegionKey, cfg.Region, fmt.Sprintf(
				"a region with %d zones that EKS can use; this one has %s", zoneCount, strings.Join(names, ", ")))
			return nil, found.Err()
		}
		return names[:zoneCount], nil
	}
	zones := make([]string, 0, zoneCount)
	for i, zone := range cfg.Zones {
		at := max(slices.Index(names, zone), slices.Index(ids, zone))
		if at < 0 || at >= len(names) || slices.Contains(zones, names[at]) {
			found.Add(fmt.Sprintf("cluster.zones[%d]", i), zone, "three different zones that EKS can use here: "+
				strings.Join(names, ", "))
			continue
		}
		zones = append(zones, names[at])
	}
	return zones, found.Err()
}

// checkSubnetZones makes sure that the given subnets lie in three zones, none of which EKS refuses.
func (e *eks) checkSubnetZones() error {
	var found problems.List
	seen := map[string]string{}
	for i, id := range e.cfg.SubnetIDs {
		path := fmt.Sprintf("cluster.subnetIds[%d]", i)
		subnet, err := ec2.LookupSubnet(e.ctx, &ec2.LookupSubnetArgs{Id: pulumi.StringRef(id)},
			pulumi.Parent(e.component), pulumi.Provider(e.provider))
		if err != nil {
			return lookupError("look up subnet "+id, err, awsCredentials)
		}
		if slices.Contains(refusedZoneIDs(), subnet.AvailabilityZoneId) {
			found.Add(path, id, "a subnet in another zone: EKS refuses "+subnet.AvailabilityZoneId)
		}
		if other, taken := seen[subnet.AvailabilityZone]; taken {
			found.Add(path, id, fmt.Sprintf("a subnet in a zone of its own: %s lies in %s too", other, subnet.AvailabilityZone))
		}
		seen[subnet.AvailabilityZone] = id
	}
	return found.Err()
}

// eksNetwork is where the nodes go.
type eksNetwork struct {
	// nodes are the ids of the nodes' subnets, one in each zone.
	nodes pulumi.StringArray
	// routes connect the subnets to the internet. No input of the node group depends on them.
	routes []pulumi.Resource
}

// network creates a VPC with three public subnets and, for private nodes, three private ones; or passes on the given
// subnets.
func (e *eks) network() (*eksNetwork, error) {
	if len(e.cfg.SubnetIDs) > 0 {
		return &eksNetwork{nodes: pulumi.ToStringArray(e.cfg.SubnetIDs)}, nil
	}
	vpc, err := ec2.NewVpc(e.ctx, e.name(""), &ec2.VpcArgs{
		CidrBlock: pulumi.String(vpcCIDR),
		// The private endpoint of the API server is a name in the VPC's own DNS.
		EnableDnsHostnames: pulumi.Bool(true),
		EnableDnsSupport:   pulumi.Bool(true),
		Tags:               e.named(""),
	}, e.options()...)
	if err != nil {
		return nil, fmt.Errorf("create VPC: %w", err)
	}
	public, err := e.publicSubnets(vpc)
	if err != nil || !e.cfg.PrivateNodes {
		return public, err
	}
	return e.privateSubnets(vpc, public)
}

func (e *eks) publicSubnets(vpc *ec2.Vpc) (*eksNetwork, error) {
	gateway, err := ec2.NewInternetGateway(e.ctx, e.name(""), &ec2.InternetGatewayArgs{
		VpcId: vpc.ID(), Tags: e.named(""),
	}, e.options()...)
	if err != nil {
		return nil, fmt.Errorf("create internet gateway: %w", err)
	}
	table, err := e.routeTable("public", vpc, &ec2.RouteTableRouteArgs{
		CidrBlock: pulumi.String("0.0.0.0/0"), GatewayId: gateway.ID(),
	})
	if err != nil {
		return nil, err
	}
	network := &eksNetwork{}
	for i, zone := range e.zones {
		subnet, association, err := e.subnet(fmt.Sprintf("public-%d", i+1), table, &ec2.SubnetArgs{
			VpcId:               vpc.ID(),
			CidrBlock:           pulumi.String(publicCIDR(i)),
			AvailabilityZone:    pulumi.String(zone),
			MapPublicIpOnLaunch: pulumi.Bool(true),
		}, "kubernetes.io/role/elb")
		if err != nil {
			return nil, err
		}
		network.nodes = append(network.nodes, subnet.ID())
		network.routes = append(network.routes, association)
	}
	return network, nil
}

// privateSubnets adds subnets that reach the internet through NAT, one gateway per zone: with a single one, the loss
// of its zone would keep the nodes of the others from pulling the images that the failover needs.
func (e *eks) privateSubnets(vpc *ec2.Vpc, public *eksNetwork) (*eksNetwork, error) {
	// The public routes stay in the list: the NAT gateways send through them.
	network := &eksNetwork{routes: slices.Clone(public.routes)}
	for i, zone := range e.zones {
		gateway, err := e.natGateway(i, public)
		if err != nil {
			return nil, err
		}
		part := fmt.Sprintf("private-%d", i+1)
		table, err := e.routeTable(part, vpc, &ec2.RouteTableRouteArgs{
			CidrBlock: pulumi.String("0.0.0.0/0"), NatGatewayId: gateway.ID(),
		})
		if err != nil {
			return nil, err
		}
		subnet, association, err := e.subnet(part, table, &ec2.SubnetArgs{
			VpcId:            vpc.ID(),
			CidrBlock:        pulumi.String(privateCIDR(i)),
			AvailabilityZone: pulumi.String(zone),
		}, "kubernetes.io/role/internal-elb")
		if err != nil {
			return nil, err
		}
		network.nodes = append(network.nodes, subnet.ID())
		network.routes = append(network.routes, association)
	}
	return network, nil
}

func (e *eks) natGateway(i int, public *eksNetwork) (*ec2.NatGateway, error) {
	part := fmt.Sprintf("nat-%d", i+1)
	address, err := ec2.NewEip(e.ctx, e.name(part), &ec2.EipArgs{
		Domain: pulumi.String("vpc"), Tags: e.named(part),
	}, e.options()...)
	if err != nil {
		return nil, fmt.Errorf("create address of %s: %w", part, err)
	}
	gateway, err := ec2.NewNatGateway(e.ctx, e.name(part), &ec2.NatGatewayArgs{
		AllocationId: address.ID(), SubnetId: public.nodes[i], Tags: e.named(part),
	}, e.options(
		pulumi.DependsOn([]pulumi.Resource{public.routes[i]}), // AWS: a NAT gateway needs the internet gateway's route.
	)...)
	if err != nil {
		return nil, fmt.Errorf("create NAT gateway %s: %w", part, err)
	}
	return gateway, nil
}

func (e *eks) routeTable(part string, vpc *ec2.Vpc, internet *ec2.RouteTableRouteArgs) (*ec2.RouteTable, error) {
	table, err := ec2.NewRouteTable(e.ctx, e.name(part), &ec2.RouteTableArgs{
		VpcId: vpc.ID(), Routes: ec2.RouteTableRouteArray{internet}, Tags: e.named(part),
	}, e.options()...)
	if err != nil {
		return nil, fmt.Errorf("create route table %s: %w", part, err)
	}
	return table, nil
}

// subnet creates a subnet with its routes. loadBalancers is the tag by which Kubernetes finds subnets for public or
// internal load balancers.
func (e *eks) subnet(
	part string, table *ec2.RouteTable, args *ec2.SubnetArgs, loadBalancers string,
) (*ec2.Subnet, *ec2.RouteTableAssociation, error) {
	tags := e.named(part)
	tags[loadBalancers] = pulumi.String("1")
	args.Tags = tags
	subnet, err := ec2.NewSubnet(e.ctx, e.name(part), args, e.options(
		// A change would replace the subnet and the nodes in it. The list of zones that AWS returns may change.
		pulumi.IgnoreChanges([]string{"availabilityZone"}),
	)...)
	if err != nil {
		return nil, nil, fmt.Errorf("create subnet %s: %w", part, err)
	}
	association, err := ec2.NewRouteTableAssociation(e.ctx, e.name(part), &ec2.RouteTableAssociationArgs{
		RouteTableId: table.ID(), SubnetId: subnet.ID(),
	}, e.options()...)
	if err != nil {
		return nil, nil, fmt.Errorf("associate subnet %s: %w", part, err)
	}
	return subnet, association, nil
}

// named returns the tags plus the one that AWS's console shows as the name.
func (e *eks) named(part string) pulumi.StringMap {
	tags := pulumi.ToStringMap(e.tags())
	tags["Name"] = pulumi.String(e.name(part))
	return tags
}
