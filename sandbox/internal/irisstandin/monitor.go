package irisstandin

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// monitorRoutes are /api/monitor, open to everybody; its root does not exist (facts 4). A request can hold a licence unit
// for ten seconds, and Community has eight; which code IRIS then answers with is not known.
func (i *instance) monitorRoutes(routes *http.ServeMux) {
	licensed := func(serve http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if !i.licenses.hold() {
				http.Error(w, "License limit exceeded", http.StatusServiceUnavailable)
				return
			}
			serve(w, r)
		}
	}
	routes.HandleFunc("/api/monitor/metrics", licensed(i.serveMetrics))
	routes.HandleFunc("/api/monitor/interop", licensed(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8") // No productions, no metrics.
	}))
	routes.HandleFunc("/api/monitor/alerts", licensed(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		alerts := i.log.consume() // Reading consumes them (facts 4).
		if alerts == nil {
			alerts = []alert{}
		}
		_ = json.NewEncoder(w).Encode(alerts)
	}))
}

// serveMetrics writes Prometheus' text. iris_system_state is 0 green, 1 yellow, 2 red, -1 hung (facts 4).
func (i *instance) serveMetrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	systemState := map[string]int{healthOK: 0, healthWarn: 1, healthAlert: 2, healthHung: -1}[i.health()]
	_, _ = fmt.Fprintf(w, "iris_system_state %d\n", systemState)
	i.store.mu.Lock()
	size, seq, durable := i.store.size(), i.store.seq, i.store.durable
	i.store.mu.Unlock()
	_, _ = fmt.Fprintf(w, "iris_license_consumed %d\n", i.licenses.inUse())
	if i.licenses.limit > 0 {
		_, _ = fmt.Fprintf(w, "iris_license_available %d\n", i.licenses.limit-i.licenses.inUse())
	}
	_, _ = fmt.Fprintf(w, "iris_standin_data_bytes %d\niris_standin_journal_written %d\niris_standin_journal_durable %d\n", size, seq, durable)
}
