package kube

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// connect is a cluster behind a server that answers every list with nothing, and with some header Date.
func connect(t *testing.T, answer http.HandlerFunc) *Reader {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	path := filepath.Join(t.TempDir(), "kubeconfig")
	kubeconfig := `{apiVersion: v1, kind: Config, current-context: a, contexts: [{name: a, context: {cluster: a, user: a}}], ` +
		`users: [{name: a, user: {token: sesame}}], clusters: [{name: a, cluster: {server: "` + server.URL + `"}}]}`
	if err := os.WriteFile(path, []byte(kubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	cluster, err := Connect(path, "test")
	if err != nil {
		t.Fatal(err)
	}
	return NewReader(cluster, target)
}

func empty(writer http.ResponseWriter, request *http.Request) {
	kind, version := "NodeList", "v1"
	switch {
	case strings.HasSuffix(request.URL.Path, "/pods"):
		kind = "PodList"
	case strings.HasSuffix(request.URL.Path, "/leases"):
		kind, version = "LeaseList", "coordination.k8s.io/v1"
	}
	writer.Header().Set("Content-Type", "application/json")
	_, _ = writer.Write([]byte(`{"kind":"` + kind + `","apiVersion":"` + version + `","items":[]}`))
}

// The time is that of the headers, the newest of one look, and not the one of an earlier look.
func TestDates_TheTimeOfTheAnswers(t *testing.T) {
	t.Parallel()
	var hour atomic.Int64
	reader := connect(t, func(writer http.ResponseWriter, request *http.Request) {
		date := now.Add(time.Duration(hour.Load()) * time.Hour)
		if strings.HasSuffix(request.URL.Path, "/nodes") {
			date = date.Add(2 * time.Second)
		}
		writer.Header().Set("Date", date.Format(http.TimeFormat))
		empty(writer, request)
	})
	for _, ahead := range []int64{0, -1} { // the second look is at an API server whose clock is behind
		hour.Store(ahead)
		world, at, err := reader.World(t.Context())
		if want := now.Add(time.Duration(ahead)*time.Hour + 2*time.Second); err != nil || !at.Equal(want) || len(world.Nodes) > 0 {
			t.Errorf("got %v, %v, want %v", at, err, want)
		}
	}
}

func TestDates_NoneIsAnError(t *testing.T) {
	t.Parallel()
	reader := connect(t, func(writer http.ResponseWriter, request *http.Request) {
		writer.Header()["Date"] = nil
		empty(writer, request)
	})
	if _, at, err := reader.World(t.Context()); !errors.Is(err, errNoDate) {
		t.Errorf("got %v, %v", at, err)
	}
}

// A request that hangs ends after its time-out, and the next one goes over another connection.
func TestConnect_RequestsAreBounded(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	addresses := make(chan string, 2)
	reader := connect(t, func(_ http.ResponseWriter, request *http.Request) {
		addresses <- request.RemoteAddr + " " + request.Proto
		select {
		case <-ended:
		case <-request.Context().Done():
		}
	})
	defer close(ended)
	for range 2 {
		begun := time.Now()
		if _, _, err := reader.World(t.Context()); err == nil || time.Since(begun) > 2*requestTimeout {
			t.Errorf("got %v after %v", err, time.Since(begun))
		}
	}
	if first, second := <-addresses, <-addresses; first == second || !strings.HasSuffix(first, "HTTP/1.1") {
		t.Errorf("got %s and %s", first, second)
	}
}

func TestConnect_SaysWhichConfiguration(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "missing")
	if _, err := Connect(missing, "test"); err == nil || !strings.Contains(err.Error(), missing) {
		t.Errorf("got %v", err)
	}
}
