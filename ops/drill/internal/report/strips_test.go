package report

import (
	"bytes"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// centres are those of the circles of a picture.
func centres(t *testing.T, text string) [][2]float64 {
	t.Helper()
	var found [][2]float64
	for _, match := range regexp.MustCompile(`<circle class="(?:dot|bad)" cx="([0-9.]+)" cy="([0-9.]+)" r="4.5"><title>`).FindAllStringSubmatch(text, -1) {
		x, errX := strconv.ParseFloat(match[1], 64)
		y, errY := strconv.ParseFloat(match[2], 64)
		if errX != nil || errY != nil {
			t.Fatalf("no number: %v", match)
		}
		found = append(found, [2]float64{x, y})
	}
	return found
}

func TestStrips_KeepDotsApartAndNeverAtTheEdge(t *testing.T) {
	t.Parallel()
	median := 60.0
	strips := Strips{Title: "a < b", Rows: []Strip{
		{Name: "ours", Median: &median, Dots: []Dot{{Seconds: 60}, {Seconds: 60}, {Seconds: 60}, {Seconds: 120}}},
		{Name: "other", Dots: []Dot{{Seconds: 999, Never: true, Bad: true, About: "not <recovered>"}}},
		{Name: "none"},
	}}
	var text bytes.Buffer
	if err := strips.SVG(&text); err != nil {
		t.Fatal(err)
	}
	found := wellFormed(t, text.String())
	dots := centres(t, text.String())
	if found["svg"] != 1 || len(dots) != 5 || strings.Contains(text.String(), "NaN") {
		t.Fatalf("elements %v, dots %v", found, dots)
	}
	for i, one := range dots {
		for _, other := range dots[i+1:] {
			if math.Hypot(one[0]-other[0], one[1]-other[1]) < 2*radius-0.1 {
				t.Errorf("the dots at %v and %v cover each other", one, other)
			}
		}
	}
	if scale := width - right - edge; dots[3][0] >= scale || dots[3][0] < scale*0.9 || dots[4][0] <= scale {
		t.Errorf("the longest is at %g, the one that never recovered at %g; the scale ends at %g", dots[3][0], dots[4][0], scale)
	}
	if !strings.Contains(text.String(), "prefers-color-scheme: dark") || !strings.Contains(text.String(), "not &lt;recovered&gt;") {
		t.Error("it is not for dark pages, or a text is not escaped")
	}
}

func TestStrips_CanBeEmptyOrNever(t *testing.T) {
	t.Parallel()
	for _, strips := range []Strips{{}, {Rows: []Strip{{Dots: []Dot{{Never: true}}}}}} {
		var text bytes.Buffer
		if err := strips.SVG(&text); err != nil {
			t.Fatal(err)
		}
		wellFormed(t, text.String())
		if strings.Contains(text.String(), "NaN") || strings.Contains(text.String(), "Inf") {
			t.Errorf("a number is none:\n%s", text.String())
		}
	}
}
