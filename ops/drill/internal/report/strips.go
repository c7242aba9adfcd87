package report

import (
	"fmt"
	"io"
	"math"
)

// Strips compare set-ups: a strip of dots for each, a dot for each run, on one scale of seconds.
type Strips struct {
	Title string
	Rows  []Strip
}

// Strip is one set-up.
type Strip struct {
	// Name is the set-up's, About what is said below it.
	Name, About string
	// Median is marked; nil: nothing is.
	Median *float64
	Dots   []Dot
}

// Dot is one run.
type Dot struct {
	Seconds float64
	// Never is that it did not recover: it is drawn at the edge.
	Never bool
	// Bad is that it lost something.
	Bad bool
	// About is shown to those who point at it.
	About string
}

const (
	strip    = 72.0
	radius   = 4.5
	edge     = 80.0 // The width of the column for runs that never recovered.
	dotLimit = strip/2 - radius - 4
)

// SVG draws them. The scale ends behind the longest run that recovered, so that one that never did leaves the others apart.
func (s *Strips) SVG(w io.Writer) error {
	longest := 0.0
	for _, one := range s.Rows {
		for _, dot := range one.Dots {
			if !dot.Never {
				longest = max(longest, dot.Seconds)
			}
		}
	}
	bottom := rowTop + float64(len(s.Rows))*strip
	from := width - right - edge
	p := begin(s.Title, bottom+50, longest*1.05, from-10)
	p.add(`<rect class="edge" x="%.1f" y="%g" width="%g" height="%.1f"/>`+"\n", from, rowTop-8, edge, bottom-rowTop+8)
	p.label(from+24, bottom+14, "small", "never")
	p.grid(bottom)
	for i := range s.Rows {
		p.strip(&s.Rows[i], rowTop+(float64(i)+0.5)*strip)
	}
	y := bottom + 34
	p.add(`<circle class="dot" cx="%g" cy="%g" r="%g"/>`+"\n", left, y, radius)
	p.label(left+10, y+4, "small", "a run")
	p.add(`<circle class="bad" cx="%g" cy="%g" r="%g"/>`+"\n", left+70, y, radius)
	p.label(left+80, y+4, "small", "a run that lost acknowledged writes")
	p.add(`<path class="gap" d="M%g %g v12"/>`+"\n", left+280, y-6)
	p.label(left+288, y+4, "small", "p50")
	return p.write(w)
}

// strip draws one set-up around a y.
func (p *picture) strip(s *Strip, y float64) {
	p.label(10, y-2, "row", s.Name)
	p.label(10, y+13, "small", s.About)
	if s.Median != nil {
		p.add(`<path class="gap" d="M%.1f %.1f v%g"/>`+"\n", p.x(*s.Median), y-dotLimit, 2*dotLimit)
	}
	var placed [][2]float64
	for _, dot := range s.Dots {
		at, class := p.x(dot.Seconds), "dot"
		if dot.Never {
			at = width - right - edge/2
		}
		if dot.Bad {
			class = "bad"
		}
		off := beside(placed, at)
		placed = append(placed, [2]float64{at, off})
		p.add(`<circle class="%s" cx="%.1f" cy="%.1f" r="%g"><title>%s</title></circle>`+"\n", class, at, y+off, radius, escape(dot.About))
	}
}

// beside is how far above or below its line a dot finds room between those that are there. Where there is none it covers another.
func beside(placed [][2]float64, at float64) float64 {
	for level := 0.0; level <= dotLimit; level += 2 {
		for _, off := range []float64{-level, level} {
			free := true
			for _, other := range placed {
				free = free && math.Hypot(at-other[0], off-other[1]) >= 2*radius
			}
			if free {
				return off
			}
		}
	}
	return 0
}

// Seconds is a number of seconds as the tables show it, or that there is none.
func Seconds(value *float64) string {
	if value == nil {
		return "never"
	}
	return fmt.Sprintf("%.1f", *value)
}
