package cluster

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/kubeconfig"
	"ha-iris/internal/secret"
	"ha-iris/internal/survey"
	"ha-iris/internal/testkit"
)

func kubeconfigFor(t *testing.T, server string) *kubeconfig.Config {
	t.Helper()
	content := strings.Replace(plainKubeconfig, "https://127.0.0.1:1", server, 1)
	selected, err := selectContext([]byte(content), "", "here", "kubeconfig")
	if err != nil {
		t.Fatal(err)
	}
	return selected
}

func TestCheckReachable_SaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{
		http.StatusOK:           "",
		http.StatusUnauthorized: "refuses the credentials (401 Unauthorized)",
		http.StatusForbidden:    "refuses the credentials (403 Forbidden)",
		http.StatusNotFound:     "answered 404 Not Found instead of its version",
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		_, err := checkReachable(t.Context(), kubeconfigFor(t, server.URL))
		server.Close()
		switch {
		case want == "" && err != nil:
			t.Errorf("%d: %v", status, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%d: got %v, want %s", status, err, want)
		case err != nil && (!strings.Contains(err.Error(), `context "here"`) || strings.Contains(err.Error(), "s3cr3t")):
			t.Errorf("%d: must name the context and not the token: %v", status, err)
		}
	}
}

func TestCheckReachable_NamesContextServerAndCommand(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close() // Nobody listens there any more.
	_, err := checkReachable(t.Context(), kubeconfigFor(t, server.URL))
	if err == nil {
		t.Fatal("reached a closed port")
	}
	for _, want := range []string{`context "here"`, server.URL, "cannot be reached", "kubectl --context here version"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in: %v", want, err)
		}
	}
}

func TestWhere_ShowsNoPassword(t *testing.T) {
	t.Parallel()
	for server, want := range map[string]string{
		"https://admin:hunter2@db.example.com:6443": "https://admin:xxxxx@db.example.com:6443", "https://10.0.0.1": "https://10.0.0.1",
		"https://admin:hunter2@a b": "not a URL",
	} {
		got := where(kubeconfig.New("c", kubeconfig.Cluster{Server: server}, kubeconfig.User{}))
		if !strings.Contains(got, "(server "+want+")") {
			t.Errorf("%s: got %s", server, got)
		}
	}
}

