package standin

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

func awsNetworkKinds() map[string]*kind {
	return map[string]*kind{
		awsVpc: {
			optional: []string{
				"cidrBlock", "enableDnsHostnames", "enableDnsSupport", "instanceTenancy", "tags",
				"assignGeneratedIpv6CidrBlock", "enableNetworkAddressUsageMetrics",
			},
			computed: []string{
				"arn", "defaultNetworkAclId", "defaultRouteTableId", "defaultSecurityGroupId", "dhcpOptionsId",
				"mainRouteTableId", "ownerId", "enableDnsHostnames", "tagsAll",
			},
			// terraform-provider-aws internal/service/ec2/vpc_.go, ForceNew.
			replaces: []string{"cidrBlock"},
			validate: awsValidateVpc, create: awsCreateVpc, update: retag, remove: awsRemoveVpc,
		},
		awsSubnet: {
			required: []string{"vpcId"},
			optional: []string{
				"cidrBlock", "availabilityZone", "availabilityZoneId", "mapPublicIpOnLaunch", "tags",
				"privateDnsHostnameTypeOnLaunch", "assignIpv6AddressOnCreation",
			},
			computed: []string{
				"arn", "availabilityZone", "availabilityZoneId", "ownerId", "privateDnsHostnameTypeOnLaunch", "tagsAll",
			},
			// terraform-provider-aws internal/service/ec2/vpc_subnet.go, ForceNew.
			replaces: []string{"vpcId", "cidrBlock", "availabilityZone", "availabilityZoneId"},
			create:   awsCreateSubnet, update: retag, remove: awsRemoveSubnet,
		},
		awsRouteTable: {
			required: []string{"vpcId"},
			optional: []string{"routes", "propagatingVgws", "tags"},
			computed: []string{"arn", "ownerId", "routes", "propagatingVgws", "tagsAll"},
			sets:     []string{"routes"},
			// terraform-provider-aws internal/service/ec2/vpc_route_table.go, ForceNew.
			replaces: []string{"vpcId"},
			create:   awsCreateRouteTable, update: awsUpdateRouteTable, remove: awsRemoveRouteTable,
		},
		awsRouteTableLink: {
			required: []string{"routeTableId"},
			optional: []string{"subnetId", "gatewayId"},
			// terraform-provider-aws internal/service/ec2/vpc_route_table_association.go: the route table can change.
			replaces: []string{"subnetId", "gatewayId"},
			create:   awsCreateRouteTableLink,
		},
	}
}

func awsValidateVpc(in fields, found *refusals) {
	block, ok := in.text("cidrBlock")
	if !ok {
		return
	}
	if prefix, err := netip.ParsePrefix(block); err != nil || prefix.Masked() != prefix {
		found.add("cidrBlock", `"cidr_block" (%s) is not a valid network: got %q`, block, block)
	} else if prefix.Bits() < 16 || prefix.Bits() > 28 {
		found.add("cidrBlock", `expected "cidr_block" to contain a network Value with between 16 and 28 significant bits, `+
			"got: %d", prefix.Bits())
	}
}

func awsCreateVpc(c *change) error {
	if !c.in.has("cidrBlock") {
		return awsError("creating EC2 VPC", "EC2", "CreateVpc", "MissingParameter",
			"Either 'cidrBlock' or 'ipv4IpamPoolId' should be provided.")
	}
	c.id = c.newID("vpc-", 17)
	c.out.set("arn", c.arn("ec2", "vpc/"+c.id))
	c.out.set("ownerId", c.p.clouds.options.Account)
	c.out.set("defaultNetworkAclId", c.newID("acl-", 17))
	c.out.set("defaultRouteTableId", c.newID("rtb-", 17))
	c.out.set("mainRouteTableId", c.out.str("defaultRouteTableId"))
	c.out.set("defaultSecurityGroupId", c.newID("sg-", 17))
	c.out.set("dhcpOptionsId", c.newID("dopt-", 17))
	if !c.in.has("enableDnsHostnames") {
		c.out.set("enableDnsHostnames", false)
	}
	c.tagged()
	return nil
}

