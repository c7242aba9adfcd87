//go:build e2e

package e2e_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestGuard_OtherStorage runs the guard where the storage is a cloud's disk (sandbox/internal/standin/networkdisk.go), which nobody but
// Kubernetes detaches from a dead node: 6 min after its pod is gone, or with the out-of-service taint.
func TestGuard_OtherStorage(t *testing.T) {
	onOwn(t)
	on := ownSandbox(t, "e2e-disks", "--disks", "network")
	s := newStack(t, "disks")
	cfg := baseConfig(on).installingNothing().set("storage.className", "network-disk").set("failover.image", agentImage)
	s.configure(cfg.set("failover.proof", []any{"deleted", "isolation"}))
	checkRefused(t, s, []string{`failover.proof: got "isolation", want none of it, or failover.fencedStorage true`, "nothing was changed"})
	s.configure(cfg)
	s.up()
	claim := on.claimUID(t)
	on.isGuarded(t)
	if !t.Run("waits for a proof, and takes over when the Node is deleted", func(t *testing.T) { checkOnlyDeleted(t, on) }) {
		return // The cluster stays for a look.
	}
	s.configure(cfg.set("failover.fencedStorage", true))
	s.up()
	on.isGuarded(t)
	if !t.Run("takes over at once where the storage fences", func(t *testing.T) {
		on.guardsAreKnown(t)
		checkTakeOver(t, on)
	}) {
		return
	}
	if now := on.claimUID(t); now != claim {
		t.Fatal("the claim is another one: the data is lost")
	}
	s.destroyEverything(cfg)
}

// guardsAreKnown waits until every guard is older than the 75 s before which it may not judge a loss (agent/internal/guard, KnownFor): the
// check in the pod may not know it yet.
func (s sandbox) guardsAreKnown(t *testing.T) {
	t.Helper()
	s.kubectl(t, "-n", "iris", "rollout", "status", "deployment/iris-guard", "--timeout=180s")
	eventually(t, 3*time.Minute, func() error {
		created := s.kubectl(t, "-n", "iris", "get", "pods", "-l", "app=iris-guard", "-o", "jsonpath={.items[*].metadata.creationTimestamp}")
		for _, text := range strings.Fields(created) {
			at, err := time.Parse(time.RFC3339, text)
			if err != nil {
				return err
			}
			if age := time.Since(at); age < 80*time.Second {
				return fmt.Errorf("a guard is only %s old", age)
			}
		}
		return nil
	})
}

// checkOnlyDeleted kills the database's node where the storage is not known to fence. The guard may do nothing, and has to say why, until the
// Node is deleted.
func checkOnlyDeleted(t *testing.T, on sandbox) {
	t.Helper()
	// Kubernetes alone takes 40 to 80 s for the pod of a Node that is gone, and 6 min more for its disk. The guard leaves it the 60 s after
	// which it looks again at what is attached (facts: failover.md 1.4).
	const withoutKubernetes = 4 * time.Minute
	on.guardsAreKnown(t)
	pod, node := on.database(t)
	on.fault(t, "kill", node)
	eventually(t, 3*time.Minute, func() error {
		events := on.kubectl(t, "get", "events", "-A", "-o", `jsonpath={range .items[?(@.reason=="TakeOverRefused")]}{.message}{"\n"}{end}`)
		if !strings.Contains(events, "deleted: the Node object is there; shutdown: the cloud has not set its taint") {
			return fmt.Errorf("no refusal says which proof is wanted: %q", events)
		}
		return nil
	})
	time.Sleep(30 * time.Second) // A take-over takes less.
	if marks := on.guardMarks(t, node); marks != "" {
		t.Errorf("without a proof the lost node got %q", marks)
	}
	if left, err := on.tryKubectl(t, "-n", "iris", "get", "pod", pod); err != nil {
		t.Errorf("without a proof the pod on the lost node is gone: %v %s", err, left)
	}
	if at := on.attached(t); at != node {
		t.Errorf("without a proof the disk went from %s to %q", node, at)
	}
	on.kubectl(t, "delete", "node", node)
	on.runsElsewhere(t, time.Now(), withoutKubernetes, pod, node)
	on.saysEvents(t, "TakeOverStarted: node "+node, "TakeOverFinished: pod and volume have left node "+node)
	on.rejoins(t, node)
	on.isGivenBack(t, node)
}

// attached are the nodes that volumes are attached to.
func (s sandbox) attached(t *testing.T) string {
	t.Helper()
	return s.kubectl(t, "get", "volumeattachments", "-o", "jsonpath={.items[?(@.status.attached==true)].spec.nodeName}")
}

// rejoins brings a machine back whose Node was deleted.
func (s sandbox) rejoins(t *testing.T, node string) {
	t.Helper()
	if output, err := runSandbox("up", "--name", s.Name); err != nil {
		t.Fatalf("sandbox up: %v\n%s", err, output)
	}
	s.fault(t, "start", node)
	eventually(t, 2*time.Minute, func() error {
		if ready := s.kubectl(t, "get", "node", node, "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`); ready != "True" {
			return errors.New("the node is not Ready")
		}
		return nil
	})
}
