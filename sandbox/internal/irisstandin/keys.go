package irisstandin

import (
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"strings"
)

// A node's key is the global's name and its subscripts, so that keys sort as IRIS sorts: numbers before strings.

const (
	tagNumber = '\x02'
	tagString = '\x03'
	endOfName = "\x00"
)

func nodeKey(name string, subscripts []string) string {
	var key strings.Builder
	key.WriteString(name + endOfName)
	for _, subscript := range subscripts {
		if number, canonical := canonicalNumber(subscript); canonical {
			bits := math.Float64bits(number)
			if bits>>63 == 1 {
				bits = ^bits
			} else {
				bits |= 1 << 63
			}
			key.WriteByte(tagNumber)
			key.Write(binary.BigEndian.AppendUint64(nil, bits))
		} else {
			key.WriteByte(tagString)
			key.WriteString(strings.ReplaceAll(subscript, "\x00", "") + endOfName)
		}
	}
	return key.String()
}

// splitKey is the way back.
func splitKey(key string) (name string, subscripts []string) {
	name, rest, _ := strings.Cut(key, endOfName)
	for rest != "" {
		tag, body := rest[0], rest[1:]
		if tag == tagNumber && len(body) >= 8 {
			bits := binary.BigEndian.Uint64([]byte(body[:8]))
			if bits>>63 == 1 {
				bits &^= 1 << 63
			} else {
				bits = ^bits
			}
			subscripts = append(subscripts, formatNumber(math.Float64frombits(bits)))
			rest = body[8:]
			continue
		}
		text, next, _ := strings.Cut(body, endOfName)
		subscripts = append(subscripts, text)
		rest = next
	}
	return name, subscripts
}

// canonicalNumber says whether a text is a number as IRIS would write it.
func canonicalNumber(text string) (float64, bool) {
	number, err := strconv.ParseFloat(text, 64)
	if err != nil || formatNumber(number) != text {
		return 0, false
	}
	return number, true
}

// formatNumber writes .5, not 0.5, and no exponent.
func formatNumber(number float64) string {
	text := strconv.FormatFloat(number, 'f', -1, 64)
	switch {
	case text == "-0":
		return "0"
	case strings.HasPrefix(text, "0."):
		return text[1:]
	case strings.HasPrefix(text, "-0."):
		return "-" + text[2:]
	default:
		return text
	}
}

// toNumber takes the leading number of a text, or 0.
func toNumber(text string) float64 {
	for end := len(text); end > 0; end-- {
		last := text[end-1]
		if last != '.' && (last < '0' || last > '9') {
			continue
		}
		if number, err := strconv.ParseFloat(text[:end], 64); err == nil {
			return number
		}
	}
	return 0
}

// nodeName writes a reference as zwrite does.
func nodeName(name string, subscripts []string) string {
	if len(subscripts) == 0 {
		return name
	}
	quoted := make([]string, len(subscripts))
	for i, subscript := range subscripts {
		quoted[i] = quoteValue(subscript)
	}
	return name + "(" + strings.Join(quoted, ",") + ")"
}

func quoteValue(text string) string {
	if _, canonical := canonicalNumber(text); canonical {
		return text
	}
	return `"` + strings.ReplaceAll(text, `"`, `""`) + `"`
}

// below returns the keys of a node and of everything below it, in order.
func below(nodes map[string]string, key string) []string {
	var keys []string
	for found := range nodes {
		if strings.HasPrefix(found, key) {
			keys = append(keys, found)
		}
	}
	slices.Sort(keys)
	return keys
}
