package tools

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// downloadPatience bounds the attempt to download an official plugin. Networks that drop packets instead of refusing
// them would otherwise hold everything up for minutes, and building is the way that always works.
const downloadPatience = 20 * time.Second

// pluginDir is where the engine looks for a plugin. One that merely lies on PATH works too, with a warning at each run.
func (e *ensurer) pluginDir(t tool, version string) string {
	return filepath.Join(e.layout.PulumiHome(), "plugins", "resource-"+t.plugin.resource+"-"+version)
}

// download asks the Pulumi CLI for the official plugin.
func (e *ensurer) download(ctx context.Context, t tool, version string) error {
	pulumi := e.layout.Tool("pulumi")
	if _, err := os.Stat(pulumi); err != nil {
		if pulumi = e.lookPath("pulumi"); pulumi == "" {
			return errors.New("no pulumi to download it with")
		}
	}
	ctx, cancel := context.WithTimeout(ctx, downloadPatience)
	defer cancel()
	// Without --reinstall the CLI is content with what is there, and that is the one that was built from older sources.
	command := exec.CommandContext(ctx, pulumi, "plugin", "install", "--reinstall", "resource", t.plugin.resource, version)
	command.Env = append(os.Environ(), "PULUMI_HOME="+e.layout.PulumiHome(), "PULUMI_SKIP_UPDATE_CHECK=true")
	command.WaitDelay = time.Second
	output, err := command.CombinedOutput()
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("not there after %s", downloadPatience)
	case err != nil:
		return errors.New(lastLine(string(output)))
	}
	return nil
}

// buildPlugin builds the plugin into a directory of its own, which appears complete or not at all.
func (e *ensurer) buildPlugin(ctx context.Context, t tool, version string) error {
	final := e.pluginDir(t, version)
	// The engine ignores directories whose name is not that of a plugin.
	temporary := filepath.Join(filepath.Dir(final), temporaryPrefix+filepath.Base(final))
	if err := errors.Join(os.RemoveAll(temporary), os.MkdirAll(temporary, 0o755)); err != nil {
		return fmt.Errorf("make room for the plugin: %w", err)
	}
	defer func() { _ = os.RemoveAll(temporary) }() // gone after the rename
	if err := e.build(ctx, t, version, filepath.Join(temporary, t.name)); err != nil {
		return err
	}
	source, err := e.goCommand(ctx, t, "list", "-m", "-f", "{{.Dir}}", t.plugin.sourceModule)
	if err != nil {
		return err
	}
	for _, name := range t.plugin.files {
		if err := copyFile(filepath.Join(source, name), filepath.Join(temporary, filepath.Base(name))); err != nil {
			return err
		}
	}
	if err := stampVersion(filepath.Join(temporary, t.plugin.schema), version); err != nil {
		return err
	}
	// A download that was cut short leaves this mark, at which the engine would install the plugin again.
	if err := errors.Join(os.RemoveAll(final), os.RemoveAll(final+".partial"), os.Rename(temporary, final)); err != nil {
		return fmt.Errorf("put the plugin in place: %w", err)
	}
	return nil
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

// lastLine is where the CLI sums up what went wrong, after a warning per attempt.
func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.TrimPrefix(lines[len(lines)-1], "error: ")
}
