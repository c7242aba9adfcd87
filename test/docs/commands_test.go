package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	makeCommand = regexp.MustCompile(`(?:^|[\s(&;])make ([a-z][a-z0-9-]*)`)
	makeTarget  = regexp.MustCompile(`(?m)^([a-z0-9-]+):`)
	goCommand   = regexp.MustCompile(`(?:^|[\s(&;|])go (?:run|test|vet|build) (.*)$`)
)

func targets(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, match := range makeTarget.FindAllStringSubmatch(read(t, "Makefile"), -1) {
		found = append(found, match[1])
	}
	return found
}

func TestDocs_NameTargetsOfTheMakefile(t *testing.T) {
	t.Parallel()
	known := targets(t)
	var named []string
	for page, text := range pages(t) {
		for _, part := range code(text) {
			for _, match := range makeCommand.FindAllStringSubmatch(part, -1) {
				named = append(named, match[1])
				if !slices.Contains(known, match[1]) {
					t.Errorf("%s: %q: the Makefile has no target %s", page, part, match[1])
				}
			}
		}
	}
	if !slices.Contains(named, "up") || !slices.Contains(named, "e2e") {
		t.Errorf("found only %v; the check proves little", named)
	}
}

func TestDocs_NamePackagesThatExist(t *testing.T) {
	t.Parallel()
	named := 0
	for page, text := range pages(t) {
		for _, part := range code(text) {
			match := goCommand.FindStringSubmatch(part)
			if match == nil {
				continue
			}
			for word := range strings.FieldsSeq(match[1]) {
				dir, isPackage := strings.CutPrefix(word, "./")
				if !isPackage || strings.HasPrefix(page, "sandbox/") {
					continue
				}
				named++
				dir = strings.TrimSuffix(dir, "...")
				if _, err := os.Stat(filepath.Join(root, dir)); err != nil {
					t.Errorf("%s: %q: there is no package %s", page, part, word)
				}
			}
		}
	}
	if named < 5 {
		t.Errorf("only %d packages found; the check proves little", named)
	}
}
