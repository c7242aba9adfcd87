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
	"time"
)

// Compile builds programs of a Go module of this checkout into a directory, each under its package's name, static and without anything of
// this machine in them: neither paths nor the state of the checkout.
func Compile(ctx context.Context, module, dir string, packages ...string) error {
	arguments := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid=", "-o", dir + string(filepath.Separator)}
	command := exec.CommandContext(ctx, "go", append(arguments, packages...)...)
	command.Dir = module
	// The oldest processors of each architecture, whatever the environment prefers.
	command.Env = append(GoEnvironment(), "CGO_ENABLED=0", "GOAMD64=v1", "GOARM64=v8.0")
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) } // So that go removes its temporary files.
	command.WaitDelay = 5 * time.Second
	var stderr bytes.Buffer
	command.Stderr = &stderr
	if err := command.Run(); err != nil {
		return errors.Join(ctx.Err(), fmt.Errorf("compile %s of %s: %w\n%s",
			strings.Join(packages, " "), filepath.Base(module), err, strings.TrimSpace(stderr.String())))
	}
	return nil
}
