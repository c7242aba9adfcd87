//go:build agentimage

// The agent's image, built as a user does it. Apart from the other tests with a tag of its own: ko and the agent for two
// platforms take minutes to compile. `make agent-image-test` runs it.
package test

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"ha-iris/sandbox/internal/layout"
)

const (
	agentEntry = "/ko-app/agent"
	agentTag   = "v0.0.0-test"
	// The users of the database's pod and of distroless images.
	databaseUser, agentUser = 51773, 65532
)

// imageMaker runs make agent-image for a registry on this machine.
type imageMaker struct {
	t          *testing.T
	layout     layout.Layout
	host, repo string
}

func newImageMaker(t *testing.T) *imageMaker {
	t.Helper()
	l, err := layout.Find(filepath.Join("..", ".."))
	if err != nil {
		t.Fatalf("find checkout: %v", err)
	}
	server := httptest.NewServer(registry.New())
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	return &imageMaker{t: t, layout: l, host: host, repo: host + "/ha-iris/agent"}
}

// base pushes an index with an image for each platform, as the one in agent/.ko.yaml is, and returns its name.
func (m *imageMaker) base(platforms ...v1.Platform) string {
	m.t.Helper()
	var index v1.ImageIndex = empty.Index
	for _, platform := range platforms {
		image, err := random.Image(64, 1)
		if err != nil {
			m.t.Fatalf("make base: %v", err)
		}
		// No program of it runs. A user who is root, so that ours shows.
		image, err = mutate.ConfigFile(image, &v1.ConfigFile{
			OS: platform.OS, Architecture: platform.Architecture, Variant: platform.Variant, RootFS: mustConfig(m.t, image).RootFS,
			Config: v1.Config{User: "0"},
		})
		if err != nil {
			m.t.Fatalf("make base: %v", err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &platform}})
	}
	digest, err := index.Digest()
	if err != nil {
		m.t.Fatalf("make base: %v", err)
	}
	reference := m.parse(m.host + "/base@" + digest.String())
	if err := remote.WriteIndex(reference, index); err != nil {
		m.t.Fatalf("push base: %v", err)
	}
	return reference.String()
}

func (m *imageMaker) parse(text string) name.Reference {
	m.t.Helper()
	reference, err := name.ParseReference(text)
	if err != nil {
		m.t.Fatalf("parse: %v", err)
	}
	return reference
}

func mustConfig(t *testing.T, image v1.Image) *v1.ConfigFile {
	t.Helper()
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatalf("read config: %v", err)
	}
	return config
}

func (m *imageMaker) make(args ...string) (output string, err error) {
	m.t.Helper()
	command := exec.CommandContext(m.t.Context(), "make", append([]string{"--no-print-directory", "agent-image", "REPO=" + m.repo}, args...)...)
	command.Dir = m.layout.Root
	// The credentials of whoever runs this are for other registries.
	command.Env = append(os.Environ(), "DOCKER_CONFIG="+m.t.TempDir())
	said, err := command.CombinedOutput()
	m.t.Logf("make agent-image %v: %v\n%s", args, err, said)
	return string(said), err
}

func TestAgentImage_RunsOnBothPlatformsAsAnyUser(t *testing.T) {
	m := newImageMaker(t)
	base := m.base(v1.Platform{OS: "linux", Architecture: "amd64"}, v1.Platform{OS: "linux", Architecture: "s390x"},
		v1.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"})
	output, err := m.make("VERSION="+agentTag, "BASE="+base)
	if err != nil {
		t.Fatalf("make: %v", err)
	}
	image := m.printed(output)
	index, err := remote.Index(m.parse(image))
	if err != nil {
		t.Fatalf("pull %s: %v", image, err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatalf("read index: %v", err)
	}
	var platforms []string
	for _, descriptor := range manifest.Manifests {
		platforms = append(platforms, descriptor.Platform.String())
		platform, err := index.Image(descriptor.Digest)
		if err != nil {
			t.Fatalf("pull for %s: %v", descriptor.Platform, err)
		}
		m.check(platform, descriptor.Platform.Architecture)
	}
	if want := []string{"linux/amd64", "linux/arm64/v8"}; !slices.Equal(platforms, want) {
		t.Errorf("it is for %v, want %v", platforms, want)
	}
	m.checkTags()
	m.checkSBOMs(m.parse(image).Identifier())
	again, err := m.make("VERSION="+agentTag+"-again", "BASE="+base)
	if err != nil || m.parse(m.printed(again)).Identifier() != m.parse(image).Identifier() {
		t.Errorf("the same sources give another image: %v", err)
	}
}

// printed is the image in the last lines of what make says.
func (m *imageMaker) printed(output string) string {
	m.t.Helper()
	lines := strings.Split(strings.TrimSpace(output), "\n")
	image, found := strings.CutPrefix(lines[len(lines)-1], "pulumi config set --path failover.image ")
	if !found || lines[len(lines)-2] != image || !strings.HasPrefix(image, m.repo+":"+agentTag) || !strings.Contains(image, "@sha256:") {
		m.t.Fatalf("it does not end in the image and the setting: %q", lines[len(lines)-2:])
	}
	return image
}

// check looks at the image for one platform, and runs it where it is this machine's.
func (m *imageMaker) check(image v1.Image, architecture string) {
	m.t.Helper()
	config := mustConfig(m.t, image)
	if config.Architecture != architecture || config.Config.User != "65532:65532" || len(config.Config.Cmd) > 0 ||
		!slices.Equal(config.Config.Entrypoint, []string{agentEntry}) {
		m.t.Errorf("%s: the configuration is %s, %+v", architecture, config.Architecture, config.Config)
	}
	dir := m.t.TempDir()
	for path, mode := range m.extract(image, dir) {
		if strings.HasPrefix("/"+path, "/ko-app") && mode.Perm() != 0o555 {
			m.t.Errorf("%s: %s is %s, which not everybody may read and run", architecture, path, mode)
		}
	}
	program, err := os.ReadFile(filepath.Join(dir, agentEntry))
	if err != nil {
		m.t.Fatalf("%s: %v", architecture, err)
	}
	file, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		m.t.Fatalf("%s: %v", architecture, err)
	}
	machines := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}
	if file.Machine != machines[architecture] {
		m.t.Errorf("%s: the program is for %s", architecture, file.Machine)
	}
	if file.Section(".symtab") != nil || file.Section(".debug_info") != nil || bytes.Contains(program, []byte(m.layout.Root+"/")) {
		m.t.Errorf("%s: the program has symbols, or the paths of this machine", architecture)
	}
	if imports, err := file.ImportedLibraries(); err != nil || len(imports) > 0 {
		m.t.Errorf("%s: the program needs %v (%v), which the base has not", architecture, imports, err)
	}
	m.run(dir, architecture)
}

