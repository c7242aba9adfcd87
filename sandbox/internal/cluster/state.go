package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"ha-iris/sandbox/internal/lab"
)

// LoadBalancer says how the simulated cloud answers a Service of type LoadBalancer.
type LoadBalancer string

// The clouds differ in what they publish: GKE and AKS an IP address, EKS a host name, and bare metal nothing.
const (
	LoadBalancerIP       LoadBalancer = "ip"
	LoadBalancerHostname LoadBalancer = "hostname"
	LoadBalancerPending  LoadBalancer = "pending"
)

// ParseLoadBalancer returns the mode that text names.
func ParseLoadBalancer(text string) (LoadBalancer, error) {
	modes := []LoadBalancer{LoadBalancerIP, LoadBalancerHostname, LoadBalancerPending}
	if mode := LoadBalancer(text); slices.Contains(modes, mode) {
		return mode, nil
	}
	return "", fmt.Errorf("load balancer mode %q: want one of %v", text, modes)
}

// Disks says what storage the simulated cloud has beside Longhorn.
type Disks string

// Managed clusters come with block devices in a network (internal/standin/networkdisk.go), bare machines with nothing.
const (
	NoDisks      Disks = "none"
	NetworkDisks Disks = "network"
)

// ParseDisks returns the disks that text names.
func ParseDisks(text string) (Disks, error) {
	kinds := []Disks{NoDisks, NetworkDisks}
	if kind := Disks(text); slices.Contains(kinds, kind) {
		return kind, nil
	}
	return "", fmt.Errorf("disks %q: want one of %v", text, kinds)
}

// state is what a cluster remembers between two starts.
type state struct {
	Ports        ports        `json:"ports"`
	LoadBalancer LoadBalancer `json:"loadBalancer"`
	// Disks is empty where there are none.
	Disks Disks `json:"disks,omitempty"`
	// Snapshots says that the kinds of VolumeSnapshots and their controller were installed. They stay until the cluster is purged.
	Snapshots bool `json:"snapshots,omitempty"`
	// Nodes is empty in what older versions wrote, whose nodes were simulated.
	Nodes NodeKind `json:"nodes,omitempty"`
	// Self is the program of the last start, which the commands for single nodes start again.
	Self string `json:"self,omitempty"`
	// Lab is the addresses of real nodes.
	Lab lab.Plan `json:"lab,omitzero"`
}

// server is where the API server listens.
func (s state) server() string {
	if s.real() {
		return netip.AddrPortFrom(s.Lab.Host(), uint16(s.Ports.APIServer)).String()
	}
	return loopback(s.Ports.APIServer)
}

// real says whether the cluster's nodes are machines.
func (s state) real() bool { return s.Nodes == RealNodes }

// NodeKind says what the nodes of a cluster are.
type NodeKind string

// The kinds. Simulated nodes run nothing and need nothing; real ones run containers and need Linux and root.
const (
	SimulatedNodes NodeKind = "simulated"
	RealNodes      NodeKind = "real"
)

// ParseNodeKind returns the kind that text names.
func ParseNodeKind(text string) (NodeKind, error) {
	kinds := []NodeKind{SimulatedNodes, RealNodes}
	if kind := NodeKind(text); slices.Contains(kinds, kind) {
		return kind, nil
	}
	return "", fmt.Errorf("kind of nodes %q: want one of %v", text, kinds)
}

func (c *Cluster) loadState() (state, error) {
	var s state
	content, err := os.ReadFile(c.path("state.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("read the cluster's state: %w", err)
	}
	if err := json.Unmarshal(content, &s); err != nil {
		// A torn file is what a power loss leaves; everything in it can be chosen anew.
		c.say("%s is damaged (%v): choosing ports again", c.path("state.json"), err)
		return state{}, nil
	}
	return s, nil
}

func (c *Cluster) saveState(s state) error {
	content, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the cluster's state: %w", err)
	}
	return writeFile(c.path("state.json"), append(content, '\n'))
}

// writeFile replaces a file in one step, so that a reader or a crash never meets half of it. Only its owner may read
// it: keys are among them.
func writeFile(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make the directory of %s: %w", path, err)
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), ".new-*") // has mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() { _ = os.Remove(temporary.Name()) }() // gone after the rename
	_, err = temporary.Write(content)
	err = errors.Join(err, temporary.Close())
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(temporary.Name(), path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
