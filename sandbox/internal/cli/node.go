package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"ha-iris/sandbox/internal/cluster"
)

// nodeFault is one of the subcommands of node.
type nodeFault struct {
	fault        cluster.Fault
	short, about string
}

func nodeFaults() []nodeFault {
	return []nodeFault{
		{
			cluster.Kill, "Kill a node at once; it stays dead until node start",
			`Ends the node as a machine that loses its power: its kubelet is silent from now on. Kubernetes notices after 40 to 55 s, with
real nodes too. The node stays dead across "sandbox down" and "up" until "sandbox node start"; a simulated one for a day at most.`,
		},
		{
			cluster.Start, "Start a dead node again",
			`Starts a node that was killed, or its kubelet. It is Ready within 10 s. A real node that was cut off wants "sandbox node join".`,
		},
		{
			cluster.KubeletStop, "Stop a node's kubelet only; on simulated nodes as node kill",
			`Stops the node's kubelet. On a real machine network and containers run on. Simulated nodes have neither, so there it does what
"sandbox node kill" does, and says so. "sandbox node start" undoes it.`,
		},
		{
			cluster.Cut, "Cut a node's network only; on simulated nodes as node kill",
			`Takes the node off the network. On a real machine kubelet and containers run on, and write to disks that nobody else sees.
Simulated nodes have none of this, so there it does what "sandbox node kill" does, and says so. "sandbox node join"
undoes it.`,
		},
		{
			cluster.Join, "Put a node that was cut off back on the network; on simulated nodes as node start",
			`Undoes "sandbox node cut". On simulated nodes it does what "sandbox node start" does.`,
		},
	}
}

func (a *app) nodeCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "node",
		Short: "Kill a node, start it, cut it off",
		Long: `Does to a node of the running cluster what happens to machines, or undoes it. Doing it twice is fine: the second time changes
nothing and says so. A node with one fault gets no other, except that it can be killed.`,
		Example: `  sandbox node kill ha-iris-node-a
  sandbox node start ha-iris-node-a`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	for _, fault := range nodeFaults() {
		command.AddCommand(a.nodeFaultCommand(fault))
	}
	return command
}

func (a *app) nodeFaultCommand(f nodeFault) *cobra.Command {
	command := &cobra.Command{
		Use:   string(f.fault) + " NAME",
		Short: f.short,
		Long:  f.about,
		Example: fmt.Sprintf(`  sandbox node %[1]s ha-iris-node-a
  sandbox node %[1]s ha-iris-node-b --name test --json`, f.fault),
		Args: func(_ *cobra.Command, names []string) error {
			if len(names) != 1 {
				return errors.New("want the name of one node; sandbox status shows them")
			}
			return nil
		},
		RunE: func(command *cobra.Command, names []string) error { return a.nodeFault(command, f.fault, names[0]) },
	}
	a.clusterFlags(command)
	a.jsonFlag(command)
	return command
}

func (a *app) nodeFault(command *cobra.Command, fault cluster.Fault, node string) error {
	c, err := a.cluster()
	if err != nil {
		return err
	}
	result, err := c.Inject(command.Context(), fault, node)
	if err != nil {
		return err
	}
	return a.printFault(result)
}

func (a *app) printFault(result cluster.FaultResult) error {
	if result.NotSimulated != "" {
		_, _ = fmt.Fprintf(a.progress, "not simulated: %s\n", result.NotSimulated) // the result counts, not the remark
	}
	if a.asJSON {
		return a.printJSON(result)
	}
	switch {
	case !result.Changed:
		return a.printf("node %s %s already: nothing changed\n", result.Node, nodeIs(result.State))
	case result.State == cluster.Alive:
		return a.printf("node %s is alive; it is Ready within 10 s\n", result.Node)
	default:
		return a.printf("node %s %s; Kubernetes notices after 40 to 55 s\n", result.Node, nodeIs(result.State))
	}
}

// nodeIs completes a sentence about a node.
func nodeIs(state cluster.NodeState) string {
	switch state {
	case cluster.CutOff:
		return "is cut off and runs on"
	case cluster.KubeletStopped:
		return "runs on without its kubelet"
	case cluster.Alive, cluster.Dead:
	}
	return "is " + string(state)
}
