package recipes_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// theirs is the value of what somebody exported for something else.
const theirs = "theirs"

// stub stands in for every program that a recipe runs: it writes down its environment. What the Makefile asks of Go at its
// start is answered by the real one; a build makes another stub, because the next recipe runs what was built.
const stub = `#!/bin/sh
name=${0##*/}
if [ "$name" = go ]; then
	case "$1" in
	list | env) exec "$REAL_GO" "$@" ;;
	build) [ "$2" = -o ] && mkdir -p "${3%/*}" && cp "$0" "$3" ;;
	esac
fi
if [ "$name" = ko ]; then
	echo "$KO_DOCKER_REPO@sha256:0"
	echo "$*" >"$SEEN/arguments"
	mkdir -p ../.local/agent-image/sbom
	for platform in ${PLATFORMS-amd64 arm64}; do : >"../.local/agent-image/sbom/agent-linux-$platform.spdx.json"; done
fi
env >"$(mktemp "$SEEN/$name-XXXXXX")"
pwd >>"$SEEN/directories"
`

// made is a checkout of nothing but the Makefile and what it looks at, in which every program is a stub.
type made struct {
	t *testing.T
	// parent holds the checkout and nothing else, dir is the checkout, seen is where the stubs write, bin where they lie.
	parent, dir, seen, bin string
}

// newMade makes the checkout in a directory of the given name.
func newMade(t *testing.T, name string) *made {
	t.Helper()
	m := &made{t: t, parent: t.TempDir(), seen: t.TempDir(), bin: t.TempDir()}
	m.dir = filepath.Join(m.parent, name)
	for _, file := range []string{"Makefile", "go.mod", "sandbox/go.mod", ".ci/run", ".ci/released-agent"} {
		m.write(filepath.Join(m.dir, filepath.FromSlash(file)), readFile(t, file), 0o755)
	}
	for _, module := range []string{"agent", filepath.Join("sandbox", "tools", "pulumi-language-go"), filepath.Join("test", "promql")} {
		if err := os.MkdirAll(filepath.Join(m.dir, module), 0o755); err != nil {
			t.Fatalf("make directory: %v", err)
		}
	}
	for _, program := range []string{"go", "pulumi", "golangci-lint", "actionlint", "shfmt", "shellcheck", "ko"} {
		m.write(filepath.Join(m.bin, program), stub, 0o755)
	}
	return m
}

func (m *made) write(path, content string, mode fs.FileMode) {
	m.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.t.Fatalf("make directory: %v", err)
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		m.t.Fatalf("write: %v", err)
	}
}

// run runs a command in the checkout with variables exported, and returns what it says.
func (m *made) run(exported []string, name string, args ...string) (output string, err error) {
	m.t.Helper()
	realGo, err := exec.LookPath("go")
	if err != nil {
		m.t.Fatalf("find go: %v", err)
	}
	command := exec.CommandContext(m.t.Context(), name, args...)
	command.Dir = m.dir
	for _, variable := range os.Environ() {
		key, _, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(key, "PULUMI_") && !strings.HasPrefix(key, "MAKE") && key != "MFLAGS" && key != "STACK" && key != "GOFLAGS" {
			command.Env = append(command.Env, variable)
		}
	}
	command.Env = append(command.Env, "REAL_GO="+realGo, "SEEN="+m.seen, "PATH="+m.bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	command.Env = append(command.Env, exported...)
	said, err := command.CombinedOutput()
	return string(said), err
}

func (m *made) make(exported []string, args ...string) (output string, err error) {
	m.t.Helper()
	return m.run(exported, "make", args...)
}

// environments are those of the programs that ran, by their name and a number.
func (m *made) environments() map[string]map[string]string {
	m.t.Helper()
	files, err := filepath.Glob(filepath.Join(m.seen, "*-*"))
	if err != nil {
		m.t.Fatalf("list: %v", err)
	}
	found := map[string]map[string]string{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			m.t.Fatalf("read: %v", err)
		}
		variables := map[string]string{}
		for line := range strings.Lines(string(content)) {
			if key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "="); ok {
				variables[key] = value
			}
		}
		found[filepath.Base(file)] = variables
	}
	return found
}

