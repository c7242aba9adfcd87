package lab

import (
	"embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"text/template"

	"ha-iris/sandbox/internal/images"
)

//go:embed files/*
var files embed.FS

// Node is one node of a lab, as the cluster wants it.
type Node struct {
	Name   string
	Number int
	Plan   Plan
	// Zone and Region are the labels that a cloud would set.
	Zone, Region string
	// Dir is the node's own directory, Keep the one that holds the programs, the cluster's files and Dir.
	Dir, Keep string
	// Bin has the programs, CNI's among them; Runc is the path of runc.
	Bin, Runc string
	// CA is the cluster's certificate authority; the kubeconfigs are the kubelet's and kube-proxy's.
	CA, Kubeconfig, ProxyKubeconfig string
	// Images is the address and port of the registry with the lab's images.
	Images string
	// Cgroup is the path of the node's control group below each hierarchy.
	Cgroup string
	// Log returns the path of the log of one of the node's services.
	Log func(service string) string
}

// Hosts is the directory of what containerd knows of registries.
func (n Node) Hosts() string { return filepath.Join(n.Dir, "etc", "hosts") }

// CNI is the directory of the network's configuration.
func (n Node) CNI() string { return filepath.Join(n.Dir, "etc", "cni") }

// Pods is the range of the node's pods.
func (n Node) Pods() string { return n.Plan.NodePods(n.Number).String() }

// AllPods is the range of all nodes' pods.
func (n Node) AllPods() string { return n.Plan.Pods().String() }

// DNS is the address of the cluster's name server.
func (n Node) DNS() string { return n.Plan.Host().String() }

// NoOOM says whether nothing may be protected from the kernel's choice of what to end when memory is out.
func (n Node) NoOOM() bool { return !mayProtect() }

// OOMScore is the kubelet's own; its default is -999.
func (n Node) OOMScore() int {
	if mayProtect() {
		return -999
	}
	return 0
}

// Pause is the image of the container that holds the namespaces of a pod.
func (n Node) Pause() string { return images.Pause }

func writeBelow(path, content string) error {
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = os.WriteFile(path, []byte(content), 0o600)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func (n Node) etc(name string) string { return filepath.Join(n.Dir, "etc", name) }

// configure writes what the node's services and its first process read.
func (n Node) configure() error {
	targets := map[string]string{
		"containerd.toml": n.etc("containerd.toml"),
		"pods.conflist":   filepath.Join(n.CNI(), "pods.conflist"), "kubelet.yaml": n.etc("kubelet.yaml"),
		"kube-proxy.yaml": n.etc("kube-proxy.yaml"),
	}
	var errs []error
	for source, target := range targets {
		errs = append(errs, n.render(source, target))
	}
	errs = append(errs, writeBelow(filepath.Join(n.Hosts(), "_default", "hosts.toml"), images.HostsTOML(n.Images)), n.machine().save())
	return errors.Join(errs...)
}

func (n Node) render(source, target string) error {
	if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
		return fmt.Errorf("make the directory of %s: %w", target, err)
	}
	parsed, err := template.ParseFS(files, "files/"+source)
	if err != nil {
		return fmt.Errorf("read template %s: %w", source, err)
	}
	file, err := os.OpenFile(target, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write %s: %w", target, err)
	}
	if err := errors.Join(parsed.Execute(file, n), file.Close()); err != nil {
		return fmt.Errorf("write %s: %w", target, err)
	}
	return nil
}

func (n Node) machine() Machine {
	return Machine{
		Name: n.Name, Number: n.Number, Plan: n.Plan, Dir: n.Dir, Keep: n.Keep,
		Services: []Service{
			{
				Name: "containerd", Program: filepath.Join(n.Bin, "containerd"), Log: n.Log("containerd"),
				Args: []string{"--config=" + n.etc("containerd.toml")}, Socket: "/run/containerd/containerd.sock",
			},
			{
				Name: kubelet, Program: filepath.Join(n.Bin, kubelet), Log: n.Log(kubelet),
				Args: []string{
					"--config=" + n.etc("kubelet.yaml"), "--kubeconfig=" + n.Kubeconfig, "--hostname-override=" + n.Name,
					"--node-ip=" + n.Plan.Node(n.Number).String(), "--cert-dir=/var/lib/kubelet/pki",
					"--node-labels=topology.kubernetes.io/zone=" + n.Zone + ",topology.kubernetes.io/region=" + n.Region,
				},
			},
			{
				Name: "kube-proxy", Program: filepath.Join(n.Bin, "kube-proxy"), Log: n.Log("kube-proxy"),
				Args: []string{"--config=" + n.etc("kube-proxy.yaml")},
			},
		},
	}
}
