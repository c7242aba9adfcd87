//go:build e2e

package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// walkTimeout bounds one command of the quick start. The first `make up` compiles the program in its new place.
const walkTimeout = 10 * time.Minute

var (
	consoleBlock  = regexp.MustCompile("(?ms)^```console\n(.*?)^```$")
	textBlock     = regexp.MustCompile("(?ms)^```text\n(.*?)^```$")
	trailingHash  = regexp.MustCompile(`\s+#\s.*$`)
	plannedUpdate = regexp.MustCompile(`(\d+) to update`)
	ipv4          = regexp.MustCompile(`\b\d+\.\d+\.\d+\.\d+\b`)
	columns       = regexp.MustCompile(`\s{2,}`)
)

// TestQuickStart_DoesWhatTheREADMESays is the newcomer's walk: a new checkout and the README's commands, one by one, as they
// stand there. Before the stack is taken down it also does what the pages say of pull requests and of other stacks.
func TestQuickStart_DoesWhatTheREADMESays(t *testing.T) {
	onOwn(t)
	start := pageSection(t, "README.md", "## Quick start")
	commands := consoleLines(start)
	down := slices.IndexFunc(commands, func(line string) bool { return bare(line) == "make down" })
	if ups := strings.Count(strings.Join(commands, "\n"), "make up"); ups != 2 || down < 6 {
		t.Fatalf("the quick start is %q; want an up, a change, a preview, an up and a down", commands)
	}
	commands = slices.Insert(commands, down, slices.Concat(
		consoleLines(pageSection(t, "README.md", "## Environments and pull requests")),
		consoleLines(pageSection(t, "examples/consumer/README.md", "## On this machine")),
	)...)
	promised := textBlock.FindStringSubmatch(start)
	if promised == nil {
		t.Fatal("the quick start does not show the outputs")
	}

	left := kept.Of(t)
	w := &walk{t: t, dir: newCheckout(t)}
	t.Cleanup(w.stop)
	left.Add("walk", w.keep)
	claim := ""
	for _, line := range commands {
		command := bare(line)
		if strings.HasPrefix(command, "git clone ") || command == "make test" {
			continue // Done by newCheckout; and what runs right now.
		}
		output := w.run(command)
		switch {
		case command == "make up":
			w.checkOutputs(output, promised[1])
			claim = w.checkClaim(claim)
		case command == "make preview":
			want := plannedUpdate.FindString(line)
			if want == "" || plannedUpdate.FindString(output) != want {
				t.Errorf("the README promises %q of: %s", want, line)
			}
		case strings.HasPrefix(command, "make ci-preview") && !strings.Contains(output, "violations 0"):
			t.Error("the policy does not say that it found nothing")
		case strings.Contains(command, "stack output") && !strings.Contains(output, "iris-svc.iris.svc"):
			t.Error("the consumer's outputs do not show the database's address")
		case command == "make down":
			w.checkNothingRuns()
		}
	}
	if changed := strings.TrimSpace(w.run("git status --porcelain -- Pulumi.dev.yaml")); changed != "" {
		t.Errorf("the walk leaves a change behind: %s", changed)
	}
}

// pageSection returns a page's text from a heading to the next one of the same level.
func pageSection(t *testing.T, page, heading string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(repository, page))
	if err != nil {
		t.Fatalf("read page: %v", err)
	}
	_, text, found := strings.Cut(string(content), "\n"+heading+"\n")
	text, _, ends := strings.Cut(text, "\n## ")
	if !found || !ends {
		t.Fatalf("%s has no part %q", page, heading)
	}
	return text
}

// consoleLines are the lines of a text's blocks of commands, comments included.
func consoleLines(text string) []string {
	var lines []string
	for _, block := range consoleBlock.FindAllStringSubmatch(text, -1) {
		lines = append(lines, strings.Split(strings.TrimSpace(block[1]), "\n")...)
	}
	return lines
}

// bare is a command without the comment behind it.
func bare(line string) string { return trailingHash.ReplaceAllString(strings.TrimSpace(line), "") }

// walk runs commands in a checkout of its own.
type walk struct {
	t   *testing.T
	dir string
	// printed is what all commands printed.
	printed strings.Builder
}

// run runs a command and fails the test when the command fails.
func (w *walk) run(command string) string {
	w.t.Helper()
	start := time.Now()
	output, err := w.try(command)
	w.t.Logf("%s took %.1f s\n%s", command, time.Since(start).Seconds(), output)
	_, _ = fmt.Fprintf(&w.printed, "$ %s\n%s\n", command, output)
	if err != nil {
		w.t.Fatalf("%s: %v", command, err)
	}
	return output
}

// try runs a command line as a newcomer's shell does: none of the variables and tools that this test was started with.
func (w *walk) try(command string) (string, error) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.t.Context()), walkTimeout)
	defer cancel()
	shell := exec.CommandContext(ctx, "sh", "-c", command)
	shell.Dir = w.dir
	ours := filepath.Join(repository, ".local")
	for _, variable := range os.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		switch {
		case strings.HasPrefix(name, "PULUMI_"), strings.HasPrefix(name, "MAKE"), name == "MFLAGS", strings.HasPrefix(name, "HELM_"):
		case name == "PATH":
			directories := slices.DeleteFunc(filepath.SplitList(value), func(dir string) bool { return strings.HasPrefix(dir, ours) })
			shell.Env = append(shell.Env, "PATH="+strings.Join(directories, string(os.PathListSeparator)))
		default:
			shell.Env = append(shell.Env, variable)
		}
	}
	output, err := shell.CombinedOutput()
	if err != nil {
		return string(output), fmt.Errorf("run %s: %w", command, err)
	}
	return string(output), nil
}

