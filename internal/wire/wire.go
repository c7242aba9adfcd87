// Package wire converts a resource's arguments to the JSON of its API, for requests that this program sends to that API itself.
package wire

import (
	"reflect"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Of returns arguments as maps, lists and values under their names in the API. Outputs, which are not known yet, are left out.
func Of(arguments any) any {
	if _, unknown := arguments.(pulumi.Output); unknown || arguments == nil {
		return nil
	}
	switch value := reflect.ValueOf(arguments); value.Kind() { //nolint:exhaustive // Nothing else is an argument.
	case reflect.Pointer:
		if value.IsNil() {
			return nil
		}
		return Of(value.Elem().Interface())
	case reflect.Struct:
		object := map[string]any{}
		for i := range value.NumField() {
			name := value.Type().Field(i).Tag.Get("pulumi")
			if element := Of(value.Field(i).Interface()); element != nil && name != "" {
				object[name] = element
			}
		}
		return object
	case reflect.Map:
		object := map[string]any{}
		for _, key := range value.MapKeys() {
			object[key.String()] = Of(value.MapIndex(key).Interface())
		}
		return object
	case reflect.Slice:
		list := []any{}
		for i := range value.Len() {
			list = append(list, Of(value.Index(i).Interface()))
		}
		return list
	case reflect.String:
		return value.String()
	case reflect.Bool:
		return value.Bool()
	case reflect.Int:
		return value.Int()
	case reflect.Float64:
		return value.Float()
	}
	return nil
}
