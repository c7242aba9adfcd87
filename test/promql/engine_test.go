// Package promql_test evaluates the alerts that the program makes with Prometheus' own engine. It is a module of its own so that
// Prometheus' requirements do not decide what the program is built from.
package promql_test

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
	"sigs.k8s.io/yaml"
)

const (
	// step is the time between two scrapes and between two evaluations of the rules.
	step = 30 * time.Second
	// start is the time of the first sample, in seconds.
	start = 1_000_000
)

// rule is one alert of a PrometheusRule.
type rule struct {
	Alert       string            `json:"alert"`
	Expr        string            `json:"expr"`
	For         string            `json:"for"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

// object is what is needed of the program's objects, which its own tests hold the golden files against.
type object struct {
	Kind string            `json:"kind"`
	Data map[string]string `json:"data"`
	Spec struct {
		Groups []struct {
			Rules []rule `json:"rules"`
		} `json:"groups"`
	} `json:"spec"`
}

func objects(t *testing.T, kind string) []object {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "iris", "testdata", "manifests-watched.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var found []object
	for document := range strings.SplitSeq(string(text), "---\n") {
		var one object
		if err := yaml.Unmarshal([]byte(document), &one); err != nil {
			t.Fatalf("read an object: %v", err)
		}
		if one.Kind == kind {
			found = append(found, one)
		}
	}
	return found
}

func rules(t *testing.T) map[string]rule {
	t.Helper()
	found := map[string]rule{}
	for _, one := range objects(t, "PrometheusRule") {
		for _, group := range one.Spec.Groups {
			for _, alert := range group.Rules {
				found[alert.Alert] = alert
			}
		}
	}
	if len(found) < 10 {
		t.Fatalf("found %d alerts; the check proves little", len(found))
	}
	return found
}

// sample is one value of a series.
type sample struct {
	at    int64
	value float64
}

func (s sample) T() int64                      { return s.at }
func (s sample) ST() int64                     { return 0 }
func (s sample) F() float64                    { return s.value }
func (s sample) H() *histogram.Histogram       { return nil }
func (s sample) FH() *histogram.FloatHistogram { return nil }
func (s sample) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (s sample) Copy() chunks.Sample           { return s }
func milliseconds(index int) int64             { return (start + int64(index)*int64(step.Seconds())) * 1000 }
func newParser() parser.Parser                 { return parser.NewParser(parser.Options{}) }

// database answers queries from series.
type database struct {
	series []storage.Series
	// steps is the length of the longest.
	steps int
}

// load reads series as promtool's test files have them: NAME{LABELS} VALUES, with _ for a scrape that is missing and AxN for A N times more.
func load(t *testing.T, lines []string) *database {
	t.Helper()
	loaded := &database{}
	for _, line := range lines {
		of, values, err := newParser().ParseSeriesDesc(line)
		if err != nil {
			t.Fatalf("read series %s: %v", line, err)
		}
		var samples []chunks.Sample
		for index, value := range values {
			if !value.Omitted {
				samples = append(samples, sample{milliseconds(index), value.Value})
			}
		}
		loaded.series = append(loaded.series, storage.NewListSeries(of, samples))
		loaded.steps = max(loaded.steps, len(values))
	}
	return loaded
}

// Querier implements storage.Queryable.
func (d *database) Querier(int64, int64) (storage.Querier, error) {
	return &storage.MockQuerier{SelectMockFunction: func(_ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
		var found []storage.Series
		for _, one := range d.series {
			if !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(one.Labels().Get(m.Name)) }) {
				found = append(found, one)
			}
		}
		return &set{series: found, index: -1}
	}}, nil
}

// set iterates over series.
type set struct {
	series []storage.Series
	index  int
}

func (s *set) Next() bool                        { s.index++; return s.index < len(s.series) }
func (s *set) At() storage.Series                { return s.series[s.index] }
func (s *set) Err() error                        { return nil }
func (s *set) Warnings() annotations.Annotations { return nil }

// firing evaluates a rule at each step and returns the labels of the alerts that fire at the last one.
func firing(t *testing.T, alert rule, over *database) []string {
	t.Helper()
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: math.MaxInt32, Timeout: time.Minute, Parser: newParser()})
	lasts := time.Duration(0)
	if alert.For != "" {
		var err error
		if lasts, err = time.ParseDuration(alert.For); err != nil {
			t.Fatalf("%s: %v", alert.Alert, err)
		}
	}
	since := map[string]int64{}
	for index := range over.steps {
		now := milliseconds(index)
		query, err := engine.NewInstantQuery(context.Background(), over, nil, alert.Expr, time.UnixMilli(now))
		if err != nil {
			t.Fatalf("%s: %v", alert.Alert, err)
		}
		result := query.Exec(context.Background())
		vector, err := result.Vector()
		if err != nil {
			t.Fatalf("%s: %v", alert.Alert, err)
		}
		holds := map[string]int64{}
		for _, one := range vector {
			name := one.Metric.String()
			holds[name] = now
			if before, held := since[name]; held {
				holds[name] = before
			}
		}
		query.Close()
		since = holds
	}
	var fires []string
	for name, from := range since {
		if milliseconds(over.steps-1)-from >= lasts.Milliseconds() {
			fires = append(fires, name)
		}
	}
	slices.Sort(fires)
	return fires
}

// minutes repeats a value for so long.
func minutes(value float64, long int) string { return fmt.Sprintf("%vx%d", value, long*2) }
