//go:build e2e

package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
)

const (
	// backupKey is the secret part of the login, which must appear in no output.
	backupKey    = "b4ckup-k3y-e2e"
	backupBucket = "s3://acme-backups@eu-west-1/iris/"
)

// backedUp is a stack that gets a backup target, changes it and loses it.
type backedUp struct {
	*stack
	on sandbox
	c  config
	// claim and pod are those from before the first target.
	claim, pod string
}

func TestBackups_AreMadeOnScheduleAndOutliveTheirTarget(t *testing.T) {
	onOwn(t)
	on := ownSandbox(t, "e2e-backup")
	b := &backedUp{stack: newStack(t, "backup"), on: on, c: baseConfig(on)}
	b.configure(b.c)
	t.Cleanup(func() { checkEmpty(t, on) })
	b.up()
	b.claim, b.pod = on.claimUID(t), podName(t, on)

	b.c = b.c.set("storage.backup", object{"target": backupBucket, "cron": "* * * * *", "retain": 2})
	outputs, _ := b.apply("1")
	if outputs["backupTarget"] != backupBucket || outputs["recoveryPoint"] != "1m" {
		t.Errorf("the outputs are %v", outputs)
	}
	if planned, err := b.preview(); err != nil || !planned.onlySame() {
		t.Errorf("a preview without changes plans %v, %v", planned, err)
	}
	b.waitForBackup("the first one", 1)
	b.failsWhenTheTargetCannotBeUsed()
	b.c = b.c.set("storage.backup.target", "s3://other-backups@eu-west-1/")
	b.apply("2")
	stored := b.files("acme-backups")
	if !slices.ContainsFunc(stored, func(file string) bool { return strings.HasSuffix(file, ".cfg") }) {
		t.Fatalf("the bucket has no backup: %q", stored)
	}
	b.c = b.c.set("storage.backup", object{})
	outputs, _ = b.apply("")
	if outputs["backupTarget"] != "" || outputs["recoveryPoint"] != "" {
		t.Errorf("the outputs are %v", outputs)
	}
	if labels := on.kubectl(t, "-n", "iris", "get", "pvc", "iris-pvc", "-o", "jsonpath={.metadata.labels}"); strings.Contains(labels, "longhorn") {
		t.Errorf("the claim still has %s", labels)
	}
	for _, file := range stored {
		if !slices.Contains(b.files("acme-backups"), file) {
			t.Errorf("%s is gone from the bucket", file)
		}
	}
	b.destroyEverything(b.c)
}

// apply is an update with a login, or without one, that replaces and deletes nothing that holds data.
func (b *backedUp) apply(login string) (outputs map[string]any, log string) {
	b.t.Helper()
	b.configure(b.c)
	if login != "" {
		b.login(login)
	}
	made, done := b.up()
	if done["replace"]+done["create-replacement"]+done["delete-replaced"] > 0 || login != "" && done["delete"] > 0 {
		b.t.Errorf("the update replaced or deleted something: %v", done)
	}
	if b.on.claimUID(b.t) != b.claim || podName(b.t, b.on) != b.pod {
		b.t.Error("the claim or the pod is another one")
	}
	outputs = map[string]any{}
	for name, output := range made {
		outputs[name] = output.Value
	}
	log = b.printed["up.log"]
	if strings.Contains(log, backupKey) {
		b.t.Error("the login is in the output")
	}
	return outputs, log
}

// login sets another one, whose key is secret and the same.
func (b *backedUp) login(id string) {
	b.t.Helper()
	b.setSecret("backupCredentials", fmt.Sprintf(`{"AWS_ACCESS_KEY_ID":"id-%s","AWS_SECRET_ACCESS_KEY":%q}`, id, backupKey))
}

func (b *backedUp) waitForBackup(what string, atLeast int) {
	b.t.Helper()
	eventually(b.t, podWait, func() error {
		states := b.on.kubectl(b.t, "-n", "longhorn-system", "get", "backups.longhorn.io", "-o", "jsonpath={.items[*].status.state}")
		if strings.Count(states, "Completed") < atLeast {
			return fmt.Errorf("%s is not there: %q", what, states)
		}
		return nil
	})
}

// failsWhenTheTargetCannotBeUsed changes the login while the bucket cannot be reached: that fails until it can, in a second run too,
// and leaves the database alone.
func (b *backedUp) failsWhenTheTargetCannotBeUsed() {
	b.t.Helper()
	const reason = "AccessDenied: not with this key"
	b.setBinary(buildWith(b.t, edit{"storage/longhorn_backup_await.go", "targetBudget = 3 * time.Minute", "targetBudget = 10 * time.Second"}))
	trouble := filepath.Join(b.bucket("acme-backups"), "unreachable")
	if err := os.WriteFile(trouble, []byte(reason), 0o600); err != nil {
		b.t.Fatal(err)
	}
	b.login("3")
	for range 2 {
		output, err := b.cli("up", "--yes", "--skip-preview")
		if err == nil || !strings.Contains(output, reason) || !strings.Contains(output, "Check the bucket and its region") {
			b.t.Errorf("the up gave %v", err)
		}
		if strings.Contains(output, backupKey) {
			b.t.Error("the login is in the output")
		}
	}
	if err := os.Remove(trouble); err != nil {
		b.t.Fatal(err)
	}
	b.apply("3")
	b.setBinary(program)
	login := slices.IndexFunc(b.state(), func(one apitype.ResourceV3) bool {
		return strings.HasSuffix(string(one.URN), "::ha-iris-backup-target")
	})
	if login < 0 {
		b.t.Error("the state has no Secret")
	}
	if stored, err := b.cli("stack", "export"); err != nil || strings.Contains(stored, backupKey) {
		b.t.Errorf("the login is in the state in clear, or %v", err)
	}
}

// bucket is the directory of the one with such a name.
func (b *backedUp) bucket(name string) string {
	b.t.Helper()
	found, err := filepath.Glob(filepath.Join(repository, ".local", "sandbox", b.on.Name, "buckets", "*"+name+"*"))
	if err != nil || len(found) != 1 {
		b.t.Fatalf("the buckets are %q, %v", found, err)
	}
	return found[0]
}

func (b *backedUp) files(bucket string) []string {
	b.t.Helper()
	var found []string
	root := b.bucket(bucket)
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			found = append(found, strings.TrimPrefix(path, root))
		}
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return found
}

// backupObjects have Longhorn cut a snapshot of VOLUME and back it up as backup-1.
const backupObjects = `
apiVersion: longhorn.io/v1beta2
kind: Snapshot
metadata: {name: snapshot-1, namespace: longhorn-system}
spec: {volume: VOLUME, createSnapshot: true}
---
apiVersion: longhorn.io/v1beta2
kind: Backup
metadata: {name: backup-1, namespace: longhorn-system, labels: {backup-volume: VOLUME, backup-target: default}}
spec: {snapshotName: snapshot-1}
`
