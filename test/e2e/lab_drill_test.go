//go:build e2e && lab && linux

package e2e_test

import "testing"

// TestLab_Drill makes each fault of ops/drill once, as its user does, and wants every acknowledged row back, from replicas that are equal. What
// it proves is safety: for how long the database is away on a machine that is busy with other tests, it only says.
func TestLab_Drill(t *testing.T) {
	onOwn(t)
	l := startLab(t, "drilled", func(c config) config {
		return c.set("failover.image", agentImage).set("iris.synchronousCommit", true)
	})
	claim := l.claim()
	l.on.guardsAreKnown(t)
	report, code := l.on.drill(t, "all", "--compare-replicas")
	report.wantPassed(t, code, "stop-instance", "delete-pod", "drain-node", "stop-kubelet", "cut-node", "lose-node")
	for _, experiment := range report.Experiments {
		for _, run := range experiment.Runs {
			run.wantNothingLost(t, experiment.Name)
		}
	}
	if l.claim() != claim {
		t.Error("the claim is another one: the data is lost")
	}
	if t.Failed() {
		return // The cluster stays for a look.
	}
	l.destroyEverything(l.cfg)
}

// wantNothingLost wants rows to have been written, every acknowledged one to be there once, and replicas without a differing block.
func (r drillRun) wantNothingLost(t *testing.T, experiment string) {
	t.Helper()
	const enough = 50 // Five seconds' worth; fewer prove nothing.
	if w := r.Writes; w == nil || w.Acknowledged < enough || len(w.Lost)+len(w.Duplicated)+len(w.Phantoms) > 0 {
		t.Errorf("%s: got writes %+v, want at least %d and every acknowledged one once", experiment, w, enough)
	}
	if r.Differing == nil || *r.Differing > 0 {
		t.Errorf("%s: the replicas were not compared or differ: %v", experiment, r.Differing)
	}
}
