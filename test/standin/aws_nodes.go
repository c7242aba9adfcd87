package standin

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

func awsNodeGroupKind() *kind {
	return &kind{
		required: []string{"clusterName", "nodeRoleArn", "scalingConfig", "subnetIds"},
		optional: []string{
			"amiType", "capacityType", "diskSize", "forceUpdateVersion", "instanceTypes", "labels", "launchTemplate",
			"nodeGroupName", "nodeGroupNamePrefix", "nodeRepairConfig", "releaseVersion", "remoteAccess", "tags",
			"taints", "updateConfig", "version",
		},
		computed: []string{
			"amiType", "arn", "capacityType", "diskSize", "instanceTypes", "launchTemplate.id", "launchTemplate.name",
			"nodeGroupNamePrefix", "nodeRepairConfig", "releaseVersion", "resources", "status", "tagsAll",
			"updateConfig", "version",
		},
		sets: []string{"subnetIds", "taints"},
		// terraform-provider-aws internal/service/eks/node_group.go, ForceNew. A new version of the same launch template,
		// scaling, labels, taints and Kubernetes versions are not among them.
		replaces: []string{
			"amiType", "capacityType", "clusterName", "diskSize", "instanceTypes", "launchTemplate.id",
			"launchTemplate.name", "nodeGroupName", "nodeGroupNamePrefix", "nodeRoleArn", "remoteAccess", "subnetIds",
		},
		name:     &autoname{key: "nodeGroupName", separator: "-", suffix: 7},
		validate: awsValidateNodeGroup,
		create:   awsCreateNodeGroup, update: awsUpdateNodeGroup, remove: awsRemoveNodeGroup,
		unknownAfter: func(changed []string) []string {
			if slices.Contains(changed, "version") || slices.Contains(changed, "launchTemplate") {
				return []string{"releaseVersion", "version"}
			}
			return nil
		},
	}
}

func awsValidateNodeGroup(in fields, found *refusals) {
	if name, ok := in.text("nodeGroupName"); ok && len(name) > 63 {
		found.add("nodeGroupName", "expected length of node_group_name to be in the range (0 - 63), got %s", name)
	}
	for _, size := range []string{"desiredSize", "minSize", "maxSize"} {
		if !in.has("scalingConfig." + size) {
			found.add("scalingConfig."+size, "missing required property 'scalingConfig.%s'", size)
		}
	}
	if in.has("launchTemplate") && !in.has("launchTemplate.version") {
		found.add("launchTemplate.version", "missing required property 'launchTemplate.version'")
	}
	if in.has("launchTemplate.id") && in.has("launchTemplate.name") {
		found.add("launchTemplate.name", `"launch_template.0.name": conflicts with launch_template.0.id`)
	}
	one, other := in.has("updateConfig.maxUnavailable"), in.has("updateConfig.maxUnavailablePercentage")
	if in.has("updateConfig") && one == other {
		found.add("updateConfig", "exactly one of maxUnavailable and maxUnavailablePercentage must be given")
	}
	types := []string{
		"AL2023_x86_64_STANDARD", "AL2023_ARM_64_STANDARD", "AL2023_x86_64_NVIDIA", "AL2_x86_64", "AL2_ARM_64",
		"BOTTLEROCKET_x86_64", "BOTTLEROCKET_ARM_64", "CUSTOM",
	}
	if ami, ok := in.text("amiType"); ok && !slices.Contains(types, ami) {
		found.add("amiType", "expected ami_type to be one of %q, got %s", types, ami)
	}
}

func (c *change) nodeGroupError(code, format string, args ...any) error {
	id := c.in.str("clusterName") + ":" + c.in.str("nodeGroupName")
	doing, call := "creating", "CreateNodegroup"
	if c.entry.Op == Update {
		doing, call = "updating", "UpdateNodegroupVersion"
	}
	return awsError(fmt.Sprintf("%s EKS Node Group (%s)", doing, id), "EKS", call, code, format, args...)
}

