//go:build e2e && lab

package e2e_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// newerImage plays the release after labImage.
const newerImage = "ha-iris.local/iris-standin:2026.2.0.221.0"

// TestLab_Upgrade changes the image: not while the database is down, nor without the backup that comes first, then in order, and goes back with
// that backup.
func TestLab_Upgrade(t *testing.T) {
	l := startLab(t, "upgraded", func(c config) config {
		// Both schedules are due on New Year's Day only.
		return c.set("failover.image", agentImage).set("storage.backup", object{
			"target": "nfs://nas.example:/backups/", "cron": "0 0 1 1 *", "consistent": object{"cron": "0 0 1 1 *"},
		})
	})
	l.writes(1)
	newer := l.cfg.set("iris.image", newerImage)
	for _, step := range []struct {
		name string
		run  func()
	}{
		{"not while the database is down", func() { l.waitsForTheDatabase(newer) }},
		{"not without its backup", func() { l.waitsForItsBackup(newer) }},
		{"in order", func() { l.upgrades(newer) }},
		{"and back", l.goesBack},
	} {
		if !l.step(step.name, step.run) {
			return // The cluster stays for a look.
		}
	}
	l.destroyEverything(l.cfg)
}

func (l *lab) image() string {
	l.t.Helper()
	return l.on.kubectl(l.t, "-n", "iris", "get", "deployment", "iris", "-o", `jsonpath={.spec.template.spec.containers[?(@.name=="iris")].image}`)
}

// waitsForTheDatabase wants the vendor's procedure, and the old image.
func (l *lab) waitsForTheDatabase(newer config) {
	l.t.Helper()
	l.on.kubectl(l.t, "cordon", "-l", "kubernetes.io/hostname")
	l.on.kubectl(l.t, "-n", "iris", "delete", "pod", "-l", "app=iris")
	l.failsWith(newer, "until the database is ready", "stops it in order", "--replicas=0")
	if now := l.image(); now != labImage {
		l.t.Errorf("the image is %s", now)
	}
	l.on.kubectl(l.t, "uncordon", "-l", "kubernetes.io/hostname")
	l.on.kubectl(l.t, "-n", "iris", "rollout", "status", "deployment/iris", "--timeout=180s")
	l.heals()
}

// settings is the merge file that a pod reads at its start.
func (l *lab) settings() string {
	l.t.Helper()
	return l.on.kubectl(l.t, "-n", "iris", "get", "configmap", "iris-cpf-merge", "-o", "jsonpath={.data}")
}

// waitsForItsBackup takes the target away; the database runs on, with its old image, and a pod that replaced it would have the old settings.
func (l *lab) waitsForItsBackup(newer config) {
	l.t.Helper()
	var made struct{ State string }
	l.backup(&made, "now") // The target's directory comes with the first one.
	stores, err := filepath.Glob(filepath.Join(repository, ".local", "sandbox", l.on.Name, "buckets", "*"))
	if err != nil || len(stores) != 1 {
		l.t.Fatalf("the stores are %q, %v", stores, err)
	}
	pod, trouble := podName(l.t, l.on), filepath.Join(stores[0], "unreachable")
	if err := os.WriteFile(trouble, []byte("the disk is full"), 0o600); err != nil {
		l.t.Fatal(err)
	}
	settings := l.settings()
	l.failsWith(newer.set("iris.cpf", object{"SQL": object{"TimePrecision": "6"}}), "the backup before the change was not made", "--replicas=0")
	if err := os.Remove(trouble); err != nil {
		l.t.Fatal(err)
	}
	if now := l.image(); now != labImage || podName(l.t, l.on) != pod {
		l.t.Errorf("the image is %s, and the pod another one: %t", now, podName(l.t, l.on) != pod)
	}
	if now := l.settings(); now != settings {
		l.t.Errorf("the settings are\n%s\nand were\n%s", now, settings)
	}
}

// upgrades wants one backup more, that nobody prunes, then the new release with the old rows.
func (l *lab) upgrades(newer config) {
	l.t.Helper()
	before := l.consistent()
	l.configure(newer)
	l.up()
	l.cfg = newer
	made := slices.DeleteFunc(l.consistent(), func(one string) bool { return slices.Contains(before, one) })
	if len(made) != 1 || !strings.HasSuffix(made[0], "=Completed") {
		l.t.Fatalf("the backups are %v, and were %v", made, before)
	}
	name, _, _ := strings.Cut(made[0], "=")
	if mark := l.on.kubectl(l.t, "-n", "longhorn-system", "get", "backups.longhorn.io", name, "-o", `jsonpath={.metadata.labels.ha-iris/by-hand}`); mark != "true" {
		l.t.Errorf("the backup is pruned by later runs: by hand %q", mark)
	}
	if log, err := l.exec("cat /external/iris/mgr/messages.log"); err != nil || !strings.Contains(log, "Upgrading the instance's data from 2026.1.0.234.1") {
		l.t.Errorf("the data were not upgraded: %v\n%s", err, log)
	}
	l.wantsRows(true, false)
	l.writes(2)
}

// goesBack restores that backup together with the old image: what was written since is missing.
func (l *lab) goesBack() {
	l.t.Helper()
	var plan struct{ Backup struct{ URL string } }
	l.backup(&plan, "plan")
	l.cfg = l.cfg.set("iris.image", labImage).set("iris.generation", 2).set("iris.restoreFrom.backup", plan.Backup.URL)
	l.configure(l.cfg)
	l.up()
	l.wantsRows(true, false)
}

// wantsRows wants the first and the second row to be there or not.
func (l *lab) wantsRows(wanted ...bool) {
	l.t.Helper()
	eventually(l.t, podWait, func() error {
		var failed []error
		for i, want := range wanted {
			there, err := l.has(i + 1)
			if err == nil && there != want {
				err = fmt.Errorf("it is there: %t", there)
			}
			if err != nil {
				failed = append(failed, fmt.Errorf("row %d: %w", i+1, err))
			}
		}
		return errors.Join(failed...)
	})
}
