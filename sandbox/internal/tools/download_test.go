package tools

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ha-iris/sandbox/internal/layout"
)

const (
	helloPage    = "/github.com/acme/hello/releases/download/v1.2.3/"
	helloProgram = "#!/bin/sh\necho hello version 1.2.3\n"
)

// pages play the release pages of all projects, each host a directory.
type pages struct {
	*httptest.Server
	asked atomic.Int32
	// at has what is answered at a path, which other goroutines read once the server is asked.
	at map[string]http.HandlerFunc
}

func newPages(t *testing.T) *pages {
	t.Helper()
	p := &pages{at: map[string]http.HandlerFunc{}}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.asked.Add(1)
		if answer := p.at[r.URL.Path]; answer != nil {
			answer(w, r)
			return
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

func answer(content []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(content) }
}

func sumOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// publish puts a file and the list of checksums that names it on the project's page.
func (p *pages) publish(name string, content []byte) {
	p.at[helloPage+name] = answer(content)
	p.at[helloPage+"SHA256SUMS"] = answer(fmt.Appendf(nil, "%064d  other\n%s  %s\n", 0, sumOf(content), name))
}

// tarball has files with the given names and one content, a name that begins with @ as a symbolic link.
func tarball(t *testing.T, content string, names ...string) []byte {
	t.Helper()
	var buffer bytes.Buffer
	packed := gzip.NewWriter(&buffer)
	archive := tar.NewWriter(packed)
	for _, name := range names {
		header := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), Typeflag: tar.TypeReg}
		if linkName, isLink := strings.CutPrefix(name, "@"); isLink {
			header = &tar.Header{Name: linkName, Typeflag: tar.TypeSymlink, Linkname: "/bin/sh"}
		}
		if err := archive.WriteHeader(header); err != nil {
			t.Fatalf("write archive: %v", err)
		}
		if header.Typeflag == tar.TypeReg {
			if _, err := archive.Write([]byte(content)); err != nil {
				t.Fatalf("write archive: %v", err)
			}
		}
	}
	if err := errors.Join(archive.Close(), packed.Close()); err != nil {
		t.Fatalf("write archive: %v", err)
	}
	return buffer.Bytes()
}

func zipped(t *testing.T, name, content string) []byte {
	t.Helper()
	var buffer bytes.Buffer
	archive := zip.NewWriter(&buffer)
	file, err := archive.Create(name)
	if err != nil {
		t.Fatalf("write archive: %v", err)
	}
	if _, err := file.Write([]byte(content)); err != nil {
		t.Fatalf("write archive: %v", err)
	}
	if err := archive.Close(); err != nil {
		t.Fatalf("write archive: %v", err)
	}
	return buffer.Bytes()
}

// helloRelease is that of the fixture's tool, for any platform.
func helloRelease(file, sums, entry string) *official {
	return &official{
		versionArgs: []string{"--version"},
		at: func(version string, _ platform) (release, bool) {
			page := strings.Replace("https:/"+helloPage, "v1.2.3", version, 1)
			return release{url: page + file, sums: page + sums, entry: entry}, true
		},
	}
}

// downloading returns a fixture whose tool is released on the pages, as an archive, and does not wait long.
func downloading(t *testing.T, p *pages) fixture {
	t.Helper()
	f := newFixture(t)
	f.tool.official = helloRelease("hello.tar.gz", "SHA256SUMS", "hello/hello")
	f.ensurer.mode = Auto
	f.ensurer.releases = newFetcher(p.URL, filepath.Join(f.ensurer.layout.Bin(), temporaryPrefix+"releases"))
	return f
}

// wantClean checks that nothing but tools and stamps is where the tools are.
func (f fixture) wantClean(t *testing.T) {
	t.Helper()
	f.ensurer.releases.clean()
	for _, dir := range []string{f.ensurer.layout.Bin(), filepath.Join(f.ensurer.layout.PulumiHome(), "plugins")} {
		left, err := filepath.Glob(filepath.Join(dir, temporaryPrefix+"*"))
		if err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	}
}

