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
