package command

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"ha-iris/agent/internal/backup"
	"ha-iris/agent/internal/kube"
)

// backupOptions are the flags of a backup.
type backupOptions struct {
	target     kube.BackupTarget
	config     backup.Config
	kubeconfig string
	// job is the job that the run belongs to, and cronJob the CronJob that makes the scheduled ones.
	job, cronJob string
}

func backupDefaults() *backupOptions {
	return &backupOptions{
		target: kube.BackupTarget{Deployment: "iris", Container: "iris", LonghornNamespace: "longhorn-system"}, config: backup.Default(),
		cronJob: "iris-backup-consistent",
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
	text(&o.job, "job", "the job that this run belongs to; one that --cron-job has not made is by hand, and its backup is not pruned (default: a scheduled run)")
	text(&o.cronJob, "cron-job", "the CronJob that makes the scheduled runs")
	flags.IntVar(&o.config.Retain, "retain", o.config.Retain, "how many backups of this kind are kept, without those by hand")
	flags.DurationVar(&o.config.FreezeLimit, "freeze-limit", o.config.FreezeLimit, "when the dead man in the database's container thaws")
	flags.DurationVar(&o.config.SnapshotBudget, "snapshot-budget", o.config.SnapshotBudget, "how long the snapshot may take to be cut")
	flags.DurationVar(&o.config.Timeout, "timeout", o.config.Timeout, "how long Longhorn may take to back the snapshot up")
	flags.DurationVar(&o.config.Patience, "patience", o.config.Patience, "how long to wait until a backup can begin")
	text(&o.kubeconfig, "kubeconfig", "the kubeconfig file (default: the cluster that this pod runs in)")
}

// byHand says that a job is none that the CronJob has made. Those are called by its name and the minutes since 1970 of the time that they
// were due at (Kubernetes, pkg/controller/cronjob, getJobName). Nothing else tells a pod how its job came about. A run apart from all jobs is
// a scheduled one.
func byHand(job, cronJob string, now time.Time) bool {
	if job == "" {
		return false
	}
	number, ours := strings.CutPrefix(job, cronJob+"-")
	minutes, err := strconv.ParseInt(number, 10, 64)
	const late = 24 * time.Hour // Far more than a job may begin late and take. A number of somebody's own is not near.
	return !ours || err != nil || now.Sub(time.Unix(minutes*60, 0)).Abs() > late
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
