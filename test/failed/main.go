// Command failed passes on what `go test -json` prints, as go test -v prints it, and says at the end which tests failed
// and what they said last. Logs of continuous integration are often shown from their end only, where a test that failed
// among many in parallel is long gone.
//
//	go test -json ./... 2>&1 | go run ./test/failed
//
// It exits with 1 if anything failed, or if nothing was tested.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
)

// What is longer is in the log above. A test's error looks as what it logs, and what it logs afterwards may be long: the first and the last messages
// are shown, of all but the last ones their first line.
const (
	messagesShown = 30
	wholeMessages = 2
	linesShown    = 3
	columnsShown  = 400
)

// event is one line of `go test -json` (go doc test2json).
type event struct {
	Action, Package, Test, Output string
}

// test is what one test, or a package outside its tests, has printed.
type test struct {
	name     string
	messages []string
	result   string
}

// located begins what a test reports: "    some_test.go:12: text".
var located = regexp.MustCompile(`^\s+\w+\.go:\d+: `)

func main() {
	ok, err := watch(os.Stdin, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "failed:", err)
	}
	if !ok || err != nil {
		os.Exit(1)
	}
}

// watch passes everything on and says whether all that ran has passed.
func watch(events io.Reader, out io.Writer) (ok bool, err error) {
	var order []*test
	seen := map[string]*test{}
	lines := bufio.NewReader(events)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			var e event
			if json.Unmarshal([]byte(line), &e) != nil {
				// What the go command itself has to say: a build that failed.
				e = event{Output: line}
			}
			key := e.Package + " " + e.Test
			if seen[key] == nil {
				seen[key] = &test{name: strings.TrimSpace(key)}
				order = append(order, seen[key])
			}
			seen[key].take(e)
			if _, err := io.WriteString(out, e.Output); err != nil {
				return false, fmt.Errorf("write: %w", err)
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return false, fmt.Errorf("read what go test prints: %w", err)
		}
	}
	return summary(order, out)
}

// take notes an event of the test.
func (t *test) take(e event) {
	switch e.Action {
	case "pass", "fail", "skip":
		t.result = e.Action
	}
	text := strings.TrimRight(e.Output, "\n")
	switch last := len(t.messages) - 1; {
	case text == "" || strings.HasPrefix(strings.TrimSpace(text), "--- ") || strings.HasPrefix(text, "=== "):
	case located.MatchString(text) || last < 0 || e.Test == "":
		t.messages = append(t.messages, strings.TrimSpace(text))
	default:
		t.messages[last] += "\n" + strings.TrimSpace(text)
	}
}

// summary names what failed, or was never ended: a test that another's panic or the time limit took along.
func summary(order []*test, out io.Writer) (ok bool, err error) {
	ran := false
	var text strings.Builder
	for i, t := range order {
		ran = ran || t.result != "" && t.inPackage()
		if t.isFine() || hasFailedInside(order, i) {
			continue
		}
		text.WriteString(t.about())
	}
	if !ran && text.Len() == 0 {
		text.WriteString("failed: no test has run\n")
	}
	if _, err := io.WriteString(out, text.String()); err != nil {
		return false, fmt.Errorf("write: %w", err)
	}
	return text.Len() == 0, nil
}

// inPackage says whether it is a test, and not the package itself or the go command.
func (t *test) inPackage() bool { return strings.Contains(t.name, " ") }

// isFine says whether nothing is to be said of it. What the go command prints beside events has no result.
func (t *test) isFine() bool {
	return t.result == "pass" || t.result == "skip" || t.result == "" && !t.inPackage()
}

// about is its name and what it said last.
func (t *test) about() string {
	var text strings.Builder
	what := "failed"
	if t.result == "" {
		what = "did not end"
	}
	fmt.Fprintf(&text, "%s: %s\n", what, t.name)
	for i, message := range t.messages {
		left := len(t.messages) - i
		if i >= messagesShown/2 && left > messagesShown/2 {
			continue
		}
		lines, shown := strings.Split(message, "\n"), 1
		if left <= wholeMessages {
			shown = linesShown
		}
		for _, line := range lines[:min(shown, len(lines))] {
			fmt.Fprintf(&text, "    %.*s\n", columnsShown, line)
		}
	}
	return text.String()
}

// hasFailedInside says whether a subtest, or a test of the package, is named instead: it says why.
func hasFailedInside(order []*test, i int) bool {
	for _, other := range order {
		inside := strings.HasPrefix(other.name, order[i].name+"/") || strings.HasPrefix(other.name, order[i].name+" ")
		if inside && other.result != "pass" && other.result != "skip" {
			return true
		}
	}
	return false
}