// published is a form in which projects release a program.
type published struct {
	official *official
	publish  func(p *pages)
}

func releases(t *testing.T) map[string]published {
	t.Helper()
	return map[string]published{
		"archive": {
			helloRelease("hello.tar.gz", "SHA256SUMS", "hello/hello"),
			func(p *pages) {
				p.publish("hello.tar.gz", tarball(t, helloProgram, "hello/README.md", "../../hello", "hello/hello"))
			},
		},
		"archive with a dot": {
			helloRelease("hello.tar.gz", "SHA256SUMS", "hello"),
			func(p *pages) { p.publish("hello.tar.gz", tarball(t, helloProgram, "./hello")) },
		},
		"zip": {
			helloRelease("hello.zip", "SHA256SUMS", "hello/hello"),
			func(p *pages) { p.publish("hello.zip", zipped(t, "hello/hello", helloProgram)) },
		},
		"plain file with its sum beside it": {
			helloRelease("hello", "hello.sha256", ""),
			func(p *pages) {
				p.at[helloPage+"hello"] = answer([]byte(helloProgram))
				p.at[helloPage+"hello.sha256"] = answer([]byte(strings.ToUpper(sumOf([]byte(helloProgram)))))
			},
		},
		"GitHub's digest": {
			helloRelease("hello", "release.json", ""),
			func(p *pages) {
				p.at[helloPage+"hello"] = answer([]byte(helloProgram))
				p.at[helloPage+"release.json"] = answer(fmt.Appendf(nil,
					`{"assets": [{"name": "other", "digest": null}, {"name": "hello", "digest": "sha256:%s"}]}`, sumOf([]byte(helloProgram))))
			},
		},
		"redirect": {
			helloRelease("hello.tar.gz", "SHA256SUMS", "hello/hello"),
			func(p *pages) {
				p.publish("hello.tar.gz", tarball(t, helloProgram, "hello/hello"))
				p.at["/storage"] = p.at[helloPage+"hello.tar.gz"]
				p.at[helloPage+"hello.tar.gz"] = http.RedirectHandler("/storage", http.StatusFound).ServeHTTP
			},
		},
	}
}

func TestDownload_TakesWhatIsReleased(t *testing.T) {
	t.Parallel()
	for name, test := range releases(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPages(t)
			test.publish(p)
			f := downloading(t, p)
			f.tool.official = test.official
			got := f.want(t, Downloaded, "v1.2.3")
			if content, err := os.ReadFile(got.Path); err != nil || string(content) != helloProgram {
				t.Errorf("got %q, %v", content, err)
			}
			if !strings.Contains(got.String(), "hello v1.2.3 downloaded in 0s ("+p.URL+helloPage) {
				t.Errorf("got line %q", got)
			}
			f.wantClean(t)
			asked := p.asked.Load()
			f.want(t, UpToDate, "v1.2.3")
			if p.asked.Load() != asked {
				t.Error("the pages were asked for what is there")
			}
		})
	}
}

// trouble is a change of the pages after which nothing is taken from them, and what the note says.
type trouble struct {
	change func(p *pages)
	want   string
}