// awsRemoveVpc refuses while anything but the VPC's own defaults is in it (EC2 API, DeleteVpc).
func awsRemoveVpc(c *change) error {
	in := func(f fields) bool { return f.str("vpcId") == c.id }
	for _, typ := range []string{awsSubnet, awsInternetGateway, awsRouteTable, awsInterface} {
		if len(c.where(typ, in)) > 0 {
			return awsError("deleting EC2 VPC ("+c.id+")", "EC2", "DeleteVpc", "DependencyViolation",
				"The vpc '%s' has dependencies and cannot be deleted.", c.id)
		}
	}
	return nil
}

func awsCreateSubnet(c *change) error {
	vpc := c.find(awsVpc, c.in.str("vpcId"))
	if vpc == nil {
		return awsError("creating EC2 Subnet", "EC2", "CreateSubnet", "InvalidVpcID.NotFound",
			"The vpc ID '%s' does not exist", c.in.str("vpcId"))
	}
	if err := c.checkSubnetRange(vpc); err != nil {
		return err
	}
	zone, err := c.zone()
	if err != nil {
		return err
	}
	c.id = c.newID("subnet-", 17)
	c.out.set("arn", c.arn("ec2", "subnet/"+c.id))
	c.out.set("availabilityZone", zone.name)
	c.out.set("availabilityZoneId", zone.id)
	c.out.set("ownerId", c.p.clouds.options.Account)
	c.out.setMissing("privateDnsHostnameTypeOnLaunch", "ip-name")
	c.tagged()
	return nil
}

func (c *change) checkSubnetRange(vpc *object) error {
	block, err := netip.ParsePrefix(c.in.str("cidrBlock"))
	around, vpcErr := netip.ParsePrefix(vpc.fields().str("cidrBlock"))
	if err != nil || vpcErr != nil || block.Bits() < around.Bits() || !around.Contains(block.Addr()) {
		return awsError("creating EC2 Subnet", "EC2", "CreateSubnet", "InvalidSubnet.Range",
			"The CIDR '%s' is invalid.", c.in.str("cidrBlock"))
	}
	overlaps := c.where(awsSubnet, func(other fields) bool {
		prefix, err := netip.ParsePrefix(other.str("cidrBlock"))
		return err == nil && other.str("vpcId") == vpc.id && prefix.Overlaps(block)
	})
	if len(overlaps) > 0 {
		return awsError("creating EC2 Subnet", "EC2", "CreateSubnet", "InvalidSubnet.Conflict",
			"The CIDR '%s' conflicts with another subnet", block)
	}
	return nil
}

// zone is the zone asked for, or the region's first.
func (c *change) zone() (awsZone, error) {
	zones := awsZonesOf(c.region())
	name, id := c.in.str("availabilityZone"), c.in.str("availabilityZoneId")
	var names []string
	for _, zone := range zones {
		if zone.name == name || zone.id == id || name == "" && id == "" {
			return zone, nil
		}
		names = append(names, zone.name)
	}
	return awsZone{}, awsError("creating EC2 Subnet", "EC2", "CreateSubnet", "InvalidParameterValue",
		"Value (%s) for parameter availabilityZone is invalid. Subnets can currently only be created in the following "+
			"availability zones: %s.", name+id, strings.Join(names, ", "))
}

// awsRemoveSubnet refuses while network interfaces are in it: those of a control plane, of nodes, of a NAT gateway, of a
// load balancer, or left behind by any of them (EC2 API, DeleteSubnet).
func awsRemoveSubnet(c *change) error {
	refused := func(holder string) error {
		return awsError("deleting EC2 Subnet ("+c.id+")", "EC2", "DeleteSubnet", "DependencyViolation",
			"The subnet '%s' has dependencies and cannot be deleted. (%s)", c.id, holder)
	}
	for _, holder := range []struct{ typ, path string }{
		{awsCluster, "vpcConfig.subnetIds"}, {awsNodeGroup, "subnetIds"},
	} {
		held := c.where(holder.typ, func(f fields) bool { return slices.Contains(f.strs(holder.path), c.id) })
		if len(held) > 0 {
			return refused(holder.typ + " " + held[0].id)
		}
	}
	for _, typ := range []string{awsNatGateway, awsInterface} {
		held := c.where(typ, func(f fields) bool { return f.str("subnetId") == c.id })
		if len(held) > 0 {
			return refused(fmt.Sprintf("%s %s %s", typ, held[0].id, held[0].fields().str("description")))
		}
	}
	if left := c.entry.LoadBalancers; left > 0 {
		return refused(fmt.Sprintf("%d load balancers", left))
	}
	return nil
}

