package kubeconfig_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"ha-iris/internal/kubeconfig"
)

// full has every field that a connection may need, and some that none needs.
const full = `apiVersion: v1
kind: Config
preferences: {}
current-context: other
clusters:
- name: plain
  cluster: {server: "https://plain.example.com"}
- name: full
  cluster:
    server: https://full.example.com:6443/prefix
    tls-server-name: kubernetes.default
    certificate-authority: pki/ca.pem
    proxy-url: http://proxy.example.com:3128
    disable-compression: true
    extensions:
    - name: client.authentication.k8s.io/exec
      extension: {b: 1, a: [x, {y: z}]}
- name: open
  cluster: {server: "https://open.example.com", insecure-skip-tls-verify: true}
contexts:
- name: certificate
  context: {cluster: full, user: certificate, namespace: iris}
- name: token
  context: {cluster: plain, user: token}
- name: file
  context: {cluster: open, user: file, extensions: [{name: x, extension: {last-update: "Sun, 22 Nov 2026"}}]}
- name: password
  context: {cluster: plain, user: password}
- name: plugin
  context: {cluster: plain, user: plugin}
- name: own plugin
  context: {cluster: plain, user: own plugin}
- name: early plugin
  context: {cluster: plain, user: early plugin}
- name: legacy
  context: {cluster: plain, user: legacy}
- name: stranger
  context: {cluster: plain, user: ""}
users:
- name: certificate
  user: {client-certificate: /DIR/client.pem, client-key: pki/../pki/client.key}
- name: token
  user: {token: "s3cr3t: token", as: admin, as-uid: "7", as-groups: [a, b], as-user-extra: {reason: [test]}}
- name: file
  user: {tokenFile: token}
- name: password
  user: {username: me, password: "s3cr3t"}
- name: plugin
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1
      command: aws
      args: [eks, get-token]
      env: [{name: AWS_PROFILE, value: prod}]
      installHint: "Install it.\nThen use it."
      interactiveMode: IfAvailable
      provideClusterInfo: true
- name: own plugin
  user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: ./bin/plugin, interactiveMode: Never}}
- name: early plugin
  user: {exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: aws, args: [eks, get-token]}}
- name: legacy
  user: {auth-provider: {name: gcp, config: {cmd-path: /usr/bin/gcloud}}}
`

// written puts the kubeconfig and the files that it names into a directory and returns its path and content.
func written(t *testing.T) (path, content string) {
	t.Helper()
	directory := t.TempDir()
	if err := os.Mkdir(filepath.Join(directory, "pki"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"pki/ca.pem": "authority", "client.pem": "certificate", "pki/client.key": "key"} {
		if err := os.WriteFile(filepath.Join(directory, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	content = strings.ReplaceAll(full, "/DIR", directory)
	path = filepath.Join(directory, "config")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, content
}

// byClientGo does with client-go what Parse, Select, Embed and Render do.
func byClientGo(t *testing.T, path, context string) string {
	t.Helper()
	config, err := clientcmd.LoadFromFile(path)
	if err != nil {
		t.Fatal(err)
	}
	config.CurrentContext = context
	if err := clientcmdapi.MinifyConfig(config); err != nil {
		t.Fatal(err)
	}
	if err := clientcmd.ResolveLocalPaths(config); err != nil {
		t.Fatal(err)
	}
	if err := clientcmdapi.FlattenConfig(config); err != nil {
		t.Fatal(err)
	}
	text, err := clientcmd.Write(*config)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestSelectedText_IsThatOfClientGo(t *testing.T) {
	t.Parallel()
	path, content := written(t)
	config, err := kubeconfig.Parse([]byte(content))
	if err != nil {
		t.Fatal(err)
	}
	if len(config.ContextNames()) != 9 {
		t.Fatalf("got contexts %q", config.ContextNames())
	}
	for _, name := range config.ContextNames() {
		selected, err := config.Select(name)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := selected.Embed(path); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := selected.Render()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if want := byClientGo(t, path, name); got != want {
			t.Errorf("%s: got\n%s\nclient-go writes\n%s", name, got, want)
		}
	}
}

func TestEmbed_LeavesTheParsedOneAlone(t *testing.T) {
	t.Parallel()
	path, content := written(t)
	config, err := kubeconfig.Parse([]byte(content))
	if err != nil {
		t.Fatal(err)
	}
	before, err := config.Render()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range config.ContextNames() {
		selected, err := config.Select(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := selected.Embed(path); err != nil {
			t.Fatal(err)
		}
	}
	if after, err := config.Render(); err != nil || after != before {
		t.Errorf("got %v and\n%s\nwant\n%s", err, after, before)
	}
}

// Whatever is refused here, client-go refuses too.
func TestParse_RefusesWithoutQuoting(t *testing.T) {
	t.Parallel()
	for _, content := range []string{
		"hunter2",
		"hunter2: [",
		"apiVersion: v1\nkind: Config\nclusters: hunter2\n",
		"apiVersion: v1\nkind: hunter2\n",
		"apiVersion: hunter2\nkind: Config\n",
		"apiVersion: v1\nkind: Config\nusers: [{name: hunter2, user: {token: a}}, {name: hunter2, user: {token: b}}]\n",
		"apiVersion: v1\nkind: Config\nusers: [{name: a, user: {client-key-data: hunter2!}}]\n",
	} {
		_, err := kubeconfig.Parse([]byte(content))
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: got %v", content, err)
		}
		if _, err := clientcmd.Load([]byte(content)); err == nil {
			t.Errorf("%q: client-go takes it", content)
		}
	}
}

func TestParse_TakesWhatClientGoTakes(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"empty":               "",
		"without its version": "kind: Config\n",
		"version alone":       "apiVersion: v1\n",
		"without its kind":    "clusters: []\n",
		"json":                `{"apiVersion":"v1","kind":"Config","clusters":[{"name":"a","cluster":{"server":"https://a"}}]}`,
	} {
		if _, err := kubeconfig.Parse([]byte(content)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := clientcmd.Load([]byte(content)); err != nil {
			t.Errorf("%s: client-go refuses it: %v", name, err)
		}
	}
}

func TestWhatIsMissing_IsNamed(t *testing.T) {
	t.Parallel()
	config, err := kubeconfig.Parse([]byte(`contexts:
- {name: no cluster, context: {cluster: gone, user: me}}
- {name: no user, context: {cluster: here, user: gone}}
- {name: no file, context: {cluster: here, user: me}}
- {name: both, context: {cluster: here, user: both}}
- {name: no -data, context: {cluster: here, user: no -data}}
clusters: [{name: here, cluster: {server: "https://here"}}]
users:
- {name: me, user: {client-certificate: gone.pem, client-key: gone.key}}
- {name: both, user: {client-key: here.key, client-key-data: a2V5}}
- {name: no -data, user: {client-key: ` + strings.Repeat("aHVudGVyMg", 40) + `}}
`))
	if err != nil {
		t.Fatal(err)
	}
	for context, want := range map[string]string{
		"absent":     `context "absent" does not exist`,
		"no cluster": `context "no cluster": cluster "gone" does not exist`,
		"no user":    `context "no user": user "gone" does not exist`,
		"no file":    "client-key names a file that cannot be read: no such file",
		"both":       "client-key and client-key-data are both there",
		"no -data":   "client-key names a file that cannot be read",
	} {
		selected, err := config.Select(context)
		if err == nil {
			err = selected.Embed("")
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "aHVudGVyMg") {
			t.Errorf("%s: got %v, want %s", context, err, want)
		}
	}
}
