// Package cluster starts, repairs and stops the sandbox's control plane: etcd, kube-apiserver, kube-controller-manager
// and kube-scheduler as ordinary processes, kwok for the simulated nodes and the stand-in for their kubelets and Longhorn.
//
// It starts the processes itself rather than through kwokctl. kwokctl 0.7.0 takes the number in a pid file for its
// process after a mere signal 0 and then kills it with SIGKILL, which after a reboot hits a stranger; it fixes ports at
// creation, so a taken port cannot be repaired; and it serves etcd without authentication to every user of the machine.
package cluster

import (
	"fmt"
	"io"
	"path/filepath"

	"ha-iris/sandbox/internal/layout"
)

// Cluster is one sandbox cluster of a checkout, running or not.
type Cluster struct {
	// Name is unique within the checkout.
	Name string
	// Dir holds everything that belongs to the cluster: keys, state of etcd, logs, kubeconfig.
	Dir string

	layout layout.Layout
	// progress receives one line per step that takes time or changes something.
	progress io.Writer
}

// New returns the named cluster of a checkout without touching it. Progress lines go to progress.
func New(l layout.Layout, name string, progress io.Writer) (*Cluster, error) {
	dir, err := l.Cluster(name)
	if err != nil {
		return nil, err
	}
	return &Cluster{Name: name, Dir: dir, layout: l, progress: progress}, nil
}

// Context is the name of the context in the cluster's kubeconfig: the same for every checkout and every start.
func (c *Cluster) Context() string { return "ha-iris-" + c.Name }

// Kubeconfig is the path of the administrator's kubeconfig.
func (c *Cluster) Kubeconfig() string { return c.path("kubeconfig") }

func (c *Cluster) path(elements ...string) string {
	return filepath.Join(append([]string{c.Dir}, elements...)...)
}

func (c *Cluster) say(format string, args ...any) {
	// Progress is a courtesy: a closed terminal must not stop the cluster from starting.
	_, _ = fmt.Fprintf(c.progress, format+"\n", args...)
}
