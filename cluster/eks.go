package cluster

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/ec2"
	awseks "github.com/pulumi/pulumi-aws/sdk/v6/go/aws/eks"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/iam"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/guard"
	"ha-iris/internal/kubeconfig"
	"ha-iris/internal/pattern"
	"ha-iris/internal/problems"
	"ha-iris/internal/traits"
)

// EKS is Amazon Elastic Kubernetes Service.
const EKS Cloud = "eks"

func eksKind() kind {
	return kind{
		cloud:    EKS,
		defaults: Config{KubernetesVersion: "1.35", InstanceType: "m6i.xlarge", DataDiskGiB: 200},
		keys:     createdKeys("nodeVersion", "subnetIds", "privateNodes", "assumeRoleArn", "controlPlaneLogs"),
		notes: map[string]string{
			"dataDiskGiB":  "a disk of its own",
			"nodeVersion":  "or a release of EKS' image, such as 1.35.1-20261118",
			"zones":        "names or ids; not set, the region's first three usable ones; without effect on a running cluster",
			"subnetIds":    "three subnet-... in three zones",
			"privateNodes": "a NAT gateway per zone; nodes do not move to other subnets",
		},
		own: map[string]func(*Config) *string{
			awsRegionKey: func(c *Config) *string { return &c.Region },
		},
		validate:      Config.validateEKS,
		limits:        limits{nodes: 1350, sourceRanges: 40, tags: 50 - 6, why: "EKS' quota of 450 for each of the three managed node groups"},
		cores:         awsCores,
		memoryPerCore: awsMemoryPerCore,
		traits: traits.Traits{
			Storage: traits.Storage{
				KubeletRootDir:    "/var/lib/kubelet",
				LabelledDisksOnly: true, // As on AKS.
				// userdata/eks-node.sh mounts the second EBS volume; the mount point is immutable, so that nothing is
				// written to the root disk while the volume is not mounted.
				DedicatedDisk: true,
				// User data runs before the kubelet, so a node that joins is prepared.
				PrepareNodes: false,
				// EKS adds a node before it removes one, but gives up a drain after 15 min, which moving a replica away would
				// often exceed (EKS user guide, managed node update behaviour).
				SurgeNodes: false,
				NewDisks:   true, // A new machine has a new volume.
			},
			Service: traits.Service{
				Annotations: map[string]string{
					// The default is a Classic Load Balancer, which drops idle connections after 60 s, the network load balancer after
					// 350 s. Does not need the AWS Load Balancer Controller.
					"service.beta.kubernetes.io/aws-load-balancer-type": "nlb",
					// By default each zone of a network load balancer sends to nodes of its own zone only. If that node has failed,
					// the nodes of the other zones must get the connections.
					"service.beta.kubernetes.io/aws-load-balancer-cross-zone-load-balancing-enabled": "true",
					// A failed node gets no more connections after 2 checks of 10 s instead of 90 s; the only other interval is 30 s.
					// Network load balancers require both thresholds to be equal.
					"service.beta.kubernetes.io/aws-load-balancer-healthcheck-interval":            "10",
					"service.beta.kubernetes.io/aws-load-balancer-healthcheck-healthy-threshold":   "2",
					"service.beta.kubernetes.io/aws-load-balancer-healthcheck-unhealthy-threshold": "2",
				},
				InternalAnnotations: map[string]string{
					"service.beta.kubernetes.io/aws-load-balancer-internal": "true",
				},
			},
		},
		backups:   true,
		provision: (*Cluster).eks,
	}
}

const (
	awsRegionKey   = "aws:region"
	awsCredentials = "run: aws configure sso, and set AWS_PROFILE; or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
)

var (
	awsRegion  = pattern.Lazy(`^[a-z]{2,}(-[a-z]+)+-\d+$`)
	awsVersion = pattern.Lazy(`^1\.\d+$`)
	// awsNodeVersion is a version of Kubernetes or of an image, KUBERNETES-DATE.
	awsNodeVersion = pattern.Lazy(`^1\.\d+(\.\d+-\d{8})?$`)
	awsSubnetID    = pattern.Lazy(`^subnet-[0-9a-f]{8,17}$`)
	awsZoneID      = pattern.Lazy(`^[a-z]+\d+-az\d+$`)
	awsTagsKey     = pattern.Lazy(`^[\pL\pN\pZ_.:/=+\-@]+$`)
	awsTagsValue   = pattern.Lazy(`^[\pL\pN\pZ_.:/=+\-@]*$`)
)

