package recipes_test

import (
	"errors"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// repository is what make agent-image is told of the registry.
const repository = "REPO=registry.example:5000/ha-iris/agent"

// arguments are those of the last run of ko.
func (m *made) arguments() string {
	m.t.Helper()
	content, err := os.ReadFile(filepath.Join(m.seen, "arguments"))
	if err != nil {
		m.t.Fatalf("read the arguments of ko: %v", err)
	}
	return string(content)
}

// git runs git in the checkout, as nobody in particular.
func (m *made) git(args ...string) string {
	m.t.Helper()
	command := exec.CommandContext(m.t.Context(), "git", append([]string{"-c", "user.name=a", "-c", "user.email=a@example.invalid"}, args...)...)
	command.Dir = m.dir
	output, err := command.CombinedOutput()
	if err != nil {
		m.t.Fatalf("git %v: %v\n%s", args, err, output)
	}
	return strings.TrimSpace(string(output))
}

func TestAgentImage_IsRefusedBeforeAnythingIsWritten(t *testing.T) {
	t.Parallel()
	const version, where, tag = "VERSION=v1", "the repository is '", "the tag is '"
	for name, test := range map[string]struct {
		exported, args []string
		want           string
	}{
		"no repository":                   {nil, []string{version}, where + "'"},
		"a repository that was exported":  {[]string{repository}, []string{version}, where + "'"},
		"a tag in the repository":         {nil, []string{"REPO=registry.example/agent:v1", version}, where},
		"a digest in the repository":      {nil, []string{"REPO=registry.example/agent@sha256:00", version}, where},
		"no registry":                     {nil, []string{"REPO=agent", version}, where},
		"upper case":                      {nil, []string{"REPO=registry.example/Agent", version}, where},
		"two repositories":                {nil, []string{"REPO=registry.example/a registry.example/b", version}, where},
		"a shell's characters":            {nil, []string{"REPO=registry.example/a'$$(true)'", version}, where},
		"two tags":                        {nil, []string{repository, "VERSION=v1,latest"}, tag},
		"a tag that is none":              {nil, []string{repository, "VERSION=v1/2"}, tag},
		"no tag, where git knows nothing": {nil, []string{repository}, tag},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMade(t, "checkout")
			output, err := m.make(test.exported, append(test.args, "agent-image")...)
			if err == nil || !strings.Contains(output, test.want) || strings.Count(output, "\n") != 1 {
				t.Errorf("got %v and %q, want one line with %q", err, output, test.want)
			}
			if _, err := os.Stat(filepath.Join(m.dir, ".local")); !errors.Is(err, fs.ErrNotExist) || len(m.ran()) > 0 {
				t.Errorf("it wrote something (%v) or ran %v", err, m.ran())
			}
		})
	}
}

func TestAgentImage_PrintsTheImageAndTheSetting(t *testing.T) {
	t.Parallel()
	m := newMade(t, "checkout")
	output, err := m.make(nil, repository, "VERSION=v1.2.3", "BASE=registry.example/base:1", "agent-image")
	const image = "registry.example:5000/ha-iris/agent@sha256:0"
	if err != nil || !strings.HasSuffix(output, image+"\npulumi config set --path failover.image "+image+"\n") {
		t.Errorf("got %v and %q", err, output)
	}
	if arguments := m.arguments(); !strings.Contains(arguments, "--tags v1.2.3 ") {
		t.Errorf("ko got %q", arguments)
	}
	for program, variables := range m.environments() {
		if strings.HasPrefix(program, "ko-") && variables["KO_DEFAULTBASEIMAGE"] != "registry.example/base:1" {
			t.Errorf("ko's base is %q", variables["KO_DEFAULTBASEIMAGE"])
		}
	}
	if written, err := os.ReadFile(filepath.Join(m.dir, ".local", "agent-image", "reference")); strings.TrimSpace(string(written)) != image {
		t.Errorf("release.yaml would read %q (%v)", written, err)
	}
}

// Who does not read what was pushed would run it on nodes for which it has no program.
func TestAgentImage_FailsWhereTheBaseLacksAPlatform(t *testing.T) {
	t.Parallel()
	for _, platforms := range []string{"amd64", "arm64-v8"} {
		output, err := newMade(t, "checkout").make([]string{"PLATFORMS=" + platforms}, repository, "VERSION=v1", "agent-image")
		if err == nil || !strings.Contains(output, "the base image is not there for linux/") || strings.Contains(output, "config set") {
			t.Errorf("%s: got %v and %q", platforms, err, output)
		}
	}
}

