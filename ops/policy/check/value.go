package check

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

const (
	// The key and value by which Pulumi marks a secret in a state (sdk/go/common/resource, SigKey and SecretSig).
	signatureKey    = "4dabf18193072939515e22adb298388d"
	secretSignature = "1b47061264138c4ac30d75fd1eb44270"
	// shownSecret is what a preview prints instead of a secret.
	shownSecret = "[secret]"
	// unknownString is what a preview prints instead of a value that only the update will know (sdk/go/common/resource
	// plugin.UnknownStringValue). Inputs that come from outputs are strings to the engine, whatever they will become.
	unknownString = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
)

// isSecret reports whether a value is marked secret, in a preview or in a state.
func isSecret(value any) bool {
	switch v := value.(type) {
	case string:
		return v == shownSecret
	case map[string]any:
		return v[signatureKey] == secretSignature
	default:
		return false
	}
}

func isUnknown(value any) bool { return value == unknownString }

// field is a value, where it stands and what it is called there.
type field struct {
	path, key string
	value     any
}

// walk calls visit for a value and everything inside it, in a stable order. It does not enter secrets. visit returns
// false to leave out what is inside.
func walk(f field, visit func(field) bool) {
	if !visit(f) || isSecret(f.value) {
		return
	}
	switch v := f.value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			walk(field{path: join(f.path, key), key: key, value: v[key]}, visit)
		}
	case []any:
		for i, element := range v {
			walk(field{path: fmt.Sprintf("%s[%d]", f.path, i), key: f.key, value: element}, visit)
		}
	}
}

// join writes a key that itself has dots in brackets, so that the path can be read.
func join(path, key string) string {
	switch {
	case strings.ContainsAny(key, ". "):
		return fmt.Sprintf("%s[%q]", path, key)
	case path == "":
		return key
	default:
		return path + "." + key
	}
}

// at returns the value at a path of keys, or nil.
func at(object map[string]any, path ...string) any {
	var value any = object
	for _, key := range path {
		inner, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		value = inner[key]
	}
	return value
}

// textAt returns the text at a path; "" for anything that is not a text in clear.
func textAt(object map[string]any, path ...string) string {
	text, ok := at(object, path...).(string)
	if !ok || isSecret(text) || isUnknown(text) {
		return ""
	}
	return text
}
