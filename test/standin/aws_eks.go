package standin

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

func awsClusterKinds() map[string]*kind {
	return map[string]*kind{
		awsCluster:   awsClusterKind(),
		awsNodeGroup: awsNodeGroupKind(),
		awsAddon: {
			required: []string{"clusterName", "addonName"},
			optional: []string{
				"addonVersion", "configurationValues", "podIdentityAssociations", "preserve", "resolveConflicts",
				"resolveConflictsOnCreate", "resolveConflictsOnUpdate", "serviceAccountRoleArn", "tags",
			},
			computed: []string{"addonVersion", "arn", "configurationValues", "createdAt", "modifiedAt", "tagsAll"},
			// terraform-provider-aws internal/service/eks/addon.go, ForceNew.
			replaces: []string{"clusterName", "addonName"},
			create:   awsCreateAddon, update: retag, remove: awsRemoveAddon,
		},
	}
}

func awsClusterKind() *kind {
	return &kind{
		required: []string{"roleArn", "vpcConfig"},
		optional: []string{
			"name", "version", "accessConfig", "bootstrapSelfManagedAddons", "computeConfig", "defaultAddonsToRemoves",
			"enabledClusterLogTypes", "encryptionConfig", "forceUpdateVersion", "kubernetesNetworkConfig",
			"outpostConfig", "remoteNetworkConfig", "storageConfig", "tags", "upgradePolicy", "zonalShiftConfig",
		},
		computed: []string{
			"accessConfig", "accessConfig.authenticationMode", "arn", "certificateAuthorities", "certificateAuthority",
			"clusterId", "createdAt", "endpoint", "identities", "kubernetesNetworkConfig", "platformVersion", "status",
			"tagsAll", "upgradePolicy", "version", "vpcConfig.clusterSecurityGroupId", "vpcConfig.vpcId",
			"vpcConfig.publicAccessCidrs",
		},
		sets: []string{
			"vpcConfig.subnetIds", "vpcConfig.publicAccessCidrs", "vpcConfig.securityGroupIds", "enabledClusterLogTypes",
		},
		// terraform-provider-aws internal/service/eks/cluster.go, ForceNew. vpcConfig.subnetIds is not among them.
		replaces: []string{
			"name", "roleArn", "accessConfig.bootstrapClusterCreatorAdminPermissions", "bootstrapSelfManagedAddons",
			"kubernetesNetworkConfig.ipFamily", "kubernetesNetworkConfig.serviceIpv4Cidr",
			"outpostConfig.controlPlaneInstanceType", "remoteNetworkConfig",
		},
		name:     &autoname{key: "name", separator: "-", suffix: 7},
		defaults: fields{"bootstrapSelfManagedAddons": true},
		validate: awsValidateCluster,
		create:   awsCreateCluster, update: awsUpdateCluster, refresh: awsConnectCluster, remove: awsRemoveCluster,
		unknownAfter: func(changed []string) []string {
			if slices.Contains(changed, "version") {
				return []string{"platformVersion"}
			}
			return nil
		},
	}
}

// awsClusterName is validClusterName of terraform-provider-aws internal/service/eks/validate.go.
func awsClusterName(name string) bool {
	return regexp.MustCompile(`^[0-9A-Za-z][A-Za-z0-9_-]{0,99}$`).MatchString(name)
}

func awsValidateCluster(in fields, found *refusals) {
	awsValidateLogTypes(in, found)
	if name, ok := in.text("name"); ok && !awsClusterName(name) {
		found.add("name", `invalid value for name: must be 1 to 100 letters, digits, "_" and "-", got %q`, name)
	}
	if arn, ok := in.text("roleArn"); ok && !strings.HasPrefix(arn, "arn:aws") {
		found.add("roleArn", `"role_arn" (%s) is an invalid ARN: arn: invalid prefix`, arn)
	}
	if !in.has("vpcConfig.subnetIds") {
		found.add("vpcConfig.subnetIds", "missing required property 'vpcConfig.subnetIds'")
	}
	for path, values := range map[string][]string{
		"accessConfig.authenticationMode": {"API", "API_AND_CONFIG_MAP", "CONFIG_MAP"},
		"upgradePolicy.supportType":       {"STANDARD", "EXTENDED"},
	} {
		if value, ok := in.text(path); ok && !slices.Contains(values, value) {
			found.add(path, "expected %s to be one of %q, got %s", path, values, value)
		}
	}
}