// awsTags are AWS's rules: 128 and 256 letters, digits, spaces and _.:/=+-@.
func awsTags() tagRules {
	return tagRules{
		key: awsTagsKey, keyLength: 128,
		value: awsTagsValue, valueLength: 256,
		reserved: []string{"aws:"},
		want:     "a name of up to 128 and a value of up to 256 letters, digits, spaces and _.:/=+-@, the name not starting with aws:",
	}
}

func (c Config) validateEKS(found *problems.List) {
	c.checkName(found)
	c.checkRegion(found, awsRegionKey, awsRegion, "eu-west-1")
	if awsForeignRegions().MatchString(c.Region) {
		found.Add(awsRegionKey, c.Region, "a region of one of AWS' partitions "+strings.Join(awsPartNames(), ", ")+
			": what the others call things is not known here")
	}
	c.checkPattern(found, "kubernetesVersion", c.KubernetesVersion, awsVersion, "a version such as 1.35, without a patch")
	c.checkPattern(found, "nodeVersion", c.NodeVersion, awsNodeVersion, "a version such as 1.35, or a release of EKS's image such as 1.35.1-20261118")
	c.checkPattern(found, "instanceType", c.InstanceType, awsInstanceType, "an EC2 instance type, such as m6i.xlarge")
	if part := awsPartOf(c.Region); c.AssumeRoleARN != "" && !part.isRole(c.AssumeRoleARN) {
		found.Add("cluster.assumeRoleArn", c.AssumeRoleARN, fmt.Sprintf("a role of the partition that %s is in: %s", c.Region, part.roleExample()))
	}
	c.checkZones(found, c.validAWSZone, fmt.Sprintf("a zone of %s, such as %sa, that EKS does not refuse (%s)",
		c.Region, c.Region, strings.Join(refusedZoneIDs(), ", ")))
	c.checkDisk(found, diskLimits{minimum: 20, maximum: 16384, why: "a gp3 volume of at most 16384 that holds the replicas"})
	c.checkSubnets(found, zoneCount, awsSubnetID, "subnet-ID, one subnet in each of three zones")
	if len(c.SubnetIDs) > 0 && len(c.Zones) > 0 {
		found.Add("cluster.zones", c.Zones, "nothing together with cluster.subnetIds: the subnets decide the zones")
	}
	if len(c.SubnetIDs) > 0 && c.PrivateNodes {
		found.Add("cluster.privateNodes", c.PrivateNodes,
			"nothing together with cluster.subnetIds: the subnets decide which addresses the nodes get")
	}
	c.checkSourceRanges(found)
	c.checkTags(found, awsTags())
	checkItems(found, "cluster.controlPlaneLogs", c.ControlPlaneLogs, func(log string) bool { return slices.Contains(awsLogs(), log) },
		"a log that is not listed twice", "one of "+strings.Join(awsLogs(), ", "))
}

// awsLogs are the logs that EKS offers (EKS API, LogSetup).
func awsLogs() []string {
	return []string{"api", "audit", "authenticator", "controllerManager", "scheduler"}
}

// eks provides a cluster on AWS.
func (c *Cluster) eks(ctx *pulumi.Context, name string, cfg Config) error {
	e, err := newEKS(ctx, name, c, cfg)
	if err != nil {
		return err
	}
	network, err := e.network()
	if err != nil {
		return err
	}
	roles, err := e.identity()
	if err != nil {
		return err
	}
	control, err := e.controlPlane(network, roles)
	if err != nil {
		return err
	}
	if err := e.backups(control); err != nil {
		return err
	}
	if err := c.reach(e.kubeconfig(control)); err != nil {
		return err
	}
	nodes, err := e.nodes(network, roles, control)
	if err != nil {
		return err
	}
	c.Name, c.Lifetime = control.Name, control
	c.Ready = append([]pulumi.Resource{control}, nodes...)
	return c.connect(ctx, name, nodes)
}

type eks struct {
	scope
	// zones are the three zones' names; empty with given subnets.
	zones []string
	// template is why the launch template changes in this run.
	template templateChange
}

func newEKS(ctx *pulumi.Context, name string, component *Cluster, cfg Config) (*eks, error) {
	e := &eks{scope: scope{ctx: ctx, component: component, cfg: cfg}}
	args := &aws.ProviderArgs{
		Region:      pulumi.String(cfg.Region),
		DefaultTags: &aws.ProviderDefaultTagsArgs{Tags: pulumi.ToStringMap(e.tags())},
		// The provider's own check would end the program without advice on what to set. The first call, in findZones, checks
		// the credentials as well, in every preview.
		SkipCredentialsValidation: pulumi.Bool(true),
	}
	if cfg.AssumeRoleARN != "" {
		args.AssumeRole = &aws.ProviderAssumeRoleArgs{RoleArn: pulumi.String(cfg.AssumeRoleARN)}
	}
	provider, err := aws.NewProvider(ctx, name, args, pulumi.Parent(component))
	if err != nil {
		return nil, fmt.Errorf("create AWS provider: %w", err)
	}
	e.provider = provider
	e.zones, err = e.findZones()
	return e, err
}

