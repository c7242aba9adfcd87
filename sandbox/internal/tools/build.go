package tools

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"ha-iris/sandbox/internal/progress"
)

// progressEvery is how often a running build says that it still runs.
const progressEvery = 20 * time.Second

// build compiles the tool, and its helper before it, to the given file, which appears only when it is complete.
func (e *ensurer) build(ctx context.Context, t tool, version, file string) error {
	if t.helper != nil {
		beside := filepath.Join(filepath.Dir(file), t.helper.name)
		if err := e.build(ctx, tool{name: t.helper.name, module: t.module, pkg: t.helper.pkg}, version, beside); err != nil {
			return err
		}
	}
	temporary := filepath.Join(filepath.Dir(file), temporaryPrefix+filepath.Base(file))
	defer func() { _ = os.Remove(temporary) }() // gone after the rename
	args := []string{
		"build",
		// Stamping a tool with our checkout's state would rebuild it for nothing and fails where git distrusts the
		// directory's owner.
		"-buildvcs=false",
		"-o", temporary,
	}
	args = append(args, "-ldflags", t.linkFlags(version))
	if _, err := e.goCommand(ctx, t, append(args, t.pkg)...); err != nil {
		return err
	}
	if err := os.Rename(temporary, file); err != nil {
		return fmt.Errorf("put %s in place: %w", t.name, err)
	}
	return nil
}

// linkFlags leaves the debug information out: writing it takes half of the linking, and nobody debugs these tools.
func (t tool) linkFlags(version string) string {
	if t.link == nil {
		return "-s -w"
	}
	return "-s -w " + t.link(version)
}

// goCommand is runGo in the tool's module. Nothing else may be added to its
// flags: other ones, such as -trimpath, make Go compile everything again that the program and the tools share.
func (e *ensurer) goCommand(ctx context.Context, t tool, args ...string) (string, error) {
	return runGo(ctx, e.layout.ToolModule(t.module), GoEnvironment(), args...)
}

// runGo runs the go command in a module and returns its standard output.
func runGo(ctx context.Context, module string, environment []string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, "go", args...)
	command.Dir = module
	command.Env = environment
	// Interrupted, go removes its temporary files, which SIGKILL would leave.
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGINT) }
	command.WaitDelay = 5 * time.Second
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		if errors.Is(err, exec.ErrNotFound) {
			return "", errors.New("there is no go command on PATH: install Go 1.26 or later")
		}
		return "", fmt.Errorf("go %s in %s: %w\n%s", args[0], command.Dir, err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(stdout.String()), nil
}

// during calls step and says every now and then that it still runs.
func (e *ensurer) during(what string, step func() error) error {
	stop := progress.Every(progressEvery, func(soFar time.Duration) { e.say("  still %s, %s so far", what, soFar) })
	defer stop()
	return step()
}
