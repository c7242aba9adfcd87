package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What can be checked of the documentation without reading it: that what it points at exists, that what it names exists,
// that what it quotes is said, and that no command is there without saying what it needs.

const (
	fence = "```"
	// quickStart may need nothing but Go, git and make.
	quickStart = "## Quick start"
	// ourMessages is the table of what this program says, word by word.
	ourMessages = "### Messages of this program"
)

var (
	linkPattern     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	headingPattern  = regexp.MustCompile(`(?m)^#{1,6} +(.+)$`)
	codeSpan        = regexp.MustCompile("`([^`\n]+)`")
	fencePattern    = regexp.MustCompile("(?ms)^" + fence + `([a-z]*)\n(.*?)^` + fence + "$")
	makeCommand     = regexp.MustCompile(`(?:^|[\s(&;])make ([a-z][a-z0-9-]*)`)
	makeTarget      = regexp.MustCompile(`(?m)^([a-z0-9-]+):`)
	configCommand   = regexp.MustCompile(`pulumi (?:ARGS=")?config (?:set|rm)((?: --[a-z]+)*) ([^\s"` + "`" + `]+)`)
	keyPattern      = regexp.MustCompile(`^(cluster|storage|iris)\.[A-Za-z.]+$`)
	blockNeeds      = regexp.MustCompile(`^# needs (a cloud|a real cluster|a cluster of yours|a stack of yours|docker, crane or skopeo)$`)
	runByTests      = regexp.MustCompile(`^(make|git|cd|go test|#)( |$)`)
	joinedStrings   = regexp.MustCompile(`"\s*\+\s*"`)
	notInSlug       = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	tableFirstCells = regexp.MustCompile(`(?m)^\| ([^|]+) \|`)
)

// documents returns the text of every page, by its path.
func documents(t *testing.T) map[string]string {
	t.Helper()
	pages, err := filepath.Glob("docs/*.md")
	if err != nil || len(pages) < 4 {
		t.Fatalf("found %v below docs, want at least 4 pages (%v)", pages, err)
	}
	texts := map[string]string{}
	for _, page := range append(pages, "README.md") {
		texts[page] = readText(t, page)
	}
	return texts
}

func readText(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("read %s: %v", path, err)
	}
	return string(content)
}

