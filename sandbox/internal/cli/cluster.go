package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"ha-iris/sandbox/internal/cluster"
	"ha-iris/sandbox/internal/images"
	"ha-iris/sandbox/internal/tools"
)

func (a *app) upCommand() *cobra.Command {
	var choices upChoices
	var check bool
	command := &cobra.Command{
		Use:   "up",
		Short: "Start the cluster, or repair it; fine if it runs",
		Long: `Starts the cluster and waits until its three nodes are ready. Starts what is missing if it is broken, and
does nothing if it runs. Objects survive "sandbox down", so that a Pulumi stack and its cluster stay in agreement.`,
		Example: `  sandbox up
  sandbox up --name test --load-balancer hostname
  sandbox up --name cloud --disks network
  sandbox up --name lab --nodes real --snapshots
  sandbox up --nodes real --check
  kubectl --kubeconfig .local/sandbox/dev/kubeconfig get nodes`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if check {
				return a.check(choices)
			}
			return a.up(command, choices)
		},
	}
	a.clusterFlags(command)
	a.jsonFlag(command)
	command.Flags().StringVar(&choices.nodes, "nodes", "",
		"what the nodes are: simulated, or real (containers run; Linux and root) (default: as before, simulated at first)")
	command.Flags().BoolVar(&check, "check", false, "only say whether this machine can run such nodes, and what it lacks; nothing is started")
	command.Flags().StringVar(&choices.loadBalancer, "load-balancer", "",
		"how the simulated cloud answers LoadBalancer Services: ip, hostname or pending (default: as before, ip at first)")
	command.Flags().StringVar(&choices.disks, "disks", "",
		"what storage the simulated cloud has beside Longhorn: none, or network (StorageClass network-disk) (default: as before, none at first)")
	command.Flags().BoolVar(&choices.snapshots, "snapshots", false,
		"have the kinds of VolumeSnapshots and their controller, as AKS and GKE bring them; they stay until the cluster is purged (default: as before, none at first)")
	return command
}

// check fails with everything that the machine lacks.
func (a *app) check(choices upChoices) error {
	c, err := a.cluster()
	if err != nil {
		return err
	}
	options, err := choices.options()
	if err != nil {
		return err
	}
	kind, err := c.Preflight(options)
	if err != nil {
		return err
	}
	return a.printf("this machine can run %s nodes\n", kind)
}

func (a *app) up(command *cobra.Command, choices upChoices) error {
	c, err := a.cluster()
	if err != nil {
		return err
	}
	options, err := choices.options()
	if err != nil {
		return err
	}
	l, err := a.layout()
	if err != nil {
		return err
	}
	began := time.Now()
	kind, err := c.Preflight(options)
	if err != nil {
		return err
	}
	err = tools.Ensure(command.Context(), l, cluster.Programs(kind), a.progress, func(result tools.Result) {
		if result.Source != tools.UpToDate {
			_, _ = fmt.Fprintln(a.progress, result) // the tool is there even if nobody reads the line
		}
	})
	if err != nil {
		return err
	}
	if kind == cluster.RealNodes {
		if _, err := images.Ensure(command.Context(), l, a.progress); err != nil {
			return err
		}
	}
	status, err := c.Up(command.Context(), options)
	if err != nil {
		return err
	}
	if a.asJSON {
		return a.printJSON(status)
	}
	_, _ = fmt.Fprintf(a.progress, "cluster %q is up after %.1f s\n", a.name, time.Since(began).Seconds())
	return a.printStatus(status)
}

// upChoices are what the flags of up say; empty is as before.
type upChoices struct {
	loadBalancer, nodes, disks string
	snapshots                  bool
}

