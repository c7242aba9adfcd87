package main

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ha-iris/ops/drill/internal/ledger"
	"ha-iris/ops/drill/internal/report"
	"ha-iris/ops/drill/internal/timeline"
)

// lasting are runs of so many seconds; zero or less: not recovered.
func lasting(seconds ...float64) []report.Run {
	var runs []report.Run
	for i, length := range seconds {
		one := report.Run{Number: i + 1, Fault: time.Unix(int64(i), int64(length)), Gap: length, Recovered: length > 0, Books: &ledger.Books{Acknowledged: 100}}
		if length <= 0 {
			one.Gap = never + 5
		}
		runs = append(runs, one)
	}
	return runs
}

// put writes an attempt as the drill and this command do. Without runs only the reason is there.
func put(t *testing.T, dir, setup, name string, number int, runs []report.Run, reason string) {
	t.Helper()
	e, err := parseExperiment(name)
	if err != nil {
		t.Fatal(err)
	}
	path := attempt(dir, setup, e, number, ".json")
	content, err := json.Marshal(report.Report{Experiments: []report.Experiment{{Name: name, Runs: runs}}})
	err = errors.Join(err, os.MkdirAll(filepath.Dir(path), 0o755))
	if runs != nil {
		err = errors.Join(err, os.WriteFile(path, content, 0o600))
	}
	if reason != "" {
		err = errors.Join(err, os.WriteFile(attempt(dir, setup, e, number, ".failed"), []byte(reason), 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// madeByHand is a directory of results with one of each kind.
func madeByHand(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	content, err := json.Marshal(about{Machine: "a machine", Source: "source abc", Commit: commitDefault, Begun: time.Unix(0, 0)})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, aboutFile), content, 0o600); err != nil {
		t.Fatal(err)
	}
	put(t, dir, article, "lose-node", 1, lasting(0, 0, 0), "")
	var twenty []float64
	for i := range 20 {
		twenty = append(twenty, float64(60+i))
	}
	put(t, dir, guarded, "lose-node", 1, lasting(twenty[:5]...), "5 of 20 runs made: the node is not back")
	put(t, dir, guarded, "lose-node", 2, lasting(twenty[5:]...), "")
	lossy := lasting(50)
	lossy[0].Books.Lost = make([]ledger.Write, 7)
	lossy[0].Books.Excused = make([]ledger.Write, 2)
	lossy[0].Broken = []string{"two instances acknowledged at once, for 3.0 s"}
	put(t, dir, longhorn, "cut-node-5", 1, lossy, "")
	put(t, dir, longhorn, "drain-node", 1, nil, "the volume is degraded | want healthy\nand more")
	put(t, dir, article, "delete-pod", 1, lasting(40, 50), "")
	put(t, dir, longhorn, "delete-pod", 1, lasting(20, 25, 1), "")
	interrupted := lasting(0)
	interrupted[0].Interrupted = true
	put(t, dir, guarded, "stop-kubelet", 1, interrupted, "interrupted")
	unwritten := lasting(12)
	unwritten[0].Books = nil
	put(t, dir, guarded, "delete-pod", 1, unwritten, "")
	return dir
}

func TestReport_ShowsEveryKindOfResult(t *testing.T) {
	t.Parallel()
	found, err := load(madeByHand(t))
	if err != nil {
		t.Fatal(err)
	}
	table := found.table()
	for _, want := range []string{
		"a machine; source abc; begun 1970-01-01; default commit",
		"| `lose-node` | article | 3 | never | never | max of 3 | never | 3 | 0 of 300 | - |",
		"| `lose-node` | guard | 20 | 60.0 | 69.0 | 78.0 | 79.0 | 0 | 0 of 2000 | > 10.4 |", // 720 / 69
		"| `delete-pod` | article | 2 | 40.0 | 40.0 | max of 2 | 50.0 | 0 | 0 of 200 | - |",
		"| `delete-pod` | longhorn | 3 | 1.0 | 20.0 | max of 3 | 25.0 | 0 | 0 of 300 | 2.0 |",
		"| `delete-pod` | guard | 1 | 12.0 | 12.0 | max of 1 | 12.0 | 0 | - | 3.3 |",
		"| `drain-node` | longhorn | 0 | - | - | - | - | 0 | - | - |",
		"| `stop-kubelet` | guard | 0 | - | - | - | - | 0 | - | - |",
		"| `cut-node-5` | longhorn | 1 | 50.0 | 50.0 | max of 1 | 50.0 | 0 | 9 (2 of the last 2 s) of 100 | - |",
		`- ` + "`drain-node`" + `, longhorn: no more runs, because the volume is degraded \| want healthy and more`,
		"- `cut-node-5`, longhorn: run 1: two instances acknowledged at once",
	} {
		if !strings.Contains(table, want) {
			t.Errorf("%q is missing in\n%s", want, table)
		}
	}
	if strings.Contains(table, "the node is not back") {
		t.Error("a failure that was made good is in the table")
	}
	if strings.Index(table, "`delete-pod`") > strings.Index(table, "`lose-node`") || strings.Index(table, "`lose-node`") > strings.Index(table, "cut-node-5") {
		t.Errorf("the order is wrong:\n%s", table)
	}
}

func TestPicture_HasAMarkForEachRun(t *testing.T) {
	t.Parallel()
	found, err := load(madeByHand(t))
	if err != nil {
		t.Fatal(err)
	}
	picture := found.picture()
	decoder := xml.NewDecoder(strings.NewReader(picture))
	for {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("no XML: %v", err)
		}
	}
	for what, want := range map[string]int{
		`<circle class="guard"`: 21, `<path class="longhorn"`: 3, `<path class="longhorn lost"`: 1, `<rect class="article"`: 5,
		": not recovered</title>": 3, "9 acknowledged writes lost": 1, "no run: the volume is degraded": 1, "prefers-color-scheme: dark": 2,
	} {
		if got := strings.Count(picture, what); got != want {
			t.Errorf("%q is there %d times, want %d", what, got, want)
		}
	}
	if x(0.01) != left || x(never) != edge || x(10) <= x(5) || x(5000) != edge {
		t.Errorf("the scale goes from %g to %g", x(0.01), x(never))
	}
}

func TestWritePage_ChangesOnlyWhatIsBetweenTheMarks(t *testing.T) {
	t.Parallel()
	found, err := load(madeByHand(t))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "page.md")
	for content, want := range map[string]string{
		"before\n" + beginMark + "\nold\n" + endMark + "\nafter\n": "before\n" + beginMark + "\na machine; source abc; ",
		"without marks\n": "",
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		failed := writePage(path, []*results{found})
		now, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if want == "" {
			if failed == nil || string(now) != content {
				t.Errorf("a page without marks became %q, %v", now, failed)
			}
			continue
		}
		if failed != nil || !strings.HasPrefix(string(now), want) || !strings.HasSuffix(string(now), endMark+"\nafter\n") || strings.Contains(string(now), "old") {
			t.Errorf("the page became %q, %v", now, failed)
		}
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(path), found.pictureFile())); err != nil {
		t.Errorf("the picture: %v", err)
	}
}

