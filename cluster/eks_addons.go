package cluster

import (
	"fmt"

	awseks "github.com/pulumi/pulumi-aws/sdk/v6/go/aws/eks"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

func (e *eks) addons(control *awseks.Cluster, after []pulumi.Resource, names ...string) ([]pulumi.Resource, error) {
	addons := make([]pulumi.Resource, 0, len(names))
	for _, name := range names {
		addon, err := awseks.NewAddon(e.ctx, e.name(name), &awseks.AddonArgs{
			ClusterName:              control.Name,
			AddonName:                pulumi.String(name),
			ConfigurationValues:      optional(addonConfiguration(name)),
			ResolveConflictsOnCreate: pulumi.String("OVERWRITE"),
			ResolveConflictsOnUpdate: pulumi.String("PRESERVE"), // Keeps manual changes.
			// Deleting an add-on leaves what it installed: the nodes need it until they are gone themselves.
			Preserve: pulumi.Bool(true),
			Tags:     pulumi.ToStringMap(e.tags()),
		}, e.options(pulumi.DependsOn(after))...) // after: nodes has the reasons.
		if err != nil {
			return nil, fmt.Errorf("create add-on %s: %w", name, err)
		}
		addons = append(addons, addon)
	}
	return addons, nil
}

// addonsWithPods are those that come after the nodes: an add-on whose pods have nowhere to run stays degraded until it times out.
func (e *eks) addonsWithPods() []string {
	names := []string{"coredns"}
	if e.component.snapshots {
		// The kinds and their controller in one; it needs no rights in AWS (EKS user guide, "CSI snapshot controller"). AKS and GKE have
		// them unless they are switched off (storageProfile.snapshotController, addonsConfig.gcePersistentDiskCsiDriverConfig).
		names = append(names, "snapshot-controller")
	}
	return names
}

// addonConfiguration is what an add-on is given as JSON; "" for AWS's own settings.
func addonConfiguration(name string) string {
	if name == "vpc-cni" {
		// Off by default: Kubernetes then takes network policies and nothing enforces them. The add-on's schema wants a string.
		return `{"enableNetworkPolicy":"true"}`
	}
	return ""
}
