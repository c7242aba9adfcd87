// Package svg is what the drill's pictures have in common.
package svg

import (
	"encoding/xml"
	"fmt"
	"strings"
)

// The pictures follow the reader's colour scheme. The colours are Okabe and Ito's, which colour-blind people can tell apart.
const style = `text { font: 12px sans-serif; fill: #222 }
.title { font-size: 14px; font-weight: bold }
.small { font-size: 10px }
.grid { stroke: #ccc; stroke-width: 1 }
.page { fill: #fff }
@media (prefers-color-scheme: dark) { text { fill: #ddd } .grid { stroke: #444 } .page { fill: #111 } }
`

// Drawing is an SVG that is being written.
type Drawing struct{ text strings.Builder }

// Begin starts a drawing, in pixels, with its title. The rules are CSS beside those for text, title, small, grid and page.
func Begin(title string, width, height float64, rules string) *Drawing {
	d := &Drawing{}
	d.Add(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" width="%g" height="%g" role="img">`, width, height, width, height)
	d.Add("<title>%s</title>\n<style>\n%s%s</style>", Escape(title), style, rules)
	d.Add(`<rect class="page" width="%g" height="%g"/>`, width, height)
	d.Label(10, 22, "title", title)
	return d
}

// Add writes a line.
func (d *Drawing) Add(format string, args ...any) { fmt.Fprintf(&d.text, format+"\n", args...) }

// Label writes a text.
func (d *Drawing) Label(x, y float64, class, text string) {
	d.Add(`<text class="%s" x="%.1f" y="%.1f">%s</text>`, class, x, y, Escape(text))
}

// End returns the whole drawing.
func (d *Drawing) End() string { return d.text.String() + "</svg>\n" }

// Escape makes a text one that can stand between tags.
func Escape(text string) string {
	var escaped strings.Builder
	_ = xml.EscapeText(&escaped, []byte(text)) // A builder takes everything.
	return escaped.String()
}
