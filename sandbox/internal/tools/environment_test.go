package tools

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Whoever starts this has other projects, whose settings must not decide what is built here.
func TestEnsure_BuildsForThisMachineWhateverIsExported(t *testing.T) {
	toolchain, err := GoToolchain(t.Context())
	if err != nil {
		t.Fatalf("ask for the toolchain: %v", err)
	}
	for name, variables := range map[string][]string{
		"another system":      {"GOOS=plan9"},
		"another processor":   {"GOARCH=mips64"},
		"no such system":      {"GOOS=plan10"},
		"a vendor directory":  {"GOFLAGS=-mod=vendor"},
		"no such flag":        {"GOFLAGS=-none garbage"},
		"another result":      {"GOFLAGS=-buildmode=c-archive"},
		"no modules":          {"GO111MODULE=off"},
		"a workspace":         {"GOWORK=" + filepath.Join(t.TempDir(), "none", "go.work")},
		"another Go":          {"GOROOT=" + t.TempDir()},
		"an experiment":       {"GOEXPERIMENT=none_such"},
		"C without compiler":  {"CGO_ENABLED=1", "CC=" + filepath.Join(t.TempDir(), "none")},
		"go env -w of others": {"GOENV=" + goEnv(t, "GOOS=plan9\nGOFLAGS=-mod=vendor\nGO111MODULE=off\n")},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			for _, variable := range variables {
				key, value, _ := strings.Cut(variable, "=")
				t.Setenv(key, value)
			}
			if got, err := GoToolchain(t.Context()); err != nil || got != toolchain {
				t.Errorf("the toolchain is %q, %v; want %q", got, err, toolchain)
			}
			built := f.want(t, Built, "v1.2.3")
			if output, err := exec.CommandContext(t.Context(), built.Path).CombinedOutput(); err != nil {
				t.Errorf("what was built does not run here: %v\n%s", err, output)
			}
		})
	}
}

// goEnv is a file as `go env -w` writes it.
func goEnv(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "env")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatalf("write: %v", err)
	}
	return path
}

func TestGoEnvironment_KeepsWhatIsTheUsers(t *testing.T) {
	users := []string{
		"GOPROXY=off", "GOPRIVATE=example.invalid", "GONOSUMDB=example.invalid", "GOCACHE=/cache", "GOMODCACHE=/modules",
		"GOTMPDIR=/temporary", "CGO_ENABLED=0",
	}
	for _, variable := range users {
		key, value, _ := strings.Cut(variable, "=")
		t.Setenv(key, value)
	}
	t.Setenv("GOFLAGS", "-p=2 -modcacherw -mod=vendor -trimpath '-ldflags=-X main.version=1'")
	got := GoEnvironment()
	for _, want := range append(users, "GOFLAGS=-mod=readonly -p=2 -modcacherw") {
		if !slices.Contains(got, want) {
			t.Errorf("%s is missing in %q", want, got)
		}
	}
}
