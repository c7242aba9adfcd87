package sidebyside

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"ha-iris/ops/drill/internal/fault"
	"ha-iris/ops/drill/internal/report"
)

// enough is how many runs a 95th percentile needs: with fewer it is the longest one.
const enough = 20

// Markdown writes the table, what is to be known of it, and the pictures where there are any: picture is where that of an experiment
// is found.
func (r *Results) Markdown(w io.Writer, picture func(fault.Kind) string) error {
	var text strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&text, format+"\n", args...) }
	rows := r.Rows()
	line("%s\n", r.header(rows))
	line("| experiment | set-up | runs | min | p50 | p95 | max | never | acknowledged writes lost | article / ours |")
	line("|---|---|---|---|---|---|---|---|---|---|")
	for i := range rows {
		rows[i].markdown(&text, r.Commit)
	}
	if notes := footnotes(rows); len(notes) > 0 {
		line("")
		for _, note := range notes {
			line("- %s", note)
		}
	}
	for _, kind := range r.Experiments {
		if !r.HasRuns(kind) {
			continue
		}
		line("\n![%s: the outage of each run, on each set-up](%s)", kind, picture(kind))
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// HasRuns says whether anything was measured of an experiment.
func (r *Results) HasRuns(kind fault.Kind) bool {
	for _, setup := range r.Setups {
		if len(r.Measured(Cell{setup, kind})) > 0 {
			return true
		}
	}
	return false
}

// header says what was measured and with what, and how little that is.
func (r *Results) header(rows []Row) string {
	count, whole := 0, true
	for _, row := range rows {
		count += row.Gap.Runs
		whole = whole && row.Gap.Runs >= max(row.Wanted, enough)
	}
	if count == 0 {
		return "**Not measured yet.**"
	}
	parts := []string{r.Machine, "sources " + strings.Join(r.Revisions, ", "), "seconds without an acknowledged write"}
	if r.Commit == Synchronous {
		parts = append(parts, "synchronous commit")
	} else {
		parts = append(parts, "default commit")
	}
	text := strings.Join(parts, "; ") + "."
	if !whole {
		text += fmt.Sprintf(" **Few runs: fewer than %d in some rows; a row shows how many of those asked for.**", max(r.Runs, enough))
	}
	return text
}

func (row *Row) markdown(w *strings.Builder, commit string) {
	fmt.Fprintf(w, "| `%s` | %s | ", row.Experiment, row.Setup)
	if row.Gap.Runs == 0 {
		what := "not run"
		if len(row.Reasons) > 0 {
			what = "none, see below"
		}
		fmt.Fprintf(w, "0 of %d | %s | | | | | | |\n", row.Wanted, what)
		return
	}
	runs := strconv.Itoa(row.Gap.Runs)
	if row.Gap.Runs < row.Wanted {
		runs += fmt.Sprintf(" of %d", row.Wanted)
	}
	p95 := report.Seconds(row.Gap.P95)
	if row.Gap.Runs < enough {
		p95 = fmt.Sprintf("%s (max of %d)", report.Seconds(row.Gap.Max), row.Gap.Runs)
	}
	fmt.Fprintf(w, "%s | %s | %s | %s | %s | %d | %s | %s |\n", runs, report.Seconds(row.Gap.Min), report.Seconds(row.Gap.P50), p95,
		report.Seconds(row.Gap.Max), row.Gap.Never, row.lost(commit), row.ratio())
}

func (row *Row) lost(commit string) string {
	if row.Unread == row.Gap.Runs {
		return "not counted"
	}
	text := fmt.Sprintf("%s of %s", thousands(row.Lost), thousands(row.Acknowledged))
	if commit == Default && row.Lost > 0 {
		text += fmt.Sprintf(", %s older than 2 s", thousands(row.Older))
	}
	return text
}

func (row *Row) ratio() string {
	switch {
	case row.Setup == Article:
		return ""
	case row.Ratio == nil:
		return "-"
	case row.AtLeast:
		return fmt.Sprintf("> %.1f", *row.Ratio)
	default:
		return fmt.Sprintf("%.1f", *row.Ratio)
	}
}

// thousands writes a number with commas.
func thousands(number int) string {
	digits := strconv.Itoa(number)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}

// noteLength bounds a reason; the whole one is in the results.
const noteLength = 200

func footnotes(rows []Row) []string {
	var notes []string
	add := func(row *Row, text string) {
		text = strings.Join(strings.Fields(text), " ")
		if runes := []rune(text); len(runes) > noteLength {
			text = string(runes[:noteLength]) + "..."
		}
		notes = append(notes, fmt.Sprintf("`%s`, %s: %s", row.Experiment, row.Setup, plain(text)))
	}
	for i := range rows {
		row := &rows[i]
		for _, remark := range row.Remarks {
			add(row, remark)
		}
		if row.Unread > 0 {
			add(row, fmt.Sprintf("the rows of %d of %d runs could not be read back, and are not counted", row.Unread, row.Gap.Runs))
		}
		for _, reason := range row.Reasons {
			add(row, fmt.Sprintf("%d of %d runs: %s", row.Gap.Runs, row.Wanted, reason))
		}
	}
	return notes
}

// plain takes away what Markdown and HTML would read into a message.
func plain(text string) string {
	return strings.NewReplacer("<", "&lt;", "|", "/", "`", "'", "[", "(", "]", ")").Replace(text)
}
