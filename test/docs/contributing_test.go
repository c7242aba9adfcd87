package docs_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	pathLike = regexp.MustCompile(`^\.?[\w-]+(/[\w.-]+)+/?$|^[\w-]+/$|^\.?[\w.-]+\.(go|yaml|md)$|^Makefile$`)
	// placeholders stand for the name of what is added, for a stack's and for a key's.
	placeholders = strings.NewReplacer("NAME", "*", "ENV", "*", "KEY", "*")
)

func TestContributing_NamesFilesThatExist(t *testing.T) {
	t.Parallel()
	named := 0
	for _, match := range codeSpan.FindAllStringSubmatch(read(t, "CONTRIBUTING.md"), -1) {
		if !pathLike.MatchString(match[1]) {
			continue
		}
		named++
		found := 0
		for _, dir := range []string{"", ".github/workflows"} {
			paths, err := filepath.Glob(filepath.Join(root, dir, placeholders.Replace(match[1])))
			if err != nil {
				t.Fatalf("look for %s: %v", match[1], err)
			}
			found += len(paths)
		}
		if found == 0 {
			t.Errorf("there is no %s", match[1])
		}
	}
	if named < 30 {
		t.Errorf("only %d paths found; the check proves little", named)
	}
}
