package kubeconfig_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"ha-iris/internal/kubeconfig"
)

const pluginVersion = "client.authentication.k8s.io/v1"

// script writes a credential plugin that notes each run and its question, and then does what body says.
func script(t *testing.T, body string) (plugin *kubeconfig.Exec, runs func() []string) {
	t.Helper()
	directory := t.TempDir()
	command, log := filepath.Join(directory, "plugin"), filepath.Join(directory, "runs")
	content := "#!/bin/sh\necho \"$KUBERNETES_EXEC_INFO\" >>" + log + "\ncd " + directory + "\n" + body
	if err := os.WriteFile(command, []byte(content), 0o700); err != nil {
		t.Fatal(err)
	}
	return &kubeconfig.Exec{Command: command, APIVersion: pluginVersion, InteractiveMode: "Never"}, func() []string {
		content, err := os.ReadFile(log)
		if err != nil {
			return nil
		}
		return strings.Split(strings.TrimSpace(string(content)), "\n")
	}
}

// prints is the body of a plugin that prints a status.
func prints(t *testing.T, status map[string]string) string {
	t.Helper()
	content, err := json.Marshal(map[string]any{"kind": "ExecCredential", "apiVersion": pluginVersion, "status": status})
	if err != nil {
		t.Fatal(err)
	}
	return "cat <<'END'\n" + string(content) + "\nEND\n"
}

func clientOf(t *testing.T, cluster kubeconfig.Cluster, plugin *kubeconfig.Exec) *kubeconfig.Client {
	t.Helper()
	client, err := kubeconfig.New("here", cluster, kubeconfig.User{Exec: plugin}).Client()
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// ask sends a request with all credentials and returns what the server got.
func ask(t *testing.T, client *kubeconfig.Client) (http.Header, int, error) {
	t.Helper()
	response, err := client.Do(t.Context(), http.MethodPost, "/", "application/json", []byte(`{"a":1}`))
	if err != nil {
		return nil, 0, err
	}
	defer response.Body.Close() //nolint:errcheck // Nothing is read.
	return response.Header, response.StatusCode, nil
}

// The question and the credentials are client-go's, whatever the kubeconfig says.
func TestPlugin_IsAskedAsByClientGo(t *testing.T) {
	t.Parallel()
	server, authority := apiServer(t)
	certificate, key := clientCertificate(t, "from-plugin")
	token := map[string]string{"token": "from-plugin"}
	extensions := json.RawMessage(`[{"name":"other","extension":1},{"name":"client.authentication.k8s.io/exec","extension":{"audience":"06e3"}}]`)
	cluster := kubeconfig.Cluster{Server: server.URL + "/prefix", CertificateAuthorityData: authority}
	extended := cluster
	extended.Extensions, extended.TLSServerName, extended.DisableCompression = extensions, "example.com", true
	for name, test := range map[string]struct {
		cluster kubeconfig.Cluster
		status  map[string]string
		change  func(e *kubeconfig.Exec)
	}{
		"token":       {cluster, token, func(*kubeconfig.Exec) {}},
		"certificate": {cluster, map[string]string{"clientCertificateData": string(certificate), "clientKeyData": string(key)}, func(*kubeconfig.Exec) {}},
		"both": {
			cluster,
			map[string]string{"token": "t", "clientCertificateData": string(certificate), "clientKeyData": string(key)},
			func(*kubeconfig.Exec) {},
		},
		"if available":   {cluster, token, func(e *kubeconfig.Exec) { e.InteractiveMode = "IfAvailable" }},
		"the cluster":    {cluster, token, func(e *kubeconfig.Exec) { e.ProvideClusterInfo = true }},
		"all of it":      {extended, token, func(e *kubeconfig.Exec) { e.ProvideClusterInfo = true }},
		"unused cluster": {extended, token, func(*kubeconfig.Exec) {}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plugin, runs := script(t, prints(t, test.status))
			test.change(plugin)
			client := clientOf(t, test.cluster, plugin)
			if !client.GetIsAnonymous() {
				t.Error("Get is not anonymous")
			}
			got, _, err := ask(t, client)
			if err != nil {
				t.Fatal(err)
			}
			want := byClientGosClient(t, kubeconfig.New("here", test.cluster, kubeconfig.User{Exec: plugin}))
			_ = want.Body.Close()
			for _, field := range []string{"Got-Authorization", "Got-Certificate"} {
				if got.Get(field) != want.Header.Get(field) {
					t.Errorf("%s: got %q, client-go sends %q", field, got.Get(field), want.Header.Get(field))
				}
			}
			questions := runs()
			if len(questions) != 2 {
				t.Fatalf("run %d times, want once by each", len(questions))
			}
			var ours, theirs any
			if err := errors.Join(json.Unmarshal([]byte(questions[0]), &ours), json.Unmarshal([]byte(questions[1]), &theirs)); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(ours, theirs) {
				t.Errorf("asked %s\nclient-go asks %s", questions[0], questions[1])
			}
		})
	}
}

