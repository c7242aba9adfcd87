package command

import (
	"github.com/spf13/cobra"
)

// Sleep returns the command that does nothing until it is told to stop: a pod of it keeps the image on its node, which has no shell
// to sleep with.
func Sleep() *cobra.Command {
	return &cobra.Command{
		Use:   "sleep",
		Short: "Does nothing until it is stopped, so that the image stays on the node",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			<-command.Context().Done()
			return nil
		},
	}
}
