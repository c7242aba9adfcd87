package tools

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"ha-iris/sandbox/internal/cluster"
	"ha-iris/sandbox/internal/layout"
)

// temporaryPrefix begins the name of everything that is not complete yet.
const temporaryPrefix = ".building-"

// Source says where a tool came from.
type Source string

// The sources, in the order in which they are tried.
const (
	UpToDate   Source = "up to date"
	OnPath     Source = "found on PATH"
	Present    Source = "found in PULUMI_HOME"
	Downloaded Source = "downloaded"
	Built      Source = "built from its Go module"
)

// Result says how a tool was obtained.
type Result struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Path    string `json:"path"`
	Source  Source `json:"source"`
	// Seconds that finding or building took.
	Seconds float64 `json:"seconds"`
	// Note says where the tool was found, or why a better source was not used; may be empty.
	Note string `json:"note,omitempty"`
}

// String is the one line for people.
func (r Result) String() string {
	line := fmt.Sprintf("%s %s %s", r.Name, r.Version, r.Source)
	switch r.Source {
	case Built, Downloaded:
		line += " in " + time.Duration(r.Seconds*float64(time.Second)).Round(time.Second).String()
	case UpToDate, OnPath, Present:
	}
	if r.Note != "" {
		line += " (" + r.Note + ")"
	}
	return line
}

// ensurer finds or builds tools for one checkout.
type ensurer struct {
	layout   layout.Layout
	path     string
	progress io.Writer
	// toolchain identifies the Go version and platform.
	toolchain string
}

// Ensure finds or builds the named tools, or those that running needs if there are no names, one at a time: a single
// build already uses the whole machine. It calls report after each. Progress lines go to progress.
func Ensure(ctx context.Context, l layout.Layout, names []string, progress io.Writer, report func(Result)) error {
	wanted, err := pick(names)
	if err != nil {
		return err
	}
	e := &ensurer{layout: l, path: os.Getenv("PATH"), progress: progress}
	if e.toolchain, err = goToolchain(ctx); err != nil {
		return err
	}
	// Without the lock first: whoever has all it needs must not wait for a build of something else.
	if results, err := e.allCurrent(wanted); err != nil || results != nil {
		for _, result := range results {
			report(result)
		}
		return err
	}
	if err := os.MkdirAll(l.Bin(), 0o755); err != nil {
		return fmt.Errorf("make the directory of tools: %w", err)
	}
	unlock, err := cluster.Lock(ctx, filepath.Join(l.Local(), "tools.lock"), func() {
		e.say("another command prepares the tools: waiting for it")
	})
	if err != nil {
		return err
	}
	defer unlock()
	for _, t := range wanted {
		result, err := e.ensure(ctx, t)
		if err != nil {
			return fmt.Errorf("tool %s: %w", t.name, err)
		}
		report(result)
	}
	return nil
}

// allCurrent returns a result for each tool if all of them are up to date, and nil otherwise.
func (e *ensurer) allCurrent(wanted []tool) ([]Result, error) {
	results := make([]Result, 0, len(wanted))
	for _, t := range wanted {
		result, _, ok, err := e.known(t)
		if err != nil {
			return nil, fmt.Errorf("tool %s: %w", t.name, err)
		}
		if !ok {
			return nil, nil
		}
		results = append(results, result)
	}
	return results, nil
}

// goToolchain asks go itself, because GOTOOLCHAIN and go.mod may select another one than is on PATH.
func goToolchain(ctx context.Context) (string, error) {
	command := exec.CommandContext(ctx, "go", "env", "GOVERSION", "GOOS", "GOARCH")
	command.Env = goEnvironment() // as the builds
	output, err := command.Output()
	if errors.Is(err, exec.ErrNotFound) {
		return "", errors.New("there is no go command on PATH: install Go 1.26 or later")
	}
	if err != nil {
		return "", fmt.Errorf("ask go for its version: %w", err)
	}
	return strings.Join(strings.Fields(string(output)), " "), nil
}