// roles are the identities of the control plane and of the nodes, with the attachments of their policies.
type roles struct {
	cluster, nodes       *iam.Role
	clusterAttachments   []pulumi.Resource
	nodeGroupAttachments []pulumi.Resource
}

func (e *eks) identity() (*roles, error) {
	var r roles
	var err error
	r.cluster, r.clusterAttachments, err = e.role("control-plane", controlPlanePrincipal, "AmazonEKSClusterPolicy")
	if err != nil {
		return nil, err
	}
	r.nodes, r.nodeGroupAttachments, err = e.role("nodes", awsPartOf(e.cfg.Region).nodes,
		"AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy", "AmazonEC2ContainerRegistryReadOnly",
		// Gives a shell on a node that does not join, without SSH, keys or an open port.
		"AmazonSSMManagedInstanceCore")
	return &r, err
}

func (e *eks) role(part, service string, policies ...string) (*iam.Role, []pulumi.Resource, error) {
	role, err := iam.NewRole(e.ctx, e.name(part), &iam.RoleArgs{
		AssumeRolePolicy: pulumi.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow",`+
			`"Principal":{"Service":"%s"},"Action":"sts:AssumeRole"}]}`, service),
		Tags: pulumi.ToStringMap(e.tags()),
	}, e.options()...)
	if err != nil {
		return nil, nil, fmt.Errorf("create role for %s: %w", part, err)
	}
	attachments := make([]pulumi.Resource, 0, len(policies))
	for _, policy := range policies {
		attachment, err := iam.NewRolePolicyAttachment(e.ctx, e.name(part+"-"+policy), &iam.RolePolicyAttachmentArgs{
			Role:      role.Name,
			PolicyArn: pulumi.String(awsPartOf(e.cfg.Region).managedPolicy(policy)),
		}, e.options()...)
		if err != nil {
			return nil, nil, fmt.Errorf("attach %s to the role for %s: %w", policy, part, err)
		}
		attachments = append(attachments, attachment)
	}
	return role, attachments, nil
}

func (e *eks) controlPlane(network *eksNetwork, r *roles) (*awseks.Cluster, error) {
	control, err := awseks.NewCluster(e.ctx, e.name(""), &awseks.ClusterArgs{
		RoleArn: r.cluster.Arn,
		Version: optional(e.cfg.KubernetesVersion),
		VpcConfig: &awseks.ClusterVpcConfigArgs{
			SubnetIds:            network.nodes,
			EndpointPublicAccess: pulumi.Bool(true),
			// The nodes reach the API server without leaving the VPC, whatever apiServerSourceRanges allows.
			EndpointPrivateAccess: pulumi.Bool(true),
			PublicAccessCidrs:     e.publicAccess(),
		},
		AccessConfig: &awseks.ClusterAccessConfigArgs{
			AuthenticationMode: pulumi.String("API"),
			// Explicit: once the block is given, the provider's default is false and locks the creator out
			// (pulumi/pulumi-aws#3997).
			BootstrapClusterCreatorAdminPermissions: pulumi.Bool(true),
		},
		// An empty list switches all off; nil would leave them as they are.
		EnabledClusterLogTypes: pulumi.ToStringArray(e.cfg.ControlPlaneLogs),
		// The managed add-ons below would overwrite self-managed ones.
		BootstrapSelfManagedAddons: pulumi.Bool(false),
		// When standard support ends, extended support is paid for instead of an automatic upgrade, after which the next up
		// would ask AWS for a downgrade.
		UpgradePolicy: &awseks.ClusterUpgradePolicyArgs{SupportType: pulumi.String("EXTENDED")},
		Tags:          pulumi.ToStringMap(e.tags()),
	}, e.options(
		pulumi.Protect(e.component.protect), // Replacing it would replace everything.
		// The role's ARN does not depend on its policies, without which the cluster cannot be created, nor its network
		// interfaces be removed.
		pulumi.DependsOn(r.clusterAttachments),
		// Both replace the cluster when they change, and AWS does not report them back (pulumi-eks ignores them too).
		pulumi.IgnoreChanges([]string{"accessConfig.bootstrapClusterCreatorAdminPermissions", "bootstrapSelfManagedAddons"}),
		// Creation takes 10 to 15 min, an upgrade of the version up to 60.
		pulumi.Timeouts(&pulumi.CustomTimeouts{Create: "45m", Update: "90m", Delete: "30m"}),
	)...)
	if err != nil {
		return nil, fmt.Errorf("create EKS cluster: %w", err)
	}
	return control, nil
}

