package kube

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/httpstream"
	"k8s.io/client-go/kubernetes/scheme"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/client-go/util/exec"

	"ha-iris/agent/internal/backup"
)

// Remote runs commands in a container of the database's pods. It implements backup.Shell.
type Remote struct {
	config               *rest.Config
	client               rest.Interface
	namespace, container string
}

// NewRemote prepares to run commands in a container of pods of a namespace. It asks nothing yet.
func NewRemote(kubeconfig, agent, namespace, container string) (*Remote, error) {
	config, err := load(kubeconfig)
	if err != nil {
		return nil, err
	}
	config.UserAgent = agent
	return newRemote(config, namespace, container)
}

func newRemote(config *rest.Config, namespace, container string) (*Remote, error) {
	config.Timeout = 0 // A command takes its time: each call has a context that ends.
	config.NextProtos = []string{"http/1.1"}
	client, err := corev1client.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("the client for pods/exec: %w", err)
	}
	return &Remote{config: config, client: client.RESTClient(), namespace: namespace, container: container}, nil
}

// Exec implements backup.Shell. It is a POST, for which the right to create pods/exec is enough; over a WebSocket it would be a GET, and need
// that right too (Kubernetes' authorization of pods/exec).
func (r *Remote) Exec(ctx context.Context, pod string, command []string) (output string, code int, err error) {
	request := r.client.Post().Resource("pods").Namespace(r.namespace).Name(pod).SubResource("exec").VersionedParams(&corev1.PodExecOptions{
		Container: r.container, Command: command, Stdout: true, Stderr: true,
	}, scheme.ParameterCodec)
	transport, upgrader, err := spdy.RoundTripperFor(r.config)
	if err != nil {
		return "", 0, r.never(pod, err)
	}
	opening := &opening{Upgrader: upgrader}
	executor, err := remotecommand.NewSPDYExecutorForTransports(transport, opening, "POST", request.URL())
	if err != nil {
		return "", 0, r.never(pod, err)
	}
	printed := &limited{}
	err = r.stream(ctx, executor, printed)
	var exit exec.CodeExitError
	switch {
	case err == nil:
		return printed.text(), 0, nil
	case errors.As(err, &exit):
		return printed.text(), exit.Code, nil
	case !opening.end():
		return "", 0, r.never(pod, err)
	default:
		return printed.text(), 0, fmt.Errorf("exec in pod %s/%s: %w", r.namespace, pod, err)
	}
}

func (r *Remote) never(pod string, err error) error {
	return fmt.Errorf("exec in pod %s/%s: %w: %w", r.namespace, pod, backup.ErrNotStarted, err)
}

// opening knows whether the connection of an exec has come about. Until then nothing is executed: the node's runtime first waits for the
// streams, which the client opens on that connection (k8s.io/kubelet, pkg/cri/streaming/remotecommand).
type opening struct {
	spdy.Upgrader

	mutex       sync.Mutex
	open, ended bool
}

// NewConnection implements spdy.Upgrader.
func (o *opening) NewConnection(response *http.Response) (httpstream.Connection, error) {
	connection, err := o.Upgrader.NewConnection(response)
	if err != nil { // Its text may be empty, when the answer is no Status.
		return nil, fmt.Errorf("%s: %w", response.Status, err)
	}
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if o.ended {
		return nil, errors.Join(errors.New("the connection came too late"), connection.Close())
	}
	o.open = true
	return connection, nil
}

// end returns whether the connection has come about. If not, it no longer does.
func (o *opening) end() bool {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.ended = true
	return o.open
}

// stream returns when the context ends, whatever the connection does.
func (r *Remote) stream(ctx context.Context, executor remotecommand.Executor, printed *limited) error {
	ended := make(chan error, 1)
	go func() {
		ended <- executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: printed, Stderr: printed})
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	select { // It may have ended at the same time.
	case err := <-ended:
		return err
	case <-time.After(100 * time.Millisecond):
		return ctx.Err()
	}
}
