package watchman

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	// headerTimeout is for a client that connects and says nothing; the check in the pod gives up after 1 s.
	headerTimeout = 2 * time.Second
	// shutdownTimeout is for answers that are under way when the process ends.
	shutdownTimeout = time.Second
)

// Alive is the answer to /alive: the node that this guard runs on.
type Alive struct {
	Node string `json:"node"`
}

// Handler answers /alive, /healthz, /readyz and /metrics. Nothing but /readyz depends on the API server, and /alive on nothing at all:
// that it answers is a witness that the network reaches this node.
func Handler(node string, ready func() bool, metrics *Metrics) (http.Handler, error) {
	alive, err := json.Marshal(Alive{Node: node})
	if err != nil {
		return nil, fmt.Errorf("the answer to /alive: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /alive", func(writer http.ResponseWriter, _ *http.Request) {
		writer.Header().Set("Content-Type", "application/json")
		_, _ = writer.Write(alive) // A client that has gone is no matter.
	})
	mux.HandleFunc("GET /healthz", func(writer http.ResponseWriter, _ *http.Request) {
		_, _ = writer.Write([]byte("ok\n"))
	})
	mux.HandleFunc("GET /readyz", func(writer http.ResponseWriter, _ *http.Request) {
		if !ready() {
			http.Error(writer, "not yet: the API server has not said who leads", http.StatusServiceUnavailable)
			return
		}
		_, _ = writer.Write([]byte("ok\n"))
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics.registry, promhttp.HandlerOpts{}))
	return mux, nil
}

// Serve answers until the context ends.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: headerTimeout}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("answer on %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(last); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("stop to answer on %s: %w", listener.Addr(), err)
	}
	return nil
}
