package tools

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Compile builds programs of a Go module of this checkout into a directory, each under its package's name, static and without anything of
// this machine in them: neither paths nor the state of the checkout.
func Compile(ctx context.Context, module, dir string, packages ...string) error {
	// The oldest processors of each architecture, whatever the environment prefers.
	environment := append(GoEnvironment(), "CGO_ENABLED=0", "GOAMD64=v1", "GOARM64=v8.0")
	return compile(ctx, module, environment, append([]string{"-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid="}, into(dir, packages)...))
}

// CompileHere is Compile for programs that run on this machine only. They share what was compiled for the sandbox itself, which the Makefile
// builds with the same flags.
func CompileHere(ctx context.Context, module, dir string, packages ...string) error {
	return compile(ctx, module, GoEnvironment(), into(dir, packages))
}

func into(dir string, packages []string) []string {
	return append([]string{"-o", dir + string(filepath.Separator)}, packages...)
}

func compile(ctx context.Context, module string, environment, arguments []string) error {
	command := exec.CommandContext(ctx, "go", append([]string{"build"}, arguments...)...)
	command.Dir = module
	command.Env = environment
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) } // So that go removes its temporary files.
	command.WaitDelay = 5 * time.Second
	var stderr bytes.Buffer
	command.Stderr = &stderr
	if err := command.Run(); err != nil {
		return errors.Join(ctx.Err(), fmt.Errorf("compile %s of %s: %w\n%s",
			arguments[len(arguments)-1], filepath.Base(module), err, strings.TrimSpace(stderr.String())))
	}
	return nil
}

// ModuleDir is the directory of a dependency of a Go module of this checkout, in the module cache.
func ModuleDir(ctx context.Context, module, dependency string) (string, error) {
	command := exec.CommandContext(ctx, "go", "mod", "download", "-json", dependency)
	command.Dir = module
	command.Env = GoEnvironment()
	var stderr bytes.Buffer
	command.Stderr = &stderr
	output, err := command.Output()
	if err != nil {
		return "", errors.Join(ctx.Err(), fmt.Errorf("find %s of %s: %w\n%s", dependency, filepath.Base(module), err, strings.TrimSpace(stderr.String())))
	}
	var found struct{ Dir string }
	if err := json.Unmarshal(output, &found); err != nil {
		return "", fmt.Errorf("read what go says of %s: %w", dependency, err)
	}
	return found.Dir, nil
}
