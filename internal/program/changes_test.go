package program

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

var (
	codeSpan = regexp.MustCompile("`([^`\n]+)`")
	// tableFirstCells are the first cells of a table's rows.
	tableFirstCells = regexp.MustCompile(`(?m)^\|([^|]*)\|`)
)

// Whoever changes a key wants to know beforehand what that does. There is a table for each section, with its keys without its name.
func TestDocs_SayWhatAChangeOfEveryKeyDoes(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("docs/operations.md")
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	keys := configKeys(t)
	rows, named := map[string]bool{}, map[string]bool{}
	for name, heading := range map[string]string{"cluster": "cluster", "storage": "storage", "iris": "database", "failover": "database"} {
		_, text, _ := strings.Cut(string(page), "\n## What a change of the "+heading+" does\n")
		text, _, _ = strings.Cut(text, "\n## ")
		_, table, found := strings.Cut(text, "\n| `"+name+".` |")
		if !found {
			t.Fatalf("no table of %s.*", name)
		}
		table, _, _ = strings.Cut(table, "\n\n")
		for _, row := range tableFirstCells.FindAllStringSubmatch(table, -1) {
			for _, key := range codeSpan.FindAllStringSubmatch(row[1], -1) {
				rows[name+"."+key[1]] = true
			}
		}
		for _, span := range codeSpan.FindAllStringSubmatch(text, -1) {
			named[span[1]] = true
		}
	}
	for _, k := range keys {
		// Keys of an existing cluster have no column in the table of clouds, and secrets none at all.
		inSentence := map[string]string{"cluster.kubeconfigPath": "kubeconfigPath", "cluster.context": "context"}[k.Path]
		if !strings.Contains(k.Path, ".") {
			inSentence = k.Path
		}
		if !rows[k.Path] && !named[inSentence] {
			t.Errorf("docs/operations.md does not say what a change of %s does", k.Path)
		}
		delete(rows, k.Path)
	}
	for row := range rows {
		t.Errorf("docs/operations.md says what a change of %s does, which does not exist", row)
	}
	if len(keys) < 60 {
		t.Errorf("only %d keys; the check proves little", len(keys))
	}
}
