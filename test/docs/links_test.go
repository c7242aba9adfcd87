package docs_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	linkPattern = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	// namedHeading is a page and one of its headings, as the program's messages name them.
	namedHeading = regexp.MustCompile(`(README|docs/[a-z]+\.md)[,:] \\?"([^"\\]+)\\?"`)
)

func TestDocs_LinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	links := 0
	for page, text := range pages(t) {
		for _, match := range linkPattern.FindAllStringSubmatch(prose(text), -1) {
			if strings.Contains(match[1], "://") {
				continue
			}
			links++
			if err := checkLink(page, match[1]); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
	if links < 50 {
		t.Errorf("only %d links found; the check proves little", links)
	}
}

// checkLink looks for the file and, in a page, for the heading.
func checkLink(page, link string) error {
	path, name, hasAnchor := strings.Cut(link, "#")
	target := page
	if path != "" {
		target = filepath.Join(filepath.Dir(page), path)
	}
	if _, err := os.Stat(filepath.Join(root, target)); err != nil {
		return fmt.Errorf("link %s: %w", link, err)
	}
	if !hasAnchor {
		return nil
	}
	content, err := os.ReadFile(filepath.Join(root, target))
	if err != nil {
		return fmt.Errorf("link %s: %w", link, err)
	}
	if !slices.Contains(anchors(string(content)), name) {
		return fmt.Errorf("link %s: %w", link, errors.New(target+" has no such heading"))
	}
	return nil
}

// A message that sends somebody to a heading that is not there costs them the time they do not have.
func TestDocs_HaveTheHeadingsThatMessagesName(t *testing.T) {
	t.Parallel()
	texts, named := pages(t), 0
	for _, dir := range []string{"cluster", "storage", "iris", "internal", "ops"} {
		for file, source := range files(t, dir, ".go") {
			for _, match := range namedHeading.FindAllStringSubmatch(source, -1) {
				named++
				page := strings.TrimSuffix(match[1], ".md") + ".md"
				if !slices.Contains(anchors(texts[page]), anchor(match[2])) {
					t.Errorf("%s sends to %q in %s, which is not there", file, match[2], page)
				}
			}
		}
	}
	if named < 3 {
		t.Errorf("only %d headings found; the check proves little", named)
	}
}
