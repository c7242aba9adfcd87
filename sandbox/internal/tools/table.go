// Package tools finds the programs that the sandbox runs, downloads their official releases, or builds them from their Go
// modules, so that a machine with nothing but Go and access to a module proxy can run everything, at pinned versions.
package tools

import (
	"fmt"
	"slices"
	"strings"
)

// Group says what a tool is for.
type Group string

// The groups: Run is what a stack on the sandbox needs, Lab what real nodes need besides, Lint what the checks need, and Image
// what publishes the agent's image, which no check does: its build takes minutes that continuous integration has not.
const (
	Run   Group = "run"
	Lab   Group = "lab"
	Lint  Group = "lint"
	Image Group = "image"
)

// tool describes one program. To add one: a directory with its go.mod and go.sum below sandbox/tools, and an entry in
// the table.
type tool struct {
	name  string
	group Group
	// module is the directory below sandbox/tools that pins the tool.
	module string
	// pkg is the main package to build there; "." is a main of our own.
	pkg string
	// pinnedBy is the required module whose version in that go.mod is the tool's version.
	pinnedBy string
	// accept tells whether another version than the pinned one, found on PATH, does as well. Nil: only ours will do.
	accept func(pinned, found string) bool
	// versionArgs make the program on PATH print its version.
	versionArgs []string
	// companion is a program that must lie on PATH as well for this one to be used from there.
	companion string
	// link returns the linker flags that make a version known to a program which its own release build tells it.
	link func(version string) string
	// helper is a program of the same module that the built tool runs and expects beside itself; may be nil.
	helper *helper
	// official is where the project releases the tool's binary; nil if only a build will do.
	official *official
	// plugin marks a Pulumi resource plugin, which lies in PULUMI_HOME instead of beside the other tools.
	plugin *plugin
}

// helper is a program without a decision of its own: it is built whenever its tool is.
type helper struct {
	name, pkg string
}

// plugin is what a resource plugin built from its module needs besides its binary.
type plugin struct {
	// resource is the name of the Pulumi package.
	resource string
	// sourceModule and files: what to copy from the module to the binary's directory.
	sourceModule string
	files        []string
	// schema is the one of the files that says which version of the package it describes. The module's own copy does not:
	// the vendor's release build puts it in.
	schema string
}

func table() []tool {
	return slices.Concat(clusterTools(), labTools(), pulumiTools(), lintTools(), imageTools())
}

func clusterTools() []tool {
	const (
		kubernetes = "k8s.io/kubernetes"
		kwok       = "sigs.k8s.io/kwok"
	)
	return []tool{
		{
			name: "etcd", group: Run, module: "etcd", pkg: "go.etcd.io/etcd/server/v3", pinnedBy: "go.etcd.io/etcd/server/v3",
			official: &official{at: etcdRelease, versionArgs: []string{"--version"}},
		},
		{
			name: "kube-apiserver", group: Run, module: "kubernetes", pkg: kubernetes + "/cmd/kube-apiserver", pinnedBy: kubernetes,
			link: linkKubernetes, official: &official{at: kubernetesRelease("kube-apiserver"), versionArgs: []string{"--version"}},
		},
		{
			name: "kube-controller-manager", group: Run, module: "kubernetes", pkg: kubernetes + "/cmd/kube-controller-manager", pinnedBy: kubernetes,
			link: linkKubernetes, official: &official{at: kubernetesRelease("kube-controller-manager"), versionArgs: []string{"--version"}},
		},
		{
			name: "kube-scheduler", group: Run, module: "kubernetes", pkg: kubernetes + "/cmd/kube-scheduler", pinnedBy: kubernetes,
			link: linkKubernetes, official: &official{at: kubernetesRelease("kube-scheduler"), versionArgs: []string{"--version"}},
		},
		{
			name: "kubectl", group: Run, module: "kubernetes", pkg: kubernetes + "/cmd/kubectl", pinnedBy: kubernetes,
			accept: withinOneMinor, versionArgs: []string{"version", "--client", "--output=json"}, link: linkKubernetes,
			official: &official{at: kubernetesRelease("kubectl"), versionArgs: []string{"version", "--client", "--output=json"}},
		},
		{
			name: "kubelet", group: Lab, module: "kubernetes", pkg: kubernetes + "/cmd/kubelet", pinnedBy: kubernetes,
			link: linkKubernetes, official: &official{at: kubernetesRelease("kubelet"), versionArgs: []string{"--version"}},
		},
		{
			name: "kube-proxy", group: Lab, module: "kubernetes", pkg: kubernetes + "/cmd/kube-proxy", pinnedBy: kubernetes,
			link: linkKubernetes, official: &official{at: kubernetesRelease("kube-proxy"), versionArgs: []string{"--version"}},
		},
		{
			name: "kwok", group: Run, module: "kwok", pkg: kwok + "/cmd/kwok", pinnedBy: kwok,
			official: &official{at: kwokRelease, versionArgs: []string{"--version"}},
		},
	}
}

