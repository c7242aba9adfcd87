// Package lab gives a sandbox cluster real nodes: three machines on one, each with a network, mount, PID, IPC and UTS namespace
// of its own, its own containerd, kubelet and kube-proxy. Containers, probes, users, volumes and the network between pods are
// real there, and so is the loss of a node: one SIGKILL to its first process ends everything on it at once.
//
// The shape is the one of facts/lab.md, "A better shape". It needs Linux and root, and says so elsewhere.
package lab
