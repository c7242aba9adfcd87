package tools

import (
	"strings"
	"testing"
)

func TestOfficial_IsWhereTheProjectsReleaseIt(t *testing.T) {
	t.Parallel()
	const github = "https://github.com/"
	cases := map[string]struct {
		os, arch, version, url, sums, entry string
	}{
		"etcd": {
			"linux", "amd64", "v3.6.5", github + "etcd-io/etcd/releases/download/v3.6.5/etcd-v3.6.5-linux-amd64.tar.gz",
			github + "etcd-io/etcd/releases/download/v3.6.5/SHA256SUMS", "etcd-v3.6.5-linux-amd64/etcd",
		},
		"etcd ": {
			"darwin", "arm64", "v3.6.5", github + "etcd-io/etcd/releases/download/v3.6.5/etcd-v3.6.5-darwin-arm64.zip",
			github + "etcd-io/etcd/releases/download/v3.6.5/SHA256SUMS", "etcd-v3.6.5-darwin-arm64/etcd",
		},
		"kube-apiserver": {
			"linux", "arm64", "v1.34.4", "https://dl.k8s.io/release/v1.34.4/bin/linux/arm64/kube-apiserver",
			"https://dl.k8s.io/release/v1.34.4/bin/linux/arm64/kube-apiserver.sha256", "",
		},
		"kubectl": {
			"darwin", "arm64", "v1.34.4", "https://dl.k8s.io/release/v1.34.4/bin/darwin/arm64/kubectl",
			"https://dl.k8s.io/release/v1.34.4/bin/darwin/arm64/kubectl.sha256", "",
		},
		"kwok": {
			"linux", "amd64", "v0.7.0", github + "kubernetes-sigs/kwok/releases/download/v0.7.0/kwok-linux-amd64",
			"https://api.github.com/repos/kubernetes-sigs/kwok/releases/tags/v0.7.0", "",
		},
		"pulumi": {
			"linux", "amd64", "v3.215.0", github + "pulumi/pulumi/releases/download/v3.215.0/pulumi-v3.215.0-linux-x64.tar.gz",
			github + "pulumi/pulumi/releases/download/v3.215.0/pulumi-3.215.0-checksums.txt", "pulumi/pulumi",
		},
		"pulumi-language-go": {
			"darwin", "arm64", "v3.215.0", github + "pulumi/pulumi/releases/download/v3.215.0/pulumi-v3.215.0-darwin-arm64.tar.gz",
			github + "pulumi/pulumi/releases/download/v3.215.0/pulumi-3.215.0-checksums.txt", "pulumi/pulumi-language-go",
		},
		"pulumi-resource-kubernetes": {
			"linux", "amd64", "v4.25.0",
			github + "pulumi/pulumi-kubernetes/releases/download/v4.25.0/pulumi-resource-kubernetes-v4.25.0-linux-amd64.tar.gz",
			github + "pulumi/pulumi-kubernetes/releases/download/v4.25.0/pulumi-kubernetes_4.25.0_checksums.txt",
			"pulumi-resource-kubernetes",
		},
	}
	for name, want := range cases {
		tools, err := pick([]string{strings.TrimSpace(name)})
		if err != nil {
			t.Fatalf("pick: %v", err)
		}
		got, ok := tools[0].official.at(want.version, platform{want.os, want.arch})
		if !ok || got.url != want.url || got.sums != want.sums || got.entry != want.entry {
			t.Errorf("%s: got %+v, %t", name, got, ok)
		}
	}
}

// The Kubernetes project releases its control plane and what runs on nodes for Linux only.
func TestOfficial_IsThereForEachPlatformButTheControlPlaneOnMacOS(t *testing.T) {
	t.Parallel()
	e := &ensurer{layout: repository(t)}
	for _, os := range []string{"linux", "darwin"} {
		for _, arch := range []string{"amd64", "arm64"} {
			for _, tool := range table() {
				version, err := pinnedVersion(e.layout.ToolModule(tool.module), tool.pinnedBy)
				if err != nil {
					t.Fatalf("%s: %v", tool.name, err)
				}
				got, err := e.released(tool, version, platform{os, arch})
				if err != nil {
					t.Fatalf("%s: %v", tool.name, err)
				}
				kubernetes := tool.module == "kubernetes"
				onlyLinux := kubernetes && tool.name != "kubectl"
				want := (tool.group == Run || kubernetes) && (os == "linux" || !onlyLinux)
				if (got != nil) != want {
					t.Errorf("%s for %s/%s: got %+v", tool.name, os, arch, got)
				}
			}
		}
	}
}

