package standin

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// The types of package aws (pulumi-aws/sdk/v6 v6.83.0).
const (
	awsVpc             = "aws:ec2/vpc:Vpc"
	awsSubnet          = "aws:ec2/subnet:Subnet"
	awsInternetGateway = "aws:ec2/internetGateway:InternetGateway"
	awsRouteTable      = "aws:ec2/routeTable:RouteTable"
	awsRouteTableLink  = "aws:ec2/routeTableAssociation:RouteTableAssociation"
	awsEip             = "aws:ec2/eip:Eip"
	awsNatGateway      = "aws:ec2/natGateway:NatGateway"
	awsLaunchTemplate  = "aws:ec2/launchTemplate:LaunchTemplate"
	awsRole            = "aws:iam/role:Role"
	awsRolePolicy      = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
	awsCluster         = "aws:eks/cluster:Cluster"
	awsNodeGroup       = "aws:eks/nodeGroup:NodeGroup"
	awsAddon           = "aws:eks/addon:Addon"
	awsOIDC            = "aws:iam/openIdConnectProvider:OpenIdConnectProvider"
	awsPodIdentity     = "aws:eks/podIdentityAssociation:PodIdentityAssociation"
	awsScalingTag      = "aws:autoscaling/tag:Tag"
	awsBucket          = "aws:s3/bucketV2:BucketV2"
	awsBucketBlock     = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
	awsInlinePolicy    = "aws:iam/rolePolicy:RolePolicy"

	awsBucketEncryption = "aws:s3/bucketServerSideEncryptionConfigurationV2:BucketServerSideEncryptionConfigurationV2"
	// awsObject is an object in a bucket. No program makes one.
	awsObject = "aws:s3/bucketObjectv2:BucketObjectv2"
	// awsInterface is a network interface that a cluster or its nodes left behind. No program makes one.
	awsInterface = "aws:ec2/networkInterface:NetworkInterface"
)

// awsCloud behaves like the provider of pulumi-aws 6.83.0, which bridges terraform-provider-aws.
func awsCloud() *cloud {
	kinds := map[string]*kind{}
	maps.Copy(kinds, awsNetworkKinds())
	maps.Copy(kinds, awsGatewayKinds())
	maps.Copy(kinds, awsIdentityKinds())
	maps.Copy(kinds, awsComputeKinds())
	maps.Copy(kinds, awsClusterKinds())
	maps.Copy(kinds, awsWorkloadKinds())
	maps.Copy(kinds, awsBucketKinds())
	return &cloud{
		pkg: AWS, version: "6.83.0", bridged: true, kinds: kinds,
		invokes: map[string]invoke{
			"aws:index/getAvailabilityZones:getAvailabilityZones": awsZones,
			"aws:ec2/getSubnet:getSubnet":                         awsGetSubnet,
		},
		prepare:     awsDefaultTags,
		checkConfig: awsCheckConfig,
		replacedBy:  []string{"region"},
		// pulumi-aws provider/resources.go, validateCredentials.
		denied: "No valid credential sources found. " +
			"Please see https://www.pulumi.com/registry/packages/aws/installation-configuration/ for more information " +
			"about providing credentials.",
		// The SDK sets it to false when the program does not say (pulumi-aws/sdk/v6 go/aws/provider.go).
		deniedEarly: func(config fields) bool { return !truthy(config.get("skipCredentialsValidation")) },
	}
}

// awsError has the form of the AWS SDK's errors as Terraform shows them.
func awsError(doing, service, call, code, format string, args ...any) error {
	return fmt.Errorf("%s: operation error %s: %s, api error %s: %s",
		doing, service, call, code, fmt.Sprintf(format, args...))
}

func awsCheckConfig(config fields, found *refusals) {
	if !config.has("region") {
		found.add("region", "Unable to find AWS region. Make sure you have set your AWS region, e.g. "+
			"`pulumi config set aws:region us-west-2`.")
	}
}

// truthy reads a flag of a provider's configuration, which travels as a string.
func truthy(value any) bool { return value == true || value == "true" }

func (c *change) region() string { return c.p.config.str("region") }

func (c *change) arn(service, resource string) string {
	region := c.region()
	if service == "iam" { // IAM is global.
		region = ""
	}
	return fmt.Sprintf("arn:aws:%s:%s:%s:%s", service, region, c.p.clouds.options.Account, resource)
}

// awsDefaultTags lays a resource's tags over the provider's default tags, which is what pulumi-aws does at Check
// (provider/tags.go, applyTags): a change of the defaults then shows up as a change of every resource.
func awsDefaultTags(p *provider, k *kind, _, inputs resource.PropertyMap) {
	if !k.takes("tags") {
		return
	}
	defaults := p.config.get("defaultTags")
	if encoded, ok := defaults.(string); ok { // A provider's nested configuration travels as JSON.
		var decoded map[string]any
		if json.Unmarshal([]byte(encoded), &decoded) != nil {
			return
		}
		defaults = decoded
	}
	object, _ := defaults.(map[string]any)
	tags, _ := object["tags"].(map[string]any)
	if len(tags) == 0 {
		return
	}
	own := inputs["tags"]
	if !own.IsObject() {
		own = resource.NewObjectProperty(resource.PropertyMap{})
	}
	inputs["tags"] = resource.NewObjectProperty(merge(toProperties(tags), own.ObjectValue()))
}

// tagged repeats the tags where Terraform repeats them.
func (c *change) tagged() {
	tags, _ := c.in.get("tags").(map[string]any)
	if tags == nil {
		tags = map[string]any{}
	}
	c.out.set("tagsAll", tags)
}

