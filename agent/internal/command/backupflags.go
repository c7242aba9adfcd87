package command

import (
	"errors"

	"github.com/spf13/pflag"

	"ha-iris/agent/internal/backup"
	"ha-iris/agent/internal/kube"
)

// backupOptions are the flags of a backup.
type backupOptions struct {
	target     kube.BackupTarget
	config     backup.Config
	kubeconfig string
}

func backupDefaults() *backupOptions {
	return &backupOptions{
		target: kube.BackupTarget{Deployment: "iris", Container: "iris", LonghornNamespace: "longhorn-system"}, config: backup.Default(),
	}
}

func (o *backupOptions) bind(flags *pflag.FlagSet) {
	flags.SortFlags = false
	text := func(value *string, name, usage string) { flags.StringVar(value, name, *value, usage) }
	text(&o.target.Namespace, "namespace", "the database's namespace (required)")
	text(&o.target.Claim, "claim", "the PersistentVolumeClaim with the database's data (required)")
	text(&o.target.Owner, "owner", "the stack's number, by which it knows what it has made (required)")
	text(&o.target.Stack, "stack", "the stack's name, for people")
	text(&o.target.Deployment, "deployment", "the database's Deployment")
	text(&o.target.Container, "container", "the database's container in its pods")
	text(&o.target.LonghornNamespace, "longhorn-namespace", "Longhorn's namespace")
	flags.IntVar(&o.config.Retain, "retain", o.config.Retain, "how many backups of this kind are kept")
	flags.DurationVar(&o.config.FreezeLimit, "freeze-limit", o.config.FreezeLimit, "when the dead man in the database's container thaws")
	flags.DurationVar(&o.config.SnapshotBudget, "snapshot-budget", o.config.SnapshotBudget, "how long the snapshot may take to be cut")
	flags.DurationVar(&o.config.Timeout, "timeout", o.config.Timeout, "how long Longhorn may take to back the snapshot up")
	flags.DurationVar(&o.config.Patience, "patience", o.config.Patience, "how long to wait until a backup can begin")
	text(&o.kubeconfig, "kubeconfig", "the kubeconfig file (default: the cluster that this pod runs in)")
}

// validate returns every problem of the flags, joined, or nil.
func (o *backupOptions) validate() error {
	problems := missing(
		given{"namespace", o.target.Namespace, "a name"}, given{"claim", o.target.Claim, "a name"}, given{"owner", o.target.Owner, "the stack's number"},
		given{"deployment", o.target.Deployment, "a name"}, given{"container", o.target.Container, "a name"},
		given{"longhorn-namespace", o.target.LonghornNamespace, "a name"},
	)
	return errors.Join(append(problems, o.config.Validate())...)
}
