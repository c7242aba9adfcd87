package check

import (
	"fmt"
	"net/netip"
	"strings"
)

const (
	// publicAnnotation on a Service says that its open source ranges are meant.
	publicAnnotation = "ha-iris/public"
	// rangesAnnotation is the older form of loadBalancerSourceRanges, which every cloud's controller still reads
	// (k8s.io/api/core/v1, AnnotationLoadBalancerSourceRangesKey).
	rangesAnnotation = "service.beta.kubernetes.io/load-balancer-source-ranges"
	wantRanges       = "the networks that may connect, or the annotation that makes the platform's load balancers internal"
)

// internalAnnotations make a load balancer internal, by platform; from the Kubernetes documentation of internal load
// balancers and, for the scheme, from that of the AWS Load Balancer Controller.
func internalAnnotations() map[string][]string {
	return map[string][]string{
		"networking.gke.io/load-balancer-type":                           {"internal"},
		"cloud.google.com/load-balancer-type":                            {"internal"},
		"service.beta.kubernetes.io/azure-load-balancer-internal":        {"true"},
		"service.beta.kubernetes.io/aws-load-balancer-internal":          {"true", "0.0.0.0/0"},
		"service.beta.kubernetes.io/aws-load-balancer-scheme":            {"internal"},
		"service.beta.kubernetes.io/openstack-internal-load-balancer":    {"true"},
		"service.beta.kubernetes.io/oci-load-balancer-internal":          {"true"},
		"service.kubernetes.io/ibm-load-balancer-cloud-provider-ip-type": {"private"},
	}
}

// checkLoadBalancer looks at Services and, in a chart's values, at whatever looks like the settings of one.
func checkLoadBalancer(r *resource, report reporter) {
	found := func(path, got, want string) { report(r, path, got, want) }
	switch {
	case r.isCore("Service"):
		spec, _ := r.Inputs["spec"].(map[string]any)
		annotations, _ := at(r.Inputs, "metadata", "annotations").(map[string]any)
		checkExposure("spec", spec, annotations, found)
	case r.isChart():
		walk(field{path: "values", value: r.Inputs["values"]}, func(f field) bool {
			if settings, ok := f.value.(map[string]any); ok {
				annotations, _ := settings["annotations"].(map[string]any)
				checkExposure(f.path, settings, annotations, found)
			}
			return true
		})
	}
}

func checkExposure(path string, spec, annotations map[string]any, report func(path, got, want string)) {
	if spec["type"] != "LoadBalancer" || isInternal(annotations) {
		return
	}
	path += ".loadBalancerSourceRanges"
	ranges := sourceRanges(spec, annotations)
	if len(ranges) == 0 {
		report(path, "nothing, which lets everybody connect", wantRanges)
		return
	}
	if textAt(annotations, publicAnnotation) == "true" {
		return
	}
	for _, text := range ranges {
		if isEverybody(text) {
			report(path, text, fmt.Sprintf("narrower networks or, if this is meant, the annotation %s: \"true\"", publicAnnotation))
		}
	}
}

func isInternal(annotations map[string]any) bool {
	for key, values := range internalAnnotations() {
		for _, value := range values {
			if strings.EqualFold(textAt(annotations, key), value) {
				return true
			}
		}
	}
	return false
}

// sourceRanges returns the ranges that are set. One that is not known yet, or secret, counts as a narrow one: there is
// nothing to say against it.
func sourceRanges(spec, annotations map[string]any) []string {
	var ranges []string
	switch given := spec["loadBalancerSourceRanges"].(type) {
	case []any:
		for _, element := range given {
			text, _ := element.(string)
			ranges = append(ranges, text)
		}
	case string: // The whole list is unknown or secret.
		ranges = append(ranges, given)
	}
	if len(ranges) == 0 {
		if text, ok := annotations[rangesAnnotation].(string); ok && text != "" {
			ranges = strings.Split(text, ",")
		}
	}
	return ranges
}

// isEverybody reports whether a network is wider than any that one party holds: IANA hands out /8 at most of IPv4 and /12
// of IPv6. So 0.0.0.0/1 and 128.0.0.0/1 do not pass where 0.0.0.0/0 does not.
func isEverybody(text string) bool {
	prefix, err := netip.ParsePrefix(strings.TrimSpace(text))
	if err != nil {
		return false // Unknown, secret or a mistake that the API server will refuse.
	}
	if prefix.Addr().Is4() {
		return prefix.Bits() < 8
	}
	return prefix.Bits() < 12
}