// A measurement of days is made in pieces: what is published stays, once, and its runs count together.
func TestPublish_AddsToWhatIsThere(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(path, []byte(beginMark+"\n"+endMark+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	publish := func(dirs ...string) string {
		o := &options{write: true}
		if err := o.publish(dirs, path, io.Discard); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	first := madeByHand(t)
	before := publish(first)
	if again := publish(first, first); again != before {
		t.Errorf("published again:\n%s\nbefore:\n%s", again, before)
	}
	second := t.TempDir()
	content, err := json.Marshal(about{Machine: "another, with commas", Source: "source def", Commit: commitSynchronous, Begun: time.Unix(9, 0)})
	if err == nil {
		err = os.WriteFile(filepath.Join(second, aboutFile), content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	put(t, second, guarded, "lose-node", 1, lasting(70), "")
	after := publish(second)
	if !strings.HasSuffix(after, strings.TrimPrefix(before, beginMark)) || !strings.Contains(after, "another, with commas; source def") {
		t.Errorf("a second measurement gave\n%s\nafter\n%s", after, before)
	}
	third := t.TempDir()
	if err := os.WriteFile(filepath.Join(third, aboutFile), content, 0o600); err != nil {
		t.Fatal(err)
	}
	more := lasting(80, 90)
	more[0].Fault, more[1].Fault = time.Unix(100, 0), time.Unix(200, 0)
	more[0].Phases = []timeline.Phase{
		{From: timeline.Fault, To: timeline.NotReady, Seconds: 48, Owner: timeline.Kubernetes},
		{From: timeline.NotReady, To: timeline.TakeOver, Begins: 48, Seconds: 1.5, Owner: timeline.Guard},
	}
	put(t, third, guarded, "lose-node", 1, more, "")
	publish(third)
	// From the record alone.
	if err := os.Remove(filepath.Join(filepath.Dir(path), phasesFile)); err != nil {
		t.Fatal(err)
	}
	got := publish(second)
	picture, err := os.ReadFile(filepath.Join(filepath.Dir(path), phasesFile))
	if err != nil || !strings.Contains(string(picture), "lose-node, guard, median of 3") ||
		!strings.Contains(string(picture), "<title>take-over recorded: 1.5 s, guard</title>") {
		t.Errorf("the picture of the phases is %s, %v", picture, err)
	}
	if !strings.Contains(got, "another, with commas; source def; ") {
		t.Errorf("the machine is another one in\n%s", got)
	}
	if !strings.Contains(got, "| `lose-node` | guard | 3 | 70.0 | 80.0 | max of 3 | 90.0 | 0 | 0 of 300 | - |") {
		t.Errorf("a third one gave\n%s", got)
	}
}

// A measurement that was interrupted has experiments without a run, and its record must be one that can be read.
func TestLines_HaveNothingOfWhatWasNotRun(t *testing.T) {
	t.Parallel()
	e, err := parseExperiment("lose-node")
	if err != nil {
		t.Fatal(err)
	}
	made := &results{cells: []cell{{setup: "guard", experiment: e}, {setup: "article", experiment: e, failed: "the lab did not come up"}}}
	if got := made.lines(); len(got) != 1 || got[0][4] != "article" {
		t.Errorf("got %v", got)
	}
}

func TestReadRecord_RefusesWhatItDidNotWrite(t *testing.T) {
	t.Parallel()
	good := "1970-01-01T00:00:01Z,source abc,a machine,default,guard,lose-node,true,70.000,0.000+48.000 Kubernetes: node not ready,100,0,0,0,,"
	for line, wanted := range map[string]string{
		good:                                  "",
		strings.Replace(good, "1970", "x", 1): "line 2",
		strings.Replace(good, "guard", "ours", 1):     `no set-up "ours"`,
		strings.Replace(good, "lose-node", "boom", 1): `no experiment "boom"`,
		strings.Replace(good, "100", "many", 1):       `got "many"`,
		strings.Replace(good, "+48", " 48", 1):        `got the phase "0.000 48.000`,
		strings.Replace(good, "true", "perhaps", 1):   "perhaps",
	} {
		path := filepath.Join(t.TempDir(), recordFile)
		if err := os.WriteFile(path, []byte(strings.Join(columns(), ",")+"\n"+line+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := readRecord(path); (err == nil) != (wanted == "") || err != nil && !strings.Contains(err.Error(), wanted) {
			t.Errorf("%s: got %v, want %q", line, err, wanted)
		}
	}
}

func TestLeft_CountsOnlyWhatIsMissing(t *testing.T) {
	t.Parallel()
	dir := madeByHand(t)
	lost, err := parseExperiment("lose-node")
	if err != nil {
		t.Fatal(err)
	}
	for runs, want := range map[int]time.Duration{3: 0, 20: 0, 22: 2 * lost.guess(guarded)} {
		b := &bench{options: &options{dir: dir, setups: []string{guarded}, experiments: []experiment{lost}, runs: counts{"": runs}}}
		if left, err := b.left(); err != nil || left != want {
			t.Errorf("%d runs: %s are left, %v, want %s", runs, left, err, want)
		}
	}
	b := &bench{options: &options{dir: dir, setups: []string{guarded}, experiments: []experiment{lost}, runs: counts{"": 22}}}
	b.took = map[string][]time.Duration{guarded + "lose-node": {time.Minute, 3 * time.Minute}}
	if left, err := b.left(); err != nil || left != 4*time.Minute {
		t.Errorf("after runs of 1 and 3 minutes two more take %s, %v", left, err)
	}
}

func TestParse_RefusesEveryMistake(t *testing.T) {
	t.Parallel()
	_, err := parse(strings.Fields("--setups ours,guard --experiments explode,cut-node-07 --commit maybe --lab lab more"))
	for _, want := range []string{`"ours"`, `"explode"`, `"cut-node-07"`, `"maybe"`, `--lab: got "lab"`, `"more"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not in %v", want, err)
		}
	}
	for _, runs := range []string{"0", "x", "ours=3", "guard=0"} {
		if _, err := parse([]string{"--runs", runs}); err == nil || !strings.Contains(err.Error(), "runs") {
			t.Errorf("--runs %s: %v", runs, err)
		}
	}
	o, err := parse(strings.Fields("--setups guard,article --runs 3 --runs article=2 --runs cut-node-5=9"))
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(o.setups, len(o.experiments), o.runs.of(article, cutFor(5)), o.runs.of(guarded, cutFor(5)), o.runs.of(guarded, cutFor(10)))
	if got != "[article guard] 16 2 9 3" {
		t.Errorf("got %s", got)
	}
}

func TestDrillArguments_SayWhatIsMeasured(t *testing.T) {
	t.Parallel()
	b := &bench{options: &options{lab: "failover", commit: commitSynchronous}}
	got := strings.Join(b.drillArguments(article, cutFor(40), 3, "r.json"), " ")
	want := "cut-node --sandbox failover --runs 3 --recovery 720 --json r.json --heal-after 40 --compare-replicas --namespace article --lost-window 2"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	ours := strings.Join(b.drillArguments(guarded, allExperiments()[0], 3, "r.json"), " ")
	if strings.Contains(ours, "--lost-window") || strings.Contains(ours, "--compare-replicas") || strings.Contains(ours, "--namespace") {
		t.Errorf("with synchronous commit ours is called with %s", ours)
	}
}

// The settings are those of the lab's stack file, of which a set-up changes what is compared.
func TestSettings_AreTheLabsButForWhatIsCompared(t *testing.T) {
	t.Parallel()
	b := &bench{options: &options{lab: "failover", commit: commitSynchronous}, root: filepath.Join("..", "..", "..")}
	for setup, want := range map[string]struct {
		synchronous, values bool
		mode                string
	}{
		article: {false, true, longhorn}, longhorn: {true, false, longhorn}, guarded: {true, false, guarded},
	} {
		got, err := b.settings(setup)
		if err != nil {
			t.Fatal(err)
		}
		iris, storage, failover := got["ha-iris:iris"].(object), got["ha-iris:storage"].(object), got["ha-iris:failover"].(object)
		if (iris["synchronousCommit"] == true) != want.synchronous || (storage["values"] != nil) != want.values || failover["mode"] != want.mode ||
			(failover["image"] != nil) != (setup == guarded) || iris["image"] == nil || got["ha-iris:cluster"].(object)["context"] != "ha-iris-failover" {
			t.Errorf("%s: got %v", setup, got)
		}
	}
}

func TestOwns_LeavesTheSandboxesOfOthersAlone(t *testing.T) {
	t.Parallel()
	b := &bench{options: &options{lab: "failover", dir: t.TempDir()}, root: t.TempDir()}
	if err := b.owns(); err != nil {
		t.Errorf("no sandbox: %v", err)
	}
	if err := os.MkdirAll(filepath.Join(b.root, ".local", "sandbox", "failover"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := b.owns(); err == nil || !strings.Contains(err.Error(), "--purge") {
		t.Errorf("somebody's sandbox: %v", err)
	}
	if err := os.WriteFile(b.mine(), []byte("failover"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.owns(); err != nil {
		t.Errorf("its own: %v", err)
	}
}
