package cluster

import (
	"fmt"
	"maps"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// scope is what the steps of one cloud's cluster have in common.
type scope struct {
	ctx       *pulumi.Context
	component *Cluster
	cfg       Config
	// provider talks to the cloud. Explicit, so that no ambient default decides where a database goes.
	provider pulumi.ProviderResource
}

// options returns the options of a resource of the cloud, in a slice of its own each time: two appends to a shared one
// overwrite each other.
func (s scope) options(more ...pulumi.ResourceOption) []pulumi.ResourceOption {
	return append([]pulumi.ResourceOption{pulumi.Parent(s.component), pulumi.Provider(s.provider)}, more...)
}

// name returns the logical name of one of the cluster's resources. The providers derive the physical name from it and add
// a random suffix. That suffix matters for the cluster: a replaced one has another name and with it another
// ClusterIdentifier, so the engine sees that everything on it is gone too, and the protected volume makes it refuse.
func (s scope) name(part string) string {
	if part == "" {
		return s.cfg.Name
	}
	return s.cfg.Name + "-" + part
}

// tags returns what marks the cloud's resources as ours. The user's come last and win.
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

// nodeLabels are the Kubernetes labels of every node. None may be of kubernetes.io: the kubelet refuses to start with
// those that are not on its list (NodeRestriction).
func (s scope) nodeLabels() pulumi.StringMap {
	labels := pulumi.ToStringMap(s.component.nodeLabels)
	labels["ha-iris/cluster"] = pulumi.String(s.cfg.Name)
	return labels
}

// lookupError adds to a provider's message the one line that helps when credentials are missing. The provider's message
// alone often names settings that this program does not have.
func lookupError(what string, err error, credentials string) error {
	return fmt.Errorf("%s: %w\nif credentials are missing or expired: %s", what, err, credentials)
}

// optional returns nil for an empty string, which the providers take for "not set".
func optional(value string) pulumi.StringPtrInput {
	if value == "" {
		return nil
	}
	return pulumi.String(value)
}
