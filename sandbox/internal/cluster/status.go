package cluster

import (
	"context"
	"strings"
)

// Health is the state of a cluster as a whole.
type Health string

// The states of a cluster.
const (
	Running Health = "running"
	Stopped Health = "stopped"
	// Broken: some of the processes are missing, or the API server does not answer.
	Broken Health = "broken"
)

// Process is one process of a cluster.
type Process struct {
	Name  string `json:"name"`
	PID   int    `json:"pid,omitempty"`
	State string `json:"state"`
	Log   string `json:"log"`
}

// Status is what is known of a cluster without changing it.
type Status struct {
	Name   string `json:"name"`
	Health Health `json:"health"`
	// Problem says what is wrong and how to repair it; empty unless Health is Broken.
	Problem      string       `json:"problem,omitempty"`
	Server       string       `json:"server,omitempty"`
	Kubeconfig   string       `json:"kubeconfig"`
	Context      string       `json:"context"`
	LoadBalancer LoadBalancer `json:"loadBalancer,omitempty"`
	Disks        Disks        `json:"disks,omitempty"`
	// Snapshots says that the cluster has the kinds of VolumeSnapshots and their controller.
	Snapshots bool      `json:"snapshots,omitempty"`
	Nodes     []Node    `json:"nodes"`
	Processes []Process `json:"processes"`
	Directory string    `json:"directory"`
	// Simulated lists what is not real, so that nobody takes a number from here for a promise.
	Simulated []string `json:"simulated"`
	// NotEnforced lists what the API server accepts and nobody here carries out, so that nobody takes it for protection.
	NotEnforced []string `json:"notEnforced"`
}

// Status looks at the cluster.
func (c *Cluster) Status(ctx context.Context) (Status, error) {
	s, err := c.loadState()
	if err != nil {
		return Status{}, err
	}
	status := Status{
		Name:         c.Name,
		Kubeconfig:   c.Kubeconfig(),
		Context:      c.Context(),
		LoadBalancer: s.LoadBalancer,
		Disks:        s.Disks,
		Snapshots:    s.Snapshots,
		Directory:    c.Dir,
		Nodes:        []Node{},
		Simulated:    simulated(s),
		// CNI's ptp connects, and nothing more; simulated pods have no network.
		NotEnforced: []string{"network policies"},
	}
	missing, running, err := c.processes(&status, s)
	if err != nil {
		return Status{}, err
	}
	switch {
	case running == 0 && len(missing) == 0:
		status.Health = Stopped
		return status, nil
	case len(missing) > 0:
		status.Health = Broken
		status.Problem = "not running: " + strings.Join(missing, ", ") + "; repair it with: sandbox up --name " + c.Name
		return status, nil
	}
	status.Server = "https://" + s.server()
	c.look(ctx, &status)
	return status, nil
}

func simulated(s state) []string {
	if s.real() {
		return []string{"Longhorn", "load balancers", "IRIS unless its image is the vendor's"}
	}
	played := []string{"nodes", "containers", "disks", "load balancers", "Longhorn: no database runs here and no data is stored"}
	if s.Disks == NetworkDisks {
		played = append(played, "the cloud's disks of the class network-disk")
	}
	return played
}

// processes fills in the processes and returns the names of the missing ones and how many run.
func (c *Cluster) processes(status *Status, s state) (missing []string, running int, err error) {
	var stoppedNames []string
	for _, name := range componentNames(s) {
		found, err := c.process(name)
		if err != nil {
			return nil, 0, err
		}
		entry := Process{Name: name, State: string(found.live), Log: c.LogPath(name)}
		switch found.live {
		case alive:
			running++
			entry.PID = found.pids[0]
			entry.State = c.faultOf(name).describe(entry.State)
		case gone:
			missing = append(missing, name)
		case stopped:
			if c.faultOf(name) == Kill {
				entry.State = "killed"
				break
			}
			stoppedNames = append(stoppedNames, name)
		}
		status.Processes = append(status.Processes, entry)
	}
	if running > 0 {
		missing = append(missing, stoppedNames...)
	}
	return missing, running, nil
}

// look asks the API server for the nodes. One that does not answer makes the cluster broken.
func (c *Cluster) look(ctx context.Context, status *Status) {
	nodes, err := c.askNodes(ctx)
	if err != nil {
		status.Health = Broken
		status.Problem = err.Error() + "; see " + c.LogPath(kubeAPIServer) + ", or start anew: sandbox down --name " +
			c.Name + ", then sandbox up --name " + c.Name
		return
	}
	status.Health, status.Nodes = Running, nodes
}

func (c *Cluster) askNodes(ctx context.Context) ([]Node, error) {
	client, err := c.client()
	if err != nil {
		return nil, err
	}
	return listNodes(ctx, client)
}
