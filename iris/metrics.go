package iris

import (
	"maps"
	"strconv"

	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes"
	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apiextensions"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// metricsPath is IRIS' own endpoint in Prometheus' text format. It asks for no login (GCM), so whoever reaches the portal
// reaches it; the NetworkPolicy is what keeps others out.
const metricsPath = "/api/monitor/metrics"

const scrapeInterval = "30s"

// metricsAnnotations mark the Service and not the pod, so that asking for metrics does not restart the database.
func metricsAnnotations(cfg Config) map[string]string {
	return map[string]string{
		"prometheus.io/scrape": "true",
		"prometheus.io/port":   strconv.Itoa(portalPort),
		"prometheus.io/path":   metricsPath,
		"prometheus.io/scheme": cfg.scheme(),
	}
}

// monitoring adds the labels by which a Prometheus chooses its objects.
func (s *scope) monitoring(metadata *metav1.ObjectMetaArgs) *metav1.ObjectMetaArgs {
	labels := pulumi.StringMap{}
	if own, ok := metadata.Labels.(pulumi.StringMap); ok {
		maps.Copy(labels, own)
	}
	maps.Copy(labels, pulumi.ToStringMap(s.cfg.MonitoringLabels))
	metadata.Labels = labels
	return metadata
}

// watching makes what Prometheus and Grafana look for.
func (s *scope) watching(data *data, filled pulumi.ResourceOption) error {
	if err := s.serviceMonitors(data.namespace); err != nil {
		return err
	}
	// Alerts and pictures are of the volume that the database runs on: while a new one is filled, that is the old one.
	moved := []pulumi.ResourceOption{pulumi.DependsOn([]pulumi.Resource{data.claim}), filled}
	if err := s.prometheusRule(data.namespace, moved...); err != nil {
		return err
	}
	return s.dashboard(data.namespace, moved...)
}

// serviceMonitors are for IRIS and for the guards, each with its port of a Service.
func (s *scope) serviceMonitors(in *namespace) error {
	if s.cfg.Metrics != ServiceMonitor {
		return nil
	}
	endpoint := map[string]any{
		"port": portalPortName, "path": metricsPath, "scheme": s.cfg.scheme(),
		// Each anonymous request can hold one of Community's 8 licence units (ACLOUD) for about 10 s.
		"interval": scrapeInterval,
	}
	if s.cfg.TLSSecret != "" {
		// The certificate is for the name that clients use; Prometheus connects to the pod's address.
		endpoint["tlsConfig"] = map[string]any{"insecureSkipVerify": true}
	}
	// Of the Services with this label only the database's has a port of that name.
	selector := map[string]any{"app.kubernetes.io/name": "iris"}
	if err := s.serviceMonitor(in, s.cfg.database(), "service-monitor", serviceName, selector, endpoint); err != nil {
		return err
	}
	if !s.cfg.Failover.guarded() {
		return nil
	}
	guard := s.cfg.guardComponent()
	selector = map[string]any{"app.kubernetes.io/name": "iris", "app.kubernetes.io/component": guard.name}
	return s.serviceMonitor(in, guard, "guard-service-monitor", guardName, selector,
		map[string]any{"port": guardPortName, "path": "/metrics", "interval": scrapeInterval})
}

func (s *scope) serviceMonitor(in *namespace, of component, logical, name string, selector, endpoint map[string]any) error {
	_, err := apiextensions.NewCustomResource(s.ctx, logical, &apiextensions.CustomResourceArgs{
		ApiVersion: pulumi.String("monitoring.coreos.com/v1"),
		Kind:       pulumi.String("ServiceMonitor"),
		Metadata:   s.monitoring(in.metadata(of, name, nil)),
		OtherFields: kubernetes.UntypedArgs{"spec": map[string]any{
			"selector": map[string]any{"matchLabels": selector}, "endpoints": []any{endpoint},
		}},
	}, s.options()...)
	return creating("ServiceMonitor "+name, err)
}
