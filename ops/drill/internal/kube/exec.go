package kube

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/util/httpstream"
	"k8s.io/client-go/tools/remotecommand"
)

// Container is where a command runs.
type Container struct {
	Namespace, Pod, Name string
}

// Exec runs a command in a container, as kubectl exec does, until it ends or the context does.
func (c *Client) Exec(ctx context.Context, in Container, command []string, stdin io.Reader, stdout, stderr io.Writer) error {
	query := url.Values{
		"container": {in.Name}, "command": command, "stdout": {"true"}, "stderr": {"true"},
	}
	if stdin != nil {
		query.Set("stdin", "true")
	}
	path := fmt.Sprintf("/api/v1/namespaces/%s/pods/%s/exec?%s", in.Namespace, in.Pod, query.Encode())
	target, err := url.Parse(strings.TrimSuffix(c.config.Host, "/") + path)
	if err != nil {
		return fmt.Errorf("address of pod %s: %w", in.Pod, err)
	}
	executor, err := c.executor(target)
	if err != nil {
		return fmt.Errorf("run a command in pod %s: %w", in.Pod, err)
	}
	ended := make(chan error, 1) // A handshake with a lost node would hold up what the context is to end.
	go func() {
		ended <- executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: stdin, Stdout: stdout, Stderr: stderr})
	}()
	select {
	case err = <-ended:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("run a command in pod %s: %w", in.Pod, err)
	}
	return nil
}

// executor tries WebSockets first, which every API server since 1.31 speaks, then SPDY, as kubectl does.
func (c *Client) executor(target *url.URL) (remotecommand.Executor, error) {
	sockets, err := remotecommand.NewWebSocketExecutor(c.config, http.MethodGet, target.String())
	if err != nil {
		return nil, err
	}
	spdy, err := remotecommand.NewSPDYExecutor(c.config, http.MethodPost, target)
	if err != nil {
		return nil, err
	}
	return remotecommand.NewFallbackExecutor(sockets, spdy, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
}

// Shell runs a shell's commands in a container and returns what they print.
func (c *Client) Shell(ctx context.Context, in Container, script, stdin string) (string, error) {
	var stdout, stderr buffer
	var input io.Reader
	if stdin != "" {
		input = strings.NewReader(stdin)
	}
	err := c.Exec(ctx, in, []string{"/bin/sh", "-c", script}, input, &stdout, &stderr)
	if err != nil && stderr.String() != "" {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), err
}

// buffer may still be written to when a command was given up.
type buffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