func awsCreateNodeGroup(c *change) error {
	cluster := c.find(awsCluster, c.in.str("clusterName"))
	if cluster == nil {
		return c.nodeGroupError("ResourceNotFoundException", "No cluster found for name: %s.", c.in.str("clusterName"))
	}
	id := cluster.id + ":" + c.in.str("nodeGroupName")
	if c.find(awsNodeGroup, id) != nil {
		return c.nodeGroupError("ResourceInUseException", "NodeGroup already exists with name %s and cluster name %s",
			c.in.str("nodeGroupName"), cluster.id)
	}
	for _, check := range []func(*object) error{
		c.checkNodeRole, c.checkNodeScaling, c.checkNodeImage, c.checkNodeVersion, c.checkNodeTemplate, c.checkNodeSubnets,
	} {
		if err := check(cluster); err != nil {
			return err
		}
	}
	c.id = id
	c.describeNodes(cluster)
	if err := c.joins(cluster); err != nil {
		c.out.set("status", "CREATE_FAILED")
		c.failAfter(fmt.Errorf("waiting for EKS Node Group (%s) create: unexpected state 'CREATE_FAILED', wanted target "+
			"'ACTIVE'. last error: NodeCreationFailure: Instances failed to join the kubernetes cluster (%w)", id, err))
		return nil
	}
	if err := c.awsRoom(c.eksPool(cluster), 0); err != nil {
		c.out.set("status", "CREATE_FAILED")
		c.failAfter(fmt.Errorf("waiting for EKS Node Group (%s) create: unexpected state 'CREATE_FAILED', wanted target "+
			"'ACTIVE'. last error: %w", id, err))
		return nil
	}
	c.launchNodes(cluster)
	return nil
}

func (c *change) checkNodeRole(*object) error {
	arn := c.in.str("nodeRoleArn")
	role := c.roleOf(arn)
	switch {
	case role == nil:
		return c.nodeGroupError("InvalidParameterException", "The role with name %s cannot be found.", arn)
	case !role.foreign() && !trusts(role.fields(), "ec2.amazonaws.com"):
		return c.nodeGroupError("InvalidParameterException", "Following required service principals [ec2.amazonaws.com] "+
			"were not found in the trust relationships of nodeRole %s", arn)
	}
	return nil
}

func (c *change) checkNodeScaling(*object) error {
	smallest, desired, most := c.in.integer("scalingConfig.minSize"), c.in.integer("scalingConfig.desiredSize"),
		c.in.integer("scalingConfig.maxSize")
	switch {
	case smallest > desired:
		return c.nodeGroupError("InvalidParameterException",
			"Minimum capacity %d can't be greater than desired size %d", smallest, desired)
	case desired > most:
		return c.nodeGroupError("InvalidParameterException",
			"desired capacity %d can't be greater than max size %d", desired, most)
	}
	return nil
}

// checkNodeImage checks that instance types exist, by form, and fit the image's processor: the g after a generation's
// number marks Graviton, which is ARM (EC2 user guide, "Instance type naming conventions").
func (c *change) checkNodeImage(*object) error {
	instance := regexp.MustCompile(`^[a-z]+[0-9]+[a-z0-9-]*\.(nano|micro|small|medium|large|metal|[0-9]*xlarge)$`)
	graviton := regexp.MustCompile(`^[a-z]+[0-9]+g`)
	for _, name := range c.instanceTypes() {
		if !instance.MatchString(name) {
			return c.nodeGroupError("InvalidParameterException", "The following supplied instance types do not exist: [%s]",
				name)
		}
		ami, ok := c.in.text("amiType")
		if ok && ami != "CUSTOM" && strings.Contains(ami, "ARM_64") != graviton.MatchString(name) {
			return c.nodeGroupError("InvalidParameterException",
				"[%s] is not a valid instance type for requested amiType %s", name, ami)
		}
	}
	// awslabs/amazon-eks-ami #2545: no Amazon Linux 2 images from 1.33 on.
	if strings.HasPrefix(c.in.str("amiType"), "AL2_") {
		return c.nodeGroupError("InvalidParameterException", "Requested AMI type %s is not supported for this version",
			c.in.str("amiType"))
	}
	return nil
}

// instanceTypes are the node group's, or its launch template's.
func (c *change) instanceTypes() []string {
	types := c.in.strs("instanceTypes")
	if template, err := c.templateOf(c.in); err == nil {
		if single, ok := template.fields().text("instanceType"); ok {
			types = append(types, single)
		}
	}
	return types
}

