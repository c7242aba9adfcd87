// Package rules says what several packages take for a name, a quantity, an image or a network, each once.
package rules

import (
	"strings"

	"ha-iris/internal/pattern"
)

// The names that Kubernetes takes: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/ and, for
// annotations, .../working-with-objects/annotations/. Read here and not by k8s.io/apimachinery, with which the tests compare, for
// the reason given in internal/kubeconfig.
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

// IsAnnotationKey reports whether a text can be the key of an annotation, with capitals everywhere as Kubernetes takes them there.
func IsAnnotationKey(key string) bool {
	prefix, name, hasPrefix := strings.Cut(strings.ToLower(key), "/")
	if !hasPrefix {
		prefix, name = "", prefix
	}
	return (!hasPrefix || IsSubdomain(prefix)) && len(name) <= maxLabel && qualifiedNamePattern().MatchString(name)
}
