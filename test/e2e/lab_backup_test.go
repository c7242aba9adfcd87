//go:build e2e && lab && linux

package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	backupJob = "iris-backup-consistent"
	// deadMan is when the one in the database's container thaws (agent/internal/backup), and some time for his attempts.
	deadMan = 90*time.Second + 20*time.Second
)

// TestLab_ConsistentBackups makes backups for which the database is frozen, ends runs in the middle of the freeze in every way, and wants the
// database to be thawed each time.
func TestLab_ConsistentBackups(t *testing.T) {
	l := startLab(t, "consistent", func(c config) config {
		return c.set("failover.image", agentImage).set("storage.backup", object{
			"target": "nfs://nas.example:/backups/",
			// Due on New Year's Day only: the test starts its runs itself.
			"consistent": object{"cron": "0 0 1 1 *", "retain": 2},
		})
	})
	l.writes(1)
	l.step("a run by hand", func() { l.makes("by-hand") })
	l.step("no more than are kept", l.prunes)
	l.step("a run that is killed", func() { l.thawsAfter("a kill", deadMan, l.killsTheRun) })
	l.step("a run that is told to stop", func() { l.thawsAfter("SIGTERM", 20*time.Second, func(job string) { l.deletesJob(job) }) })
	l.step("a snapshot that is never cut", func() { l.thawsAfter("the budget", 80*time.Second, func(string) {}) })
	l.step("an API server that goes away", l.losesTheAPIServerWhileFrozen)
	l.step("its node dies", l.losesItsNodeWhileFrozen)
	l.step("a run after all that", l.makesOne)
	l.destroyEverything(l.cfg)
}

// frozen asks the database itself. It never fails for a pod that does not answer: the caller asks again.
func (l *lab) frozen() (bool, error) {
	l.t.Helper()
	said, err := l.exec(`iris session IRIS -U%SYS '##class(Backup.General).IsWDSuspendedExt()' </dev/null >/dev/null 2>&1; echo "code $?"`)
	if err != nil {
		return false, err
	}
	switch {
	case strings.Contains(said, "code 5"):
		return true, nil
	case strings.Contains(said, "code 3"):
		return false, nil
	default:
		return false, fmt.Errorf("the database says %q", said)
	}
}

// run starts a run from the CronJob's template and returns the job's name, which is one that the schedule gives: they are due an
// hour apart, so that none comes twice.
func (l *lab) run() string {
	l.t.Helper()
	l.runs++
	return l.starts(fmt.Sprintf("%s-%d", backupJob, time.Now().Unix()/60-60*l.runs))
}

func (l *lab) starts(job string) string {
	l.t.Helper()
	l.on.kubectl(l.t, "-n", "iris", "create", "job", "--from=cronjob/"+backupJob, job)
	return job
}

func (l *lab) consistent() []string {
	l.t.Helper()
	return strings.Fields(l.on.kubectl(l.t, "-n", "longhorn-system", "get", "backups.longhorn.io", "-l", "ha-iris/backup=consistent,ha-iris/namespace=iris",
		"--sort-by=.metadata.creationTimestamp", "-o", `jsonpath={range .items[*]}{.metadata.name}={.status.state} {end}`))
}

func (l *lab) makesOne() {
	l.t.Helper()
	l.makes("")
}

// makes wants a run to end well, with a backup that is complete, and the database thawed and writing. Without a job's name it is a scheduled
// one.
func (l *lab) makes(job string) {
	l.t.Helper()
	w := l.acknowledging()
	before := l.consistent()
	if job == "" {
		job = l.run()
	} else {
		l.starts(job)
	}
	if output, err := l.on.tryKubectl(l.t, "-n", "iris", "wait", "job/"+job, "--for=condition=Complete", "--timeout=300s"); err != nil {
		log, _ := l.on.tryKubectl(l.t, "-n", "iris", "logs", "job/"+job)
		l.t.Fatalf("%v\n%s\n%s", err, output, log)
	}
	backups := l.consistent()
	if len(backups) == 0 || len(before) > 0 && backups[len(backups)-1] == before[len(before)-1] || !strings.HasSuffix(backups[len(backups)-1], "=Completed") {
		l.t.Errorf("the backups are %v, and were %v", backups, before)
	}
	events := l.on.kubectl(l.t, "-n", "iris", "get", "events", "--field-selector=involvedObject.name=iris,reason=BackupCompleted", "-o", "name")
	if events == "" {
		l.t.Error("no event says so")
	}
	l.writesAgain("a run", w)
}