func awsCreateRouteTable(c *change) error {
	if c.find(awsVpc, c.in.str("vpcId")) == nil {
		return awsError("creating Route Table", "EC2", "CreateRouteTable", "InvalidVpcID.NotFound",
			"The vpc ID '%s' does not exist", c.in.str("vpcId"))
	}
	c.id = c.newID("rtb-", 17)
	c.out.set("arn", c.arn("ec2", "route-table/"+c.id))
	c.out.set("ownerId", c.p.clouds.options.Account)
	if !c.in.has("routes") {
		c.out.set("routes", []any{})
	}
	c.out.setMissing("propagatingVgws", []any{})
	return awsUpdateRouteTable(c)
}

func awsUpdateRouteTable(c *change) error {
	for _, route := range c.in.objects("routes") {
		for _, target := range []struct{ key, typ, code, what string }{
			{"gatewayId", awsInternetGateway, "InvalidGatewayID.NotFound", "gateway"},
			{"natGatewayId", awsNatGateway, "InvalidNatGatewayID.NotFound", "NAT gateway"},
		} {
			id, given := route.text(target.key)
			if !given || c.find(target.typ, id) != nil {
				continue
			}
			return awsError("creating Route in Route Table ("+c.id+")", "EC2", "CreateRoute", target.code,
				"The %s ID '%s' does not exist", target.what, id)
		}
	}
	c.tagged()
	return nil
}

func awsRemoveRouteTable(c *change) error {
	linked := c.where(awsRouteTableLink, func(link fields) bool { return link.str("routeTableId") == c.id })
	if len(linked) > 0 {
		return awsError("deleting Route Table ("+c.id+")", "EC2", "DeleteRouteTable", "DependencyViolation",
			"The routeTable '%s' has dependencies and cannot be deleted.", c.id)
	}
	return nil
}

func awsCreateRouteTableLink(c *change) error {
	table, subnet := c.find(awsRouteTable, c.in.str("routeTableId")), c.find(awsSubnet, c.in.str("subnetId"))
	if table == nil {
		return awsError("creating Route Table Association", "EC2", "AssociateRouteTable",
			"InvalidRouteTableID.NotFound", "The routeTable ID '%s' does not exist", c.in.str("routeTableId"))
	}
	if subnet == nil {
		return awsError("creating Route Table Association", "EC2", "AssociateRouteTable", "InvalidSubnetID.NotFound",
			"The subnet ID '%s' does not exist", c.in.str("subnetId"))
	}
	if table.fields().str("vpcId") != subnet.fields().str("vpcId") {
		return awsError("creating Route Table Association", "EC2", "AssociateRouteTable", "InvalidParameterValue",
			"Route table %s and subnet %s belong to different networks", table.id, subnet.id)
	}
	taken := c.where(awsRouteTableLink, func(link fields) bool { return link.str("subnetId") == subnet.id })
	if len(taken) > 0 {
		return awsError("creating Route Table Association", "EC2", "AssociateRouteTable", "Resource.AlreadyAssociated",
			"the specified association for route table %s conflicts with an existing association", table.id)
	}
	c.id = c.newID("rtbassoc-", 17)
	return nil
}

// awsRoute is how a subnet reaches the internet.
type awsRoute int

const (
	noRoute awsRoute = iota
	publicRoute
	privateRoute
)

// routeOf follows a subnet's route table. What was there before the program is taken to be in order.
func (c *change) routeOf(subnet *object) awsRoute {
	if subnet.foreign() {
		return privateRoute
	}
	for _, link := range c.where(awsRouteTableLink, func(f fields) bool { return f.str("subnetId") == subnet.id }) {
		table := c.find(awsRouteTable, link.fields().str("routeTableId"))
		if table == nil {
			continue
		}
		for _, route := range table.fields().objects("routes") {
			switch {
			case route.str("cidrBlock") != "0.0.0.0/0":
			case route.has("natGatewayId"):
				return privateRoute
			case route.has("gatewayId"):
				return publicRoute
			}
		}
	}
	return noRoute
}