func TestDocs_LinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	links := 0
	for page, text := range documents(t) {
		for _, match := range linkPattern.FindAllStringSubmatch(fencePattern.ReplaceAllString(text, ""), -1) {
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
	path, anchor, hasAnchor := strings.Cut(link, "#")
	target := page
	if path != "" {
		target = filepath.Join(filepath.Dir(page), path)
	}
	if _, err := os.Stat(target); err != nil {
		return fmt.Errorf("link %s: %w", link, err)
	}
	if !hasAnchor {
		return nil
	}
	content, err := os.ReadFile(target)
	if err != nil {
		return fmt.Errorf("link %s: %w", link, err)
	}
	if !slices.Contains(anchors(string(content)), anchor) {
		return fmt.Errorf("link %s: %s has no such heading", link, target)
	}
	return nil
}

// anchors are the names under which GitHub makes a page's headings reachable.
func anchors(text string) []string {
	var names []string
	for _, match := range headingPattern.FindAllStringSubmatch(fencePattern.ReplaceAllString(text, ""), -1) {
		slug := notInSlug.ReplaceAllString(strings.ToLower(strings.TrimSpace(match[1])), "")
		names = append(names, strings.ReplaceAll(slug, " ", "-"))
	}
	return names
}

// code returns what a page shows as code: blocks and spans.
func code(text string) []string {
	var parts []string
	for _, match := range fencePattern.FindAllStringSubmatch(text, -1) {
		parts = append(parts, strings.Split(match[2], "\n")...)
	}
	for _, match := range codeSpan.FindAllStringSubmatch(fencePattern.ReplaceAllString(text, ""), -1) {
		parts = append(parts, match[1])
	}
	return parts
}

func TestDocs_NameTargetsOfTheMakefile(t *testing.T) {
	t.Parallel()
	var targets, named []string
	for _, match := range makeTarget.FindAllStringSubmatch(readText(t, "Makefile"), -1) {
		targets = append(targets, match[1])
	}
	for page, text := range documents(t) {
		for _, part := range code(text) {
			for _, match := range makeCommand.FindAllStringSubmatch(part, -1) {
				named = append(named, match[1])
				if !slices.Contains(targets, match[1]) {
					t.Errorf("%s: %q: the Makefile has no target %s", page, part, match[1])
				}
			}
		}
	}
	if !slices.Contains(named, "up") || !slices.Contains(named, "e2e") {
		t.Errorf("found only %v; the check proves little", named)
	}
}

func TestDocs_NameKeysOfTheConfiguration(t *testing.T) {
	t.Parallel()
	keys, commands, named := configKeys(t), 0, 0
	for page, text := range documents(t) {
		for _, part := range code(text) {
			if keyPattern.MatchString(part) && !strings.HasSuffix(part, ".") {
				named++
				if !knownKey(keys, part) {
					t.Errorf("%s: there is no key %s", page, part)
				}
			}
			for _, match := range configCommand.FindAllStringSubmatch(part, -1) {
				commands++
				key := strings.TrimPrefix(strings.Trim(match[2], "'"), "ha-iris:")
				if !knownKey(keys, key) {
					t.Errorf("%s: %q sets %s, which does not exist", page, part, key)
				}
				if strings.Contains(key, ".") && !strings.Contains(match[1], "--path") {
					t.Errorf("%s: %q needs --path: it would set a key with a dot in its name", page, part)
				}
			}
		}
	}
	if commands < 10 || named < 40 {
		t.Errorf("found %d commands and %d keys; the check proves little", commands, named)
	}
}

// knownKey accepts a key, a group of keys, and what is below a key that takes any object.
func knownKey(keys []key, path string) bool {
	path, _, _ = strings.Cut(path, "[")
	return slices.ContainsFunc(keys, func(k key) bool {
		return k.Path == path || strings.HasPrefix(k.Path, path+".") ||
			k.Type == "Object" && strings.HasPrefix(path, k.Path+".")
	})
}

func TestDocs_CommandsSayWhatTheyNeed(t *testing.T) {
	t.Parallel()
	blocks := 0
	for page, text := range documents(t) {
		for _, match := range fencePattern.FindAllStringSubmatch(text, -1) {
			if match[1] != "console" {
				continue
			}
			blocks++
			lines := strings.Split(strings.TrimSpace(match[2]), "\n")
			if blockNeeds.MatchString(lines[0]) {
				continue
			}
			for _, line := range lines {
				if !runByTests.MatchString(line) {
					t.Errorf("%s: %q is no command that the tests run; begin its block with what it needs, such as: # needs a cloud", page, line)
				}
			}
		}
	}
	if blocks < 20 {
		t.Errorf("only %d blocks of commands found; the check proves little", blocks)
	}
}

func TestDocs_QuickStartNeedsOnlyGitAndMake(t *testing.T) {
	t.Parallel()
	commands := 0
	for _, match := range fencePattern.FindAllStringSubmatch(section(t, readText(t, "README.md"), quickStart), -1) {
		if match[1] != "console" {
			continue
		}
		for line := range strings.Lines(match[2]) {
			commands++
			if !strings.HasPrefix(line, "make ") && !strings.HasPrefix(line, "git ") {
				t.Errorf("%q needs more than git and make", line)
			}
		}
	}
	if commands < 5 {
		t.Errorf("only %d commands found; the check proves little", commands)
	}
}

// section returns a page's text from a heading to the next one of the same or a higher level.
func section(t *testing.T, text, heading string) string {
	t.Helper()
	_, rest, found := strings.Cut(text, "\n"+heading+"\n")
	if !found {
		t.Fatalf("there is no heading %q", heading)
	}
	level, _, _ := strings.Cut(heading, " ")
	next := regexp.MustCompile(fmt.Sprintf(`(?m)^#{1,%d} `, len(level)))
	if at := next.FindStringIndex(rest); at != nil {
		return rest[:at[0]]
	}
	return rest
}

// A message that was reworded is not found by those who look for it here.
func TestDocs_QuoteOurMessagesWordByWord(t *testing.T) {
	t.Parallel()
	said := sources(t)
	quotes := 0
	for _, row := range tableFirstCells.FindAllStringSubmatch(section(t, readText(t, "README.md"), ourMessages), -1) {
		for _, match := range codeSpan.FindAllStringSubmatch(row[1], -1) {
			quotes++
			for part := range strings.SplitSeq(match[1], "...") {
				if part = strings.TrimSpace(part); !strings.Contains(said, part) {
					t.Errorf("nothing in the sources says %q, of %q", part, match[1])
				}
			}
		}
	}
	if quotes < 10 {
		t.Errorf("only %d quotes found; the check proves little", quotes)
	}
}

// sources returns the program's Go files, its tests (which assert whole messages) and its node scripts, with string literals
// that are split over lines put together.
func sources(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, root := range []string{".", "cluster", "storage", "iris", "internal"} {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() && root == "." && path != "." {
				return skipUnless(err)
			}
			extension := filepath.Ext(path)
			if entry.IsDir() || path == "docs_test.go" || extension != ".go" && extension != ".sh" {
				return nil
			}
			all.WriteString(readText(t, path))
			return nil
		})
		if err != nil {
			t.Fatalf("read the sources below %s: %v", root, err)
		}
	}
	return joinedStrings.ReplaceAllString(all.String(), "")
}

// skipUnless returns the error, or else the order to leave a directory out.
func skipUnless(err error) error {
	if err != nil {
		return err
	}
	return filepath.SkipDir
}

// The message of a refused image refers to this heading by name.
func TestDocs_HaveTheHeadingsThatMessagesName(t *testing.T) {
	t.Parallel()
	readme := readText(t, "README.md")
	for _, heading := range []string{"Another image", "Upgrades"} {
		if !slices.Contains(anchors(readme), strings.ReplaceAll(strings.ToLower(heading), " ", "-")) {
			t.Errorf("README.md has no heading %q", heading)
		}
	}
}