// ran are the names of the programs that ran.
func (m *made) ran() []string { return slices.Sorted(maps.Keys(m.environments())) }

// files are all files and directories below a directory.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		found = append(found, path)
		return err
	})
	if err != nil {
		t.Fatalf("list: %v", err)
	}
	return found
}

// targets are those of the Makefile.
func targets(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, match := range regexp.MustCompile(`(?m)^\.PHONY: ([a-z0-9-]+)$`).FindAllStringSubmatch(readFile(t, "Makefile"), -1) {
		found = append(found, match[1])
	}
	if len(found) < 15 {
		t.Fatalf("found only the targets %v", found)
	}
	return found
}

// What a shell exports was meant for another stack, another cluster, another Go project. One run with all of it at once.
func TestMakefile_DecidesWhatItsProgramsSee(t *testing.T) {
	t.Parallel()
	elsewhere := t.TempDir()
	if err := os.MkdirAll(filepath.Join(elsewhere, "sandbox"), 0o755); err != nil {
		t.Fatalf("make directory: %v", err)
	}
	exported := []string{"GOOS=plan9", "GOARCH=mips64", "GOFLAGS=-mod=vendor -p=2 -tags=" + theirs, "GO111MODULE=off", "CGO_ENABLED=1", "CDPATH=" + elsewhere}
	for _, name := range []string{
		"PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE", "PULUMI_STACK", "PULUMI_ACCESS_TOKEN", "PULUMI_HOME",
		"PULUMI_BACKEND_URL", "PULUMI_EXPERIMENTAL", "PULUMI_K8S_ENABLE_PATCH_FORCE", "PULUMI_DEBUG_PROVIDERS",
		"PULUMI_NOT_INVENTED_YET", "KUBECONFIG", "KUBERC", "KUBECACHEDIR", "KUBE_NOT_INVENTED_YET", "HELM_DRIVER", "HELM_PLUGINS",
		"HELM_CONFIG_HOME", "HELM_NOT_INVENTED_YET", "GOROOT", "GOEXPERIMENT", "GOWORK", "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE",
		"GOLANGCI_LINT_CACHE", "SHELLCHECK_OPTS", "ARGS", "BENCH", "REPO", "VERSION", "BASE", "KO_DOCKER_REPO", "KO_DEFAULTBASEIMAGE",
		"KO_CONFIG_PATH", "KOCACHE", "SOURCE_DATE_EPOCH",
	} {
		exported = append(exported, name+"="+theirs)
	}
	for _, target := range targets(t) {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			m := newMade(t, "checkout")
			if output, err := m.make(exported, append(needed(target), target)...); err != nil {
				t.Fatalf("make %s: %v\n%s", target, err, output)
			}
			seen := m.environments()
			if len(seen) == 0 && target != "help" {
				t.Error("it ran no program; the check proves nothing")
			}
			for program, variables := range seen {
				for _, problem := range foreign(program, variables, m.dir) {
					t.Errorf("%s: %s", program, problem)
				}
			}
			if directories, err := os.ReadFile(filepath.Join(m.seen, "directories")); strings.Contains(string(directories), elsewhere) {
				t.Errorf("it ran in %s (%v)", directories, err)
			}
		})
	}
}

// needed is what a target refuses to run without.
func needed(target string) []string {
	if target == "agent-image" {
		return []string{"REPO=registry.example/agent", "VERSION=v1"}
	}
	return nil
}

