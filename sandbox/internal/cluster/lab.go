package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"ha-iris/sandbox/internal/lab"
)

// Names of what only clusters with real nodes have.
const (
	kubeProxy     = "kube-proxy"
	kubeletClient = "kubelet-client"
	// imagesPort is where the lab's images are, on the lab's own network.
	imagesPort = 5000
)

// nodeNames are the names of a cluster's nodes, in order.
func nodeNames() []string {
	names := make([]string, 0, len(lab.Letters))
	for _, letter := range lab.Letters {
		names = append(names, "ha-iris-node-"+string(letter))
	}
	return names
}

func zone(number int) string { return fmt.Sprintf("%s-%d", region, number+1) }

func (c *Cluster) machineDir(name string) string { return c.path("nodes", name) }

// machines are the real nodes.
func (c *Cluster) machines(s state) []lab.Node {
	var nodes []lab.Node
	for number, name := range nodeNames() {
		nodes = append(nodes, lab.Node{
			Name: name, Number: number, Plan: s.Lab, Zone: zone(number), Region: region,
			Dir: c.machineDir(name), Keep: c.layout.Local(), Bin: c.layout.Bin(), Runc: lab.RuncPath(),
			CA: c.path("pki", clusterCA+".crt"), Kubeconfig: c.kubeconfigOf(name), ProxyKubeconfig: c.kubeconfigOf(kubeProxy),
			Images: imagesAddress(s),
			Cgroup: c.cgroup() + "/" + name,
			Log:    func(service string) string { return c.LogPath(name + "." + service) },
		})
	}
	return nodes
}

// cgroup is the control group of all nodes of the cluster.
func (c *Cluster) cgroup() string { return "/ha-iris-" + shortHash(c.Dir) }

// machine is the first process of a node.
func (c *Cluster) machine(node lab.Node, self string) component {
	return component{
		name: node.Name, program: self, rebuilt: true, machine: &node,
		args: []string{"machine", c.identity(node.Name)},
	}
}

// images serves the images that the nodes pull.
func (c *Cluster) images(s state, self string) component {
	return component{
		name: images, program: self, rebuilt: true,
		args: []string{"registry", c.identity(images), "--dir=" + c.layout.Images(), "--listen=" + imagesAddress(s)},
	}
}

func imagesAddress(s state) string { return netip.AddrPortFrom(s.Lab.Host(), imagesPort).String() }

// cloud gives Services addresses and names.
func (c *Cluster) cloud(s state, self string) component {
	return component{
		name: cloud, program: self, rebuilt: true,
		args: []string{"cloud", c.identity(cloud), fmt.Sprintf("--lab=%d", s.Lab.Index)},
	}
}

// settleNodes decides what the nodes are and, for real ones, makes the network that they are on.
func (c *Cluster) settleNodes(ctx context.Context, wanted state, options UpOptions) (state, error) {
	if wanted.Nodes == "" && wanted.Ports != (ports{}) {
		wanted.Nodes = SimulatedNodes
	}
	switch {
	case options.Nodes == "" && wanted.Nodes == "":
		wanted.Nodes = SimulatedNodes
	case options.Nodes != "" && wanted.Nodes != "" && options.Nodes != wanted.Nodes:
		return state{}, fmt.Errorf("cluster %q has %s nodes: give the other one a name of its own (--name), or delete this one first: "+
			"sandbox down --name %s --purge", c.Name, wanted.Nodes, c.Name)
	case options.Nodes != "":
		wanted.Nodes = options.Nodes
	}
	if !wanted.real() {
		return wanted, nil
	}
	if wanted.LoadBalancer != LoadBalancerIP {
		return state{}, fmt.Errorf("load balancer mode %s: real nodes have %s only; simulated ones have all", wanted.LoadBalancer, LoadBalancerIP)
	}
	if wanted.Disks == NetworkDisks {
		return state{}, fmt.Errorf("disks %s: real nodes have none that they could mount; simulated ones have", wanted.Disks)
	}
	if err := lab.Check(); err != nil {
		return state{}, err
	}
	// It tells down that there may be something to remove, also when this start is killed before it has written its state.
	if err := os.MkdirAll(c.path("nodes"), 0o700); err != nil {
		return state{}, fmt.Errorf("make the directory of nodes: %w", err)
	}
	plan, err := lab.Claim(c.Dir, wanted.Lab)
	if err != nil {
		return state{}, err
	}
	if wanted.Lab != (lab.Plan{}) && plan != wanted.Lab {
		c.say("network %s belongs to somebody else now: moving the cluster to %s", wanted.Lab.Network(), plan.Network())
		if err := c.stopAll(ctx); err != nil {
			return state{}, err
		}
	}
	wanted.Lab = plan
	return wanted, nil
}

