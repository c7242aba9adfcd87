package iris

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"sigs.k8s.io/yaml"

	"ha-iris/internal/testkit"
)

// manifest is a registered Kubernetes object as the API server would get it.
type manifest struct {
	kind, name string
	object     map[string]any
}

// manifests renders every Kubernetes object of a run, sorted by kind and name. Secret values are replaced.
func manifests(t *testing.T, r *run) []manifest {
	t.Helper()
	var rendered []manifest
	for _, registration := range r.Registrations() {
		if !strings.HasPrefix(registration.TypeToken, "kubernetes:") {
			continue
		}
		object, ok := plain(resource.NewObjectProperty(registration.Inputs)).(map[string]any)
		if !ok {
			t.Fatalf("%s has no object", registration.URN)
		}
		kind, _ := object["kind"].(string)
		meta, _ := object["metadata"].(map[string]any)
		name, _ := meta["name"].(string)
		if kind == "" || name == "" {
			t.Fatalf("%s has kind %q and name %q", registration.URN, kind, name)
		}
		rendered = append(rendered, manifest{kind: kind, name: name, object: object})
	}
	slices.SortFunc(rendered, func(a, b manifest) int {
		return strings.Compare(a.kind+"/"+a.name, b.kind+"/"+b.name)
	})
	return rendered
}

func plain(value resource.PropertyValue) any {
	switch {
	case value.IsSecret():
		return "[secret]"
	case value.IsObject():
		object := map[string]any{}
		for key, element := range value.ObjectValue() {
			object[string(key)] = plain(element)
		}
		return object
	case value.IsArray():
		list := []any{}
		for _, element := range value.ArrayValue() {
			list = append(list, plain(element))
		}
		return list
	case value.IsNumber():
		if whole := int64(value.NumberValue()); float64(whole) == value.NumberValue() {
			return whole
		}
		return value.NumberValue()
	case value.IsComputed():
		return "[unknown]"
	default:
		return value.V
	}
}

// toYAML writes the objects as one stream.
func toYAML(t *testing.T, objects []manifest) string {
	t.Helper()
	var text strings.Builder
	for _, object := range objects {
		content, err := yaml.Marshal(object.object)
		if err != nil {
			t.Fatalf("write %s %s: %v", object.kind, object.name, err)
		}
		fmt.Fprintf(&text, "---\n%s", content)
	}
	return text.String()
}

// decode reads the one object of a kind and name into a typed Kubernetes object.
func decode[T any](t *testing.T, objects []manifest, kind, name string) T {
	t.Helper()
	var typed T
	for _, object := range objects {
		if object.kind != kind || object.name != name {
			continue
		}
		content, err := json.Marshal(object.object)
		if err != nil {
			t.Fatalf("write %s %s: %v", kind, name, err)
		}
		if err := yaml.UnmarshalStrict(content, &typed); err != nil {
			t.Fatalf("%s %s is not what the API server knows: %v", kind, name, err)
		}
		return typed
	}
	t.Fatalf("no %s %s", kind, name)
	return typed
}

// TestManifests_AreWhatWasReviewed shows a change of any object as the YAML that a reviewer knows.
func TestManifests_AreWhatWasReviewed(t *testing.T) {
	t.Parallel()
	for name, cfg := range editions() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testkit.Golden(t, "manifests-"+name+".yaml", toYAML(t, manifests(t, mustRun(t, cfg))))
		})
	}
}
