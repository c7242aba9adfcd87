//go:build e2e

package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
)

// podWait covers the stand-in's attach delay and the stop of the pod before, with room for a loaded machine.
const podWait = 2 * time.Minute

func TestLifecycle(t *testing.T) {
	onShared(t)
	c := baseConfig(shared)
	s := newStack(t, "lifecycle")
	s.configure(c)
	t.Cleanup(func() { checkEmpty(t, shared) })

	outputs, _ := s.up()
	checkOutputs(t, outputs)
	checkCluster(t, shared)

	if _, again := s.up(); !again.onlySame() {
		t.Errorf("a second up changed something: %v", again)
	}
	planned, err := s.preview()
	if err != nil {
		t.Fatalf("preview: %v", err)
	}
	if !planned.onlySame() {
		t.Errorf("a preview without changes plans some: %v", planned)
	}

	claim := shared.kubectl(t, "-n", "iris", "get", "pvc", "iris-pvc", "-o", "jsonpath={.metadata.uid}")
	pod := podName(t, shared)
	s.configure(c.set("iris.globalsMiB", 600))
	if _, changed := s.up(); changed["replace"] > 0 || changed["delete"] > 0 {
		t.Errorf("a change of a CPF value replaced or deleted something: %v", changed)
	}
	merge := shared.kubectl(t, "-n", "iris", "get", "configmap", "iris-cpf-merge", "-o", `jsonpath={.data.merge\.cpf}`)
	if !strings.Contains(merge, "globals=0,0,600,0,0,0") {
		t.Errorf("the merge file does not have the new value:\n%s", merge)
	}
	if podName(t, shared) == pod {
		t.Error("the change did not roll the pod, so IRIS would not have read it")
	}
	if now := shared.kubectl(t, "-n", "iris", "get", "pvc", "iris-pvc", "-o", "jsonpath={.metadata.uid}"); now != claim {
		t.Error("the claim is another one: the data is lost")
	}

	checkDestroyRefused(t, s)
	s.destroyEverything(c)
}

func checkOutputs(t *testing.T, outputs auto.OutputMap) {
	t.Helper()
	want := map[string]any{
		"superserverPort": 1972.0, "namespace": "iris", "serviceName": "iris-svc", "storageClass": "longhorn-iris",
		"clusterName":       "ha-iris-lifecycle",
		"longhornUiCommand": "kubectl -n longhorn-system port-forward --address 127.0.0.1 service/longhorn-frontend 9000:80",
	}
	for name, value := range want {
		if got := outputs[name].Value; got != value {
			t.Errorf("output %s is %v (%T), want %v", name, got, got, value)
		}
	}
	host, _ := outputs["irisHost"].Value.(string)
	if portal := fmt.Sprintf("http://%s:52773/csp/sys/UtilHome.csp", host); outputs["portalUrl"].Value != portal || host == "" {
		t.Errorf("portalUrl is %v, want %s", outputs["portalUrl"].Value, portal)
	}
	for name, output := range outputs {
		if output.Secret != (name == "kubeconfig") {
			t.Errorf("output %s: secret is %v", name, output.Secret)
		}
	}
}

// checkCluster looks at what a person would look at with kubectl.
func checkCluster(t *testing.T, on sandbox) {
	t.Helper()
	nodes := on.kubectl(t, "get", "nodes", "-o",
		`jsonpath={range .items[*]}{.metadata.labels.topology\.kubernetes\.io/zone} {.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}`)
	zones := map[string]bool{}
	for _, line := range strings.Split(strings.TrimSpace(nodes), "\n") {
		zone, ready, _ := strings.Cut(line, " ")
		if ready != "True" {
			t.Errorf("a node of zone %s is not Ready", zone)
		}
		zones[zone] = true
	}
	if len(zones) != 3 {
		t.Errorf("the nodes lie in %d zones, want 3:\n%s", len(zones), nodes)
	}
	for _, workload := range []string{"daemonset/longhorn-manager", "deployment/longhorn-driver-deployer", "deployment/longhorn-ui"} {
		on.kubectl(t, "-n", "longhorn-system", "rollout", "status", workload, "--timeout=60s")
	}
	eventually(t, podWait, func() error {
		phase := on.kubectl(t, "-n", "iris", "get", "pvc", "iris-pvc", "-o", "jsonpath={.status.phase}")
		if phase != "Bound" {
			return fmt.Errorf("the claim is %q", phase)
		}
		return nil
	})
	on.kubectl(t, "-n", "iris", "rollout", "status", "deployment/iris", "--timeout=120s")
	node := on.kubectl(t, "-n", "iris", "get", "pods", "-l", "app=iris", "-o", "jsonpath={.items[0].spec.nodeName}")
	attachments := on.kubectl(t, "get", "volumeattachments", "-o",
		`jsonpath={range .items[*]}{.spec.attacher} {.spec.nodeName} {.status.attached}{"\n"}{end}`)
	if want := "driver.longhorn.io " + node + " true\n"; attachments != want {
		t.Errorf("volume attachments are %q, want the database's on its node %q", attachments, want)
	}
	address := on.kubectl(t, "-n", "iris", "get", "service", "iris-svc", "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}")
	if address == "" {
		t.Error("the Service has no address")
	}
}

func podName(t *testing.T, on sandbox) string {
	t.Helper()
	on.kubectl(t, "-n", "iris", "rollout", "status", "deployment/iris", "--timeout=120s")
	return on.kubectl(t, "-n", "iris", "get", "pods", "-l", "app=iris", "--field-selector=status.phase=Running",
		"-o", "jsonpath={.items[0].metadata.name}")
}

func checkDestroyRefused(t *testing.T, s *stack) {
	t.Helper()
	before := len(s.state())
	err := s.tryDestroy()
	if err == nil {
		t.Fatal("destroy deleted protected data")
	}
	if !strings.Contains(err.Error(), "protect") {
		t.Errorf("destroy failed, but not because the data is protected: %v", err)
	}
	if after := len(s.state()); after != before {
		t.Errorf("a refused destroy changed the state: %d resources before, %d after", before, after)
	}
	shared.kubectl(t, "-n", "iris", "get", "pvc", "iris-pvc")
	shared.kubectl(t, "-n", "iris", "rollout", "status", "deployment/iris", "--timeout=60s")
}

// checkEmpty fails when a destroy left something behind that it should not.
func checkEmpty(t *testing.T, on sandbox) {
	t.Helper()
	for _, kind := range []string{"namespace/iris", "namespace/longhorn-system", "storageclass/longhorn-iris", "csidriver/driver.longhorn.io"} {
		output, err := on.tryKubectl(t, "get", kind)
		switch {
		case err == nil:
			t.Errorf("%s is still there after destroy:\n%s", kind, output)
		case !strings.Contains(output, "NotFound"):
			t.Errorf("look for %s: %v\n%s", kind, err, output)
		}
	}
}
