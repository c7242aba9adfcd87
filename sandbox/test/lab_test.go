//go:build sandbox && linux

package test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"ha-iris/sandbox/internal/cluster"
	"ha-iris/sandbox/internal/images"
	"ha-iris/sandbox/internal/lab"
	"ha-iris/sandbox/internal/layout"
)

// required is set where a lab must be possible, such as continuous integration: then nothing is skipped.
const required = "SANDBOX_LAB_REQUIRED"

// newLab prepares a lab that does not exist yet.
func newLab(t *testing.T, name string) *sandbox {
	t.Helper()
	if err := lab.Check(); err != nil {
		if os.Getenv(required) != "" {
			t.Fatal(err)
		}
		t.Skipf("NOT TESTED, real nodes: %v", err)
	}
	program := prepareTools(t, cluster.RealNodes)
	l, err := layout.Find(filepath.Join("..", ".."))
	if err != nil {
		t.Fatalf("find checkout: %v", err)
	}
	if _, err := images.Ensure(t.Context(), l, logWriter{t}); err != nil {
		t.Fatalf("images: %v", err)
	}
	s := newSandbox(t, name, program, "")
	s.options.Nodes = cluster.RealNodes
	return s
}

// traces are what this lab could leave on the machine: processes, links, mounts, control groups, loop devices. Other labs may run at
// the same time, of other checkouts and of this one.
func (s *sandbox) traces() []string {
	s.t.Helper()
	found := s.links()
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, s.Dir) {
			found = append(found, "mount "+line)
		}
	}
	// As the cluster names it.
	sum := sha256.Sum256([]byte(s.Dir))
	group := "ha-iris-" + hex.EncodeToString(sum[:4])
	for _, pattern := range []string{"/sys/fs/cgroup/" + group, "/sys/fs/cgroup/*/" + group} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			s.t.Fatal(err)
		}
		found = append(found, paths...)
	}
	// The first process of a node names it; whatever else runs there ends with that.
	for pattern, kind := range map[string]string{"/proc/[0-9]*/cmdline": "process", "/sys/block/loop*/loop/backing_file": "loop device"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, path := range paths {
			if content, err := os.ReadFile(path); err == nil && strings.Contains(string(content), s.Dir+"/") {
				found = append(found, kind+" "+strings.ReplaceAll(string(content), "\x00", " "))
			}
		}
	}
	slices.Sort(found)
	return found
}

// links are the machine's but those of other labs: the alias of a lab's bridge is its directory, and its cables begin as it does.
func (s *sandbox) links() []string {
	s.t.Helper()
	all, err := netlink.LinkList()
	if err != nil {
		s.t.Fatal(err)
	}
	var found []string
	for _, link := range all {
		ours := !strings.HasPrefix(link.Attrs().Name, "hairis")
		for _, bridge := range all {
			ours = ours || bridge.Attrs().Alias == s.Dir && strings.HasPrefix(link.Attrs().Name, bridge.Attrs().Name)
		}
		if ours {
			found = append(found, "link "+link.Attrs().Name)
		}
	}
	return found
}

func TestLab_ContainersRunAndNothingStays(t *testing.T) {
	s := newLab(t, "lab-test")
	before := s.traces()
	status := s.up()
	if len(status.Nodes) != 3 || slices.ContainsFunc(status.Nodes, func(node cluster.Node) bool { return node.Simulated || !node.Ready }) {
		t.Fatalf("got nodes %v, want three real ones, ready", status.Nodes)
	}
	if running := s.traces(); len(running) < len(before)+len(status.Nodes) {
		t.Fatalf("got traces %v of a running lab; the check below proves nothing", running)
	}
	s.apply("lab.yaml")
	s.serves("the load balancer's address", func() string { return s.balancer() })
	s.resolves()
	s.down()
	if left := slices.DeleteFunc(s.traces(), func(one string) bool { return slices.Contains(before, one) }); len(left) > 0 {
		t.Errorf("left on the machine: %v", left)
	}
	again := s.up() // with the objects of before
	s.serves("after a restart", func() string { return s.balancer() })
	s.loses(again.Nodes)
	s.purge(t.Context())
	if left := slices.DeleteFunc(s.traces(), func(one string) bool { return slices.Contains(before, one) }); len(left) > 0 {
		t.Errorf("left on the machine: %v", left)
	}
}

