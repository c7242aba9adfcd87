package fencer

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// socketDirectory has a path that is short enough for a socket.
func socketDirectory(t *testing.T) string {
	t.Helper()
	directory, err := os.MkdirTemp("", "fence")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(directory) })
	return directory
}

// answering serves the replies, one after the other, the last one again and again.
func answering(t *testing.T, directory string, replies ...string) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", filepath.Join(directory, socketFile))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(response http.ResponseWriter, _ *http.Request) {
		_, _ = response.Write([]byte(replies[0]))
		if len(replies) > 1 {
			replies = replies[1:]
		}
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
}

func TestClient_WaitsAndSaysWhy(t *testing.T) {
	t.Parallel()
	directory := socketDirectory(t)
	answering(t, directory, `{"reason":"cut off"}`, `{"reason":"cut off"}`, "nonsense", `{"go":true}`)
	var out bytes.Buffer
	if err := (Client{Directory: directory, Wait: time.Minute, Out: &out}).Admit(t.Context()); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], "cut off") || !strings.Contains(lines[1], "does not answer") {
		t.Errorf("got %q", lines)
	}
}

func TestClient_Unwanted(t *testing.T) {
	t.Parallel()
	directory := socketDirectory(t)
	answering(t, directory, `{"final":true,"reason":"no longer wanted"}`)
	began := time.Now()
	err := (Client{Directory: directory, Wait: time.Minute, Out: &bytes.Buffer{}}).Admit(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no longer wanted") || time.Since(began) > 10*time.Second {
		t.Errorf("got %v after %v", err, time.Since(began))
	}
}

func TestClient_GivesUpAfterAWhile(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	err := (Client{Directory: socketDirectory(t), Wait: 1500 * time.Millisecond, Out: &out}).Admit(t.Context())
	if err == nil || !strings.Contains(err.Error(), "not within 1.5s") || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("got %v", err)
	}
	if strings.Count(out.String(), "\n") != 1 {
		t.Errorf("said %q", out.String())
	}
}

// The whole way: a check on its socket, a client that began before it, and a socket of an earlier run.
func TestClient_EndsWhenItsContainerIsStopped(t *testing.T) {
	t.Parallel()
	directory := socketDirectory(t)
	client := Client{Directory: directory, StopFile: filepath.Join(t.TempDir(), "stop"), Wait: time.Minute, Out: new(bytes.Buffer)}
	asked := make(chan struct{})
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", filepath.Join(directory, socketFile))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, request *http.Request) {
		close(asked)
		<-request.Context().Done() // A check without a word of the API server takes its time.
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	ended := make(chan error)
	go func() { ended <- client.Admit(t.Context()) }()
	select {
	case err := <-ended:
		t.Fatalf("it did not ask: %v", err)
	case <-asked:
	}
	began := time.Now()
	if err := client.Stop(); err != nil {
		t.Fatal(err)
	}
	err = <-ended
	if err == nil || !strings.Contains(err.Error(), "its container is being stopped") {
		t.Errorf("got %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestClient_StartsNothingInAContainerThatIsStopped(t *testing.T) {
	t.Parallel()
	directory := socketDirectory(t)
	client := Client{Directory: directory, StopFile: filepath.Join(t.TempDir(), "stop"), Wait: time.Minute, Out: new(bytes.Buffer)}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", filepath.Join(directory, socketFile))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(response http.ResponseWriter, _ *http.Request) {
		_ = client.Stop()
		time.Sleep(5 * stopEvery)
		_, _ = response.Write([]byte(`{"go":true}`))
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	if err := client.Admit(t.Context()); err == nil || !strings.Contains(err.Error(), "its container is being stopped") {
		t.Errorf("got %v", err)
	}
}

func TestServe(t *testing.T) {
	t.Parallel()
	directory, n := socketDirectory(t), fresh(t)
	if err := os.WriteFile(filepath.Join(directory, socketFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	admitted := make(chan error, 2)
	for range cap(admitted) {
		go func() {
			admitted <- (Client{Directory: directory, Wait: time.Minute, Out: &bytes.Buffer{}}).Admit(t.Context())
		}()
	}
	loop, err := New(n.config(), directory, Recall(directory, "boot-1"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- loop.Serve(ctx, directory, "127.0.0.1:0") }()
	for range cap(admitted) {
		if err := <-admitted; err != nil {
			t.Error(err)
		}
	}
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestServe_SaysThatAnAddressIsTaken(t *testing.T) {
	t.Parallel()
	directory, n := socketDirectory(t), fresh(t)
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	loop, err := New(n.config(), directory, Recall(directory, "boot-1"))
	if err != nil {
		t.Fatal(err)
	}
	defer loop.keeper.stop()
	if err := loop.Serve(t.Context(), directory, taken.Addr().String()); err == nil {
		t.Error("served")
	}
}

func TestCopySelf(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	for range 2 { // Again over the first one.
		if err := CopySelf(directory); err != nil {
			t.Fatal(err)
		}
	}
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.Stat(filepath.Join(directory, copyFile))
	if err != nil || got.Size() != want.Size() || got.Mode().Perm() != 0o555 {
		t.Errorf("got %v, %v", got, err)
	}
	if entries, err := os.ReadDir(directory); err != nil || len(entries) != 1 {
		t.Errorf("got %v, %v", entries, err)
	}
}
