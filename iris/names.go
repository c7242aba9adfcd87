package iris

import (
	"strings"

	"ha-iris/internal/pattern"
)

// The names that Kubernetes takes: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/ and, for
// annotations, .../working-with-objects/annotations/. Like the numbers in size.go, compared with its own code in the tests.
var (
	labelPattern         = pattern.Lazy(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
	subdomainPattern     = pattern.Lazy(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
	qualifiedNamePattern = pattern.Lazy(`^[a-z0-9]([-a-z0-9_.]*[a-z0-9])?$`)
)

const (
	maxLabel     = 63 // RFC 1123, as for the name in an annotation's key.
	maxSubdomain = 253
)

func isLabel(name string) bool { return len(name) <= maxLabel && labelPattern().MatchString(name) }

func isSubdomain(name string) bool {
	return len(name) <= maxSubdomain && subdomainPattern().MatchString(name)
}

// isAnnotationKey accepts capitals everywhere, as Kubernetes does in annotations.
func isAnnotationKey(key string) bool {
	prefix, name, hasPrefix := strings.Cut(strings.ToLower(key), "/")
	if !hasPrefix {
		prefix, name = "", prefix
	}
	return (!hasPrefix || isSubdomain(prefix)) && len(name) <= maxLabel && qualifiedNamePattern().MatchString(name)
}