func (e *eks) publicAccess() pulumi.StringArrayInput {
	if len(e.cfg.APIServerSourceRanges) == 0 {
		return nil
	}
	return pulumi.ToStringArray(e.cfg.APIServerSourceRanges)
}

// nodes creates the nodes and the add-ons around them. It returns what must be there before the cluster is usable.
func (e *eks) nodes(network *eksNetwork, r *roles, control *awseks.Cluster) ([]pulumi.Resource, error) {
	// vpc-cni before the nodes: without it none becomes Ready. A destroy deletes it after them, so that it can release its
	// network interfaces; leaked ones block the deletion of the subnets (aws/amazon-vpc-cni-k8s#608).
	// eks-pod-identity-agent is for what needs AWS from a pod, which the node's own credentials are out of reach for.
	before, err := e.addons(control, nil, "vpc-cni", "kube-proxy", "eks-pod-identity-agent")
	if err != nil {
		return nil, err
	}
	template, err := e.launchTemplate()
	if err != nil {
		return nil, err
	}
	// No input of the node group depends on the policies, the add-ons and the routes to the internet. They must be created
	// before it and deleted after it: a node without them does not join, and one that loses them leaks its interfaces.
	after := slices.Concat(r.nodeGroupAttachments, before, network.routes)
	var groups []pulumi.Resource
	var last *awseks.NodeGroup
	for i := range zoneCount {
		group, err := e.nodeGroup(i, network.nodes[i], r, control, template, after)
		if err != nil {
			return nil, err
		}
		if err := e.tagNodes(i, group); err != nil {
			return nil, err
		}
		groups, last = append(groups, group), group
		after = append(after, group) // One zone at a time.
	}
	e.component.Kubeconfig = e.settled(last, nil)
	pods, err := e.addons(control, groups, e.addonsWithPods()...)
	if err != nil {
		return nil, err
	}
	return slices.Concat(groups, before, pods), nil
}

// nodeGroup creates the nodes of zone i. They are in one subnet, and after has the groups of the zones before.
func (e *eks) nodeGroup(
	i int, subnet pulumi.StringInput, r *roles, control *awseks.Cluster, template *ec2.LaunchTemplate, after []pulumi.Resource,
) (*awseks.NodeGroup, error) {
	guarded, err := e.guardPool(e.pool(i))
	if err != nil {
		return nil, err
	}
	args := &awseks.NodeGroupArgs{
		ClusterName:  control.Name,
		NodeRoleArn:  r.nodes.Arn,
		SubnetIds:    pulumi.StringArray{subnet},
		AmiType:      pulumi.String(amiType(e.cfg.InstanceType)),
		CapacityType: pulumi.String("ON_DEMAND"), // Spot capacity can be withdrawn from all nodes at once.
		// A fixed number. Changes of it are not ignored: no autoscaler changes it, and AWS refuses a desired size below the
		// minimum, so an ignored one would make a change of cluster.nodes fail.
		ScalingConfig: &awseks.NodeGroupScalingConfigArgs{
			MinSize:     pulumi.Int(e.perZone()),
			DesiredSize: pulumi.Int(e.perZone()),
			MaxSize:     pulumi.Int(e.perZone()),
		},
		LaunchTemplate: &awseks.NodeGroupLaunchTemplateArgs{
			Id: template.ID(),
			// Not $Latest: AWS reports a number in its place, which would be a change in every preview.
			Version: template.LatestVersion.ApplyT(strconv.Itoa).(pulumi.StringOutput),
		},
		// One at a time, and never by force: Longhorn's disruption budget holds a drain back until the volume has
		// another healthy replica. The SDK has no updateStrategy (v6.83), so it is EKS' DEFAULT: a new node first. That is
		// right here: the new one takes part in the rebuild, and the group's old nodes, all cordoned at once, are those of one
		// zone. MINIMAL would remove a node before there is another, for accounts without capacity for one more.
		UpdateConfig: &awseks.NodeGroupUpdateConfigArgs{MaxUnavailable: pulumi.Int(1)},
		// The scaling group replaces failed machines only; this also covers a failed kubelet.
		NodeRepairConfig: &awseks.NodeGroupNodeRepairConfigArgs{Enabled: pulumi.Bool(true)},
		Labels:           e.labelsOf(i + 1),
		Tags:             pulumi.ToStringMap(e.tags()),
	}
	group, err := awseks.NewNodeGroup(e.ctx, e.poolName(i+1), args, e.options(
		pulumi.DependsOn(after), // See nodes.
		pulumi.Protect(e.component.protect),
		pulumi.IgnoreChanges(append(e.setVersion(args),
			"subnetIds", "amiType", // Both would replace the group, and with it every replica in it.
		)),
		// An update drains the zone's nodes one after the other, 15 min each at most, and waits for the new ones.
		pulumi.Timeouts(&pulumi.CustomTimeouts{Create: "45m", Update: "120m", Delete: "45m"}),
		guarded,
	)...)
	if err != nil {
		return nil, fmt.Errorf("create node group of zone %d: %w", i+1, err)
	}
	return group, nil
}