func (s *sandbox) down() {
	s.t.Helper()
	if _, err := s.Down(s.t.Context(), false); err != nil {
		s.t.Fatalf("down: %v", err)
	}
}

// balancer is the address of the test's Service; empty while it has none.
func (s *sandbox) balancer() string {
	service, err := s.client().CoreV1().Services("default").Get(s.t.Context(), "web", metav1.GetOptions{})
	if err != nil || len(service.Status.LoadBalancer.Ingress) == 0 {
		return ""
	}
	return service.Status.LoadBalancer.Ingress[0].IP
}

// serves wants answers of pods on all three nodes, from this machine.
func (s *sandbox) serves(what string, address func() string) {
	s.t.Helper()
	seen := map[string]bool{}
	s.eventually(what+" answers", func(ctx context.Context) error {
		ip := address()
		if ip == "" {
			return errors.New("no address")
		}
		name, err := fetch(ctx, "http://"+ip)
		if err != nil {
			return err
		}
		if seen[name] = true; len(seen) < 3 {
			return fmt.Errorf("only %v answered", seen)
		}
		return nil
	})
}

func fetch(ctx context.Context, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return strings.TrimSpace(string(body)), err
}

// resolves asks for a Service's name in a pod, through kubectl exec.
func (s *sandbox) resolves() {
	s.t.Helper()
	s.eventually("a pod resolves the Service's name", func(ctx context.Context) error {
		output, err := exec.CommandContext(ctx, s.kubectl, "--kubeconfig", s.Kubeconfig(), "exec", "deploy/web", "--",
			"sh", "-c", "nslookup web.default.svc.cluster.local").CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, output)
		}
		service, err := s.client().CoreV1().Services("default").Get(ctx, "web", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if !strings.Contains(string(output), service.Spec.ClusterIP) {
			return fmt.Errorf("got %s, want %s", output, service.Spec.ClusterIP)
		}
		return nil
	})
}

// loses kills one node, cuts another one off and stops the kubelet of the third, all at once because Kubernetes takes a minute to
// see it, and has them back.
func (s *sandbox) loses(nodes []cluster.Node) {
	s.t.Helper()
	s.inject(cluster.Kill, nodes[0].Name, cluster.Dead)
	s.inject(cluster.Cut, nodes[1].Name, cluster.CutOff)
	s.inject(cluster.KubeletStop, nodes[2].Name, cluster.KubeletStopped)
	for _, node := range nodes {
		s.nodeBecomes(node.Name, corev1.ConditionUnknown)
	}
	s.inject(cluster.Start, nodes[0].Name, cluster.Alive)
	s.inject(cluster.Join, nodes[1].Name, cluster.Alive)
	s.inject(cluster.Start, nodes[2].Name, cluster.Alive)
	for _, node := range nodes {
		s.nodeBecomes(node.Name, corev1.ConditionTrue)
	}
}

func (s *sandbox) nodeBecomes(name string, want corev1.ConditionStatus) {
	s.t.Helper()
	s.eventually(fmt.Sprintf("node %s is ready: %s", name, want), func(ctx context.Context) error {
		node, err := s.client().CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, condition := range node.Status.Conditions {
			if condition.Type == corev1.NodeReady && condition.Status == want {
				return nil
			}
		}
		return errors.New("not yet")
	})
}

// A starter that is killed half-way leaves a lab that the next start completes, or that down removes.
func TestLab_AKilledStarterLeavesNothingThatDownDoesNotRemove(t *testing.T) {
	s := newLab(t, "lab-killed")
	before := s.traces()
	for _, after := range []time.Duration{1500 * time.Millisecond, 4 * time.Second, 6 * time.Second} {
		starter := exec.CommandContext(t.Context(), s.options.Self, "--root", filepath.Join("..", ".."), "up", "--name", s.Name, "--nodes", "real")
		if err := starter.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(after)
		if err := starter.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_ = starter.Wait() // killed
		s.purge(t.Context())
		if left := slices.DeleteFunc(s.traces(), func(one string) bool { return slices.Contains(before, one) }); len(left) > 0 {
			t.Errorf("killed after %s, then down; left on the machine: %v", after, left)
		}
	}
}
