package iris

import (
	"fmt"
	"math/big"

	"ha-iris/internal/pattern"
)

const (
	kib = int64(1) << 10
	mib = int64(1) << 20
	gib = int64(1) << 30
	tib = int64(1) << 40
	pib = int64(1) << 50
	// largestSize keeps the number of bytes within an int64.
	largestSize = 8000 * pib
)

// What Kubernetes calls a quantity, as far as a size or a number of cores needs it. Read here and not by
// k8s.io/apimachinery, with which the tests compare, for the reason given in internal/kubeconfig.
var (
	// sizePattern asks for a unit. Without one, "20" would be a volume of 20 bytes.
	sizePattern  = pattern.Lazy(`^([0-9]{1,18}(?:\.[0-9]{1,9})?)(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)$`)
	coresPattern = pattern.Lazy(`^([0-9]{1,9}(?:\.[0-9]{1,3})?)(m?)$`)
)

// parseSize returns the number of bytes of a size such as "20Gi" or "4.5G", rounded up.
func parseSize(text string) (int64, error) {
	match := sizePattern().FindStringSubmatch(text)
	if match == nil {
		return 0, fmt.Errorf("size %q: not a number followed by a unit such as Mi, Gi or Ti", text)
	}
	size, err := scaled(match[1], map[string]int64{
		"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "Ki": kib, "Mi": mib, "Gi": gib, "Ti": tib, "Pi": pib,
	}[match[2]])
	if err != nil {
		return 0, fmt.Errorf("size %q: %w", text, err)
	}
	if size.Cmp(new(big.Rat).SetInt64(largestSize)) > 0 {
		return 0, fmt.Errorf("size %q: larger than %dPi", text, largestSize/pib)
	}
	whole, rest := new(big.Int).QuoRem(size.Num(), size.Denom(), new(big.Int))
	return whole.Int64() + int64(rest.Sign()), nil
}

// parseCores returns the thousandths of a core in a number such as "2", "1.5" or "500m". It is an error if that is none.
func parseCores(text string) (int64, error) {
	match := coresPattern().FindStringSubmatch(text)
	if match == nil {
		return 0, fmt.Errorf("cores %q: not a number such as 2, 1.5 or 500m", text)
	}
	thousandths, err := scaled(match[1], map[string]int64{"": 1000, "m": 1}[match[2]])
	if err != nil {
		return 0, fmt.Errorf("cores %q: %w", text, err)
	}
	if thousandths.Sign() <= 0 || !thousandths.IsInt() {
		return 0, fmt.Errorf("cores %q: not a positive number of thousandths", text)
	}
	return thousandths.Num().Int64(), nil
}

func scaled(number string, unit int64) (*big.Rat, error) {
	value, ok := new(big.Rat).SetString(number)
	if !ok {
		return nil, fmt.Errorf("%q is not a number", number)
	}
	return value.Mul(value, new(big.Rat).SetInt64(unit)), nil
}

// VolumeBytes returns the size of the data volume in bytes, or why iris.size is none.
func (c Config) VolumeBytes() (int64, error) { return parseSize(c.Size) }