func awsClusterError(doing, name, call, code, format string, args ...any) error {
	return awsError(fmt.Sprintf("%s EKS Cluster (%s)", doing, name), "EKS", call, code, format, args...)
}

// awsCreateCluster refuses at once what Terraform retries for two minutes, such as a role without its policy
// (eks/cluster.go, resourceClusterCreate): a program that only just wins the race has a dependency missing.
func awsCreateCluster(c *change) error {
	name := c.in.str("name")
	refused := func(format string, args ...any) error {
		return awsClusterError("creating", name, "CreateCluster", "InvalidParameterException", format, args...)
	}
	if c.find(awsCluster, name) != nil {
		return awsClusterError("creating", name, "CreateCluster", "ResourceInUseException",
			"Cluster already exists with name: %s", name)
	}
	if err := c.checkClusterRole(refused); err != nil {
		return err
	}
	if err := c.checkClusterSubnets(refused); err != nil {
		return err
	}
	if version, ok := c.in.text("version"); ok && !eksOffers().has(version) {
		return refused("unsupported Kubernetes version %s", version)
	}
	c.id = name
	c.describeCluster()
	awsConnectCluster(c)
	return nil
}

func (c *change) checkClusterRole(refused func(string, ...any) error) error {
	arn := c.in.str("roleArn")
	role := c.roleOf(arn)
	switch {
	case role == nil:
		return refused("roleArn, %s, does not exist", arn)
	case !role.foreign() && !trusts(role.fields(), "eks.amazonaws.com"):
		return refused("Role could not be assumed because the trusted entity is not correct")
	case !c.attached(role, "AmazonEKSClusterPolicy"):
		return refused("The provided role doesn't have the Amazon EKS Managed Policies associated with it. Please ensure " +
			"the following policy is attached: arn:aws:iam::aws:policy/AmazonEKSClusterPolicy")
	}
	return nil
}

func (c *change) checkClusterSubnets(refused func(string, ...any) error) error {
	vpcs, zones := map[string]bool{}, map[string]bool{}
	for _, id := range c.in.strs("vpcConfig.subnetIds") {
		subnet := c.find(awsSubnet, id)
		if subnet == nil {
			return refused("The subnet ID '%s' does not exist", id)
		}
		f := subnet.fields()
		vpcs[f.str("vpcId")], zones[f.str("availabilityZone")] = true, true
		// EKS user guide, "Amazon EKS networking requirements": zones where the control plane cannot be.
		if slices.Contains([]string{"use1-az3", "usw1-az2", "cac1-az3"}, f.str("availabilityZoneId")) {
			return awsClusterError("creating", c.in.str("name"), "CreateCluster", "UnsupportedAvailabilityZoneException",
				"Cannot create cluster because %s, the targeted availability zone, does not currently have sufficient "+
					"capacity to support the cluster.", f.str("availabilityZone"))
		}
	}
	switch {
	case len(zones) < 2:
		return refused("Subnets specified must be in at least two different AZs")
	case len(vpcs) > 1:
		return refused("Subnets provided are in different VPCs")
	}
	return nil
}

