// Package strict decodes an object of the configuration and reports every unknown key and every wrong type at once.
package strict

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/go-viper/mapstructure/v2"

	"ha-iris/internal/problems"
)

// Decode decodes a JSON object into target, a pointer to a struct with json tags. A key whose value has the wrong type
// leaves the field as it was. The error lists every problem with its key path below path.
func Decode(content []byte, path string, target any) error {
	var found problems.List
	object, err := parse(content)
	if err != nil {
		found.Add(path, string(content), "an object with the keys "+strings.Join(Keys(target), ", "))
		return found.Err()
	}
	decoder, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		Result:     target,
		TagName:    "json",
		DecodeHook: mapstructure.DecodeHookFuncValue(refuseConversion),
		// A map or list given replaces the default instead of being merged with it.
		ZeroFields: true,
		MatchName:  func(key, field string) bool { return key == field },
	})
	if err != nil {
		return fmt.Errorf("%s: build decoder: %w", path, err)
	}
	reportTypes(&found, path, decoder.Decode(object))
	reportUnknown(&found, path, object, reflect.TypeOf(target).Elem())
	return found.Err()
}

// parse reads a JSON object with whole numbers as int, so that 3 and 3.5 stay different things.
func parse(content []byte) (map[string]any, error) {
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.UseNumber()
	var object map[string]any
	if err := decoder.Decode(&object); err != nil {
		return nil, fmt.Errorf("parse: %w", err)
	}
	normalized, ok := normalize(object).(map[string]any)
	if !ok {
		return nil, errors.New("not an object")
	}
	return normalized, nil
}

func normalize(value any) any {
	switch typed := value.(type) {
	case json.Number:
		if whole, err := typed.Int64(); err == nil {
			return int(whole)
		}
		fraction, err := typed.Float64()
		if err != nil {
			return typed.String()
		}
		return fraction
	case map[string]any:
		for key, element := range typed {
			if element == nil {
				delete(typed, key) // A key without a value is a key not given.
				continue
			}
			typed[key] = normalize(element)
		}
	case []any:
		for i, element := range typed {
			typed[i] = normalize(element)
		}
	}
	return value
}

// wrongTypeError says which type was found where another was needed.
type wrongTypeError struct {
	got  any
	want string
}

func (e *wrongTypeError) Error() string { return fmt.Sprintf("got %v, want %s", e.got, e.want) }

// refuseConversion stops mapstructure from turning 2.5 into 2 or one value into a list of one. Only a number becomes a
// string.
func refuseConversion(from, to reflect.Value) (any, error) {
	if from.Kind() == reflect.Interface {
		from = from.Elem()
	}
	if to.Kind() == reflect.String && (from.Kind() == reflect.Int || from.Kind() == reflect.Float64) {
		// `cpu: 2` is what people write, and what the CLI makes of a default of "2".
		return fmt.Sprint(from.Interface()), nil
	}
	fits := from.Kind() == to.Kind() || to.Kind() == reflect.Interface ||
		(to.Kind() == reflect.Struct && from.Kind() == reflect.Map) ||
		(to.Kind() == reflect.Float64 && from.Kind() == reflect.Int)
	if !fits {
		return nil, &wrongTypeError{got: show(from), want: typeName(to.Type())}
	}
	return from.Interface(), nil
}

// asJSON is a list or an object as the configuration holds it.
type asJSON string

// String implements fmt.Stringer, so that a problem shows the text without quotes.
func (j asJSON) String() string { return string(j) }

func show(value reflect.Value) any {
	if !value.IsValid() {
		return nil
	}
	if value.Kind() == reflect.Map || value.Kind() == reflect.Slice {
		if text, err := json.Marshal(value.Interface()); err == nil {
			return asJSON(text)
		}
	}
	return value.Interface()
}

func reportTypes(found *problems.List, path string, err error) {
	if err == nil {
		return
	}
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		for _, one := range joined.Unwrap() {
			reportTypes(found, path, one)
		}
		return
	}
	var at *mapstructure.DecodeError
	var wrong *wrongTypeError
	if errors.As(err, &at) && errors.As(err, &wrong) {
		found.Add(path+"."+at.Name(), wrong.got, wrong.want)
		return
	}
	found.Merge(fmt.Errorf("%s: %w", path, err))
}

// reportUnknown walks the object beside the struct. (mapstructure lists unused keys only when nothing else is wrong.)
func reportUnknown(found *problems.List, path string, object map[string]any, structType reflect.Type) {
	types := map[string]reflect.Type{}
	for _, field := range Fields(structType) {
		types[field.Key] = field.Type
	}
	for _, key := range slices.Sorted(maps.Keys(object)) {
		fieldType, known := types[key]
		if !known {
			found.Merge(problems.Problem{
				Path: path + "." + key, Got: "a key that does not exist", Want: suggest(key, keysOf(structType)),
			})
			continue
		}
		if nested, isObject := object[key].(map[string]any); isObject && fieldType.Kind() == reflect.Struct {
			reportUnknown(found, path+"."+key, nested, fieldType)
		}
	}
}

func suggest(name string, keys []string) string {
	for _, key := range keys {
		if strings.EqualFold(key, name) || distance(strings.ToLower(key), strings.ToLower(name)) <= 2 {
			return fmt.Sprintf("%s, perhaps; the keys are %s", key, strings.Join(keys, ", "))
		}
	}
	return "one of " + strings.Join(keys, ", ")
}

// distance is the number of letters to insert, delete or replace to get from a to b (Levenshtein).
func distance(a, b string) int {
	previous := make([]int, len(b)+1)
	for j := range previous {
		previous[j] = j
	}
	for i := range len(a) {
		current := make([]int, len(b)+1)
		current[0] = i + 1
		for j := range len(b) {
			substitution := previous[j]
			if a[i] != b[j] {
				substitution++
			}
			current[j+1] = min(previous[j+1]+1, current[j]+1, substitution)
		}
		previous = current
	}
	return previous[len(b)]
}

// Keys returns the keys that target, a pointer to a struct, decodes.
func Keys(target any) []string { return keysOf(reflect.TypeOf(target).Elem()) }

func keysOf(structType reflect.Type) []string {
	fields := Fields(structType)
	keys := make([]string, 0, len(fields))
	for _, field := range fields {
		keys = append(keys, field.Key)
	}
	return keys
}

// Field is a key of the configuration and the Go type that holds its value.
type Field struct {
	Key  string
	Name string
	Type reflect.Type
}

// Fields returns the fields of a struct that come from the configuration, in order.
func Fields(structType reflect.Type) []Field {
	var fields []Field
	for i := range structType.NumField() {
		field := structType.Field(i)
		key, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if key == "" || key == "-" {
			continue
		}
		fields = append(fields, Field{Key: key, Name: field.Name, Type: field.Type})
	}
	return fields
}

// TypeName returns the type of a key as Pulumi's configuration schema calls it.
func TypeName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "boolean"
	case reflect.Int, reflect.Int32, reflect.Int64:
		return "integer"
	case reflect.Float64:
		return "number"
	case reflect.String:
		return "string"
	case reflect.Slice:
		return "array"
	default:
		return "object"
	}
}

// typeName is TypeName as it reads in a sentence.
func typeName(t reflect.Type) string {
	switch name := TypeName(t); name {
	case "integer":
		return "a whole number"
	case "number":
		return "a number"
	case "boolean":
		return "true or false"
	case "array":
		return "a list"
	case "object":
		return "an object"
	default:
		return "a string"
	}
}
