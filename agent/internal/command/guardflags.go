package command

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"ha-iris/agent/internal/guard"
)

// guardOptions are the flags of the guard as they were given. All are text, so that every problem is found before the first is said.
type guardOptions struct {
	mode, namespace, claim, node, pod string
	longhornNamespace, proofs         string
	isolation, listen, lease          string
	kubeconfig                        string
	fencedStorage                     bool
}

func guardDefaults() *guardOptions {
	return &guardOptions{
		mode:              string(guard.ModeGuard),
		longhornNamespace: "longhorn-system",
		isolation:         guard.Default().Isolation.String(),
		listen:            ":8090",
		lease:             "ha-iris-guard",
	}
}

func (o *guardOptions) bind(flags *pflag.FlagSet) {
	flags.SortFlags = false
	text := func(value *string, name, usage string) { flags.StringVar(value, name, *value, usage) }
	text(&o.mode, "mode", "guard acts; observe says what it would do, and changes nothing")
	text(&o.namespace, "namespace", "the database's namespace (required)")
	text(&o.claim, "claim", "the PersistentVolumeClaim with the database's data (required)")
	text(&o.node, "node", "the node that this guard runs on (required)")
	text(&o.pod, "pod", "the name of this guard's pod, by which it is known in the election (required)")
	text(&o.longhornNamespace, "longhorn-namespace", "Longhorn's namespace; empty where the storage is not Longhorn")
	text(&o.proofs, "proofs", "the reasons to hold the database on a lost node for dead, comma-separated: deleted, shutdown, isolation\n"+
		"(default: all; without Longhorn deleted,shutdown)")
	flags.BoolVar(&o.fencedStorage, "fenced-storage", o.fencedStorage,
		"the storage that is not Longhorn keeps a node from writing once the volume has left it, so that isolation counts there too")
	text(&o.isolation, "isolation", "how long after a cut the database has ended itself at the latest")
	text(&o.listen, "listen", "the address of /alive, /healthz, /readyz and /metrics")
	text(&o.lease, "lease", "the Lease by which the guards elect their leader")
	text(&o.kubeconfig, "kubeconfig", "the kubeconfig file (default: the cluster that this pod runs in)")
}

// validate returns every problem of the flags, joined, or nil.
func (o *guardOptions) validate() error {
	problems := missing(
		given{"namespace", o.namespace, "a name"}, given{"claim", o.claim, "a name"}, given{"node", o.node, "a name"},
		given{"pod", o.pod, "a name"}, given{"lease", o.lease, "a name"},
	)
	problems = append(problems, checkListen(o.listen)...)
	config, err := o.config()
	if err != nil {
		problems = append(problems, err)
	}
	return errors.Join(append(problems, config.Validate())...)
}

// config is how the guard decides. Where a length of time cannot be read the default stands in, so that the rest is checked.
func (o *guardOptions) config() (guard.Config, error) {
	config := guard.Default()
	config.Mode = guard.Mode(o.mode)
	config.Longhorn = o.longhornNamespace != ""
	config.FencedStorage = o.fencedStorage
	config.Proofs = o.listed()
	isolation, err := time.ParseDuration(o.isolation)
	if err != nil {
		return config, fmt.Errorf("--isolation: got %q, want a length of time such as %s: %w", o.isolation, config.Isolation, err)
	}
	config.Isolation = isolation
	return config, nil
}

// listed are the proofs that were given, or those that the storage allows.
func (o *guardOptions) listed() []guard.Proof {
	if o.proofs == "" {
		return slices.DeleteFunc(guard.Default().Proofs, func(one guard.Proof) bool {
			return one == guard.ProofIsolation && o.longhornNamespace == "" && !o.fencedStorage
		})
	}
	var proofs []guard.Proof
	for one := range strings.SplitSeq(o.proofs, ",") {
		proofs = append(proofs, guard.Proof(strings.TrimSpace(one)))
	}
	return proofs
}
