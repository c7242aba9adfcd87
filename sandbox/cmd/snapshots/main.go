// Command snapshots is what a cluster needs for VolumeSnapshots: their kinds, the snapshot-controller, and the csi-snapshotter beside
// Longhorn's stand-in. "sandbox up --snapshots" builds and starts it; nobody needs to type it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"ha-iris/sandbox/internal/snapshots"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "snapshots:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, arguments []string) error {
	var options snapshots.Options
	flags := flag.NewFlagSet("snapshots", flag.ContinueOnError)
	flags.StringVar(&options.Kubeconfig, "kubeconfig", "", "kubeconfig of the cluster")
	flags.StringVar(&options.Kinds, "kinds", "", "directory with the definitions of the kinds")
	flags.StringVar(&options.ReadyFile, "ready-file", "", "file to create once the kinds are there")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	return snapshots.Run(ctx, options)
}
