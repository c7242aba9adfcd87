package wire_test

import (
	"encoding/json"
	"testing"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/wire"
)

func TestOf_ShowsWhatTheAPIGets(t *testing.T) {
	t.Parallel()
	var none *corev1.ProbeArgs
	for want, arguments := range map[string]any{
		`null`:               nil,
		`"a"`:                pulumi.String("a"),
		`["a","b"]`:          pulumi.ToStringArray([]string{"a", "b"}),
		`{"a":"b"}`:          pulumi.StringMap{"a": pulumi.String("b")},
		`{"name":"iris"}`:    &corev1.ContainerArgs{Name: pulumi.String("iris"), LivenessProbe: none},
		`{"name":"p"}`:       &corev1.ContainerArgs{Name: pulumi.String("p"), Image: pulumi.String("an output").ToStringOutput()},
		`{"value":"v"}`:      &corev1.EnvVarArgs{Value: pulumi.StringPtr("v")},
		`{"stdin":true}`:     &corev1.ContainerArgs{Stdin: pulumi.Bool(true)},
		`{"emptyDir":{}}`:    &corev1.VolumeArgs{EmptyDir: &corev1.EmptyDirVolumeSourceArgs{}},
		`[{"name":"one"}]`:   corev1.ContainerArray{&corev1.ContainerArgs{Name: pulumi.String("one")}},
		`{"priority":7}`:     corev1.PodSpecArgs{Priority: pulumi.Int(7)},
		`{"weight":0.5}`:     pulumi.Map{"weight": pulumi.Float64(0.5)},
		`{"tolerations":[]}`: corev1.PodSpecArgs{Tolerations: corev1.TolerationArray{}},
	} {
		got, err := json.Marshal(wire.Of(arguments))
		if err != nil || string(got) != want {
			t.Errorf("got %s (%v), want %s", got, err, want)
		}
	}
}