func TestPlugin_GetsItsArgumentsAndVariables(t *testing.T) {
	t.Parallel()
	server, authority := apiServer(t)
	plugin, _ := script(t, `[ "$1 $2" = "get token" ] && [ "$PROFILE" = prod ] && [ -n "$PATH" ] || exit 1`+"\n"+prints(t, map[string]string{"token": "t"}))
	plugin.Args, plugin.Env = []string{"get", "token"}, []kubeconfig.EnvironmentItem{{Name: "PROFILE", Value: "prod"}}
	if _, _, err := ask(t, clientOf(t, kubeconfig.Cluster{Server: server.URL, CertificateAuthorityData: authority}, plugin)); err != nil {
		t.Error(err)
	}
}

// Each of these runs costs a second with some plugins, and opens a browser with others.
func TestPlugin_IsRunOnceForAll(t *testing.T) {
	t.Parallel()
	server, authority := apiServer(t)
	cluster := kubeconfig.Cluster{Server: server.URL, CertificateAuthorityData: authority}
	plugin, runs := script(t, prints(t, map[string]string{"token": "t", "expirationTimestamp": "2100-01-01T00:00:00Z"}))
	client := clientOf(t, cluster, plugin)
	failing, failures := script(t, "echo denied >&2; exit 3\n")
	broken := clientOf(t, cluster, failing)
	if response, err := client.Get(t.Context(), "/version"); err != nil || len(runs()) != 0 {
		t.Fatalf("%v, run %d times by Get", err, len(runs()))
	} else {
		_ = response.Body.Close()
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, _, err := ask(t, client); err != nil {
				t.Error(err)
			}
			if _, _, err := ask(t, broken); err == nil || !strings.HasSuffix(err.Error(), "exit status 3: denied") {
				t.Errorf("got %v", err)
			}
		})
	}
	all.Wait()
	if len(runs()) != 1 || len(failures()) != 1 {
		t.Errorf("run %d times, the failing one %d times", len(runs()), len(failures()))
	}
}

func TestPlugin_IsRunAgainWhenItsCredentialsAreOver(t *testing.T) {
	t.Parallel()
	// It prints t1, t2 and so on; the server takes a token for a time.
	body := `n=$(wc -l <runs | tr -d ' ')
printf '{"kind":"ExecCredential","apiVersion":"` + pluginVersion + `","status":{"token":"t%s"EXPIRES}}' "$n"`
	for name, test := range map[string]struct {
		expires string
		takes   []string // The token that is valid at each request.
		want    []int
		runs    int
	}{
		"not known":        {"", []string{"t1", "t1", "t2", "t2"}, []int{200, 200, 200, 200}, 2},
		"never accepted":   {"", []string{"other", "other"}, []int{401, 401}, 1},
		"refused for good": {"", []string{"t1", "other", "other"}, []int{200, 401, 401}, 2},
		"expired":          {`,"expirationTimestamp":"2001-01-01T00:00:00Z"`, []string{"t1", "t2"}, []int{200, 200}, 2},
		"not expired":      {`,"expirationTimestamp":"2100-01-01T00:00:00Z"`, []string{"t1", "t1"}, []int{200, 200}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			valid := ""
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body := make([]byte, 100)
				n, _ := r.Body.Read(body)
				if r.Header.Get("Authorization") != "Bearer "+valid || string(body[:n]) != `{"a":1}` {
					w.WriteHeader(http.StatusUnauthorized)
				}
			}))
			defer server.Close()
			plugin, runs := script(t, strings.ReplaceAll(body, "EXPIRES", strings.ReplaceAll(test.expires, "%", "%%")))
			client := clientOf(t, kubeconfig.Cluster{Server: server.URL}, plugin)
			for i, token := range test.takes {
				valid = token
				if _, status, err := ask(t, client); err != nil || status != test.want[i] {
					t.Errorf("request %d: got %d, %v", i, status, err)
				}
			}
			if len(runs()) != test.runs {
				t.Errorf("run %d times, want %d", len(runs()), test.runs)
			}
		})
	}
}

