package cluster

import (
	"strings"

	"ha-iris/internal/pattern"
)

// awsTemplateLabel on a node is the version of the launch template that it was made from; the same in every partition.
const awsTemplateLabel = "eks.amazonaws.com/sourceLaunchTemplateVersion"

// awsPart is one of AWS' partitions: a part with accounts, regions and names of its own.
type awsPart struct {
	// name is the part of an ARN after "arn:".
	name string
	// regions is the prefix of its regions' names; empty for the partition of all other regions.
	regions string
	// nodes is the principal with which EC2 assumes the nodes' role. In China it has another suffix, and EKS requires exactly
	// that one (awslabs/cdk-eks-blueprints#558).
	nodes string
}

// controlPlanePrincipal is the same in all partitions: the one with China's suffix does not exist
// (terraform-aws-modules/terraform-aws-eks#1904).
const controlPlanePrincipal = "eks.amazonaws.com"

// podIdentityPrincipal takes the roles of pods, in all partitions (EKS user guide, "Create IAM role with trust policy required by EKS
// Pod Identity").
const podIdentityPrincipal = "pods.eks.amazonaws.com"

// awsParts is all that differs between the partitions. The endpoints, the audience of tokens (sts) and the add-ons' images
// differ too, but the provider, the AWS CLI and EKS derive them from the region that they are given.
func awsParts() []awsPart {
	const nodes = "ec2.amazonaws.com"
	return []awsPart{
		{name: "aws-cn", regions: "cn-", nodes: nodes + ".cn"},
		{name: "aws-us-gov", regions: "us-gov-", nodes: nodes},
		{name: "aws", regions: "", nodes: nodes},
	}
}

func awsPartNames() []string {
	var names []string
	for _, part := range awsParts() {
		names = append(names, part.name)
	}
	return names
}

// awsPartOf returns the partition that a region belongs to.
func awsPartOf(region string) awsPart {
	parts := awsParts()
	for _, part := range parts {
		if strings.HasPrefix(region, part.regions) {
			return part
		}
	}
	return parts[len(parts)-1]
}

// awsForeignRegions are those of partitions that are not in the table: the isolated ones and Europe's sovereign cloud. Their
// principals and policies are not known here.
var awsForeignRegions = pattern.Lazy(`^(eusc|[a-z]+-iso[a-z]*)-`)

// managedPolicy returns the ARN of a policy that AWS manages.
func (p awsPart) managedPolicy(name string) string {
	return "arn:" + p.name + ":iam::aws:policy/" + name
}

// roleExample shows what a role's ARN looks like here.
func (p awsPart) roleExample() string { return "arn:" + p.name + ":iam::ACCOUNT:role/NAME" }

// isRole says whether text is the ARN of a role of this partition. One of another cannot be assumed from here.
func (p awsPart) isRole(text string) bool {
	rest, ours := strings.CutPrefix(text, "arn:"+p.name+":iam::")
	return ours && awsAccountRole().MatchString(rest)
}

var awsAccountRole = pattern.Lazy(`^\d{12}:role/[\w+=,.@/-]{1,576}$`) // IAM: a path of up to 512, a name of up to 64.
