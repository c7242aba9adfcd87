// Package pattern has regular expressions that cost nothing until they are used. A run needs a few of this program's, and compiling
// all of them at the start of the process took 10 ms of every preview.
package pattern

import (
	"regexp"
	"sync"
)

// Pattern returns a regular expression, compiled when it is first asked for.
type Pattern func() *regexp.Regexp

// Lazy returns the pattern of an expression, which must be valid: a test compiles all of them.
func Lazy(expression string) Pattern {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}
