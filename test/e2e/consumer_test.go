//go:build e2e

package e2e_test

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestConsumer_UsesTheOutputsOfAnotherStack runs examples/consumer against a stack of ha-iris: outputs are a contract only
// when somebody uses them.
func TestConsumer_UsesTheOutputsOfAnotherStack(t *testing.T) {
	onShared(t)
	state := t.TempDir()
	c := baseConfig(shared).set("iris.service.clientNamespaces", []any{"iris-consumer"})
	upstream := newStackOf(t, project{file: filepath.Join(repository, "Pulumi.yaml"), program: program, state: state}, "upstream")
	upstream.configure(c)
	t.Cleanup(func() { checkEmpty(t, shared) })
	given, _ := upstream.up()
	defer upstream.destroyEverything(c)

	s := newStackOf(t, project{
		file: filepath.Join(repository, "examples", "consumer", "Pulumi.yaml"), program: consumer, state: state,
	}, "consumer")
	s.setPlain("irisStack", "organization/ha-iris/none")
	if output, err := s.cli("preview"); err == nil || !strings.Contains(output, "organization/ha-iris/none") {
		t.Errorf("a stack that does not exist: %v\n%s", err, output)
	}
	s.setPlain("irisStack", "organization/ha-iris/upstream")
	outputs, _ := s.up()
	if want := given["serviceName"].Value.(string) + "." + given["namespace"].Value.(string); !strings.Contains(outputs["address"].Value.(string), want) {
		t.Errorf("the consumer uses %v, want an address with %s", outputs["address"].Value, want)
	}
	shared.kubectl(t, "-n", "iris-consumer", "rollout", "status", "deployment/iris-watch", "--timeout=60s")
	if _, again := s.up(); !again.onlySame() {
		t.Errorf("a second up changed something: %v", again)
	}
	if err := s.tryDestroy(); err != nil {
		t.Errorf("destroy: %v", err)
	}
}
