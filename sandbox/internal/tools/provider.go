package tools

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// pluginDir is where the engine looks for a plugin. One that merely lies on PATH works too, with a warning at each run.
func (e *ensurer) pluginDir(t tool, version string) string {
	return filepath.Join(e.layout.PulumiHome(), "plugins", "resource-"+t.plugin.resource+"-"+version)
}

// buildPlugin builds the plugin into a directory of its own.
func (e *ensurer) buildPlugin(ctx context.Context, t tool, version string) error {
	return place(e.pluginDir(t, version), func(dir string) error {
		if err := e.build(ctx, t, version, filepath.Join(dir, t.name)); err != nil {
			return err
		}
		source, err := ModuleDir(ctx, e.layout.ToolModule(t.module), t.plugin.sourceModule)
		if err != nil {
			return err
		}
		for _, name := range t.plugin.files {
			if err := copyFile(filepath.Join(source, name), filepath.Join(dir, filepath.Base(name))); err != nil {
				return err
			}
		}
		return stampVersion(filepath.Join(dir, t.plugin.schema), version)
	})
}

func copyFile(from, to string) (err error) {
	source, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("copy from the module: %w", err)
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	target, err := os.Create(to)
	if err != nil {
		return fmt.Errorf("copy from the module: %w", err)
	}
	if _, err := io.Copy(target, source); err != nil {
		return errors.Join(fmt.Errorf("copy %s: %w", from, err), target.Close())
	}
	return target.Close()
}

// stampVersion puts the version in front of a schema's members, as text: the order and form of the rest stay the vendor's.
func stampVersion(path, version string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read schema: %w", err)
	}
	members, isObject := bytes.CutPrefix(bytes.TrimSpace(content), []byte("{"))
	if !isObject {
		return fmt.Errorf("schema %s is not a JSON object", path)
	}
	stamped := append(fmt.Appendf(nil, "{%q: %q,", "version", strings.TrimPrefix(version, "v")), members...)
	if err := os.WriteFile(path, stamped, 0o644); err != nil {
		return fmt.Errorf("write schema: %w", err)
	}
	return nil
}
