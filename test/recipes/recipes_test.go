// Package recipes_test keeps CONTRIBUTING.md and the repository's own files true by doing what they say.
package recipes_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
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

// "Add a configuration key", done in a copy: the tests say which command is missing, and the command does the rest.
func TestRecipe_AddAConfigurationKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	copyProgram(t, dir)
	edited := filepath.Join("storage", "config.go")
	edit(t, filepath.Join(dir, edited), "type Config struct {\n",
		"type Config struct {\n\t// Scratch is what this test adds. Default: none.\n\tScratch string `json:\"scratch\"`\n")

	test := schemaTests(t, dir, edited)
	output, passed := test()
	if passed {
		t.Fatal("the tests accept a key that Pulumi.yaml and the README do not have")
	}
	if want := "run: go test . -update"; !strings.Contains(output, want) {
		t.Fatalf("the failure does not say %q:\n%s", want, output)
	}
	if output, passed = test("-update"); !passed {
		t.Fatalf("the command that the failure names fails:\n%s", output)
	}
	for _, name := range []string{"Pulumi.yaml", "README.md"} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatalf("read: %v", err)
		}
		if !bytes.Contains(content, []byte("storage.scratch")) {
			t.Errorf("%s has no storage.scratch after the update", name)
		}
	}
	if output, passed = test(); !passed {
		t.Errorf("the tests fail after the update:\n%s", output)
	}
}

// schemaTests compiles the tests of the program with one file as it is in the copy, and returns what runs those of the
// schema in the copy. Compiled in place, with an overlay, because everything in another directory would be compiled anew;
// and once, because go test would link a hundred megabytes for each run.
func schemaTests(t *testing.T, dir, edited string) func(args ...string) (output string, passed bool) {
	t.Helper()
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{
		filepath.Join(root(t), edited): filepath.Join(dir, edited),
	}})
	if err != nil {
		t.Fatalf("encode overlay: %v", err)
	}
	scratch := t.TempDir()
	binary, overlayFile := filepath.Join(scratch, "schema.test"), filepath.Join(scratch, "overlay.json")
	if err := os.WriteFile(overlayFile, overlay, 0o600); err != nil {
		t.Fatalf("write overlay: %v", err)
	}
	// Without debug information, which is most of the linking.
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-ldflags=-s -w", "-overlay", overlayFile, "-o", binary, ".")
	build.Dir = root(t)
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("compile the edited program: %v\n%s", err, output)
	}
	return func(args ...string) (string, bool) {
		command := exec.CommandContext(t.Context(), binary, append([]string{"-test.run=^(TestPulumiYAML_|TestREADME_)"}, args...)...)
		command.Dir = dir
		output, err := command.CombinedOutput()
		return string(output), err == nil
	}
}

// copyProgram copies what the program and its schema are made of.
func copyProgram(t *testing.T, to string) {
	t.Helper()
	from := root(t)
	for _, dir := range []string{".", "cluster", "storage", "iris", "internal"} {
		err := filepath.WalkDir(filepath.Join(from, dir), func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			relative, err := filepath.Rel(from, path)
			if err != nil {
				return err
			}
			if entry.IsDir() {
				if dir == "." && relative != "." {
					return fs.SkipDir
				}
				return os.MkdirAll(filepath.Join(to, relative), 0o755)
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(to, relative), content, 0o600)
		})
		if err != nil {
			t.Fatalf("copy %s: %v", dir, err)
		}
	}
}

// edit replaces a text that occurs once in a file.
func edit(t *testing.T, file, before, after string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	if count := strings.Count(string(content), before); count != 1 {
		t.Fatalf("%q occurs %d times in %s, want once", before, count, file)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(content), before, after, 1)), 0o600); err != nil {
		t.Fatalf("write: %v", err)
	}
}