// foreign compares what a program saw with what it should.
func foreign(program string, variables map[string]string, dir string) []string {
	var problems []string
	for name, value := range variables {
		if strings.Contains(value, theirs) {
			problems = append(problems, name+" is "+value)
		}
	}
	for name, want := range map[string]string{
		"PULUMI_CONFIG_PASSPHRASE": "ha-iris-dev", "PULUMI_HOME": dir + "/.local/pulumi", "PULUMI_BACKEND_URL": "file://" + dir + "/.local/state",
		"GO111MODULE": "on", "GOWORK": "off", "GOFLAGS": "-mod=readonly -buildvcs=false -p=2", "CDPATH": "",
	} {
		if got := variables[name]; got != want {
			problems = append(problems, fmt.Sprintf("%s is %q, want %q", name, got, want))
		}
	}
	if got := variables["CGO_ENABLED"]; got != "" && got != "0" { // A 0, as for the agent, works wherever Go does.
		problems = append(problems, fmt.Sprintf("CGO_ENABLED is %q", got))
	}
	got, isKo := variables["GOOS"]+" "+variables["GOARCH"], strings.HasPrefix(program, "ko-")
	if got == "plan9 mips64" || (got == " ") != isKo { // ko builds for several, and refuses to be told one.
		problems = append(problems, "it builds for "+got)
	}
	return problems
}

// What says where Go gets modules from and keeps them, who the user is, and what a stack of theirs is encrypted with.
func TestMakefile_KeepsWhatIsTheUsers(t *testing.T) {
	t.Parallel()
	users := []string{
		"GOPROXY=off", "GOPRIVATE=example.invalid", "GONOSUMDB=example.invalid", "GOSUMDB=off", "CGO_ENABLED=0", "GOTOOLCHAIN=local",
		"HTTPS_PROXY=http://127.0.0.1:9", "AWS_PROFILE=" + theirs,
	}
	for name, test := range map[string]struct {
		exported, args, want []string
	}{
		"of Go and of clouds":      {exported: users, args: []string{"up"}, want: users},
		"passphrase":               {[]string{"PULUMI_CONFIG_PASSPHRASE=a b"}, []string{"up", "STACK=mine"}, []string{"PULUMI_CONFIG_PASSPHRASE=a b"}},
		"empty passphrase":         {[]string{"PULUMI_CONFIG_PASSPHRASE="}, []string{"up", "STACK=mine"}, []string{"PULUMI_CONFIG_PASSPHRASE="}},
		"passphrase file":          {[]string{"PULUMI_CONFIG_PASSPHRASE_FILE=file"}, []string{"up", "STACK=mine"}, []string{"PULUMI_CONFIG_PASSPHRASE_FILE=file", "PULUMI_CONFIG_PASSPHRASE="}},
		"of a stack in a preview":  {[]string{"PULUMI_CONFIG_PASSPHRASE=p"}, []string{"ci-preview", "ENV=mine"}, []string{"PULUMI_CONFIG_PASSPHRASE=p"}},
		"no passphrase":            {nil, []string{"up", "STACK=mine"}, []string{"PULUMI_CONFIG_PASSPHRASE=ha-iris-dev"}},
		"what stands behind make":  {nil, []string{"up", "PULUMI_K8S_ENABLE_PATCH_FORCE=true"}, []string{"PULUMI_K8S_ENABLE_PATCH_FORCE=true"}},
		"the directory of a stack": {[]string{"STACK=mine", "TMPDIR=/nonexistent"}, []string{"up"}, []string{"TMPDIR=CHECKOUT/.local/tmp/mine"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMade(t, "checkout")
			if output, err := m.make(test.exported, test.args...); err != nil {
				t.Fatalf("make %v: %v\n%s", test.args, err, output)
			}
			ran := 0
			for program, variables := range m.environments() {
				if !strings.HasPrefix(program, "pulumi-") {
					continue
				}
				ran++
				for _, want := range test.want {
					key, value, _ := strings.Cut(strings.ReplaceAll(want, "CHECKOUT", m.dir), "=")
					if variables[key] != value {
						t.Errorf("%s: %s is %q, want %q", program, key, variables[key], value)
					}
				}
			}
			if ran == 0 {
				t.Error("pulumi did not run")
			}
		})
	}
}