func troubles(t *testing.T, whole []byte) map[string]trouble {
	t.Helper()
	const archive = helloPage + "hello.tar.gz"
	return map[string]trouble{
		"wrong checksum": {
			func(p *pages) { p.at[archive] = answer(tarball(t, "#!/bin/sh\necho 1.2.3 too\n", "hello/hello")) },
			"and its release publishes " + sumOf(whole),
		},
		"no file":           {func(p *pages) { delete(p.at, archive) }, "hello.tar.gz: 404 Not Found"},
		"no checksums":      {func(p *pages) { delete(p.at, helloPage+"SHA256SUMS") }, "SHA256SUMS: 404 Not Found"},
		"no checksum of it": {func(p *pages) { p.at[helloPage+"SHA256SUMS"] = answer([]byte("<html>")) }, "no SHA-256 of hello.tar.gz"},
		"half a file": {func(p *pages) {
			p.at[archive] = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", strconv.Itoa(len(whole)))
				_, _ = w.Write(whole[:len(whole)/2])
			}
		}, "unexpected EOF after " + strconv.Itoa(len(whole)/2) + " bytes"},
		"half a file that does not say so": {func(p *pages) { p.at[archive] = answer(whole[:len(whole)/2]) }, "and its release publishes"},
		"no archive":                       {func(p *pages) { p.publish("hello.tar.gz", []byte(helloProgram)) }, "unpack hello.tar.gz: gzip"},
		"archive with another path": {
			func(p *pages) {
				p.publish("hello.tar.gz", tarball(t, helloProgram, "hello", "../hello/hello", "/hello/hello", "hello/../hello/hello", "@hello/hello"))
			},
			"hello.tar.gz has no file hello/hello",
		},
		"another version": {
			func(p *pages) { p.publish("hello.tar.gz", tarball(t, "#!/bin/sh\necho hello 1.2.30\n", "hello/hello")) },
			`says that it is "hello 1.2.30", not v1.2.3`,
		},
		"another machine's": {
			func(p *pages) { p.publish("hello.tar.gz", tarball(t, "\x7fELF", "hello/hello")) },
			"the downloaded hello does not run here",
		},
		"a program that fails": {
			func(p *pages) {
				p.publish("hello.tar.gz", tarball(t, "#!/bin/sh\necho no such library >&2\necho 1.2.3\nexit 1\n", "hello/hello"))
			},
			"the downloaded hello does not run here: exit status 1: no such library",
		},
		"no answer": {func(p *pages) {
			p.at[helloPage+"SHA256SUMS"] = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
		}, "no answer within 200ms"},
		"an answer that stops": {func(p *pages) {
			p.at[archive] = func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Length", strconv.Itoa(len(whole)))
				_, _ = w.Write(whole[:10])
				w.(http.Flusher).Flush()
				<-r.Context().Done()
			}
		}, "less than 500 kB in 1s after 10 bytes"},
		"no network": {func(p *pages) { p.Close() }, "connection refused"},
	}
}

func TestDownload_BuildsWhatCannotBeTrustedOrHad(t *testing.T) {
	t.Parallel()
	whole := tarball(t, helloProgram, "hello/hello")
	for name, test := range troubles(t, whole) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPages(t)
			p.publish("hello.tar.gz", whole)
			test.change(p)
			f := downloading(t, p)
			if strings.Contains(test.want, "200ms") {
				f.ensurer.releases.answer = 200 * time.Millisecond
			}
			if strings.Contains(test.want, "in 1s") {
				f.ensurer.releases.stall = time.Second
			}
			got := f.want(t, Built, "v1.2.3")
			if !strings.Contains(got.Note, "not downloaded: ") || !strings.Contains(got.Note, test.want) || strings.Contains(got.Note, "\n") {
				t.Errorf("got note %q, want %q in it", got.Note, test.want)
			}
			f.wantClean(t)
			f.want(t, UpToDate, "v1.2.3")
		})
	}
}

