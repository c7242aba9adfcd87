//go:build sandbox

// Package test starts real clusters. It needs the tools and is therefore built only with the tag sandbox.
package test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"ha-iris/sandbox/internal/cluster"
	"ha-iris/sandbox/internal/layout"
	"ha-iris/sandbox/internal/tools"
)

// patience is for machines that build something else at the same time.
const patience = 2 * time.Minute

// logWriter passes progress lines on to the test's log.
type logWriter struct{ t *testing.T }

func (w logWriter) Write(line []byte) (int, error) {
	w.t.Log(strings.TrimRight(string(line), "\n"))
	return len(line), nil
}

// sandbox is a cluster of the checkout, and the program that its stand-in runs.
type sandbox struct {
	*cluster.Cluster
	t       *testing.T
	options cluster.UpOptions
	kubectl string
}

// newSandbox prepares a cluster of this name that does not exist yet, and deletes it in the end.
func newSandbox(t *testing.T, name, program string, mode cluster.LoadBalancer) *sandbox {
	t.Helper()
	l, err := layout.Find(filepath.Join("..", ".."))
	if err != nil {
		t.Fatalf("find checkout: %v", err)
	}
	c, err := cluster.New(l, name, logWriter{t})
	if err != nil {
		t.Fatalf("new cluster: %v", err)
	}
	s := &sandbox{
		Cluster: c, t: t, kubectl: l.Tool("kubectl"),
		options: cluster.UpOptions{LoadBalancer: mode, Self: program},
	}
	s.purge(t.Context())
	t.Cleanup(func() { s.purge(context.WithoutCancel(t.Context())) })
	return s
}

func (s *sandbox) purge(ctx context.Context) {
	s.t.Helper()
	if _, err := s.Down(ctx, true); err != nil {
		s.t.Errorf("purge: %v", err)
	}
}

func prepareTools(t *testing.T, kind cluster.NodeKind) (program string) {
	t.Helper()
	l, err := layout.Find(filepath.Join("..", ".."))
	if err != nil {
		t.Fatalf("find checkout: %v", err)
	}
	needed := append(cluster.Programs(kind), "kubectl")
	err = tools.Ensure(t.Context(), l, needed, logWriter{t}, func(result tools.Result) { t.Log(result) })
	if err != nil {
		t.Fatalf("tools: %v", err)
	}
	program = filepath.Join(t.TempDir(), "sandbox")
	if output, err := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", program, "..").CombinedOutput(); err != nil {
		t.Fatalf("build sandbox: %v\n%s", err, output)
	}
	return program
}

func (s *sandbox) up() cluster.Status {
	s.t.Helper()
	began := time.Now()
	status, err := s.Up(s.t.Context(), s.options)
	if err != nil {
		s.t.Fatalf("up: %v", err)
	}
	s.t.Logf("%s is up after %s", s.Name, time.Since(began).Round(10*time.Millisecond))
	if status.Health != cluster.Running {
		s.t.Fatalf("status is %s: %s", status.Health, status.Problem)
	}
	return status
}

func (s *sandbox) client() kubernetes.Interface {
	s.t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", s.Kubeconfig())
	if err != nil {
		s.t.Fatalf("kubeconfig: %v", err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		s.t.Fatalf("client: %v", err)
	}
	return client
}

func (s *sandbox) apply(name string) {
	s.t.Helper()
	command := exec.CommandContext(s.t.Context(), s.kubectl, "--kubeconfig", s.Kubeconfig(), "--context", s.Context(),
		"apply", "-f", filepath.Join("testdata", name))
	if output, err := command.CombinedOutput(); err != nil {
		s.t.Fatalf("apply %s: %v\n%s", name, err, output)
	}
}

// eventually polls until nothing is missing any more; what says what is waited for.
func (s *sandbox) eventually(what string, missing func(ctx context.Context) error) {
	s.t.Helper()
	began := time.Now()
	var last error
	err := wait.PollUntilContextTimeout(s.t.Context(), 200*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		last = missing(ctx)
		return last == nil, nil
	})
	if err != nil {
		s.t.Fatalf("%s: %v after %s", what, last, time.Since(began).Round(time.Second))
	}
	s.t.Logf("%s after %s", what, time.Since(began).Round(10*time.Millisecond))
}

func (s *sandbox) available(namespace, name string) {
	s.t.Helper()
	client := s.client()
	s.eventually(name+" is available", func(ctx context.Context) error {
		deployment, err := client.AppsV1().Deployments(namespace).Get(ctx, name, metav1.GetOptions{})
		if err == nil && deployment.Status.AvailableReplicas == 0 {
			err = fmt.Errorf("no pod is: %+v", deployment.Status.Conditions)
		}
		return err
	})
}

