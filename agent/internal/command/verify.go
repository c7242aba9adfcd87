package command

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"ha-iris/agent/internal/kube"
	"ha-iris/agent/internal/verify"
)

// verifyName is how a run calls itself in requests.
const verifyName = "ha-iris-verify"

// Verify returns the command that verifies the last backup.
func Verify() *cobra.Command {
	options := verifyDefaults()
	command := &cobra.Command{
		Use:   "verify",
		Short: "Restores the last backup into a copy and looks whether it is whole",
		Long: "Restores the last backup of the volume into a volume of its own, starts IRIS on it where nobody can reach it, runs\n" +
			"the integrity check, looks for a row that an earlier run has written into the database, notes the result, and\n" +
			"deletes the copy, whatever happened; first of all, what an earlier run has left.",
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := options.validate(); err != nil {
				return err
			}
			return runVerify(command.Context(), options, command.ErrOrStderr())
		},
	}
	options.bind(command.Flags())
	return command
}

func runVerify(ctx context.Context, options *verifyOptions, stderr io.Writer) error {
	log := slog.New(slog.NewTextHandler(stderr, nil))
	klog.SetSlogLogger(log)
	cluster, err := kube.ConnectVerifies(options.kubeconfig, verifyName, options.target)
	if err != nil {
		return err
	}
	database := options.target.Database
	shell, err := kube.NewRemote(options.kubeconfig, verifyName, database.Namespace, database.Container)
	if err != nil {
		return err
	}
	token, err := drawName("verify", time.Now())
	if err != nil {
		return err
	}
	return verify.New(options.config, cluster, shell, log, options.target.PodUID, token).Do(ctx)
}
