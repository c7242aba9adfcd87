package command

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"ha-iris/agent/internal/fencer"
)

// admitWait is how long a start waits: longer than any cut after which the pod is still wanted, and an end for a container that
// nobody will ever let start.
const admitWait = 15 * time.Minute

// Admit returns the command that the database's container runs before the database starts (iris-main --before).
func Admit() *cobra.Command {
	client := fencer.Client{Directory: fenceDirectory, StopFile: filepath.Join(os.TempDir(), "ha-iris-stop"), Wait: admitWait}
	stop := false
	command := &cobra.Command{
		Use:   "admit",
		Short: "Waits until the database of this pod may start",
		Long: "Asks the check of this pod (agent fence) whether the database may start, and waits while it may not. Ends with 0\n" +
			"when it may, and with 1 when it never may, because the API server no longer wants this pod, or when the time is up, or when\n" +
			"another \"agent admit --stop\" says so: that is for the container's preStop hook, and ends at once.",
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if client.Wait <= 0 || client.Directory == "" || client.StopFile == "" {
				return fmt.Errorf("--wait: got %v, want more than 0; --dir: got %q, want a directory; --stop-file: got %q, want a file",
					client.Wait, client.Directory, client.StopFile)
			}
			if stop {
				return client.Stop()
			}
			client.Out = command.OutOrStdout()
			return client.Admit(command.Context())
		},
	}
	flags := command.Flags()
	flags.SortFlags = false
	flags.StringVar(&client.Directory, "dir", client.Directory, "the directory that is shared with the check")
	flags.BoolVar(&stop, "stop", false, "say that the container is being stopped, so that a start that waits in it ends")
	flags.StringVar(&client.StopFile, "stop-file", client.StopFile, "the file of this container that says so")
	flags.DurationVar(&client.Wait, "wait", client.Wait, "how long to wait")
	return command
}
