// Command consumer is a Pulumi program of another team: it uses the IRIS that a stack of ha-iris runs, and knows of it
// nothing but that stack's outputs.
package main

import (
	"errors"
	"fmt"

	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/config"
)

func main() { pulumi.Run(run) }

func run(ctx *pulumi.Context) error {
	settings := config.New(ctx, "")
	stack, err := setting(settings, "irisStack")
	if err != nil {
		return err
	}
	namespace, err := setting(settings, "namespace")
	if err != nil {
		return err
	}
	image := settings.Get("image")
	if image == "" {
		image = defaultImage
	}
	upstream, err := readUpstream(ctx, stack)
	if err != nil {
		return err
	}
	provider, err := connect(ctx, upstream)
	if err != nil {
		return err
	}
	if err := newWatch(ctx, "watch", namespace, image, upstream, provider); err != nil {
		return err
	}
	ctx.Export("namespace", pulumi.String(namespace))
	ctx.Export("address", pulumi.Sprintf("%s:%d", upstream.Host, upstream.Port))
	return nil
}

func setting(settings *config.Config, key string) (string, error) {
	value, err := settings.Try(key)
	if err != nil && !errors.Is(err, config.ErrMissingVar) {
		return "", fmt.Errorf("%s: %w", key, err)
	}
	if value == "" {
		return "", fmt.Errorf("%s: got nothing, want a value; run: pulumi config set %s VALUE", key, key)
	}
	return value, nil
}

// connect makes the provider for the cluster that the other stack made.
func connect(ctx *pulumi.Context, upstream *upstream) (*kubernetes.Provider, error) {
	provider, err := kubernetes.NewProvider(ctx, "iris-cluster", &kubernetes.ProviderArgs{
		Kubeconfig: upstream.Kubeconfig,
		// The name that the other stack's own provider uses too. Without it a kubeconfig that changes (a rotated token)
		// looks like another cluster, and the provider replaces everything on it.
		ClusterIdentifier:     upstream.ClusterName,
		EnableServerSideApply: pulumi.Bool(true),
	})
	if err != nil {
		return nil, fmt.Errorf("create Kubernetes provider: %w", err)
	}
	return provider, nil
}
