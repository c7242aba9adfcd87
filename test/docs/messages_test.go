package docs_test

import (
	"regexp"
	"strings"
	"testing"
)

var (
	wholeLineComments = regexp.MustCompile(`(?m)^\s*(//|#).*$`)
	joinedStrings     = regexp.MustCompile(`"\s*\+\s*"`)
	tableFirstCells   = regexp.MustCompile(`(?m)^\| ([^|]+) \|`)
)

// A message that was reworded is not found by those who look for it in the page.
func TestDocs_QuoteOurMessagesWordByWord(t *testing.T) {
	t.Parallel()
	said, quotes := sources(t), 0
	_, table, _ := strings.Cut(read(t, "docs/troubleshooting.md"), "\n## Messages of this program\n")
	table, _, _ = strings.Cut(table, "\n## ")
	for _, row := range tableFirstCells.FindAllStringSubmatch(table, -1) {
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

// sources returns the program's Go files, its tests (which assert messages that are put together, and fail when one changes) and its
// node scripts, without comments, and with string literals that are split over lines put together.
func sources(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for file, text := range files(t, ".", ".go", ".sh") {
		switch top, _, below := strings.Cut(file, "/"); {
		case !below, top == "cluster", top == "storage", top == "iris", top == "internal":
			all.WriteString(text)
		}
	}
	return joinedStrings.ReplaceAllString(wholeLineComments.ReplaceAllString(all.String(), ""), "")
}
