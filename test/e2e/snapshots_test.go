//go:build e2e

package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// snapshotWait is how long a VolumeSnapshot may take: Longhorn's driver looks each 2 s, and its sidecar tries again after up to some minutes
// what has failed a few times.
const snapshotWait = 5 * time.Minute

// volumeSnapshot is the article's iris-volume-snapshot.yaml, with a class, of which the stack makes no default.
func volumeSnapshot(name, class, claim string) string {
	return fmt.Sprintf(`
apiVersion: snapshot.storage.k8s.io/v1
kind: VolumeSnapshot
metadata: {name: %s, namespace: iris}
spec: {volumeSnapshotClassName: %s, source: {persistentVolumeClaimName: %s}}
`, name, class, claim)
}

// snapshots applies a VolumeSnapshot, waits until it can be used, and returns the handle by which Longhorn knows it.
func (s sandbox) snapshots(t *testing.T, name, class, claim string) (handle string) {
	t.Helper()
	s.kubectl(t, "apply", "-f", writeFile(t, "iris-volume-snapshot.yaml", volumeSnapshot(name, class, claim)))
	eventually(t, snapshotWait, func() error {
		if got := s.ask(t, "volumesnapshot", name, "{.status.readyToUse} {.status.error.message}"); got != "true " {
			return fmt.Errorf("the VolumeSnapshot %s is ready: %q", name, got)
		}
		return nil
	})
	content := s.ask(t, "volumesnapshot", name, "{.status.boundVolumeSnapshotContentName}")
	return s.ask(t, "volumesnapshotcontent", content, "{.status.snapshotHandle}")
}

// ask is a field of an object in the database's namespace, or of none.
func (s sandbox) ask(t *testing.T, kind, name, path string) string {
	t.Helper()
	return s.kubectl(t, "-n", "iris", "get", kind, name, "-o", "jsonpath="+path)
}

// longhorns is a field of one of Longhorn's objects; "" if there is none.
func (s sandbox) longhorns(t *testing.T, kind, name, path string) string {
	t.Helper()
	return s.kubectl(t, "-n", "longhorn-system", "get", kind+".longhorn.io", name, "--ignore-not-found", "-o", "jsonpath="+path)
}

// snapshotting is a stack whose volume is snapshotted by kubectl.
type snapshotting struct {
	*stack
	on sandbox
	c  config
	// volume is the first claim's, snapshot and backup are the handles of what was taken of it.
	volume, snapshot, backup string
}

// TestSnapshots takes the article's VolumeSnapshot on a cluster with Kubernetes' snapshot-controller, as AKS and GKE have one.
func TestSnapshots(t *testing.T) {
	onOwn(t)
	on := ownSandbox(t, "e2e-snapshots", "--snapshots")
	s := &snapshotting{stack: newStack(t, "snapshots"), on: on}
	s.c = baseConfig(on).set("storage.snapshotClasses", true).set("iris.size", "10Gi").
		set("storage.backup", object{"target": "nfs://nas.example:/backups/", "cron": "0 0 1 1 *"})
	s.configure(s.c)
	s.up()
	podName(t, on)
	s.volume = on.ask(t, "pvc", "iris-pvc", "{.spec.volumeName}")
	for _, step := range []struct {
		name string
		run  func()
	}{
		{"takes both classes by kubectl", s.takes},
		{"restores from one that is a backup", func() {
			s.restores(2, "nightly", "{.spec.fromBackup} {.status.restoreRequired}", s.backupURL()+" false")
		}},
		{"restores from one that lies with its volume", func() {
			s.restores(3, "before-import", "{.spec.dataSource} {.status.cloneStatus.state}", s.snapshot+" completed")
		}},
		{"refuses one that is not there", s.refuses},
		{"deletes the snapshot with its object, and keeps the backup", s.deletes},
	} {
		if !t.Run(step.name, func(t *testing.T) {
			s.t = t
			step.run()
		}) {
			t.FailNow()
		}
	}
	s.t = t
	on.snapshots(t, "left-behind", "longhorn-iris-snapshot", "iris-pvc-3") // It is deleted with the namespace, or the destroy hangs.
	s.destroyEverything(s.c)
}

