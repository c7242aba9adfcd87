package cluster

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"ha-iris/sandbox/internal/lab"
)

// Names of the processes, which are also the names of their programs.
const (
	etcd              = "etcd"
	kubeAPIServer     = "kube-apiserver"
	controllerManager = "kube-controller-manager"
	scheduler         = "kube-scheduler"
	kwok              = "kwok"
	standIn           = "stand-in"
	snapshots         = "snapshots"
	images            = "images"
	cloud             = "cloud"
)

// Programs are the tools that a cluster with such nodes runs; the stand-in is this program itself.
func Programs(kind NodeKind) []string {
	programs := []string{etcd, kubeAPIServer, controllerManager, scheduler}
	if kind == RealNodes {
		return append(programs, lab.Programs()...)
	}
	return append(programs, kwok)
}

// component is one process of the cluster.
type component struct {
	name    string
	program string
	args    []string
	// files are configuration whose change calls for a restart although the command line stays the same.
	files []string
	// rebuilt programs get a new time whenever make asks Go whether they are current; only their content counts.
	rebuilt bool
	// compiles says that it runs Go, which then works with the caller's caches.
	compiles bool
	// ports are the loopback ports the process listens on.
	ports []int
	// machine is the node whose first process it is; nil if it is not one.
	machine *lab.Node
}

// components lists the processes in the order in which they start.
func (c *Cluster) components(s state, self string) []component {
	all := []component{
		c.etcd(s.Ports),
		c.apiServer(s),
		c.controllerManager(s),
		c.scheduler(),
	}
	if s.real() {
		all = append(all, c.images(s, self), c.cloud(s, self), c.standIn(s, self))
	} else {
		all = append(all, c.kwok(), c.standIn(s, self))
	}
	if s.Snapshots {
		all = append(all, c.snapshots())
	}
	if !s.real() {
		return all
	}
	for _, node := range c.machines(s) {
		all = append(all, c.machine(node, self))
	}
	return all
}

// componentNames are the components of such a cluster in starting order.
func componentNames(s state) []string {
	names := []string{etcd, kubeAPIServer, controllerManager, scheduler}
	if s.real() {
		names = append(names, images, cloud, standIn)
	} else {
		names = append(names, kwok, standIn)
	}
	if s.Snapshots {
		names = append(names, snapshots)
	}
	if s.real() {
		names = append(names, nodeNames()...)
	}
	return names
}

// allComponentNames are those of both kinds of cluster, in an order in which servers come before their clients.
func allComponentNames() []string {
	return append(componentNames(state{Nodes: RealNodes, Snapshots: true}), kwok)
}

// identity is the argument by which a component's process is recognised: it names this cluster's directory, and no other
// program has a reason to carry it. A client with the administrator's kubeconfig or a pager on a log does not match.
func (c *Cluster) identity(name string) string {
	switch name {
	case etcd:
		return "--data-dir=" + c.path("etcd")
	case kubeAPIServer:
		return "--etcd-certfile=" + c.path("pki", "etcd-client.crt")
	case images: // Its directory is the checkout's, which may have several clusters.
		return "--cluster=" + c.Dir
	default:
		if slices.Contains(nodeNames(), name) {
			return "--machine=" + c.machineDir(name)
		}
		return "--kubeconfig=" + c.kubeconfigOf(name)
	}
}

func (c *Cluster) etcd(p ports) component {
	client, peer := "https://"+loopback(p.Etcd), "https://"+loopback(p.EtcdPeer)
	return component{
		name:    etcd,
		program: c.layout.Tool(etcd),
		ports:   []int{p.Etcd, p.EtcdPeer},
		args: []string{
			"--name=" + c.Name,
			c.identity(etcd),
			"--listen-client-urls=" + client,
			"--advertise-client-urls=" + client,
			"--client-cert-auth",
			"--trusted-ca-file=" + c.path("pki", etcdCA+".crt"),
			"--cert-file=" + c.path("pki", "etcd.crt"),
			"--key-file=" + c.path("pki", "etcd.key"),
			"--listen-peer-urls=" + peer,
			"--initial-advertise-peer-urls=" + peer,
			"--initial-cluster=" + c.Name + "=" + peer,
			"--peer-client-cert-auth",
			"--peer-trusted-ca-file=" + c.path("pki", etcdCA+".crt"),
			"--peer-cert-file=" + c.path("pki", "etcd.crt"),
			"--peer-key-file=" + c.path("pki", "etcd.key"),
			"--log-level=warn",
		},
	}
}

func (c *Cluster) apiServer(s state) component {
	p := s.Ports
	return component{
		name:    kubeAPIServer,
		program: c.layout.Tool(kubeAPIServer),
		ports:   []int{p.APIServer},
		args: append([]string{
			fmt.Sprintf("--secure-port=%d", p.APIServer),
			"--etcd-servers=https://" + loopback(p.Etcd),
			"--etcd-cafile=" + c.path("pki", etcdCA+".crt"),
			c.identity(kubeAPIServer),
			"--etcd-keyfile=" + c.path("pki", "etcd-client.key"),
			"--client-ca-file=" + c.path("pki", clusterCA+".crt"),
			"--tls-cert-file=" + c.path("pki", "kube-apiserver.crt"),
			"--tls-private-key-file=" + c.path("pki", "kube-apiserver.key"),
			"--service-account-issuer=https://kubernetes.default.svc",
			"--service-account-key-file=" + c.path("pki", "service-accounts.pub"),
			"--service-account-signing-key-file=" + c.path("pki", "service-accounts.key"),
			"--authorization-mode=Node,RBAC",
			// Longhorn's DaemonSets are privileged.
			"--allow-privileged",
			"--profiling=false",
		}, c.addressing(s)...),
	}
}

