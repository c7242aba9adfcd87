//go:build e2e

package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
)

// The images of the licensed edition. No image is pulled on the sandbox, so that none needs a login here.
const (
	licensedImage = "containers.intersystems.com/intersystems/iris:2026.1.0.234.1"
	gatewayImage  = "containers.intersystems.com/intersystems/webgateway-lockeddown:2026.1.0.234.1"
)

// databaseLife is one database on the shared sandbox, and the configuration that it has grown into.
type databaseLife struct {
	s *stack
	c config
}

// TestDatabase_ChangesKeepTheVolume walks one database through the changes of its life.
func TestDatabase_ChangesKeepTheVolume(t *testing.T) {
	onShared(t)
	life := &databaseLife{s: newStack(t, "database"), c: baseConfig(shared)}
	s := life.s
	s.configure(life.c)
	t.Cleanup(func() { checkEmpty(t, shared) })
	s.up()
	claim := claimUID(t)
	for _, step := range []struct {
		name string
		run  func(t *testing.T)
	}{
		{"grows with the pod running", life.grow},
		{"does not shrink", life.shrink},
		{"does not move to another storage, class, mode or namespace", life.move},
		{"takes another number of replicas once the volume has it", life.changeReplicas},
		{"takes a new password with a new pod", life.rotatePassword},
		{"stops, and starts again", life.hibernate},
		{"takes back what kubectl has set", life.takeBackFromKubectl},
		{"takes back what another tool applies", life.takeBackFromAnotherTool},
		{"offers each type of service", func(t *testing.T) { checkServiceTypes(t, s, life.c) }},
		{"switches to the licensed edition and back", func(t *testing.T) { checkEditions(t, s, life.c) }},
		{"comes back after a destroy that skipped its preview", life.comeBack},
	} {
		passed := t.Run(step.name, func(t *testing.T) {
			s.t = t // A test can only be stopped from within.
			step.run(t)
		})
		s.t = t
		if !passed {
			break // What follows builds on it.
		}
		if now := claimUID(t); now != claim {
			t.Fatalf("after %q the claim is another one: the data is lost", step.name)
		}
	}
	s.destroyEverything(life.c)
}

func (l *databaseLife) grow(t *testing.T) {
	t.Helper()
	pod := podName(t, shared)
	l.c = l.c.set("iris.size", "30Gi")
	l.s.configure(l.c)
	l.s.up()
	eventually(t, podWait, func() error {
		if got := jsonpath(t, "pvc", "iris-pvc", "{.status.capacity.storage}"); got != "30Gi" {
			return fmt.Errorf("the volume has %s", got)
		}
		return nil
	})
	if podName(t, shared) != pod {
		t.Error("the pod was restarted to grow the volume")
	}
}

func (l *databaseLife) shrink(t *testing.T) {
	t.Helper()
	refused(t, l.s, l.c.set("iris.size", "25Gi"), "iris.size", `got "25Gi"`, `"30Gi"`, "never shrink")
}

func (l *databaseLife) move(t *testing.T) {
	t.Helper()
	refused(t, l.s, l.c.set("storage.className", "other"), "storage.className", "restore a backup")
	refused(t, l.s, l.c.installingNothing(), "storage.install: got false, want true", "restore a backup")
	refused(t, l.s, l.c.set("iris.accessMode", "ReadWriteOnce"), "iris.accessMode", "restore a backup")
	refused(t, l.s, l.c.set("iris.namespace", "other"), "iris.namespace", "restore a backup")
}

// changeReplicas changes what Kubernetes lets nobody change of a StorageClass: refused before the volume has gone first.
func (l *databaseLife) changeReplicas(t *testing.T) {
	t.Helper()
	volume := jsonpath(t, "pvc", "iris-pvc", "{.spec.volumeName}")
	class := shared.kubectl(t, "get", "storageclass", "longhorn-iris", "-o", "jsonpath={.metadata.uid}")
	two := l.c.set("storage.replicas", 2)
	refused(t, l.s, two, "storage.replicas: got 2, want 3", "patch volumes.longhorn.io "+volume+" --type merge",
		"pulumi config set --path storage.replicas 3")
	setReplicas(t, volume, 2)
	l.s.configure(two)
	planned, err := l.s.preview()
	if err != nil || planned["replace"] != 1 || planned["delete"] > 0 {
		t.Errorf("the preview plans %v, %v; want the class replaced and nothing else", planned, err)
	}
	if _, err := l.s.cli("up", "--yes"); err != nil {
		t.Fatalf("up: %v", err)
	}
	now := shared.kubectl(t, "get", "storageclass", "longhorn-iris", "-o", "jsonpath={.metadata.uid} {.parameters.numberOfReplicas}")
	if uid, replicas, _ := strings.Cut(now, " "); uid == class || replicas != "2" {
		t.Errorf("the class has %s replicas; another object: %t", replicas, uid != class)
	}
	if phase := jsonpath(t, "pvc", "iris-pvc", "{.status.phase} {.spec.volumeName}"); phase != "Bound "+volume {
		t.Errorf("the claim is %s, want it bound to %s", phase, volume)
	}
	setReplicas(t, volume, 3)
	l.s.configure(l.c)
	l.s.up()
	if _, again := l.s.up(); !again.onlySame() {
		t.Errorf("a second up changed something: %v", again)
	}
}

