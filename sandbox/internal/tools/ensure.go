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

	"ha-iris/sandbox/internal/layout"
	"ha-iris/sandbox/internal/lock"
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
	mode      Mode
	releases  *fetcher
}

// Ensure finds, downloads or builds the named tools, or those that running needs if there are no names, one at a time: a
// single build already uses the whole machine. It calls report after each. Progress lines go to progress. SANDBOX_TOOLS and
// SANDBOX_RELEASES decide about downloads.
func Ensure(ctx context.Context, l layout.Layout, names []string, progress io.Writer, report func(Result)) error {
	wanted, err := pick(names)
	if err != nil {
		return err
	}
	mode, err := parseMode(os.Getenv(modeVariable))
	if err != nil {
		return err
	}
	mirror, err := parseMirror(os.Getenv(mirrorVariable))
	if err != nil {
		return err
	}
	e := &ensurer{
		layout: l, path: os.Getenv("PATH"), progress: progress, mode: mode,
		releases: newFetcher(mirror, filepath.Join(l.Bin(), temporaryPrefix+"releases")),
	}
	if e.toolchain, err = GoToolchain(ctx); err != nil {
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
	unlock, err := lock.Take(ctx, filepath.Join(l.Local(), "tools.lock"), func() {
		e.say("another command prepares the tools: waiting for it")
	})
	if err != nil {
		return err
	}
	defer unlock()
	e.releases.clean() // of a run that was killed
	defer e.releases.clean()
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
		w, ok, err := e.known(t)
		if err != nil {
			return nil, fmt.Errorf("tool %s: %w", t.name, err)
		}
		if !ok {
			return nil, nil
		}
		results = append(results, w.result)
	}
	return results, nil
}

// GoToolchain asks go itself, because GOTOOLCHAIN and go.mod may select another one than is on PATH.
func GoToolchain(ctx context.Context) (string, error) {
	command := exec.CommandContext(ctx, "go", "env", "GOVERSION", "GOOS", "GOARCH")
	command.Env = GoEnvironment() // as the builds
	output, err := command.Output()
	if errors.Is(err, exec.ErrNotFound) {
		return "", errors.New("there is no go command on PATH: install Go 1.26 or later")
	}
	if err != nil {
		return "", fmt.Errorf("ask go for its version: %w", err)
	}
	return strings.Join(strings.Fields(string(output)), " "), nil
}

// wanted is what is wanted of a tool.
type wanted struct {
	tool tool
	// result has the name, the pinned version and the path.
	result Result
	// key belongs to a build and to what was found.
	key string
	// release is the official binary, nil if there is none for this platform, and releaseKey belongs to it.
	release    *release
	releaseKey string
}

// ensure decides where one tool comes from. This is the only place that does.
func (e *ensurer) ensure(ctx context.Context, t tool) (Result, error) {
	began := time.Now()
	w, ok, err := e.known(t)
	if err != nil || ok {
		return w.result, err
	}
	if err := e.obtain(ctx, &w); err != nil {
		return Result{}, err
	}
	w.result.Seconds = time.Since(began).Seconds()
	key := w.key
	if w.result.Source == Downloaded {
		key = w.releaseKey
	}
	return w.result, writeStamp(e.stampPath(t), key, w.result)
}

// known says what is wanted, and whether that is there already.
func (e *ensurer) known(t tool) (w wanted, ok bool, err error) {
	moduleDir := e.layout.ToolModule(t.module)
	version, err := pinnedVersion(moduleDir, t.pinnedBy)
	if err != nil {
		return wanted{}, false, err
	}
	w = wanted{tool: t, result: Result{Name: t.name, Version: version, Path: e.target(t, version)}}
	if w.key, err = t.key(moduleDir, version, e.toolchain); err != nil {
		return wanted{}, false, err
	}
	if w.release, err = e.released(t, version, thisPlatform()); err != nil {
		return wanted{}, false, err
	}
	if w.release != nil {
		w.releaseKey = w.release.key(t, thisPlatform())
	}
	there, ok := current(e.stampPath(t), w.result.Path, func(s stamp) bool { return e.fits(w, s) })
	if ok {
		w.result.Version, w.result.Source = there.Version, UpToDate
	}
	return w, ok, nil
}

// fits says whether what a stamp stands for is what would be obtained now.
func (e *ensurer) fits(w wanted, s stamp) bool {
	switch s.Source {
	case Downloaded:
		return e.mode != BuildOnly && w.release != nil && s.Key == w.releaseKey
	case Built:
		return (e.mode != DownloadOnly || w.release == nil) && s.Key == w.key && e.helperThere(w.tool)
	case UpToDate, OnPath, Present:
	}
	return s.Key == w.key
}

func (e *ensurer) helperThere(t tool) bool {
	if t.helper == nil {
		return true
	}
	_, err := os.Stat(e.layout.Tool(t.helper.name))
	return err == nil
}

// obtain tries one source after the other. The notes say why the better ones were not used.
func (e *ensurer) obtain(ctx context.Context, w *wanted) error {
	found, notes, err := e.find(ctx, w)
	if err != nil || found {
		return err
	}
	if err = e.official(ctx, w); err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if e.mode == DownloadOnly {
		return fmt.Errorf("%w; %s=%s forbids to build it", err, modeVariable, DownloadOnly)
	}
	if w.tool.official != nil && e.mode != BuildOnly {
		notes = append(notes, "not downloaded: "+err.Error())
	}
	w.result.Source, w.result.Note = Built, strings.Join(notes, "; ")
	e.say("building %s %s from its Go module ...", w.tool.name, w.result.Version)
	return e.during("building "+w.tool.name, func() error {
		if w.tool.plugin != nil {
			return e.buildPlugin(ctx, w.tool, w.result.Version)
		}
		return e.build(ctx, w.tool, w.result.Version, w.result.Path)
	})
}

// find takes what is on this machine already.
func (e *ensurer) find(ctx context.Context, w *wanted) (found bool, notes []string, err error) {
	if w.tool.plugin != nil {
		_, missing := os.Stat(w.result.Path)
		found = missing == nil && !e.ours(w.tool)
		if found {
			w.result.Source = Present
		}
		return found, nil, nil
	}
	program, reason := e.onPath(ctx, w.tool, w.result.Version)
	if program == nil {
		if reason != "" {
			notes = []string{reason}
		}
		return false, notes, nil
	}
	w.result.Version, w.result.Source, w.result.Note = program.version, OnPath, program.path
	return true, nil, link(program.path, w.result.Path)
}

// official downloads what the project releases.
func (e *ensurer) official(ctx context.Context, w *wanted) error {
	switch {
	case e.mode == BuildOnly:
		return fmt.Errorf("%s=%s forbids it", modeVariable, BuildOnly)
	case w.release == nil:
		return fmt.Errorf("no binary for %s is released", thisPlatform())
	}
	if err := e.releases.known(w.release.url); err != nil {
		return err
	}
	e.say("downloading %s %s ...", w.tool.name, w.release.version)
	err := e.during("downloading "+w.tool.name, func() error { return e.download(ctx, w.tool, *w.release, w.result.Path) })
	if err != nil {
		return err
	}
	w.result.Version, w.result.Source, w.result.Note = w.release.version, Downloaded, redacted(e.releases.where(w.release.url))
	return nil
}

// ours tells a plugin that we put there, and whose stamp no longer fits, from one that was installed in another way.
func (e *ensurer) ours(t tool) bool {
	var s stamp
	content, err := os.ReadFile(e.stampPath(t))
	return err == nil && json.Unmarshal(content, &s) == nil && (s.Source == Built || s.Source == Downloaded)
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
