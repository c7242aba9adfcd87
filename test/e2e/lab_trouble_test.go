//go:build e2e && lab && linux

package e2e_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestLab_GuardInTrouble takes from the guard what it lives on, in the middle of what it is for. Each node is a zone of its own here.
func TestLab_GuardInTrouble(t *testing.T) {
	l := startLab(t, "trouble", func(c config) config {
		return c.set("failover.image", agentImage).set("iris.synchronousCommit", true)
	})
	claim := l.claim()
	l.writes(1)
	l.step("its leader is on the node that dies", l.losesTheLeaderToo)
	l.step("its leader dies in the middle of a take-over", l.losesTheLeaderInTheMiddle)
	l.step("an operator sets the taint before it does", l.isTaintedByHand)
	l.step("two of three nodes die", l.losesTwoNodes)
	l.step("all guards are gone", l.hasNoGuards)
	if l.claim() != claim {
		t.Error("the claim is another one: the data is lost")
	}
	l.destroyEverything(l.cfg)
}

const guards = "app=iris-guard"

// knownFor is how long a guard must have been there before a loss, so that the check in the database's pod knows it (agent/internal/guard, KnownFor,
// 75 s): a younger one does not take over.
const knownFor = 80 * time.Second

// leader is the guard that leads, and its node; empty where none does. Both are in the name under which it holds the lease (agent/internal/watchman).
func (l *lab) leader() (pod, node string) {
	l.t.Helper()
	holder, err := l.on.tryKubectl(l.t, "-n", "iris", "get", "lease", "iris-guard", "-o", "jsonpath={.spec.holderIdentity}")
	if err != nil {
		return "", ""
	}
	pod, node, _ = strings.Cut(strings.TrimSpace(holder), "_")
	return pod, node
}

// losesTheLeaderToo makes the guard beside the database the leader, and kills the node of both.
func (l *lab) losesTheLeaderToo() {
	l.t.Helper()
	const what = "the leader's node is killed"
	node := l.node()
	eventually(l.t, recovery, func() error {
		pod, on := l.leader()
		if on == node {
			return nil
		}
		if pod != "" {
			l.on.kubectl(l.t, "-n", "iris", "delete", "pods", "-l", guards, "--field-selector=spec.nodeName!="+node)
		}
		return fmt.Errorf("%q leads on %q, want a guard on %s", pod, on, node)
	})
	l.on.kubectl(l.t, "-n", "iris", "rollout", "status", "deployment/iris-guard", "--timeout=120s")
	time.Sleep(knownFor)
	if _, on := l.leader(); on != node {
		l.t.Fatalf("the leader is on %s, not on %s: nothing would be tried", on, node)
	}
	l.losesNodeGuarded(what, l.fault("kill"), l.fault("start"))
}

// losesTheLeaderInTheMiddle kills the guard that leads as soon as it has recorded a take-over; another one goes on.
func (l *lab) losesTheLeaderInTheMiddle() {
	l.t.Helper()
	l.losesNodeGuarded("the leader dies in a take-over", func(node string) {
		l.on.fault(l.t, "kill", node)
		eventually(l.t, recovery, func() error {
			if record := l.on.kubectl(l.t, "get", "node", node, "-o", `jsonpath={.metadata.annotations.guard\.ha-iris/iris}`); record == "" {
				return fmt.Errorf("no take-over of %s is recorded", node)
			}
			return nil
		})
		pod, on := l.leader()
		if on == "" || on == node {
			l.t.Fatalf("the take-over was recorded by %q on %q", pod, on)
		}
		l.on.kubectl(l.t, "-n", "iris", "delete", "pod", pod, "--force", "--grace-period=0")
	}, l.fault("start"))
}

// outOfService is the taint that says that a machine is off.
const outOfService = "node.kubernetes.io/out-of-service"

// isTaintedByHand has somebody set the taint the moment Kubernetes notices, which is too early (longhorn-real.md, "The order that works").
func (l *lab) isTaintedByHand() {
	l.t.Helper()
	l.losesNodeGuarded("tainted by hand", func(node string) {
		l.on.fault(l.t, "kill", node)
		l.on.kubectl(l.t, "wait", "node", node, "--for=condition=Ready=Unknown", "--timeout=120s")
		l.on.kubectl(l.t, "taint", "node", node, outOfService+"=nodeshutdown:NoExecute", "--overwrite")
	}, func(node string) {
		l.on.fault(l.t, "start", node)
		l.on.kubectl(l.t, "wait", "node", node, "--for=condition=Ready", "--timeout=120s")
		// Whoever has set it takes it away. It is not there any more where the guard has set it again as its own.
		_, _ = l.on.tryKubectl(l.t, "taint", "node", node, outOfService+"-")
	})
}

// losesTwoNodes kills the database's node and another one. What then happens need not be fast; nothing may be lost by it.
func (l *lab) losesTwoNodes() {
	l.t.Helper()
	const what = "two nodes are killed"
	first := l.node()
	var second string
	for _, dir := range l.on.nodes() {
		if node := filepath.Base(dir); node != first {
			second = node
		}
	}
	w := l.acknowledging()
	l.on.fault(l.t, "kill", first)
	l.on.fault(l.t, "kill", second)
	acks := w.acks()
	// Long enough for the guard to have done whatever it would do: it is through 15 s after a node is NotReady.
	time.Sleep(2 * time.Minute)
	for _, node := range []string{first, second} {
		record := l.on.kubectl(l.t, "get", "node", node, "-o", `jsonpath={.metadata.annotations.guard\.ha-iris/iris}`)
		if record != "" {
			l.t.Errorf("%s: the guard took over from %s, with one node left to judge by: %s", what, node, record)
		}
	}
	l.on.fault(l.t, "start", first)
	l.on.fault(l.t, "start", second)
	eventually(l.t, recovery, func() error {
		_, err := l.has(1)
		return err
	})
	l.keepsRows(what, acks)
	l.isSettled(what, first)
	l.isSettled(what, second)
}

// hasNoGuards deletes them all. The database goes on while the API server answers, and a lost node is Longhorn's to recover from.
func (l *lab) hasNoGuards() {
	l.t.Helper()
	const what = "without guards"
	l.on.kubectl(l.t, "-n", "iris", "scale", "deployment/iris-guard", "--replicas=0")
	l.on.kubectl(l.t, "-n", "iris", "wait", "pods", "-l", guards, "--for=delete", "--timeout=120s")
	w := l.acknowledging()
	time.Sleep(time.Minute)
	acks := w.acks()
	if pause := longestPause(acks); pause > 5 { // As in missesAPIServer.
		l.t.Errorf("%s: the longest pause between two acknowledgements was %.1f s", what, pause)
	}
	node := l.node()
	l.survives(what, func() { l.on.fault(l.t, "kill", node) })
	l.keepsRows(what, w.acks())
	l.on.kubectl(l.t, "-n", "iris", "scale", "deployment/iris-guard", "--replicas=3")
	l.on.fault(l.t, "start", node)
	l.isSettled(what, node)
}
