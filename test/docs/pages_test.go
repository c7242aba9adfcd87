// Package docs_test checks of the documentation what a reader would stumble over: links that lead nowhere, commands, keys,
// files and identifiers that do not exist, examples that are refused, and messages that the program does not print.
package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	fence = "```"
	// root leads from here to the top of the repository.
	root = "../.."
	// securityPage is where GitHub looks for it.
	securityPage = ".github/SECURITY.md"
)

var (
	headingPattern = regexp.MustCompile(`(?m)^#{1,6} +(.+)$`)
	codeSpan       = regexp.MustCompile("`([^`\n]+)`")
	fencePattern   = regexp.MustCompile("(?ms)^" + fence + `([a-z]*)\n(.*?)^` + fence + "$")
	notInSlug      = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// pages returns the text of every page of the repository, by its path.
func pages(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for path, text := range files(t, ".", ".md") {
		texts[path] = text
	}
	texts[securityPage] = read(t, securityPage)
	if len(texts) < 10 || texts["README.md"] == "" || texts["docs/operations.md"] == "" {
		t.Fatalf("found %d pages, want at least 10 with README.md and docs/operations.md", len(texts))
	}
	return texts
}

// files returns the files below a directory that have one of the extensions, by their path below the repository's top.
// Directories of tools, which begin with a dot, are left out.
func files(t *testing.T, dir string, extensions ...string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(filepath.Join(root, dir), func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && len(entry.Name()) > len(".."):
			return filepath.SkipDir
		case !entry.IsDir() && slices.Contains(extensions, filepath.Ext(path)):
			relative, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			found[filepath.ToSlash(relative)] = read(t, relative)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("read what is below %s: %v", dir, err)
	}
	return found
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(path)))
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	return string(content)
}

// isForUsers says whether a page is about running this program, and not about changing it or about another one.
func isForUsers(page string) bool {
	return page == "README.md" || page == securityPage || strings.HasPrefix(page, "docs/")
}

// prose is a page's text without its blocks of code.
func prose(text string) string { return fencePattern.ReplaceAllString(text, "") }

// code returns what a page shows as code: the lines of its blocks, and spans.
func code(text string) []string {
	var parts []string
	for _, match := range fencePattern.FindAllStringSubmatch(text, -1) {
		parts = append(parts, strings.Split(match[2], "\n")...)
	}
	for _, match := range codeSpan.FindAllStringSubmatch(prose(text), -1) {
		parts = append(parts, match[1])
	}
	return parts
}

// anchors are the names under which GitHub makes a page's headings reachable.
func anchors(text string) []string {
	var names []string
	for _, match := range headingPattern.FindAllStringSubmatch(prose(text), -1) {
		names = append(names, anchor(match[1]))
	}
	return names
}

func anchor(heading string) string {
	slug := notInSlug.ReplaceAllString(strings.ToLower(strings.TrimSpace(heading)), "")
	return strings.ReplaceAll(slug, " ", "-")
}