// writesAgain wants the database thawed, and rows acknowledged from now on.
func (l *lab) writesAgain(what string, w *writer) {
	l.t.Helper()
	if frozen, err := l.frozen(); err != nil || frozen {
		l.t.Errorf("%s: frozen %v, %v", what, frozen, err)
	}
	acknowledged := len(w.acks())
	eventually(l.t, podWait, func() error {
		if now := len(w.acks()); now <= acknowledged {
			return fmt.Errorf("%d rows are acknowledged, as before", now)
		}
		return nil
	})
	l.keepsRows(what, w.acks())
}

// prunes wants two of three scheduled backups to be left, and the one by hand and those of other kinds untouched.
func (l *lab) prunes() {
	l.t.Helper()
	others := func() string {
		return l.on.kubectl(l.t, "-n", "longhorn-system", "get", "backups.longhorn.io", "-l", "ha-iris/backup!=consistent", "-o", "name")
	}
	theirs, hand := others(), l.consistent()[0]
	l.makesOne()
	first := l.consistent()[1]
	l.makesOne()
	l.makesOne()
	eventually(l.t, podWait, func() error {
		if backups := l.consistent(); len(backups) != 3 || backups[0] != hand || backups[1] == first {
			return fmt.Errorf("the backups are %v", backups)
		}
		return nil
	})
	for _, one := range strings.Fields(theirs) {
		if !strings.Contains(others(), one) {
			l.t.Errorf("%s is gone", one)
		}
	}
}

// thawsAfter freezes while Longhorn cuts no snapshots, lets something happen to the run, and wants the database thawed in time.
func (l *lab) thawsAfter(what string, within time.Duration, happen func(job string)) {
	l.t.Helper()
	w := l.acknowledging()
	before := len(l.consistent())
	longhorn := l.on.process(l.t, "stand-in")
	job := l.run()
	l.waitUntilFrozen(func() { l.signal(longhorn, syscall.SIGSTOP) })
	defer l.signal(longhorn, syscall.SIGCONT)
	began := time.Now()
	happen(job)
	l.wantThawed(what, began, within)
	l.signal(longhorn, syscall.SIGCONT)
	l.deletesJob(job) // Its next attempt is another test's.
	if got := len(l.consistent()); got != before {
		l.t.Errorf("%s: %d backups, and were %d: one was made of a snapshot that may not be consistent", what, got, before)
	}
	l.writesAgain(what, w)
}

// waitUntilFrozen stops Longhorn once the run's pod is there, which is before its snapshot, and wants the database to freeze.
func (l *lab) waitUntilFrozen(stop func()) {
	l.t.Helper()
	stop()
	eventually(l.t, podWait, func() error {
		frozen, err := l.frozen()
		if err == nil && !frozen {
			err = fmt.Errorf("it is not frozen yet")
		}
		return err
	})
}

func (l *lab) wantThawed(what string, began time.Time, within time.Duration) {
	l.t.Helper()
	eventually(l.t, within+30*time.Second, func() error {
		frozen, err := l.frozen()
		if err == nil && frozen {
			err = fmt.Errorf("it is frozen")
		}
		return err
	})
	took := time.Since(began)
	l.t.Logf("%s: thawed after %s", what, took.Round(time.Second))
	if took > within {
		l.t.Errorf("%s: thawed after %s, want %s at most", what, took, within)
	}
}

