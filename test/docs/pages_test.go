package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"ha-iris/internal/strict"
)

// What can be checked of the documentation without reading it: that what it points at exists, that what it names exists,
// that what it quotes is said, and that a test runs every command that does not say what it needs.

const (
	fence = "```"
	// quickStart may need nothing but Go, git and make. quickStartTest runs it as it stands.
	quickStart     = "## Quick start"
	quickStartTest = "test/e2e/quickstart_test.go"
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
	trailingComment = regexp.MustCompile(`(^|\s+)#\s.*$`)
	needsNothing    = regexp.MustCompile(`^(make|go|git|\.local/bin/\S+)( |$)`)
	joinedStrings   = regexp.MustCompile(`"\s*\+\s*"`)
	notInSlug       = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	tableFirstCells = regexp.MustCompile(`(?m)^\| ([^|]+) \|`)
)

// documents returns the text of every page of the repository, by its path.
func documents(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != "." && path != ".github" && strings.HasPrefix(entry.Name(), "."):
			return filepath.SkipDir // What make writes, and git's own.
		case filepath.Ext(path) == ".md":
			texts[filepath.ToSlash(path)] = readText(t, path)
		}
		return nil
	})
	if err != nil || len(texts) < 10 || texts["README.md"] == "" || texts["docs/operations.md"] == "" {
		t.Fatalf("found %d pages, want at least 10 with README.md and docs/operations.md (%v)", len(texts), err)
	}
	return texts
}

