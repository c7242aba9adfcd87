package kube

import (
	"context"
	"encoding/json"
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
	if _, code, err := execServer(t, "", -1, &asked).Exec(t.Context(), "iris-a", []string{"true"}); err == nil {
		t.Errorf("a broken connection: got %d", code)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	begun := time.Now()
	_, _, err := execServer(t, "", 1000, &asked).Exec(ctx, "iris-a", []string{"sleep"})
	if err == nil || time.Since(begun) > 10*time.Second {
		t.Errorf("a command that does not end: got %v after %v", err, time.Since(begun))
	}
	if _, _, err := execServer(t, "", 1000, &asked).Exec(ctx, "iris-a", nil); err == nil || !strings.Contains(err.Error(), "iris/iris-a") {
		t.Errorf("without time: got %v", err)
	}
}
