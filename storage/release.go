package storage

import (
	"fmt"
	"strconv"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// release is a Helm release, installed by Helm itself inside the Kubernetes provider.
//
// It is this program's own binding for the one resource that it needs. The SDK's package helm/v3 imports every Kubernetes API
// package and doubles the program's cold build (6 min 35 s against 3 min 12 s when measured); a test keeps it out. Release
// and not Chart, because only Release runs the chart's hooks: without its uninstall hook a driver can leave webhooks behind
// that reject every update of nodes and claims.
type release struct {
	pulumi.CustomResourceState

	// Status is what Helm says of the release.
	Status pulumi.MapOutput `pulumi:"status"`
}

const releaseType = "kubernetes:helm.sh/v3:Release"

// releaseArgs are the inputs of a release that this program uses, named as in the provider's schema.
type releaseArgs struct {
	Name      string
	Namespace pulumi.StringInput
	// Chart is a chart's name within Repository, an OCI reference or a local path.
	Chart pulumi.StringInput
	// Repository is a Helm repository's URL; nil for OCI and local charts.
	Repository pulumi.StringInput
	// Version is the chart's version; nil for a local chart.
	Version pulumi.StringInput
	// Values are the chart's values; inputs among them, such as secrets, are kept.
	Values map[string]any
	// TimeoutSeconds bounds Helm's waiting for the chart's workloads and for each hook.
	TimeoutSeconds int
}

func newRelease(ctx *pulumi.Context, name string, args releaseArgs, opts ...pulumi.ResourceOption) (*release, error) {
	inputs := pulumi.Map{
		"name":      pulumi.String(args.Name),
		"namespace": args.Namespace,
		"chart":     args.Chart,
		"values":    valueInputs(args.Values),
		"timeout":   pulumi.Int(args.TimeoutSeconds),
	}
	if args.Repository != nil {
		inputs["repositoryOpts"] = pulumi.Map{"repo": args.Repository}
	}
	if args.Version != nil {
		inputs["version"] = args.Version
	}
	r := &release{}
	if err := ctx.RegisterResource(releaseType, name, inputs, r, opts...); err != nil {
		return nil, fmt.Errorf("register Helm release %q: %w", args.Name, err)
	}
	return r, nil
}

// valueInputs turns objects into inputs level by level, so that a secret leaf leaves its neighbours readable in a preview.
// (pulumi.ToMap would make one output of all that lies below a key.)
func valueInputs(values map[string]any) pulumi.Map {
	inputs := make(pulumi.Map, len(values))
	for key, value := range values {
		inputs[key] = valueInput(value)
	}
	return inputs
}

func valueInput(value any) pulumi.Input {
	switch typed := value.(type) {
	case pulumi.Input:
		return typed
	case map[string]any:
		return valueInputs(typed)
	case []any:
		inputs := make(pulumi.Array, 0, len(typed))
		for _, element := range typed {
			inputs = append(inputs, valueInput(element))
		}
		return inputs
	default:
		return pulumi.Any(value)
	}
}

// revision is Helm's revision number of the release, which rises with each upgrade; "" if it is not known.
func (r *release) revision() pulumi.StringOutput {
	return r.Status.ApplyT(func(status map[string]any) string {
		number, ok := status["revision"].(float64)
		if !ok {
			return ""
		}
		return strconv.Itoa(int(number))
	}).(pulumi.StringOutput)
}
