package fencer

import (
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"ha-iris/agent/internal/fence"
)

// notAdmitted is the state before the database was let start.
const notAdmitted = "not admitted"

// status is what is told to others. It is a copy: the loop's own values are its own.
type status struct {
	mutex         sync.Mutex
	state         string
	since, looked time.Duration
	heard         time.Duration
	pausedBefore  time.Duration
	pauses, ends  float64
}

// change notes another state.
func (s *status) change(state string, now time.Duration) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.state == string(fence.Paused) {
		s.pausedBefore += now - s.since
	}
	switch state {
	case string(fence.Paused):
		s.pauses++
	case string(fence.Ended):
		s.ends++
	}
	s.state, s.since = state, now
}

// look notes that the loop lives.
func (s *status) look(now, heard time.Duration) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.looked, s.heard = now, heard
}

// lasted is how long the state has lasted.
func (s *status) lasted(now time.Duration) time.Duration {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return now - s.since
}

func (s *status) read(what func() float64) func() float64 {
	return func() float64 {
		s.mutex.Lock()
		defer s.mutex.Unlock()
		return what()
	}
}

// registry offers the status to Prometheus.
func (l *Loop) registry() *prometheus.Registry {
	s, now := &l.status, l.config.Now
	registry := prometheus.NewRegistry()
	gauge := func(name, help string, value func() float64) {
		registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "ha_iris_fence_" + name, Help: help}, value))
	}
	counter := func(name, help string, value func() float64) {
		registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "ha_iris_fence_" + name, Help: help}, value))
	}
	for _, state := range []string{notAdmitted, string(fence.Running), string(fence.Paused), string(fence.Ended)} {
		registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name:        "ha_iris_fence_state",
			Help:        "1 for the state that the database is kept in.",
			ConstLabels: prometheus.Labels{"state": state},
		}, s.read(func() float64 {
			if s.state == state {
				return 1
			}
			return 0
		})))
	}
	gauge("last_answer_age_seconds", "Time since the start of the last round in which the API server or another node's guard answered.",
		s.read(func() float64 { return (now() - s.heard).Seconds() }))
	gauge("peers", "Guards on other nodes that are asked.", func() float64 { return float64(len(l.config.Witness.Peers())) })
	counter("pauses_total", "How often the database was paused.", s.read(func() float64 { return s.pauses }))
	counter("ends_total", "How often the database was ended.", s.read(func() float64 { return s.ends }))
	counter("paused_seconds_total", "How long the database was paused.", s.read(func() float64 {
		paused := s.pausedBefore
		if s.state == string(fence.Paused) {
			paused += now() - s.since
		}
		return paused.Seconds()
	}))
	counter("denied_total", "Processes that could not be signalled.", func() float64 { return float64(l.config.Database.Denied()) })
	return registry
}

// Handler serves /healthz, which fails when the loop has not looked for a stall, and /metrics.
func (l *Loop) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(response http.ResponseWriter, _ *http.Request) {
		s := &l.status
		s.mutex.Lock()
		age := l.config.Now() - s.looked
		s.mutex.Unlock()
		if age > l.config.Parameters.Stall {
			http.Error(response, "the last look is "+age.String()+" ago", http.StatusServiceUnavailable)
			return
		}
		_, _ = response.Write([]byte("ok\n")) // Whoever asked may have left.
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(l.registry(), promhttp.HandlerOpts{}))
	return mux
}
