package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/httpstream"
	"k8s.io/apimachinery/pkg/util/httpstream/spdy"
	"k8s.io/client-go/rest"

	"ha-iris/agent/internal/backup"
)

// execServer plays an API server's exec: it prints and ends with a code; less than 0: it breaks the connection, and at 1000 it never ends.
func execServer(t *testing.T, printed string, code int, asked *http.Request) *Remote {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		*asked = *request.Clone(context.WithoutCancel(request.Context()))
		if _, err := httpstream.Handshake(request, writer, []string{"v4.channel.k8s.io"}); err != nil {
			return
		}
		streams := make(chan httpstream.Stream, 3)
		connection := spdy.NewResponseUpgrader().UpgradeResponse(writer, request, func(stream httpstream.Stream, _ <-chan struct{}) error {
			streams <- stream
			return nil
		})
		if connection == nil {
			return
		}
		defer func() { _ = connection.Close() }()
		if code < 0 {
			return
		}
		for range 3 { // error, stdout, stderr
			stream := <-streams
			switch stream.Headers().Get("streamType") {
			case "stdout":
				_, _ = fmt.Fprint(stream, printed)
				_ = stream.Close()
			case "stderr":
				_ = stream.Close()
			case "error":
				defer func() {
					_ = json.NewEncoder(stream).Encode(statusOf(code))
					_ = stream.Close()
					<-connection.CloseChan()
				}()
			}
		}
		if code == 1000 {
			<-connection.CloseChan()
		}
	}))
	t.Cleanup(server.CloseClientConnections)
	remote, err := newRemote(&rest.Config{Host: server.URL}, "iris", "iris")
	if err != nil {
		t.Fatal(err)
	}
	return remote
}

// statusOf is the status of a command that has ended.
func statusOf(code int) metav1.Status {
	if code == 0 {
		return metav1.Status{Status: metav1.StatusSuccess}
	}
	return metav1.Status{
		Status: metav1.StatusFailure, Reason: "NonZeroExitCode", Message: "command terminated",
		Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{{Type: "ExitCode", Message: fmt.Sprint(code)}}},
	}
}

func TestRemote_ReturnsTheExitCode(t *testing.T) {
	t.Parallel()
	for _, want := range []int{0, 5, 3, 137} {
		var asked http.Request
		output, code, err := execServer(t, "said\n", want, &asked).Exec(t.Context(), "iris-a", []string{"/bin/sh", "-c", "a b"})
		if err != nil || code != want || output != "said\n" {
			t.Errorf("got %q, %d, %v, want %d", output, code, err, want)
		}
		query := asked.URL.Query()
		if asked.Method != http.MethodPost || asked.URL.Path != "/api/v1/namespaces/iris/pods/iris-a/exec" || query.Get("container") != "iris" ||
			!slices.Equal(query["command"], []string{"/bin/sh", "-c", "a b"}) {
			t.Errorf("asked %s %s", asked.Method, asked.URL)
		}
	}
}

// What is not an exit code is an error, and the caller's time is kept.
func TestRemote_SaysWhenTheCodeIsNotKnown(t *testing.T) {
	t.Parallel()
	var asked http.Request
	if _, code, err := execServer(t, "", -1, &asked).Exec(t.Context(), "iris-a", []string{"true"}); err == nil || errors.Is(err, backup.ErrNotStarted) {
		t.Errorf("a broken connection: got %d, %v", code, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	begun := time.Now()
	_, _, err := execServer(t, "", 1000, &asked).Exec(ctx, "iris-a", []string{"sleep"})
	if err == nil || errors.Is(err, backup.ErrNotStarted) || time.Since(begun) > 10*time.Second {
		t.Errorf("a command that does not end: got %v after %v", err, time.Since(begun))
	}
	if _, _, err := execServer(t, "", 1000, &asked).Exec(ctx, "iris-a", nil); err == nil || !strings.Contains(err.Error(), "iris/iris-a") {
		t.Errorf("without time: got %v", err)
	}
}

// A server that refuses, or is not there, has started nothing.
func TestRemote_SaysWhenTheCommandWasNotStarted(t *testing.T) {
	t.Parallel()
	refuse := func(code int, text string) http.HandlerFunc {
		return func(writer http.ResponseWriter, _ *http.Request) {
			writer.Header().Set("Content-Type", "application/json")
			writer.WriteHeader(code)
			_, _ = fmt.Fprint(writer, text)
		}
	}
	status := func(code int, reason, message string) http.HandlerFunc {
		return refuse(code, fmt.Sprintf(`{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": %d, "reason": %q, "message": %q}`, code, reason,
			message))
	}
	cut := func(writer http.ResponseWriter, _ *http.Request) {
		if connection, _, err := http.NewResponseController(writer).Hijack(); err == nil {
			_ = connection.Close()
		}
	}
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"no right":         {status(403, "Forbidden", `cannot create resource "pods/exec"`), `cannot create resource "pods/exec"`},
		"a webhook":        {status(400, "BadRequest", "admission webhook x denied the request"), "admission webhook x denied"},
		"no such pod":      {status(404, "NotFound", `pods "iris-a" not found`), `pods "iris-a" not found`},
		"the node is away": {refuse(502, "error dialing backend: dial tcp"), "502 Bad Gateway"},
		"cut off":          {cut, "error sending request"},
		"no answer":        {func(_ http.ResponseWriter, request *http.Request) { <-request.Context().Done() }, "deadline exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(test.answer)
			t.Cleanup(server.CloseClientConnections)
			remote, err := newRemote(&rest.Config{Host: server.URL}, "iris", "iris")
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			_, _, err = remote.Exec(ctx, "iris-a", []string{"true"})
			if !errors.Is(err, backup.ErrNotStarted) || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "iris/iris-a") {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	remote, err := newRemote(&rest.Config{Host: server.URL}, "iris", "iris")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err = remote.Exec(t.Context(), "iris-a", []string{"true"}); !errors.Is(err, backup.ErrNotStarted) {
		t.Errorf("no server: got %v", err)
	}
}

// answered is an upgrade that succeeds.
type answered struct{ httpstream.Connection }

func (answered) NewConnection(*http.Response) (httpstream.Connection, error) { return answered{}, nil }

func (answered) Close() error { return nil }

// Once it was said that nothing was started, nothing is any more.
func TestRemote_AConnectionThatComesTooLateIsNotUsed(t *testing.T) {
	t.Parallel()
	late, early := &opening{Upgrader: answered{}}, &opening{Upgrader: answered{}}
	if late.end() {
		t.Error("it has come about before it was there")
	}
	if _, err := late.NewConnection(nil); err == nil || late.end() {
		t.Errorf("got %v", err)
	}
	if _, err := early.NewConnection(nil); err != nil || !early.end() {
		t.Errorf("got %v", err)
	}
}