func (s *sandbox) ingress() corev1.LoadBalancerIngress {
	s.t.Helper()
	client := s.client()
	var found corev1.LoadBalancerIngress
	s.eventually("the Service has an address", func(ctx context.Context) error {
		service, err := client.CoreV1().Services("iris").Get(ctx, "iris-svc", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if len(service.Status.LoadBalancer.Ingress) == 0 {
			return errors.New("it has none")
		}
		found = service.Status.LoadBalancer.Ingress[0]
		return nil
	})
	return found
}

func (s *sandbox) kill(status cluster.Status, names ...string) {
	s.t.Helper()
	for _, process := range status.Processes {
		for _, name := range names {
			if process.Name != name {
				continue
			}
			if err := syscall.Kill(process.PID, syscall.SIGKILL); err != nil {
				s.t.Fatalf("kill %s: %v", name, err)
			}
		}
	}
	s.eventually("the crash is noticed", func(ctx context.Context) error {
		status, err := s.Status(ctx)
		if err == nil && status.Health != cluster.Broken {
			err = fmt.Errorf("status is %s", status.Health)
		}
		return err
	})
}

func pids(status cluster.Status) map[string]int {
	found := map[string]int{}
	for _, process := range status.Processes {
		found[process.Name] = process.PID
	}
	return found
}

func TestCluster_RunsADatabaseAndSurvivesCrashesAndStops(t *testing.T) {
	t.Parallel()
	program := prepareTools(t, cluster.SimulatedNodes)
	s := newSandbox(t, "selftest", program, cluster.LoadBalancerIP)

	first := s.up()
	zones := map[string]bool{}
	for _, node := range first.Nodes {
		zones[node.Zone] = node.Ready && node.Simulated
	}
	if len(first.Nodes) != 3 || len(zones) != 3 || !zones["sandbox-1"] || !zones["sandbox-2"] || !zones["sandbox-3"] {
		t.Errorf("got nodes %+v", first.Nodes)
	}
	began := time.Now()
	// Half of what a start takes beside other work: a few requests to a loaded machine take seconds too.
	if again := s.up(); pids(again)[kubeAPIServer] != pids(first)[kubeAPIServer] || time.Since(began) > 15*time.Second {
		t.Errorf("a second up took %s and left %v, want %v", time.Since(began), pids(again), pids(first))
	}

	s.apply("longhorn.yaml")
	s.available("longhorn-system", "csi-provisioner")
	s.apply("workload.yaml")
	s.available("iris", "iris")
	if got := s.ingress(); !strings.HasPrefix(got.IP, "127.") {
		t.Errorf("got address %+v", got)
	}

	s.kill(first, "etcd", "stand-in")
	repaired := s.up()
	if repaired.Server != first.Server {
		t.Errorf("the address changed from %s to %s", first.Server, repaired.Server)
	}

	if wasRunning, err := s.Down(t.Context(), false); err != nil || !wasRunning {
		t.Fatalf("down: running %t, %v", wasRunning, err)
	}
	if status, err := s.Status(t.Context()); err != nil || status.Health != cluster.Stopped {
		t.Errorf("after down: %s, %v", status.Health, err)
	}
	s.up()
	s.available("iris", "iris")
}

const kubeAPIServer = "kube-apiserver"

func TestCluster_SeveralRunSideBySideWithTheirOwnCloud(t *testing.T) {
	t.Parallel()
	program := prepareTools(t, cluster.SimulatedNodes)
	hostname := newSandbox(t, "selftest-hostname", program, cluster.LoadBalancerHostname)
	pending := newSandbox(t, "selftest-pending", program, cluster.LoadBalancerPending)
	if a, b := hostname.up(), pending.up(); a.Server == b.Server {
		t.Errorf("both serve at %s", a.Server)
	}
	for _, s := range []*sandbox{hostname, pending} {
		s.apply("workload.yaml")
	}
	if got := hostname.ingress(); got.Hostname != "iris-svc.iris.load-balancer.invalid" || got.IP != "" {
		t.Errorf("got address %+v", got)
	}
	// By now the other cloud would have answered as well.
	service, err := pending.client().CoreV1().Services("iris").Get(t.Context(), "iris-svc", metav1.GetOptions{})
	if err != nil || len(service.Status.LoadBalancer.Ingress) > 0 {
		t.Errorf("got %+v, %v; want no address", service.Status.LoadBalancer, err)
	}
}

// inject does something to a node that is not in this state yet.
func (s *sandbox) inject(fault cluster.Fault, node string, want cluster.NodeState) {
	s.t.Helper()
	if got, err := s.Inject(s.t.Context(), fault, node); err != nil || got.State != want || !got.Changed {
		s.t.Fatalf("%s: got %+v, %v", fault, got, err)
	}
}

// plugins lists the pods of Longhorn's driver, a DaemonSet, on the node.
func (s *sandbox) plugins(ctx context.Context, node string) ([]corev1.Pod, error) {
	pods, err := s.client().CoreV1().Pods("longhorn-system").List(ctx, metav1.ListOptions{
		LabelSelector: "app=longhorn-csi-plugin", FieldSelector: "spec.nodeName=" + node,
	})
	if err != nil {
		return nil, err
	}
	if len(pods.Items) == 0 {
		return nil, errors.New("no pod on " + node)
	}
	return pods.Items, nil
}

func podReady(pod corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(condition corev1.PodCondition) bool {
		return condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue
	})
}

