package guard_test

import (
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"ha-iris/internal/guard"
)

func TestInputs_AreEmptyForWhatIsSomethingElse(t *testing.T) {
	t.Parallel()
	inputs := guard.InputsOf(resource.PropertyMap{
		"unknown": resource.MakeComputed(resource.NewStringProperty("")),
		"number":  resource.NewNumberProperty(3),
		"nested":  resource.NewObjectProperty(resource.PropertyMap{"text": resource.NewStringProperty("x")}),
		"list": resource.NewArrayProperty([]resource.PropertyValue{
			resource.NewObjectProperty(resource.PropertyMap{"number": resource.NewNumberProperty(7)}),
		}),
	})
	for _, test := range []struct {
		path   string
		text   string
		number float64
	}{
		{"unknown", "", 0},
		{"number", "", 3},
		{"number.x", "", 0},
		{"missing", "", 0},
		{"missing.x", "", 0},
		{"nested", "", 0},
		{"nested.text", "x", 0},
		{"nested.y", "", 0},
		{"list.0.number", "", 7},
		{"list.1.number", "", 0},
		{"nested.0", "", 0},
	} {
		var path []any
		for _, key := range strings.Split(test.path, ".") {
			switch key {
			case "0", "1":
				path = append(path, int(key[0]-'0'))
			default:
				path = append(path, key)
			}
		}
		if got := inputs.Text(path...); got != test.text {
			t.Errorf("%s: got text %q, want %q", test.path, got, test.text)
		}
		if got, found := inputs.Number(path...); got != test.number || found != (test.number != 0) {
			t.Errorf("%s: got number %v, %t, want %v", test.path, got, found, test.number)
		}
	}
}

func TestInputs_HaveATextAtAnyDepth(t *testing.T) {
	t.Parallel()
	text := resource.NewStringProperty("claim-2")
	for name, test := range map[string]struct {
		value resource.PropertyValue
		want  bool
	}{
		"plain":   {text, true},
		"nested":  {resource.NewArrayProperty([]resource.PropertyValue{resource.NewObjectProperty(resource.PropertyMap{"name": text})}), true},
		"secret":  {resource.MakeSecret(text), true},
		"longer":  {resource.NewStringProperty("claim-20"), false},
		"unknown": {resource.MakeComputed(resource.NewStringProperty("")), false},
		"number":  {resource.NewNumberProperty(2), false},
	} {
		if got := guard.InputsOf(resource.PropertyMap{"value": test.value}).Has("claim-2"); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
	if (guard.Inputs{}).Has("claim-2") {
		t.Error("no inputs have it")
	}
}

func TestChanged_SeesWhatDiffersOrIsNotKnown(t *testing.T) {
	t.Parallel()
	of := func(machine resource.PropertyValue, more ...resource.PropertyKey) guard.Inputs {
		config := resource.PropertyMap{"machine": machine, "disk": resource.NewNumberProperty(100)}
		for _, key := range more {
			config[key] = resource.NewStringProperty("x")
		}
		return guard.InputsOf(resource.PropertyMap{"config": resource.NewObjectProperty(config)})
	}
	small, large := resource.NewStringProperty("small"), resource.NewStringProperty("large")
	for name, test := range map[string]struct {
		before, after guard.Inputs
		want          string
	}{
		"the same":          {of(small), of(small), ""},
		"another value":     {of(small), of(large), "machine"},
		"not known yet":     {of(small), of(resource.MakeComputed(small)), "machine"},
		"a key more":        {of(small), of(small, "tags"), "tags"},
		"a key less":        {of(small, "tags"), of(large), "machine,tags"},
		"nothing before":    {guard.InputsOf(nil), of(small), "disk,machine"},
		"nothing at either": {guard.InputsOf(nil), guard.InputsOf(nil), ""},
	} {
		if got := strings.Join(guard.ChangedKeys(test.before, test.after, "config"), ","); got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
	if guard.Changed(of(small), of(small), "config", "machine") || !guard.Changed(of(small), of(large), "config", "machine") {
		t.Error("Changed looks at the wrong path")
	}
}