// ensure decides where one tool comes from. This is the only place that does.
func (e *ensurer) ensure(ctx context.Context, t tool) (Result, error) {
	began := time.Now()
	result, key, ok, err := e.known(t)
	if err != nil || ok {
		return result, err
	}
	if err := e.obtain(ctx, t, &result); err != nil {
		return Result{}, err
	}
	result.Seconds = time.Since(began).Seconds()
	return result, writeStamp(e.stampPath(t), key, result)
}

// known says what is wanted, under which key, and whether that is there already.
func (e *ensurer) known(t tool) (result Result, key string, ok bool, err error) {
	moduleDir := e.layout.ToolModule(t.module)
	version, err := pinnedVersion(moduleDir, t.pinnedBy)
	if err != nil {
		return Result{}, "", false, err
	}
	if key, err = t.key(moduleDir, version, e.toolchain); err != nil {
		return Result{}, "", false, err
	}
	result = Result{Name: t.name, Version: version, Path: e.target(t, version)}
	known, ok := current(e.stampPath(t), result.Path, key)
	if !ok || known.Source == Built && !e.helperThere(t) {
		return result, key, false, nil
	}
	result.Version, result.Source = known.Version, UpToDate
	return result, key, true, nil
}

func (e *ensurer) helperThere(t tool) bool {
	if t.helper == nil {
		return true
	}
	_, err := os.Stat(e.layout.Tool(t.helper.name))
	return err == nil
}

func (e *ensurer) obtain(ctx context.Context, t tool, result *Result) error {
	if t.plugin != nil {
		return e.obtainPlugin(ctx, t, result)
	}
	program, reason := e.onPath(ctx, t, result.Version)
	if program != nil {
		result.Version, result.Source, result.Note = program.version, OnPath, program.path
		return link(program.path, result.Path)
	}
	result.Source, result.Note = Built, reason
	e.say("building %s %s from its Go module ...", t.name, result.Version)
	return e.during("building "+t.name, func() error { return e.build(ctx, t, result.Version, result.Path) })
}

func (e *ensurer) obtainPlugin(ctx context.Context, t tool, result *Result) error {
	if _, err := os.Stat(result.Path); err == nil && !e.builtHere(t) {
		result.Source = Present
		return nil
	}
	e.say("downloading %s %s, for at most %s ...", t.name, result.Version, downloadPatience)
	err := e.download(ctx, t, result.Version)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil {
		result.Source = Downloaded
		return nil
	}
	result.Source, result.Note = Built, fmt.Sprintf("download of the official one failed: %v", err)
	e.say("building %s %s from its Go module ...", t.name, result.Version)
	return e.during("building "+t.name, func() error { return e.buildPlugin(ctx, t, result.Version) })
}

// builtHere tells a plugin that we built, and whose stamp no longer fits, from one that was installed in another way.
func (e *ensurer) builtHere(t tool) bool {
	var s stamp
	content, err := os.ReadFile(e.stampPath(t))
	return err == nil && json.Unmarshal(content, &s) == nil && s.Source == Built
}

func (e *ensurer) target(t tool, version string) string {
	if t.plugin != nil {
		return filepath.Join(e.pluginDir(t, version), t.name)
	}
	return e.layout.Tool(t.name)
}

func (e *ensurer) stampPath(t tool) string {
	return filepath.Join(e.layout.Bin(), ".stamps", t.name+".json")
}

// link makes a program on PATH reachable where all tools are.
func link(program, target string) error {
	if err := os.RemoveAll(target); err != nil {
		return fmt.Errorf("replace %s: %w", target, err)
	}
	if err := os.Symlink(program, target); err != nil {
		return fmt.Errorf("link to %s: %w", program, err)
	}
	return nil
}

func (e *ensurer) say(format string, args ...any) {
	// Progress is a courtesy: a closed terminal must not stop a build.
	_, _ = fmt.Fprintf(e.progress, format+"\n", args...)
}
