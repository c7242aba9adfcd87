package strict

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"ha-iris/internal/pattern"
	"ha-iris/internal/problems"
)

// What YAML makes of text without quotes. Neither the CLI nor this program sees the original text, so it cannot be
// restored: 34 may have been 0042, 1.3 may have been 1.30, true may have been yes.
const (
	wantQuotes = "a string in quotes (with pulumi config set: --type string): "
	notNumber  = wantQuotes + "as a number it has lost its zeros, 0042 arrives as 34 and 1.30 as 1.3"
	notBoolean = wantQuotes + "as true or false nobody can tell whether it was written so, or yes, no, on or off"
	notDate    = wantQuotes + "without them YAML takes it for a date and writes it anew"
	notExact   = "a number that is kept as it is written, or a string in quotes: this one would be rounded"
)

// notNull is for a key in a map without a value. It is usually meant to remove something, such as a chart's default, but would have
// no effect: the Kubernetes provider drops null from a chart's values (allowNullValues is false).
const notNull = "a value, or no such key: null takes nothing away"

// rewrittenDate matches the text in which the CLI hands over what YAML takes for a date (time.Time's String).
var rewrittenDate = pattern.Lazy(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)? [+-]\d{4} \S+$`)

// fillStruct sets the fields that object has keys for. reportUnknown reports keys without a field.
func fillStruct(found *problems.List, path string, object map[string]any, target reflect.Value) {
	for _, field := range Fields(target.Type()) {
		if given := object[field.Key]; given != nil {
			at := place{found: found, path: path + "." + field.Key, takesNumbers: field.TakesNumbers}
			at.fill(given, target.Field(field.index))
		}
	}
}

// place is the position of a value.
type place struct {
	found        *problems.List
	path         string
	takesNumbers bool
}

func (p place) below(path string) place {
	p.path += path
	return p
}

// refuse records a problem and returns false.
func (p place) refuse(given any, want string) bool {
	p.found.Add(p.path, show(given), want)
	return false
}

// fill sets target to what is given and returns true, or records why not and leaves target alone.
func (p place) fill(given any, target reflect.Value) bool {
	switch target.Kind() {
	case reflect.Bool:
		return set(p, given, target, reflect.Value.SetBool)
	case reflect.String:
		return p.fillString(given, target)
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Float64:
		return p.fillNumber(given, target)
	case reflect.Slice:
		return p.fillSlice(given, target)
	case reflect.Map:
		return p.fillMap(given, target)
	case reflect.Struct:
		object, isObject := given.(map[string]any)
		if !isObject {
			return p.refuse(given, typeName(target.Type()))
		}
		fillStruct(p.found, p.path, object, target)
		return true
	default: // An interface: whatever JSON has.
		value, ok := p.plain(given)
		if ok {
			target.Set(reflect.ValueOf(value))
		}
		return ok
	}
}

func set[T any](p place, given any, target reflect.Value, assign func(reflect.Value, T)) bool {
	value, fits := given.(T)
	if !fits {
		return p.refuse(given, typeName(target.Type()))
	}
	assign(target, value)
	return true
}

func (p place) fillString(given any, target reflect.Value) bool {
	switch typed := given.(type) {
	case json.Number:
		if !p.takesNumbers {
			return p.refuse(given, notNumber)
		}
		// The number's own text: cpu: 2 is what people write, and what the CLI makes of a default of "2".
		target.SetString(typed.String())
		return true
	case bool:
		return p.refuse(given, notBoolean)
	case string:
		if rewrittenDate().MatchString(typed) {
			return p.refuse(given, notDate)
		}
	}
	return set(p, given, target, reflect.Value.SetString)
}

func (p place) fillNumber(given any, target reflect.Value) bool {
	number, isNumber := given.(json.Number)
	if !isNumber {
		return p.refuse(given, typeName(target.Type()))
	}
	if target.Kind() == reflect.Float64 {
		value, exact := float(number)
		if !exact {
			return p.refuse(given, notExact)
		}
		target.SetFloat(value)
		return true
	}
	value, err := number.Int64()
	if err != nil || target.OverflowInt(value) { // A fraction, an exponent or too many digits.
		return p.refuse(given, typeName(target.Type()))
	}
	target.SetInt(value)
	return true
}

func (p place) fillSlice(given any, target reflect.Value) bool {
	list, isList := given.([]any)
	if !isList {
		return p.refuse(given, typeName(target.Type()))
	}
	filled, complete := reflect.MakeSlice(target.Type(), len(list), len(list)), true
	for i, element := range list {
		complete = p.below(fmt.Sprintf("[%d]", i)).fill(element, filled.Index(i)) && complete
	}
	if complete {
		target.Set(filled)
	}
	return complete
}

func (p place) fillMap(given any, target reflect.Value) bool {
	object, isObject := given.(map[string]any)
	if !isObject {
		return p.refuse(given, typeName(target.Type()))
	}
	filled, complete := reflect.MakeMapWithSize(target.Type(), len(object)), true
	for _, key := range slices.Sorted(maps.Keys(object)) {
		if object[key] == nil {
			complete = p.below("."+key).refuse(nil, notNull)
			continue
		}
		element := reflect.New(target.Type().Elem()).Elem()
		complete = p.below("."+key).fill(object[key], element) && complete
		filled.SetMapIndex(reflect.ValueOf(key), element)
	}
	if complete {
		target.Set(filled)
	}
	return complete
}

// plain returns a value of any type with its numbers as int or float64. A number that neither holds exactly is a problem.
// (An int above 2^53 is one too: Pulumi carries every number as a float64.)
func (p place) plain(given any) (any, bool) {
	switch typed := given.(type) {
	case json.Number:
		value, exact := float(typed)
		if !exact {
			return nil, p.refuse(given, notExact)
		}
		if whole, err := typed.Int64(); err == nil {
			return int(whole), true
		}
		return value, true
	case string:
		if rewrittenDate().MatchString(typed) {
			return nil, p.refuse(given, notDate)
		}
		return typed, true
	case []any:
		var list []any
		ok := p.fill(typed, reflect.ValueOf(&list).Elem())
		return list, ok
	case map[string]any:
		var object map[string]any
		ok := p.fill(typed, reflect.ValueOf(&object).Elem())
		return object, ok
	case nil:
		return nil, p.refuse(given, "a value")
	default:
		return given, true
	}
}

// float returns a number as a float64, and whether its shortest text means the same number as the one given.
func float(number json.Number) (float64, bool) {
	value, err := number.Float64()
	switch {
	case err != nil, len(number) > longest:
		return 0, false
	case math.Abs(value) < smallest: // Zero, or something near it.
		digits, _, _ := strings.Cut(strings.ToLower(number.String()), "e")
		return 0, strings.Trim(digits, "-0.") == ""
	}
	given, valid := new(big.Rat).SetString(number.String())
	kept, _ := new(big.Rat).SetString(strconv.FormatFloat(value, 'g', -1, 64))
	return value, valid && kept != nil && given.Cmp(kept) == 0
}

const (
	// smallest is where a float64 begins to lose digits.
	smallest = 0x1p-1022
	// longest bounds the digits to compare. A float64 has 17.
	longest = 40
)

// asWritten is a value as the configuration holds it: a problem shows its text without quotes.
type asWritten string

// String implements fmt.Stringer.
func (w asWritten) String() string { return string(w) }

func show(given any) any {
	switch given.(type) {
	case string, bool:
		return given
	case nil:
		return asWritten("nothing")
	default:
		text, err := json.Marshal(given)
		if err != nil {
			return given
		}
		return asWritten(text)
	}
}