// isForUsers says whether a page is about running this program, and not about changing it or about another one.
func isForUsers(page string) bool {
	return page == "README.md" || page == ".github/SECURITY.md" || strings.HasPrefix(page, "docs/")
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
			if isForUsers(page) && keyPattern.MatchString(part) && !strings.HasSuffix(part, ".") {
				named++
				if !knownKey(keys, part) {
					t.Errorf("%s: there is no key %s", page, part)
				}
			}
			for _, match := range configCommand.FindAllStringSubmatch(part, -1) {
				key, ours := strings.CutPrefix(strings.Trim(match[2], "'"), "ha-iris:")
				if !ours && !isForUsers(page) {
					continue // Of another project.
				}
				commands++
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

func TestDocs_ShowConfigurationThatIsAccepted(t *testing.T) {
	t.Parallel()
	examples := 0
	for page, text := range documents(t) {
		for _, match := range fencePattern.FindAllStringSubmatch(text, -1) {
			if match[1] != "yaml" || !strings.Contains(match[2], "ha-iris:") {
				continue
			}
			examples++
			if err := checkExample(match[2]); err != nil {
				t.Errorf("%s: %v in\n%s", page, err, match[2])
			}
		}
	}
	if examples < 3 {
		t.Errorf("only %d examples found; the check proves little", examples)
	}
}

// checkExample decodes a stack file, or what stands below its key config.
func checkExample(text string) error {
	var shown map[string]json.RawMessage
	if err := yaml.Unmarshal([]byte(text), &shown); err != nil {
		return fmt.Errorf("parse: %w", err)
	}
	if inner := shown["config"]; inner != nil {
		shown = nil
		if err := json.Unmarshal(inner, &shown); err != nil {
			return fmt.Errorf("parse config: %w", err)
		}
	}
	cfg := defaultConfig()
	for key, value := range shown {
		name := strings.TrimPrefix(key, "ha-iris:")
		target := cfg.sections()[name]
		if target == nil {
			return fmt.Errorf("there is no section %s", key)
		}
		if err := strict.Decode(value, name, target); err != nil {
			return err
		}
	}
	return nil
}

// proof is where a test runs a command: a file, and what stands there.
type proof struct{ file, text string }

// commandsRun are the commands that are shown without a word of what they need, each with the test that runs it. Those in
// the quick start's blocks are not among them: its test reads them from the page.
func commandsRun() map[string]proof {
	all := proof{"Makefile", "\ntest: lint unit e2e "}
	unit := proof{"Makefile", "\n\tgo test ./...\n"}
	walk := proof{quickStartTest, "TestQuickStart_DoesWhatTheREADMESays"}
	policy := proof{"ops/policy/main_test.go", `[]string{"--help"}`}
	consumer := proof{quickStartTest, `"examples/consumer/README.md", "## On this machine"`}
	pullRequests := proof{quickStartTest, `"README.md", "## Environments and pull requests"`}
	// Without the cold build, which takes minutes and is no more than a go build.
	bench := proof{"test/e2e/bench_test.go", `"BENCH=--cold=false `}
	return map[string]proof{
		"make up":                    walk,
		"make down":                  walk,
		"make test":                  {".ci/run", "exec make test"},
		"make lint":                  all,
		"make unit":                  all,
		"make e2e":                   all,
		"make help":                  {"docs_test.go", "TestDocs_MakeHelpListsTheTargets"},
		"make ci-preview ENV=dev":    pullRequests,
		"go test ./...":              unit,
		"go test ./iris":             unit,
		"go test . -update":          {"test/recipes/recipes_test.go", "run: go test . -update"},
		"go run ./ops/policy":        policy,
		"go run ./test/bench --help": {"test/bench/main_test.go", `[]string{"--help"}`},
		"make tools":                 {"Makefile", "\ne2e: tools "},
		"make bench":                 bench,
		"go test -tags e2e -count=1 -v -run TestLifecycle ./test/e2e": {"Makefile", "\tgo test -tags e2e -count=1 "},

		`make bench BENCH="--cold=false"`: bench,
		"go run ./ops/policy --help":      pullRequests,

		`make pulumi ARGS="stack select --create dev --cwd examples/consumer"`: consumer,
		`make pulumi ARGS="up --yes --cwd examples/consumer --stack dev"`:      consumer,
		`make pulumi ARGS="stack output --cwd examples/consumer --stack dev"`:  consumer,
		`make pulumi ARGS="destroy --yes --cwd examples/consumer --stack dev"`: consumer,

		".local/bin/kubectl --kubeconfig .local/sandbox/dev/kubeconfig get nodes": {
			quickStartTest, ".local/bin/kubectl --kubeconfig .local/sandbox/dev/kubeconfig ",
		},
		`kubectl -n kube-node-lease patch lease ha-iris-node-a --type merge -p '` + killedLease + `'`: {
			"sandbox/test/cluster_test.go", killedLease,
		},
	}
}

// killedLease is the patch that stops a simulated node's kubelet.
const killedLease = `{"spec":{"holderIdentity":"killed","leaseDurationSeconds":86400}}`

func TestDocs_CommandsSayWhatTheyNeedOrAreRunByATest(t *testing.T) {
	t.Parallel()
	run, shown, blocks := commandsRun(), map[string]bool{}, 0
	for page, text := range documents(t) {
		blockText := text
		if page == "README.md" {
			blockText = strings.Replace(text, section(t, text, quickStart), "", 1)
		}
		commands, found := unmarkedCommands(blockText)
		blocks += found
		if isForUsers(page) {
			commands = append(commands, inlineCommands(text)...)
		}
		for _, command := range commands {
			shown[command] = true
			if run[command] == (proof{}) {
				t.Errorf("%s: no test runs %q; list the one that does in docs_test.go, or begin its block with what it needs, such as: # needs a cloud", page, command)
			}
		}
	}
	for command, proof := range run {
		if !shown[command] {
			t.Errorf("no page shows %q; take it from the list", command)
		}
		if !strings.Contains(readText(t, proof.file), proof.text) {
			t.Errorf("%s does not run %q: it lacks %q", proof.file, command, proof.text)
		}
	}
	if blocks < 30 {
		t.Errorf("only %d blocks of commands found; the check proves little", blocks)
	}
}

// unmarkedCommands returns the commands of a page's blocks that do not say what they need, and how many blocks of commands
// there are.
func unmarkedCommands(text string) (commands []string, blocks int) {
	for _, match := range fencePattern.FindAllStringSubmatch(text, -1) {
		if match[1] != "" && match[1] != "console" {
			continue
		}
		blocks++
		content := strings.TrimSpace(match[2])
		if first, _, _ := strings.Cut(content, "\n"); blockNeeds.MatchString(first) {
			continue
		}
		for line := range strings.SplitSeq(strings.ReplaceAll(content, "\\\n", " "), "\n") {
			command := strings.Join(strings.Fields(trailingComment.ReplaceAllString(line, "")), " ")
			if command != "" {
				commands = append(commands, command)
			}
		}
	}
	return commands, blocks
}

// inlineCommands returns the commands in a page's sentences that need nothing. The others need a stack or a cloud, as their
// names say.
func inlineCommands(text string) []string {
	var commands []string
	for _, match := range codeSpan.FindAllStringSubmatch(fencePattern.ReplaceAllString(text, ""), -1) {
		if needsNothing.MatchString(match[1]) {
			commands = append(commands, match[1])
		}
	}
	return commands
}

func TestDocs_MakeHelpListsTheTargets(t *testing.T) {
	t.Parallel()
	output, err := exec.CommandContext(t.Context(), "make", "help").CombinedOutput()
	if err != nil {
		t.Fatalf("make help: %v\n%s", err, output)
	}
	for _, target := range []string{"up", "preview", "down", "test", "lint", "unit", "e2e", "ci-preview", "bench", "pulumi"} {
		if !strings.Contains(string(output), "\n  "+target+" ") && !strings.HasPrefix(string(output), "  "+target+" ") {
			t.Errorf("make help does not list %s:\n%s", target, output)
		}
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
	for _, needed := range []string{`"README.md"`, quickStart} {
		if !strings.Contains(readText(t, quickStartTest), needed) {
			t.Errorf("%s does not run the quick start: it lacks %q", quickStartTest, needed)
		}
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

// Measured with the real Longhorn: the taint before the attachment is gone can interrupt the database twice, and nothing at
// all may be done before it is known whether the node is dead or cut off.
func TestDocs_HelpADeadNodeAlongInTheMeasuredOrder(t *testing.T) {
	t.Parallel()
	_, night, _ := strings.Cut(readText(t, "docs/operations.md"), "\n## A dead node at night\n")
	night, _, _ = strings.Cut(night, "\n## ")
	for _, order := range [][]string{
		{"\n### First: is it dead or cut off?", "\n### 1. ", "\n### 2. Help it along"},
		{
			"\n### 2. Help it along", "wait node/NODE --for=condition=Ready=Unknown", "wait nodes.longhorn.io/NODE --for=condition=Ready=False",
			"delete pod POD --wait=false", "get volumeattachments --watch", "kubectl taint nodes NODE", "delete pod POD --grace-period=0 --force",
		},
	} {
		last := -1
		for _, part := range order {
			at := strings.Index(night, part)
			if at <= last {
				t.Errorf("docs/operations.md has %q at %d, want it behind the part before it, at %d", part, at, last)
			}
			last = at
		}
	}
	for page, text := range documents(t) {
		if strings.Contains(text, "one engine only") {
			t.Errorf("%s says that a volume has one engine only; a node that is cut off keeps its own", page)
		}
	}
	for _, page := range []string{"README.md", ".github/SECURITY.md", "docs/security.md", "docs/architecture.md"} {
		if !strings.Contains(readText(t, page), "operations.md#first-is-it-dead-or-cut-off") {
			t.Errorf("%s does not say what to do about a node that is cut off", page)
		}
	}
}