func TestDownload_WaitsForSilentPagesOnce(t *testing.T) {
	t.Parallel()
	p := newPages(t)
	p.at[helloPage+"SHA256SUMS"] = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	f := downloading(t, p)
	f.ensurer.releases.answer = 100 * time.Millisecond
	for _, name := range []string{"hello", "hello-again", "hello-for-ever"} {
		f.tool.name = name
		if got := f.want(t, Built, "v1.2.3"); !strings.Contains(got.Note, "no answer within 100ms") {
			t.Errorf("%s: got note %q", name, got.Note)
		}
	}
	if asked := p.asked.Load(); asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

// One tool that is not on the page says nothing about the others.
func TestDownload_AsksAgainAfterAnAnswer(t *testing.T) {
	t.Parallel()
	p := newPages(t)
	f := downloading(t, p)
	f.want(t, Built, "v1.2.3")
	p.publish("hello.tar.gz", tarball(t, helloProgram, "hello/hello"))
	f.tool.name = "hello-again"
	f.want(t, Downloaded, "v1.2.3")
}

// A slow line is not a dead one.
func TestFetch_LetsATransferGoOnThatMoves(t *testing.T) {
	t.Parallel()
	p := newPages(t)
	const parts = 6
	p.at["/github.com/slow"] = func(w http.ResponseWriter, _ *http.Request) {
		for range parts {
			if _, err := w.Write(make([]byte, stallBytes)); err != nil {
				return
			}
			w.(http.Flusher).Flush()
			time.Sleep(500 * time.Millisecond)
		}
	}
	p.at["/github.com/large"] = answer(make([]byte, 101))
	f := newFetcher(p.URL, t.TempDir())
	f.stall = 2 * time.Second // less than the whole takes
	var got bytes.Buffer
	if err := f.get(t.Context(), "https://github.com/slow", &got, fileLimit); err != nil || got.Len() != parts*stallBytes {
		t.Errorf("got %d bytes, %v", got.Len(), err)
	}
	if err := f.get(t.Context(), "https://github.com/large", &got, 100); err == nil || !strings.Contains(err.Error(), "more than 100 bytes") {
		t.Errorf("beyond the limit: got %v", err)
	}
}

func TestFetch_DoesNotLeaveHTTPSForHTTP(t *testing.T) {
	t.Parallel()
	plain := newPages(t)
	plain.at["/file"] = answer([]byte("content"))
	secure := httptest.NewTLSServer(http.RedirectHandler(plain.URL+"/file", http.StatusFound))
	t.Cleanup(secure.Close)
	f := newFetcher(secure.URL, t.TempDir())
	f.client.Transport = secure.Client().Transport
	if err := f.get(t.Context(), "https://github.com/file", &bytes.Buffer{}, 100); err == nil || !strings.Contains(err.Error(), "is refused") {
		t.Errorf("got %v", err)
	}
}

func TestDownload_FollowsThePinAndNotTheToolchain(t *testing.T) {
	t.Parallel()
	p := newPages(t)
	p.publish("hello.tar.gz", tarball(t, helloProgram, "hello/hello"))
	newer := tarball(t, "#!/bin/sh\necho v1.3.0\n", "hello/hello")
	next := strings.Replace(helloPage, "v1.2.3", "v1.3.0", 1)
	p.at[next+"hello.tar.gz"] = answer(newer)
	p.at[next+"SHA256SUMS"] = answer([]byte(sumOf(newer) + " *hello.tar.gz"))
	f := downloading(t, p)
	f.want(t, Downloaded, "v1.2.3")
	f.ensurer.toolchain = "go1.27 linux amd64"
	f.want(t, UpToDate, "v1.2.3")
	writeFile(t, f.ensurer.layout.Tool("hello"), "half", 0o755)
	f.want(t, Downloaded, "v1.2.3")
	writeFile(t, filepath.Join(f.ensurer.layout.ToolModule("hello"), "go.mod"),
		"module hello\n\ngo 1.26\n\nrequire example.invalid/hello v1.3.0 // indirect\n", 0o600)
	f.ensurer.releases.clean() // the next run
	f.want(t, Downloaded, "v1.3.0")
	f.want(t, UpToDate, "v1.3.0")
}

func TestMode_DecidesBetweenTheSources(t *testing.T) {
	t.Parallel()
	p := newPages(t)
	p.publish("hello.tar.gz", tarball(t, helloProgram, "hello/hello"))
	f := downloading(t, p)
	f.ensurer.mode = BuildOnly
	f.want(t, Built, "v1.2.3")
	if asked := p.asked.Load(); asked != 0 {
		t.Errorf("asked %d times", asked)
	}
	f.ensurer.mode = Auto
	f.want(t, UpToDate, "v1.2.3")
	f.ensurer.mode = DownloadOnly
	f.want(t, Downloaded, "v1.2.3")
	f.ensurer.mode = Auto
	f.want(t, UpToDate, "v1.2.3")
	f.ensurer.mode = BuildOnly
	f.want(t, Built, "v1.2.3")
}

func TestMode_DownloadBuildsNothing(t *testing.T) {
	t.Parallel()
	p := newPages(t)
	f := downloading(t, p)
	f.ensurer.mode = DownloadOnly
	check := func(want string) {
		t.Helper()
		got, err := f.ensurer.ensure(t.Context(), f.tool)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasSuffix(err.Error(), "; SANDBOX_TOOLS=download forbids to build it") {
			t.Errorf("got %+v, %v", got, err)
		}
		if _, err := os.Stat(f.ensurer.layout.Tool("hello")); err == nil {
			t.Error("it was built")
		}
	}
	check("404 Not Found")
	f.tool.official = nil
	check("no binary for " + thisPlatform().String() + " is released")
	// What lies on PATH is no build.
	f.program(t, "hello", "v1.4.0")
	f.want(t, OnPath, "v1.4.0")
}

func TestDownload_TakesSeveralToolsFromOneArchive(t *testing.T) {
	t.Parallel()
	p := newPages(t)
	p.publish("hello.tar.gz", tarball(t, helloProgram, "hello/hello", "hello/hello-language"))
	f := downloading(t, p)
	f.want(t, Downloaded, "v1.2.3")
	// As Pulumi's language host: pinned elsewhere, without a version, with a helper when it is built.
	writeFile(t, filepath.Join(f.ensurer.layout.ToolModule("host"), "go.mod"), "module host\n\nrequire example.invalid/host v0.9.0\n", 0o600)
	writeFile(t, filepath.Join(f.ensurer.layout.ToolModule("host"), "go.sum"), "", 0o600)
	writeFile(t, f.ensurer.layout.Tool("hello-helper"), "stale", 0o755)
	f.tool.official = helloRelease("hello.tar.gz", "SHA256SUMS", "hello/hello-language")
	f.tool.official.module, f.tool.official.pinnedBy, f.tool.official.versionArgs = "hello", f.tool.pinnedBy, nil
	f.tool.name, f.tool.module, f.tool.pinnedBy = "hello-language", "host", "example.invalid/host"
	f.tool.helper = &helper{name: "hello-helper", pkg: "."}
	f.want(t, Downloaded, "v1.2.3")
	f.want(t, UpToDate, "v1.2.3")
	if asked := p.asked.Load(); asked != 2 {
		t.Errorf("asked %d times, want once for the checksums and once for the archive", asked)
	}
	if _, err := os.Stat(f.ensurer.layout.Tool("hello-helper")); err == nil {
		t.Error("the helper of an earlier build is still there")
	}
}

func TestDownload_PutsAPluginWhereTheEngineLooks(t *testing.T) {
	t.Parallel()
	p := newPages(t)
	p.publish("hello.tar.gz", tarball(t, helloProgram, "hello"))
	f := downloading(t, p)
	f.tool.official = helloRelease("hello.tar.gz", "SHA256SUMS", "hello")
	f.tool.plugin = &plugin{resource: "hello", sourceModule: "hello"}
	got := f.want(t, Downloaded, "v1.2.3")
	if want := f.ensurer.layout.PulumiHome() + "/plugins/resource-hello-v1.2.3/hello"; got.Path != want {
		t.Errorf("got %s, want %s", got.Path, want)
	}
	f.wantClean(t)
	f.want(t, UpToDate, "v1.2.3")
	writeFile(t, got.Path, "half", 0o755)
	f.want(t, Downloaded, "v1.2.3")
	// One that somebody else installed stays.
	removeFile(t, f.ensurer.stampPath(f.tool))
	f.want(t, Present, "v1.2.3")
}

func TestDownload_EndsWhenItIsInterrupted(t *testing.T) {
	t.Parallel()
	p := newPages(t)
	ctx, cancel := context.WithCancel(t.Context())
	p.at[helloPage+"SHA256SUMS"] = func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}
	f := downloading(t, p)
	if got, err := f.ensurer.ensure(ctx, f.tool); !errors.Is(err, context.Canceled) {
		t.Errorf("got %+v, %v", got, err)
	}
	f.wantClean(t)
}

