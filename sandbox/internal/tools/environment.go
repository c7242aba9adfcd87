package tools

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
)

// GoEnvironment is what go commands run in: the caller's environment, without what makes Go build something else than a
// program for this machine from the tool's go.mod, whoever exported it and for what. The Makefile does the same.
func GoEnvironment() []string {
	var kept []string
	for _, variable := range os.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		switch name {
		case "GOROOT", "GOEXPERIMENT": // Of another Go than the one on PATH.
		case "CGO_ENABLED": // A 1 without a compiler fails, and Go knows which it has.
			if value == "0" {
				kept = append(kept, variable)
			}
		default:
			kept = append(kept, variable)
		}
	}
	// Set, and not left out, because `go env -w` would answer for what is missing.
	return append(kept,
		"GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH,
		"GO111MODULE=on", "GOWORK=off", // A workspace around the checkout does not know our tool modules.
		"GOFLAGS="+goFlags(os.Getenv("GOFLAGS")))
}

// GoPlaces are the variables that tell a process with a home of its own where the caller's Go keeps things and gets them from.
func GoPlaces(ctx context.Context) ([]string, error) {
	command := exec.CommandContext(ctx, "go", "env", "-json", "GOCACHE", "GOMODCACHE", "GOPROXY", "GOSUMDB", "GONOSUMDB", "GONOPROXY",
		"GOPRIVATE", "GOINSECURE", "GOVCS", "GOTOOLCHAIN")
	command.Env = GoEnvironment()
	output, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("ask go for its directories: %w", err)
	}
	var values map[string]string
	if err := json.Unmarshal(output, &values); err != nil {
		return nil, fmt.Errorf("read what go says of its directories: %w", err)
	}
	places := make([]string, 0, len(values))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		places = append(places, name+"="+values[name])
	}
	return places, nil
}

// goFlags keeps the flags that change no result. -mod=readonly is the default, named so that the result is never empty.
func goFlags(exported string) string {
	flags := []string{"-mod=readonly"}
	for _, flag := range strings.Fields(exported) {
		if strings.HasPrefix(flag, "-p=") || flag == "-modcacherw" || strings.HasPrefix(flag, "-modcacherw=") {
			flags = append(flags, flag)
		}
	}
	return strings.Join(flags, " ")
}
