package images

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// module is the sandbox's, seen from this package.
const module = "../.."

// builtOnce are the images of this checkout, built once for all tests.
var builtOnce struct {
	sync.Once
	dir    string
	images []Image
	err    error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if builtOnce.dir != "" {
		_ = os.RemoveAll(builtOnce.dir)
		_ = os.Remove(builtOnce.dir + ".lock")
	}
	os.Exit(code)
}

// build returns the images of this checkout and their directory.
func build(t *testing.T) (string, []Image) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("not run: the images are built on Linux only")
	}
	if _, err := findBusybox(t.Context(), ""); err != nil {
		t.Skipf("not run: %v", err)
	}
	b := &builtOnce
	b.Do(func() {
		if b.dir, b.err = os.MkdirTemp("", "ha-iris-images-"); b.err != nil {
			return
		}
		b.images, b.err = ensure(t.Context(), options{module: module, agent: agentModule(), dir: b.dir, progress: t.Output()})
	})
	if b.err != nil {
		t.Fatal(b.err)
	}
	return b.dir, b.images
}

func digests(images []Image) map[string]string {
	all := map[string]string{}
	for _, image := range images {
		all[image.Name] = image.Digest
	}
	return all
}

// copyModule copies what images are made from, and adds a program in Longhorn's stand-in's place if there is none.
func copyModule(t *testing.T) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "elsewhere")
	for _, name := range []string{"cmd", "internal", "charts"} {
		if err := os.CopyFS(filepath.Join(to, name), os.DirFS(filepath.Join(module, name))); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join(module, name))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(to, name), string(content))
	}
	if program := filepath.Join(to, "cmd", longhornProgram, "main.go"); !exists(program) {
		write(t, program, "package main\n\nfunc main() {}\n")
	}
	return to
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestEnsure_TheSameSourcesGiveTheSameDigestsElsewhere(t *testing.T) {
	t.Parallel()
	_, images := build(t)
	elsewhere := filepath.Join(t.TempDir(), "images")
	again, err := ensure(t.Context(), options{module: copyModule(t), agent: agentModule(), dir: elsewhere, progress: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	got := digests(again)
	for name, digest := range digests(images) {
		if got[name] != digest {
			t.Errorf("%s is %s here and %s there", name, digest, got[name])
		}
	}
	for _, name := range []string{"longhorn-manager:v1.12.1", "longhorn-instance-manager:latest", "csi-attacher:v1.12.1"} {
		if got["docker.io/longhornio/"+name] == "" {
			t.Errorf("no image %s", name)
		}
	}
}

func TestEnsure_BuildsNothingUntilSomethingChanges(t *testing.T) {
	t.Parallel()
	dir, images := build(t)
	o := options{module: module, agent: agentModule(), dir: t.TempDir()}
	if err := os.CopyFS(o.dir, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	o.progress = &said
	again, err := ensure(t.Context(), o)
	if err != nil || said.Len() > 0 || !slices.Equal(again, images) {
		t.Fatalf("got %v, %v and %q", again, err, &said)
	}
	blob := filepath.Join(o.dir, "blobs", strings.Replace(images[0].Digest, ":", "/", 1))
	if err := os.Remove(blob); err != nil {
		t.Fatal(err)
	}
	again, err = ensure(t.Context(), o)
	if err != nil || !strings.Contains(said.String(), "built the lab's images") || !slices.Equal(again, images) || !exists(blob) {
		t.Errorf("after a loss: got %v, %v and %q", again, err, &said)
	}
}

// agentModule is the agent's, in this checkout.
func agentModule() string { return filepath.Join(module, "..", agentName) }

func TestInputsKey_ChangesWithEverySource(t *testing.T) {
	t.Parallel()
	copied, agent, busybox := copyModule(t), t.TempDir(), filepath.Join(t.TempDir(), "busybox")
	write(t, busybox, "1")
	key := func(toolchain string) string {
		got, err := inputsKey(options{module: copied, agent: agent}, toolchain, busybox)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	last := key("go1")
	if key("go1") != last {
		t.Error("the same sources have two keys")
	}
	if key("go2") == last {
		t.Error("the same key with another Go")
	}
	for _, path := range []string{
		busybox, filepath.Join(copied, "go.sum"), filepath.Join(copied, "charts/longhorn/Chart.yaml"),
		filepath.Join(copied, "cmd/pause/main.go"), filepath.Join(copied, "internal/irisstandin/new.go"), filepath.Join(agent, "main.go"),
	} {
		write(t, path, "changed")
		if now := key("go1"); now == last {
			t.Errorf("the same key after a change of %s", path)
		} else {
			last = now
		}
	}
	write(t, filepath.Join(copied, "internal/irisstandin/new_test.go"), "changed")
	if key("go1") != last {
		t.Error("another key for a test")
	}
}

func TestFindBusybox_NamesThePackage(t *testing.T) {
	t.Parallel()
	for _, path := range []string{filepath.Join(t.TempDir(), "busybox"), "/bin/ls"} {
		if _, err := findBusybox(t.Context(), path); err == nil || !strings.Contains(err.Error(), "package busybox-static") {
			t.Errorf("%s: got %v", path, err)
		}
	}
}

// TestTable_HasEveryImageThatLonghornsStandInNames reads the chart and the controller.
func TestTable_HasEveryImageThatLonghornsStandInNames(t *testing.T) {
	t.Parallel()
	inChart := regexp.MustCompile(`"longhorn\.image" \(dict "root" \S+ "name" "([^"]+)"\)`)
	hook := regexp.MustCompile(`"longhorn\.hook" \(dict "root" \. "name" "([^"]+)"`)
	container := regexp.MustCompile(`- name: (\S+)\n\s+image:`)
	inCode := regexp.MustCompile(`"longhornio/([a-z-]+)"|Name\s+=\s+"((?:csi|longhorn)-[a-z]+(?:-[a-z]+)?)"`)
	names, images := slices.Concat(longhornNames(), longhornContainers()), longhornNames()
	found := 0
	err := fs.WalkDir(os.DirFS(module), ".", func(path string, entry fs.DirEntry, err error) error {
		isSource := strings.HasPrefix(path, "charts/longhorn/templates/") ||
			path == "internal/standin/driver.go" || path == "internal/standin/instances.go"
		if err != nil || entry.IsDir() || !isSource {
			return err
		}
		content, err := os.ReadFile(filepath.Join(module, path))
		for _, match := range inChart.FindAllSubmatch(content, -1) {
			found++
			if !slices.Contains(images, string(match[1])) {
				t.Errorf("%s: no image %s", path, match[1])
			}
		}
		for _, pattern := range []*regexp.Regexp{hook, container, inCode} {
			for _, match := range pattern.FindAllSubmatch(content, -1) {
				if name := string(bytes.Join(match[1:], nil)); !strings.Contains(name, "{{") && !slices.Contains(names, name) {
					t.Errorf("%s: no command %s", path, name)
				}
			}
		}
		return err
	})
	if err != nil || found < 10 {
		t.Errorf("got %d images and %v", found, err)
	}
}
