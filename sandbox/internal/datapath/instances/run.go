//go:build linux

package instances

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// endPatience is how long the end of the instances is waited for. Then the process ends, and they with it; a successor cleans
// up.
const endPatience = 15 * time.Second

// Run is the instance manager's process: it serves until the context ends, then ends its instances.
func Run(ctx context.Context, options Options, listen string) error {
	m, err := New(options)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("instance manager: %w", err)
	}
	server := &http.Server{Handler: m.Handler(), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	options.Log.Info("instance manager", "listens", listener.Addr().String(), "owner", m.owner)
	select {
	case err = <-served:
	case <-ctx.Done():
		err = server.Close()
	}
	ended := make(chan error, 1)
	go func() { ended <- m.Close() }()
	select {
	case closeErr := <-ended:
		return errors.Join(err, closeErr)
	case <-time.After(endPatience):
		return errors.Join(err, errors.New("instances did not end in time"))
	}
}
