package iris

import (
	"fmt"
	"regexp"

	"k8s.io/apimachinery/pkg/api/resource"
)

const (
	kib = int64(1) << 10
	mib = int64(1) << 20
	gib = int64(1) << 30
)

// sizePattern is a Kubernetes quantity that names its unit. Without one, "20" would be a volume of 20 bytes.
var sizePattern = regexp.MustCompile(`^[0-9]{1,18}(\.[0-9]{1,9})?(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)$`)

// parseSize returns the number of bytes of a size such as "20Gi" or "4.5G".
func parseSize(text string) (int64, error) {
	if !sizePattern.MatchString(text) {
		return 0, fmt.Errorf("size %q: not a number followed by a unit such as Mi, Gi or Ti", text)
	}
	quantity, err := resource.ParseQuantity(text)
	if err != nil {
		return 0, fmt.Errorf("size %q: %w", text, err)
	}
	// Quantities cap silently at the largest int64 instead of failing.
	if limit := resource.MustParse("8000Pi"); quantity.Cmp(limit) > 0 {
		return 0, fmt.Errorf("size %q: larger than %s", text, limit.String())
	}
	return quantity.Value(), nil
}

// VolumeBytes returns the size of the data volume in bytes, or why iris.size is none.
func (c Config) VolumeBytes() (int64, error) { return parseSize(c.Size) }