// Preflight says what the nodes will be, and refuses what this machine cannot run, before anything is built for it.
func (c *Cluster) Preflight(options UpOptions) (NodeKind, error) {
	s, err := c.loadState()
	if err != nil {
		return "", err
	}
	kind := cmp.Or(options.Nodes, s.Nodes, SimulatedNodes)
	if kind == RealNodes {
		return kind, lab.Check()
	}
	return kind, nil
}

// split parts the machines from the rest.
func split(components []component) (control, machines []component) {
	for _, one := range components {
		if one.machine != nil {
			machines = append(machines, one)
		} else {
			control = append(control, one)
		}
	}
	return control, machines
}

// startMachines starts all nodes that nobody wants dead, and then waits for them.
func (c *Cluster) startMachines(ctx context.Context, machines []component) error {
	ended := map[string]<-chan error{}
	for _, one := range machines {
		if c.faultOf(one.name) == Kill {
			continue
		}
		started, err := c.ensureStarted(ctx, one)
		if err != nil {
			return err
		}
		ended[one.name] = started
		if started == nil {
			continue
		}
		if err := c.repeatFault(one); err != nil {
			return err
		}
	}
	for _, one := range machines {
		if fault := c.faultOf(one.name); fault != "" {
			c.say("node %s is left as it is (%s); undo it with: sandbox node %s %s --name %s", one.name, fault, fault.undo(), one.name, c.Name)
			continue
		}
		if err := c.awaitReady(ctx, one, ended[one.name]); err != nil {
			return err
		}
	}
	return nil
}

// repeatFault does to a node that has just started what outlives a restart of a machine: a pulled cable does, while a stopped kubelet
// is started with everything else.
func (c *Cluster) repeatFault(k component) error {
	switch c.faultOf(k.name) {
	case Cut:
		return lab.Connect(k.machine.Plan, k.machine.Number, false)
	case KubeletStop:
		c.say("node %s: its kubelet runs again, because the node was started anew", k.name)
		return c.saveFault(k.name, Start)
	case Kill, Start, Join:
	}
	return nil
}

// stopMachines stops all nodes at once: each may take the time that a database needs to stop.
func (c *Cluster) stopMachines(ctx context.Context) error {
	names := nodeNames()
	errs := make([]error, len(names))
	var group sync.WaitGroup
	for i, name := range names {
		group.Go(func() { errs[i] = c.stopMachine(ctx, name) })
	}
	group.Wait()
	return errors.Join(errs...)
}

// stopMachine stops a node. What its processes have not let go of when their time is over would keep it for ever.
func (c *Cluster) stopMachine(ctx context.Context, name string) error {
	volumes := lab.Volumes(c.cgroup() + "/" + name)
	late := time.AfterFunc(stopPatience-time.Second, func() {
		if err := volumes.Cut(); err != nil {
			c.say("node %s: %v", name, err)
		}
	})
	defer late.Stop()
	return c.stop(ctx, name)
}

// machineReady waits for the node's own kubelet to say that it is ready.
func (c *Cluster) machineReady(ctx context.Context, name string) error {
	nodes, err := c.askNodes(ctx)
	if err != nil {
		return err
	}
	for _, node := range nodes {
		if node.Name == name && node.Ready {
			return nil
		}
	}
	return errors.New("its kubelet has not called it ready yet")
}

// clearLab removes what nodes leave behind on the machine, and with purge their disks.
func (c *Cluster) clearLab(purge bool) error {
	s, err := c.loadState()
	if err != nil {
		return err
	}
	if _, err := os.Stat(c.path("nodes")); errors.Is(err, fs.ErrNotExist) && !s.real() {
		return nil
	}
	errs := []error{lab.Release(c.Dir), lab.DetachDisks(c.Dir), lab.RemoveCgroups(c.cgroup())}
	if purge {
		errs = append(errs, os.RemoveAll(c.path("nodes")))
	}
	return errors.Join(errs...)
}

// faultPath remembers what was done to a real node, across starts.
func (c *Cluster) faultPath(node string) string { return c.path("faults", node) }

// faultOf is what was done to a real node and not undone; empty if nothing was.
func (c *Cluster) faultOf(node string) Fault {
	content, err := os.ReadFile(c.faultPath(node))
	if err != nil {
		return ""
	}
	return Fault(strings.TrimSpace(string(content)))
}

func (c *Cluster) saveFault(node string, fault Fault) error {
	if !fault.ends() {
		if err := os.Remove(c.faultPath(node)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("forget what was done to node %s: %w", node, err)
		}
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(c.faultPath(node)), 0o700); err != nil {
		return fmt.Errorf("remember what was done to node %s: %w", node, err)
	}
	return writeFile(c.faultPath(node), []byte(fault))
}
