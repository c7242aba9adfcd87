package drill

import (
	"context"
	"errors"
	"net"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"ha-iris/ops/drill/internal/kube"
	"ha-iris/ops/drill/internal/preflight"
)

var errNoPod = errors.New("no pod of the database runs")

// portalPort is the port of the database's web server (iris/objects.go).
const portalPort = "52773"

// isStandIn says whether the sandbox's stand-in plays IRIS (sandbox/internal/images).
func isStandIn(pod *corev1.Pod, container string) bool {
	if pod == nil {
		return false
	}
	for _, one := range pod.Spec.Containers {
		if one.Name == container {
			return strings.Contains(one.Image, "/iris-standin")
		}
	}
	return false
}

// serviceAddress is where the database's web server is reached from outside; empty: nowhere.
func serviceAddress(ctx context.Context, cluster *kube.Client, namespace string) string {
	service, err := cluster.Get(ctx, kube.Services, namespace, preflight.ServiceName)
	if err != nil {
		return ""
	}
	list, _, _ := unstructured.NestedSlice(service.Object, "status", "loadBalancer", "ingress")
	for _, one := range list {
		ingress, _ := one.(map[string]any)
		for _, key := range []string{"ip", "hostname"} {
			if host, _ := ingress[key].(string); host != "" {
				return "http://" + net.JoinHostPort(host, portalPort)
			}
		}
	}
	return ""
}
