package command

import (
	"errors"
	"net"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"ha-iris/agent/internal/fence"
)

// fenceDirectory is where the check and the database's container meet.
const fenceDirectory = "/run/ha-iris/fence"

// accountDirectory is where the kubelet puts a ServiceAccount's token.
const accountDirectory = "/var/run/secrets/kubernetes.io/serviceaccount"

// fenceOptions are the flags of the check.
type fenceOptions struct {
	namespace, pod, uid, node, guardService string
	directory, listen                       string
	apiServer, tokenFile, caFile            string
	withoutPeers                            string
	parameters                              fence.Parameters
}

func fenceDefaults() *fenceOptions {
	parameters := fence.Default()
	return &fenceOptions{
		directory:    fenceDirectory,
		listen:       ":8091",
		apiServer:    inCluster(os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")),
		tokenFile:    filepath.Join(accountDirectory, "token"),
		caFile:       filepath.Join(accountDirectory, "ca.crt"),
		withoutPeers: string(parameters.WithoutPeers),
		parameters:   parameters,
	}
}

// inCluster is the API server's URL as the kubelet tells it to every container.
func inCluster(host, port string) string {
	if host == "" || port == "" {
		return ""
	}
	return "https://" + net.JoinHostPort(host, port)
}

func (o *fenceOptions) bind(flags *pflag.FlagSet) {
	flags.SortFlags = false
	text := func(value *string, name, usage string) { flags.StringVar(value, name, *value, usage) }
	text(&o.namespace, "namespace", "this pod's namespace (required)")
	text(&o.pod, "pod", "this pod's name (required)")
	text(&o.uid, "uid", "this pod's UID (required)")
	text(&o.node, "node", "the node that this pod runs on (required)")
	text(&o.guardService, "guard-service", "the headless Service of the guards in that namespace, with a port named alive;\n"+
		"empty without guards")
	text(&o.directory, "dir", "the directory that is shared with the database's container: fence.sock, agent, state.json")
	text(&o.listen, "listen", "the address of /healthz and /metrics")
	p := &o.parameters
	flags.DurationVar(&p.Interval, "interval", p.Interval, "the time between two rounds of questions")
	flags.DurationVar(&p.Timeout, "timeout", p.Timeout, "how long a round may take")
	flags.DurationVar(&p.PauseAfter, "pause-after", p.PauseAfter, "the silence after which the database is paused")
	flags.DurationVar(&p.EndAfter, "end-after", p.EndAfter, "the silence after which the database is ended for good")
	flags.DurationVar(&p.Margin, "margin", p.Margin, "how long a decision may take until every process has stopped")
	flags.DurationVar(&p.Stall, "stall", p.Stall, "how long the volume holds writes back once its copies are out of reach\n"+
		"(Longhorn's engine-replica-timeout)")
	flags.DurationVar(&p.EarliestTakeOver, "earliest-take-over", p.EarliestTakeOver,
		"the first moment after a cut at which another node may get the volume")
	text(&o.withoutPeers, "without-peers", "what silence of the API server means while no guard is known: ignore,\n"+
		"or fence, which pauses")
	text(&o.apiServer, "api-server", "the API server's URL (in a cluster its address is the default)")
	text(&o.tokenFile, "token-file", "the file with the ServiceAccount's token")
	text(&o.caFile, "ca-file", "the file with the API server's authority")
}

// validate returns every problem of the flags, joined, or nil.
func (o *fenceOptions) validate() error {
	problems := missing(
		given{"namespace", o.namespace, "a name"}, given{"pod", o.pod, "a name"}, given{"uid", o.uid, "the pod's UID"},
		given{"node", o.node, "a name"}, given{"dir", o.directory, "a directory"}, given{"api-server", o.apiServer, "https://HOST:PORT"},
		given{"token-file", o.tokenFile, "a file"}, given{"ca-file", o.caFile, "a file"},
	)
	problems = append(problems, checkListen(o.listen)...)
	o.parameters.WithoutPeers = fence.WithoutPeers(o.withoutPeers)
	return errors.Join(append(problems, o.parameters.Validate())...)
}