func setReplicas(t *testing.T, volume string, count int) {
	t.Helper()
	shared.kubectl(t, "-n", "longhorn-system", "patch", "volumes.longhorn.io", volume, "--type", "merge",
		"-p", fmt.Sprintf(`{"spec":{"numberOfReplicas":%d}}`, count))
}

func (l *databaseLife) rotatePassword(t *testing.T) {
	t.Helper()
	pod := podName(t, shared)
	l.s.configure(l.c)
	l.s.setSecret("irisPassword", password+"-rotated")
	l.s.up()
	if podName(t, shared) == pod {
		t.Error("the pod is the old one, so that IRIS would not have read the new password")
	}
	if leak := l.s.kubectlAll(t); strings.Contains(leak, password) {
		t.Error("the password can be read from an object that is no Secret")
	}
}

// takeBackFromKubectl undoes what people do at night, once the program has something to change.
func (l *databaseLife) hibernate(t *testing.T) {
	t.Helper()
	l.s.configure(l.c.set("iris.replicas", 0))
	outputs, done := l.s.up()
	if done["replace"]+done["delete"]+done["create"] > 0 || outputs["portalUrl"].Value == "" {
		t.Errorf("%v, want updates alone, and the address stays: %v", done, outputs["portalUrl"].Value)
	}
	eventually(t, time.Minute, func() error {
		if left := shared.kubectl(t, "-n", "iris", "get", "pods", "-l", "app=iris", "-o", "name"); left != "" {
			return fmt.Errorf("there is still %s", left)
		}
		return nil
	})
	if _, again := l.s.up(); !again.onlySame() {
		t.Errorf("a second up changed something: %v", again)
	}
	l.s.configure(l.c)
	l.s.up()
	podName(t, shared)
}

func (l *databaseLife) takeBackFromKubectl(t *testing.T) {
	t.Helper()
	shared.kubectl(t, "-n", "iris", "scale", "deployment", "iris", "--replicas=0")
	shared.kubectl(t, "-n", "iris", "set", "resources", "deployment", "iris", "-c", "iris", "--limits=memory=5Gi", "--requests=memory=5Gi")
	shared.kubectl(t, "-n", "iris", "patch", "service", "iris-svc", "--type=merge", "--patch", `{"spec":{"loadBalancerSourceRanges":["0.0.0.0/0"]}}`)
	shared.kubectl(t, "-n", "iris", "patch", "networkpolicy", "iris", "--type=json", "--patch", `[{"op":"remove","path":"/spec/ingress"}]`)
	l.s.configure(l.c.set("iris.globalsMiB", 600).set("iris.service.sourceRanges", []any{"127.0.0.0/9"}))
	l.s.up()
	podName(t, shared)
	if got := jsonpath(t, "deployment", "iris", "{.spec.template.spec.containers[0].resources.limits.memory}"); got != "4Gi" {
		t.Errorf("the limit is %s, not the program's", got)
	}
	if got := jsonpath(t, "service", "iris-svc", "{.spec.loadBalancerSourceRanges}"); got != `["127.0.0.0/9"]` {
		t.Errorf("the Service lets in %s", got)
	}
	if got := jsonpath(t, "networkpolicy", "iris", "{.spec.ingress[0].from[0].ipBlock.cidr}"); got != "127.0.0.0/9" {
		t.Errorf("the policy lets in %q", got)
	}
}

func (l *databaseLife) takeBackFromAnotherTool(t *testing.T) {
	t.Helper()
	shared.kubectl(t, "apply", "--server-side", "--force-conflicts", "--field-manager=another-tool", "-f", writeFile(t, "deployment.yaml",
		"{apiVersion: apps/v1, kind: Deployment, metadata: {name: iris, namespace: iris}, spec: {replicas: 0}}\n"))
	l.s.configure(l.c)
	l.s.up()
	podName(t, shared)
}

// comeBack looks at what a destroy leaves that was told not to look first.
func (l *databaseLife) comeBack(t *testing.T) {
	t.Helper()
	l.s.configure(l.c)
	l.s.up()
	if output, err := l.s.cli("destroy", "--yes", "--skip-preview"); err == nil {
		t.Errorf("destroy deleted protected data:\n%s", output)
	}
	l.s.up()
	podName(t, shared)
}

