// Package recipes_test keeps CONTRIBUTING.md and the repository's own files true by doing what they say.
package recipes_test

import (
	"bytes"
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
	edit(t, filepath.Join(dir, "storage", "config.go"), "type Config struct {\n",
		"type Config struct {\n\t// Scratch is what this test adds. Default: none.\n\tScratch string `json:\"scratch\"`\n")

	output, passed := test(t, dir)
	if passed {
		t.Fatal("the tests accept a key that Pulumi.yaml and the README do not have")
	}
	if want := "run: go test . -update"; !strings.Contains(output, want) {
		t.Fatalf("the failure does not say %q:\n%s", want, output)
	}
	if output, passed = test(t, dir, "-update"); !passed {
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
	if output, passed = test(t, dir); !passed {
		t.Errorf("the tests fail after the update:\n%s", output)
	}
}

// test runs the tests of the schema in a copy of the program.
func test(t *testing.T, dir string, args ...string) (output string, passed bool) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go",
		append([]string{"test", "-run", "^(TestPulumiYAML_|TestREADME_)", "."}, args...)...)
	command.Dir = dir
	command.Env = append(os.Environ(), "GOWORK=off")
	combined, err := command.CombinedOutput()
	return string(combined), err == nil
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
