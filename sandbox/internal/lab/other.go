//go:build !linux

package lab

import (
	"context"
	"errors"
	"os/exec"
)

var errLinux = errors.New("real nodes need Linux: use simulated ones, which run everywhere: make up")

// Node is one node of a lab; see configure_linux.go.
type Node struct {
	Name                            string
	Number                          int
	Plan                            Plan
	Zone, Region                    string
	Dir, Keep, Bin, Runc            string
	CA, Kubeconfig, ProxyKubeconfig string
	Images, Cgroup                  string
	Log                             func(service string) string
}

// Prepare fails.
func (n Node) Prepare() error { return errLinux }

// Started fails.
func (n Node) Started(int) error { return errLinux }

// Kill fails.
func (n Node) Kill(int) error { return errLinux }

// StopKubelet fails.
func (n Node) StopKubelet(int) error { return errLinux }

// StartKubelet fails.
func (n Node) StartKubelet(int) error { return errLinux }

// Check says that this is not Linux.
func Check() error { return errLinux }

// Boot fails.
func Boot(string) error { return errLinux }

// Claim fails.
func Claim(string, Plan) (Plan, error) { return Plan{}, errLinux }

// Release has nothing to remove.
func Release(string) error { return nil }

// Connect fails.
func Connect(Plan, int, bool) error { return errLinux }

// Isolate does nothing: Check has refused before.
func Isolate(*exec.Cmd) {}

// Connections are none.
type Connections []string

// Volumes has none to find.
func Volumes(string) Connections { return nil }

// Cut has nothing to end.
func (Connections) Cut() error { return nil }

// DetachDisks has nothing to detach.
func DetachDisks(string) error { return nil }

// RemoveCgroups has nothing to remove.
func RemoveCgroups(string) error { return nil }

// RuncPath finds none.
func RuncPath() string { return "" }

// Cloud fails.
func Cloud(context.Context, CloudOptions) error { return errLinux }
