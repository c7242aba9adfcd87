package testkit

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// Leaf is one scalar of a resource's inputs.
type Leaf struct {
	// Text is the value as text.
	Text string
	// Secret says that the value, or an object around it, is marked secret.
	Secret bool
}

// Leaves returns every scalar of a resource's inputs by path. Unknown values are left out.
func Leaves(inputs resource.PropertyMap) map[string]Leaf {
	leaves := map[string]Leaf{}
	collect(resource.NewObjectProperty(inputs), "", false, leaves)
	return leaves
}

func collect(value resource.PropertyValue, path string, secret bool, leaves map[string]Leaf) {
	switch {
	case value.IsSecret():
		collect(value.SecretValue().Element, path, true, leaves)
	case value.IsOutput():
		if value.OutputValue().Known {
			collect(value.OutputValue().Element, path, secret || value.OutputValue().Secret, leaves)
		}
	case value.IsObject():
		for key, element := range value.ObjectValue() {
			collect(element, path+"."+string(key), secret, leaves)
		}
	case value.IsArray():
		for i, element := range value.ArrayValue() {
			collect(element, fmt.Sprintf("%s[%d]", path, i), secret, leaves)
		}
	case value.IsComputed(), value.IsNull():
	default:
		leaves[path] = Leaf{Text: fmt.Sprint(value.V), Secret: secret}
	}
}
