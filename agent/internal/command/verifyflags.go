package command

import (
	"errors"

	"github.com/spf13/pflag"

	"ha-iris/agent/internal/kube"
	"ha-iris/agent/internal/verify"
)

// verifyOptions are the flags of a verification.
type verifyOptions struct {
	target     kube.VerifyTarget
	config     verify.Config
	kubeconfig string
}

func verifyDefaults() *verifyOptions {
	return &verifyOptions{
		target: kube.VerifyTarget{
			Database: backupDefaults().target, Template: "iris-verify-copy", Copy: "iris-verify-copy", Results: "iris-verify",
		},
		config: verify.Default(),
	}
}

func (o *verifyOptions) bind(flags *pflag.FlagSet) {
	flags.SortFlags = false
	text := func(value *string, name, usage string) { flags.StringVar(value, name, *value, usage) }
	database := &o.target.Database
	text(&database.Namespace, "namespace", "the database's namespace (required)")
	text(&database.Claim, "claim", "the PersistentVolumeClaim whose backups are verified (required)")
	text(&database.Owner, "owner", "the stack's number, by which it knows what it has made (required)")
	text(&database.Stack, "stack", "the stack's name, for people")
	text(&database.Deployment, "deployment", "the database's Deployment")
	text(&database.Container, "container", "the database's container in its pods, and the copy's")
	text(&database.LonghornNamespace, "longhorn-namespace", "Longhorn's namespace")
	text(&o.target.Template, "template", "the PodTemplate of the copy's pod")
	text(&o.target.Copy, "copy", "the name of the copy's pod and claim")
	text(&o.target.Class, "class", "the name of the class of the copy's volume (required)")
	text(&o.target.Results, "results", "the ConfigMap with what was found of each backup")
	text(&o.target.Pod, "pod", "the run's own pod (required)")
	text(&o.target.PodUID, "pod-uid", "its UID: what the run has made is collected with it (required)")
	flags.DurationVar(&o.config.Patience, "patience", o.config.Patience, "how long to wait until a verification can begin")
	flags.DurationVar(&o.config.RestoreTimeout, "restore-timeout", o.config.RestoreTimeout, "how long Longhorn may take to restore the backup")
	flags.DurationVar(&o.config.StartTimeout, "start-timeout", o.config.StartTimeout, "how long IRIS may take to start on it")
	flags.DurationVar(&o.config.CheckTimeout, "check-timeout", o.config.CheckTimeout, "how long the integrity check may take")
	flags.DurationVar(&o.config.CleanupBudget, "cleanup-budget", o.config.CleanupBudget, "how long to wait until nothing of the copy is left")
	text(&o.kubeconfig, "kubeconfig", "the kubeconfig file (default: the cluster that this pod runs in)")
}

// validate returns every problem of the flags, joined, or nil.
func (o *verifyOptions) validate() error {
	database := o.target.Database
	problems := missing(
		given{"namespace", database.Namespace, "a name"}, given{"claim", database.Claim, "a name"}, given{"owner", database.Owner, "the stack's number"},
		given{"deployment", database.Deployment, "a name"}, given{"container", database.Container, "a name"},
		given{"longhorn-namespace", database.LonghornNamespace, "a name"}, given{"template", o.target.Template, "a name"},
		given{"copy", o.target.Copy, "a name"}, given{"class", o.target.Class, "a name"}, given{"results", o.target.Results, "a name"},
		given{"pod", o.target.Pod, "a name"}, given{"pod-uid", o.target.PodUID, "a UID"},
	)
	if database.Claim != "" && database.Claim == o.target.Copy {
		problems = append(problems, errors.New("--copy: got the name of --claim, want another one: the copy is deleted"))
	}
	return errors.Join(append(problems, o.config.Validate())...)
}
