package tools

import (
	"os"
	"runtime"
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
