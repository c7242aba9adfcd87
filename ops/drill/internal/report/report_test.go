package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"ha-iris/ops/drill/internal/ledger"
	"ha-iris/ops/drill/internal/timeline"
)

// sample is a report with a run that lost something, one that never recovered, and texts that XML must escape.
func sample() *Report {
	begun := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	good := Run{
		Number: 1, Fault: begun, Recovered: true, Gap: 62, Outage: ledger.Outage{Last: begun.Add(-time.Second), First: begun.Add(61 * time.Second)},
		Books: &ledger.Books{Acknowledged: 100, Unknown: 3}, Notes: []string{"a <note>"},
		Phases: []timeline.Phase{
			{From: timeline.Fault, To: timeline.NotReady, Seconds: 48.5, Owner: timeline.Kubernetes},
			{From: timeline.NotReady, To: timeline.TakeOver, Begins: 48.5, Seconds: 2, Owner: timeline.Guard, Detail: `{"a":"<b>&"}`},
			{From: timeline.TakeOver, To: timeline.FirstWrite, Begins: 50.5, Seconds: 10.5, Owner: timeline.IRIS},
		},
	}
	good.Seconds = timeline.ByOwner(good.Phases)
	bad := Run{Number: 2, Fault: begun, Gap: 720, Books: &ledger.Books{Lost: []ledger.Write{{Row: 5}}}, Broken: []string{"attached <twice>"}}
	return &Report{
		Tool: "drill", Context: "lab & more", Experiments: []Experiment{{
			Name: "lose-node", Runs: []Run{good, bad}, Objectives: Objectives{P50: 80 * time.Second, P95: 95 * time.Second},
		}},
		Uncleaned: []string{"node <a> is still off"}, Refusals: []string{"because"}, Aborted: "Ctrl-C",
	}
}

func TestJudge_SetsTheExitCode(t *testing.T) {
	t.Parallel()
	run := func(gap float64) Run { return Run{Number: 1, Recovered: true, Gap: gap, Books: &ledger.Books{}} }
	lost := func(count int) Run {
		one := run(60)
		one.Books.Lost = make([]ledger.Write, count)
		return one
	}
	limits := Objectives{P50: 80 * time.Second, P95: 95 * time.Second}
	never, twice := run(720), run(60)
	never.Recovered = false
	twice.Broken = []string{"two instances acknowledged at once"}
	for name, test := range map[string]struct {
		runs   []Run
		limits Objectives
		change func(r *Report)
		want   int
	}{
		"fast enough":            {[]Run{run(60), run(79), run(94)}, limits, nil, Passed},
		"no objectives":          {[]Run{run(600)}, Objectives{}, nil, Passed},
		"p50":                    {[]Run{run(81), run(82), run(60)}, limits, nil, Missed},
		"p95":                    {[]Run{run(60), run(61), run(96)}, limits, nil, Missed},
		"never":                  {[]Run{never}, Objectives{}, nil, Missed},
		"ended early":            {[]Run{run(60)}, limits, func(r *Report) { r.Aborted = "Ctrl-C" }, Missed},
		"lost":                   {[]Run{lost(1)}, limits, nil, Lost},
		"lost, but admitted":     {[]Run{lost(1)}, Objectives{Lost: 1}, nil, Passed},
		"lost over all runs":     {[]Run{lost(1), lost(1)}, Objectives{Lost: 1}, nil, Lost},
		"an invariant":           {[]Run{twice}, limits, nil, Lost},
		"refused":                {nil, limits, func(r *Report) { r.Refusals = []string{"x"} }, Refused},
		"left":                   {[]Run{run(96)}, limits, func(r *Report) { r.Uncleaned = []string{"x"} }, NotCleaned},
		"lost and left":          {[]Run{lost(1)}, limits, func(r *Report) { r.Uncleaned = []string{"x"} }, Lost},
		"lost and too slow":      {[]Run{lost(1), run(300)}, limits, nil, Lost},
		"nothing was to be done": {nil, limits, nil, Passed},
	} {
		r := &Report{Experiments: []Experiment{{Name: "x", Runs: test.runs, Objectives: test.limits}}}
		if test.change != nil {
			test.change(r)
		}
		r.Judge()
		if r.ExitCode != test.want {
			t.Errorf("%s: exit code %d, want %d: %+v", name, r.ExitCode, test.want, r.Experiments[0])
		}
		r.Judge() // A second look must not count twice.
		if r.ExitCode != test.want {
			t.Errorf("%s: exit code %d after a second look, want %d", name, r.ExitCode, test.want)
		}
	}
}

