package survey

import (
	"math"
	"strconv"
	"strings"
)

// Names of resources, in nodes, pods and quotas.
const (
	cpu       = "cpu"
	memory    = "memory"
	ephemeral = "ephemeral-storage"
)

// amounts are amounts of resources, by their names.
type amounts map[string]float64

// parseAmounts reads quantities; what is none is left out.
func parseAmounts(texts map[string]string) amounts {
	parsed := amounts{}
	for name, text := range texts {
		if value, ok := parseQuantity(text); ok {
			parsed[name] = value
		}
	}
	return parsed
}

// plus returns the sum.
func (a amounts) plus(b amounts) amounts {
	sum := amounts{}
	for name, value := range a {
		sum[name] = value
	}
	for name, value := range b {
		sum[name] += value
	}
	return sum
}

// parseQuantity reads a quantity of the Kubernetes API: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/.
// A float64 keeps 53 bits, more than any node's bytes have.
func parseQuantity(text string) (float64, bool) {
	number, unit := text, 1.0
	for suffix, factor := range map[string]float64{
		"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40, "Pi": 1 << 50, "Ei": 1 << 60,
		"n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
	} {
		if rest, ok := strings.CutSuffix(text, suffix); ok {
			number, unit = rest, factor
			break // Ki does not end in another suffix, nor does any other.
		}
	}
	value, err := strconv.ParseFloat(number, 64)
	if err != nil || math.IsInf(value, 0) || math.IsNaN(value) {
		return 0, false
	}
	return value * unit, true
}

// show writes an amount of a resource for people.
func show(resource string, value float64) string {
	bytes := strings.Contains(resource, memory) || strings.Contains(resource, "storage") && !strings.HasSuffix(resource, "claims")
	if !bytes {
		return strconv.FormatFloat(math.Round(value*1000)/1000, 'f', -1, 64)
	}
	for _, unit := range []struct {
		suffix string
		size   float64
	}{{"Gi", 1 << 30}, {"Mi", 1 << 20}, {"Ki", 1 << 10}} {
		if value >= unit.size {
			// Rounded down: who sets what is said here must not find that it is too much.
			return strconv.FormatFloat(math.Floor(value/unit.size*10)/10, 'f', -1, 64) + unit.suffix
		}
	}
	return strconv.FormatFloat(math.Floor(value), 'f', -1, 64)
}
