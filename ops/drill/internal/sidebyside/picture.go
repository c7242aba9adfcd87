package sidebyside

import (
	"fmt"
	"io"

	"ha-iris/ops/drill/internal/fault"
	"ha-iris/ops/drill/internal/report"
)

// Picture draws all runs of an experiment: a strip for each set-up.
func (r *Results) Picture(w io.Writer, kind fault.Kind) error {
	strips := report.Strips{Title: fmt.Sprintf("%s: seconds without an acknowledged write", kind)}
	for _, setup := range r.Setups {
		row := r.row(Cell{setup, kind})
		one := report.Strip{Name: string(setup), About: row.about(), Median: row.Gap.P50}
		for i, run := range row.runs {
			one.Dots = append(one.Dots, dot(i+1, run))
		}
		strips.Rows = append(strips.Rows, one)
	}
	return strips.SVG(w)
}

func (row *Row) about() string {
	if row.Gap.Runs == 0 {
		return "no runs"
	}
	text := fmt.Sprintf("%d runs, p50 %s", row.Gap.Runs, report.Seconds(row.Gap.P50))
	if row.Gap.Never > 0 && row.Gap.P50 != nil {
		text += fmt.Sprintf(", %d never", row.Gap.Never)
	}
	return text
}

func dot(number int, run report.Run) report.Dot {
	one := report.Dot{Seconds: run.Gap, Never: !run.Recovered, About: fmt.Sprintf("run %d: %.1f s", number, run.Gap)}
	if one.Never {
		one.About = fmt.Sprintf("run %d: not recovered within %.0f minutes", number, Never.Minutes())
	}
	if run.Books == nil {
		return one
	}
	if lost := len(run.Books.Lost) + len(run.Books.Excused); lost > 0 {
		one.Bad = true
		one.About += fmt.Sprintf(", %d of %d acknowledged writes lost", lost, run.Books.Acknowledged)
	}
	return one
}
