package report

import (
	"fmt"
	"io"
	"math"

	"ha-iris/ops/drill/internal/svg"
)

// rules colour what only these pictures have.
const rules = `.gap { stroke: #222; stroke-width: 2; fill: none }
.Kubernetes { fill: #0072b2 } .guard { fill: #cc79a7 } .Longhorn { fill: #e69f00 } .IRIS { fill: #009e73 } .drill { fill: #999 }
.bad { fill: #d55e00 }
@media (prefers-color-scheme: dark) { .gap { stroke: #ddd } }
`

const (
	width  = 960.0
	left   = 200.0
	right  = 30.0
	rowTop = 60.0
	row    = 24.0
)

// picture is a drawing with a scale of seconds.
type picture struct {
	*svg.Drawing
	height float64
	// seconds is the length of the scale.
	seconds float64
}

func newPicture(title string, rows int, seconds float64) *picture {
	height := rowTop + float64(rows)*row + 60
	p := &picture{svg.Begin(title, width, height, rules), height, max(seconds, 1)}
	p.grid(rows)
	return p
}

func (p *picture) x(seconds float64) float64 {
	return left + math.Max(0, math.Min(seconds, p.seconds))/p.seconds*(width-left-right)
}

// step is a round number of seconds that divides a scale into about ten parts.
func step(seconds float64) float64 {
	for _, one := range []float64{1, 2, 5, 10, 20, 30, 60, 120, 300, 600} {
		if seconds/one <= 12 {
			return one
		}
	}
	return 1800
}

func (p *picture) grid(rows int) {
	bottom := rowTop + float64(rows)*row
	for at := 0.0; at <= p.seconds; at += step(p.seconds) {
		p.Add(`<line class="grid" x1="%.1f" y1="%g" x2="%.1f" y2="%g"/>`, p.x(at), rowTop-8, p.x(at), bottom)
		p.Label(p.x(at)-4, bottom+14, "small", fmt.Sprintf("%g s", at))
	}
	x := left
	for _, owner := range Owners() {
		p.Add(`<rect class="%s" x="%.1f" y="%.1f" width="10" height="10"/>`, owner, x, p.height-24)
		p.Label(x+14, p.height-15, "small", string(owner))
		x += 100
	}
}

// bar is a part of a row, with what it is for those who point at it.
func (p *picture) bar(index int, from, seconds float64, class, about string) {
	y := rowTop + float64(index)*row
	p.Add(`<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%g"><title>%s</title></rect>`, class, p.x(from), y,
		math.Max(p.x(from+seconds)-p.x(from), 1.5), row-8, svg.Escape(about))
}

func (p *picture) write(w io.Writer) error {
	_, err := io.WriteString(w, p.End())
	return err
}

// SVG draws a run: a row per phase, and one for the gap.
func (r *Run) SVG(w io.Writer, experiment string) error {
	end := r.Gap
	for _, phase := range r.Phases {
		end = max(end, phase.Begins+phase.Seconds)
	}
	title := fmt.Sprintf("%s, run %d: %.1f s without an acknowledged write", experiment, r.Number, r.Gap)
	if !r.Recovered {
		title = fmt.Sprintf("%s, run %d: not recovered after %.1f s", experiment, r.Number, r.Gap)
	}
	p := newPicture(title, len(r.Phases)+1, end*1.05)
	for i, phase := range r.Phases {
		p.Label(10, rowTop+float64(i)*row+12, "row", string(phase.To))
		p.bar(i, phase.Begins, phase.Seconds, string(phase.Owner), fmt.Sprintf("%s to %s: %.1f s, %s", phase.From, phase.To, phase.Seconds, phase.Owner))
		p.Label(p.x(phase.Begins+phase.Seconds)+4, rowTop+float64(i)*row+12, "small", fmt.Sprintf("%.1f", phase.Seconds))
	}
	if !r.Outage.Last.IsZero() {
		begins := r.Outage.Last.Sub(r.Fault).Seconds()
		y := rowTop + float64(len(r.Phases))*row + 8
		p.Label(10, y+4, "row", "no acknowledgement")
		p.Add(`<path class="gap" d="M%.1f %.1f v8 M%.1f %.1f h%.1f M%.1f %.1f v8"/>`, p.x(begins), y-4, p.x(begins), y,
			p.x(begins+r.Gap)-p.x(begins), p.x(begins+r.Gap), y-4)
	}
	return p.write(w)
}

// SVG draws all runs: a row each, in the colours of whose time it was.
func (r *Report) SVG(w io.Writer) error {
	rows, end := 0, 0.0
	for _, experiment := range r.Experiments {
		for _, run := range experiment.Runs {
			rows++
			end = max(end, run.Gap)
			for _, phase := range run.Phases {
				end = max(end, phase.Begins+phase.Seconds)
			}
		}
	}
	p := newPicture("Seconds after the fault, by whose they were", rows, end*1.05)
	index := 0
	for _, experiment := range r.Experiments {
		for _, run := range experiment.Runs {
			p.run(index, experiment.Name, &run)
			index++
		}
	}
	return p.write(w)
}

func (p *picture) run(index int, name string, run *Run) {
	p.Label(10, rowTop+float64(index)*row+12, "row", fmt.Sprintf("%s %d", name, run.Number))
	end := 0.0
	for _, phase := range run.Phases {
		p.bar(index, phase.Begins, phase.Seconds, string(phase.Owner), fmt.Sprintf("%s: %.1f s, %s", phase.To, phase.Seconds, phase.Owner))
		end = max(end, phase.Begins+phase.Seconds)
	}
	text := fmt.Sprintf("%.1f", run.Gap)
	if !run.Recovered {
		p.bar(index, end, p.seconds-end, "bad", "not recovered")
		text = "never"
		end = p.seconds - 40
	}
	p.Label(p.x(end)+4, rowTop+float64(index)*row+12, "small", text)
}
