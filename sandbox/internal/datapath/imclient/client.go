package imclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// A node that is cut off answers nothing: without limits of its own the controller would hang with it.
const (
	dialTimeout   = time.Second
	answerTimeout = 2 * time.Second
	pollEvery     = 100 * time.Millisecond
)

// ErrNotFound is the answer about an instance that is not there.
var ErrNotFound = errors.New("not found")

// Client speaks to one instance manager.
type Client struct {
	base string
	http *http.Client
}

// New returns a client for the pod of that address.
func New(podIP string) *Client { return NewAt(net.JoinHostPort(podIP, strconv.Itoa(Port))) }

// NewAt is New with a port.
func NewAt(address string) *Client {
	transport := &http.Transport{
		DialContext: (&net.Dialer{Timeout: dialTimeout}).DialContext,
		// A kept connection to a node that died would be waited for.
		DisableKeepAlives: true,
	}
	return &Client{"http://" + address + "/v1/", &http.Client{Transport: transport, Timeout: answerTimeout}}
}

// List returns all instances.
func (c *Client) List(ctx context.Context) (Instances, error) {
	return call[Instances](ctx, c, http.MethodGet, "instances", nil)
}

// StartReplica starts a replica's process; one that runs stays as it is.
func (c *Client) StartReplica(ctx context.Context, request StartReplica) (Replica, error) {
	return call[Replica](ctx, c, http.MethodPost, "replicas", request)
}

// StopReplica ends a replica's process. Its data stays.
func (c *Client) StopReplica(ctx context.Context, name string) error {
	return c.remove(ctx, "replicas/"+url.PathEscape(name))
}

// DeleteReplica ends the process, if it runs, and removes the data.
func (c *Client) DeleteReplica(ctx context.Context, directory, name string) error {
	return c.remove(ctx, "replicas/"+url.PathEscape(name)+"/data?directory="+url.QueryEscape(directory))
}

// StartEngine starts an engine, which is Starting then. One of that name stays as it is, with the replicas that it has: Longhorn
// adopts a stale engine in the same way (longhorn-real.md).
func (c *Client) StartEngine(ctx context.Context, request StartEngine) (Engine, error) {
	return call[Engine](ctx, c, http.MethodPost, "engines", request)
}

// StopEngine begins to end an engine; List has it as Stopping, then not any more.
func (c *Client) StopEngine(ctx context.Context, name string) error {
	return c.remove(ctx, "engines/"+url.PathEscape(name))
}

// RemoveReplica makes an engine forget a replica.
func (c *Client) RemoveReplica(ctx context.Context, engine, replica string) error {
	return c.remove(ctx, "engines/"+url.PathEscape(engine)+"/replicas/"+url.PathEscape(replica))
}

// AddReplica begins the rebuild of a replica, which the engine lists then with its progress. The task ends when the engine has
// taken it in.
func (c *Client) AddReplica(ctx context.Context, engine string, request AddReplica) (Task, error) {
	return call[Task](ctx, c, http.MethodPost, "engines/"+url.PathEscape(engine)+"/replicas", request)
}

// Expand grows an engine, its replicas and its device.
func (c *Client) Expand(ctx context.Context, engine string, size int64) (Task, error) {
	return call[Task](ctx, c, http.MethodPost, "engines/"+url.PathEscape(engine)+"/size/"+strconv.FormatInt(size, 10), nil)
}

// Snapshot makes a snapshot on all replicas of an engine.
func (c *Client) Snapshot(ctx context.Context, engine, name string) (Task, error) {
	return call[Task](ctx, c, http.MethodPost, "engines/"+url.PathEscape(engine)+"/snapshots/"+url.PathEscape(name), nil)
}

// DeleteSnapshot removes a snapshot from all replicas of an engine.
func (c *Client) DeleteSnapshot(ctx context.Context, engine, name string) (Task, error) {
	return call[Task](ctx, c, http.MethodDelete, "engines/"+url.PathEscape(engine)+"/snapshots/"+url.PathEscape(name), nil)
}

// Backup stores a replica's snapshot in a bucket.
func (c *Client) Backup(ctx context.Context, replica string, request Backup) (Task, error) {
	return call[Task](ctx, c, http.MethodPost, "replicas/"+url.PathEscape(replica)+"/backups", request)
}

// Restore fills a fresh replica from a backup.
func (c *Client) Restore(ctx context.Context, replica string, request Restore) (Task, error) {
	return call[Task](ctx, c, http.MethodPost, "replicas/"+url.PathEscape(replica)+"/restores", request)
}

// Clone fills a fresh replica from a snapshot of another volume's replica.
func (c *Client) Clone(ctx context.Context, replica string, request Clone) (Task, error) {
	return call[Task](ctx, c, http.MethodPost, "replicas/"+url.PathEscape(replica)+"/clones", request)
}

// Task looks at a task.
func (c *Client) Task(ctx context.Context, id string) (Task, error) {
	return call[Task](ctx, c, http.MethodGet, "tasks?id="+url.QueryEscape(id), nil)
}

// Wait waits for a task's end, or for the context's.
func (c *Client) Wait(ctx context.Context, task Task) (Task, error) {
	for {
		switch task.State {
		case Complete:
			return task, nil
		case Failed:
			return task, fmt.Errorf("%s: %s", task.ID, task.Error)
		}
		select {
		case <-ctx.Done():
			return task, fmt.Errorf("%s: %w", task.ID, ctx.Err())
		case <-time.After(pollEvery):
		}
		var err error
		if task, err = c.Task(ctx, task.ID); err != nil {
			return task, err
		}
	}
}

// Disk looks at a disk of the node, and gives it an identity if it has none.
func (c *Client) Disk(ctx context.Context, directory string) (Disk, error) {
	return call[Disk](ctx, c, http.MethodPost, "disks?directory="+url.QueryEscape(directory), nil)
}

func (c *Client) remove(ctx context.Context, path string) error {
	_, err := call[struct{}](ctx, c, http.MethodDelete, path, nil)
	return err
}

func call[T any](ctx context.Context, c *Client, method, path string, body any) (T, error) {
	var answer T
	fail := func(err error) (T, error) {
		return answer, fmt.Errorf("instance manager, %s %s: %w", method, path, err)
	}
	content := []byte("{}")
	if body != nil {
		var err error
		if content, err = json.Marshal(body); err != nil {
			return fail(err)
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(content))
	if err != nil {
		return fail(err)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return fail(err)
	}
	defer func() { _ = response.Body.Close() }() // read to its end, or given up
	content, err = io.ReadAll(response.Body)
	switch {
	case err != nil:
		return fail(err)
	case response.StatusCode == http.StatusNotFound:
		return fail(fmt.Errorf("%w: %s", ErrNotFound, bytes.TrimSpace(content)))
	case response.StatusCode >= http.StatusBadRequest:
		return fail(errors.New(string(bytes.TrimSpace(content))))
	case response.StatusCode == http.StatusNoContent:
		return answer, nil
	}
	if err := json.Unmarshal(content, &answer); err != nil {
		return fail(err)
	}
	return answer, nil
}