func (u upChoices) options() (cluster.UpOptions, error) {
	self, err := os.Executable()
	if err != nil {
		return cluster.UpOptions{}, fmt.Errorf("find this program's own file: %w", err)
	}
	options := cluster.UpOptions{Self: self, Snapshots: u.snapshots}
	var mistakes []error
	if u.nodes != "" {
		options.Nodes, err = cluster.ParseNodeKind(u.nodes)
		mistakes = append(mistakes, err)
	}
	if u.loadBalancer != "" {
		options.LoadBalancer, err = cluster.ParseLoadBalancer(u.loadBalancer)
		mistakes = append(mistakes, err)
	}
	if u.disks != "" {
		options.Disks, err = cluster.ParseDisks(u.disks)
		mistakes = append(mistakes, err)
	}
	return options, errors.Join(mistakes...)
}

func (a *app) downCommand() *cobra.Command {
	var purge bool
	command := &cobra.Command{
		Use:   "down",
		Short: "Stop the cluster; fine if it does not run",
		Long: `Stops exactly the processes that "sandbox up" started and waits until they are gone. The cluster's objects are kept
for the next start unless --purge deletes them.`,
		Example: `  sandbox down
  sandbox down --name test --purge`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error { return a.down(command, purge) },
	}
	a.clusterFlags(command)
	command.Flags().BoolVar(&purge, "purge", false, "also delete the cluster's objects, keys and logs")
	return command
}

func (a *app) down(command *cobra.Command, purge bool) error {
	c, err := a.cluster()
	if err != nil {
		return err
	}
	wasRunning, err := c.Down(command.Context(), purge)
	if err != nil {
		return err
	}
	outcome := "was not running"
	if wasRunning {
		outcome = "is stopped"
	}
	if purge {
		outcome += " and deleted"
	}
	return a.printf("cluster %q %s\n", a.name, outcome)
}

func (a *app) statusCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "status",
		Short: "Say whether the cluster runs; exit code 0 running, 3 stopped, 1 broken",
		Example: `  sandbox status
  sandbox status --name test --json`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error { return a.status(command) },
	}
	a.clusterFlags(command)
	a.jsonFlag(command)
	return command
}

func (a *app) status(command *cobra.Command) error {
	c, err := a.cluster()
	if err != nil {
		return err
	}
	status, err := c.Status(command.Context())
	if err != nil {
		return err
	}
	if a.asJSON {
		err = a.printJSON(status)
	} else {
		err = a.printStatus(status)
	}
	if err != nil {
		return err
	}
	switch status.Health {
	case cluster.Broken:
		return exitError{exitFailure}
	case cluster.Stopped:
		return exitError{exitStopped}
	case cluster.Running:
	}
	return nil
}

func (a *app) printStatus(status cluster.Status) error {
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	line := func(format string, args ...any) {
		_, _ = fmt.Fprintf(table, format+"\n", args...) // strings.Builder does not fail
	}
	line("cluster\t%s (%s)", status.Name, status.Health)
	if status.Problem != "" {
		line("problem\t%s", status.Problem)
	}
	for _, process := range status.Processes {
		if process.PID != 0 {
			line("process\t%s\tpid %d%s", process.Name, process.PID, strings.TrimPrefix(process.State, "running"))
		} else {
			line("process\t%s\t%s", process.Name, process.State)
		}
	}
	for _, node := range status.Nodes {
		line("node\t%s\t%s\t%s", node.Name, node.Zone, nodeState(node))
	}
	if status.Server != "" {
		line("server\t%s", status.Server)
		line("kubeconfig\t%s (context %s)", status.Kubeconfig, status.Context)
	}
	if status.Health != cluster.Stopped {
		line("simulated\t%s", strings.Join(status.Simulated, ", "))
		line("not enforced\t%s", strings.Join(status.NotEnforced, ", "))
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("lay out status: %w", err)
	}
	return a.printf("%s", text.String())
}

func nodeState(node cluster.Node) string {
	state := "NotReady"
	if node.Ready {
		state = "Ready"
	}
	if node.Simulated {
		state += ", simulated"
	}
	return state
}
