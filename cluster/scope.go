package cluster

import (
	"fmt"
	"maps"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// scope holds what all steps of creating one cloud's cluster need.
type scope struct {
	ctx       *pulumi.Context
	component *Cluster
	cfg       Config
	// provider is the cloud's. It is explicit, so that the default provider's settings never determine the account or region.
	provider pulumi.ProviderResource
}

// options returns the options of a resource of the cloud, in a slice of its own each time: two appends to a shared one
// overwrite each other.
func (s scope) options(more ...pulumi.ResourceOption) []pulumi.ResourceOption {
	return append([]pulumi.ResourceOption{pulumi.Parent(s.component), pulumi.Provider(s.provider)}, more...)
}

// name returns the logical name of one of the cluster's resources. The providers derive the physical name from it and add
// a random suffix. That suffix matters for the cluster: a replaced one has another name and with it another
// ClusterIdentifier, so the engine plans to replace everything on it too, and refuses because the volume is protected.
func (s scope) name(part string) string {
	if part == "" {
		return s.cfg.Name
	}
	return s.cfg.Name + "-" + part
}

// tags returns the tags of every cloud resource. cluster.tags override those of this program.
func (s scope) tags() map[string]string {
	tags := map[string]string{
		"managed-by": "pulumi",
		"project":    s.ctx.Project(),
		"stack":      s.ctx.Stack(),
		"cluster":    s.cfg.Name,
	}
	maps.Copy(tags, s.cfg.Tags)
	return tags
}

// nodeLabels are the Kubernetes labels of every node. None may have the prefix kubernetes.io: the kubelet refuses to
// start with those that are not on its list (NodeRestriction).
func (s scope) nodeLabels() pulumi.StringMap {
	labels := pulumi.ToStringMap(s.component.nodeLabels)
	labels["ha-iris/cluster"] = pulumi.String(s.cfg.Name)
	return labels
}

// lookupError adds to a provider's message how to set the credentials. The provider's message
// alone often names settings that this program does not have.
func lookupError(what string, err error, credentials string) error {
	return fmt.Errorf("%s: %w\nif credentials are missing or expired: %s", what, err, credentials)
}

// warn shows a warning at the cluster.
func (s scope) warn(text string) error {
	return warn(s.ctx, text, &pulumi.LogArgs{Resource: s.component})
}

// warn shows a warning about a resource, or about the stack.
func warn(ctx *pulumi.Context, text string, about *pulumi.LogArgs) error {
	if err := ctx.Log.Warn(text, about); err != nil {
		return fmt.Errorf("write a warning: %w", err)
	}
	return nil
}

// optional returns nil for an empty string, which the providers take for "not set".
func optional(value string) pulumi.StringPtrInput {
	if value == "" {
		return nil
	}
	return pulumi.String(value)
}
