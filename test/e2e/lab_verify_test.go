//go:build e2e && lab && linux

package e2e_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	verifyJob = "iris-verify"
	// verifyWait is for one verification of a small volume, attempts and the end of the copy included.
	verifyWait = 8 * time.Minute
	// markerAge is how old a marker row has to be before a backup must have it (agent/internal/verify).
	markerAge = 2*time.Minute + 10*time.Second
)

// TestLab_Verify has backups verified: good ones and one that lacks what it must have; the run is killed, and told to stop, in the middle; something
// of somebody else's is in the way.
func TestLab_Verify(t *testing.T) {
	l := startLab(t, "verified", func(c config) config {
		return c.set("failover.image", agentImage).set("storage.backup", object{
			"target": "nfs://nas.example:/backups/", "cron": "0 0 1 1 *",
			// Due on New Year's Day only: the test starts its runs itself.
			"consistent": object{"cron": "0 0 1 1 *"}, "verify": object{"enabled": true, "cron": "0 0 1 1 *"},
		})
	})
	claim := l.claim()
	l.says(`set ^kept="before"`)
	time.Sleep(journalCycle)
	l.step("no backup yet", func() { l.verifies("none", "Failed", "has no backup that can be verified") })
	l.step("a good one", func() { l.verifies("first", "Complete", "no marker row was looked for", l.backsUpNow()) })
	l.step("one with the first run's row", func() {
		time.Sleep(markerAge)
		if said := l.verifies("second", "Complete", "found intact", l.backsUpNow()); strings.Contains(said, "no marker row") {
			t.Errorf("it looked for no row: %s", said)
		}
	})
	l.step("one that lacks a row", l.lacksARow)
	l.step("a run that is killed", l.killsAVerification)
	l.step("a run that is told to stop", l.stopsAVerification)
	l.step("something of somebody else's", l.leavesOthers)
	if now := l.claim(); now != claim {
		t.Errorf("the database's claim is another one: %s, want %s", now, claim)
	}
	if said := l.says("zw ^kept"); !strings.Contains(said, `^kept="before"`) {
		t.Errorf("the database says %q", said)
	}
	l.destroyEverything(l.cfg)
}

// backsUpNow makes a backup for which the database is frozen and returns its name.
func (l *lab) backsUpNow() string {
	l.t.Helper()
	var made struct{ Name, State string }
	l.backup(&made, "now")
	if made.State != "Completed" {
		l.t.Fatalf("the backup is %+v", made)
	}
	return made.Name
}

// verifies runs a job and wants it to end so, with an event that has the text, a list of backups that says the same of each one named, and nothing
// of a copy left. It returns what is noted of the last one.
func (l *lab) verifies(job, ends, text string, backups ...string) string {
	l.t.Helper()
	earlier := l.eventsSay(text)
	l.startsVerification(job)
	if output, err := l.on.tryKubectl(l.t, "-n", "iris", "wait", "job/"+job, "--for=condition="+ends, "--timeout="+verifyWait.String()); err != nil {
		log, _ := l.on.tryKubectl(l.t, "-n", "iris", "logs", "job/"+job)
		l.t.Fatalf("%v\n%s\n%s", err, output, log)
	}
	now := l.eventsSay(text)
	maps.DeleteFunc(now, func(name string, _ bool) bool { return earlier[name] })
	if len(now) == 0 {
		l.t.Errorf("job %s: no event of its own says %q", job, text)
	}
	l.wantsNoCopy()
	said := ""
	for _, name := range backups {
		want := map[string]string{"Complete": "good", "Failed": "bad"}[ends]
		verdict, message := l.verdict(name)
		if said = message; verdict != want || !strings.Contains(message, text) {
			l.t.Errorf("%s is %q (%s), want %s", name, verdict, message, want)
		}
	}
	return said
}

// eventsSay are the names of the database's events that have a text.
func (l *lab) eventsSay(text string) map[string]bool {
	l.t.Helper()
	all := l.on.kubectl(l.t, "-n", "iris", "get", "events", "--field-selector=involvedObject.name=iris", "-o",
		`jsonpath={range .items[*]}{.metadata.name} {.message}{"\n"}{end}`)
	names := map[string]bool{}
	for line := range strings.Lines(all) {
		if name, message, _ := strings.Cut(line, " "); strings.Contains(message, text) {
			names[name] = true
		}
	}
	return names
}

