// Package positive checks lengths of time that have to be more than nothing.
package positive

import (
	"fmt"
	"time"
)

// Length is a length of time and what it is called.
type Length struct {
	Name  string
	Value time.Duration
}

// Check returns a problem for each length that is not more than 0.
func Check(lengths ...Length) []error {
	var problems []error
	for _, one := range lengths {
		if one.Value <= 0 {
			problems = append(problems, fmt.Errorf("%s: got %v, want more than 0", one.Name, one.Value))
		}
	}
	return problems
}