// checkOutputs compares the last table with the README's; addresses differ from machine to machine.
func (w *walk) checkOutputs(output, promised string) {
	w.t.Helper()
	table := func(text string) []string {
		_, text, _ = strings.Cut(text, "OUTPUT")
		var rows []string
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); line != "" {
				rows = append(rows, columns.ReplaceAllString(ipv4.ReplaceAllString(line, "ADDRESS"), " "))
			}
		}
		return rows
	}
	if got, want := table(output), table(promised); len(want) < 8 || !slices.Equal(got, want) {
		w.t.Errorf("make up prints\n%s\nthe README says\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// checkClaim returns the identity of the data and fails if it is not the one from before.
func (w *walk) checkClaim(before string) string {
	w.t.Helper()
	now := w.run("KUBECACHEDIR=.local/cache/kube .local/bin/kubectl --kubeconfig .local/sandbox/dev/kubeconfig -n iris get pvc iris-pvc -o jsonpath={.metadata.uid}")
	if now == "" || before != "" && before != now {
		w.t.Errorf("the claim was %q and is %q", before, now)
	}
	return now
}

// checkNothingRuns looks for processes of the checkout; each names it on its command line or runs in it.
func (w *walk) checkNothingRuns() {
	w.t.Helper()
	for _, line := range commandLines(w.t) {
		if strings.Contains(line, w.dir) {
			w.t.Errorf("still running: %s", line)
		}
	}
}

// commandLines are those of all processes. A machine with nothing but Go, git and make need not have ps.
func commandLines(t *testing.T) []string {
	t.Helper()
	entries, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatalf("list processes: %v", err)
	}
	var lines []string
	for _, entry := range entries {
		// One that cannot be read has just ended.
		if content, err := os.ReadFile(entry); err == nil {
			lines = append(lines, strings.ReplaceAll(string(content), "\x00", " "))
		}
	}
	if len(lines) > 0 {
		return lines
	}
	output, err := exec.CommandContext(t.Context(), "ps", "-axww", "-o", "args").Output()
	if err != nil {
		t.Fatalf("list processes: %v", err)
	}
	return slices.Collect(strings.Lines(string(output)))
}

// stop ends what a failed walk leaves running.
func (w *walk) stop() {
	if _, err := os.Stat(filepath.Join(w.dir, ".local", "bin", "sandbox")); err == nil && w.t.Failed() {
		w.run(".local/bin/sandbox down --name dev --purge")
	}
}

// newCheckout clones the repository, brings what is not committed along, and hands it the tools: `make up` finds them up
// to date, where it would else build them for half an hour.
func newCheckout(t *testing.T) string {
	t.Helper()
	// Below .local, because hard links do not reach another file system.
	parent, err := os.MkdirTemp(filepath.Join(repository, ".local"), "walk-")
	if err != nil {
		t.Fatalf("make directory: %v", err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(parent); err != nil {
			t.Errorf("remove the checkout: %v", err)
		}
	})
	dir := filepath.Join(parent, "ha-iris")
	git(t, "clone", "--quiet", "--no-hardlinks", repository, dir)
	for name := range strings.SplitSeq(git(t, "-C", repository, "ls-files", "-z", "--modified", "--others", "--exclude-standard"), "\x00") {
		if name != "" {
			replaceFile(t, filepath.Join(repository, name), filepath.Join(dir, name))
		}
	}
	for _, tools := range []string{"bin", filepath.Join("pulumi", "plugins")} {
		linkTree(t, filepath.Join(repository, ".local", tools), filepath.Join(dir, ".local", tools))
	}
	// Not tools: a build would write through the link.
	for _, built := range []string{"ha-iris", "sandbox", "floor"} {
		if err := os.Remove(filepath.Join(dir, ".local", "bin", built)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("remove: %v", err)
		}
	}
	return dir
}

func git(t *testing.T, args ...string) string {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), "git", args...).Output()
	if err != nil {
		t.Fatalf("git %s: %v", strings.Join(args, " "), err)
	}
	return string(output)
}

// replaceFile copies a file, or removes the copy of one that is gone.
func replaceFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.Remove(to); err != nil {
			t.Fatalf("remove: %v", err)
		}
		return
	}
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	info, err := os.Stat(from)
	if err != nil {
		t.Fatalf("look at %s: %v", from, err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatalf("make directory: %v", err)
	}
	if err := os.WriteFile(to, content, info.Mode().Perm()); err != nil {
		t.Fatalf("write: %v", err)
	}
}

func linkTree(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return os.MkdirAll(filepath.Join(to, relative), 0o755)
		}
		return os.Link(path, filepath.Join(to, relative))
	})
	if err != nil {
		t.Fatalf("hand over the tools: %v", err)
	}
}