// describeCluster is what DescribeCluster tells of a new cluster beyond what was asked for.
func (c *change) describeCluster() {
	subnet := c.find(awsSubnet, c.in.strs("vpcConfig.subnetIds")[0])
	c.out.set("arn", c.arn("eks", "cluster/"+c.id))
	c.out.set("clusterId", "")
	c.out.set("createdAt", "2026-11-01T00:00:00Z")
	c.out.set("status", "ACTIVE")
	c.out.set("identities", []any{map[string]any{"oidcs": []any{map[string]any{
		"issuer": c.newID("https://oidc.eks."+c.region()+".amazonaws.com/id/", 32),
	}}}})
	c.out.set("vpcConfig.vpcId", subnet.fields().str("vpcId"))
	c.out.set("vpcConfig.clusterSecurityGroupId", c.newID("sg-", 17))
	for path, value := range map[string]any{
		"version":                         eksOffers().standard(),
		"vpcConfig.publicAccessCidrs":     []any{"0.0.0.0/0"},
		"accessConfig.authenticationMode": "CONFIG_MAP",
		"kubernetesNetworkConfig":         map[string]any{"ipFamily": "ipv4", "serviceIpv4Cidr": "172.20.0.0/16"},
		"upgradePolicy":                   map[string]any{"supportType": "EXTENDED"},
	} {
		if !c.in.has(path) {
			c.out.set(path, value)
		}
	}
	c.out.set("platformVersion", "eks.1")
	c.tagged()
}

// awsConnectCluster gives the way to the API server behind the cluster.
func awsConnectCluster(c *change) {
	connection := c.p.clouds.connection
	authority := map[string]any{"data": connection.authority64()}
	c.out.set("endpoint", connection.server)
	c.out.set("certificateAuthority", authority)
	c.out.set("certificateAuthorities", []any{authority})
}

func awsUpdateCluster(c *change) error {
	refused := func(format string, args ...any) error {
		return awsClusterError("updating", c.id, "UpdateClusterVersion", "InvalidParameterException", format, args...)
	}
	if err := c.checkClusterUpgrade(refused); err != nil {
		return err
	}
	if err := c.checkClusterZones(refused); err != nil {
		return err
	}
	from, to := c.was.str("accessConfig.authenticationMode"), c.in.str("accessConfig.authenticationMode")
	order := []string{"CONFIG_MAP", "API_AND_CONFIG_MAP", "API"}
	if from != "" && slices.Index(order, to) < slices.Index(order, from) {
		return refused("Unsupported authentication mode update from %s to %s", from, to)
	}
	awsConnectCluster(c)
	c.tagged()
	return nil
}

// checkClusterUpgrade lets a control plane go up, one minor version at a time (EKS user guide, "Update existing cluster
// to new Kubernetes version").
func (c *change) checkClusterUpgrade(refused func(string, ...any) error) error {
	existing := c.find(awsCluster, c.id)
	from := existing.fields().str("version")
	to, ok := c.in.text("version")
	if !ok || to == from {
		return nil
	}
	if !eksOffers().has(to) {
		return refused("unsupported Kubernetes version %s", to)
	}
	if step(from, to) != 1 {
		return refused("Unsupported Kubernetes minor version update from %s to %s", from, to)
	}
	c.out.set("platformVersion", "eks.1")
	return nil
}

// checkClusterZones holds a cluster to the zones it was made in (EKS API, UpdateClusterConfig).
func (c *change) checkClusterZones(refused func(string, ...any) error) error {
	was, is := c.zonesOf(c.was), c.zonesOf(c.in)
	if !slices.Equal(was, is) {
		return refused("Provided subnets belong to the AZs '%s'. But they should belong to the exact set of AZs '%s' in "+
			"which subnets were provided during cluster creation.", strings.Join(is, ","), strings.Join(was, ","))
	}
	return nil
}

func (c *change) zonesOf(cluster fields) []string {
	var zones []string
	for _, id := range cluster.strs("vpcConfig.subnetIds") {
		if subnet := c.find(awsSubnet, id); subnet != nil {
			zones = append(zones, subnet.fields().str("availabilityZone"))
		}
	}
	return unique(zones)
}

