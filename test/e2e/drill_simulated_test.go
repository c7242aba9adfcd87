//go:build e2e && !lab

package e2e_test

import (
	"strings"
	"testing"
)

// TestDrill is TestLab_Drill where no real nodes can run: what Kubernetes, the guard and the drill do is real there too, and no row is
// written. A simulated node without its kubelet or its network is a dead one (sandbox/README.md), hence three of the six experiments.
func TestDrill(t *testing.T) {
	onOwn(t)
	on := ownSandbox(t, "e2e-drill-simulated")
	s := newStack(t, "drill")
	cfg := baseConfig(on).set("failover.image", agentImage)
	s.configure(cfg)
	s.up()
	claim := on.claimUID(t)
	on.isGuarded(t)
	on.guardsAreKnown(t)
	report, code := on.drill(t, "all")
	if code != 3 || !strings.Contains(strings.Join(report.Refusals, " "), "stop-instance: the nodes are simulated") {
		t.Errorf("a drill of a process that is not there: exit code %d, refused %q; want 3 and why", code, report.Refusals)
	}
	for _, experiment := range []string{"delete-pod", "drain-node", "lose-node"} {
		if !t.Run(experiment, func(t *testing.T) {
			report, code := on.drill(t, experiment)
			report.wantPassed(t, code, experiment)
		}) {
			return // The cluster stays for a look.
		}
	}
	if now := on.claimUID(t); now != claim {
		t.Fatal("the claim is another one: the data is lost")
	}
	s.destroyEverything(cfg)
}
