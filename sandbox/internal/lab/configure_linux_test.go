package lab

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
	"sigs.k8s.io/yaml"
)

func testNode(t *testing.T) Node {
	t.Helper()
	dir := t.TempDir()
	return Node{
		Name: "ha-iris-node-b", Number: 1, Plan: Plan{firstIndex}, Zone: "sandbox-2", Region: "sandbox",
		Dir: dir, Keep: filepath.Dir(dir), Bin: "/checkout/bin", Runc: "/usr/sbin/runc",
		CA: "/pki/ca.crt", Kubeconfig: "/run/node.kubeconfig", ProxyKubeconfig: "/run/proxy.kubeconfig",
		Images: "10.77.0.1:5000", Cgroup: "/ha-iris-1/ha-iris-node-b",
		Log: func(service string) string { return filepath.Join(dir, service+".log") },
	}
}

// emptyFields are the paths of what is empty in a document.
func emptyFields(at string, value any) []string {
	var found []string
	switch value := value.(type) {
	case map[string]any:
		for key, below := range value {
			found = append(found, emptyFields(at+"."+key, below)...)
		}
	case []any:
		for _, below := range value {
			found = append(found, emptyFields(at+"[]", below)...)
		}
		if len(value) == 0 {
			found = append(found, at)
		}
	case nil:
		found = append(found, at)
	case string:
		if strings.TrimSpace(value) == "" || strings.Contains(value, "<no value>") {
			found = append(found, at)
		}
	}
	return found
}

// configured is what the node's programs read, by the file's name.
func configured(t *testing.T, n Node) map[string]map[string]any {
	t.Helper()
	if err := n.configure(); err != nil {
		t.Fatalf("configure: %v", err)
	}
	decode := map[string]func([]byte, any) error{
		".toml": toml.Unmarshal, ".json": json.Unmarshal, ".conflist": json.Unmarshal,
		".yaml": func(content []byte, into any) error { return yaml.UnmarshalStrict(content, into) },
	}
	found := map[string]map[string]any{}
	for _, path := range []string{
		n.etc("containerd.toml"), n.etc("kubelet.yaml"), n.etc("kube-proxy.yaml"), filepath.Join(n.CNI(), "pods.conflist"),
		filepath.Join(n.Hosts(), "_default", "hosts.toml"), machinePath(n.Dir),
	} {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		document := map[string]any{}
		if err := decode[filepath.Ext(path)](content, &document); err != nil {
			t.Fatalf("%s: %v\n%s", path, err, content)
		}
		found[filepath.Base(path)] = document
	}
	return found
}

func TestConfigure_WritesValidFilesWithoutAnEmptyField(t *testing.T) {
	t.Parallel()
	for name, document := range configured(t, testNode(t)) {
		if len(document) == 0 {
			t.Errorf("%s is empty", name)
		}
		// Only containerd listens on something that the next service waits for.
		if empty := emptyFields(name, document); len(empty) > 0 {
			t.Errorf("empty: %v", empty)
		}
	}
	// The check can fail.
	nameless := testNode(t)
	nameless.Cgroup = ""
	if empty := emptyFields("kubelet.yaml", configured(t, nameless)["kubelet.yaml"]); !slices.Equal(empty, []string{"kubelet.yaml.cgroupRoot"}) {
		t.Errorf("without a control group: empty are %v", empty)
	}
}

func TestConfigure_SaysWhatIsTheNodesOwn(t *testing.T) {
	t.Parallel()
	n := testNode(t)
	found := configured(t, n)
	kubeletYAML, proxy := found["kubelet.yaml"], found["kube-proxy.yaml"]
	if kubeletYAML["cgroupRoot"] != n.Cgroup || kubeletYAML["clusterDomain"] != Domain || kubeletYAML["failCgroupV1"] != false {
		t.Errorf("kubelet: got %v", kubeletYAML)
	}
	// 0 leaves the kernel's own alone: they are the whole machine's.
	if conntrack, _ := proxy["conntrack"].(map[string]any); proxy["mode"] != "iptables" || conntrack["maxPerCore"] != 0.0 || conntrack["min"] != 0.0 {
		t.Errorf("kube-proxy: got %v", proxy)
	}
	content, err := os.ReadFile(filepath.Join(n.CNI(), "pods.conflist"))
	if err != nil || !strings.Contains(string(content), n.Plan.NodePods(1).String()) {
		t.Errorf("pods' network: %s, %v", content, err)
	}
}

func TestMachine_IsReadAsItWasSaved(t *testing.T) {
	t.Parallel()
	n := testNode(t)
	if err := n.configure(); err != nil {
		t.Fatal(err)
	}
	got, err := readMachine(n.Dir)
	if err != nil || got.Name != n.Name || got.Number != 1 || got.Plan != n.Plan || got.Keep != n.Keep || len(got.Services) != 3 {
		t.Errorf("got %+v, %v", got, err)
	}
	for path, source := range got.disks() {
		if !strings.HasPrefix(source, n.Dir+"/disk/") || !strings.HasSuffix(source, path) {
			t.Errorf("%s is kept in %s", path, source)
		}
	}
	if _, err := readMachine(t.TempDir()); err == nil {
		t.Error("an empty directory describes a node")
	}
}
