package recipes_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// root is the top of the repository.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatalf("find the repository: %v", err)
	}
	return dir
}

func readFile(t *testing.T, path ...string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(append([]string{root(t)}, path...)...))
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	return string(content)
}

// scratch is a copy of the program in which a recipe is done.
type scratch struct {
	t    *testing.T
	root string
	dir  string
	// changed are the files that differ from the repository's, by their path below its top.
	changed []string
}

// newScratch copies what the program and its tests are made of.
func newScratch(t *testing.T) *scratch {
	t.Helper()
	c := &scratch{t: t, root: root(t), dir: t.TempDir()}
	for _, dir := range []string{".", "cluster", "storage", "iris", "internal", "docs"} {
		c.copyTree(filepath.Join(c.root, dir), filepath.Join(c.dir, dir), dir != ".")
	}
	return c
}

// copyTree copies the files of a directory, with those below it or without, and returns their paths.
func (c *scratch) copyTree(from, to string, below bool) []string {
	c.t.Helper()
	var copied []string
	err := filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if !below && relative != "." {
				return fs.SkipDir
			}
			return os.MkdirAll(filepath.Join(to, relative), 0o755)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		copied = append(copied, filepath.ToSlash(relative))
		return os.WriteFile(filepath.Join(to, relative), content, 0o600)
	})
	if err != nil {
		c.t.Fatalf("copy %s: %v", from, err)
	}
	return copied
}

// add copies files that a recipe makes.
func (c *scratch) add(from string) {
	c.t.Helper()
	c.changed = append(c.changed, c.copyTree(from, c.dir, true)...)
}

// edit replaces a text wherever it occurs in a file. That it does not occur at all is a mistake: the recipe, or what it
// describes, has changed.
func (c *scratch) edit(file, before, after string) {
	c.t.Helper()
	path := filepath.Join(c.dir, filepath.FromSlash(file))
	content, err := os.ReadFile(path)
	if err != nil {
		c.t.Fatalf("read: %v", err)
	}
	if !strings.Contains(string(content), before) {
		c.t.Fatalf("%s does not contain %q", file, before)
	}
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(content), before, after)), 0o600); err != nil {
		c.t.Fatalf("write: %v", err)
	}
	if !slices.Contains(c.changed, file) {
		c.changed = append(c.changed, file)
	}
}

// overlay writes what tells the compiler to take what was changed from the copy. Everything else it takes from the
// repository, because in another directory it would be compiled anew.
func (c *scratch) overlay() string {
	c.t.Helper()
	replaced := map[string]string{}
	for _, file := range c.changed {
		if filepath.Ext(file) == ".go" {
			replaced[filepath.Join(c.root, filepath.FromSlash(file))] = filepath.Join(c.dir, filepath.FromSlash(file))
		}
	}
	content, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		c.t.Fatalf("encode overlay: %v", err)
	}
	path := filepath.Join(c.t.TempDir(), "overlay.json")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		c.t.Fatalf("write overlay: %v", err)
	}
	return path
}

// compileTests compiles a package's tests as they are in the copy, and returns what runs them there. Once, because go test
// would link a hundred megabytes for each run.
func (c *scratch) compileTests(pkg string, options ...string) func(args ...string) (output string, passed bool) {
	c.t.Helper()
	binary := filepath.Join(c.t.TempDir(), "recipe.test")
	// Without debug information, which is most of the linking.
	build := exec.CommandContext(c.t.Context(), "go", "test", "-c", "-ldflags=-s -w", "-overlay", c.overlay(), "-o", binary, "./"+pkg)
	build.Dir = c.root
	if output, err := build.CombinedOutput(); err != nil {
		c.t.Fatalf("compile the tests of %s: %v\n%s", pkg, err, output)
	}
	return func(args ...string) (string, bool) {
		command := exec.CommandContext(c.t.Context(), binary, append(slices.Clone(options), args...)...)
		command.Dir = filepath.Join(c.dir, pkg)
		output, err := command.CombinedOutput()
		return string(output), err == nil
	}
}

// passesAfterUpdate runs tests that lack generated files, generates those, and runs them again. It returns what the tests
// say before the update.
func (c *scratch) passesAfterUpdate(test func(args ...string) (output string, passed bool)) string {
	c.t.Helper()
	failure, passed := test()
	if passed || !strings.Contains(failure, "-update") {
		c.t.Errorf("before the update, want a failure that names -update, got:\n%s", failure)
	}
	if output, passed := test("-update"); !passed {
		c.t.Errorf("the update fails:\n%s", output)
	}
	if output, passed := test(); !passed {
		c.t.Errorf("the tests fail after the update:\n%s", output)
	}
	return failure
}

// vet compiles a package as it is in the copy, without linking it.
func (c *scratch) vet(pkg string) {
	c.t.Helper()
	command := exec.CommandContext(c.t.Context(), "go", "vet", "-overlay", c.overlay(), pkg)
	command.Dir = c.root
	if output, err := command.CombinedOutput(); err != nil {
		c.t.Errorf("the program does not compile: %v\n%s", err, output)
	}
}
