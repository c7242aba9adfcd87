package standin

import (
	"fmt"
	"slices"
)

func awsGatewayKinds() map[string]*kind {
	return map[string]*kind{
		awsInternetGateway: {
			optional: []string{"vpcId", "tags"},
			computed: []string{"arn", "ownerId", "vpcId", "tagsAll"},
			// terraform-provider-aws internal/service/ec2/vpc_internet_gateway.go: nothing forces a new one.
			create: awsCreateInternetGateway, update: retag, remove: awsRemoveInternetGateway,
		},
		awsEip: {
			optional: []string{"domain", "tags", "publicIpv4Pool", "networkBorderGroup"},
			computed: []string{
				"allocationId", "arn", "associationId", "domain", "networkBorderGroup", "publicDns", "publicIp",
				"publicIpv4Pool", "tagsAll",
			},
			// terraform-provider-aws internal/service/ec2/ec2_eip.go, ForceNew.
			replaces: []string{"domain", "publicIpv4Pool", "networkBorderGroup"},
			create:   awsCreateEip, update: retag, remove: awsRemoveEip,
		},
		awsNatGateway: {
			required: []string{"subnetId"},
			optional: []string{"allocationId", "connectivityType", "privateIp", "tags"},
			computed: []string{"associationId", "networkInterfaceId", "privateIp", "publicIp", "tagsAll"},
			// terraform-provider-aws internal/service/ec2/vpc_nat_gateway.go, ForceNew.
			replaces: []string{"subnetId", "allocationId", "connectivityType", "privateIp"},
			create:   awsCreateNatGateway, update: retag,
		},
	}
}

func awsCreateInternetGateway(c *change) error {
	vpc := c.in.str("vpcId")
	if vpc != "" && c.find(awsVpc, vpc) == nil {
		return awsError("attaching EC2 Internet Gateway", "EC2", "AttachInternetGateway", "InvalidVpcID.NotFound",
			"The vpc ID '%s' does not exist", vpc)
	}
	taken := c.where(awsInternetGateway, func(other fields) bool { return vpc != "" && other.str("vpcId") == vpc })
	if len(taken) > 0 {
		return awsError("attaching EC2 Internet Gateway", "EC2", "AttachInternetGateway", "InvalidParameterValue",
			"Network %s already has an internet gateway attached", vpc)
	}
	c.id = c.newID("igw-", 17)
	c.out.set("arn", c.arn("ec2", "internet-gateway/"+c.id))
	c.out.set("ownerId", c.p.clouds.options.Account)
	if vpc == "" {
		c.out.set("vpcId", "")
	}
	c.tagged()
	return nil
}

// awsRemoveInternetGateway refuses while a public address is in use behind it: a NAT gateway's, a node's in a public
// subnet, or a load balancer's (EC2 API, DetachInternetGateway).
func awsRemoveInternetGateway(c *change) error {
	vpc := c.out.str("vpcId")
	refused := func(holder string) error {
		return awsError("detaching EC2 Internet Gateway ("+c.id+")", "EC2", "DetachInternetGateway", "DependencyViolation",
			"Network %s has some mapped public address(es). Please unmap those public address(es) before detaching the "+
				"gateway. (%s)", vpc, holder)
	}
	for _, subnet := range c.where(awsSubnet, func(f fields) bool { return f.str("vpcId") == vpc }) {
		for _, nat := range c.where(awsNatGateway, func(f fields) bool { return f.str("subnetId") == subnet.id }) {
			return refused(nat.id)
		}
		if !subnet.fields().flag("mapPublicIpOnLaunch") {
			continue
		}
		for _, group := range c.where(awsNodeGroup, func(f fields) bool { return slices.Contains(f.strs("subnetIds"), subnet.id) }) {
			return refused(group.id)
		}
	}
	if left := c.entry.LoadBalancers; left > 0 {
		return refused(fmt.Sprintf("%d load balancers", left))
	}
	return nil
}

func awsCreateEip(c *change) error {
	c.id = c.newID("eipalloc-", 17)
	c.out.set("allocationId", c.id)
	c.out.set("arn", c.arn("ec2", "elastic-ip/"+c.id))
	// TEST-NET-3, RFC 5737: an address nobody has.
	c.out.set("publicIp", fmt.Sprintf("203.0.113.%d", c.sequence%254+1))
	c.out.set("publicDns", "ec2-"+c.id+".amazonaws.com")
	c.out.set("associationId", "")
	for key, value := range map[string]string{
		"domain": "vpc", "networkBorderGroup": c.region(), "publicIpv4Pool": "amazon",
	} {
		if !c.in.has(key) {
			c.out.set(key, value)
		}
	}
	c.tagged()
	return nil
}

func awsRemoveEip(c *change) error {
	used := c.where(awsNatGateway, func(f fields) bool { return f.str("allocationId") == c.id })
	if len(used) > 0 {
		return awsError("deleting EC2 EIP ("+c.id+")", "EC2", "ReleaseAddress", "InvalidIPAddress.InUse",
			"Address %s is in use.", c.out.str("publicIp"))
	}
	return nil
}

// awsCreateNatGateway needs the VPC's internet gateway to be attached, which no input of it says (EC2 user guide,
// "Troubleshoot NAT gateways": Gateway.NotAttached).
func awsCreateNatGateway(c *change) error {
	subnet := c.find(awsSubnet, c.in.str("subnetId"))
	if subnet == nil {
		return awsError("creating EC2 NAT Gateway", "EC2", "CreateNatGateway", "InvalidSubnetID.NotFound",
			"The subnet ID '%s' does not exist", c.in.str("subnetId"))
	}
	if c.in.str("connectivityType") != "private" {
		address := c.find(awsEip, c.in.str("allocationId"))
		if address == nil {
			return awsError("creating EC2 NAT Gateway", "EC2", "CreateNatGateway", "InvalidAllocationID.NotFound",
				"The allocation ID '%s' does not exist", c.in.str("allocationId"))
		}
		vpc := subnet.fields().str("vpcId")
		if len(c.where(awsInternetGateway, func(f fields) bool { return f.str("vpcId") == vpc })) == 0 {
			return fmt.Errorf("waiting for EC2 NAT Gateway create: unexpected state 'failed', wanted target 'available'. "+
				"last error: Gateway.NotAttached: Network %s has no Internet gateway attached", vpc)
		}
		c.out.set("publicIp", address.fields().str("publicIp"))
	}
	c.id = c.newID("nat-", 17)
	c.out.set("associationId", c.newID("eipassoc-", 17))
	c.out.set("networkInterfaceId", c.newID("eni-", 17))
	if !c.in.has("privateIp") {
		c.out.set("privateIp", "10.0.0.10")
	}
	c.tagged()
	return nil
}
