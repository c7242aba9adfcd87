package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// portCollisionError says that another program took a port between the check and the start.
type portCollisionError struct {
	name string
	port int
}

func (e *portCollisionError) Error() string {
	return fmt.Sprintf("another program took port %d before %s did", e.port, e.name)
}

// errKwokRace is kwok's end by its own doing: at its start it fills a map of types from several goroutines at once
// (wzshiming/easycel v0.6.0, types.go), and Go's runtime ends a start now and then for that.
var errKwokRace = errors.New("kwok has ended with concurrent map writes")

// awaitReady waits until the component does its work. If it ends instead, that is the error.
func (c *Cluster) awaitReady(ctx context.Context, k component, ended <-chan error) error {
	ctx, cancel := context.WithTimeout(ctx, readyPatience)
	defer cancel()
	began := time.Now()
	announce := time.NewTicker(5 * time.Second)
	defer announce.Stop()
	for {
		reason := c.ready(ctx, k)
		if reason == nil {
			return nil
		}
		select {
		case exit := <-ended:
			return c.explainExit(k, exit)
		case <-ctx.Done():
			return c.withLog(k.name, fmt.Errorf("%s is not ready after %s: %w",
				k.name, time.Since(began).Round(time.Second), errors.Join(reason, ctx.Err())))
		case <-announce.C:
			c.say("waiting for %s since %s: %v", k.name, time.Since(began).Round(time.Second), reason)
		case <-time.After(pollInterval):
		}
	}
}

// ready returns nil if the component does its work, and otherwise what is missing.
func (c *Cluster) ready(ctx context.Context, k component) error {
	switch k.name {
	case kubeAPIServer:
		return c.apiReady(ctx)
	case kwok:
		return c.nodesReady(ctx)
	case images:
		return answers(ctx, strings.TrimPrefix(k.args[len(k.args)-1], "--listen="))
	case standIn:
		if _, err := os.Stat(c.readyFile()); err != nil {
			return errors.New("it has not read the cluster's objects yet")
		}
	case snapshots:
		if _, err := os.Stat(c.snapshotsReadyFile()); err != nil {
			return errors.New("the kinds of VolumeSnapshots are not there yet")
		}
	}
	if k.machine != nil {
		return c.machineReady(ctx, k.name)
	}
	// The others need no wait: whatever depends on them retries.
	return nil
}

// answers says whether somebody listens at the address.
func answers(ctx context.Context, address string) error {
	connection, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("it does not listen: %w", err)
	}
	return connection.Close()
}

func (c *Cluster) apiReady(ctx context.Context) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	_, err = client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
	if err != nil {
		return fmt.Errorf("the API server does not answer: %w", err)
	}
	return nil
}

// nodesReady creates the nodes if need be and waits for those that are meant to live.
func (c *Cluster) nodesReady(ctx context.Context) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	if err := ensureNodes(ctx, client); err != nil {
		return err
	}
	nodes, err := listNodes(ctx, client)
	if err != nil {
		return err
	}
	var waiting []string
	for _, node := range nodes {
		if node.Ready || !node.Simulated {
			continue
		}
		dead, err := keptDead(ctx, client, node.Name)
		if err != nil {
			return err
		}
		if !dead {
			waiting = append(waiting, node.Name)
		}
	}
	if len(waiting) > 0 {
		return fmt.Errorf("not ready: %s", strings.Join(waiting, ", "))
	}
	return nil
}

// explainExit tells a lost race for a port from any other failure to start.
func (c *Cluster) explainExit(k component, exit error) error {
	for _, port := range k.ports {
		if !portFree(port) {
			return &portCollisionError{name: k.name, port: port}
		}
	}
	if exit == nil {
		exit = errors.New("exit status 0")
	}
	if k.name == kwok && c.logEndsWith(k.name, "concurrent map") {
		exit = errors.Join(exit, errKwokRace)
	}
	return c.withLog(k.name, fmt.Errorf("%s ended while starting: %w", k.name, exit))
}

// logEndsWith looks for a text in what a process that has just ended may have said last: with all goroutines, a crash takes
// some thousand bytes.
func (c *Cluster) logEndsWith(name, text string) bool {
	content, err := os.ReadFile(c.LogPath(name))
	const enough = 64 << 10
	return err == nil && strings.Contains(string(content[max(0, len(content)-enough):]), text)
}

// withLog adds the end of the process's log, where the reason usually is, and where to find the rest.
func (c *Cluster) withLog(name string, err error) error {
	path := c.LogPath(name)
	content, readErr := os.ReadFile(path)
	if readErr != nil {
		return errors.Join(err, readErr)
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	const enough = 5
	tail := lines[max(0, len(lines)-enough):]
	return fmt.Errorf("%w\nlast lines of %s:\n  %s\nif they do not help: sandbox down --purge, then sandbox up",
		err, path, strings.Join(tail, "\n  "))
}
