package cluster

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pulumi/pulumi-azure-native-sdk/containerservice/v3"
	"k8s.io/client-go/tools/clientcmd"

	"ha-iris/internal/testkit"
)

const (
	// plainKubeconfig is a kubeconfig as a user would store it as a secret.
	plainKubeconfig = `apiVersion: v1
kind: Config
clusters:
- name: here
  cluster: {server: "https://127.0.0.1:1"}
contexts:
- name: here
  context: {cluster: here, user: me}
users:
- name: me
  user: {token: s3cr3t-token}
`
	authorityPEM = "-----BEGIN CERTIFICATE-----\nbm90IHJlYWxseQ==\n-----END CERTIFICATE-----\n"
)

func testEndpoint(server string) endpoint {
	return endpoint{name: "ha-iris-test-1a2b3c4", server: server, authority: base64.StdEncoding.EncodeToString([]byte(authorityPEM))}
}

func TestExecKubeconfigs(t *testing.T) {
	t.Parallel()
	const eksServer = "https://0123456789ABCDEF.gr7.eu-west-1.eks.amazonaws.com"
	const role = "arn:aws:iam::123456789012:role/deployer"
	for golden, build := range map[string]func() (string, error){
		"kubeconfig/eks.yaml":      func() (string, error) { return eksKubeconfig(testEndpoint(eksServer), "eu-west-1", "") },
		"kubeconfig/eks-role.yaml": func() (string, error) { return eksKubeconfig(testEndpoint(eksServer), "eu-west-1", role) },
		"kubeconfig/gke.yaml":      func() (string, error) { return gkeKubeconfig(testEndpoint("203.0.113.10")) },
	} {
		got, err := build()
		if err != nil {
			t.Fatalf("%s: %v", golden, err)
		}
		testkit.Golden(t, golden, got)
		config, err := clientcmd.RESTConfigFromKubeConfig([]byte(got))
		if err != nil {
			t.Fatalf("%s: client-go refuses it: %v", golden, err)
		}
		if config.ExecProvider == nil || config.BearerToken != "" {
			t.Errorf("%s: a token in the text expires; it must come from a plugin", golden)
		}
		if !strings.HasPrefix(config.Host, "https://") {
			t.Errorf("%s: host %q", golden, config.Host)
		}
	}
}

func TestExecKubeconfig_NamesTheClusterInErrors(t *testing.T) {
	t.Parallel()
	at := testEndpoint("https://example.com")
	at.authority = "not base64!"
	if _, err := eksKubeconfig(at, "eu-west-1", ""); err == nil || !strings.Contains(err.Error(), at.name) {
		t.Errorf("got %v", err)
	}
}

func TestEndpoint_NeedsAllThreeParts(t *testing.T) {
	t.Parallel()
	if _, err := endpointOf([]any{"name", "server", "authority"}); err != nil {
		t.Error(err)
	}
	for _, values := range [][]any{{"name", "", "authority"}, {"name", 1, "authority"}, {"name", "server"}} {
		if _, err := endpointOf(values); err == nil {
			t.Errorf("%v: accepted", values)
		}
	}
}

func TestAdminKubeconfig_IsDecoded(t *testing.T) {
	t.Parallel()
	encoded := base64.StdEncoding.EncodeToString([]byte(plainKubeconfig))
	got, err := adminKubeconfig([]containerservice.CredentialResultResponse{{Name: "clusterAdmin", Value: encoded}})
	if err != nil || got != plainKubeconfig {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestAdminKubeconfigErrors_DoNotShowIt(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{
		"not base64":       "hunter2!",
		"not a kubeconfig": base64.StdEncoding.EncodeToString([]byte("hunter2: [")),
	} {
		_, err := adminKubeconfig([]containerservice.CredentialResultResponse{{Value: value}})
		if err == nil || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), value) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := adminKubeconfig(nil); err == nil || !strings.Contains(err.Error(), "local accounts") {
		t.Errorf("no credentials: got %v", err)
	}
}

const twoContexts = `apiVersion: v1
kind: Config
current-context: dev
clusters:
- {name: dev, cluster: {server: "https://dev.example.com"}}
- {name: prod, cluster: {server: "https://prod.example.com", certificate-authority: ca.pem}}
contexts:
- {name: dev, context: {cluster: dev, user: dev}}
- {name: prod, context: {cluster: prod, user: prod}}
users:
- {name: dev, user: {token: dev-token}}
- {name: prod, user: {token: prod-token}}
`

func TestSelectContext_KeepsOneAndEmbedsItsFiles(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	if err := os.WriteFile(filepath.Join(directory, "ca.pem"), []byte(authorityPEM), 0o600); err != nil {
		t.Fatal(err)
	}
	selected, err := selectContext([]byte(twoContexts), filepath.Join(directory, "config"), "prod", "cluster.kubeconfigPath")
	if err != nil {
		t.Fatal(err)
	}
	got, err := selected.Render()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(got, "dev") || strings.Contains(got, directory) || !strings.Contains(got, "prod-token") {
		t.Errorf("got\n%s", got)
	}
	config, err := clientcmd.RESTConfigFromKubeConfig([]byte(got))
	if err != nil || string(config.CAData) != authorityPEM || config.Host != "https://prod.example.com" {
		t.Errorf("got %+v, %v", config, err)
	}
}

func TestSelectContext_NeverGuesses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, content, context, want string }{
		{"several and none chosen", twoContexts, "", "cluster.context: got nothing, want one of dev, prod"},
		{"absent", twoContexts, "test", `cluster.context: got "test", want one of dev, prod`},
		{"no context", "apiVersion: v1\nkind: Config\n", "", "cluster.context: got \"\", want a context, but the kubeconfig has none"},
		{"not a kubeconfig", "hunter2: [", "", "kubeconfig: got something that is not a kubeconfig"},
	} {
		_, err := selectContext([]byte(test.content), "", test.context, "kubeconfig")
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v, want %s", test.name, err, test.want)
		}
	}
}
