package tools

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ha-iris/sandbox/internal/layout"
)

// repository is the checkout that this test belongs to.
func repository(t *testing.T) layout.Layout {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatalf("working directory: %v", err)
	}
	found, err := layout.Find(filepath.Join(dir, "..", "..", ".."))
	if err != nil {
		t.Fatalf("find checkout: %v", err)
	}
	return found
}

func TestTable_EveryToolIsPinnedByItsModule(t *testing.T) {
	t.Parallel()
	l := repository(t)
	for _, tool := range table() {
		version, err := pinnedVersion(l.ToolModule(tool.module), tool.pinnedBy)
		if err != nil || !strings.HasPrefix(version, "v") {
			t.Errorf("%s: got %q, %v", tool.name, version, err)
		}
	}
}

func TestTable_EveryModuleBelongsToATool(t *testing.T) {
	t.Parallel()
	l := repository(t)
	entries, err := os.ReadDir(l.ToolModule("."))
	if err != nil {
		t.Fatalf("list modules: %v", err)
	}
	for _, entry := range entries {
		if !slices.ContainsFunc(table(), func(tool tool) bool { return tool.module == entry.Name() }) {
			t.Errorf("no tool is built from %s", entry.Name())
		}
	}
}

// The engine asks for the plugin at the version of the SDK that the program is compiled with.
func TestProvider_IsBuiltAtTheVersionOfTheProgramsSDK(t *testing.T) {
	t.Parallel()
	l := repository(t)
	const sdk = "github.com/pulumi/pulumi-kubernetes/sdk/v4"
	program, err := pinnedVersion(l.Root, sdk)
	if err != nil {
		t.Fatalf("program: %v", err)
	}
	provider, err := pinnedVersion(l.ToolModule("pulumi-resource-kubernetes"), sdk)
	if err != nil {
		t.Fatalf("provider: %v", err)
	}
	if program != provider {
		t.Errorf("the program uses %s, the provider is built as %s", program, provider)
	}
}

func TestVersions_AcceptedFromPath(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name          string
		accept        func(pinned, found string) bool
		pinned, found string
		want          bool
	}{
		{"pulumi same", sameMajorNotOlder, "v3.215.0", "v3.215.0", true},
		{"pulumi newer", sameMajorNotOlder, "v3.215.0", "v3.230.1", true},
		{"pulumi older", sameMajorNotOlder, "v3.215.0", "v3.99.0", false},
		{"pulumi next major", sameMajorNotOlder, "v3.215.0", "v4.0.0", false},
		{"kubectl one newer", withinOneMinor, "v1.34.4", "v1.35.0", true},
		{"kubectl one older", withinOneMinor, "v1.34.4", "v1.33.9-eks-1", true},
		{"kubectl two older", withinOneMinor, "v1.34.4", "v1.32.0", false},
		{"kubectl two newer", withinOneMinor, "v1.34.4", "v1.36.0", false},
		{"kubectl no version", withinOneMinor, "v1.34.4", "master", false},
	}
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := test.accept(test.pinned, test.found); got != test.want {
				t.Errorf("%s with %s pinned: got %t", test.found, test.pinned, got)
			}
		})
	}
}

func TestFirstVersion_FindsItInPlainAndJSONOutput(t *testing.T) {
	t.Parallel()
	for output, want := range map[string]string{
		"v3.230.0\n": "v3.230.0",
		`{"clientVersion": {"gitVersion": "v1.33.9-eks-1", "goVersion": "go1.24"}}`: "v1.33.9-eks-1",
	} {
		if got, err := firstVersion(output); err != nil || got != want {
			t.Errorf("%q: got %q, %v", output, got, err)
		}
	}
	if got, err := firstVersion("dev build"); err == nil {
		t.Errorf("got %q", got)
	}
}

func TestLinkKubernetes_TellsChartsTheVersion(t *testing.T) {
	t.Parallel()
	flags := linkKubernetes("v1.34.4")
	for _, want := range []string{
		"k8s.io/component-base/version.gitVersion=v1.34.4", "version.gitMajor=1", "version.gitMinor=34",
	} {
		if !strings.Contains(flags, want) {
			t.Errorf("want %s in %s", want, flags)
		}
	}
}