// Whatever make is asked for in a directory that it cannot work in, it says so and nothing else happens.
func TestMakefile_RefusesAPathThatItCannotWorkIn(t *testing.T) {
	t.Parallel()
	check := func(t *testing.T, name, target string) {
		t.Helper()
		m := newMade(t, name)
		before := files(t, m.parent)
		output, err := m.make(nil, target)
		if err == nil || !strings.Contains(output, "the checkout is in '"+m.dir+"'") || strings.Count(output, "\n") != 1 {
			t.Errorf("%s in %q: got %v and %q, want one line that names the directory", target, name, err, output)
		}
		if after := files(t, m.parent); !slices.Equal(before, after) || len(m.ran()) > 0 {
			t.Errorf("%s in %q: had %q and has %q, and ran %q", target, name, before, after, m.ran())
		}
	}
	for _, target := range targets(t) {
		t.Run(target, func(t *testing.T) { t.Parallel(); check(t, "with a space", target) })
	}
	for _, character := range "\t:$#'\"`\\;&|()<>*?[]{}%=~!" {
		t.Run(fmt.Sprintf("%q", character), func(t *testing.T) { t.Parallel(); check(t, "a"+string(character)+"b", "up") })
	}
}

// What is usual in paths, or strange to people and not to a shell, works.
func TestMakefile_WorksInOtherPaths(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"ha-iris", "a.b_c+d,e@f^g", "жó", strings.Repeat("long/", 40)} {
		m := newMade(t, name)
		before := len(files(t, m.parent))
		if output, err := m.make(nil, "up"); err != nil {
			t.Errorf("%q: %v\n%s", name, err, output)
		}
		for _, path := range files(t, m.parent)[before:] {
			if !strings.HasPrefix(path, m.dir) {
				t.Errorf("%q: %s lies beside the checkout", name, path)
			}
		}
	}
}

// make -f from elsewhere would take that directory for the checkout.
func TestMakefile_RefusesToRunElsewhere(t *testing.T) {
	t.Parallel()
	m := newMade(t, "checkout")
	makefile := filepath.Join(m.dir, "Makefile")
	m.dir = t.TempDir()
	output, err := m.make(nil, "-f", makefile, "up")
	if err == nil || !strings.Contains(output, "is no checkout of ha-iris") || len(files(t, m.dir)) > 1 {
		t.Errorf("got %v and %q, left %q", err, output, files(t, m.dir))
	}
}

func TestMakefile_DownRemovesTheStacksOwnTemporaryFiles(t *testing.T) {
	t.Parallel()
	m := newMade(t, "checkout")
	gone := filepath.Join(m.dir, ".local", "tmp", "dev", "kubeconfig1")
	stays := []string{
		filepath.Join(m.parent, "dev", "file"), filepath.Join(m.dir, "file"), filepath.Join(m.dir, ".local", "state", "file"),
		filepath.Join(m.dir, ".local", "tmp", "file"), filepath.Join(m.dir, ".local", "tmp", "dev-2", "file"),
	}
	for _, path := range append(stays, gone) {
		m.write(path, "", 0o600)
	}
	for _, stack := range []string{"", ".", "..", "../..", "../../..", "/", "dev/..", "dev ..", "*", "$(pwd)", "dev;", "-dev", "Dev", "--help"} {
		for _, args := range [][]string{{"down", "STACK=" + stack}, {"ci-preview", "ENV=" + stack}} {
			output, err := m.make(nil, args...)
			if err == nil || !strings.Contains(output, "the stack is '") || !strings.Contains(output, "want lower-case letters") {
				t.Errorf("make %q: got %v and %q", args, err, output)
			}
		}
	}
	if ran := m.ran(); len(ran) > 0 {
		t.Errorf("it ran %q", ran)
	}
	if output, err := m.make(nil, "down"); err != nil {
		t.Fatalf("make down: %v\n%s", err, output)
	}
	for _, path := range stays {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("it removed something else: %v", err)
		}
	}
	if _, err := os.Stat(filepath.Dir(gone)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it leaves %s (%v)", gone, err)
	}
}