func labTools() []tool {
	const (
		containerd = "github.com/containerd/containerd/v2"
		cni        = "github.com/containernetworking/plugins"
	)
	return []tool{
		{
			name: "containerd", group: Lab, module: "containerd", pkg: containerd + "/cmd/containerd", pinnedBy: containerd,
		},
		{
			name: "containerd-shim-runc-v2", group: Lab, module: "containerd", pkg: containerd + "/cmd/containerd-shim-runc-v2",
			pinnedBy: containerd,
		},
		{name: "ptp", group: Lab, module: "cni-plugins", pkg: cni + "/plugins/main/ptp", pinnedBy: cni},
		{name: "host-local", group: Lab, module: "cni-plugins", pkg: cni + "/plugins/ipam/host-local", pinnedBy: cni},
		{name: "loopback", group: Lab, module: "cni-plugins", pkg: cni + "/plugins/main/loopback", pinnedBy: cni},
	}
}

func pulumiTools() []tool {
	const cli = "github.com/pulumi/pulumi/pkg/v3"
	return []tool{
		{
			name: "pulumi", group: Run, module: "pulumi", pkg: cli + "/cmd/pulumi", pinnedBy: cli,
			accept: sameMajorNotOlder, versionArgs: []string{"version"}, companion: "pulumi-language-go",
			link: linkPulumi, official: &official{at: pulumiRelease("pulumi"), versionArgs: []string{"version"}},
		},
		{
			// Built from the last release of the SDK that carries it, it has no version of its own to compare: what
			// counts is that it came with an acceptable CLI. Only the built one needs our wrapper around it. The official one
			// lies in the CLI's archive.
			name: "pulumi-language-go", group: Run, module: "pulumi-language-go", pkg: ".",
			pinnedBy: "github.com/pulumi/pulumi/sdk/v3",
			accept:   func(string, string) bool { return true }, companion: "pulumi",
			helper: &helper{
				name: "pulumi-language-go-host",
				pkg:  "github.com/pulumi/pulumi/sdk/v3/go/pulumi-language-go",
			},
			official: &official{module: "pulumi", pinnedBy: cli, at: pulumiRelease("pulumi-language-go")},
		},
		{
			name: "pulumi-resource-kubernetes", group: Run, module: "pulumi-resource-kubernetes", pkg: ".",
			pinnedBy: "github.com/pulumi/pulumi-kubernetes/sdk/v4", link: linkProvider,
			official: &official{at: providerRelease},
			plugin: &plugin{
				resource:     "kubernetes",
				sourceModule: "github.com/pulumi/pulumi-kubernetes/provider/v4",
				files: []string{
					"cmd/pulumi-resource-kubernetes/schema.json",
					"cmd/pulumi-resource-kubernetes/terraform-mapping.json",
				},
				schema: "schema.json",
			},
		},
	}
}

func lintTools() []tool {
	return []tool{
		{
			name: "golangci-lint", group: Lint, module: "golangci-lint",
			pkg: "github.com/golangci/golangci-lint/v2/cmd/golangci-lint", pinnedBy: "github.com/golangci/golangci-lint/v2",
		},
		{name: "shfmt", group: Lint, module: "shfmt", pkg: "mvdan.cc/sh/v3/cmd/shfmt", pinnedBy: "mvdan.cc/sh/v3"},
		{
			name: "actionlint", group: Lint, module: "actionlint",
			pkg: "github.com/rhysd/actionlint/cmd/actionlint", pinnedBy: "github.com/rhysd/actionlint",
		},
		{
			name: "kube-score", group: Lint, module: "kube-score",
			pkg: "github.com/zegl/kube-score/cmd/kube-score", pinnedBy: "github.com/zegl/kube-score",
		},
	}
}

func imageTools() []tool {
	const ko = "github.com/google/ko"
	return []tool{{name: "ko", group: Image, module: "ko", pkg: ko, pinnedBy: ko, link: linkKo}}
}

// Names lists every tool.
func Names() []string {
	var names []string
	for _, t := range table() {
		names = append(names, t.name)
	}
	return names
}

// pick returns the tools that the names ask for: each a tool's or a group's. None asks for what running needs.
func pick(names []string) ([]tool, error) {
	if len(names) == 0 {
		names = []string{string(Run)}
	}
	var unknown []string
	wanted := map[string]bool{}
	for _, name := range names {
		known := false
		for _, t := range table() {
			if name == t.name || name == string(t.group) {
				wanted[t.name], known = true, true
			}
		}
		if !known {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		return nil, fmt.Errorf("no such tool: %s; want %s, %s, %s, %s or any of %s",
			strings.Join(unknown, ", "), Run, Lab, Lint, Image, strings.Join(Names(), ", "))
	}
	return slices.DeleteFunc(table(), func(t tool) bool { return !wanted[t.name] }), nil
}
