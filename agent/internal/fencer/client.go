package fencer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

const (
	// askEvery is the time between two questions.
	askEvery = time.Second
	// askTimeout bounds one: a check that has no word of the API server takes PauseAfter, and may be late.
	askTimeout = 20 * time.Second
	// sayEvery is how often an unchanged reason is said again.
	sayEvery = 30 * time.Second
)

// Client asks the check whether the database may start.
type Client struct {
	// Directory is where the check listens.
	Directory string
	// StopFile says that the container is being stopped. It is in the container's own file system, of which each container has a new one: what the
	// pod shares is read-only there, and would outlive the container.
	StopFile string
	// Wait is how long to ask. A refusal that ended the container would put it into the kubelet's back-off of up to 5 min, and the
	// database would stay away for that long after the network is back.
	Wait time.Duration
	// Out gets a line for each reason to wait.
	Out io.Writer
}

// Stop tells a start that waits in this container that it is being stopped, as a kubelet's preStop hook. iris-main hears of that by SIGTERM,
// which ends an instance, and not what it runs before one (seen with its stand-in, not tried with the vendor's): on a node that was cut off, the
// container of a pod that is gone waited on for its whole grace period of 180 s, and kept its volume from being mounted by the next pod there
// (TestLab_Guard). Where nothing waits it does nothing.
func (c Client) Stop() error {
	if err := os.WriteFile(c.StopFile, nil, 0o600); err != nil {
		return fmt.Errorf("say that the container is being stopped: %w", err)
	}
	return nil
}

// stopEvery is how often it is looked for: it is the end of what a node that is back has left.
const stopEvery = 200 * time.Millisecond

var errStopped = errors.New("its container is being stopped")

// heed ends a wait when the container is being stopped.
func (c Client) heed(ctx context.Context, end context.CancelCauseFunc) {
	ticker := time.NewTicker(stopEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if _, err := os.Stat(c.StopFile); err == nil {
			end(errStopped)
			return
		}
	}
}

// Admit returns nil when the database may start, and an error when it may not, ever or within Wait, or when the container is being stopped.
func (c Client) Admit(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.Wait, fmt.Errorf("not within %v", c.Wait))
	defer cancel()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	go c.heed(ctx, end)
	client := c.http()
	reason, said := "", time.Time{}
	for {
		answer, err := ask(ctx, client)
		if err != nil {
			// It may be restarting.
			answer = reply{Reason: fmt.Sprintf("the check (agent fence) does not answer: %v", err)}
		}
		switch {
		case errors.Is(context.Cause(ctx), errStopped): // Not even if it may.
		case answer.Go:
			return nil
		case answer.Final:
			return errors.New("the database may not start: " + answer.Reason)
		}
		if ctx.Err() == nil && (answer.Reason != reason || time.Since(said) >= sayEvery) {
			reason, said = answer.Reason, time.Now()
			_, _ = fmt.Fprintf(c.Out, "the database waits for its start: %s\n", reason) // A log that is gone is no reason to start.
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the database may not start: %w: %s", context.Cause(ctx), reason)
		case <-time.After(askEvery):
		}
	}
}

// http is a client of the socket. Each question has a connection of its own: a check that was restarted listens on another socket.
func (c Client) http() *http.Client {
	path := filepath.Join(c.Directory, socketFile)
	return &http.Client{
		Timeout: askTimeout,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "unix", path)
			},
		},
	}
}

// ask asks once.
func ask(ctx context.Context, client *http.Client) (reply, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://fence"+admitPath, nil)
	if err != nil {
		return reply{}, err
	}
	response, err := client.Do(request)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = response.Body.Close() }()
	var answer reply
	if err := json.NewDecoder(io.LimitReader(response.Body, 1<<16)).Decode(&answer); err != nil {
		return reply{}, fmt.Errorf("%s: %w", response.Status, err)
	}
	return answer, nil
}
