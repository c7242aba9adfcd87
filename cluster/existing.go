package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/kubeconfig"
	"ha-iris/internal/live"
	"ha-iris/internal/problems"
	"ha-iris/internal/survey"
	"ha-iris/internal/traits"
)

// Existing is a cluster that this program did not create and does not change outside its own namespaces.
const Existing Cloud = "existing"

func existingKind() kind {
	return kind{
		cloud: Existing,
		keys:  []string{"kubeconfigPath", "context", kubeconfigKey},
		resolve: func(c *Config) {
			config, err := c.readKubeconfig()
			c.access = &access{config, err}
		},
		validate:  Config.validateExisting,
		limits:    limits{nodes: 5000, why: "what Kubernetes is built for"},
		preflight: Config.preflightExisting,
		survey:    Config.surveyExisting,
		traits: traits.Traits{
			Storage: traits.Storage{
				// Unknown distribution: k3s, kind and kubeadm differ, so Longhorn detects it.
				KubeletRootDir: "",
				// This program does not label these nodes.
				LabelledDisksOnly: false,
				// Usually the root disk.
				DedicatedDisk: false,
				// No privileged pods of this program run on a cluster that it did not create; the README lists what nodes need.
				PrepareNodes: false,
			},
		},
		provision: (*Cluster).existing,
	}
}

// reachTimeout bounds the reachability check. An API server that needs longer for its version would time out on later
// requests too.
const reachTimeout = 10 * time.Second

// validateExisting checks the kubeconfig. There is no pattern for the name, because no other name is derived from it.
func (c Config) validateExisting(found *problems.List) {
	_, err := c.existingKubeconfig()
	found.Merge(err)
}

// access is the result of reading a kubeconfig.
type access struct {
	config *kubeconfig.Config
	err    error
}

// existingKubeconfig returns the self-contained kubeconfig of the one context that is configured.
func (c Config) existingKubeconfig() (*kubeconfig.Config, error) {
	if c.access != nil {
		return c.access.config, c.access.err
	}
	return c.readKubeconfig()
}

func (c Config) readKubeconfig() (*kubeconfig.Config, error) {
	var found problems.List
	switch {
	case c.KubeconfigPath != "" && c.Kubeconfig.IsSet():
		found.AddSecret("cluster.kubeconfigPath", "a path while the secret kubeconfig is set too",
			"one of the two: clear it here, or run: pulumi config rm kubeconfig")
		return nil, found.Err()
	case c.Kubeconfig.IsSet() && c.Kubeconfig.NotContent() != "":
		found.AddSecret("kubeconfig", c.Kubeconfig.NotContent(), "a kubeconfig's content; set it with: "+
			"pulumi config set --secret kubeconfig < FILE; or give its path in cluster.kubeconfigPath")
		return nil, found.Err()
	case c.Kubeconfig.IsSet():
		return selectContext([]byte(c.Kubeconfig.Reveal()), "", c.Context, "kubeconfig")
	case strings.Contains(c.KubeconfigPath, "\n"):
		found.AddSecret("cluster.kubeconfigPath", "a text of several lines, perhaps a kubeconfig's content", "its path, or the secret "+
			"kubeconfig: pulumi config set --secret kubeconfig < FILE; change its credentials, because they may have been read")
		return nil, found.Err()
	case c.KubeconfigPath != "":
		path, err := expandHome(c.KubeconfigPath)
		if err != nil {
			return nil, err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			found.Add("cluster.kubeconfigPath", c.KubeconfigPath, fmt.Sprintf("a readable kubeconfig file (%v)", err))
			return nil, found.Err()
		}
		return selectContext(content, path, c.Context, "cluster.kubeconfigPath")
	default:
		found.AddMissing("cluster.kubeconfigPath", "the path of a kubeconfig file, or its content as a secret: "+
			"pulumi config set --secret kubeconfig < FILE")
		return nil, found.Err()
	}
}

