package cli

import (
	"github.com/spf13/cobra"

	"ha-iris/sandbox/internal/standin"
)

// controllerCommand is what "sandbox up" starts beside the control plane; nobody needs to type it.
func (a *app) controllerCommand() *cobra.Command {
	var options standin.Options
	command := &cobra.Command{
		Use:    "controller",
		Short:  "Play Longhorn and the kubelets (started by sandbox up)",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return standin.Run(command.Context(), options)
		},
	}
	command.Flags().StringVar(&options.Kubeconfig, "kubeconfig", "", "kubeconfig of the cluster")
	command.Flags().StringVar(&options.Buckets, "buckets", "", "directory that holds the buckets of backup targets")
	command.Flags().StringVar(&options.AgentModule, "agent-module", "", "directory of the agent's Go module")
	command.Flags().StringVar(&options.Agents, "agents", "", "directory for the agents' program, tokens and logs")
	command.Flags().BoolVar(&options.NetworkDisk, "network-disk", false, "play a second storage driver, of a disk in a network")
	command.Flags().StringVar(&options.ReadyFile, "ready-file", "", "file to create once the controller acts")
	return command
}
