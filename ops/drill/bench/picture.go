package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"ha-iris/ops/drill/internal/fault"
	"ha-iris/ops/drill/internal/report"
	"ha-iris/ops/drill/internal/svg"
)

// rules colour the set-ups, which have different shapes too.
const rules = `.middle { stroke: #222; stroke-width: 2 }
.article { fill: #d55e00 } .longhorn { fill: #e69f00 } .guard { fill: #0072b2 }
.lost { stroke: #222; stroke-width: 2 }
.never { fill: #d55e00; fill-opacity: 0.12 }
@media (prefers-color-scheme: dark) { .middle { stroke: #ddd } .lost { stroke: #fff } .guard { fill: #56b4e9 } }
`

const (
	width  = 960.0
	left   = 200.0
	edge   = 850.0 // Where the scale ends; right of it are the runs that did not recover.
	top    = 64.0
	row    = 20.0
	gap    = 12.0 // Between two experiments.
	first  = 1.0  // The scale's shortest outage, in seconds.
	beside = 905.0
)

// x is where an outage lies on the scale, which is logarithmic: the article's are ten times as long as ours.
func x(seconds float64) float64 {
	seconds = min(max(seconds, first), never)
	return left + math.Log(seconds/first)/math.Log(never/first)*(edge-left)
}

// drawing is one of runs.
type drawing struct{ *svg.Drawing }

// picture is an SVG of all runs: a strip for each set-up below each experiment, on one scale.
func (r *results) picture() string {
	cells := slices.Clone(r.cells)
	slices.SortStableFunc(cells, func(a, b cell) int { return r.place(a.name) - r.place(b.name) })
	bottom, last := top, ""
	for _, one := range cells {
		if one.name != last {
			bottom += gap
		}
		bottom, last = bottom+row, one.name
	}
	d := frame(bottom)
	y := top
	last = ""
	for _, one := range cells {
		if one.name != last {
			y += gap
			d.Label(10, y+14, "name", one.name)
		}
		d.strip(one, y)
		y, last = y+row, one.name
	}
	return d.End()
}

func frame(bottom float64) drawing {
	const title = "Seconds without an acknowledged write, a mark for each run"
	d := drawing{svg.Begin(title, width, bottom+40, rules)}
	d.Label(10, 42, "small", "logarithmic scale; a bar is a median; an outline: acknowledged writes are lost; never: not recovered within 12 minutes")
	d.Add(`<rect class="never" x="%g" y="%g" width="%g" height="%g"/>`, edge+15, top, width-edge-30, bottom-top)
	for _, seconds := range []float64{1, 2, 5, 10, 20, 30, 60, 90, 120, 240, never} {
		d.Add(`<line class="grid" x1="%.1f" y1="%g" x2="%.1f" y2="%g"/>`, x(seconds), top, x(seconds), bottom)
		d.Label(x(seconds)-8, bottom+14, "small", fmt.Sprintf("%g s", seconds))
	}
	d.Label(beside-14, bottom+14, "small", "never")
	return d
}

// strip draws a cell's runs. Marks of one place lie a little above and below each other, in the order of the runs.
func (d drawing) strip(c cell, y float64) {
	middle := y + row/2
	d.Label(120, y+14, "small", c.setup)
	if len(c.runs) == 0 {
		d.Label(left+4, y+14, "small", "no run: "+oneLine(c.failed))
		return
	}
	s := c.summary()
	if s.Statistics.P50 != nil && len(c.runs) > 1 {
		d.Add(`<line class="middle" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`, x(*s.Statistics.P50), y+2, x(*s.Statistics.P50), y+row-2)
	}
	for i, run := range c.runs {
		at, said := x(run.Gap), fmt.Sprintf("%s, %s, run %d: %.1f s", c.name, c.setup, i+1, run.Gap)
		if !run.Recovered {
			at, said = beside+float64(i%7-3)*5, fmt.Sprintf("%s, %s, run %d: not recovered", c.name, c.setup, i+1)
		}
		class := c.setup
		if lost := lostText(run); lost != "" {
			class, said = class+" lost", said+lost
		}
		d.mark(class, at, middle+float64(i%5-2)*2.5, said)
	}
}

func lostText(run report.Run) string {
	if run.Books == nil || len(run.Books.Lost)+len(run.Books.Excused) == 0 {
		return ""
	}
	return fmt.Sprintf(", %d acknowledged writes lost", len(run.Books.Lost)+len(run.Books.Excused))
}

func (d drawing) mark(class string, x, y float64, said string) {
	const size = 3.5
	title := "<title>" + svg.Escape(said) + "</title>"
	switch setup, _, _ := strings.Cut(class, " "); setup {
	case article:
		d.Add(`<rect class="%s" x="%.1f" y="%.1f" width="%g" height="%g">%s</rect>`, class, x-size, y-size, 2*size, 2*size, title)
	case longhorn:
		d.Add(`<path class="%s" d="M%.1f %.1f l%g %g h%g z">%s</path>`, class, x, y-size, size, 2*size, -2*size, title)
	default:
		d.Add(`<circle class="%s" cx="%.1f" cy="%.1f" r="%g">%s</circle>`, class, x, y, size, title)
	}
}

// phasesFile shows where the seconds of a lost node go, beside the page.
const phasesFile = "failover.svg"

// phasesPicture is an SVG of a lost node and of one that is cut off, by whose the seconds were: for each set-up the run whose outage
// is the median. Empty: there are no such runs.
func (r *results) phasesPicture() (string, error) {
	drawn := report.Report{}
	for _, name := range []fault.Kind{fault.LoseNode, fault.CutNode} {
		for _, setup := range []string{guarded, longhorn, article} { // The shortest first.
			for _, one := range r.cells {
				if one.setup == setup && one.name == string(name) && len(one.runs) > 0 {
					middle := one.median()
					middle.Number = len(one.runs)
					drawn.Experiments = append(drawn.Experiments, report.Experiment{
						Name: fmt.Sprintf("%s, %s, median of", one.name, setup), Runs: []report.Run{middle},
					})
				}
			}
		}
	}
	if len(drawn.Experiments) == 0 {
		return "", nil
	}
	var text strings.Builder
	err := drawn.SVG(&text)
	return text.String(), err
}

// median is the run in the middle; what did not recover is longer than all others.
func (c cell) median() report.Run {
	runs := slices.Clone(c.runs)
	slices.SortFunc(runs, func(a, b report.Run) int {
		if a.Recovered != b.Recovered {
			if a.Recovered {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Gap, b.Gap)
	})
	return runs[(len(runs)-1)/2]
}
