package survey

import (
	"math"
	"strconv"
	"strings"

	"ha-iris/internal/rules"
)

// Names of resources, in nodes, pods and quotas.
const (
	cpu       = "cpu"
	memory    = "memory"
	ephemeral = "ephemeral-storage"
)

// amounts are amounts of resources, by their names.
type amounts map[string]float64

// parseAmounts reads quantities; invalid ones are left out.
func parseAmounts(texts map[string]string) amounts {
	parsed := amounts{}
	for name, text := range texts {
		if value, ok := rules.ParseQuantity(text); ok {
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
			// Rounded down, so that a value that is set as the message says is not too large.
			return strconv.FormatFloat(math.Floor(value/unit.size*10)/10, 'f', -1, 64) + unit.suffix
		}
	}
	return strconv.FormatFloat(math.Floor(value), 'f', -1, 64)
}
