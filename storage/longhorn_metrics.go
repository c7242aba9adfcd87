package storage

import (
	"fmt"
	"maps"

	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes"
	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apiextensions"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

const monitorName = "ha-iris-longhorn"

// longhornMonitor makes Prometheus read Longhorn's metrics. Not by the chart's value metrics.serviceMonitor.enabled: that is an upgrade of
// Longhorn's release. Where storage.values has it already, one is enough.
func (s *Storage) longhornMonitor(ctx *pulumi.Context, args *Args, after pulumi.Resource) error {
	if !args.Monitor || isTrue(value(args.Config.Values, "metrics", "serviceMonitor", "enabled")) {
		return nil
	}
	all := labels()
	maps.Copy(all, pulumi.ToStringMap(args.MonitorLabels))
	_, err := apiextensions.NewCustomResource(ctx, monitorName, &apiextensions.CustomResourceArgs{
		ApiVersion: pulumi.String("monitoring.coreos.com/v1"),
		Kind:       pulumi.String("ServiceMonitor"),
		Metadata: &metav1.ObjectMetaArgs{
			Name: pulumi.String(monitorName), Namespace: pulumi.String(namespaceName), Labels: all,
		},
		OtherFields: kubernetes.UntypedArgs{"spec": map[string]any{
			// The Service longhorn-backend of Longhorn's chart, and its port.
			"selector":  map[string]any{"matchLabels": map[string]any{"app": "longhorn-manager"}},
			"endpoints": []any{map[string]any{"port": "manager", "path": "/metrics", "interval": "30s"}},
		}},
	}, s.options(args, pulumi.DependsOn([]pulumi.Resource{after}))...) // Its namespace is a plain text.
	if err != nil {
		return fmt.Errorf("create ServiceMonitor %s: %w", monitorName, err)
	}
	return nil
}
