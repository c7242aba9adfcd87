package sidebyside

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"ha-iris/ops/drill/internal/fault"
	"ha-iris/ops/drill/internal/ledger"
	"ha-iris/ops/drill/internal/report"
	"ha-iris/ops/drill/internal/timeline"
)

func begun() time.Time { return time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC) }

// recovered is a run that recovered and lost nothing.
func recovered(gap float64) report.Run {
	return report.Run{Fault: begun(), Recovered: true, Gap: gap, Books: &ledger.Books{Acknowledged: 1000}}
}

// unrecovered is a run that was given back after so long.
func unrecovered(after time.Duration) report.Run {
	return report.Run{
		Fault: begun(), Gap: after.Seconds() + 20, Books: &ledger.Books{Acknowledged: 500},
		Events: []timeline.Event{{Mark: timeline.Fault, At: begun()}, {Mark: timeline.Undone, At: begun().Add(after)}},
	}
}

// hand is a directory of hand-made results.
type hand struct {
	*Results
	t *testing.T
}

func newHand(t *testing.T, runs int, commit string) hand {
	t.Helper()
	r := New(t.TempDir())
	r.Runs, r.Commit, r.Machine, r.Revisions = runs, commit, "linux/amd64, 2 cores", []string{"abc1234"}
	r.Setups, r.Experiments = Setups(), []fault.Kind{fault.LoseNode, fault.CutNode}
	return hand{r, t}
}

// drill notes what a drill has written.
func (h hand) drill(setup Setup, kind fault.Kind, aborted string, runs ...report.Run) int {
	h.t.Helper()
	file := fmt.Sprintf("%s-%s-%d.json", setup, kind, len(h.Attempts))
	content, err := json.Marshal(report.Report{Aborted: aborted, Experiments: []report.Experiment{{Name: string(kind), Runs: runs}}})
	if err == nil {
		err = os.WriteFile(filepath.Join(h.dir, file), content, 0o600)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	gained, err := h.Note(Attempt{Setup: setup, Experiment: kind, File: file, Reason: aborted})
	if err != nil {
		h.t.Fatal(err)
	}
	return gained
}

func times(count int, gap func(int) float64) []report.Run {
	var runs []report.Run
	for i := range count {
		runs = append(runs, recovered(gap(i)))
	}
	return runs
}

// sample has 20 runs of the guard, few of the others, losses, runs that never came back, and a refusal.
func sample(t *testing.T, commit string) hand {
	t.Helper()
	h := newHand(t, 20, commit)
	lost := recovered(130)
	lost.Books.Lost, lost.Books.Excused = make([]ledger.Write, 1234), make([]ledger.Write, 2)
	lost.Broken = []string{"two instances acknowledged at once, for 3.0 s"}
	h.drill(Article, fault.LoseNode, "run 3: gave | up", unrecovered(Never), unrecovered(Never))
	h.drill(Longhorn, fault.LoseNode, "", recovered(120), recovered(140), unrecovered(Never))
	h.drill(Guard, fault.LoseNode, "", times(20, func(i int) float64 { return 60 + float64(i) })...)
	h.drill(Longhorn, fault.CutNode, "", recovered(110), lost)
	h.drill(Guard, fault.CutNode, "", times(20, func(int) float64 { return 65 })...)
	if _, err := h.Note(Attempt{Setup: Article, Experiment: fault.CutNode, ExitCode: report.Refused, Reason: "refused: the <pod> is not Ready"}); err != nil {
		t.Fatal(err)
	}
	return h
}

func markdown(t *testing.T, r *Results) string {
	t.Helper()
	var text bytes.Buffer
	if err := r.Markdown(&text, func(kind fault.Kind) string { return string(kind) + ".svg" }); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

func TestMarkdown_ShowsEveryCell(t *testing.T) {
	t.Parallel()
	h := sample(t, Default)
	text := markdown(t, h.Results)
	for _, line := range []string{
		"| `lose-node` | article | 2 of 20 | never | never | never (max of 2) | never | 2 | 0 of 1,000 |  |",
		"| `lose-node` | longhorn | 3 of 20 | 120.0 | 140.0 | never (max of 3) | never | 1 | 0 of 2,500 | > 5.1 |",
		"| `lose-node` | guard | 20 | 60.0 | 69.0 | 78.0 | 79.0 | 0 | 0 of 20,000 | > 10.4 |",
		"| `cut-node` | article | 0 of 20 | none, see below | | | | | | |",
		"| `cut-node` | longhorn | 2 of 20 | 110.0 | 110.0 | 130.0 (max of 2) | 130.0 | 0 | 1,236 of 2,000, 1,234 older than 2 s | - |",
		"- `lose-node`, article: 2 of 20 runs: run 3: gave / up",
		"- `cut-node`, article: 0 of 20 runs: refused: the &lt;pod> is not Ready",
		"- `cut-node`, longhorn: run 2: two instances acknowledged at once, for 3.0 s",
		"![lose-node: the outage of each run, on each set-up](lose-node.svg)",
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("lacks the line %q:\n%s", line, text)
		}
	}
	if !strings.Contains(text, "**Few runs") || !strings.Contains(text, "default commit") || strings.Contains(text, "longhorn: 3 of 20 runs:") {
		t.Errorf("the header or a footnote is wrong:\n%s", text)
	}
	if text := markdown(t, sample(t, Synchronous).Results); strings.Contains(text, "older than") || !strings.Contains(text, "1,236 of 2,000 |") {
		t.Errorf("with synchronous commit nothing is excused:\n%s", text)
	}
}

func TestMarkdown_SaysThatNothingWasMeasured(t *testing.T) {
	t.Parallel()
	text := markdown(t, newHand(t, 20, Default).Results)
	if !strings.Contains(text, "**Not measured yet.**") || !strings.Contains(text, "| `lose-node` | guard | 0 of 20 | not run |") ||
		strings.Contains(text, ".svg") {
		t.Errorf("it says\n%s", text)
	}
}

func TestMarkdown_IsSilentAboutFewRunsWhenThereAreEnough(t *testing.T) {
	t.Parallel()
	h := newHand(t, 20, Synchronous)
	h.Setups, h.Experiments = []Setup{Article, Guard}, []fault.Kind{fault.DeletePod}
	h.drill(Article, fault.DeletePod, "", times(20, func(int) float64 { return 42 })...)
	h.drill(Guard, fault.DeletePod, "", times(20, func(int) float64 { return 21 })...)
	if text := markdown(t, h.Results); strings.Contains(text, "Few runs") || !strings.Contains(text, "| 2.0 |\n") {
		t.Errorf("it says\n%s", text)
	}
}

func TestRows_CountRunsWhoseRowsWereNotRead(t *testing.T) {
	t.Parallel()
	h := newHand(t, 2, Default)
	unread := recovered(60)
	unread.Books = nil
	h.drill(Guard, fault.LoseNode, "", unread, recovered(61))
	h.drill(Longhorn, fault.LoseNode, "", unread)
	text := markdown(t, h.Results)
	for _, part := range []string{"guard: the rows of 1 of 2 runs could not be read back", "0 of 1,000", "| not counted |"} {
		if !strings.Contains(text, part) {
			t.Errorf("lacks %q:\n%s", part, text)
		}
	}
}

func TestMeasured_LeavesOutWhatWasEnded(t *testing.T) {
	t.Parallel()
	unmarked := unrecovered(Never)
	unmarked.Events = nil
	for name, test := range map[string]struct {
		aborted string
		last    report.Run
		want    int
	}{
		"never":                         {"", unrecovered(Never), 2},
		"never, and not healthy after":  {"run 2: the volume is not healthy", unrecovered(Never), 2},
		"ended before it could recover": {"run 2: context canceled", unrecovered(100 * time.Second), 1},
		"ended after the recovery":      {"run 2: context canceled", recovered(50), 2},
		"ended, nothing given back":     {"run 2: context canceled", unmarked, 1},
		"never, nothing given back":     {"", unmarked, 2},
	} {
		if got := newHand(t, 5, Default).drill(Guard, fault.LoseNode, test.aborted, recovered(60), test.last); got != test.want {
			t.Errorf("%s: %d runs count, want %d", name, got, test.want)
		}
	}
}

func TestResults_AreReadAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	h := sample(t, Default)
	read, err := Load(h.dir)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := markdown(t, read), markdown(t, h.Results); got != want || !reflect.DeepEqual(read.Attempts, h.Attempts) {
		t.Errorf("read back they are\n%s\nwant\n%s", got, want)
	}
	if _, err := Load(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty directory: %v", err)
	}
}