func (l *lab) startsVerification(job string) {
	l.t.Helper()
	l.on.kubectl(l.t, "-n", "iris", "create", "job", "--from=cronjob/"+verifyJob, job)
}

// verdict is what ops/backup lists of a backup.
func (l *lab) verdict(name string) (verdict, message string) {
	l.t.Helper()
	var listed struct {
		Backups []struct {
			Name     string
			Verified struct{ Verdict, Message string }
		}
	}
	l.backup(&listed, "list")
	for _, one := range listed.Backups {
		if one.Name == name {
			return one.Verified.Verdict, one.Verified.Message
		}
	}
	l.t.Fatalf("backup %s is not in %+v", name, listed)
	return "", ""
}

// copyOf is what there is of a copy.
func (l *lab) copyOf() string {
	l.t.Helper()
	return l.on.kubectl(l.t, "-n", "iris", "get", "pods,persistentvolumeclaims", "-l", "ha-iris/verify=copy", "-o", "name") +
		l.on.kubectl(l.t, "get", "storageclasses", "-l", "ha-iris/verify=copy", "-o", "name") +
		l.on.kubectl(l.t, "-n", "longhorn-system", "get", "volumes.longhorn.io", "-o",
			`jsonpath={range .items[?(@.status.kubernetesStatus.pvcName=="iris-verify-copy")]}{.metadata.name} {end}`)
}

func (l *lab) wantsNoCopy() {
	l.t.Helper()
	eventually(l.t, verifyWait, func() error {
		if left := l.copyOf(); strings.TrimSpace(left) != "" {
			return fmt.Errorf("there is still %s", left)
		}
		return nil
	})
}

// lacksARow has the database say that it got a row before a backup which was made without it.
func (l *lab) lacksARow() {
	l.t.Helper()
	time.Sleep(markerAge) // So that this is the newest of those that the backup must have.
	before := time.Now().Add(-markerAge).Unix()
	name := l.backsUpNow()
	l.says(`zn "%SYS"`, fmt.Sprintf(`set ^ZHAIRIS("verify",7)="%d forged"`, before))
	l.verifies("lacks", "Failed", "lacks the marker row", name)
	l.says(`zn "%SYS"`, `kill ^ZHAIRIS("verify",7)`)
	l.verifies("again", "Complete", "found intact", name)
}

// inTheMiddle starts a run and returns once its copy's pod is there.
func (l *lab) inTheMiddle(job string) {
	l.t.Helper()
	l.startsVerification(job)
	eventually(l.t, verifyWait, func() error {
		if pod, err := l.on.tryKubectl(l.t, "-n", "iris", "get", "pod", "iris-verify-copy", "-o", "name"); err != nil {
			return fmt.Errorf("no copy yet: %s", pod)
		}
		return nil
	})
}

// killsAVerification wants the next attempt to delete what the killed one has left, and to end well.
func (l *lab) killsAVerification() {
	l.t.Helper()
	l.inTheMiddle("killed")
	l.killsTheAgent("verify")
	if strings.TrimSpace(l.copyOf()) == "" {
		l.t.Error("nothing was left: the run was not in the middle")
	}
	l.on.kubectl(l.t, "-n", "iris", "wait", "job/killed", "--for=condition=Complete", "--timeout="+verifyWait.String())
	l.wantsNoCopy()
}

func (l *lab) stopsAVerification() {
	l.t.Helper()
	l.inTheMiddle("stopped")
	l.deletesJob("stopped")
	l.wantsNoCopy()
}

// leavesOthers wants a claim under the copy's name to be left as it is, and said.
func (l *lab) leavesOthers() {
	l.t.Helper()
	const theirs = `{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"namespace":"iris","name":"iris-verify-copy"},` +
		`"spec":{"accessModes":["ReadWriteOnce"],"storageClassName":"nobodys","resources":{"requests":{"storage":"1Mi"}}}}`
	file := filepath.Join(l.t.TempDir(), "claim.json")
	if err := os.WriteFile(file, []byte(theirs), 0o600); err != nil {
		l.t.Fatal(err)
	}
	l.on.kubectl(l.t, "apply", "-f", file)
	l.verifies("others", "Failed", "PersistentVolumeClaim iris-verify-copy has the name that the verification needs")
	l.on.kubectl(l.t, "-n", "iris", "delete", "persistentvolumeclaim", "iris-verify-copy")
}
