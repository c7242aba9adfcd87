package watchman

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"ha-iris/agent/internal/alive"
)

func ask(t *testing.T, handler http.Handler, method, path string) *httptest.ResponseRecorder {
	t.Helper()
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), method, path, nil))
	return answer
}

func TestHandler(t *testing.T) {
	t.Parallel()
	var ready atomic.Bool
	metrics := NewMetrics()
	say := func(node string, reaches bool) alive.Says { return alive.Says(fmt.Sprintf("of %s, %v", node, reaches)) }
	handler := Handler(`n"1`, say, ready.Load, metrics)
	var said alive.Answer
	answer := ask(t, handler, http.MethodGet, "/alive?"+alive.Question("n 2", true).Encode())
	if err := json.Unmarshal(answer.Body.Bytes(), &said); err != nil || answer.Code != http.StatusOK || said != (alive.Answer{Node: `n"1`, Says: "of n 2, true"}) ||
		answer.Header().Get("Content-Type") != "application/json" {
		t.Errorf("/alive: got %d, %q, %v", answer.Code, answer.Body.String(), err)
	}
	for _, want := range []int{http.StatusServiceUnavailable, http.StatusOK} {
		if got := ask(t, handler, http.MethodGet, "/readyz").Code; got != want {
			t.Errorf("/readyz: got %d, want %d", got, want)
		}
		ready.Store(true)
	}
	if got := ask(t, handler, http.MethodGet, "/healthz").Code; got != http.StatusOK {
		t.Errorf("/healthz: got %d", got)
	}
	metrics.leads(true)
	if got := ask(t, handler, http.MethodGet, "/metrics").Body.String(); !strings.Contains(got, "\nha_iris_guard_leader 1\n") {
		t.Errorf("/metrics: got %s", got)
	}
	for path, method := range map[string]string{"/": http.MethodGet, "/alive": http.MethodPost} {
		if got := ask(t, handler, method, path).Code; got < http.StatusBadRequest {
			t.Errorf("%s %s: got %d", method, path, got)
		}
	}
}

func TestServe_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, listener, http.NotFoundHandler()) }()
	stop()
	if err := <-ended; err != nil {
		t.Errorf("got %v", err)
	}
	if err := Serve(t.Context(), listener, http.NotFoundHandler()); err == nil {
		t.Error("a listener that is closed is no error")
	}
}