// ready waits until the node, and the pod of the DaemonSet on it, are ready or not ready.
func (s *sandbox) ready(node string, want corev1.ConditionStatus) {
	s.t.Helper()
	client := s.client()
	s.eventually(node+" and its pod become ready "+string(want), func(ctx context.Context) error {
		found, err := client.CoreV1().Nodes().Get(ctx, node, metav1.GetOptions{})
		if err != nil {
			return err
		}
		pods, err := s.plugins(ctx, node)
		if err != nil {
			return err
		}
		nodeReady := slices.ContainsFunc(found.Status.Conditions, func(condition corev1.NodeCondition) bool {
			return condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue
		})
		for _, pod := range pods {
			if nodeReady != podReady(pod) || nodeReady != (want == corev1.ConditionTrue) {
				return fmt.Errorf("node ready %t, pod %s ready %t", nodeReady, pod.Name, podReady(pod))
			}
		}
		return nil
	})
}

// deletePlugin deletes the only pod of Longhorn's driver on the node, as a user does, and returns it.
func (s *sandbox) deletePlugin(node string) corev1.Pod {
	s.t.Helper()
	pods, err := s.plugins(s.t.Context(), node)
	if err != nil || len(pods) != 1 {
		s.t.Fatalf("pods on %s: got %d, %v; want 1", node, len(pods), err)
	}
	if err := s.client().CoreV1().Pods(pods[0].Namespace).Delete(s.t.Context(), pods[0].Name, metav1.DeleteOptions{}); err != nil {
		s.t.Fatalf("delete pod: %v", err)
	}
	return pods[0]
}

// keepsDeletedPods checks that a pod on the dead node stays where it is when it is deleted, as nobody is there to end it.
func (s *sandbox) keepsDeletedPods(dead, living string) {
	s.t.Helper()
	stuck, other := s.deletePlugin(dead), s.deletePlugin(living)
	s.eventually("a deleted pod on a living node is replaced", func(ctx context.Context) error {
		pods, err := s.plugins(ctx, living)
		if err == nil && (len(pods) != 1 || pods[0].UID == other.UID || !podReady(pods[0])) {
			err = errors.New("it is not")
		}
		return err
	})
	// By now the one on the dead node would have ended as well.
	pods, err := s.plugins(s.t.Context(), dead)
	if err != nil || len(pods) != 1 || pods[0].UID != stuck.UID || pods[0].DeletionTimestamp == nil ||
		pods[0].Status.Phase != corev1.PodRunning {
		s.t.Errorf("the deleted pod %s of a dead node has ended: %v, %+v", stuck.Name, err, pods)
	}
}

func TestCluster_AKilledNodeIsNoticedStaysDeadAcrossAStopAndComesBack(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, "selftest-node", prepareTools(t, cluster.SimulatedNodes), cluster.LoadBalancerIP)
	s.up()
	s.apply("longhorn.yaml")
	s.available("longhorn-system", "csi-attacher")
	const node = "ha-iris-node-b"
	s.ready(node, corev1.ConditionTrue)

	s.inject(cluster.Kill, node, cluster.Dead)
	killed := time.Now()
	s.ready(node, corev1.ConditionFalse)
	// Lease renewals every 10 s, 50 s of grace, looked at every 5 s.
	if took := time.Since(killed); took < 39*time.Second || took > 75*time.Second {
		t.Errorf("noticed after %s, want 40 s to 55 s, or 75 s on a busy machine", took.Round(time.Second))
	}
	if _, err := s.Down(t.Context(), false); err != nil {
		t.Fatalf("down: %v", err)
	}
	s.up()
	s.ready(node, corev1.ConditionFalse)
	s.keepsDeletedPods(node, "ha-iris-node-a")

	s.inject(cluster.Start, node, cluster.Alive)
	s.ready(node, corev1.ConditionTrue)
}
