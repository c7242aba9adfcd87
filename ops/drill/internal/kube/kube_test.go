package kube_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"ha-iris/ops/drill/internal/fakeapi"
	"ha-iris/ops/drill/internal/kube"
)

func connect(t *testing.T) (*kube.Client, *fakeapi.Server) {
	t.Helper()
	server := fakeapi.New(t)
	client, err := kube.New(server.Config())
	if err != nil {
		t.Fatal(err)
	}
	return client, server
}

func TestShell_RunsACommandInAContainer(t *testing.T) {
	t.Parallel()
	client, server := connect(t)
	server.Exec = func(_ context.Context, pod, script string, stdin io.Reader, stdout io.Writer) error {
		if script == "fail" {
			return errors.New("no such file")
		}
		line, err := bufio.NewReader(stdin).ReadString('\n')
		_, _ = fmt.Fprintf(stdout, "%s: %s got %s", pod, script, line)
		return err
	}
	in := kube.Container{Namespace: "iris", Pod: "iris-1", Name: "iris"}
	said, err := client.Shell(t.Context(), in, "echo it", "a line\n")
	if err != nil || said != "iris-1: echo it got a line\n" {
		t.Errorf("got %q, %v", said, err)
	}
	if _, err := client.Shell(t.Context(), in, "fail", ""); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("a command that fails: %v", err)
	}
}

func TestShell_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	client, server := connect(t)
	server.Exec = func(ctx context.Context, _, _ string, _ io.Reader, stdout io.Writer) error {
		_, _ = io.WriteString(stdout, "begun")
		<-ctx.Done()
		return ctx.Err()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	said, err := client.Shell(ctx, kube.Container{Namespace: "iris", Pod: "iris-1", Name: "iris"}, "hang", "")
	if err == nil || said != "begun" || time.Since(began) > 5*time.Second {
		t.Errorf("got %q, %v after %s", said, err, time.Since(began))
	}
}

func TestWatch_BeginsAgainAfterItBroke(t *testing.T) {
	t.Parallel()
	client, server := connect(t)
	server.Put("nodes", fakeapi.Node("node-a"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var mu sync.Mutex
	listed, seen := 0, ""
	go client.Watch(ctx, kube.Watcher{
		Kind: kube.Nodes,
		Listed: func(_ time.Time, objects []*unstructured.Unstructured) {
			mu.Lock()
			defer mu.Unlock()
			listed = len(objects)
		},
		Changed: func(_ time.Time, object *unstructured.Unstructured, deleted bool) {
			mu.Lock()
			defer mu.Unlock()
			seen = fmt.Sprintf("%s %t", object.GetName(), deleted)
		},
	})
	wait := func(what string, holds func() bool) {
		t.Helper()
		for began := time.Now(); time.Since(began) < 10*time.Second; time.Sleep(10 * time.Millisecond) {
			mu.Lock()
			done := holds()
			mu.Unlock()
			if done {
				return
			}
		}
		t.Fatalf("%s: listed %d, seen %q", what, listed, seen)
	}
	wait("the first list", func() bool { return listed == 1 && server.Watching() == 1 })
	server.Put("nodes", fakeapi.Node("node-b"))
	wait("a change", func() bool { return seen == "node-b false" })
	server.Break()
	wait("the second list", func() bool { return listed == 2 && server.Watching() == 1 })
	server.Remove("nodes", "", "node-a")
	wait("a deletion", func() bool { return seen == "node-a true" })
}

func TestClient_TouchesOnlyTheObjectThatIsMeant(t *testing.T) {
	t.Parallel()
	client, server := connect(t)
	server.Put("pods", fakeapi.Pod("iris-1", "node-a"))
	if err := client.Delete(t.Context(), kube.Pods, fakeapi.Namespace, "iris-1", "another"); err == nil {
		t.Error("a pod with another UID was deleted")
	}
	if err := client.Delete(t.Context(), kube.Pods, fakeapi.Namespace, "iris-1", ""); err != nil || server.Get("pods", fakeapi.Namespace, "iris-1") != nil {
		t.Errorf("the pod is still there, %v", err)
	}
	if err := client.Delete(t.Context(), kube.Pods, fakeapi.Namespace, "iris-1", ""); err != nil {
		t.Errorf("of a pod that is gone: %v", err)
	}
	_, err := client.Get(t.Context(), kube.LonghornVolumes, "longhorn-system", "missing")
	if !kube.IsGone(err) || !strings.Contains(err.Error(), "volumes missing") {
		t.Errorf("a missing volume: %v", err)
	}
}