// What a plugin prints is a credential, even when it is wrong; what it complains of is not.
func TestPluginsFailures_AreSaidAndItsOutputIsNot(t *testing.T) {
	t.Parallel()
	certificate, key := clientCertificate(t, "me")
	other, _ := clientCertificate(t, "me")
	_ = key
	answer := func(fields string) string { return "echo '{" + fields + "}'\n" }
	head := `"kind":"ExecCredential","apiVersion":"` + pluginVersion + `"`
	for want, body := range map[string]string{
		"exit status 7: Unable to locate credentials. Run login": "echo hunter2; echo 'Unable to locate credentials.\n  Run login' >&2; exit 7\n",
		"exit status 1: ...":                "echo hunter2; for i in 1 2 3 4 5 6 7 8 9; do printf '%0100d' 7 >&2; done; exit 1\n",
		"exit status 2":                     "echo hunter2; exit 2\n",
		"is not an ExecCredential":          "echo hunter2\n",
		"not an ExecCredential":             answer(`"kind":"hunter2","apiVersion":"` + pluginVersion + `","status":{"token":"hunter2"}`),
		"of another apiVersion than client": answer(`"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1beta1","status":{"token":"hunter2"}`),
		"neither a token nor":               answer(head),
		"a token nor a certificate":         answer(head + `,"status":{}`),
		"only one of them":                  answer(head + `,"status":{"clientKeyData":"hunter2"}`),
		"do not belong together":            prints(t, map[string]string{"clientCertificateData": string(other), "clientKeyData": string(key)}) + "#" + string(certificate[:0]),
	} {
		plugin, _ := script(t, body)
		_, _, err := ask(t, clientOf(t, kubeconfig.Cluster{Server: "https://127.0.0.1:1"}, plugin))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") ||
			!strings.Contains(err.Error(), "credential plugin "+plugin.Command) || len(err.Error()) > 1000 {
			t.Errorf("%s: got %v", want, err)
		}
	}
}

func TestPluginWithoutEnd_IsEnded(t *testing.T) {
	t.Parallel()
	plugin, runs := script(t, "sleep 15 & sleep 15\n")
	client := clientOf(t, kubeconfig.Cluster{Server: "https://127.0.0.1:1"}, plugin)
	for range 2 { // It is not the plugin's fault: another request runs it again.
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		start := time.Now()
		if err := client.Login(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 10*time.Second {
			t.Errorf("got %v after %s", err, time.Since(start))
		}
		cancel()
	}
	if len(runs()) != 2 {
		t.Errorf("run %d times", len(runs()))
	}
}

func TestPluginThatAsksQuestions_IsRefused(t *testing.T) {
	t.Parallel()
	plugin, runs := script(t, prints(t, map[string]string{"token": "t"}))
	plugin.InteractiveMode = "Always"
	_, err := kubeconfig.New("here", kubeconfig.Cluster{Server: "https://127.0.0.1:1"}, kubeconfig.User{Exec: plugin}).Client()
	if err == nil || !strings.Contains(err.Error(), "wants a terminal") || len(runs()) != 0 {
		t.Errorf("got %v", err)
	}
}