// Today's host comes with the CLI, whatever the last one is that can be built.
func TestOfficial_LanguageHostHasTheVersionOfTheCLI(t *testing.T) {
	t.Parallel()
	e := &ensurer{layout: repository(t)}
	tools, err := pick([]string{"pulumi", "pulumi-language-go"})
	if err != nil {
		t.Fatalf("pick: %v", err)
	}
	var versions []string
	for _, tool := range tools {
		version, err := pinnedVersion(e.layout.ToolModule(tool.module), tool.pinnedBy)
		if err != nil {
			t.Fatalf("%s: %v", tool.name, err)
		}
		got, err := e.released(tool, version, platform{"linux", "amd64"})
		if err != nil {
			t.Fatalf("%s: %v", tool.name, err)
		}
		versions = append(versions, got.version)
	}
	if versions[0] != versions[1] {
		t.Errorf("got %v", versions)
	}
}

func TestPublishedSum_ReadsEachFormOfAList(t *testing.T) {
	t.Parallel()
	sum, other := strings.Repeat("0a", 32), strings.Repeat("ff", 32)
	for name, content := range map[string]string{
		"alone": sum, "list": other + "  b\n" + sum + "  a\n", "read as it is": other + " *b\n" + sum + " *a\n",
		"made with ./*": other + "  ./b\r\n" + sum + "  ./a\r\n", "in capitals": strings.ToUpper(sum) + "  a",
		"GitHub's": `{"assets": [{"name": "b"}, {"name": "a", "digest": "sha256:` + sum + `"}]}`,
	} {
		if got, err := publishedSum([]byte(content), "a"); err != nil || got != sum {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
	for name, content := range map[string]string{
		"empty": "", "page": "<html>", "another file": sum + "  aa\n", "SHA-512": sum + sum + "  a\n", "no hexadecimal": strings.Repeat("x", 64) + "  a",
		"GitHub's without": `{"assets": [{"name": "a", "digest": null}]}`, "GitHub's other": `{"assets": [{"name": "a", "digest": "sha512:` + sum + `"}]}`,
		"half of GitHub's": `{"assets": [`,
	} {
		if got, err := publishedSum([]byte(content), "a"); err == nil {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

func TestTells_FindsTheVersionAsAWord(t *testing.T) {
	t.Parallel()
	for output, want := range map[string]bool{
		"etcd Version: 3.6.5\nGit SHA: a": true, "Kubernetes v3.6.5": true, `{"gitVersion": "v3.6.5", "major": "3"}`: true,
		"kwok version v3.6.5 go1.26.8 (linux/amd64)": true,
		"v3.6.50": false, "v13.6.5": false, "v3.6.5-rc.1": false, "": false,
	} {
		if got := tells(output, "v3.6.5"); got != want {
			t.Errorf("%q: got %t", output, got)
		}
	}
}

func TestParseMode_ListsTheModesWhenItRefuses(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]Mode{"": Auto, "auto": Auto, "build": BuildOnly, "download": DownloadOnly} {
		if got, err := parseMode(value); err != nil || got != want {
			t.Errorf("%q: got %q, %v", value, got, err)
		}
	}
	if _, err := parseMode("never"); err == nil || !strings.Contains(err.Error(), `SANDBOX_TOOLS is "never": want one of [auto build download]`) {
		t.Errorf("got %v", err)
	}
}

func TestParseMirror_WantsAURLAndKeepsItsPassword(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"": "", "https://mirror.example.com/releases/": "https://mirror.example.com/releases", "http://u:p@localhost:80": "http://u:p@localhost:80",
	} {
		if got, err := parseMirror(value); err != nil || got != want {
			t.Errorf("%q: got %q, %v", value, got, err)
		}
	}
	for _, value := range []string{"mirror.example.com", "ftp://u:secret@mirror", "https://", "https://u:secret@mirror/%zz", "https://u:secret@m/?a=b"} {
		if got, err := parseMirror(value); err == nil || !strings.Contains(err.Error(), "SANDBOX_RELEASES is ") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: got %q, %v", value, got, err)
		}
	}
	f := newFetcher("http://u:secret@127.0.0.1:1", t.TempDir())
	if _, err := f.file(t.Context(), release{url: "https://github.com/a", sums: "https://github.com/b"}); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}