func awsRemoveCluster(c *change) error {
	groups := c.where(awsNodeGroup, func(f fields) bool { return f.str("clusterName") == c.id })
	if len(groups) > 0 {
		return awsClusterError("deleting", c.id, "DeleteCluster", "ResourceInUseException",
			"Cluster has nodegroups attached")
	}
	for _, typ := range []string{awsAddon, awsPodIdentity} {
		for _, part := range c.where(typ, func(f fields) bool { return f.str("clusterName") == c.id }) {
			c.cascade(part)
		}
	}
	// Registry docs of aws_eks_cluster: without the role's permissions EKS cannot delete what it manages in EC2.
	role := c.roleOf(c.out.str("roleArn"))
	if role == nil || !c.attached(role, "AmazonEKSClusterPolicy") {
		c.leave("Amazon EKS "+c.id, c.out.strs("vpcConfig.subnetIds"))
	}
	return nil
}

// leave makes network interfaces that nobody will clean up, in every subnet.
func (c *change) leave(description string, subnets []string) {
	for _, id := range subnets {
		subnet := c.find(awsSubnet, id)
		if subnet == nil {
			continue
		}
		left := fields{"subnetId": id, "vpcId": subnet.fields().str("vpcId"), "description": description}
		c.put(&object{typ: awsInterface, id: c.newID("eni-", 17), outputs: toProperties(left)})
	}
}

// awsAddons are those that EKS offers and that a cluster with Longhorn has a use for (EKS user guide, "AWS add-ons").
func awsAddons() []string {
	return []string{
		"vpc-cni", "coredns", "kube-proxy", "eks-pod-identity-agent", "eks-node-monitoring-agent", "aws-ebs-csi-driver",
		"snapshot-controller", "metrics-server",
	}
}

func awsCreateAddon(c *change) error {
	cluster, name := c.in.str("clusterName"), c.in.str("addonName")
	id := cluster + ":" + name
	doing := "creating EKS Add-On (" + id + ")"
	switch {
	case c.find(awsCluster, cluster) == nil:
		return awsError(doing, "EKS", "CreateAddon", "ResourceNotFoundException", "No cluster found for name: %s.", cluster)
	case !slices.Contains(awsAddons(), name):
		return awsError(doing, "EKS", "CreateAddon", "InvalidParameterException",
			"Addon %s specified is not supported", name)
	case c.find(awsAddon, id) != nil:
		return awsError(doing, "EKS", "CreateAddon", "ResourceInUseException", "Addon already exists.")
	}
	c.id = id
	c.out.set("arn", c.arn("eks", "addon/"+cluster+"/"+name))
	c.out.set("createdAt", "2026-11-01T00:00:00Z")
	c.out.set("modifiedAt", "2026-11-01T00:00:00Z")
	if !c.in.has("addonVersion") {
		c.out.set("addonVersion", "v1.0.0-eksbuild.1")
	}
	if !c.in.has("configurationValues") {
		c.out.set("configurationValues", "")
	}
	c.tagged()
	nodes := c.where(awsNodeGroup, func(f fields) bool { return f.str("clusterName") == cluster })
	// CoreDNS is a Deployment: with nowhere to run, its add-on stays DEGRADED until Terraform gives up.
	if name == "coredns" && len(nodes) == 0 {
		c.failAfter(fmt.Errorf("waiting for EKS Add-On (%s) create: timeout while waiting for state to become 'ACTIVE' "+
			"(last state: 'DEGRADED'): InsufficientNumberOfReplicas: The add-on is unhealthy because it doesn't have the "+
			"desired number of replicas", id))
	}
	return nil
}

// awsRemoveAddon takes the add-on's software out of the cluster too, unless it is preserved. Without the VPC CNI nobody
// detaches the nodes' network interfaces (amazon-vpc-cni-k8s #608, #1223).
func awsRemoveAddon(c *change) error {
	if c.out.str("addonName") != "vpc-cni" || c.out.flag("preserve") {
		return nil
	}
	cluster := c.out.str("clusterName")
	for _, group := range c.where(awsNodeGroup, func(f fields) bool { return f.str("clusterName") == cluster }) {
		c.leave("aws-K8S-"+group.id, group.fields().strs("subnetIds"))
	}
	return nil
}
