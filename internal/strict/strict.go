// Package strict decodes an object of the configuration and reports every unknown key and every wrong type at once.
package strict

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"

	"ha-iris/internal/problems"
)

// UnknownKey is what a problem says it got when a key does not exist.
const UnknownKey = "a key that does not exist"

// Decode decodes a JSON object into target, a pointer to a struct with json tags. A key whose value has the wrong type
// leaves the field as it was; a map or a list that is given replaces the default instead of being merged with it. Numbers
// are decoded exactly or refused. A key of target without a value (null) counts as not given; in a map, whose keys the user
// chooses, null is refused. The error lists every problem with its key path below path.
func Decode(content []byte, path string, target any) error {
	var found problems.List
	object, err := parse(content)
	if err != nil {
		found.Add(path, string(content), "an object with the keys "+strings.Join(Keys(target), ", "))
		return found.Err()
	}
	reportTwins(&found, path, json.NewDecoder(bytes.NewReader(content)))
	// Wrong types are reported before unknown keys.
	fillStruct(&found, path, object, reflect.ValueOf(target).Elem())
	reportUnknown(&found, path, object, reflect.TypeOf(target).Elem())
	return found.Err()
}

// parse reads one JSON object, and nothing after it. Numbers keep their text, so that none is rounded before it is checked.
func parse(content []byte) (map[string]any, error) {
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.UseNumber()
	var object map[string]any
	if err := decoder.Decode(&object); err != nil {
		return nil, fmt.Errorf("parse: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("parse: something follows the object")
	}
	return object, nil
}

// reportTwins reads one value and reports the keys that an object has twice: of those the last one would be used silently. The text
// was parsed before, so it has no errors.
func reportTwins(found *problems.List, path string, decoder *json.Decoder) {
	token, err := decoder.Token()
	if err != nil {
		return
	}
	switch token {
	case json.Delim('{'):
		seen := map[any]bool{}
		for decoder.More() {
			key, err := decoder.Token()
			if err != nil {
				return
			}
			below := fmt.Sprintf("%s.%v", path, key)
			if seen[key] {
				found.AddSecret(below, "the same key again", "each key once")
			}
			seen[key] = true
			reportTwins(found, below, decoder)
		}
	case json.Delim('['):
		for i := 0; decoder.More(); i++ {
			reportTwins(found, fmt.Sprintf("%s[%d]", path, i), decoder)
		}
	default:
		return // A value; it ends where it begins.
	}
	_, _ = decoder.Token() // The end of the object or list.
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
				Path: path + "." + key, Got: UnknownKey, Want: suggest(key, keysOf(structType)),
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
		if Resembles(key, name) {
			return fmt.Sprintf("%s, perhaps; the keys are %s", key, strings.Join(keys, ", "))
		}
	}
	return "one of " + strings.Join(keys, ", ")
}

// Resembles says whether a name is probably a misspelt key: the same but for case or up to two letters.
func Resembles(key, name string) bool {
	return strings.EqualFold(key, name) || distance(strings.ToLower(key), strings.ToLower(name)) <= 2
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
	// TakesNumbers says that a number may stand for the text, because only its value counts: the struct's tag
	// strict:"number".
	TakesNumbers bool
	index        int
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
		fields = append(fields, Field{
			Key: key, Name: field.Name, Type: field.Type, TakesNumbers: field.Tag.Get("strict") == "number", index: i,
		})
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
