// Package rules has the rules for names, quantities, images and networks that several packages share.
package rules

import (
	"strings"

	"ha-iris/internal/pattern"
)

// The names that Kubernetes takes: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/ and, for
// annotations, .../working-with-objects/annotations/. k8s.io/apimachinery is used only by the tests, for comparison, for the
// reason given in internal/kubeconfig.
var (
	labelPattern         = pattern.Lazy(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
	subdomainPattern     = pattern.Lazy(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
	qualifiedNamePattern = pattern.Lazy(`^[a-z0-9]([-a-z0-9_.]*[a-z0-9])?$`)
)

const (
	maxLabel     = 63 // RFC 1123, as for the name in an annotation's key.
	maxSubdomain = 253
)

// IsLabel reports whether a text can be the name of a namespace or a Service: an RFC 1123 label.
func IsLabel(name string) bool { return len(name) <= maxLabel && labelPattern().MatchString(name) }

// IsSubdomain reports whether a text can be the name of most other objects: an RFC 1123 subdomain.
func IsSubdomain(name string) bool {
	return len(name) <= maxSubdomain && subdomainPattern().MatchString(name)
}

// IsAnnotationKey reports whether a text can be the key of an annotation, with capitals anywhere, as in Kubernetes.
func IsAnnotationKey(key string) bool {
	prefix, name, hasPrefix := strings.Cut(strings.ToLower(key), "/")
	if !hasPrefix {
		prefix, name = "", prefix
	}
	return (!hasPrefix || IsSubdomain(prefix)) && len(name) <= maxLabel && qualifiedNamePattern().MatchString(name)
}