// addressing is what of the API server depends on where its nodes are.
func (c *Cluster) addressing(s state) []string {
	if !s.real() {
		return []string{
			"--bind-address=127.0.0.1", "--advertise-address=" + advertised, "--service-cluster-ip-range=" + serviceRange,
		}
	}
	return []string{
		"--bind-address=" + s.Lab.Host().String(), "--advertise-address=" + s.Lab.Host().String(),
		"--service-cluster-ip-range=" + s.Lab.Services().String(),
		// It is outside of the nodes, where kube-proxy does not reach: webhooks are called at their pods' addresses.
		"--enable-aggregator-routing",
		// The nodes' names are known to nobody here.
		"--kubelet-preferred-address-types=InternalIP",
		"--kubelet-client-certificate=" + c.path("pki", kubeletClient+".crt"),
		"--kubelet-client-key=" + c.path("pki", kubeletClient+".key"),
		"--enable-admission-plugins=NodeRestriction",
	}
}

func (c *Cluster) controllerManager(s state) component {
	podRanges := []string{"--allocate-node-cidrs", "--cluster-cidr=" + podRange}
	if s.real() {
		podRanges = nil // Each node knows its own.
	}
	return component{
		name:    controllerManager,
		program: c.layout.Tool(controllerManager),
		args: append([]string{
			c.identity(controllerManager),
			"--use-service-account-credentials",
			"--root-ca-file=" + c.path("pki", clusterCA+".crt"),
			"--service-account-private-key-file=" + c.path("pki", "service-accounts.key"),
			"--cluster-signing-cert-file=" + c.path("pki", clusterCA+".crt"),
			"--cluster-signing-key-file=" + c.path("pki", clusterCA+".key"),
			// The default since Kubernetes 1.32 (kubernetes/kubernetes#127352), written down because the time until a
			// dead node's pod moves hangs on it.
			"--node-monitor-grace-period=50s",
			// There is only one, and waiting for a dead predecessor's lease would add 15 s to every repair.
			"--leader-elect=false",
			// Serves metrics only, and needs another port and another certificate for it.
			"--secure-port=0",
		}, podRanges...),
	}
}

func (c *Cluster) scheduler() component {
	return component{
		name:    scheduler,
		program: c.layout.Tool(scheduler),
		args: []string{
			c.identity(scheduler),
			"--leader-elect=false",
			"--secure-port=0",
		},
	}
}

func (c *Cluster) kwok() component {
	return component{
		name:    kwok,
		program: c.layout.Tool(kwok),
		args: []string{
			c.identity(kwok),
			"--config=" + c.stagesPath(),
			"--manage-all-nodes=false",
			"--manage-nodes-with-annotation-selector=" + fakeNodeAnnotation + "=" + fakeNodeValue,
			// What a kubelet uses; it renews every quarter of it.
			fmt.Sprintf("--node-lease-duration-seconds=%d", nodeLeaseSeconds),
			"--v=WARN", // it logs each renewal of each Lease otherwise
		},
		files: []string{c.stagesPath()},
	}
}

func (c *Cluster) standIn(s state, self string) component {
	return component{
		name:     standIn,
		program:  self,
		rebuilt:  true,
		compiles: true,
		args: []string{
			"controller",
			c.identity(standIn),
			"--buckets=" + c.path("buckets"),
			"--agent-module=" + c.layout.AgentModule(),
			"--agents=" + c.path("agents"),
			"--ready-file=" + c.readyFile(),
			fmt.Sprintf("--network-disk=%t", s.Disks == NetworkDisks),
		},
	}
}

// snapshots runs the snapshot-controller, and beside Longhorn's stand-in the csi-snapshotter.
func (c *Cluster) snapshots() component {
	return component{
		name:    snapshots,
		program: c.layout.Tool(snapshots),
		rebuilt: true,
		args: []string{
			c.identity(snapshots),
			"--kinds=" + c.path("kinds"),
			"--ready-file=" + c.snapshotsReadyFile(),
		},
	}
}

// snapshotsReadyFile appears once the cluster has the kinds of VolumeSnapshots.
func (c *Cluster) snapshotsReadyFile() string { return c.path("run", "snapshots.ready") }

// readyFile appears once the stand-in has read the cluster's objects and acts on them.
func (c *Cluster) readyFile() string { return c.path("run", "stand-in.ready") }

// fingerprint identifies what would be started: a process with another one is outdated and is replaced.
func (k component) fingerprint() (string, error) {
	hash := sha256.New()
	program, err := os.Stat(k.program)
	if err != nil {
		return "", fmt.Errorf("find the program of %s: %w", k.name, err)
	}
	contents := k.files
	if k.rebuilt {
		contents = append([]string{k.program}, contents...)
	} else {
		_, _ = fmt.Fprintln(hash, program.ModTime().UnixNano())
	}
	_, _ = fmt.Fprintln(hash, k.program, program.Size(), strings.Join(k.args, "\x00"))
	for _, path := range contents {
		if err := hashFile(hash, path); err != nil {
			return "", fmt.Errorf("fingerprint of %s: %w", k.name, err)
		}
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

func hashFile(hash io.Writer, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	_, err = io.Copy(hash, file)
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}
