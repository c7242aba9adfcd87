// Package live sends requests to the API server of the stack's cluster. The Kubernetes provider cannot be used for them: its read
// of an object that does not exist fails.
package live

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"ha-iris/internal/kubeconfig"
)

const (
	// requestTimeout bounds one request. An API server that needs longer for a single object has a problem.
	requestTimeout = 15 * time.Second
	// maxAnswer bounds an answer: etcd stores no object above 1.5 MiB, and the lists that are read are short.
	maxAnswer = 64 << 20
)

// ErrUnknown is the error of a request to a cluster that is not known yet.
var ErrUnknown = errors.New("the cluster is not known yet")

// Cluster is the API server of the stack's cluster. It is not known before the cluster exists, nor in a preview of its
// creation. Safe for concurrent use; the zero value is not known yet.
type Cluster struct {
	mu         sync.Mutex
	kubeconfig string
	client     *kubeconfig.Client
}

// Connect makes the cluster known by a kubeconfig with one context, whose files are embedded. It is parsed at the
// first request: most runs send none.
func (c *Cluster) Connect(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if text != c.kubeconfig { // The same one keeps its connection and a plugin's credentials.
		c.kubeconfig, c.client = text, nil
	}
}

// Use makes the cluster known by a kubeconfig and the client that has reached it already.
func (c *Cluster) Use(text string, client *kubeconfig.Client) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kubeconfig, c.client = text, client
}

// Login runs the credential plugin, if there is one, which may take a while. Every request does so itself. The error is
// kubeconfig.ErrRenew when only kubectl can get them.
func (c *Cluster) Login(ctx context.Context) error {
	client, err := c.connected()
	if err != nil {
		return err
	}
	return client.Login(ctx)
}

// Known reports whether the API server is known.
func (c *Cluster) Known() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.kubeconfig != ""
}

func (c *Cluster) connected() (*kubeconfig.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client != nil {
		return c.client, nil
	}
	if c.kubeconfig == "" {
		return nil, ErrUnknown
	}
	config, err := kubeconfig.Parse([]byte(c.kubeconfig))
	if err != nil {
		return nil, fmt.Errorf("read the cluster's kubeconfig: %w", err)
	}
	client, err := config.Client()
	if err != nil {
		return nil, fmt.Errorf("use the cluster's kubeconfig: %w", err)
	}
	c.client = client
	return client, nil
}

// StatusError is an answer other than success or not found. Its text is the API server's own.
type StatusError struct {
	// Code is HTTP's.
	Code int
	// Message is the API server's, or HTTP's when it sent none.
	Message string
}

// Error implements error.
func (e *StatusError) Error() string { return e.Message }

// IsForbidden reports whether an error is the API server's that the user may not do this, or is not known to it: asking again changes nothing.
func IsForbidden(err error) bool {
	var status *StatusError
	return errors.As(err, &status) && (status.Code == http.StatusUnauthorized || status.Code == http.StatusForbidden)
}

// Text is an answer that is no JSON, such as a container's log.
type Text string

// Get reads the object or list at a path, such as /api/v1/namespaces/iris, into a pointer, or a *Text as it is. It
// reports false when the object or its kind does not exist.
func (c *Cluster) Get(ctx context.Context, path string, into any) (found bool, err error) {
	return c.do(ctx, http.MethodGet, path, "", nil, into)
}

// Delete deletes the object at a path if it still is the one with this uid. It is no error when there is none.
func (c *Cluster) Delete(ctx context.Context, path, uid string) error {
	options, err := json.Marshal(map[string]any{"preconditions": map[string]string{"uid": uid}})
	if err != nil {
		return fmt.Errorf("encode the condition: %w", err)
	}
	_, err = c.do(ctx, http.MethodDelete, path, "application/json", options, nil)
	return err
}

// Create posts an object to a list's path. With ?dryRun=All at the path's end nothing is stored. If the namespace or the
// kind does not exist, the error is a StatusError.
func (c *Cluster) Create(ctx context.Context, path string, object, into any) error {
	body, err := json.Marshal(object)
	if err != nil {
		return fmt.Errorf("encode the object: %w", err)
	}
	found, err := c.do(ctx, http.MethodPost, path, "application/json", body, into)
	if err == nil && !found {
		return fmt.Errorf("%s %s: %w", http.MethodPost, path, &StatusError{http.StatusNotFound, "the namespace or the kind does not exist"})
	}
	return err
}

// Patch merges a document into the object at a path (RFC 7396: null removes a member, a list is replaced). It reports
// false when there is no such object.
func (c *Cluster) Patch(ctx context.Context, path string, patch any) (found bool, err error) {
	body, err := json.Marshal(patch)
	if err != nil {
		return false, fmt.Errorf("encode the patch: %w", err)
	}
	return c.do(ctx, http.MethodPatch, path, "application/merge-patch+json", body, nil)
}

func (c *Cluster) do(ctx context.Context, method, path, contentType string, body []byte, into any) (bool, error) {
	client, err := c.connected()
	if err != nil {
		return false, err
	}
	if err := client.Login(ctx); err != nil { // Before the timeout starts: a plugin may need longer.
		return false, fmt.Errorf("%s %s: %w", method, path, err)
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	response, err := client.Do(ctx, method, path, contentType, body)
	if err != nil {
		return false, fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer response.Body.Close() //nolint:errcheck // It was read; a failed close loses nothing.
	content, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return false, fmt.Errorf("%s %s: read the answer: %w", method, path, err)
	case len(content) > maxAnswer:
		return false, fmt.Errorf("%s %s: the answer has more than %d MiB", method, path, maxAnswer>>20)
	case response.StatusCode == http.StatusNotFound:
		return false, nil
	case response.StatusCode < 200 || response.StatusCode > 299:
		return false, fmt.Errorf("%s %s: %w", method, path, &StatusError{response.StatusCode, statusMessage(response, content)})
	case into == nil:
		return true, nil
	}
	if text, ok := into.(*Text); ok {
		*text = Text(content)
		return true, nil
	}
	if err := json.NewDecoder(bytes.NewReader(content)).Decode(into); err != nil {
		return false, fmt.Errorf("%s %s: the answer is not the JSON of an API server", method, path)
	}
	return true, nil
}

func statusMessage(response *http.Response, content []byte) string {
	var status struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(content, &status) == nil && strings.TrimSpace(status.Message) != "" {
		return status.Message
	}
	return response.Status
}
