package cluster

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/ec2"
	awseks "github.com/pulumi/pulumi-aws/sdk/v6/go/aws/eks"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/guard"
)

// launchTemplate describes a node. It leaves out the image and the security groups: with an image EKS does not add its
// own bootstrap; with groups it omits the cluster's, and the API server cannot reach Longhorn's webhooks.
//
// The instance type is here and not in the node group, where changing it would replace the group and thereby all the
// replicas at once. Here it makes a new version of the template, to which EKS moves each group in turn.
//
// So every change of what is in here replaces all nodes, except of the tags: those of the first version stay in it, because some
// accounts refuse to launch what has none, and tagNodes keeps the machines' up to date.
func (e *eks) launchTemplate() (*ec2.LaunchTemplate, error) {
	userData, err := eksUserData()
	if err != nil {
		return nil, err
	}
	explained, err := guard.BeforeUpdate(e.ctx, e.name("nodes")+"-template", e.template.note)
	if err != nil {
		return nil, err
	}
	template, err := ec2.NewLaunchTemplate(e.ctx, e.name("nodes"), &ec2.LaunchTemplateArgs{
		InstanceType: pulumi.String(e.cfg.InstanceType),
		BlockDeviceMappings: ec2.LaunchTemplateBlockDeviceMappingArray{
			ebsVolume("/dev/xvda", rootDiskGiB), // AL2023's root device.
			ebsVolume("/dev/xvdb", e.cfg.DataDiskGiB),
		},
		UserData: pulumi.String(base64.StdEncoding.EncodeToString([]byte(userData))),
		MetadataOptions: &ec2.LaunchTemplateMetadataOptionsArgs{
			HttpTokens: pulumi.String("required"), // IMDSv2 only.
			// A pod is one hop further than the node, and with the second hop every pod could take the node's role. Nothing of
			// this program needs it: the VPC CNI, kube-proxy and the Pod Identity agent are on the node's network, and CoreDNS
			// and Longhorn do not ask. Pods that need AWS get a role of their own from that agent.
			HttpPutResponseHopLimit: pulumi.Int(1),
		},
		// The provider's default tags do not reach what the template launches.
		TagSpecifications: ec2.LaunchTemplateTagSpecificationArray{
			&ec2.LaunchTemplateTagSpecificationArgs{ResourceType: pulumi.String("instance"), Tags: pulumi.ToStringMap(e.tags())},
			&ec2.LaunchTemplateTagSpecificationArgs{ResourceType: pulumi.String("volume"), Tags: pulumi.ToStringMap(e.tags())},
		},
		Tags: pulumi.ToStringMap(e.tags()), // Of the template itself, not of a version.
	}, e.options(explained, pulumi.IgnoreChanges([]string{"tagSpecifications"}))...)
	if err != nil {
		return nil, fmt.Errorf("create launch template: %w", err)
	}
	return template, nil
}

// templateChange remembers what changes in the launch template. The node groups, whose hooks say that nodes are replaced, see
// its version only.
type templateChange struct{ what atomic.Pointer[string] }

// note is called before the template is updated, and so before the groups are.
func (t *templateChange) note(before, after guard.Inputs) error {
	var changed []string
	for _, one := range []struct{ key, what string }{
		{"instanceType", "machine type"},
		{"blockDeviceMappings", "disks"},
		{"userData", "node script"},
		{"metadataOptions", "access to the node's credentials"},
	} {
		if guard.Changed(before, after, one.key) {
			changed = append(changed, one.what)
		}
	}
	text := strings.Join(changed, ", ")
	t.what.Store(&text)
	return nil
}

func (t *templateChange) describe() string {
	if what := t.what.Load(); what != nil && *what != "" {
		return "launch template: " + *what
	}
	return "launch template" // Changed by an up that did not get as far as the groups.
}

// rootDiskGiB holds the system and the images: IRIS's and Longhorn's take about 8 GiB, and the kubelet starts to evict
// at 85 %. EKS's default of 20 is too small for an image upgrade.
const rootDiskGiB = 50

// ebsVolume is one encrypted disk. It is deleted with its node: Longhorn has the other replicas, and a disk that was kept
// would never be attached again.
func ebsVolume(device string, gib int) *ec2.LaunchTemplateBlockDeviceMappingArgs {
	return &ec2.LaunchTemplateBlockDeviceMappingArgs{
		DeviceName: pulumi.String(device),
		Ebs: &ec2.LaunchTemplateBlockDeviceMappingEbsArgs{
			VolumeSize:          pulumi.Int(gib),
			VolumeType:          pulumi.String("gp3"),
			Encrypted:           pulumi.String("true"),
			DeleteOnTermination: pulumi.String("true"),
		},
	}
}

// scalingTagType is registered without the SDK's type, whose package is 19,000 lines to compile.
const scalingTagType = "aws:autoscaling/tag:Tag"

// tagNodes puts cluster.tags on the scaling group of zone i, which gives them to every machine that it launches from then on and
// overrules the template's. A change replaces no node. Disks keep the tags of the template's first version. EKS passes the group's
// own tags on to nothing.
func (e *eks) tagNodes(i int, group *awseks.NodeGroup) error {
	scaling := group.Resources.ApplyT(func(resources []awseks.NodeGroupResource) (string, error) {
		for _, one := range resources {
			for _, scaling := range one.AutoscalingGroups {
				if scaling.Name != nil {
					return *scaling.Name, nil
				}
			}
		}
		return "", errors.New("EKS reports no scaling group of the node group, so its nodes cannot be tagged")
	})
	for _, key := range sortedKeys(e.cfg.Tags) {
		var tag pulumi.CustomResourceState
		err := e.ctx.RegisterResource(scalingTagType, e.poolName(i+1)+"-"+key, pulumi.Map{
			"autoscalingGroupName": scaling,
			"tag": pulumi.Map{
				"key": pulumi.String(key), "value": pulumi.String(e.cfg.Tags[key]), "propagateAtLaunch": pulumi.Bool(true),
			},
		}, &tag, e.options(pulumi.DeletedWith(group))...)
		if err != nil {
			return fmt.Errorf("tag the scaling group of zone %d with %s: %w", i+1, key, err)
		}
	}
	return nil
}
