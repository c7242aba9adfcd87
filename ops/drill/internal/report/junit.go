package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

type junitSuites struct {
	XMLName xml.Name     `xml:"testsuites"`
	Suites  []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitMessage `xml:"failure,omitempty"`
	Error   *junitMessage `xml:"error,omitempty"`
}

type junitMessage struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// JUnit writes one suite per experiment, with a case for each run and one for the objectives, and one for the drill itself.
func (r *Report) JUnit(w io.Writer) error {
	suites := junitSuites{}
	for i := range r.Experiments {
		suites.Suites = append(suites.Suites, r.Experiments[i].suite())
	}
	own := junitSuite{Name: "drill"}
	own.add(junitCase{Name: "begins", Error: message(r.Refusals)})
	own.add(junitCase{Name: "cleans up", Error: message(r.Uncleaned)})
	var aborted []string
	if r.Aborted != "" {
		aborted = []string{r.Aborted}
	}
	own.add(junitCase{Name: "ends", Error: message(aborted)})
	suites.Suites = append(suites.Suites, own)
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	encoder := xml.NewEncoder(w)
	encoder.Indent("", "  ")
	if err := encoder.Encode(suites); err != nil {
		return fmt.Errorf("write JUnit's XML: %w", err)
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func (e *Experiment) suite() junitSuite {
	suite := junitSuite{Name: e.Name}
	total := 0.0
	for _, run := range e.Runs {
		failures := append([]string{}, run.Broken...)
		if run.Books != nil && len(run.Books.Lost) > 0 {
			failures = append(failures, fmt.Sprintf("%d acknowledged writes are lost", len(run.Books.Lost)))
		}
		if !run.Recovered {
			failures = append(failures, "not recovered")
		}
		total += run.Gap
		suite.add(junitCase{Name: fmt.Sprintf("run %d", run.Number), Time: fmt.Sprintf("%.3f", run.Gap), Failure: message(failures)})
	}
	suite.add(junitCase{Name: "objectives", Failure: message(append(append([]string{}, e.Missed...), e.Broken...))})
	suite.Time = fmt.Sprintf("%.3f", total)
	return suite
}

func (s *junitSuite) add(one junitCase) {
	one.Class = "drill." + s.Name
	if one.Time == "" {
		one.Time = "0"
	}
	s.Tests++
	if one.Failure != nil {
		s.Failures++
	}
	if one.Error != nil {
		s.Errors++
	}
	s.Cases = append(s.Cases, one)
}

func message(lines []string) *junitMessage {
	if len(lines) == 0 {
		return nil
	}
	return &junitMessage{Message: lines[0], Text: strings.Join(lines, "\n")}
}
