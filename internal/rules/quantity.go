package rules

import (
	"fmt"
	"math/big"
	"strconv"

	"ha-iris/internal/pattern"
)

const pib = int64(1) << 50

// largestSize keeps the number of bytes within an int64.
const largestSize = 8000 * pib

// What Kubernetes calls a quantity: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/.
var (
	// sizePattern asks for a unit. Without one, "20" would be a volume of 20 bytes.
	sizePattern  = pattern.Lazy(`^([0-9]{1,18}(?:\.[0-9]{1,9})?)(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)$`)
	coresPattern = pattern.Lazy(`^([0-9]{1,9}(?:\.[0-9]{1,3})?)(m?)$`)
	// quantityPattern has a unit or an exponent, not both.
	quantityPattern = pattern.Lazy(`^([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]?)|([eE][+-]?[0-9]{1,3}))$`)
)

// unit returns what a quantity's suffix stands for.
func unit(suffix string) *big.Rat {
	for i, name := range []string{"Ki", "Mi", "Gi", "Ti", "Pi", "Ei"} {
		if suffix == name {
			return new(big.Rat).SetInt(new(big.Int).Lsh(big.NewInt(1), uint(10*(i+1)))) //nolint:gosec // At most 60.
		}
	}
	for i, name := range []string{"n", "u", "m", "", "k", "M", "G", "T", "P", "E"} {
		if suffix == name {
			power := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(1000), big.NewInt(int64(max(i-3, 3-i))), nil))
			if i < 3 {
				return power.Inv(power)
			}
			return power
		}
	}
	return new(big.Rat)
}

// ParseSize returns the number of bytes of a size such as "20Gi" or "4.5G", rounded up. It is an error if the text is not a size,
// has no unit or is larger than 8000Pi.
func ParseSize(text string) (int64, error) {
	match := sizePattern().FindStringSubmatch(text)
	if match == nil {
		return 0, fmt.Errorf("size %q: not a number followed by a unit such as Mi, Gi or Ti", text)
	}
	size, err := scaled(match[1], match[2])
	if err != nil {
		return 0, fmt.Errorf("size %q: %w", text, err)
	}
	if size.Cmp(new(big.Rat).SetInt64(largestSize)) > 0 {
		return 0, fmt.Errorf("size %q: larger than %dPi", text, largestSize/pib)
	}
	whole, rest := new(big.Int).QuoRem(size.Num(), size.Denom(), new(big.Int))
	return whole.Int64() + int64(rest.Sign()), nil
}

// FormatSize returns a size as ParseSize takes it, in the largest binary unit that needs no fraction; one that is no multiple of 1024
// is rounded up to it.
func FormatSize(bytes int64) string {
	units := []string{"Ki", "Mi", "Gi", "Ti", "Pi"}
	amount, at := (bytes+1023)/1024, 0
	for amount > 0 && amount%1024 == 0 && at < len(units)-1 {
		amount, at = amount/1024, at+1
	}
	return strconv.FormatInt(amount, 10) + units[at]
}

// ParseCores returns the thousandths of a core in a number such as "2", "1.5" or "500m". Other texts are an error.
func ParseCores(text string) (int64, error) {
	match := coresPattern().FindStringSubmatch(text)
	if match == nil {
		return 0, fmt.Errorf("cores %q: not a number such as 2, 1.5 or 500m", text)
	}
	cores, err := scaled(match[1], match[2])
	if err != nil {
		return 0, fmt.Errorf("cores %q: %w", text, err)
	}
	thousandths := cores.Mul(cores, big.NewRat(1000, 1))
	if thousandths.Sign() <= 0 || !thousandths.IsInt() {
		return 0, fmt.Errorf("cores %q: not a positive number of thousandths", text)
	}
	return thousandths.Num().Int64(), nil
}

// ParseQuantity returns the value of a quantity as the API writes them in objects; false when the text is not one. A float64 keeps 53
// bits, more than any node's bytes have.
func ParseQuantity(text string) (float64, bool) {
	match := quantityPattern().FindStringSubmatch(text)
	if match == nil {
		return 0, false
	}
	number, err := strconv.ParseFloat(match[1]+match[3], 64)
	if err != nil {
		return 0, false
	}
	factor, _ := unit(match[2]).Float64()
	return number * factor, true
}

func scaled(number, suffix string) (*big.Rat, error) {
	value, ok := new(big.Rat).SetString(number)
	if !ok {
		return nil, fmt.Errorf("%q is not a number", number)
	}
	return value.Mul(value, unit(suffix)), nil
}