// playReleases publishes for each tool, where the table says that it is, a script that tells its pinned version.
func playReleases(t *testing.T, p *pages, e *ensurer, wanted []tool) {
	t.Helper()
	entries := map[string][]string{} // by archive
	for _, tool := range wanted {
		version, err := pinnedVersion(e.layout.ToolModule(tool.module), tool.pinnedBy)
		if err != nil {
			t.Fatalf("%s: %v", tool.name, err)
		}
		r, err := e.released(tool, version, thisPlatform())
		if err != nil || r == nil {
			t.Fatalf("%s: got %v, %v", tool.name, r, err)
		}
		script := "#!/bin/sh\necho " + r.version + "\n"
		content := []byte(script)
		switch {
		case strings.HasSuffix(r.url, ".zip"):
			content = zipped(t, r.entry, script)
		case r.entry != "":
			entries[r.url] = append(entries[r.url], r.entry)
			content = tarball(t, script, entries[r.url]...)
		}
		name := filepath.Base(r.url)
		sums := fmt.Appendf(nil, "%s  %s\n", sumOf(content), name)
		if strings.Contains(r.sums, "//api.github.com/") {
			sums = fmt.Appendf(nil, `{"assets": [{"name": %q, "digest": "sha256:%s"}]}`, name, sumOf(content))
		}
		p.at["/"+strings.TrimPrefix(r.url, "https://")] = answer(content)
		p.at["/"+strings.TrimPrefix(r.sums, "https://")] = answer(sums)
	}
}