func TestLoad_RefusesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	content := `{"format": 2, "attempts": [{"file": "../x.json"}, {"file": "missing.json"}]}`
	if err := os.WriteFile(filepath.Join(dir, fileName), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Load(dir)
	for _, part := range []string{"format is 2, want 1", `attempts[0].file is "../x.json"`, "missing.json"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("the error lacks %q: %v", part, err)
		}
	}
}

func TestPicture_ShowsEveryRun(t *testing.T) {
	t.Parallel()
	h := sample(t, Default)
	for kind, want := range map[fault.Kind]struct{ circles, bad int }{
		fault.LoseNode: {2 + 3 + 20 + 2, 1}, fault.CutNode: {2 + 20 + 2, 2}, // Two dots each are the legend.
	} {
		var text bytes.Buffer
		if err := h.Picture(&text, kind); err != nil {
			t.Fatal(err)
		}
		circles, bad := 0, 0
		for decoder := xml.NewDecoder(&text); ; {
			token, err := decoder.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if element, ok := token.(xml.StartElement); ok && element.Name.Local == "circle" {
				circles++
				if slices.Contains(element.Attr, xml.Attr{Name: xml.Name{Local: "class"}, Value: "bad"}) {
					bad++
				}
			}
		}
		if circles != want.circles || bad != want.bad {
			t.Errorf("%s: %d dots, %d of runs that lost something, want %+v", kind, circles, bad, want)
		}
	}
}

func TestExperiments_EndWithTheOneThatDamages(t *testing.T) {
	t.Parallel()
	kinds := Experiments()
	if len(kinds) != len(fault.Kinds()) || kinds[len(kinds)-1] != fault.CutNode {
		t.Errorf("the order is %v", kinds)
	}
}
