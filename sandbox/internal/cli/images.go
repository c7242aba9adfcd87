package cli

import (
	"fmt"
	"net"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"ha-iris/sandbox/internal/images"
)

func (a *app) imagesCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "images",
		Short: "Build the container images of the lab, without Docker",
		Long: `Builds the images that run on the lab's nodes and prints them: name, digest, size of what a node pulls, and what each stands
for. None of them is a vendor's: they are stand-ins that keep a documented contract. Nothing is built while their sources
are unchanged, and the same sources give the same digests everywhere.

Needs Linux and a static busybox, Debian's and Ubuntu's package busybox-static, which gives them a shell. They lie in
.local/images as an OCI image layout.`,
		Example: `  sandbox images
  sandbox images --json`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error { return a.images(command) },
	}
	a.jsonFlag(command)
	return command
}

func (a *app) images(command *cobra.Command) error {
	l, err := a.layout()
	if err != nil {
		return err
	}
	built, err := images.Ensure(command.Context(), l, a.progress)
	if err != nil {
		return err
	}
	if a.asJSON {
		return a.printJSON(built)
	}
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "NAME\tDIGEST\tSIZE\tPLAYS") // strings.Builder does not fail
	for _, image := range built {
		_, _ = fmt.Fprintf(table, "%s\t%.19s\t%.1f MB\t%s\n", image.Name, image.Digest, float64(image.Size)/1e6, image.Plays)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("lay out images: %w", err)
	}
	return a.printf("%s", text.String())
}

// registryCommand is what the lab starts for its nodes; nobody needs to type it.
func (a *app) registryCommand() *cobra.Command {
	var dir, listen string
	command := &cobra.Command{
		Use:    "registry",
		Short:  "Serve the images to the lab's nodes (started by the lab)",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			var config net.ListenConfig
			listener, err := config.Listen(command.Context(), "tcp", listen)
			if err != nil {
				return fmt.Errorf("listen for the nodes: %w", err)
			}
			return images.Serve(command.Context(), dir, listener, a.out)
		},
	}
	command.Flags().String("cluster", "", "directory of the cluster that it serves, by which its process is recognised")
	command.Flags().StringVar(&dir, "dir", "", "directory of the images, as sandbox images writes it")
	command.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "address and port; port 0 takes any, which the first line says")
	return command
}
