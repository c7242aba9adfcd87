//go:build e2e

package e2e_test

import (
	"strings"
	"testing"
)

const otherImage = "intersystems/iris-community:2026.2.0.221.0"

// TestUpgrade_WaitsForABackup changes the image of a database with a backup target: the preview says what comes first, the update does that, and
// nothing but the pods changes. On simulated nodes nothing is frozen, and the rest is real.
func TestUpgrade_WaitsForABackup(t *testing.T) {
	onOwn(t)
	on := ownSandbox(t, "e2e-upgrade")
	b := &backedUp{stack: newStack(t, "upgrade"), on: on}
	b.c = baseConfig(on).set("failover.mode", "longhorn").set("failover.image", agentImage).
		set("storage.backup", object{"target": backupBucket, "cron": "0 0 1 1 *", "consistent": object{"cron": "0 0 1 1 *"}})
	t.Cleanup(func() { checkEmpty(t, on) })
	b.configure(b.c)
	b.login("1")
	b.up()
	claim, pod := on.claimUID(t), podName(t, on)
	b.c = b.c.set("iris.image", otherImage)
	b.configure(b.c)
	b.login("1")
	planned, err := b.preview()
	if err != nil || planned["create"]+planned["delete"]+planned["replace"] > 0 || planned["update"] == 0 {
		t.Errorf("the preview plans %v, %v", planned, err)
	}
	if said := b.printed["preview.log"]; !strings.Contains(said, "pulumi up first makes an IRIS-consistent backup") {
		t.Error("the preview does not say that there will be a backup")
	}
	if made := b.byHand(); made != "" {
		t.Errorf("the preview has made %s", made)
	}
	b.up()
	if made := b.byHand(); strings.Count(made, "Completed") != 1 {
		t.Errorf("the backups are %q", made)
	}
	if now := on.kubectl(t, "-n", "iris", "get", "deployment", "iris", "-o", "jsonpath={.spec.template.spec.containers[0].image}"); now != otherImage {
		t.Errorf("the image is %s", now)
	}
	if on.claimUID(t) != claim || podName(t, on) == pod {
		t.Error("the claim is another one, or the pod the same")
	}
	if _, again := b.up(); !again.onlySame() {
		t.Errorf("a second up changed something: %v", again)
	}
	if made := b.byHand(); strings.Count(made, "Completed") != 1 {
		t.Errorf("an up without changes has made a backup: %q", made)
	}
	b.destroyEverything(b.c.set("storage.backup", object{})) // It sets no login.
}

// byHand are the states of the backups that no run prunes.
func (b *backedUp) byHand() string {
	b.t.Helper()
	return b.on.kubectl(b.t, "-n", "longhorn-system", "get", "backups.longhorn.io", "-l", "ha-iris/backup=consistent,ha-iris/by-hand=true", "-o",
		"jsonpath={.items[*].status.state}")
}
