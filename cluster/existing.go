package cluster

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"ha-iris/internal/problems"
)

// reachTimeout bounds the reachability check. An API server that needs longer to say its version would time out on
// every later request too; 10 s covers a slow exec credential plugin.
const reachTimeout = 10 * time.Second

// validateExisting has no rules for the name: nothing is derived from it here.
func (c Config) validateExisting(found *problems.List) {
	_, err := c.existingKubeconfig()
	found.Merge(err)
}

// existingKubeconfig returns the self-contained kubeconfig of the one context that is configured.
func (c Config) existingKubeconfig() (string, error) {
	var found problems.List
	switch {
	case c.KubeconfigPath != "" && c.Kubeconfig.IsSet():
		found.AddSecret("cluster.kubeconfigPath", "a path while the secret kubeconfig is set too",
			"one of the two: clear it here, or run: pulumi config rm kubeconfig")
		return "", found.Err()
	case c.Kubeconfig.IsSet():
		return selectContext([]byte(c.Kubeconfig.Reveal()), "", c.Context, "kubeconfig")
	case c.KubeconfigPath != "":
		path, err := expandHome(c.KubeconfigPath)
		if err != nil {
			return "", err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			found.Add("cluster.kubeconfigPath", c.KubeconfigPath, fmt.Sprintf("a readable kubeconfig file (%v)", err))
			return "", found.Err()
		}
		return selectContext(content, path, c.Context, "cluster.kubeconfigPath")
	default:
		found.AddMissing("cluster.kubeconfigPath", "the path of a kubeconfig file, or its content as a secret: "+
			"pulumi config set --secret kubeconfig < FILE")
		return "", found.Err()
	}
}

// preflightExisting reaches for the cluster, so that a wrong VPN or an expired credential is no half-made update.
func (c Config) preflightExisting(ctx context.Context) error {
	kubeconfig, err := c.existingKubeconfig()
	if err != nil {
		return err
	}
	return checkReachable(ctx, kubeconfig)
}

// existing uses a cluster that is already there.
func (c *Cluster) existing(ctx *pulumi.Context, name string, cfg Config) error {
	kubeconfig, err := cfg.existingKubeconfig()
	if err != nil {
		return err
	}
	c.Name = pulumi.String(cfg.Name).ToStringOutput()
	return c.connect(ctx, name, pulumi.String(kubeconfig), nil)
}

// checkReachable asks the API server for its version, with the kubeconfig's own credentials.
func checkReachable(ctx context.Context, kubeconfig string) error {
	clientConfig, err := clientcmd.RESTConfigFromKubeConfig([]byte(kubeconfig))
	if err != nil {
		return fmt.Errorf("read kubeconfig: %w", err)
	}
	name := contextName(kubeconfig)
	where := fmt.Sprintf("cluster.context: context %q (server %s)", name, clientConfig.Host)
	client, err := rest.HTTPClientFor(clientConfig)
	if err != nil {
		return fmt.Errorf("%s: build client: %w", where, err)
	}
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, clientConfig.Host+"/version", nil)
	if err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("%s: cannot be reached: %w; check that the cluster runs, that this machine's network (VPN, "+
			"proxy, firewall) leads to it, and try: kubectl --context %s version", where, err, name)
	}
	defer response.Body.Close() //nolint:errcheck // Only the status counts; a failed close loses nothing.
	switch response.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("%s: refuses the credentials (%s); check that they have not expired, and try: "+
			"kubectl --context %s version", where, response.Status, name)
	default:
		return fmt.Errorf("%s: answered %s instead of its version; check that the server is a Kubernetes API server",
			where, response.Status)
	}
}
