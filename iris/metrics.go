package iris

import (
	"strconv"

	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes"
	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apiextensions"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// metricsPath is IRIS' own endpoint in Prometheus' text format. It asks for no login (GCM), so whoever reaches the portal
// reaches it; the NetworkPolicy is what keeps others out.
const metricsPath = "/api/monitor/metrics"

// metricsAnnotations mark the Service and not the pod, so that asking for metrics does not restart the database.
func metricsAnnotations(cfg Config) map[string]string {
	return map[string]string{
		"prometheus.io/scrape": "true",
		"prometheus.io/port":   strconv.Itoa(portalPort),
		"prometheus.io/path":   metricsPath,
		"prometheus.io/scheme": cfg.scheme(),
	}
}

func (s *scope) serviceMonitor(in *namespace) error {
	if s.cfg.Metrics != ServiceMonitor {
		return nil
	}
	endpoint := map[string]any{
		"port": portalPortName, "path": metricsPath, "scheme": s.cfg.scheme(),
		// Each anonymous request can hold one of Community's 8 licence units (ACLOUD) for about 10 s.
		"interval": "30s",
	}
	if s.cfg.TLSSecret != "" {
		// The certificate is for the name that clients use; Prometheus connects to the pod's address.
		endpoint["tlsConfig"] = map[string]any{"insecureSkipVerify": true}
	}
	_, err := apiextensions.NewCustomResource(s.ctx, "service-monitor", &apiextensions.CustomResourceArgs{
		ApiVersion: pulumi.String("monitoring.coreos.com/v1"),
		Kind:       pulumi.String("ServiceMonitor"),
		Metadata:   in.metadata(s.cfg.database(), serviceName, nil),
		OtherFields: kubernetes.UntypedArgs{"spec": map[string]any{
			"selector":  map[string]any{"matchLabels": map[string]any{"app.kubernetes.io/name": "iris"}},
			"endpoints": []any{endpoint},
		}},
	}, s.options()...)
	return creating("ServiceMonitor", err)
}
