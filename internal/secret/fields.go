package secret

import "reflect"

// Tag is the tag of a field of type Value: the top-level key of the configuration that fills it.
const Tag = "secret"

// Fields returns the secrets of a section of the configuration, a pointer to a struct, by their keys; those of the structs in it
// too. A Value without the tag is left out.
func Fields(section any) map[string]*Value {
	found := map[string]*Value{}
	collect(reflect.ValueOf(section).Elem(), found)
	return found
}

func collect(values reflect.Value, found map[string]*Value) {
	for i := range values.NumField() {
		field := values.Type().Field(i)
		if !field.IsExported() || field.Type.Kind() != reflect.Struct {
			continue
		}
		value, isSecret := values.Field(i).Addr().Interface().(*Value)
		switch key := field.Tag.Get(Tag); {
		case !isSecret:
			collect(values.Field(i), found)
		case key != "":
			found[key] = value
		}
	}
}
