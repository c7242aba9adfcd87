package storage

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"ha-iris/internal/guard"
	"ha-iris/internal/live"
)

const ours = "org/project/stack"

// apiServer answers for a cluster: objects by path, without query.
type apiServer struct {
	t  *testing.T
	mu sync.Mutex
	// objects are what GET answers; a string is no JSON but a log.
	objects map[string]any
	// patched are the last patches by path.
	patched map[string]string
	// deleted are the names of deleted Secrets.
	deleted []string
	// status, when it is not 0, is what everything is answered with.
	status int
	// asked counts the questions.
	asked int
}

func (a *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked++
	object, found := a.objects[r.URL.Path]
	switch {
	case a.status != 0:
		w.WriteHeader(a.status)
	case r.Method == http.MethodDelete:
		a.remove(r)
	case r.Method == http.MethodPatch:
		body, _ := io.ReadAll(r.Body)
		if a.patched == nil {
			a.patched = map[string]string{}
		}
		a.patched[r.URL.Path] = string(body)
		_, _ = w.Write([]byte("{}"))
	case !found:
		w.WriteHeader(http.StatusNotFound)
	default:
		if text, ok := object.(string); ok {
			_, _ = w.Write([]byte(text))
			return
		}
		if err := json.NewEncoder(w).Encode(object); err != nil {
			a.t.Errorf("encode %s: %v", r.URL.Path, err)
		}
	}
}

// remove deletes a record and wants to be told which object was meant.
func (a *apiServer) remove(r *http.Request) {
	name := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	var options struct {
		Preconditions struct {
			UID string `json:"uid"`
		} `json:"preconditions"`
	}
	if err := json.NewDecoder(r.Body).Decode(&options); err != nil || options.Preconditions.UID != "uid of "+name {
		a.t.Errorf("delete of %s: uid %q, %v", name, options.Preconditions.UID, err)
	}
	a.deleted = append(a.deleted, name)
	list, _ := a.objects[secretsPath].(items)
	a.objects[secretsPath] = items{slices.DeleteFunc(list.Items, func(item any) bool {
		secret, _ := item.(map[string]any)
		metadata, _ := secret["metadata"].(map[string]any)
		return metadata["name"] == name
	})}
}

type items struct {
	Items []any `json:"items"`
}

// helmSecret is a record as Helm writes it.
func helmSecret(t *testing.T, revision int, status, owner, chart string, age time.Duration) map[string]any {
	t.Helper()
	config := map[string]any{"persistence": map[string]any{}}
	if owner != "" {
		config[ownerKey] = map[string]any{"stack": owner}
	}
	content, err := json.Marshal(map[string]any{
		"config": config, "chart": map[string]any{"metadata": map[string]any{"version": chart}}, "version": revision,
	})
	if err != nil {
		t.Fatal(err)
	}
	var zipped bytes.Buffer
	zip := gzip.NewWriter(&zipped)
	if _, err := zip.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("sh.helm.release.v1.longhorn.v%d", revision)
	return map[string]any{
		"metadata": map[string]any{
			"name": name, "uid": "uid of " + name, "creationTimestamp": testNow().Add(-age).Format(time.RFC3339),
			"labels": map[string]string{"status": status, "version": fmt.Sprint(revision)},
		},
		"data": map[string][]byte{"release": []byte(base64.StdEncoding.EncodeToString(zipped.Bytes()))},
	}
}

func testNow() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

// said is what a keeper logs.
type said struct {
	mu    sync.Mutex
	lines []string
}

func (s *said) log() log {
	add := func(level string) func(string) {
		return func(text string) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.lines = append(s.lines, level+": "+text)
		}
	}
	return log{info: add("info"), warn: add("warn")}
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}

// start serves until the test ends.
func (a *apiServer) start(t *testing.T) *live.Cluster {
	t.Helper()
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	cluster := &live.Cluster{}
	cluster.Connect(fmt.Sprintf(`{"apiVersion": "v1", "kind": "Config", "current-context": "c",
		"contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
		"clusters": [{"name": "c", "cluster": {"server": %q}}], "users": [{"name": "u", "user": {"token": "t"}}]}`, server.URL))
	return cluster
}

// newKeeper looks at a cluster that exists in memory. Its time passes only while it sleeps.
func newKeeper(t *testing.T, objects map[string]any) (*keeper, *apiServer, *said) {
	t.Helper()
	api := &apiServer{t: t, objects: objects}
	cluster := api.start(t)
	now, lines := testNow(), &said{}
	return &keeper{
		live: cluster, owner: ours, class: DefaultClassName, log: lines.log(), budget: driverBudget,
		now:   func() time.Time { return now },
		sleep: func(_ context.Context, length time.Duration) error { now = now.Add(length); return nil },
	}, api, lines
}

// inputs are a resource's, of plain values.
func inputs(values map[string]any) guard.Inputs {
	return guard.InputsOf(resource.NewPropertyMapFromMap(values))
}