func TestEnsure_DownloadsAllThatIsReleasedFromTheMirrorThatTheEnvironmentNames(t *testing.T) {
	goProgram, err := exec.LookPath("go")
	if err != nil {
		t.Fatalf("find go: %v", err)
	}
	path, ours := t.TempDir(), layout.Layout{Root: t.TempDir()}
	if err := os.Symlink(goProgram, filepath.Join(path, "go")); err != nil {
		t.Fatalf("link: %v", err)
	}
	if err := os.CopyFS(ours.ToolModule("."), os.DirFS(repository(t).ToolModule("."))); err != nil {
		t.Fatalf("copy the pins: %v", err)
	}
	p, e := newPages(t), &ensurer{layout: ours}
	var wanted []tool
	var names []string
	for _, tool := range table() {
		if tool.official == nil || thisPlatform().os != "linux" && strings.HasPrefix(tool.name, "kube-") {
			continue
		}
		wanted, names = append(wanted, tool), append(names, tool.name)
	}
	playReleases(t, p, e, wanted)
	t.Setenv("PATH", path) // without the machine's own Pulumi and kubectl
	t.Setenv(modeVariable, string(DownloadOnly))
	t.Setenv(mirrorVariable, p.URL+"/")
	for _, want := range []Source{Downloaded, UpToDate} {
		count := 0
		err := Ensure(t.Context(), ours, names, io.Discard, func(got Result) {
			count++
			if got.Source != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
		if err != nil || count != len(names) {
			t.Errorf("%s: got %d of %d tools, %v", want, count, len(names), err)
		}
	}
	fixture{ensurer: &ensurer{layout: ours, releases: newFetcher("", t.TempDir())}}.wantClean(t)
}