func (s *snapshotting) takes() {
	s.snapshot = s.on.snapshots(s.t, "before-import", "longhorn-iris-snapshot", "iris-pvc")
	s.backup = s.on.snapshots(s.t, "nightly", "longhorn-iris-backup", "iris-pvc")
	if !strings.HasPrefix(s.snapshot, "snap://"+s.volume+"/snapshot-") || !strings.HasPrefix(s.backup, "bak://"+s.volume+"/backup-") {
		s.t.Errorf("the handles are %q and %q", s.snapshot, s.backup)
	}
	if state := s.on.longhorns(s.t, "backups", lastPart(s.backup), "{.status.state}"); state != "Completed" {
		s.t.Errorf("Longhorn's backup is %q", state)
	}
	if got := s.on.ask(s.t, "volumesnapshot", "before-import", "{.status.restoreSize}"); got != "10Gi" {
		s.t.Errorf("the snapshot says that it takes %s to restore", got)
	}
}

func lastPart(handle string) string { return handle[strings.LastIndex(handle, "/")+1:] }

func (s *snapshotting) backupURL() string {
	return s.on.longhorns(s.t, "backups", lastPart(s.backup), "{.status.url}")
}

// restores makes the next volume from a VolumeSnapshot, and wants Longhorn to have filled it.
func (s *snapshotting) restores(generation int, from, path, want string) {
	s.c = s.c.set("iris.generation", generation).set("iris.restoreFrom", object{"snapshot": from})
	s.configure(s.c)
	if _, done := s.up(); done["delete"]+done["replace"]+done["create-replacement"] > 0 {
		s.t.Errorf("the update did %v", done)
	}
	podName(s.t, s.on)
	claim := fmt.Sprintf("iris-pvc-%d", generation)
	if got := s.on.ask(s.t, "deployment", "iris", "{.spec.template.spec.volumes[*].persistentVolumeClaim.claimName}"); got != claim {
		s.t.Errorf("the database is on %s", got)
	}
	volume := s.on.ask(s.t, "pvc", claim, "{.spec.volumeName}")
	eventually(s.t, podWait, func() error { // Of a clone the first replica has the data, and the others follow.
		if got := s.on.longhorns(s.t, "volumes", volume, path); got != want {
			return fmt.Errorf("Longhorn's volume is %q, want %q", got, want)
		}
		return nil
	})
	if got := s.on.ask(s.t, "pvc", "iris-pvc", "{.spec.volumeName}"); got != s.volume {
		s.t.Errorf("the first claim has volume %s, had %s", got, s.volume)
	}
	if _, again := s.up(); !again.onlySame() {
		s.t.Errorf("a second up did %v", again)
	}
}

func (s *snapshotting) refuses() {
	s.on.kubectl(s.t, "apply", "-f", writeFile(s.t, "other.yaml", volumeSnapshot("of-nothing", "longhorn-iris-snapshot", "no-such-claim")))
	for from, want := range map[string]string{
		"no-such-snapshot": "want a VolumeSnapshot in the namespace iris: there is none of that name",
		"of-nothing":       "want one that is ready to use",
	} {
		s.configure(s.c.set("iris.generation", 4).set("iris.restoreFrom", object{"snapshot": from}))
		if _, err := s.preview(); err == nil || !strings.Contains(err.Error(), want) {
			s.t.Errorf("%s: got %v, want %q", from, err, want)
		}
	}
	s.on.kubectl(s.t, "-n", "iris", "delete", "volumesnapshot", "of-nothing")
	s.configure(s.c)
}

func (s *snapshotting) deletes() {
	const stays = "{.metadata.name} {.metadata.deletionTimestamp}"
	name := lastPart(s.snapshot)
	if got := s.on.longhorns(s.t, "snapshots", name, stays); got != name+" " {
		s.t.Fatalf("before it is deleted Longhorn has %q", got)
	}
	s.on.kubectl(s.t, "-n", "iris", "delete", "volumesnapshot", "before-import", "nightly", "--timeout=120s")
	eventually(s.t, podWait, func() error { // It goes for good when its volume is attached the next time, which nothing uses any more.
		if got := s.on.longhorns(s.t, "snapshots", name, stays); got == name+" " {
			return fmt.Errorf("longhorn keeps %q", got)
		}
		return nil
	})
	if state := s.on.longhorns(s.t, "backups", lastPart(s.backup), "{.status.state}"); state != "Completed" {
		s.t.Errorf("Longhorn's backup is %q, which nobody has deleted", state)
	}
}