func (c *change) checkNodeVersion(cluster *object) error {
	version, ok := c.in.text("version")
	control := cluster.fields().str("version")
	if ok && step(control, version) > 0 {
		return c.nodeGroupError("InvalidParameterException",
			"Nodegroup Kubernetes version %s is newer than the cluster's version %s", version, control)
	}
	return nil
}

// checkNodeTemplate holds a launch template to what EKS lets one say (EKS user guide, "Customize managed nodes with
// launch templates").
func (c *change) checkNodeTemplate(*object) error {
	if !c.in.has("launchTemplate") {
		return nil
	}
	template, err := c.templateOf(c.in)
	if err != nil {
		return err
	}
	f := template.fields()
	switch data, given := f.text("userData"); {
	case c.in.has("diskSize"):
		return c.nodeGroupError("InvalidParameterException", "Disk size must be specified within the launch template.")
	case c.in.has("instanceTypes") && f.has("instanceType"):
		return c.nodeGroupError("InvalidParameterException",
			"You cannot specify instance types in both the launch template and the node group.")
	case f.has("imageId") && c.in.str("amiType") != "" && c.in.str("amiType") != "CUSTOM":
		return c.nodeGroupError("InvalidParameterException", "You cannot specify an AMI Type other than CUSTOM, when "+
			"specifying an image id in your launch template.")
	case given && !f.has("imageId") && !isMultipart(data):
		return c.nodeGroupError("InvalidRequestException", "Ec2LaunchTemplateInvalidConfiguration: User data was not in "+
			"the MIME multipart format.")
	}
	return nil
}

func (c *change) checkNodeSubnets(cluster *object) error {
	vpc := cluster.fields().str("vpcConfig.vpcId")
	for _, id := range c.in.strs("subnetIds") {
		subnet := c.find(awsSubnet, id)
		switch {
		case subnet == nil:
			return c.nodeGroupError("InvalidParameterException", "The subnet ID '%s' does not exist", id)
		case subnet.fields().str("vpcId") != vpc:
			return c.nodeGroupError("InvalidParameterException",
				"Subnet %s is not in the cluster's VPC %s", id, vpc)
		case c.routeOf(subnet) == publicRoute && !subnet.fields().flag("mapPublicIpOnLaunch"):
			return c.nodeGroupError("InvalidRequestException", "Ec2SubnetInvalidConfiguration: One or more Amazon EC2 "+
				"Subnets of [%s] for node group %s does not automatically assign public IP addresses to instances launched "+
				"into it.", id, c.in.str("nodeGroupName"))
		}
	}
	return nil
}

// joins says why the nodes never reach or enter the cluster, which EKS finds out after some 20 minutes.
func (c *change) joins(cluster *object) error {
	role := c.roleOf(c.in.str("nodeRoleArn"))
	pulls := c.attached(role, "AmazonEC2ContainerRegistryReadOnly") ||
		c.attached(role, "AmazonEC2ContainerRegistryPullOnly")
	switch {
	case !c.attached(role, "AmazonEKSWorkerNodePolicy") && !c.attached(role, "AmazonEKSWorkerNodeMinimalPolicy"):
		return errors.New("the node role lacks AmazonEKSWorkerNodePolicy")
	case !pulls:
		return errors.New("the node role lacks AmazonEC2ContainerRegistryReadOnly")
	}
	if err := c.hasNetworking(cluster, role); err != nil {
		return err
	}
	for _, id := range c.in.strs("subnetIds") {
		if c.routeOf(c.find(awsSubnet, id)) == noRoute {
			return fmt.Errorf("subnet %s has no route to the internet", id)
		}
	}
	return nil
}

// hasNetworking checks for the VPC CNI and the right it needs, which it has from the node role or from one of its own.
func (c *change) hasNetworking(cluster, role *object) error {
	addon := c.find(awsAddon, cluster.id+":vpc-cni")
	switch f := cluster.fields(); {
	case addon == nil && !f.flag("bootstrapSelfManagedAddons"):
		return errors.New("the cluster has no VPC CNI")
	case !c.managesInterfaces(cluster.id, role):
		return errors.New("the node role lacks AmazonEKS_CNI_Policy")
	}
	return nil
}

// managesInterfaces reports whether the VPC CNI may make and remove network interfaces, by the node role or by a role of
// its own.
func (c *change) managesInterfaces(cluster string, role *object) bool {
	if addon := c.find(awsAddon, cluster+":vpc-cni"); addon != nil {
		f := addon.fields()
		if f.has("serviceAccountRoleArn") || f.has("podIdentityAssociations") {
			return true
		}
	}
	return c.attached(role, "AmazonEKS_CNI_Policy")
}