// preflightExisting checks that the cluster can be reached, so that a missing VPN or expired credentials do not fail an update
// halfway.
func (c Config) preflightExisting(ctx *pulumi.Context, cluster *live.Cluster) error {
	config, err := c.existingKubeconfig()
	if err != nil {
		return err
	}
	client, err := checkReachable(ctx.Context(), config)
	if err != nil {
		return err
	}
	text, err := config.Render()
	if err != nil {
		return err
	}
	cluster.Use(text, client)
	return nil
}

// surveyExisting checks whether the cluster can run the stack, so that no resource waits for something that never becomes ready.
func (c Config) surveyExisting(ctx *pulumi.Context, cluster *live.Cluster, needs *survey.Needs) error {
	config, err := c.existingKubeconfig()
	if err != nil || needs == nil {
		return err
	}
	found, err := survey.Look(ctx.Context(), cluster, *needs)
	if err != nil {
		return fmt.Errorf("%s: %w; try: kubectl --context %s version", where(config), err, config.CurrentContext)
	}
	for _, warning := range found.Warnings {
		if err := ctx.Log.Warn(warning.Error(), nil); err != nil {
			return fmt.Errorf("write a warning: %w", err)
		}
	}
	if len(found.Blocking) == 0 {
		return nil
	}
	lines := make([]string, 0, len(found.Blocking))
	for _, reason := range found.Blocking {
		lines = append(lines, "\n  - "+reason.Error())
	}
	return fmt.Errorf("%s: this stack cannot run there as it is configured; nothing was changed:%s", where(config), strings.Join(lines, ""))
}

// where names a cluster in messages, without a password in its URL.
func where(config *kubeconfig.Config) string {
	shown := "not a URL"
	if server, err := url.Parse(config.Server()); err == nil {
		shown = server.Redacted()
	}
	return fmt.Sprintf("cluster.context: context %q (server %s)", config.CurrentContext, shown)
}

// existing uses a cluster that is already there.
func (c *Cluster) existing(ctx *pulumi.Context, name string, cfg Config) error {
	config, err := cfg.existingKubeconfig()
	if err != nil {
		return err
	}
	text, err := config.Render()
	if err != nil {
		return err
	}
	c.Name = pulumi.String(cfg.Name).ToStringOutput()
	if err := c.reach(pulumi.String(text)); err != nil {
		return err
	}
	return c.connect(ctx, name, nil)
}

// checkReachable asks the API server for its version, with the kubeconfig's own credentials if it has any, and returns the
// client that reached it. It does not wait for credentials of a plugin or an identity provider: a refused request also shows
// that the server is there.
func checkReachable(ctx context.Context, config *kubeconfig.Config) (*kubeconfig.Client, error) {
	name, where := config.CurrentContext, where(config)
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	client, err := config.Client()
	if err != nil {
		return nil, fmt.Errorf("%s: its kubeconfig cannot be used: %w", where, err)
	}
	response, err := client.Get(ctx, "/version")
	var unreached *url.Error
	switch {
	case errors.As(err, &unreached):
		return nil, fmt.Errorf("%s: cannot be reached: %w; check that the cluster runs, that this machine's network (VPN, "+
			"proxy, firewall) leads to it, and try: kubectl --context %s version", where, err, name)
	case err != nil:
		return nil, fmt.Errorf("%s: its kubeconfig cannot be used: %w", where, err)
	}
	defer response.Body.Close() //nolint:errcheck // Only the status counts; a failed close loses nothing.
	refused := response.StatusCode == http.StatusUnauthorized || response.StatusCode == http.StatusForbidden
	switch {
	case response.StatusCode == http.StatusOK:
		return client, nil
	case refused && client.GetIsAnonymous():
		return client, nil // It is there, and refuses requests without credentials.
	case refused:
		return nil, fmt.Errorf("%s: refuses the credentials (%s); check that they have not expired, and try: "+
			"kubectl --context %s version", where, response.Status, name)
	default:
		return nil, fmt.Errorf("%s: answered %s instead of its version; check that the server is a Kubernetes API server",
			where, response.Status)
	}
}
