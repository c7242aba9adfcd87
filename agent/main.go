// Command agent keeps a database's data right when a node is lost: see README.md.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"ha-iris/agent/internal/command"
)

// subcommands are all that the agent does, each with its flags and its help.
func subcommands() []*cobra.Command {
	return []*cobra.Command{
		command.Guard(),
		command.Fence(),
		command.Admit(),
		command.Sleep(),
		command.Backup(),
		command.Verify(),
	}
}

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run returns the exit code: 0, or 1 with what went wrong in the last lines of stderr. Kubernetes ends a container with SIGTERM.
func run(arguments []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := &cobra.Command{
		Use:           "agent",
		Short:         "Keeps a database's data right when a node is lost",
		SilenceUsage:  true, // An error of a running agent is no question about its flags.
		SilenceErrors: true,
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(subcommands()...)
	root.SetArgs(arguments)
	root.SetOut(stdout)
	root.SetErr(stderr)
	if err := root.ExecuteContext(ctx); err != nil {
		_, _ = fmt.Fprintf(stderr, "agent: %v\n", err)
		return 1
	}
	return 0
}
