package watchman

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"ha-iris/agent/internal/guard"
)

// Metrics are what /metrics shows.
type Metrics struct {
	registry  *prometheus.Registry
	takeOvers *prometheus.CounterVec
	seconds   prometheus.Histogram
	steps     *prometheus.CounterVec
	refusals  *prometheus.GaugeVec
	leader    prometheus.Gauge
	decided   prometheus.Gauge
	node      *prometheus.GaugeVec
	reads     *prometheus.CounterVec
	answers   *prometheus.CounterVec
}

// NewMetrics returns metrics that are all zero.
func NewMetrics() *Metrics {
	name := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "ha_iris", Subsystem: "guard", Name: name, Help: help}
	}
	gauge := func(one, help string) prometheus.GaugeOpts { return prometheus.GaugeOpts(name(one, help)) }
	counter := func(one, help string) prometheus.CounterOpts { return prometheus.CounterOpts(name(one, help)) }
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		takeOvers: prometheus.NewCounterVec(counter("takeovers_total",
			"Take-overs that have ended: finished, or returned when the node came back first."), []string{"result"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "ha_iris", Subsystem: "guard", Name: "takeover_seconds",
			Help: "From the first step of a take-over until pod and volume had left the node.",
			// 3 s is the shortest that was measured; 30 s is more than all budgets together in the order that they come in.
			Buckets: []float64{2, 3, 4, 6, 8, 10, 15, 20, 30, 60, 120, 300},
		}),
		steps: prometheus.NewCounterVec(counter("steps_total", "Steps that were tried, by kind and result (ok, error)."),
			[]string{"kind", "result"}),
		refusals: prometheus.NewGaugeVec(gauge("refusals", "Nodes that a rule forbids to take over at the moment."), []string{"rule"}),
		leader:   prometheus.NewGauge(gauge("leader", "1 while this guard leads.")),
		decided:  prometheus.NewGauge(gauge("last_decision_timestamp_seconds", "When this guard last decided, by the API server's clock.")),
		node:     prometheus.NewGaugeVec(gauge("database_node", "1 for each node that a pod of the database is on."), []string{"node"}),
		answers: prometheus.NewCounterVec(counter("answers_total",
			"Answers to checks in the database's pod: reachable, lost, follower or cut."), []string{"says"}),
		reads: prometheus.NewCounterVec(counter("reads_total", "Looks at the cluster, by result (ok, error)."), []string{"result"}),
	}
	m.registry.MustRegister(m.takeOvers, m.seconds, m.steps, m.refusals, m.leader, m.decided, m.node, m.reads, m.answers,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *Metrics) leads(leads bool) {
	m.leader.Set(0)
	if leads {
		m.leader.Set(1)
		return
	}
	// What only the leader knows must not stand there as if it were so still.
	m.refusals.Reset()
	m.node.Reset()
}

func (m *Metrics) decision(decision guard.Decision, world guard.World, now time.Time) {
	m.decided.Set(float64(now.Unix()))
	m.refusals.Reset()
	for _, one := range decision.Refusals {
		m.refusals.WithLabelValues(string(one.Rule)).Inc()
	}
	m.node.Reset()
	for _, pod := range world.Pods {
		m.node.WithLabelValues(pod.Node).Set(1)
	}
}

func result(err error) string {
	if err != nil {
		return "error"
	}
	return "ok"
}
