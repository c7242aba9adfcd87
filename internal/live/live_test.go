package live_test

import (
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"ha-iris/internal/kubeconfig"
	"ha-iris/internal/live"
)

const token = "hunter2-token"

// apiServer runs a handler as an API server that knows one token, and counts connections.
func apiServer(t *testing.T, handler http.HandlerFunc) (text string, connections *atomic.Int32) {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		handler(w, r)
	}))
	connections = &atomic.Int32{}
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return render(t, kubeconfig.Cluster{Server: server.URL, CertificateAuthorityData: authority}, kubeconfig.User{Token: token}), connections
}

func render(t *testing.T, cluster kubeconfig.Cluster, user kubeconfig.User) string {
	t.Helper()
	text, err := kubeconfig.New("here", cluster, user).Render()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func connected(t *testing.T, handler http.HandlerFunc) *live.Cluster {
	t.Helper()
	text, _ := apiServer(t, handler)
	cluster := &live.Cluster{}
	cluster.Connect(text)
	return cluster
}

type named struct {
	Metadata struct {
		Name, UID string
	}
}

func TestGet_ReadsWhatIsThere(t *testing.T) {
	t.Parallel()
	cluster := connected(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.String() != "/api/v1/namespaces?limit=2" {
			t.Errorf("got %s %s", r.Method, r.URL)
		}
		_, _ = io.WriteString(w, `{"metadata":{"name":"iris","uid":"7"},"unknown":[{}]}`)
	})
	var got named
	found, err := cluster.Get(t.Context(), "/api/v1/namespaces?limit=2", &got)
	if err != nil || !found || got.Metadata.Name != "iris" || got.Metadata.UID != "7" {
		t.Errorf("got %v, %v, %v", got, found, err)
	}
	if found, err := cluster.Get(t.Context(), "/api/v1/namespaces?limit=2", nil); err != nil || !found {
		t.Errorf("without a place to put it: %v, %v", found, err)
	}
}

func TestWhatTheServerAnswers_IsSaid(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status  int
		content string
		found   bool
		want    string // In the error's text; empty: none.
	}{
		"absent":           {404, `{"kind":"Status","message":"namespaces \"iris\" not found"}`, false, ""},
		"forbidden":        {403, `{"kind":"Status","message":"nodes is forbidden: no right"}`, false, "GET /x: nodes is forbidden: no right"},
		"no text":          {500, ``, false, "GET /x: 500 Internal Server Error"},
		"a proxy's text":   {502, `<html>bad gateway</html>`, false, "GET /x: 502 Bad Gateway"},
		"empty text":       {409, `{"message":" "}`, false, "GET /x: 409 Conflict"},
		"not JSON":         {200, `<html>log in: hunter2</html>`, false, "GET /x: the answer is not the JSON of an API server"},
		"another type":     {200, `{"metadata":[]}`, false, "GET /x: the answer is not the JSON of an API server"},
		"nothing":          {200, ``, false, "GET /x: the answer is not the JSON of an API server"},
		"what it asks for": {200, `{}`, true, ""},
	} {
		cluster := connected(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(test.status)
			_, _ = io.WriteString(w, test.content)
		})
		found, err := cluster.Get(t.Context(), "/x", &named{})
		if found != test.found || (test.want == "") != (err == nil) || (err != nil && err.Error() != test.want) {
			t.Errorf("%s: got %v, %v, want %q", name, found, err, test.want)
		}
		var status *live.StatusError
		if isStatus := test.status > 299 && test.want != ""; errors.As(err, &status) != isStatus || (isStatus && status.Code != test.status) {
			t.Errorf("%s: got %#v", name, err)
		}
	}
}

func TestDelete_NamesTheOneObject(t *testing.T) {
	t.Parallel()
	status := http.StatusOK
	cluster := connected(t, func(w http.ResponseWriter, r *http.Request) {
		var options struct {
			Preconditions struct{ UID string }
		}
		if err := json.NewDecoder(r.Body).Decode(&options); err != nil || r.Method != http.MethodDelete || r.URL.Path != "/x" ||
			options.Preconditions.UID != "7" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("got %s %s with %v (%v)", r.Method, r.URL, options, err)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"message":"the UID in the precondition (7) does not match"}`)
	})
	for answer, want := range map[int]string{200: "", 202: "", 404: "", 409: "does not match"} {
		status = answer
		err := cluster.Delete(t.Context(), "/x", "7")
		if (want == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("%d: got %v", answer, err)
		}
	}
}

func TestCreate_SendsTheObject(t *testing.T) {
	t.Parallel()
	status := http.StatusCreated
	cluster := connected(t, func(w http.ResponseWriter, r *http.Request) {
		content, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPost || r.URL.String() != "/x?dryRun=All" || string(content) != `{"a":1}` ||
			r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("got %s %s %s (%v)", r.Method, r.URL, content, err)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"metadata":{"name":"made"},"message":"said so"}`)
	})
	var made named
	if err := cluster.Create(t.Context(), "/x?dryRun=All", map[string]int{"a": 1}, &made); err != nil || made.Metadata.Name != "made" {
		t.Errorf("got %v, %v", made, err)
	}
	// Nothing was made, whatever Get and Delete make of a 404.
	for _, answer := range []int{404, 403, 422} {
		status = answer
		var refused *live.StatusError
		if err := cluster.Create(t.Context(), "/x?dryRun=All", map[string]int{"a": 1}, nil); !errors.As(err, &refused) || refused.Code != answer {
			t.Errorf("%d: got %v", answer, err)
		}
	}
	if err := cluster.Create(t.Context(), "/x", func() {}, nil); err == nil {
		t.Error("a function was sent")
	}
}

