package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	// attempts at starting: one more for each time another program grabs a port between the check and the bind, or kwok
	// stumbles over itself.
	attempts = 3
	// readyPatience bounds each wait. A cold start needs about 5 s on 2 cores; a machine that is building at the same
	// time needs several times that.
	readyPatience = 2 * time.Minute
	pollInterval  = 100 * time.Millisecond
)

// UpOptions are the choices of a start.
type UpOptions struct {
	// LoadBalancer is how the simulated cloud answers; empty keeps what the cluster had, and ip for a new one.
	LoadBalancer LoadBalancer
	// Disks is what storage the simulated cloud has beside Longhorn; empty keeps what the cluster had, and none for a new one.
	Disks Disks
	// Snapshots installs the kinds of VolumeSnapshots and their controller, as AKS and GKE bring them and EKS has an add-on. They stay.
	Snapshots bool
	// Nodes is what the nodes are; empty keeps what the cluster has, and makes simulated ones at first.
	Nodes NodeKind
	// Self is the path of this program, which also is the stand-in.
	Self string
}

// Up starts the cluster, or what is missing of it, and returns once its nodes are ready and the stand-in works. What it
// finds broken it repairs, and says so. Calling it for a running cluster changes nothing.
func (c *Cluster) Up(ctx context.Context, options UpOptions) (Status, error) {
	unlock, err := c.lock(ctx)
	if err != nil {
		return Status{}, err
	}
	defer unlock()
	for attempt := 1; ; attempt++ {
		err := c.converge(ctx, options)
		var collision *portCollisionError
		if errors.As(err, &collision) && attempt < attempts {
			c.say("%v: trying other ports", collision)
			continue
		}
		if errors.Is(err, errKwokRace) && attempt < attempts {
			c.say("%v: starting it again", errKwokRace)
			continue
		}
		if err != nil {
			return Status{}, err
		}
		return c.Status(ctx)
	}
}

// converge brings the cluster from whatever state it is in to running.
func (c *Cluster) converge(ctx context.Context, options UpOptions) error {
	wanted, err := c.settle(ctx, options)
	if err != nil {
		return err
	}
	if err := c.ensurePKI(ctx, wanted); err != nil {
		return err
	}
	if err := c.ensureKubeconfigs(wanted); err != nil {
		return err
	}
	if err := c.writeStages(wanted.LoadBalancer); err != nil {
		return err
	}
	return c.startAll(ctx, wanted, options.Self)
}

// settle decides on the ports and the options, has what they need made, and writes them down. Ports change only if somebody else took them while
// the cluster was down; then everything that still runs is stopped, because all of it knows the old ones.
func (c *Cluster) settle(ctx context.Context, options UpOptions) (state, error) {
	before, err := c.loadState()
	if err != nil {
		return state{}, err
	}
	wanted := before
	if options.LoadBalancer != "" {
		wanted.LoadBalancer = options.LoadBalancer
	} else if wanted.LoadBalancer == "" {
		wanted.LoadBalancer = LoadBalancerIP
	}
	if options.Disks != "" {
		wanted.Disks = options.Disks
	}
	wanted.Snapshots = wanted.Snapshots || options.Snapshots
	if wanted, err = c.settleNodes(ctx, wanted, options); err != nil {
		return state{}, err
	}
	// Before it is written down, and before anything is stopped: a later start without the flag must not fail on what could not be had.
	if err := c.prepareSnapshots(ctx, wanted); err != nil {
		return state{}, err
	}
	taken, err := c.takenByOthers(wanted, options.Self)
	if err != nil {
		return state{}, err
	}
	if wanted.Ports == (ports{}) || len(taken) > 0 {
		if err := c.movePorts(ctx, &wanted, taken); err != nil {
			return state{}, err
		}
	}
	if wanted != before {
		if err := c.forgetKubeconfigs(wanted); err != nil {
			return state{}, err
		}
	}
	if wanted.Self = options.Self; wanted == before {
		return wanted, nil
	}
	return wanted, c.saveState(wanted)
}

