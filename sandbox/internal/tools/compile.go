package tools

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"

	"ha-iris/sandbox/internal/lock"
)

// Compile builds programs of a Go module of this checkout into a directory, each under its package's name, static and without anything of
// this machine in them: neither paths nor the state of the checkout.
func Compile(ctx context.Context, module, dir string, packages ...string) error {
	// The oldest processors of each architecture, whatever the environment prefers.
	environment := append(GoEnvironment(), "CGO_ENABLED=0", "GOAMD64=v1", "GOARM64=v8.0")
	return compile(ctx, module, environment, append([]string{"-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid="}, into(dir, packages)...))
}

// CompileHere builds a program that runs on this machine only into a directory. It shares what was compiled for the sandbox itself, which the
// Makefile builds with the same flags. The program appears only when it is complete; until then the one that was there stays.
// It calls waiting if another command is building it.
func CompileHere(ctx context.Context, module, dir, pkg string, waiting func()) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the directory of programs: %w", err)
	}
	name := path.Base(pkg)
	final, building := filepath.Join(dir, name), filepath.Join(dir, temporaryPrefix+name)
	unlock, err := lock.Take(ctx, filepath.Join(dir, "."+name+".lock"), waiting)
	if err != nil {
		return err
	}
	defer unlock()
	if err := errors.Join(os.RemoveAll(building), os.Mkdir(building, 0o755)); err != nil {
		return fmt.Errorf("make room for %s: %w", name, err)
	}
	defer func() { _ = os.RemoveAll(building) }() // empty after the rename
	// Go links nothing if what is in the program's place is current, and else puts another file there. Without this one it links each time.
	_ = os.Link(final, filepath.Join(building, name))
	if err := compile(ctx, module, GoEnvironment(), into(building, []string{pkg})); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(building, name), final); err != nil {
		return fmt.Errorf("put %s in place: %w", name, err)
	}
	return nil
}

func into(dir string, packages []string) []string {
	return append([]string{"-o", dir + string(filepath.Separator)}, packages...)
}

func compile(ctx context.Context, module string, environment, arguments []string) error {
	if _, err := runGo(ctx, module, environment, append([]string{"build"}, arguments...)...); err != nil {
		return fmt.Errorf("compile %s: %w", arguments[len(arguments)-1], err)
	}
	return nil
}

// ModuleDir is the directory of a dependency of a Go module of this checkout, in the module cache. It downloads nothing: what was built
// with the dependency has brought it there.
func ModuleDir(ctx context.Context, module, dependency string) (string, error) {
	dir, err := runGo(ctx, module, GoEnvironment(), "list", "-m", "-f", "{{.Dir}}", dependency)
	if err == nil && dir == "" {
		err = errors.New("it is not in the module cache")
	}
	if err != nil {
		return "", fmt.Errorf("find the module %s: %w", dependency, err)
	}
	return dir, nil
}
