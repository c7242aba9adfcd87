package rules

import (
	"strings"

	"ha-iris/internal/pattern"
)

// Image is a container image's reference in its parts.
type Image struct {
	// Name is the registry, if one is given, and the repository.
	Name string
	// Tag and Digest (sha256:...) are empty when they are not given.
	Tag, Digest string
}

var (
	imagePattern = pattern.Lazy(
		`^((?:[a-z0-9.-]+(?::[0-9]+)?/)?[a-z0-9._/-]+)(?::([A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@(sha256:[0-9a-f]{64}))?$`)
	// movingVersion is a version whose tag publishers move: 1.37 is the latest 1.37.x. Most do not move tags with three
	// numbers.
	movingVersion = pattern.Lazy(`^v?\d{1,4}(\.\d+)?([-+_][A-Za-z][0-9A-Za-z.+_-]*)?$`)
)

// ParseImage splits a reference; false when it is not valid.
func ParseImage(reference string) (Image, bool) {
	match := imagePattern().FindStringSubmatch(reference)
	if match == nil {
		return Image{}, false
	}
	return Image{Name: match[1], Tag: match[2], Digest: match[3]}, true
}

// IsPinned reports whether the reference always means the same content: it has a digest, or a tag that names one build (1.2.3, a
// date, a commit). Names without a number (stable, latest, main) and versions of up to two numbers (1.37, v2-alpine) move.
func (i Image) IsPinned() bool {
	return i.Digest != "" ||
		strings.ContainsAny(i.Tag, "0123456789") && !strings.HasPrefix(i.Tag, "latest") && !movingVersion().MatchString(i.Tag)
}
