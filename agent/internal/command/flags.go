package command

import (
	"fmt"
	"net"
)

// given is a flag that must have a value, and what is wanted of it.
type given struct{ name, value, want string }

// missing are the problems of those that have none.
func missing(flags ...given) []error {
	var problems []error
	for _, one := range flags {
		if one.value == "" {
			problems = append(problems, fmt.Errorf("--%s: got nothing, want %s", one.name, one.want))
		}
	}
	return problems
}

// checkListen wants an address to listen on.
func checkListen(address string) []error {
	if _, _, err := net.SplitHostPort(address); err != nil {
		return []error{fmt.Errorf("--listen: got %q, want HOST:PORT or :PORT: %w", address, err)}
	}
	return nil
}
