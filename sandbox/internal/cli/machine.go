package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"ha-iris/sandbox/internal/lab"
)

// machineCommand is the first process of a real node; sandbox up starts it.
func (a *app) machineCommand() *cobra.Command {
	var dir string
	command := &cobra.Command{
		Use:    "machine",
		Short:  "Be the first process of a real node (started by sandbox up)",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE:   func(*cobra.Command, []string) error { return lab.Boot(dir) },
	}
	command.Flags().StringVar(&dir, "machine", "", "directory of the node")
	return command
}

// cloudCommand plays the cloud around real nodes; sandbox up starts it.
func (a *app) cloudCommand() *cobra.Command {
	var options lab.CloudOptions
	command := &cobra.Command{
		Use:    "cloud",
		Short:  "Give Services names and addresses (started by sandbox up)",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := lab.Cloud(command.Context(), options); err != nil {
				return fmt.Errorf("cloud: %w", err)
			}
			return nil
		},
	}
	command.Flags().StringVar(&options.Kubeconfig, "kubeconfig", "", "kubeconfig of the cluster")
	command.Flags().IntVar(&options.Plan.Index, "lab", 0, "number of the lab's network")
	return command
}
