package standin

import (
	"strconv"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"google.golang.org/protobuf/types/known/structpb"
)

// unknown stands for a value that the engine does not know yet, as in every preview of a resource to be created.
type unknown struct{}

// fields is a resource's properties as plain Go values: map[string]any, []any, string, float64, bool, nil or unknown.
// Secrets are opened: a cloud sees the value, not the mark.
type fields map[string]any

// toFields opens a property map.
func toFields(properties resource.PropertyMap) fields {
	plain, _ := toPlain(resource.NewObjectProperty(properties)).(map[string]any)
	return plain
}

func toPlain(value resource.PropertyValue) any {
	switch {
	case value.IsSecret():
		return toPlain(value.SecretValue().Element)
	case value.IsComputed():
		return unknown{}
	case value.IsOutput():
		if !value.OutputValue().Known {
			return unknown{}
		}
		return toPlain(value.OutputValue().Element)
	case value.IsObject():
		object := make(map[string]any, len(value.ObjectValue()))
		for key, member := range value.ObjectValue() {
			object[string(key)] = toPlain(member)
		}
		return object
	case value.IsArray():
		array := make([]any, 0, len(value.ArrayValue()))
		for _, element := range value.ArrayValue() {
			array = append(array, toPlain(element))
		}
		return array
	default:
		return value.V
	}
}

// toProperties is the way back; unknown becomes Pulumi's computed value.
func toProperties(f fields) resource.PropertyMap {
	return toValue(map[string]any(f)).ObjectValue()
}

func toValue(plain any) resource.PropertyValue {
	switch v := plain.(type) {
	case unknown:
		return resource.MakeComputed(resource.NewStringProperty(""))
	case fields:
		return toValue(map[string]any(v))
	case map[string]any:
		object := make(resource.PropertyMap, len(v))
		for key, member := range v {
			object[resource.PropertyKey(key)] = toValue(member)
		}
		return resource.NewObjectProperty(object)
	case []any:
		array := make([]resource.PropertyValue, 0, len(v))
		for _, element := range v {
			array = append(array, toValue(element))
		}
		return resource.NewArrayProperty(array)
	default:
		return resource.NewPropertyValue(plain)
	}
}

// get returns the value at a dotted path of object members, or nil. Below an unknown value everything is unknown.
func (f fields) get(path string) any {
	var current any = map[string]any(f)
	for _, member := range strings.Split(path, ".") {
		switch value := current.(type) {
		case map[string]any:
			current = value[member]
		case unknown:
			return value
		default:
			return nil
		}
	}
	return current
}

// has reports whether there is a value, known or not.
func (f fields) has(path string) bool { return f.get(path) != nil }

// text returns a known string that is not empty.
func (f fields) text(path string) (string, bool) {
	value, ok := f.get(path).(string)
	return value, ok && value != ""
}

// str returns a known string, or "".
func (f fields) str(path string) string {
	value, _ := f.text(path)
	return value
}

// number returns a known number. A number in a string counts: the engine keeps what configuration files hold.
func (f fields) number(path string) (int, bool) {
	switch value := f.get(path).(type) {
	case int:
		return value, true
	case float64:
		return int(value), true
	case string:
		n, err := strconv.Atoi(value)
		return n, err == nil
	default:
		return 0, false
	}
}

// integer returns a known number, or 0.
func (f fields) integer(path string) int {
	value, _ := f.number(path)
	return value
}

// flag returns a known bool, or false.
func (f fields) flag(path string) bool {
	value, _ := f.get(path).(bool)
	return value
}

// strs returns the known strings of a list.
func (f fields) strs(path string) []string {
	list, _ := f.get(path).([]any)
	found := make([]string, 0, len(list))
	for _, element := range list {
		if value, ok := element.(string); ok {
			found = append(found, value)
		}
	}
	return found
}

// objects returns the known objects of a list.
func (f fields) objects(path string) []fields {
	list, _ := f.get(path).([]any)
	found := make([]fields, 0, len(list))
	for _, element := range list {
		if value, ok := element.(map[string]any); ok {
			found = append(found, value)
		}
	}
	return found
}

// set stores a value at a dotted path and creates the objects on the way.
func (f fields) set(path string, value any) {
	current := map[string]any(f)
	members := strings.Split(path, ".")
	for _, member := range members[:len(members)-1] {
		next, ok := current[member].(map[string]any)
		if !ok {
			next = map[string]any{}
			current[member] = next
		}
		current = next
	}
	current[members[len(members)-1]] = value
}

// setMissing stores a value unless there is one.
func (f fields) setMissing(path string, value any) {
	if !f.has(path) {
		f.set(path, value)
	}
}

// anyList turns strings into a property list.
func anyList(values []string) []any {
	list := make([]any, 0, len(values))
	for _, value := range values {
		list = append(list, value)
	}
	return list
}

// merge lays overlay over base; objects are merged member by member, everything else is replaced. Marks of secrecy in
// base survive where overlay has nothing to say.
func merge(base, overlay resource.PropertyMap) resource.PropertyMap {
	merged := make(resource.PropertyMap, len(base)+len(overlay))
	for key, value := range base {
		merged[key] = value
	}
	for key, value := range overlay {
		below, ok := merged[key]
		if ok && below.IsObject() && value.IsObject() {
			value = resource.NewObjectProperty(merge(below.ObjectValue(), value.ObjectValue()))
		}
		merged[key] = value
	}
	return merged
}

// markSecret marks the value at a dotted path as a secret, as a provider does with outputs its schema calls sensitive.
func markSecret(properties resource.PropertyMap, path string) {
	member, rest, nested := strings.Cut(path, ".")
	key := resource.PropertyKey(member)
	value, ok := properties[key]
	switch {
	case !ok || value.IsSecret():
	case nested && value.IsObject():
		markSecret(value.ObjectValue(), rest)
	case !nested:
		properties[key] = resource.MakeSecret(value)
	}
}

func marshal(properties resource.PropertyMap) (*structpb.Struct, error) {
	return plugin.MarshalProperties(properties, plugin.MarshalOptions{
		KeepUnknowns: true, KeepSecrets: true, KeepResources: true,
	})
}

func unmarshal(marshaled *structpb.Struct) (resource.PropertyMap, error) {
	return plugin.UnmarshalProperties(marshaled, plugin.MarshalOptions{
		KeepUnknowns: true, KeepSecrets: true, KeepResources: true, KeepOutputValues: true,
	})
}