// wellFormed reads XML to its end and counts elements by their names.
func wellFormed(t *testing.T, text string) map[string]int {
	t.Helper()
	found := map[string]int{}
	for decoder := xml.NewDecoder(strings.NewReader(text)); ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if element, ok := token.(xml.StartElement); ok {
			found[element.Name.Local]++
		}
	}
}

func TestReport_WritesPictures(t *testing.T) {
	t.Parallel()
	r := sample()
	r.Judge()
	var all, one bytes.Buffer
	if err := errors.Join(r.SVG(&all), r.Experiments[0].Runs[0].SVG(&one, "lose <node>")); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"all": all.String(), "one": one.String()} {
		found := wellFormed(t, text)
		if found["svg"] != 1 || found["rect"] < 6 || found["text"] < 8 {
			t.Errorf("%s: elements %v", name, found)
		}
		for _, part := range []string{"prefers-color-scheme: dark", `class="guard"`, `class="Kubernetes"`, "48.5"} {
			if !strings.Contains(text, part) {
				t.Errorf("%s: the picture lacks %q", name, part)
			}
		}
		if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
			t.Errorf("%s: a number is none:\n%s", name, text)
		}
	}
	if !strings.Contains(all.String(), "never") {
		t.Error("the run that never recovered is not shown as such")
	}
	var empty bytes.Buffer
	if err := (&Report{}).SVG(&empty); err != nil {
		t.Fatal(err)
	}
	wellFormed(t, empty.String())
}

func TestReport_WritesJUnit(t *testing.T) {
	t.Parallel()
	r := sample()
	r.Judge()
	var text bytes.Buffer
	if err := r.JUnit(&text); err != nil {
		t.Fatal(err)
	}
	found := wellFormed(t, text.String())
	if found["testsuite"] != 2 || found["testcase"] != 6 || found["failure"] != 2 || found["error"] != 3 {
		t.Errorf("elements %v in\n%s", found, text.String())
	}
	for _, part := range []string{`tests="3" failures="2"`, "attached &lt;twice&gt;", "1 acknowledged writes are lost", "not recovered"} {
		if !strings.Contains(text.String(), part) {
			t.Errorf("lacks %q:\n%s", part, text.String())
		}
	}
}

func TestReport_WritesATableAndJSON(t *testing.T) {
	t.Parallel()
	r := sample()
	r.Judge()
	var table, text bytes.Buffer
	if err := errors.Join(r.Table(&table), r.JSON(&text)); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		"62.0", "> 720.0", "Kubernetes 48.5, guard 2.0, IRIS 10.5", "min 62.0, p50 62.0, p95 never, max never; 1 of 2 runs recovered",
		"+50.5 s  2.0 s   take-over recorded        guard",
		"BROKEN  run 2: attached <twice>", "LEFT    node <a>", "REFUSED because", "ENDED   Ctrl-C", "data was lost",
	} {
		if !strings.Contains(table.String(), part) {
			t.Errorf("the table lacks %q:\n%s", part, table.String())
		}
	}
	var read Report
	if err := json.Unmarshal(text.Bytes(), &read); err != nil {
		t.Fatal(err)
	}
	if read.ExitCode != Lost || *read.Experiments[0].Statistics.P50 != 62 || read.Experiments[0].Statistics.P95 != nil ||
		len(read.Experiments[0].Runs[1].Books.Lost) != 1 {
		t.Errorf("the JSON says %+v", read)
	}
}
