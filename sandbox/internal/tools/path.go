package tools

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// found is an acceptable program on PATH.
type found struct {
	path    string
	version string
}

// onPath looks for the tool on PATH, outside our own directory. The reason is for people who wonder why theirs is not
// used; it is empty if there is none.
func (e *ensurer) onPath(ctx context.Context, t tool, pinned string) (program *found, reason string) {
	if t.accept == nil {
		return nil, ""
	}
	path := e.lookPath(t.name)
	if path == "" {
		return nil, ""
	}
	if t.companion != "" && e.lookPath(t.companion) == "" {
		return nil, fmt.Sprintf("%s is not used: there is no %s on PATH", path, t.companion)
	}
	if t.versionArgs == nil { // it comes with its companion, which is the one to judge
		return e.withCompanion(ctx, t, path)
	}
	version, err := versionOf(ctx, path, t.versionArgs)
	if err != nil {
		return nil, fmt.Sprintf("%s is not used: %v", path, err)
	}
	if !t.accept(pinned, version) {
		return nil, fmt.Sprintf("%s is not used: %s does not go with %s", path, version, pinned)
	}
	return &found{path: path, version: version}, ""
}

func (e *ensurer) withCompanion(ctx context.Context, t tool, path string) (program *found, reason string) {
	for _, companion := range table() {
		if companion.name != t.companion {
			continue
		}
		pinned, err := pinnedVersion(e.layout.ToolModule(companion.module), companion.pinnedBy)
		if err != nil {
			return nil, err.Error()
		}
		judged, reason := e.onPath(ctx, companion, pinned)
		if judged == nil {
			return nil, reason
		}
		return &found{path: path, version: judged.version}, ""
	}
	return nil, ""
}

// lookPath is exec.LookPath without our own directory, which callers put on PATH.
func (e *ensurer) lookPath(name string) string {
	for _, dir := range filepath.SplitList(e.path) {
		if dir == "" || dir == e.layout.Bin() {
			continue
		}
		file := filepath.Join(dir, name)
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0 {
			return file
		}
	}
	return ""
}

func versionOf(ctx context.Context, path string, args []string) (string, error) {
	output, err := run(ctx, path, args...)
	if err != nil {
		return "", fmt.Errorf("it does not tell its version: %w", err)
	}
	return firstVersion(string(output))
}

// run returns what a program prints.
func run(ctx context.Context, path string, args ...string) ([]byte, error) {
	// A version manager's shim may try to download something instead of answering.
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		command := exec.CommandContext(ctx, path, args...)
		command.Env = append(os.Environ(), "PULUMI_SKIP_UPDATE_CHECK=true")
		output, err := command.Output()
		// A process that was started while the file was written holds it open until it becomes another program
		// (golang/go#22315).
		if !errors.Is(err, syscall.ETXTBSY) {
			return output, withReason(err)
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// withReason adds the first line that a program which failed said.
func withReason(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) && len(exit.Stderr) > 0 {
		return fmt.Errorf("%w: %s", err, firstLine(string(exit.Stderr)))
	}
	return err
}