func TestPatch_SendsAMergePatch(t *testing.T) {
	t.Parallel()
	status := http.StatusOK
	cluster := connected(t, func(w http.ResponseWriter, r *http.Request) {
		content, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPatch || r.URL.Path != "/x" || string(content) != `{"a":null}` ||
			r.Header.Get("Content-Type") != "application/merge-patch+json" {
			t.Errorf("got %s %s %s (%v)", r.Method, r.URL, content, err)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"message":"no"}`)
	})
	for answer, want := range map[int]bool{200: true, 404: false} {
		status = answer
		if found, err := cluster.Patch(t.Context(), "/x", map[string]any{"a": nil}); err != nil || found != want {
			t.Errorf("%d: got %v, %v", answer, found, err)
		}
	}
	status = http.StatusConflict
	var refused *live.StatusError
	if _, err := cluster.Patch(t.Context(), "/x", map[string]any{"a": nil}); !errors.As(err, &refused) || refused.Code != status {
		t.Errorf("got %v", err)
	}
	if _, err := cluster.Patch(t.Context(), "/x", func() {}); err == nil {
		t.Error("a function was sent")
	}
}

func TestUnknownCluster_IsNotAsked(t *testing.T) {
	t.Parallel()
	cluster := &live.Cluster{}
	if _, err := cluster.Get(t.Context(), "/x", nil); cluster.Known() || err == nil || err.Error() != "the cluster is not known yet" {
		t.Errorf("got %v", err)
	}
	if err := cluster.Login(t.Context()); err == nil {
		t.Error("logged in to nothing")
	}
	cluster.Connect("hunter2: [")
	if _, err := cluster.Get(t.Context(), "/x", nil); !cluster.Known() || err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}

// All at once, over one connection when it is there already, and one run of the plugin for all.
func TestManyQuestionsAtOnce(t *testing.T) {
	t.Parallel()
	text, connections := apiServer(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, `{"metadata":{"name":%q}}`, r.URL.Path)
	})
	config, err := kubeconfig.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	runs := filepath.Join(t.TempDir(), "runs")
	plugin := filepath.Join(t.TempDir(), "plugin")
	content := "#!/bin/sh\necho run >>" + runs + `
echo '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","status":{"token":"` + token + `"}}'` + "\n"
	if err := os.WriteFile(plugin, []byte(content), 0o700); err != nil {
		t.Fatal(err)
	}
	text = render(t, config.Clusters[0].Cluster, kubeconfig.User{Exec: &kubeconfig.Exec{
		Command: plugin, APIVersion: "client.authentication.k8s.io/v1", InteractiveMode: "Never",
	}})
	cluster := &live.Cluster{}
	cluster.Connect(text)
	if err := cluster.Login(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := cluster.Get(t.Context(), "/first", nil); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			cluster.Connect(text) // As the provider's kubeconfig becomes known again.
			path := fmt.Sprintf("/%d", i)
			var got named
			if found, err := cluster.Get(t.Context(), path, &got); err != nil || !found || got.Metadata.Name != path {
				t.Errorf("%s: got %v, %v, %v", path, got, found, err)
			}
		})
	}
	all.Wait()
	if connections.Load() != 1 {
		t.Errorf("%d connections", connections.Load())
	}
	if content, err := os.ReadFile(runs); err != nil || string(content) != "run\n" {
		t.Errorf("the plugin was run: %q, %v", content, err)
	}
}

func TestAnotherKubeconfig_IsAnotherCluster(t *testing.T) {
	t.Parallel()
	cluster := &live.Cluster{}
	for _, name := range []string{"one", "two"} {
		text, _ := apiServer(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintf(w, `{"metadata":{"name":%q}}`, name) })
		cluster.Connect(text)
		var got named
		if _, err := cluster.Get(t.Context(), "/x", &got); err != nil || got.Metadata.Name != name {
			t.Errorf("got %v, %v, want %s", got, err, name)
		}
	}
}

func TestBigAnswers(t *testing.T) {
	t.Parallel()
	size := 0
	cluster := connected(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"metadata":{"name":"big"},"padding":"`)
		chunk := strings.Repeat("x", 1<<20)
		for range size {
			_, _ = io.WriteString(w, chunk)
		}
		_, _ = io.WriteString(w, `"}`)
	})
	for size = range []int{0, 1} {
		size *= 20
		var got named
		if found, err := cluster.Get(t.Context(), "/x", &got); err != nil || !found || got.Metadata.Name != "big" {
			t.Errorf("%d MiB: got %v, %v", size, found, err)
		}
	}
	size = 64
	if _, err := cluster.Get(t.Context(), "/x", &named{}); err == nil || !strings.Contains(err.Error(), "more than 64 MiB") {
		t.Errorf("got %v", err)
	}
}