func TestPick_KnowsNamesAndGroups(t *testing.T) {
	t.Parallel()
	names := func(tools []tool) (names []string) {
		for _, tool := range tools {
			names = append(names, tool.name)
		}
		return names
	}
	byDefault, err := pick(nil)
	if err != nil || slices.Contains(names(byDefault), "golangci-lint") || !slices.Contains(names(byDefault), "etcd") {
		t.Errorf("by default: got %v, %v", names(byDefault), err)
	}
	mixed, err := pick([]string{"lint", "kwok"})
	if got := names(mixed); err != nil || !slices.Contains(got, "golangci-lint") || !slices.Contains(got, "kwok") || slices.Contains(got, "etcd") {
		t.Errorf("lint and kwok: got %v, %v", got, err)
	}
	if _, err := pick([]string{"helm", "kwok", "docker"}); err == nil || !strings.Contains(err.Error(), "helm, docker") {
		t.Errorf("unknown names: got %v", err)
	}
}

// fixture is a checkout with one tool module that builds in no time, and a PATH of its own.
type fixture struct {
	ensurer *ensurer
	tool    tool
	path    string
}

func newFixture(t *testing.T) fixture {
	t.Helper()
	root, path := t.TempDir(), t.TempDir()
	l := layout.Layout{Root: root}
	writeFile(t, filepath.Join(l.ToolModule("hello"), "go.mod"),
		"module hello\n\ngo 1.26\n\nrequire example.invalid/hello v1.2.3 // indirect\n", 0o600)
	writeFile(t, filepath.Join(l.ToolModule("hello"), "go.sum"), "", 0o600)
	writeFile(t, filepath.Join(l.ToolModule("hello"), "main.go"), "package main\n\nfunc main() { println(version) }\n\nvar version string\n", 0o600)
	if err := os.MkdirAll(l.Bin(), 0o755); err != nil {
		t.Fatalf("make bin: %v", err)
	}
	return fixture{
		ensurer: &ensurer{layout: l, path: path, progress: io.Discard, toolchain: "go1.26 linux amd64"},
		path:    path,
		tool: tool{
			name: "hello", module: "hello", pkg: ".", pinnedBy: "example.invalid/hello",
			accept: sameMajorNotOlder, versionArgs: []string{"version"},
		},
	}
}

func writeFile(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatalf("make directory: %v", err)
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatalf("write: %v", err)
	}
}

// program puts a program on the fixture's PATH that prints its version.
func (f fixture) program(t *testing.T, name, version string) string {
	t.Helper()
	path := filepath.Join(f.path, name)
	writeFile(t, path, "#!/bin/sh\necho "+version+"\n", 0o755)
	return path
}

func (f fixture) want(t *testing.T, source Source, version string) Result {
	t.Helper()
	got, err := f.ensurer.ensure(t.Context(), f.tool)
	if err != nil || got.Source != source || got.Version != version {
		t.Fatalf("got %+v, %v; want %s %s", got, err, version, source)
	}
	if info, err := os.Stat(got.Path); err != nil || info.Mode().Perm()&0o100 == 0 {
		t.Fatalf("%s is no program: %v", got.Path, err)
	}
	return got
}

func TestEnsure_BuildsOnceAndThenKnowsIt(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.want(t, Built, "v1.2.3")
	f.want(t, UpToDate, "v1.2.3")
}

func TestEnsure_BuildsAgainWhenSomethingChanged(t *testing.T) {
	t.Parallel()
	changes := map[string]func(t *testing.T, f *fixture){
		"pin": func(t *testing.T, f *fixture) {
			writeFile(t, filepath.Join(f.ensurer.layout.ToolModule("hello"), "go.sum"), "\n", 0o600)
		},
		"own source": func(t *testing.T, f *fixture) {
			writeFile(t, filepath.Join(f.ensurer.layout.ToolModule("hello"), "main.go"), "package main\n\nfunc main() {}\n", 0o600)
		},
		"toolchain":    func(_ *testing.T, f *fixture) { f.ensurer.toolchain = "go1.27 linux amd64" },
		"binary gone":  func(t *testing.T, f *fixture) { removeFile(t, f.ensurer.layout.Tool("hello")) },
		"binary torn":  func(t *testing.T, f *fixture) { writeFile(t, f.ensurer.layout.Tool("hello"), "half", 0o755) },
		"helper added": func(_ *testing.T, f *fixture) { f.tool.helper = &helper{name: "hello-host", pkg: "."} },
		"helper gone": func(t *testing.T, f *fixture) {
			f.tool.helper = &helper{name: "hello-host", pkg: "."}
			f.want(t, Built, "v1.2.3")
			removeFile(t, f.ensurer.layout.Tool("hello-host"))
		},
		"link flags": func(_ *testing.T, f *fixture) {
			f.tool.link = func(version string) string { return "-X main.version=" + version }
		},
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.want(t, Built, "v1.2.3")
			change(t, &f)
			f.want(t, Built, "v1.2.3")
			f.want(t, UpToDate, "v1.2.3")
		})
	}
}

