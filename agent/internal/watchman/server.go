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

	"ha-iris/agent/internal/alive"
)

const (
	// headerTimeout is for a client that connects and says nothing; the check in the pod gives up after 1 s.
	headerTimeout = 2 * time.Second
	// shutdownTimeout is for answers that are under way when the process ends.
	shutdownTimeout = time.Second
)

// Handler answers /alive, /healthz, /readyz and /metrics. None of them asks the API server: what /alive says was read before.
func Handler(node string, say func(node string, reachesAPIServer bool) alive.Says, ready func() bool, metrics *Metrics) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+alive.Path, func(writer http.ResponseWriter, request *http.Request) {
		writer.Header().Set("Content-Type", "application/json")
		said := say(alive.Asked(request.URL.Query()))
		metrics.answers.WithLabelValues(string(said)).Inc()
		_ = json.NewEncoder(writer).Encode(alive.Answer{Node: node, Says: said}) // A client that has gone is no matter.
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
	return mux
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