func (l *lab) signal(pid int, signal syscall.Signal) {
	l.t.Helper()
	if err := syscall.Kill(pid, signal); err != nil {
		l.t.Errorf("%v to %d: %v", signal, pid, err)
	}
}

// killsTheRun kills the agent's process, which can do nothing more, and its job, so that no other attempt follows.
func (l *lab) killsTheRun(job string) {
	l.t.Helper()
	l.killsTheAgent("backup")
	l.deletesJob(job)
}

// killsTheAgent kills the one process that does something.
func (l *lab) killsTheAgent(what string) {
	l.t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		l.t.Fatal(err)
	}
	killed := 0
	for _, path := range paths {
		content, _ := os.ReadFile(path) // It may have ended meanwhile.
		arguments := strings.Split(string(content), "\x00")
		if len(arguments) < 4 || filepath.Base(arguments[0]) != "agent" || arguments[1] != what {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			l.t.Fatal(err)
		}
		l.signal(pid, syscall.SIGKILL)
		killed++
	}
	if killed != 1 {
		l.t.Fatalf("killed %d processes", killed)
	}
}

func (l *lab) deletesJob(job string) {
	l.t.Helper()
	l.on.kubectl(l.t, "-n", "iris", "delete", "job", job, "--ignore-not-found", "--wait=false")
}

// losesItsNodeWhileFrozen kills the node of the frozen database, which comes back elsewhere and is not frozen there, whoever else was.
func (l *lab) losesItsNodeWhileFrozen() {
	l.t.Helper()
	const what = "the frozen database's node dies"
	longhorn, node := l.on.process(l.t, "stand-in"), l.node()
	job := l.run()
	l.waitUntilFrozen(func() { l.signal(longhorn, syscall.SIGSTOP) })
	defer l.signal(longhorn, syscall.SIGCONT)
	l.survives(what, func() {
		l.on.fault(l.t, "kill", node)
		l.on.kubectl(l.t, "-n", "iris", "delete", "job", job, "--wait=false") // Its next attempt is another test's.
		l.signal(longhorn, syscall.SIGCONT)
	})
	if now := l.node(); now == node {
		l.t.Errorf("%s: the database is on %s, which is lost", what, node)
	}
	if frozen, err := l.frozen(); err != nil || frozen {
		l.t.Errorf("%s: frozen where it came back: %v, %v", what, frozen, err)
	}
	l.on.fault(l.t, "start", node)
	l.isSettled(what, node)
}

// losesTheAPIServerWhileFrozen stops the API server, and with it every way into the pod: only the dead man can thaw. The database's own
// log says when it did.
func (l *lab) losesTheAPIServerWhileFrozen() {
	l.t.Helper()
	w := l.acknowledging()
	longhorn, server := l.on.process(l.t, "stand-in"), l.on.process(l.t, "kube-apiserver")
	pod, acknowledged := podName(l.t, l.on), w.acks()
	job := l.run()
	l.waitUntilFrozen(func() { l.signal(longhorn, syscall.SIGSTOP) })
	defer l.signal(longhorn, syscall.SIGCONT)
	l.signal(server, syscall.SIGSTOP)
	time.Sleep(deadMan)
	l.signal(server, syscall.SIGCONT)
	l.on.kubectl(l.t, "wait", "nodes", "--all", "--for=condition=Ready", "--timeout=120s")
	l.signal(longhorn, syscall.SIGCONT) // Where Kubernetes has moved the database, it needs its volume.
	l.on.kubectl(l.t, "-n", "iris", "rollout", "status", "deployment/iris", "--timeout=300s")
	l.wantThawed("without an API server", time.Now(), time.Minute)
	l.deletesJob(job)
	if podName(l.t, l.on) == pod {
		l.writesAgain("without an API server", w)
		return
	}
	// Longer away than Kubernetes waits for a node's heartbeat: the node that is the last to report again loses its pods, and the writer is
	// gone with the container.
	l.keepsRows("without an API server", acknowledged)
	l.writesAgain("without an API server", l.acknowledging())
}