func removeFile(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatalf("remove: %v", err)
	}
}

func TestEnsure_TakesACompatibleProgramFromPath(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	path := f.program(t, "hello", "v1.4.0")
	got := f.want(t, OnPath, "v1.4.0")
	if target, err := os.Readlink(got.Path); err != nil || target != path {
		t.Errorf("%s leads to %q, %v", got.Path, target, err)
	}
	if want := "hello v1.4.0 found on PATH (" + path + ")"; got.String() != want {
		t.Errorf("got line %q, want %q", got, want)
	}
	f.want(t, UpToDate, "v1.4.0")
}

func TestEnsure_SaysWhyTheProgramOnPathIsNotUsed(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		version, companion, want string
	}{
		"too old":        {version: "v1.0.0", want: "v1.0.0 does not go with v1.2.3"},
		"no version":     {version: "unknown", want: "no version in its output"},
		"no companion":   {version: "v1.4.0", companion: "hello-language", want: "there is no hello-language on PATH"},
		"fails to start": {version: "v1.4.0; exit 3", want: "exit status 3"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.tool.companion = test.companion
			f.program(t, "hello", test.version)
			if got := f.want(t, Built, "v1.2.3"); !strings.Contains(got.String(), test.want) {
				t.Errorf("got line %q, want %q in it", got, test.want)
			}
		})
	}
}

func TestEnsure_DoesNotTakeItsOwnDirectoryForPath(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.ensurer.path = f.ensurer.layout.Bin()
	writeFile(t, f.ensurer.layout.Tool("hello"), "#!/bin/sh\necho v1.4.0\n", 0o755)
	f.want(t, Built, "v1.2.3")
}

func TestEnsure_AFailedBuildLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	writeFile(t, filepath.Join(f.ensurer.layout.ToolModule("hello"), "main.go"), "package main\n\nfunc main() { no }\n", 0o600)
	got, err := f.ensurer.ensure(t.Context(), f.tool)
	if err == nil || !strings.Contains(err.Error(), "undefined: no") {
		t.Errorf("got %+v, %v; want the compiler's message", got, err)
	}
	entries, err := os.ReadDir(f.ensurer.layout.Bin())
	if err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestEnsure_BuildsAPluginWithItsFilesWhenItCannotBeDownloaded(t *testing.T) {
	t.Parallel()
	f := downloading(t, newPages(t))
	writeFile(t, filepath.Join(f.ensurer.layout.ToolModule("hello"), "schema.json"), `{"name": "hello"}`, 0o600)
	f.tool.plugin = &plugin{resource: "hello", sourceModule: "hello", files: []string{"schema.json"}, schema: "schema.json"}
	got := f.want(t, Built, "v1.2.3")
	if want := f.ensurer.layout.PulumiHome() + "/plugins/resource-hello-v1.2.3/hello"; got.Path != want {
		t.Errorf("got %s, want %s", got.Path, want)
	}
	schema, err := os.ReadFile(filepath.Join(filepath.Dir(got.Path), "schema.json"))
	var described struct{ Name, Version string }
	if err := errors.Join(err, json.Unmarshal(schema, &described)); err != nil || described.Name != "hello" || described.Version != "1.2.3" {
		t.Errorf("schema: got %s, %v", schema, err)
	}
	if !strings.Contains(got.Note, "404 Not Found") {
		t.Errorf("got note %q", got.Note)
	}
	f.wantClean(t)
	f.want(t, UpToDate, "v1.2.3")
	writeFile(t, filepath.Join(f.ensurer.layout.ToolModule("hello"), "main.go"), "package main\n\nfunc main() {}\n\nvar version string\n", 0o600)
	f.want(t, Built, "v1.2.3")
}
