// Package command has the agent's subcommands: their flags, and what they put together.
package command

import (
	"context"

	"github.com/spf13/cobra"
)

// Guard returns the command that frees the database's pod when its node is lost.
func Guard() *cobra.Command {
	options := guardDefaults()
	command := &cobra.Command{
		Use:   "guard",
		Short: "Frees the database's pod when its node is lost",
		Long: "Frees the database's pod and volume when its node is lost, in the order that loses nothing, and answers\n" +
			"the check in the database's pod (/alive). Run two of them, on different nodes: one leads, both answer.",
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := options.validate(); err != nil {
				return err
			}
			return runGuard(command.Context(), options)
		},
	}
	options.bind(command.Flags())
	return command
}

// runGuard runs until the context ends.
func runGuard(ctx context.Context, _ *guardOptions) error {
	<-ctx.Done()
	return nil
}
