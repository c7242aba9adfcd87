package owner

import (
	"reflect"

	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// metadataField reads the field Metadata that the arguments of every typed object have. There is no interface for it.
func metadataField(props pulumi.Input) *metav1.ObjectMetaArgs {
	value := reflect.ValueOf(props)
	if value.Kind() == reflect.Pointer {
		value = value.Elem()
	}
	if value.Kind() != reflect.Struct {
		return nil
	}
	field := value.FieldByName("Metadata")
	if !field.IsValid() {
		return nil
	}
	metadata, _ := field.Interface().(*metav1.ObjectMetaArgs)
	return metadata
}
