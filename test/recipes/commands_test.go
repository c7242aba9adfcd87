package recipes_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var goTest = regexp.MustCompile(`\bgo test ([^\x60\n]+)`)

// A recipe's command that names the wrong package, test or flag fails in the hands of whoever follows the recipe.
func TestRecipe_CommandsCanBeRun(t *testing.T) {
	t.Parallel()
	checked := 0
	for _, match := range goTest.FindAllStringSubmatch(readFile(t, "CONTRIBUTING.md"), -1) {
		words := strings.Fields(match[1])
		for i, word := range words {
			if word != "." && !strings.HasPrefix(word, "./") {
				continue
			}
			checked++
			tests := testsOf(t, word)
			if tests == "" {
				t.Errorf("go test %s: %s has no tests", match[1], word)
			}
			if strings.Contains(match[1], " -update") && !strings.Contains(tests, `"ha-iris/internal/testkit"`) {
				t.Errorf("go test %s: the tests of %s have no flag -update, which internal/testkit declares", match[1], word)
			}
			if i > 1 && words[i-2] == "-run" && !strings.Contains(tests, "func "+words[i-1]+"(") {
				t.Errorf("go test %s: %s has no test %s", match[1], word, words[i-1])
			}
		}
	}
	if checked < 8 {
		t.Errorf("found only %d packages; the check proves little", checked)
	}
}

// testsOf is the text of a package's tests.
func testsOf(t *testing.T, pkg string) string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root(t), pkg, "*_test.go"))
	if err != nil {
		t.Fatalf("look for tests: %v", err)
	}
	var all strings.Builder
	for _, path := range paths {
		relative, err := filepath.Rel(root(t), path)
		if err != nil {
			t.Fatalf("name a file: %v", err)
		}
		all.WriteString(readFile(t, relative))
	}
	return all.String()
}