func TestExisting_TakesExactlyOneKubeconfig(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(path, []byte(plainKubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, path string
		secret     secret.Value
		want       string
	}{
		{"file", path, secret.Value{}, ""},
		{"secret", "", secret.New(plainKubeconfig), ""},
		{"both", path, secret.New(plainKubeconfig), "cluster.kubeconfigPath: got a path while the secret kubeconfig is set too"},
		{"neither", "", secret.Value{}, "cluster.kubeconfigPath: got nothing"},
		{"absent file", path + "-absent", secret.Value{}, fmt.Sprintf("cluster.kubeconfigPath: got %q, want a readable kubeconfig file", path+"-absent")},
	} {
		cfg := Config{Cloud: Existing, KubeconfigPath: test.path, Kubeconfig: test.secret}
		got, err := cfg.existingKubeconfig()
		switch {
		case test.want == "" && (err != nil || len(got.Users) != 1 || got.Users[0].User.Token != "s3cr3t-token"):
			t.Errorf("%s: got %v", test.name, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: got %v, want %s", test.name, err, test.want)
		}
	}
}

func TestCheckReachable_LeavesPluginsToTheProvider(t *testing.T) {
	t.Parallel()
	ran, plugin := filepath.Join(t.TempDir(), "ran"), filepath.Join(t.TempDir(), "plugin")
	if err := os.WriteFile(plugin, []byte("#!/bin/sh\ntouch "+ran+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	defer server.Close()
	config := kubeconfig.New("here", kubeconfig.Cluster{Server: server.URL}, kubeconfig.User{Exec: &kubeconfig.Exec{
		Command: plugin, APIVersion: execVersion, InteractiveMode: "Never",
	}})
	if _, err := checkReachable(t.Context(), config); err != nil {
		t.Errorf("a server that refuses strangers is there: %v", err)
	}
	if _, err := os.Stat(ran); err == nil {
		t.Error("the plugin was run")
	}
	strangers := kubeconfig.New("here", kubeconfig.Cluster{Server: server.URL}, kubeconfig.User{})
	if _, err := checkReachable(t.Context(), strangers); err == nil || !strings.Contains(err.Error(), "refuses the credentials") {
		t.Errorf("no credentials at all: got %v", err)
	}
	config.Users[0].User.Exec.Command, config.Users[0].User.Exec.InstallHint = "no-such-plugin", "Get it at example.com."
	_, err := checkReachable(t.Context(), config)
	if err == nil || !strings.Contains(err.Error(), "Get it at example.com.") || strings.Contains(err.Error(), "cannot be reached") {
		t.Errorf("an absent plugin: got %v", err)
	}
}

// A server that takes no strangers, as most do that are not asked for their version by everybody.
func TestCheckReachable_TakesEveryKindOfUser(t *testing.T) {
	t.Parallel()
	claims := func(expires time.Time) string {
		return "e30." + base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"exp":%d}`, expires.Unix())) + ".c2ln"
	}
	fresh, expired := claims(time.Now().Add(time.Hour)), claims(time.Now().Add(-time.Hour))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+fresh {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer server.Close()
	oidc := func(idToken, refresh string) kubeconfig.User {
		return kubeconfig.User{AuthProvider: &kubeconfig.AuthProvider{Name: "oidc", Config: map[string]string{
			"idp-issuer-url": "https://127.0.0.1:1", "client-id": "kubernetes", "id-token": idToken, "refresh-token": refresh,
		}}}
	}
	plugin := &kubeconfig.Exec{Command: "false", APIVersion: execVersion, InteractiveMode: "Never"}
	absent := filepath.Join(t.TempDir(), "absent")
	for name, test := range map[string]struct {
		user kubeconfig.User
		want string
	}{
		"token":              {kubeconfig.User{Token: fresh}, ""},
		"plugin":             {kubeconfig.User{Exec: plugin}, ""},
		"oidc":               {oidc(fresh, "hunter2"), ""},
		"oidc, expired":      {oidc(expired, "hunter2"), ""},
		"oidc, over":         {oidc(expired, ""), "its kubeconfig cannot be used: auth-provider oidc: the id-token has expired"},
		"another token":      {kubeconfig.User{Token: "hunter2"}, "refuses the credentials"},
		"token and a plugin": {kubeconfig.User{Token: "hunter2", Exec: plugin}, "refuses the credentials"},
		"no token file":      {kubeconfig.User{TokenFile: absent}, "its kubeconfig cannot be used: tokenFile names a file that cannot be read"},
		"azure":              {kubeconfig.User{AuthProvider: &kubeconfig.AuthProvider{Name: "azure"}}, "kubelogin"},
	} {
		client, err := checkReachable(t.Context(), kubeconfig.New("here", kubeconfig.Cluster{Server: server.URL}, test.user))
		switch {
		case test.want == "" && (err != nil || client == nil):
			t.Errorf("%s: got %v", name, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hunter2")):
			t.Errorf("%s: got %v, want %s", name, err, test.want)
		}
	}
}

// The findings come before anything is registered, in a preview before anything in the cluster is, the warnings and the reasons at
// once, and a plugin is run once for all that the program asks.
func TestNew_LooksAtAnExistingCluster(t *testing.T) {
	t.Parallel()
	version := "33"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Authorization") != "Bearer s3cr3t-token":
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/version":
			_, _ = fmt.Fprintf(w, `{"major":"1","minor":%q,"gitVersion":"v1.%s.0"}`, version, version)
		case r.URL.Path == "/api/v1/nodes":
			w.WriteHeader(http.StatusForbidden)
		case r.Method == http.MethodPost:
			_, _ = fmt.Fprint(w, `{"status":{"allowed":true}}`)
		case strings.HasSuffix(r.URL.Path, "classes") || strings.HasSuffix(r.URL.Path, "quotas") || strings.HasSuffix(r.URL.Path, "ranges"):
			_, _ = fmt.Fprint(w, `{"items":[]}`)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer server.Close()
	runs, plugin := filepath.Join(t.TempDir(), "runs"), filepath.Join(t.TempDir(), "plugin")
	answer := `{"kind":"ExecCredential","apiVersion":"` + execVersion + `","status":{"token":"s3cr3t-token"}}`
	if err := os.WriteFile(plugin, []byte("#!/bin/sh\necho run >>"+runs+"\necho '"+answer+"'\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	text, err := kubeconfig.New("here", kubeconfig.Cluster{Server: server.URL}, kubeconfig.User{Exec: &kubeconfig.Exec{
		Command: plugin, APIVersion: execVersion, InteractiveMode: "Never",
	}}).Render()
	if err != nil {
		t.Fatal(err)
	}
	cfg := valid(Existing)
	cfg.Kubeconfig, cfg.Context = secret.New(text), "here"
	needs := &survey.Needs{Storage: survey.Storage{ClassName: "fast"}, Database: survey.Database{Namespace: "iris", Deployment: "iris", Claim: "iris-pvc"}}
	look := func(needs *survey.Needs, preview bool) (*testkit.Recorder, error) {
		recorder := &testkit.Recorder{}
		return recorder, recorder.Run(func(ctx *pulumi.Context) error {
			made, err := New(ctx, "cluster", &Args{Config: cfg, Needs: needs})
			if err != nil {
				return err
			}
			_, err = made.Live.Get(ctx.Context(), "/version", nil)
			return err
		}, testkit.Options{Preview: preview})
	}
	for preview, registered := range map[bool]int{false: 0, true: 2} { // In a preview the component and the Kubernetes provider.
		recorder, err := look(needs, preview)
		if err == nil || !strings.Contains(err.Error(), `context "here"`) || strings.Contains(err.Error(), "s3cr3t") || !strings.Contains(err.Error(),
			"this stack cannot run there as it is configured; nothing was changed:\n  - storage.className: got \"fast\", want a class that exists") {
			t.Errorf("preview %t: got %v", preview, err)
		}
		if got := len(recorder.Registrations()) - 1; got > registered { // Without the stack itself.
			t.Errorf("preview %t: registered\n%s", preview, recorder.Golden())
		}
	}
	version, needs.Storage.Install = "28", true
	if _, err := look(needs, true); err == nil || !strings.Contains(err.Error(), "got a cluster with Kubernetes v1.28.0") {
		t.Errorf("got %v", err)
	}
	if _, err := look(nil, true); err != nil {
		t.Errorf("asked for nothing, and got %v", err)
	}
	version = "33"
	if err := os.Remove(runs); err != nil {
		t.Fatal(err)
	}
	if _, err := look(needs, true); err != nil {
		t.Errorf("a node list that may not be read: %v", err)
	}
	if content, err := os.ReadFile(runs); err != nil || string(content) != "run\n" {
		t.Errorf("the plugin was run: %q, %v", content, err)
	}
}
