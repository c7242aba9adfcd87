// Package layout knows where the sandbox keeps things. Everything it writes lies below <checkout>/.local, so that two
// checkouts on one machine share nothing and deleting a checkout leaves nothing behind.
package layout

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

// marker is the file that tells a checkout of ha-iris from any other directory.
const marker = "sandbox/go.mod"

// Layout is the set of paths of one checkout.
type Layout struct {
	// Root is the absolute path of the checkout.
	Root string
}

// Find returns the layout of the checkout that root names. With an empty root it is the checkout whose .local/bin holds
// the running program, or else the one around the working directory.
func Find(root string) (Layout, error) {
	if root != "" {
		absolute, err := filepath.Abs(root)
		if err != nil {
			return Layout{}, fmt.Errorf("resolve checkout %q: %w", root, err)
		}
		if !isCheckout(absolute) {
			return Layout{}, fmt.Errorf("%s is not a checkout of ha-iris: it has no %s", absolute, marker)
		}
		return Layout{Root: absolute}, nil
	}
	for _, start := range startingPoints() {
		if found, ok := walkUp(start); ok {
			return Layout{Root: found}, nil
		}
	}
	return Layout{}, errors.New("no checkout of ha-iris here: run this inside one, or name it with --root")
}

func startingPoints() []string {
	var starts []string
	if executable, err := os.Executable(); err == nil {
		starts = append(starts, filepath.Dir(executable))
	}
	if dir, err := os.Getwd(); err == nil {
		starts = append(starts, dir)
	}
	return starts
}

func walkUp(dir string) (string, bool) {
	for {
		if isCheckout(dir) {
			return dir, true
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", false
		}
		dir = parent
	}
}

func isCheckout(dir string) bool {
	info, err := os.Stat(filepath.Join(dir, marker))
	return err == nil && info.Mode().IsRegular()
}

// Local is the directory of everything that is written at run time.
func (l Layout) Local() string { return filepath.Join(l.Root, ".local") }

// Bin is where the tools lie.
func (l Layout) Bin() string { return filepath.Join(l.Local(), "bin") }

// Tool is the path of the tool's executable.
func (l Layout) Tool(name string) string { return filepath.Join(l.Bin(), name) }

// PulumiHome is the PULUMI_HOME of this checkout: plugins and credentials of the local state backend.
func (l Layout) PulumiHome() string { return filepath.Join(l.Local(), "pulumi") }

// ToolModule is the directory of the Go module that pins a tool.
func (l Layout) ToolModule(name string) string {
	return filepath.Join(l.Root, "sandbox", "tools", name)
}

// Module is the directory of the sandbox's own Go module.
func (l Layout) Module() string {
	return filepath.Join(l.Root, filepath.Dir(filepath.FromSlash(marker)))
}

// AgentModule is the directory of the agent's Go module.
func (l Layout) AgentModule() string { return filepath.Join(l.Root, "agent") }

// Images is where the lab's container images lie, as an OCI image layout.
func (l Layout) Images() string { return filepath.Join(l.Local(), "images") }

// Clusters is the directory that holds one directory per cluster.
func (l Layout) Clusters() string { return filepath.Join(l.Local(), "sandbox") }

// Cluster is the directory of the named cluster. The name becomes part of paths, of a kubeconfig context and of command
// lines, so it is held to what is safe in all three.
func (l Layout) Cluster(name string) (string, error) {
	if !regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`).MatchString(name) {
		return "", fmt.Errorf("cluster name %q: want 1 to 32 lower-case letters, digits and inner hyphens, such as dev", name)
	}
	return filepath.Join(l.Clusters(), name), nil
}