func (c *change) describeNodes(cluster *object) {
	name := c.in.str("nodeGroupName")
	c.out.set("arn", c.arn("eks", fmt.Sprintf("nodegroup/%s/%s", cluster.id, name)))
	c.out.set("status", "ACTIVE")
	c.out.set("resources", []any{map[string]any{
		"autoscalingGroups":           []any{map[string]any{"name": c.newID("eks-"+name+"-", 8)}},
		"remoteAccessSecurityGroupId": "",
	}})
	disk := 20 // EKS API, CreateNodegroup diskSize: the default for Linux.
	types := []any{"t3.medium"}
	if c.in.has("launchTemplate") {
		disk = 0
		if len(c.instanceTypes()) > 0 {
			types = []any{}
		}
		if template, err := c.templateOf(c.in); err == nil {
			c.out.set("launchTemplate.id", template.id)
			c.out.set("launchTemplate.name", template.fields().str("name"))
		}
	}
	for path, value := range map[string]any{
		"amiType": "AL2023_x86_64_STANDARD", "capacityType": "ON_DEMAND", "diskSize": disk,
		"instanceTypes": types, "nodeGroupNamePrefix": "", "nodeRepairConfig": map[string]any{"enabled": false},
		"updateConfig": map[string]any{"maxUnavailable": 1}, "version": cluster.fields().str("version"),
	} {
		if !c.in.has(path) {
			c.out.set(path, value)
		}
	}
	c.release()
	c.tagged()
}

// release is the image release that goes with the node group's version.
func (c *change) release() {
	if c.in.has("releaseVersion") {
		return
	}
	version := c.out.str("version")
	if given, ok := c.in.text("version"); ok {
		version = given
	}
	c.out.set("releaseVersion", version+".0-20261101")
}

func awsUpdateNodeGroup(c *change) error {
	cluster := c.find(awsCluster, c.in.str("clusterName"))
	if cluster == nil {
		return c.nodeGroupError("ResourceNotFoundException", "No cluster found for name: %s.", c.in.str("clusterName"))
	}
	for _, check := range []func(*object) error{c.checkNodeScaling, c.checkNodeVersion, c.checkNodeTemplate, c.checkNodeImage} {
		if err := check(cluster); err != nil {
			return err
		}
	}
	changed := c.p.cloud.kinds[awsNodeGroup].changed(c.was, c.in)
	versions := slices.ContainsFunc([]string{"version", "launchTemplate", "releaseVersion"}, func(key string) bool {
		return slices.Contains(changed, key)
	})
	if versions {
		// EKS API, UpdateNodegroupVersion: without a version, the nodes follow the cluster's.
		if !c.in.has("version") {
			c.out.set("version", cluster.fields().str("version"))
		}
		c.release()
	}
	c.tagged()
	p, surge := c.eksPool(cluster), 0
	if versions {
		surge = eksSurge(p, c.eksUnavailable())
	}
	grows := c.in.integer("scalingConfig.desiredSize") > c.was.integer("scalingConfig.desiredSize")
	if err := c.awsRoom(p, surge); err != nil && (versions || grows) {
		c.failAfter(fmt.Errorf("waiting for EKS Node Group (%s) update: unexpected state 'Failed', wanted target "+
			"'Successful'. last error: %w", c.id, err))
		return nil
	}
	c.changeNodes(cluster, versions)
	return nil
}

// awsRemoveNodeGroup leaves the nodes' network interfaces behind when the role's permissions went first (registry docs
// of aws_eks_node_group: "ensure that IAM Role permissions are created before and deleted after").
func awsRemoveNodeGroup(c *change) error {
	c.removeNodes()
	role := c.roleOf(c.out.str("nodeRoleArn"))
	if role != nil && c.attached(role, "AmazonEKSWorkerNodePolicy") &&
		c.managesInterfaces(c.out.str("clusterName"), role) {
		return nil
	}
	if c.out.str("status") == "CREATE_FAILED" { // No node ever came up.
		return nil
	}
	c.leave("aws-K8S-"+c.id, c.out.strs("subnetIds"))
	return nil
}