func TestMakefile_RefusesWhatItCannotWorkWith(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		exported []string
		target   string
		change   func(m *made)
		want     string
	}{
		"errors ignored": {exported: []string{"MAKEFLAGS=i"}, target: "down", want: "errors must count"},
		"errors ignored, in words": {
			exported: []string{"MAKEFLAGS=--no-print-directory --ignore-errors"}, target: "down", want: "errors must count",
		},
		"the environment first":  {exported: []string{"MAKEFLAGS=-e"}, target: "up", want: "the environment must not"},
		"a shell's file for ENV": {exported: []string{"ENV=/home/me/.shrc"}, target: "ci-preview", want: "from the environment"},
		"no temporary directory": {exported: []string{"TMPDIR=/nonexistent"}, target: "tools", want: "TMPDIR is '/nonexistent'"},
		"no Go": {target: "up", want: "this needs Go 1.26 or later: there is no go command on PATH", change: func(m *made) {
			m.onlyOnPath("make", "sh", "mkdir", "env", "cp", "mktemp", "awk")
		}},
		"an old Go": {target: "up", want: "this needs Go 1.26 or later: go: go.mod requires go >= 1.26.0 (running go 1.20)", change: func(m *made) {
			m.write(filepath.Join(m.bin, "go"), "#!/bin/sh\necho 'go: go.mod requires go >= 1.26.0 (running go 1.20)' >&2\nexit 1\n", 0o755)
		}},
		"no git": {target: "e2e", want: "there is no git command on PATH", change: func(m *made) {
			m.onlyOnPath("make", "sh", "mkdir", "env", "cp", "mktemp", "awk", "go")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMade(t, "checkout")
			exported := test.exported
			if test.change != nil {
				test.change(m)
				exported = append(exported, "PATH="+m.bin)
			}
			output, err := m.make(exported, test.target)
			if err == nil || !strings.Contains(output, test.want) || strings.Count(output, "\n") != 1 {
				t.Errorf("got %v and %q, want %q", err, output, test.want)
			}
			if _, err := os.Stat(filepath.Join(m.dir, ".local")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("it wrote something (%v)", err)
			}
		})
	}
	for _, flags := range []string{"k", "-j4", "--no-print-directory", "n", "-Oline", "-Iinclude", "STACK=dev"} {
		if output, err := newMade(t, "checkout").make([]string{"MAKEFLAGS=" + flags}, "up"); err != nil {
			t.Errorf("MAKEFLAGS=%s: %v\n%s", flags, err, output)
		}
	}
}

// onlyOnPath leaves nothing on the stubs' directory but these programs of the machine.
func (m *made) onlyOnPath(programs ...string) {
	m.t.Helper()
	if err := os.RemoveAll(m.bin); err != nil {
		m.t.Fatalf("remove: %v", err)
	}
	if err := os.MkdirAll(m.bin, 0o755); err != nil {
		m.t.Fatalf("make directory: %v", err)
	}
	for _, program := range programs {
		path, err := exec.LookPath(program)
		if err != nil {
			m.t.Fatalf("find: %v", err)
		}
		if path, err = filepath.EvalSymlinks(path); err != nil {
			m.t.Fatalf("find: %v", err)
		}
		if err := os.Symlink(path, filepath.Join(m.bin, program)); err != nil {
			m.t.Fatalf("link: %v", err)
		}
	}
}

// The shell asks CDPATH before it looks here.
func TestCI_RunsInItsOwnCheckout(t *testing.T) {
	t.Parallel()
	m := newMade(t, "checkout")
	m.write(filepath.Join(m.bin, "make"), stub, 0o755)
	elsewhere := t.TempDir()
	if err := os.MkdirAll(filepath.Join(elsewhere, ".ci"), 0o755); err != nil {
		t.Fatalf("make directory: %v", err)
	}
	if output, err := m.run([]string{"CDPATH=" + elsewhere}, "bash", ".ci/run"); err != nil {
		t.Fatalf("run: %v\n%s", err, output)
	}
	resolved, err := filepath.EvalSymlinks(m.dir)
	if err != nil {
		t.Fatalf("resolve: %v", err)
	}
	if content, err := os.ReadFile(filepath.Join(m.seen, "directories")); strings.TrimSpace(string(content)) != resolved {
		t.Errorf("make ran in %q (%v), want %s", content, err, resolved)
	}
}
