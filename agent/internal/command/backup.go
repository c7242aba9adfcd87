package command

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"ha-iris/agent/internal/backup"
	"ha-iris/agent/internal/kube"
)

// backupName is how a run calls itself in requests.
const backupName = "ha-iris-backup"

// Backup returns the command that makes one backup that IRIS has prepared.
func Backup() *cobra.Command {
	options := backupDefaults()
	command := &cobra.Command{
		Use:   "backup",
		Short: "Makes one backup of the volume while IRIS is frozen",
		Long: "Freezes IRIS, has Longhorn cut a snapshot, thaws, and has Longhorn back the snapshot up. Whatever happens in\n" +
			"between, IRIS is thawed: by this run, or by a process that it leaves in the database's container before it\n" +
			"freezes. Scheduled backups of this kind beyond --retain are deleted, the oldest first, and nobody else's.",
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := options.validate(); err != nil {
				return err
			}
			return runBackup(command.Context(), options, command.ErrOrStderr())
		},
	}
	options.bind(command.Flags())
	return command
}

func runBackup(ctx context.Context, options *backupOptions, stderr io.Writer) error {
	log := slog.New(slog.NewTextHandler(stderr, nil))
	klog.SetSlogLogger(log)
	options.target.ByHand = byHand(options.job, options.cronJob, time.Now())
	cluster, err := kube.ConnectBackups(options.kubeconfig, backupName, options.target)
	if err != nil {
		return err
	}
	shell, err := kube.NewRemote(options.kubeconfig, backupName, options.target.Namespace, options.target.Container)
	if err != nil {
		return err
	}
	name, err := drawName(options.target.Namespace+"-consistent", time.Now())
	if err != nil {
		return err
	}
	return backup.New(options.config, cluster, shell, log, name).Do(ctx)
}

// drawName is for people to recognize, and never comes twice.
func drawName(prefix string, now time.Time) (string, error) {
	drawn := make([]byte, 4)
	if _, err := rand.Read(drawn); err != nil {
		return "", fmt.Errorf("draw a name: %w", err)
	}
	return fmt.Sprintf("%s-%s-%s", prefix, now.UTC().Format("20060102-150405"), hex.EncodeToString(drawn)), nil
}
