package cluster

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/pulumi/pulumi-azure-native-sdk/containerservice/v3"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"ha-iris/internal/problems"
)

// selectContext reduces a kubeconfig to one context and embeds the files it refers to, so that the result works on any
// machine. source is the file it was read from, against which relative paths are resolved; empty for a secret. keyPath
// names the configuration key in errors.
func selectContext(content []byte, source, wanted, keyPath string) (string, error) {
	var found problems.List
	config, err := clientcmd.Load(content)
	if err != nil {
		// The parser's message quotes what it read; for a secret that must not be shown.
		found.AddSecret(keyPath, "something that is not a kubeconfig", "a kubeconfig in YAML (kubectl config view --raw)")
		return "", found.Err()
	}
	if source != "" {
		for _, authInfo := range config.AuthInfos {
			authInfo.LocationOfOrigin = source
		}
		for _, cluster := range config.Clusters {
			cluster.LocationOfOrigin = source
		}
	}
	if err := clientcmd.ResolveLocalPaths(config); err != nil {
		return "", fmt.Errorf("%s: resolve paths: %w", keyPath, err)
	}
	name, err := pickContext(config, wanted)
	if err != nil {
		return "", err
	}
	config.CurrentContext = name
	if err := clientcmdapi.MinifyConfig(config); err != nil {
		return "", fmt.Errorf("cluster.context: context %q: %w", name, err)
	}
	if err := clientcmdapi.FlattenConfig(config); err != nil {
		return "", fmt.Errorf("cluster.context: context %q: embed certificate files: %w", name, err)
	}
	selected, err := clientcmd.Write(*config)
	if err != nil {
		return "", fmt.Errorf("cluster.context: context %q: write kubeconfig: %w", name, err)
	}
	return string(selected), nil
}

// pickContext returns the wanted context, or the only one there is. The current context is not a default: it is what
// somebody used last on this machine, and a database must not land wherever that happens to be.
func pickContext(config *clientcmdapi.Config, wanted string) (string, error) {
	var found problems.List
	names := sortedKeys(config.Contexts)
	choices := "one of " + strings.Join(names, ", ")
	switch {
	case len(names) == 0:
		found.Add("cluster.context", wanted, "a context, but the kubeconfig has none")
	case wanted == "" && len(names) == 1:
		return names[0], nil
	case wanted == "":
		found.AddMissing("cluster.context", choices)
	case config.Contexts[wanted] == nil:
		found.Add("cluster.context", wanted, choices)
	default:
		return wanted, nil
	}
	return "", found.Err()
}

// contextName returns the current context of a kubeconfig that selectContext wrote.
func contextName(kubeconfig string) string {
	config, err := clientcmd.Load([]byte(kubeconfig))
	if err != nil {
		return ""
	}
	return config.CurrentContext
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

// execVersion is the version of client-go's credential plugin protocol that both plugins below speak.
const execVersion = "client.authentication.k8s.io/v1beta1"

// endpoint is where an API server is and by which certificate authority it is known (PEM in base64).
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

// eksKubeconfig gets a token from the AWS CLI for every connection. A token in the text would live 15 minutes: too short
// for a first up, gone at the next destroy, and different in every preview.
func eksKubeconfig(at endpoint, region, role string) (string, error) {
	args := []string{"--region", region, "eks", "get-token", "--cluster-name", at.name, "--output", "json"}
	if role != "" {
		// The plugin runs with the credentials of whoever runs pulumi; the cluster knows only the role that created it.
		args = append(args, "--role-arn", role)
	}
	return execKubeconfig(at, &clientcmdapi.ExecConfig{
		Command:     "aws",
		Args:        args,
		InstallHint: "The AWS CLI, version 2, must be on the PATH: https://docs.aws.amazon.com/cli/",
	})
}

// gkeKubeconfig gets a token from Google's plugin for every connection, for the reasons of eksKubeconfig (60 minutes).
func gkeKubeconfig(at endpoint) (string, error) {
	at.server = "https://" + at.server // Google reports the address alone.
	return execKubeconfig(at, &clientcmdapi.ExecConfig{
		Command: "gke-gcloud-auth-plugin",
		// The credentials of this program's provider, and not whoever gcloud is logged in as; and no need for gcloud.
		Args:               []string{"--use_application_default_credentials"},
		ProvideClusterInfo: true,
		InstallHint: "gke-gcloud-auth-plugin must be on the PATH: " +
			"https://cloud.google.com/kubernetes-engine/docs/how-to/cluster-access-for-kubectl",
	})
}

func execKubeconfig(at endpoint, plugin *clientcmdapi.ExecConfig) (string, error) {
	authority, err := base64.StdEncoding.DecodeString(at.authority)
	if err != nil {
		return "", fmt.Errorf("certificate authority of cluster %s: %w", at.name, err)
	}
	plugin.APIVersion = execVersion
	plugin.InteractiveMode = clientcmdapi.NeverExecInteractiveMode // Nobody answers a question of a provider.
	config := clientcmdapi.NewConfig()
	config.Clusters[at.name] = &clientcmdapi.Cluster{Server: at.server, CertificateAuthorityData: authority}
	config.AuthInfos[at.name] = &clientcmdapi.AuthInfo{Exec: plugin}
	config.Contexts[at.name] = &clientcmdapi.Context{Cluster: at.name, AuthInfo: at.name}
	config.CurrentContext = at.name
	content, err := clientcmd.Write(*config)
	if err != nil {
		return "", fmt.Errorf("write kubeconfig of cluster %s: %w", at.name, err)
	}
	return string(content), nil
}

// adminKubeconfig takes the kubeconfig out of Azure's answer. Errors never quote it: it holds a key.
func adminKubeconfig(credentials []containerservice.CredentialResultResponse) (string, error) {
	if len(credentials) == 0 {
		return "", errors.New("no admin credentials from Azure; are local accounts disabled on the cluster?")
	}
	content, err := base64.StdEncoding.DecodeString(credentials[0].Value)
	if err != nil {
		return "", errors.New("admin credentials from Azure are not base64")
	}
	if _, err := clientcmd.Load(content); err != nil {
		return "", errors.New("admin credentials from Azure are not a kubeconfig")
	}
	return string(content), nil
}
