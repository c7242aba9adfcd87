package tools

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// download puts the tool's official binary in place, which appears only when it is complete, checked and seen to run.
func (e *ensurer) download(ctx context.Context, t tool, r release, target string) error {
	file, err := e.releases.file(ctx, r)
	if err != nil {
		return err
	}
	if t.plugin != nil {
		return place(filepath.Dir(target), func(dir string) error { return e.fill(ctx, t, r, file, filepath.Join(dir, t.name)) })
	}
	temporary := filepath.Join(filepath.Dir(target), temporaryPrefix+t.name)
	defer func() { _ = os.Remove(temporary) }() // gone after the rename
	if err := e.fill(ctx, t, r, file, temporary); err != nil {
		return err
	}
	if err := os.Rename(temporary, target); err != nil {
		return fmt.Errorf("put %s in place: %w", t.name, err)
	}
	if t.helper == nil {
		return nil
	}
	// The official one needs none, and the stale one would only be taken for a part of it.
	if err := os.RemoveAll(e.layout.Tool(t.helper.name)); err != nil {
		return fmt.Errorf("remove %s: %w", t.helper.name, err)
	}
	return nil
}

// fill unpacks the program and runs it once.
func (e *ensurer) fill(ctx context.Context, t tool, r release, file, program string) error {
	if err := r.unpack(file, program); err != nil {
		return err
	}
	if t.official.versionArgs == nil {
		// Both programs without a version are made with Go's flag package, whose -help ends with 0.
		if _, err := run(ctx, program, "-help"); err != nil {
			return fmt.Errorf("the downloaded %s does not run here: %w", t.name, err)
		}
		return nil
	}
	output, err := run(ctx, program, t.official.versionArgs...)
	if err != nil {
		return fmt.Errorf("the downloaded %s does not run here: %w", t.name, err)
	}
	if !tells(string(output), r.version) {
		return fmt.Errorf("the downloaded %s says that it is %q, not %s", t.name, firstLine(string(output)), r.version)
	}
	return nil
}

// tells looks for a version, with or without its v, as a word of its own.
func tells(output, version string) bool {
	words := regexp.MustCompile(`[^\s",:]+`).FindAllString(output, -1)
	for _, word := range words {
		if strings.TrimPrefix(word, "v") == strings.TrimPrefix(version, "v") {
			return true
		}
	}
	return false
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}

// place fills a directory that appears complete or not at all.
func place(final string, fill func(dir string) error) error {
	// The engine ignores directories whose name is not that of a plugin.
	temporary := filepath.Join(filepath.Dir(final), temporaryPrefix+filepath.Base(final))
	if err := errors.Join(os.RemoveAll(temporary), os.MkdirAll(temporary, 0o755)); err != nil {
		return fmt.Errorf("make room for the plugin: %w", err)
	}
	defer func() { _ = os.RemoveAll(temporary) }() // gone after the rename
	if err := fill(temporary); err != nil {
		return err
	}
	// A download that was cut short leaves this mark, at which the engine would install the plugin again.
	if err := errors.Join(os.RemoveAll(final), os.RemoveAll(final+".partial"), os.Rename(temporary, final)); err != nil {
		return fmt.Errorf("put the plugin in place: %w", err)
	}
	return nil
}
