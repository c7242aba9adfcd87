// Package snapshots is what a cluster needs for VolumeSnapshots. Kinds, snapshot-controller and csi-snapshotter are Kubernetes' own
// (github.com/kubernetes-csi/external-snapshotter), run as a managed cluster or an add-on runs them; played is only what answers the
// csi-snapshotter: Longhorn's CSI driver, with the objects that Longhorn's stand-in has (internal/standin).
//
// It is a program of its own, because most sandboxes do without it and its dependencies take time to compile.
package snapshots

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	snapshotclient "github.com/kubernetes-csi/external-snapshotter/client/v8/clientset/versioned"
	snapshotscheme "github.com/kubernetes-csi/external-snapshotter/client/v8/clientset/versioned/scheme"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
)

// The defaults of both programs (cmd/snapshot-controller/main.go, cmd/csi-snapshotter/main.go).
const (
	resync     = 15 * time.Minute
	firstRetry = time.Second
	lastRetry  = 5 * time.Minute
	workers    = 10
)

// Options say which cluster to act in.
type Options struct {
	// Kubeconfig is the path of a kubeconfig with all rights.
	Kubeconfig string
	// Kinds is the directory with the definitions of the kinds, that of the client's Go module.
	Kinds string
	// ReadyFile is created once the kinds are there; empty for none.
	ReadyFile string
}

// clients are the ways to the API server.
type clients struct {
	core      kubernetes.Interface
	snapshots snapshotclient.Interface
	objects   dynamic.Interface
}

// Run acts until the context ends.
func Run(ctx context.Context, options Options) error {
	api, err := connect(options.Kubeconfig)
	if err != nil {
		return err
	}
	if err := waitForWorkers(); err != nil {
		return err
	}
	if err := applyKinds(ctx, api.objects, options.Kinds); err != nil {
		return err
	}
	if options.ReadyFile != "" {
		if err := os.WriteFile(options.ReadyFile, []byte("ready\n"), 0o600); err != nil {
			return fmt.Errorf("create ready file: %w", err)
		}
	}
	var running sync.WaitGroup
	running.Go(func() { control(ctx, api) })
	running.Go(func() { standBeside(ctx, api) })
	running.Wait()
	return nil
}

func connect(kubeconfig string) (clients, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return clients{}, fmt.Errorf("read kubeconfig: %w", err)
	}
	// It is two programs: the snapshot-controller's defaults are 5 and 10, and Longhorn gives its csi-snapshotter 50 and 100 (longhorn-manager
	// csi/deployment.go, types.KubeAPIQPS and KubeAPIBurst). Each client below has the limit for itself: Longhorn's driver, whose objects
	// are the last one's, takes hardly anything from them.
	config.QPS, config.Burst = 55, 110
	var api clients
	if api.core, err = kubernetes.NewForConfig(config); err != nil {
		return clients{}, fmt.Errorf("make client: %w", err)
	}
	if api.snapshots, err = snapshotclient.NewForConfig(config); err != nil {
		return clients{}, fmt.Errorf("make client of snapshots: %w", err)
	}
	if api.objects, err = dynamic.NewForConfig(config); err != nil {
		return clients{}, fmt.Errorf("make dynamic client: %w", err)
	}
	// So that events can be about them.
	if err := snapshotscheme.AddToScheme(scheme.Scheme); err != nil {
		return clients{}, fmt.Errorf("add the kinds of snapshots: %w", err)
	}
	return api, nil
}
