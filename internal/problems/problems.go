// Package problems collects what is wrong with a configuration, so that a user sees every mistake in one run.
package problems

import (
	"errors"
	"fmt"
	"strings"
)

// Problem is one mistake: where it stands, what was given and what would be valid.
type Problem struct {
	// Path is the key path as the user writes it, for example "iris.service.sourceRanges[0]".
	Path string
	// Got is the value given, already quoted or described; never a secret's value.
	Got string
	// Want says what is valid and, where a command helps, which one.
	Want string
	// shown says that Got holds the value given, and does not only describe it.
	shown bool
}

// Error renders the problem on one line.
func (p Problem) Error() string {
	return fmt.Sprintf("%s: got %s, want %s", p.Path, p.Got, p.Want)
}

// List gathers problems in the order in which they are found. The zero value is ready to use.
type List struct {
	problems []error
}

// Add records a problem whose value may be shown. Strings are quoted, so that "" and " " are visible.
func (l *List) Add(path string, got any, want string) {
	shown := fmt.Sprintf("%q", got)
	if _, describesItself := got.(fmt.Stringer); describesItself || isPlain(got) {
		shown = fmt.Sprint(got)
	}
	if text, isText := got.(string); isText && isContent(text) {
		shown = "the content of a file"
	}
	l.problems = append(l.problems, Problem{Path: path, Got: shown, Want: want, shown: true})
}

// AddMissing records that nothing was given where something is needed.
func (l *List) AddMissing(path, want string) {
	l.problems = append(l.problems, Problem{Path: path, Got: "nothing", Want: want})
}

// AddSecret records a problem with a secret; description says what is wrong with the value without showing it.
func (l *List) AddSecret(path, description, want string) {
	l.problems = append(l.problems, Problem{Path: path, Got: description, Want: want})
}

// AtMost adds a problem when a text or a list is too long; what is counted, as in "characters". A limit of 0 is none.
func (l *List) AtMost(path string, got, most int, what string) {
	if most > 0 && got > most {
		l.AddSecret(path, fmt.Sprintf("%d %s", got, what), fmt.Sprintf("at most %d", most))
	}
}

// Merge takes over the problems of another validation. A nil error adds nothing.
func (l *List) Merge(err error) {
	if err == nil {
		return
	}
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		l.problems = append(l.problems, joined.Unwrap()...)
		return
	}
	l.problems = append(l.problems, err)
}

// Hide takes the values out of those problems of err that lie in a section of the configuration one of whose values is
// secret: which one is not known. The other problems stay as they are. Nil stays nil.
func Hide(err error, section string) error {
	var all, hidden List
	all.Merge(err)
	for _, one := range all.All() {
		var problem Problem
		if errors.As(one, &problem) && problem.shown && isBelow(problem.Path, section) {
			problem.Got, problem.shown = "a value that is not shown, because a value of "+section+" is secret", false
			one = problem
		}
		hidden.Merge(one)
	}
	return hidden.Err()
}

func isBelow(path, section string) bool {
	rest, below := strings.CutPrefix(path, section)
	return below && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// All returns the problems one by one.
func (l *List) All() []error { return l.problems }

// Err returns all problems joined, or nil when there are none.
func (l *List) Err() error { return errors.Join(l.problems...) }

// isContent reports whether a text is a file's content, pasted in place of a name or a path. It may hold a key, so it is not shown.
func isContent(text string) bool {
	const fewLines = 3 // No setting has as many.
	return strings.Contains(text, "PRIVATE KEY-----") || strings.Count(text, "\n") >= fewLines
}

func isPlain(v any) bool {
	switch v.(type) {
	case int, int32, int64, float64, bool, nil:
		return true
	default:
		return false
	}
}