func retag(c *change) error {
	c.tagged()
	return nil
}

// awsZone is an availability zone: its name ends in the letter, its id does not depend on the account.
type awsZone struct{ name, id string }

// awsZonesOf returns a region's zones. The regions are those whose zones matter to EKS: its control plane refuses
// use1-az3, usw1-az2 and cac1-az3 (EKS user guide, network requirements), and us-west-1 shows an account two zones only.
func awsZonesOf(region string) []awsZone {
	zones := func(short, letters string, ids ...int) []awsZone {
		var found []awsZone
		for i, letter := range letters {
			found = append(found, awsZone{region + string(letter), fmt.Sprintf("%s-az%d", short, ids[i])})
		}
		return found
	}
	switch region {
	case "us-east-1":
		return zones("use1", "abcdef", 6, 1, 2, 4, 3, 5)
	case "us-east-2":
		return zones("use2", "abc", 1, 2, 3)
	case "us-west-1":
		return zones("usw1", "bc", 3, 1)
	case "us-west-2":
		return zones("usw2", "abcd", 2, 1, 3, 4)
	case "ca-central-1":
		return zones("cac1", "abd", 1, 2, 4)
	case "eu-central-1":
		return zones("euc1", "abc", 2, 3, 1)
	case "eu-west-1":
		return zones("euw1", "abc", 1, 2, 3)
	default:
		return nil
	}
}

// awsLocalZone is one of the zones that an account has to opt in to; it is listed only for who asks for all of them.
func awsLocalZone(region string) awsZone { return awsZone{region + "-bos-1a", "use1-bos1-az1"} }

func awsZones(c *change) (fields, error) {
	type candidate struct {
		awsZone
		optIn string
	}
	var candidates []candidate
	for _, zone := range awsZonesOf(c.region()) {
		candidates = append(candidates, candidate{zone, "opt-in-not-required"})
	}
	if len(candidates) == 0 {
		return nil, awsError("reading EC2 Availability Zones", "EC2", "DescribeAvailabilityZones", "UnknownEndpoint",
			"no such host: ec2.%s.amazonaws.com", c.region())
	}
	if c.in.flag("allAvailabilityZones") && c.region() == "us-east-1" {
		candidates = append(candidates, candidate{awsLocalZone(c.region()), "not-opted-in"})
	}
	var names, ids []string
	for _, zone := range candidates {
		values := map[string]string{
			"opt-in-status": zone.optIn, "zone-name": zone.name, "zone-id": zone.id, "region-name": c.region(),
			"state": "available",
		}
		wanted, err := awsMatches(c.in.objects("filters"), values)
		if err != nil {
			return nil, err
		}
		excluded := slices.Contains(c.in.strs("excludeZoneIds"), zone.id) ||
			slices.Contains(c.in.strs("excludeNames"), zone.name)
		if wanted && !excluded && (!c.in.has("state") || c.in.str("state") == values["state"]) {
			names, ids = append(names, zone.name), append(ids, zone.id)
		}
	}
	return fields{
		"id": c.region(), "names": anyList(names), "zoneIds": anyList(ids), "groupNames": []any{c.region()},
	}, nil
}

// awsMatches applies EC2's filters: every filter must match one of its values.
func awsMatches(filters []fields, values map[string]string) (bool, error) {
	for _, filter := range filters {
		value, known := values[filter.str("name")]
		if !known {
			return false, awsError("reading EC2 Availability Zones", "EC2", "DescribeAvailabilityZones",
				"InvalidParameterValue", "The filter '%s' is invalid", filter.str("name"))
		}
		if !slices.Contains(filter.strs("values"), value) {
			return false, nil
		}
	}
	return true, nil
}

func awsGetSubnet(c *change) (fields, error) {
	id := c.in.str("id")
	subnet := c.find(awsSubnet, id)
	if subnet == nil {
		return nil, awsError("reading EC2 Subnet", "EC2", "DescribeSubnets", "InvalidSubnetID.NotFound",
			"The subnet ID '%s' does not exist", id)
	}
	found := fields{"id": id}
	maps.Copy(found, subnet.fields())
	return found, nil
}

// trusts reports whether a role lets an AWS service act as it.
func trusts(role fields, service string) bool {
	var policy struct {
		Statement []struct {
			Effect    string
			Action    any
			Principal struct{ Service any }
		}
	}
	if json.Unmarshal([]byte(role.str("assumeRolePolicy")), &policy) != nil {
		return false
	}
	for _, statement := range policy.Statement {
		if statement.Effect == "Allow" && contains(statement.Principal.Service, service) &&
			contains(statement.Action, "sts:AssumeRole") {
			return true
		}
	}
	return false
}

// contains looks in what JSON policies allow to be a string or a list of them.
func contains(oneOrMany any, wanted string) bool {
	switch value := oneOrMany.(type) {
	case string:
		return value == wanted
	case []any:
		return slices.Contains(value, any(wanted))
	default:
		return false
	}
}

// roleOf returns the role with an ARN.
func (c *change) roleOf(arn string) *object {
	found := c.where(awsRole, func(role fields) bool { return role.str("arn") == arn })
	if len(found) == 0 {
		return nil
	}
	return found[0]
}

// attached reports whether a role has an AWS managed policy.
func (c *change) attached(role *object, policy string) bool {
	if role.foreign() {
		return true
	}
	return len(c.where(awsRolePolicy, func(link fields) bool {
		return link.str("role") == role.id && strings.HasSuffix(link.str("policyArn"), "/"+policy)
	})) > 0
}
