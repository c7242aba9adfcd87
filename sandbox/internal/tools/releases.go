package tools

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"runtime"
	"strings"
)

// platform is what a binary runs on, in Go's words.
type platform struct{ os, arch string }

func thisPlatform() platform { return platform{os: runtime.GOOS, arch: runtime.GOARCH} }

func (p platform) String() string { return p.os + "/" + p.arch }

// official says where a project releases a tool's binary.
type official struct {
	// module and pinnedBy are where the version is pinned, if that is not where the tool itself is.
	module, pinnedBy string
	// at returns the binary of a version for a platform, and false if none is released for it.
	at func(version string, p platform) (release, bool)
	// versionArgs make the program print its version. Nil: it tells none, and its usage has to do.
	versionArgs []string
}

// release is one released binary.
type release struct {
	version string
	// url is the file's, and sums that of what the release publishes its SHA-256 in.
	url, sums string
	// entry is the program's path in the file if that is an archive.
	entry string
}

// key hashes what a download depends on. Neither Go nor the pins of a build are among it.
func (r release) key(t tool, p platform) string {
	hash := sha256.New()
	_, _ = fmt.Fprintln(hash, t.name, r.version, p, r.url, r.entry)
	return hex.EncodeToString(hash.Sum(nil))
}

// released returns the tool's official binary for a platform; nil if there is none.
func (e *ensurer) released(t tool, version string, p platform) (*release, error) {
	if t.official == nil {
		return nil, nil
	}
	if t.official.pinnedBy != "" {
		var err error
		if version, err = pinnedVersion(e.layout.ToolModule(t.official.module), t.official.pinnedBy); err != nil {
			return nil, err
		}
	}
	found, ok := t.official.at(version, p)
	if !ok {
		return nil, nil
	}
	found.version = version
	return &found, nil
}

// kubernetesRelease is a program of the Kubernetes release. For macOS it has the clients only.
func kubernetesRelease(name string) func(version string, p platform) (release, bool) {
	return func(version string, p platform) (release, bool) {
		url := fmt.Sprintf("https://dl.k8s.io/release/%s/bin/%s/%s/%s", version, p.os, p.arch, name)
		return release{url: url, sums: url + ".sha256"}, p.os == "linux" || name == "kubectl"
	}
}

func etcdRelease(version string, p platform) (release, bool) {
	base := "https://github.com/etcd-io/etcd/releases/download/" + version + "/"
	name := fmt.Sprintf("etcd-%s-%s-%s", version, p.os, p.arch)
	suffix := ".tar.gz"
	if p.os == "darwin" {
		suffix = ".zip"
	}
	return release{url: base + name + suffix, sums: base + "SHA256SUMS", entry: name + "/etcd"}, true
}

// kwokRelease names GitHub's own digests: the project uploads its binaries and nothing beside them (kwok 0.7.0,
// hack/releases.sh).
func kwokRelease(version string, p platform) (release, bool) {
	return release{
		url:  fmt.Sprintf("https://github.com/kubernetes-sigs/kwok/releases/download/%s/kwok-%s-%s", version, p.os, p.arch),
		sums: "https://api.github.com/repos/kubernetes-sigs/kwok/releases/tags/" + version,
	}, true
}

// pulumiRelease is a program of the archive that has the CLI and its language hosts.
func pulumiRelease(name string) func(version string, p platform) (release, bool) {
	return func(version string, p platform) (release, bool) {
		arch := p.arch
		if arch == "amd64" {
			arch = "x64"
		}
		base := "https://github.com/pulumi/pulumi/releases/download/" + version + "/"
		return release{
			url:   fmt.Sprintf("%spulumi-%s-%s-%s.tar.gz", base, version, p.os, arch),
			sums:  fmt.Sprintf("%spulumi-%s-checksums.txt", base, strings.TrimPrefix(version, "v")),
			entry: "pulumi/" + name,
		}, true
	}
}

func providerRelease(version string, p platform) (release, bool) {
	base := "https://github.com/pulumi/pulumi-kubernetes/releases/download/" + version + "/"
	return release{
		url:   fmt.Sprintf("%spulumi-resource-kubernetes-%s-%s-%s.tar.gz", base, version, p.os, p.arch),
		sums:  fmt.Sprintf("%spulumi-kubernetes_%s_checksums.txt", base, strings.TrimPrefix(version, "v")),
		entry: "pulumi-resource-kubernetes",
	}, true
}
