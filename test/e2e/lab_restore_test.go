//go:build e2e && lab

package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// journalCycle is how long IRIS may keep a change that nobody waits for out of its journal, 2 s, and a moment more (iris.md 5.2).
const journalCycle = 3 * time.Second

// TestLab_Restore loses rows, and has them back from a backup by the configuration that ops/backup prints.
func TestLab_Restore(t *testing.T) {
	l := startLab(t, "restored", func(c config) config {
		return c.set("storage.backup", object{"target": "nfs://nas.example:/backups/", "cron": "0 0 1 1 *"}) // Due on New Year's Day only.
	})
	claim := l.claim()
	l.says(`set ^kept="before"`)
	time.Sleep(journalCycle)
	var made struct{ Name, State string }
	l.backup(&made, "now")
	if made.State != "Completed" {
		t.Fatalf("the backup is %+v", made)
	}
	l.says(`kill ^kept`, `set ^later=1`)
	var plan struct {
		Backup   struct{ Name, URL string }
		Commands []string
	}
	l.backup(&plan, "plan")
	if plan.Backup.Name != made.Name || len(plan.Commands) != 2 || !strings.HasSuffix(plan.Commands[0], "iris.generation 2") {
		t.Fatalf("the plan is %+v, the backup %s", plan, made.Name)
	}

	l.cfg = l.cfg.set("iris.generation", 2).set("iris.restoreFrom.backup", plan.Backup.URL)
	l.configure(l.cfg)
	began := time.Now()
	if _, done := l.up(); done["replace"]+done["delete"]+done["delete-replaced"] > 0 {
		t.Errorf("the restore replaced or deleted something: %v", done)
	}
	t.Logf("restored after %s", time.Since(began).Round(time.Second))
	if now := l.on.kubectl(t, "-n", "iris", "get", "deployment", "iris", "-o", "jsonpath={..claimName}"); now != "iris-pvc-2" {
		t.Errorf("the database is on %s", now)
	}
	if said := l.says(`zw ^kept`, `write "later "_$data(^later)`); !strings.Contains(said, `^kept="before"`) || !strings.Contains(said, "later 0") {
		t.Errorf("the restored database says %q", said)
	}
	if now := l.claim(); now != claim {
		t.Errorf("the old claim is another one: %s, want %s", now, claim)
	}
	if _, again := l.up(); !again.onlySame() {
		t.Errorf("a second up changed something: %v", again)
	}
	l.destroyEverything(l.cfg)
}

// says runs lines in an IRIS session and returns what they print.
func (l *lab) says(lines ...string) string {
	l.t.Helper()
	output, err := l.exec(fmt.Sprintf("cat <<'END' | iris session iris\n%s\nhalt\nEND", strings.Join(lines, "\n")))
	if err != nil {
		l.t.Fatalf("IRIS says %q: %v", output, err)
	}
	return output
}

// backup runs ops/backup on the lab and reads what it prints.
func (l *lab) backup(into any, command string) {
	l.t.Helper()
	run := exec.CommandContext(l.t.Context(), "go", "run", "./ops/backup", command, "--json", l.on.Kubeconfig)
	run.Dir = repository
	output, err := run.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w\n%s", err, exit.Stderr)
		}
		l.t.Fatalf("backup %s: %v", command, err)
	}
	if err := json.Unmarshal(output, into); err != nil {
		l.t.Fatalf("backup %s: %v\n%s", command, err, output)
	}
}