// A tag names one image for good, so what is not committed has none.
func TestAgentImage_IsTaggedWithTheCommit(t *testing.T) {
	t.Parallel()
	m := newMade(t, "checkout")
	m.write(filepath.Join(m.dir, ".gitignore"), "/.local/\n", 0o600)
	source := filepath.Join(m.dir, "agent", "main.go")
	m.write(source, "package main\n", 0o600)
	m.git("init", "--quiet")
	m.git("add", "--all")
	m.git("commit", "--quiet", "--message", "first")
	// A hook's, of another repository.
	hook := []string{"GIT_DIR=" + filepath.Join(t.TempDir(), ".git")}
	for _, test := range []struct{ tag, want string }{{"", m.git("rev-parse", "--short", "HEAD")}, {"v0.1.0", "v0.1.0"}} {
		if test.tag != "" {
			m.git("tag", test.tag)
		}
		if output, err := m.make(hook, repository, "agent-image"); err != nil {
			t.Fatalf("make: %v\n%s", err, output)
		}
		if arguments := m.arguments(); !strings.Contains(arguments, "--tags "+test.want+" ") {
			t.Errorf("want the tag %s: %s", test.want, arguments)
		}
	}
	m.write(source, "package main // Changed.\n", 0o600)
	if output, err := m.make(nil, repository, "agent-image"); err == nil || !strings.Contains(output, "commit the changes in agent/") {
		t.Errorf("got %v and %q", err, output)
	}
}

// releasedAgent is the constant in a file of the program.
func releasedAgent(t *testing.T, source string) string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "failover.go", source, 0)
	if err != nil {
		t.Fatalf("it does not parse: %v", err)
	}
	var found []string
	ast.Inspect(file, func(node ast.Node) bool {
		if spec, isValue := node.(*ast.ValueSpec); isValue && spec.Names[0].Name == "releasedAgent" {
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatalf("unquote: %v", err)
			}
			found = append(found, value)
		}
		return true
	})
	if len(found) != 1 {
		t.Fatalf("found %d constants releasedAgent: %q", len(found), found)
	}
	return found[0]
}

// What release.yaml does to the program.
func TestRelease_WritesTheImageIntoTheProgram(t *testing.T) {
	t.Parallel()
	before := readFile(t, "iris", "failover.go")
	old := `const releasedAgent = "` + releasedAgent(t, before) + `"`
	m := newMade(t, "checkout")
	path := filepath.Join(m.dir, "iris", "failover.go")
	m.write(path, before, 0o600)
	for _, digit := range []string{"0", "f"} { // The second release replaces the first.
		image := "ghcr.io/owner/ha-iris/agent:v1.2.3@sha256:" + strings.Repeat(digit, 64)
		if output, err := m.run([]string{"CDPATH=" + t.TempDir()}, "bash", ".ci/released-agent", image); err != nil {
			t.Fatalf("run: %v\n%s", err, output)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatalf("read: %v", err)
		}
		after := string(content)
		if got := releasedAgent(t, after); got != image {
			t.Errorf("got %q, want %q", got, image)
		}
		if formatted, err := format.Source(content); err != nil || string(formatted) != after {
			t.Errorf("it is not formatted (%v)", err)
		}
		if strings.Replace(after, `const releasedAgent = "`+image+`"`, old, 1) != before {
			t.Errorf("it changed something else:\n%s", after)
		}
	}
}

func TestRelease_WritesNothingElseIntoTheProgram(t *testing.T) {
	t.Parallel()
	const constant = "const releasedAgent = \"\"\n"
	digest := "@sha256:" + strings.Repeat("0", 64)
	for name, test := range map[string]struct{ source, image, want string }{
		"nothing":         {constant, "", "the image is ''"},
		"no digest":       {constant, "ghcr.io/owner/agent:v1", "the image is"},
		"no tag":          {constant, "ghcr.io/owner/agent" + digest, "the image is"},
		"code":            {constant, `ghcr.io/owner/agent:v1"+f()+"` + digest, "the image is"},
		"two lines":       {constant, "ghcr.io/owner/agent:v1" + digest + "\n", "the image is"},
		"no constant":     {"package iris\n", "ghcr.io/owner/agent:v1" + digest, "no line, or several"},
		"two constants":   {constant + constant, "ghcr.io/owner/agent:v1" + digest, "no line, or several"},
		"an indented one": {"\t" + constant, "ghcr.io/owner/agent:v1" + digest, "no line, or several"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMade(t, "checkout")
			path := filepath.Join(m.dir, "iris", "failover.go")
			m.write(path, test.source, 0o600)
			output, err := m.run(nil, "bash", ".ci/released-agent", test.image)
			if err == nil || !strings.Contains(output, test.want) {
				t.Errorf("got %v and %q, want %q", err, output, test.want)
			}
			if content, err := os.ReadFile(path); string(content) != test.source {
				t.Errorf("it wrote %q (%v)", content, err)
			}
		})
	}
}

// Only one job can sign as this repository, and it runs nothing that was compiled.
func TestRelease_SignsInAJobOfItsOwn(t *testing.T) {
	t.Parallel()
	w := parseWorkflow(t, "release.yaml")
	for id, job := range w.Jobs {
		if signs := job.Permissions["id-token"] == "write"; signs != (id == "sign") {
			t.Errorf("job %s: id-token %q", id, job.Permissions["id-token"])
		}
		for _, step := range job.Steps {
			if id == "sign" && (strings.Contains(step.Run, "make ") || strings.Contains(step.Run, "go ")) {
				t.Errorf("job %s runs %s", id, step.Run)
			}
		}
	}
	if len(w.Jobs) != 3 {
		t.Errorf("%d jobs, want 3", len(w.Jobs))
	}
}