// setVersion sets the version that is configured, and returns the properties that AWS decides and whose changes are to be ignored.
func (e *eks) setVersion(args *awseks.NodeGroupArgs) []string {
	switch version := e.cfg.NodeVersion; {
	case version == "":
		return []string{"version", "releaseVersion"}
	case strings.Contains(version, "-"): // Validated: an image's.
		args.ReleaseVersion = pulumi.String(version)
		return []string{"version"}
	default:
		args.Version = pulumi.String(version)
		return []string{"releaseVersion"}
	}
}

// pool describes the group of zone i. EKS replaces nodes for another version of the launch template, of Kubernetes or of the image.
func (e *eks) pool(i int) pool {
	zone := strconv.Itoa(i + 1)
	if len(e.zones) > i {
		zone = e.zones[i]
	} else if len(e.cfg.SubnetIDs) > i {
		zone = "of " + e.cfg.SubnetIDs[i]
	}
	return pool{
		number: i + 1, zone: zone,
		count: func(group guard.Inputs) (float64, bool) { return group.Number("scalingConfig", "desiredSize") },
		// EKS labels each node with the version that it was made from. An update that failed is not repeated by itself, because the
		// provider has recorded the new version.
		outdated: func(node poolNode, after guard.Inputs) string {
			is, want := node.Metadata.Labels[awsTemplateLabel], after.Text("launchTemplate", "version")
			if is == "" || want == "" || is == want {
				return ""
			}
			return "is of version " + is + " of the launch template and not " + want + " (if EKS has ended its update: pulumi up --refresh)"
		},
		replacing: func(before, after guard.Inputs) (changed []string) {
			for _, one := range []struct {
				what string
				path []any
			}{
				{e.template.describe(), []any{"launchTemplate", "version"}},
				{"version", []any{"version"}},
				{"image", []any{"releaseVersion"}},
			} {
				if !before.None() && guard.Changed(before, after, one.path...) {
					changed = append(changed, one.what)
				}
			}
			return changed
		},
	}
}

// amiType is the Amazon Linux 2023 image for the instance type's processor.
func amiType(instanceType string) string {
	if awsGraviton().MatchString(instanceType) {
		return "AL2023_ARM_64_STANDARD"
	}
	return "AL2023_x86_64_STANDARD"
}

func (e *eks) kubeconfig(control *awseks.Cluster) pulumi.StringOutput {
	region, role := e.cfg.Region, e.cfg.AssumeRoleARN
	return pulumi.All(control.Name, control.Endpoint, control.CertificateAuthority.Data().Elem()).ApplyT(
		func(values []any) (string, error) {
			at, err := endpointOf(values)
			if err != nil {
				return "", err
			}
			return eksKubeconfig(at, region, role)
		}).(pulumi.StringOutput)
}

// eksKubeconfig gets a token from the AWS CLI for every connection. A token in the kubeconfig would be valid for 15 minutes: too
// short for a first up, expired at the next destroy, and different in every preview.
func eksKubeconfig(at endpoint, region, role string) (string, error) {
	args := []string{"--region", region, "eks", "get-token", "--cluster-name", at.name, "--output", "json"}
	if role != "" {
		// The plugin runs with the credentials of the user who runs pulumi; the cluster admits only the role that created it.
		args = append(args, "--role-arn", role)
	}
	return execKubeconfig(at, kubeconfig.Exec{
		Command:     "aws",
		Args:        args,
		InstallHint: "The AWS CLI, version 2, must be on the PATH: https://docs.aws.amazon.com/cli/",
	})
}