// extract writes the image's files, and returns the modes that they have in it.
func (m *imageMaker) extract(image v1.Image, dir string) map[string]fs.FileMode {
	m.t.Helper()
	content := mutate.Extract(image)
	defer func() { _ = content.Close() }()
	modes := map[string]fs.FileMode{}
	for reader := tar.NewReader(content); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return modes
		}
		if err != nil {
			m.t.Fatalf("read image: %v", err)
		}
		modes[header.Name] = header.FileInfo().Mode()
		path := filepath.Join(dir, filepath.Join("/", header.Name))
		if header.Typeflag != tar.TypeReg {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			m.t.Fatalf("extract: %v", err)
		}
		file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, header.FileInfo().Mode())
		if err != nil {
			m.t.Fatalf("extract: %v", err)
		}
		if _, err := io.Copy(file, reader); err != nil || file.Close() != nil {
			m.t.Fatalf("extract %s: %v", header.Name, err)
		}
	}
}

// run starts the program with nothing but the image around it, as a container does.
func (m *imageMaker) run(dir, architecture string) {
	m.t.Helper()
	if runtime.GOOS != "linux" || runtime.GOARCH != architecture || os.Getuid() != 0 {
		m.t.Logf("NOT TESTED: whether the program for %s runs; that needs root on such a machine", architecture)
		return
	}
	for _, user := range []uint32{databaseUser, agentUser} {
		command := exec.CommandContext(m.t.Context(), agentEntry, "guard", "--help")
		command.Dir = "/"
		command.Env = []string{}
		command.SysProcAttr = &syscall.SysProcAttr{Chroot: dir, Credential: &syscall.Credential{Uid: user, Gid: user}}
		if output, err := command.CombinedOutput(); err != nil || !strings.Contains(string(output), "--longhorn-namespace") {
			m.t.Errorf("as user %d: %v\n%s", user, err, output)
		}
	}
}

// checkTags wants the version, and beside it only what is named after a digest.
func (m *imageMaker) checkTags() {
	m.t.Helper()
	tags, err := remote.List(m.parse(m.repo).Context())
	if err != nil {
		m.t.Fatalf("list tags: %v", err)
	}
	others := slices.DeleteFunc(tags, func(tag string) bool { return strings.HasPrefix(tag, "sha256-") })
	if !slices.Equal(others, []string{agentTag}) {
		m.t.Errorf("the tags are %v, want %s", others, agentTag)
	}
}

// checkSBOMs wants those of the index and of both images, each named after what it is about: release.yaml goes by that.
func (m *imageMaker) checkSBOMs(digest string) {
	m.t.Helper()
	files, err := filepath.Glob(filepath.Join(m.layout.Root, ".local", "agent-image", "sbom", "*.json"))
	if err != nil || len(files) != 3 {
		m.t.Fatalf("the SBOMs are %v (%v), want 3", files, err)
	}
	ofIndex := false
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			m.t.Fatalf("read SBOM: %v", err)
		}
		var sbom struct {
			Name         string `json:"name"`
			CreationInfo struct {
				Creators []string `json:"creators"`
			} `json:"creationInfo"`
		}
		if err := json.Unmarshal(content, &sbom); err != nil {
			m.t.Fatalf("read SBOM: %v", err)
		}
		about := strings.TrimPrefix(sbom.Name, "sbom-")
		if _, err := remote.Head(m.parse(m.repo + "@" + about)); err != nil {
			m.t.Errorf("%s is about %q: %v", filepath.Base(file), sbom.Name, err)
		}
		if !strings.HasPrefix(strings.Join(sbom.CreationInfo.Creators, ","), "Tool: ko v") {
			m.t.Errorf("%s is by %v", filepath.Base(file), sbom.CreationInfo.Creators)
		}
		ofIndex = ofIndex || about == digest
		if about != digest && !bytes.Contains(content, []byte("k8s.io/client-go")) {
			m.t.Errorf("%s does not name client-go", filepath.Base(file))
		}
	}
	if !ofIndex {
		m.t.Errorf("no SBOM is about the index %s", digest)
	}
}

func TestAgentImage_IsNotHandedOutForOnePlatformAlone(t *testing.T) {
	m := newImageMaker(t)
	output, err := m.make("VERSION="+agentTag, "BASE="+m.base(v1.Platform{OS: "linux", Architecture: runtime.GOARCH}))
	if err == nil || !strings.Contains(output, "the base image is not there for linux/") || strings.Contains(output, "config set") {
		t.Errorf("got %v", err)
	}
}
