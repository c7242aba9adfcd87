package cluster

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ha-iris/internal/kubeconfig"
	"ha-iris/internal/problems"
)

// selectContext reduces a kubeconfig to one context and embeds the files it refers to, so that the result works on any
// machine. source is the file it was read from, against which relative paths are resolved; empty for a secret. keyPath
// names the configuration key in errors.
func selectContext(content []byte, source, wanted, keyPath string) (*kubeconfig.Config, error) {
	var found problems.List
	config, err := kubeconfig.Parse(content)
	if err != nil {
		found.AddSecret(keyPath, fmt.Sprintf("something that is not a kubeconfig (%v)", err), "a kubeconfig in YAML: kubectl config view --raw --minify > FILE, and as a secret: pulumi config set --secret kubeconfig < FILE")
		return nil, found.Err()
	}
	name, err := pickContext(config.ContextNames(), wanted)
	if err != nil {
		return nil, err
	}
	selected, err := config.Select(name)
	if err != nil {
		return nil, fmt.Errorf("cluster.context: %w", err)
	}
	if err := selected.Embed(source); err != nil {
		return nil, fmt.Errorf("cluster.context: context %q: embed certificate files: %w", name, err)
	}
	return selected, nil
}

// pickContext returns the wanted context, or the only one there is. The current context is not a default: it
// depends on who used this machine last, and a wrong one would install the database in another cluster.
func pickContext(names []string, wanted string) (string, error) {
	var found problems.List
	choices := "one of " + strings.Join(names, ", ")
	switch {
	case len(names) == 0:
		found.Add("cluster.context", wanted, "a context, but the kubeconfig has none")
	case wanted == "" && len(names) == 1:
		return names[0], nil
	case wanted == "":
		found.AddMissing("cluster.context", choices)
	case !slices.Contains(names, wanted):
		found.Add("cluster.context", wanted, choices)
	default:
		return wanted, nil
	}
	return "", found.Err()
}

func expandHome(path string) (string, error) {
	rest, ok := strings.CutPrefix(path, "~/")
	if !ok {
		return path, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("cluster.kubeconfigPath: %q: %w", path, err)
	}
	return filepath.Join(home, rest), nil
}

// execVersion is the version of client-go's credential plugin protocol that the clouds' plugins speak.
const execVersion = "client.authentication.k8s.io/v1beta1"

// endpoint is a cluster's name, the address of its API server and its certificate authority (PEM in base64).
type endpoint struct{ name, server, authority string }

// endpointOf takes a cluster's name, address and certificate authority out of pulumi.All.
func endpointOf(values []any) (endpoint, error) {
	texts := make([]string, 0, 3)
	for _, value := range values {
		text, ok := value.(string)
		if !ok || text == "" {
			return endpoint{}, fmt.Errorf("the cloud reported a cluster without name, address or certificate (%T)", value)
		}
		texts = append(texts, text)
	}
	if len(texts) != 3 {
		return endpoint{}, fmt.Errorf("a cluster's endpoint has 3 parts, got %d", len(texts))
	}
	return endpoint{name: texts[0], server: texts[1], authority: texts[2]}, nil
}

func execKubeconfig(at endpoint, plugin kubeconfig.Exec) (string, error) {
	authority, err := base64.StdEncoding.DecodeString(at.authority)
	if err != nil {
		return "", fmt.Errorf("certificate authority of cluster %s: %w", at.name, err)
	}
	plugin.APIVersion = execVersion
	plugin.InteractiveMode = "Never" // The provider has no terminal.
	config := kubeconfig.New(at.name,
		kubeconfig.Cluster{Server: at.server, CertificateAuthorityData: authority}, kubeconfig.User{Exec: &plugin})
	text, err := config.Render()
	if err != nil {
		return "", fmt.Errorf("kubeconfig of cluster %s: %w", at.name, err)
	}
	return text, nil
}
