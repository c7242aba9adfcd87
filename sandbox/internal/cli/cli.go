// Package cli is the sandbox's command line.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"ha-iris/sandbox/internal/cluster"
	"ha-iris/sandbox/internal/layout"
)

// Exit codes. Anything that failed is 1, as is a broken cluster.
const (
	exitFailure = 1
	exitStopped = 3
)

// exitError carries an exit code for an outcome that has been reported already.
type exitError struct{ code int }

func (e exitError) Error() string { return fmt.Sprintf("exit status %d", e.code) }

// app is what the commands share.
type app struct {
	out, progress io.Writer
	root          string
	name          string
	asJSON        bool
}

// Run executes the command line and returns the exit code.
func Run(args []string, out, progress io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	command := newCommand(&app{out: out, progress: progress})
	command.SetArgs(args)
	err := command.ExecuteContext(ctx)
	var exit exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.code
	case ctx.Err() != nil:
		_, _ = fmt.Fprintln(progress, "sandbox: interrupted; run the same command again to continue")
	default:
		_, _ = fmt.Fprintf(progress, "sandbox: %v\n", err)
	}
	return exitFailure
}

func newCommand(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "sandbox",
		Short: "A Kubernetes cluster on this machine: real control plane, simulated or real nodes",
		Long: `A Kubernetes cluster on this machine, for running ha-iris without a cloud.

The API server, scheduler, controllers, admission, taints and evictions are real. Nodes, containers and disks are
simulated, and so is Longhorn: no database runs here and no data is stored. With "up --nodes real" the nodes are real,
too: three machines in namespaces of this one, with containers and volumes (the lab; Linux and root).

Everything lies below .local in the checkout. Needs no Docker, and with simulated nodes no root; it listens on loopback,
and with real nodes on a network of its own.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetOut(a.out)
	root.SetErr(a.progress)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.PersistentFlags().StringVar(&a.root, "root", "", "checkout of ha-iris (default: the one this program or the working directory is in)")
	root.AddCommand(a.toolsCommand(), a.upCommand(), a.downCommand(), a.statusCommand(), a.nodeCommand(), a.imagesCommand(),
		a.controllerCommand(), a.registryCommand(), a.machineCommand(), a.cloudCommand())
	return root
}

func (a *app) clusterFlags(command *cobra.Command) {
	command.Flags().StringVar(&a.name, "name", "dev", "name of the cluster; several run side by side")
}

func (a *app) jsonFlag(command *cobra.Command) {
	command.Flags().BoolVar(&a.asJSON, "json", false, "print the result as JSON")
}

func (a *app) layout() (layout.Layout, error) { return layout.Find(a.root) }

func (a *app) cluster() (*cluster.Cluster, error) {
	l, err := a.layout()
	if err != nil {
		return nil, err
	}
	return cluster.New(l, a.name, a.progress)
}

func (a *app) printJSON(value any) error {
	encoder := json.NewEncoder(a.out)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		return fmt.Errorf("print result: %w", err)
	}
	return nil
}

func (a *app) printf(format string, args ...any) error {
	if _, err := fmt.Fprintf(a.out, format, args...); err != nil {
		return fmt.Errorf("print result: %w", err)
	}
	return nil
}
