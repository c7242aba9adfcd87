package main

import (
	"encoding/xml"
	"fmt"
	"math"
	"slices"
	"strings"

	"ha-iris/ops/drill/internal/report"
)

// The picture follows the reader's colour scheme. The colours are Okabe and Ito's, which colour-blind people can tell apart; the set-ups
// have different shapes too.
const style = `<style>
text { font: 12px sans-serif; fill: #222 }
.title { font-size: 14px; font-weight: bold }
.small { font-size: 10px }
.grid { stroke: #ccc; stroke-width: 1 }
.middle { stroke: #222; stroke-width: 2 }
.page { fill: #fff }
.article { fill: #d55e00 } .longhorn { fill: #e69f00 } .guard { fill: #0072b2 }
.lost { stroke: #222; stroke-width: 2 }
.never { fill: #d55e00; fill-opacity: 0.12 }
@media (prefers-color-scheme: dark) {
  text { fill: #ddd } .grid { stroke: #444 } .middle { stroke: #ddd } .lost { stroke: #fff } .page { fill: #111 } .guard { fill: #56b4e9 }
}
</style>
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

// drawing is an SVG that is being written.
type drawing struct{ text strings.Builder }

func (d *drawing) add(format string, args ...any) { fmt.Fprintf(&d.text, format+"\n", args...) }

func (d *drawing) label(x, y float64, class, text string) {
	d.add(`<text class="%s" x="%.1f" y="%.1f">%s</text>`, class, x, y, escape(text))
}

func escape(text string) string {
	var escaped strings.Builder
	_ = xml.EscapeText(&escaped, []byte(text)) // A builder takes everything.
	return escaped.String()
}

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
	d := &drawing{}
	d.frame(bottom)
	y := top
	last = ""
	for _, one := range cells {
		if one.name != last {
			y += gap
			d.label(10, y+14, "name", one.name)
		}
		d.strip(one, y)
		y, last = y+row, one.name
	}
	d.add("</svg>")
	return d.text.String()
}

func (d *drawing) frame(bottom float64) {
	const title = "Seconds without an acknowledged write, a mark for each run"
	d.add(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" width="%g" height="%g" role="img">`, width, bottom+40, width, bottom+40)
	d.add("<title>%s</title>\n%s", title, style)
	d.add(`<rect class="page" width="%g" height="%g"/>`, width, bottom+40)
	d.label(10, 22, "title", title)
	d.label(10, 42, "small", "logarithmic scale; a bar is a median; an outline: acknowledged writes are lost; never: not recovered within 12 minutes")
	d.add(`<rect class="never" x="%g" y="%g" width="%g" height="%g"/>`, edge+15, top, width-edge-30, bottom-top)
	for _, seconds := range []float64{1, 2, 5, 10, 20, 30, 60, 90, 120, 240, never} {
		d.add(`<line class="grid" x1="%.1f" y1="%g" x2="%.1f" y2="%g"/>`, x(seconds), top, x(seconds), bottom)
		d.label(x(seconds)-8, bottom+14, "small", fmt.Sprintf("%g s", seconds))
	}
	d.label(beside-14, bottom+14, "small", "never")
}

// strip draws a cell's runs. Marks of one place lie a little above and below each other, in the order of the runs.
func (d *drawing) strip(c cell, y float64) {
	middle := y + row/2
	d.label(120, y+14, "small", c.setup)
	if len(c.runs) == 0 {
		d.label(left+4, y+14, "small", "no run: "+oneLine(c.failed))
		return
	}
	s := c.summary()
	if s.Statistics.P50 != nil && len(c.runs) > 1 {
		d.add(`<line class="middle" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`, x(*s.Statistics.P50), y+2, x(*s.Statistics.P50), y+row-2)
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

func (d *drawing) mark(class string, x, y float64, said string) {
	const size = 3.5
	title := "<title>" + escape(said) + "</title>"
	switch setup, _, _ := strings.Cut(class, " "); setup {
	case article:
		d.add(`<rect class="%s" x="%.1f" y="%.1f" width="%g" height="%g">%s</rect>`, class, x-size, y-size, 2*size, 2*size, title)
	case longhorn:
		d.add(`<path class="%s" d="M%.1f %.1f l%g %g h%g z">%s</path>`, class, x, y-size, size, 2*size, -2*size, title)
	default:
		d.add(`<circle class="%s" cx="%.1f" cy="%.1f" r="%g">%s</circle>`, class, x, y, size, title)
	}
}
