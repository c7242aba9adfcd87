package recipes_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What stands in CONTRIBUTING.md for the name of what is added, and for that of a stack.
const (
	placeholder = "NAME"
	environment = "ENV"
)

var (
	codeSpan   = regexp.MustCompile("`([^`\n]+)`")
	pathLike   = regexp.MustCompile(`^\.?[\w-]+(/[\w.-]+)+/?$|^[\w-]+/$|^\.?[\w.-]+\.(go|yaml|md)$|^Makefile$`)
	identifier = regexp.MustCompile(`^(?:[a-z]+\.)?([A-Za-z]\w+)$`)
)

// section is the part of CONTRIBUTING.md below a heading.
func section(t *testing.T, heading string) string {
	t.Helper()
	_, rest, found := strings.Cut(readFile(t, "CONTRIBUTING.md"), "\n### "+heading+"\n")
	if !found {
		t.Fatalf("CONTRIBUTING.md has no recipe %q", heading)
	}
	text, _, _ := strings.Cut(rest, "\n##")
	return text
}

// paths are the files and directories that a text names.
func paths(text string) []string {
	var found []string
	for _, match := range codeSpan.FindAllStringSubmatch(text, -1) {
		if path := strings.TrimSuffix(match[1], "/"); pathLike.MatchString(match[1]) && !slices.Contains(found, path) {
			found = append(found, path)
		}
	}
	return found
}

func TestContributing_NamesFilesThatExist(t *testing.T) {
	t.Parallel()
	named := paths(readFile(t, "CONTRIBUTING.md"))
	for _, path := range named {
		matches := 0
		for _, dir := range []string{"", ".github/workflows"} {
			pattern := filepath.Join(root(t), dir, strings.NewReplacer(placeholder, "*", environment, "*").Replace(path))
			files, err := filepath.Glob(pattern)
			if err != nil {
				t.Fatalf("look for %s: %v", path, err)
			}
			matches += len(files)
		}
		if matches == 0 {
			t.Errorf("there is no %s", path)
		}
	}
	if len(named) < 30 {
		t.Errorf("only %v found; the check proves little", named)
	}
}

// What a recipe calls by its name was renamed when nothing has that name any more.
func TestContributing_NamesWhatTheSourcesHave(t *testing.T) {
	t.Parallel()
	words := map[string]bool{}
	for _, dir := range []string{"cluster", "storage", "iris", "internal", "ops", "sandbox/internal", ".github"} {
		addWords(t, words, filepath.Join(root(t), dir))
	}
	for _, file := range []string{"config.go", "main.go", "outputs.go", "Makefile"} {
		addWords(t, words, filepath.Join(root(t), file))
	}
	named := 0
	for _, match := range codeSpan.FindAllStringSubmatch(readFile(t, "CONTRIBUTING.md"), -1) {
		name := identifier.FindStringSubmatch(match[1])
		if name == nil || pathLike.MatchString(match[1]) || match[1] == placeholder || match[1] == environment {
			continue
		}
		named++
		if word := strings.ReplaceAll(name[1], placeholder, "GKE"); !words[strings.ToLower(word)] {
			t.Errorf("nothing is called %s", match[1])
		}
	}
	if named < 30 {
		t.Errorf("only %d names found; the check proves little", named)
	}
}

func addWords(t *testing.T, words map[string]bool, path string) {
	t.Helper()
	word := regexp.MustCompile(`\w+`)
	err := filepath.WalkDir(path, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, found := range word.FindAllString(string(content), -1) {
			words[strings.ToLower(found)] = true // Kubernetes' names begin small, Go's fields large.
		}
		return nil
	})
	if err != nil {
		t.Fatalf("read %s: %v", path, err)
	}
}
