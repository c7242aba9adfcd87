package command

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"syscall"

	"github.com/spf13/cobra"

	"ha-iris/agent/internal/boottime"
	"ha-iris/agent/internal/fencer"
	"ha-iris/agent/internal/processes"
	"ha-iris/agent/internal/witness"
)

// Fence returns the command that watches in the database's pod whether the database may run.
func Fence() *cobra.Command {
	options := fenceDefaults()
	command := &cobra.Command{
		Use:   "fence",
		Short: "Pauses and ends the database of this pod when its node is cut off",
		Long: "Asks the API server and the guards on other nodes in every interval. While nothing answers the database's\n" +
			"processes are stopped, and killed if that lasts. Runs beside the database, as its user, in a pod with\n" +
			"shareProcessNamespace: true. The database's container asks it before a start: agent admit.",
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := options.validate(); err != nil {
				return err
			}
			return runFence(command.Context(), options, command.ErrOrStderr())
		},
	}
	options.bind(command.Flags())
	return command
}

// processRoot is the file system of the pod's processes.
const processRoot = "/proc"

func runFence(ctx context.Context, options *fenceOptions, stderr io.Writer) error {
	if err := processes.CheckNamespace(processRoot, os.Getpid()); err != nil {
		return err
	}
	clock, err := boottime.New()
	if err != nil {
		return err
	}
	bootID, err := boottime.BootID()
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(stderr, nil))
	past := fencer.Recall(options.directory, bootID)
	asked, err := witness.New(witness.Config{
		APIServer: options.apiServer, TokenFile: options.tokenFile, CAFile: options.caFile,
		Namespace: options.namespace, Pod: options.pod, UID: options.uid, Node: options.node, GuardService: options.guardService,
		Timeout: options.parameters.Timeout, Now: clock, Log: log,
	}, past.Peers())
	if err != nil {
		return fmt.Errorf("--api-server: %w", err)
	}
	var loop *fencer.Loop
	database := processes.New(processes.Config{
		Root: processRoot, Self: os.Getpid(), Signal: syscall.Kill, Now: clock, Log: log,
		Record: func() { loop.Save() }, // Never before the loop runs.
	}, past.Processes())
	loop, err = fencer.New(fencer.Config{
		Parameters: options.parameters, Witness: asked, Database: database, Now: clock, BootID: bootID, Log: log,
	}, options.directory, past)
	if err != nil {
		return err
	}
	if err := fencer.CopySelf(options.directory); err != nil {
		return err
	}
	p := options.parameters
	log.Info("the check runs", "pod", options.pod, "node", options.node,
		"pausedAfterACutWithin", p.WorstPause(), "endedWithin", p.WorstEnd(), "withoutPeers", string(p.WithoutPeers))
	return loop.Serve(ctx, options.directory, options.listen)
}
