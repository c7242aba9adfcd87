package lab

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// Machine is what the first process of a node has to know, from the file that the cluster writes for it.
type Machine struct {
	// Name is the node's; Number counts from 0.
	Name   string `json:"name"`
	Number int    `json:"number"`
	Plan   Plan   `json:"plan"`
	// Dir is the node's directory: its disks and its configuration.
	Dir string `json:"dir"`
	// Keep is a directory that is the same in the node as outside: the programs and the cluster's files.
	Keep string `json:"keep"`
	// Services are started in order.
	Services []Service `json:"services"`
}

// Service is a program that the node's first process keeps running.
type Service struct {
	Name    string   `json:"name"`
	Program string   `json:"program"`
	Args    []string `json:"args"`
	Log     string   `json:"log"`
	// Socket is what the service listens on; the next one waits for it. Empty: it does not.
	Socket string `json:"socket,omitempty"`
}

const machineFile = "machine.json"

// machinePath is where the node finds its description.
func machinePath(dir string) string { return filepath.Join(dir, machineFile) }

// save writes the description. Only its owner may read it.
func (m Machine) save() error {
	content, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("describe node %s: %w", m.Name, err)
	}
	if err := os.WriteFile(machinePath(m.Dir), append(content, '\n'), 0o600); err != nil {
		return fmt.Errorf("describe node %s: %w", m.Name, err)
	}
	return nil
}

func readMachine(dir string) (Machine, error) {
	var m Machine
	content, err := os.ReadFile(machinePath(dir))
	if err == nil {
		err = json.Unmarshal(content, &m)
	}
	if err != nil {
		return m, fmt.Errorf("read the node's description: %w", err)
	}
	return m, nil
}

// disks are the directories of a node that outlive it, by their path in the node.
func (m Machine) disks() map[string]string {
	disks := map[string]string{}
	for _, path := range []string{"/var/lib/kubelet", "/var/lib/containerd", "/var/lib/longhorn", "/var/lib/cni", "/var/log"} {
		disks[path] = filepath.Join(m.Dir, "disk", path)
	}
	return disks
}

// kubelet is the name of the service that a fault stops.
const kubelet = "kubelet"

// Programs are the tools that a node needs.
func Programs() []string {
	return []string{"kubelet", "kube-proxy", "containerd", "containerd-shim-runc-v2", "ptp", "host-local", "loopback"}
}