func (c *Cluster) movePorts(ctx context.Context, wanted *state, taken []int) error {
	if len(taken) > 0 {
		c.say("port %d belongs to another program now: moving the cluster to other ports; %s changes",
			taken[0], c.Kubeconfig())
	}
	if err := c.stopAll(ctx); err != nil {
		return err
	}
	chosen, err := choosePorts(c.Dir, portFree)
	if err != nil {
		return err
	}
	wanted.Ports = chosen
	return nil
}

// takenByOthers lists the ports of the processes that do not run and that nevertheless are in use.
func (c *Cluster) takenByOthers(s state, self string) ([]int, error) {
	var taken []int
	for _, component := range c.components(s, self) {
		found, err := c.process(component.name)
		if err != nil {
			return nil, err
		}
		if found.live == alive {
			continue
		}
		for _, port := range component.ports {
			if port != 0 && !portFree(port) {
				taken = append(taken, port)
			}
		}
	}
	return taken, nil
}

// startAll starts, in order, what does not run or runs outdated. Each part waits for the ones before it.
func (c *Cluster) startAll(ctx context.Context, s state, self string) error {
	broken, err := c.crashed(s)
	if err != nil {
		return err
	}
	if len(broken) > 0 {
		c.say("repairing: %s ended without being stopped", strings.Join(broken, ", "))
	}
	control, machines := split(c.components(s, self))
	if err := c.startInOrder(ctx, control); err != nil {
		return err
	}
	return c.startMachines(ctx, machines)
}

func (c *Cluster) startInOrder(ctx context.Context, components []component) error {
	for _, component := range components {
		if err := c.ensureRunning(ctx, component); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) crashed(s state) ([]string, error) {
	var names []string
	for _, name := range componentNames(s) {
		found, err := c.process(name)
		if err != nil {
			return nil, err
		}
		if found.live == gone {
			names = append(names, name)
		}
	}
	return names, nil
}

func (c *Cluster) ensureRunning(ctx context.Context, k component) error {
	ended, err := c.ensureStarted(ctx, k)
	if err != nil {
		return err
	}
	return c.awaitReady(ctx, k, ended)
}

// ensureStarted starts the component unless what runs is what is wanted. The channel is nil if nothing was started.
func (c *Cluster) ensureStarted(ctx context.Context, k component) (<-chan error, error) {
	found, err := c.process(k.name)
	if err != nil {
		return nil, err
	}
	wanted, err := k.fingerprint()
	if err != nil {
		return nil, err
	}
	if found.live == alive && found.fingerprint == wanted {
		return nil, nil
	}
	return c.replace(ctx, k, found)
}

// replace starts the component after stopping what may still run of it.
func (c *Cluster) replace(ctx context.Context, k component, found process) (<-chan error, error) {
	if found.live == alive {
		c.say("restarting %s: its program or its configuration changed", k.name)
		if err := c.stop(ctx, k.name); err != nil {
			return nil, err
		}
	}
	if err := c.beforeStart(ctx, k.name); err != nil {
		return nil, err
	}
	if k.machine != nil {
		if err := k.machine.Prepare(); err != nil {
			return nil, err
		}
	}
	return c.start(k)
}

// beforeStart clears what the component's predecessor left behind and would stand in its way.
func (c *Cluster) beforeStart(ctx context.Context, name string) error {
	switch name {
	case kwok:
		client, err := c.client()
		if err != nil {
			return err
		}
		return releaseLeases(ctx, client)
	case standIn:
		return removeOld(c.readyFile())
	case snapshots:
		return removeOld(c.snapshotsReadyFile())
	}
	return nil
}

func removeOld(readyFile string) error {
	if err := os.Remove(readyFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove an old ready file: %w", err)
	}
	return nil
}

// client talks to the cluster's API server as its administrator.
func (c *Cluster) client() (kubernetes.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig())
	if err != nil {
		return nil, fmt.Errorf("read the cluster's kubeconfig: %w", err)
	}
	config.Timeout = 5 * time.Second // a hanging API server is a broken one
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a client for the cluster: %w", err)
	}
	return client, nil
}