// checkRefusals wants every operation to have failed with a message that has all the words.
func checkRefusals(t *testing.T, refusals map[string]error, words []string) {
	t.Helper()
	for operation, err := range refusals {
		if err == nil {
			t.Errorf("%s accepted it", operation)
			continue
		}
		for _, word := range words {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("the message of %s lacks %q:\n%v", operation, word, err)
			}
		}
	}
}

// refused fails unless both preview and up refuse the configuration with a message that has all the words, and leave the
// stack as it is.
func refused(t *testing.T, s *stack, c config, words ...string) {
	t.Helper()
	before := len(s.state())
	s.configure(c)
	_, previewErr := s.preview()
	_, upErr := s.cli("up", "--yes")
	checkRefusals(t, map[string]error{"preview": previewErr, "up": upErr}, words)
	if after := len(s.state()); after != before {
		t.Errorf("a refused change left %d resources of %d", after, before)
	}
	shared.kubectl(t, "-n", "iris", "rollout", "status", "deployment/iris", "--timeout=60s")
}

func checkServiceTypes(t *testing.T, s *stack, c config) {
	t.Helper()
	cases := []struct {
		kind         string
		host, portal func(outputs auto.OutputMap) string
	}{
		{"ClusterIP", func(auto.OutputMap) string { return "iris-svc.iris.svc" }, func(auto.OutputMap) string {
			return "kubectl --namespace iris port-forward service/iris-svc 52773:52773 # then open http://localhost:52773/csp/sys/UtilHome.csp"
		}},
		{"NodePort", func(auto.OutputMap) string { return "NODE_ADDRESS" }, func(auto.OutputMap) string {
			port := jsonpath(t, "service", "iris-svc", `{.spec.ports[?(@.name=="smp-http")].nodePort}`)
			return "http://NODE_ADDRESS:" + port + "/csp/sys/UtilHome.csp"
		}},
		{"LoadBalancer", func(auto.OutputMap) string {
			return jsonpath(t, "service", "iris-svc", "{.status.loadBalancer.ingress[0].ip}")
		}, func(outputs auto.OutputMap) string {
			return fmt.Sprintf("http://%v:52773/csp/sys/UtilHome.csp", outputs["irisHost"].Value)
		}},
	}
	for _, test := range cases {
		changed := c.set("iris.service.type", test.kind)
		if test.kind == "ClusterIP" { // Has no clients outside whose addresses could be checked.
			changed = changed.set("iris.service.sourceRanges", []any{})
		}
		s.configure(changed)
		outputs, _ := s.up()
		if got, want := outputs["irisHost"].Value, test.host(outputs); got != want {
			t.Errorf("%s: irisHost is %v, want %s", test.kind, got, want)
		}
		if got, want := outputs["portalUrl"].Value, test.portal(outputs); got != want {
			t.Errorf("%s: portalUrl is %v, want %s", test.kind, got, want)
		}
	}
}

func checkEditions(t *testing.T, s *stack, c config) {
	t.Helper()
	s.configure(c.set("iris.edition", "licensed").set("iris.image", licensedImage).set("iris.webGateway.image", gatewayImage).
		set("iris.registry.username", "someone@example.com"))
	s.setSecret("irisLicenseKey", "[ConfigFile]\nFileType=InterSystems License\n")
	s.setSecret("irisRegistryPassword", "token-e2e")
	s.up()
	podName(t, shared)
	images := jsonpath(t, "deployment", "iris", "{.spec.template.spec.containers[*].image}")
	if !strings.Contains(images, licensedImage) || !strings.Contains(images, gatewayImage) {
		t.Errorf("the pod runs %q, want the licensed image and the Web Gateway beside it", images)
	}
	s.configure(c)
	s.up()
	podName(t, shared)
	if images := jsonpath(t, "deployment", "iris", "{.spec.template.spec.containers[*].image}"); strings.Contains(images, gatewayImage) {
		t.Errorf("back to Community, the pod still runs %q", images)
	}
}

func claimUID(t *testing.T) string {
	t.Helper()
	return shared.claimUID(t)
}

// claimUID tells whether the database's claim is still the same.
func (s sandbox) claimUID(t *testing.T) string {
	t.Helper()
	return s.kubectl(t, "-n", "iris", "get", "pvc", "iris-pvc", "-o", "jsonpath={.metadata.uid}")
}

// jsonpath reads a field of an object in the database's namespace on the shared sandbox.
func jsonpath(t *testing.T, kind, name, path string) string {
	t.Helper()
	return shared.kubectl(t, "-n", "iris", "get", kind, name, "-o", "jsonpath="+path)
}

// kubectlAll returns every object of the database's namespace that anybody may read, and the events.
func (s *stack) kubectlAll(t *testing.T) string {
	t.Helper()
	return shared.kubectl(t, "-n", "iris", "get", "configmaps,deployments,daemonsets,replicasets,pods,services,events", "-o", "yaml")
}
