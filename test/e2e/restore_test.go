//go:build e2e

package e2e_test

import (
	"bytes"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/auto/events"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optpreview"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
)

// restoring is a stack whose volume is backed up, restored beside itself, and cloned after the stack has gone.
type restoring struct {
	*backedUp
	// url is the backup's, volume the one that it is of.
	url, volume string
}

func TestRestore_MakesAnotherVolumeAndKeepsTheOldOne(t *testing.T) {
	onOwn(t)
	on := ownSandbox(t, "e2e-restore")
	r := &restoring{backedUp: &backedUp{stack: newStack(t, "restore"), on: on}}
	r.c = baseConfig(on).set("storage.backup", object{"target": backupBucket, "cron": "0 0 1 1 *"}).set("iris.size", "10Gi")
	t.Cleanup(func() { checkEmpty(t, on) })
	r.apply(r.c)
	r.claim = r.uid("iris-pvc")
	r.backUp()
	for _, step := range []struct {
		name string
		run  func()
	}{
		{"refuses what would lose data or do nothing", r.refusesBefore},
		{"previews a claim, its class and the Deployment", r.previews},
		{"restores, and a second up changes nothing", r.restores},
		{"does not care whether the source stays in the configuration", r.forgetsItsSource},
		{"refuses to go back or to fill a volume twice", r.refusesAfterwards},
		{"grows the restored volume and no other", r.grows},
		{"gives the old volume up once it is unprotected", r.releases},
		{"comes back from the backup in another stack when everything is gone", r.clones},
	} {
		if !t.Run(step.name, func(t *testing.T) {
			r.t = t
			step.run()
		}) {
			t.FailNow()
		}
	}
}

func (r *restoring) uid(claim string) string {
	r.t.Helper()
	return r.on.kubectl(r.t, "-n", "iris", "get", "pvc", claim, "-o", "jsonpath={.metadata.uid}")
}

func (r *restoring) ask(kind, name, path string) string {
	r.t.Helper()
	return r.on.ask(r.t, kind, name, path)
}

func (r *restoring) apply(c config) (done changes) {
	r.t.Helper()
	r.configure(c)
	r.login("1")
	_, done = r.up()
	return done
}

// backUp takes a backup of the running database's volume.
func (r *restoring) backUp() {
	r.t.Helper()
	podName(r.t, r.on)
	r.volume = r.ask("pvc", "iris-pvc", "{.spec.volumeName}")
	r.on.kubectl(r.t, "apply", "-f", writeFile(r.t, "backup.yaml", strings.ReplaceAll(backupObjects, "VOLUME", r.volume)))
	r.waitForBackup("the backup", 1)
	r.url = r.on.kubectl(r.t, "-n", "longhorn-system", "get", "backups.longhorn.io", "backup-1", "-o", "jsonpath={.status.url}")
	if !strings.HasPrefix(r.url, backupBucket) {
		r.t.Fatalf("the backup's URL is %q", r.url)
	}
}

// from is the configuration of a restore.
func (r *restoring) from(generation int, url string) config {
	return r.c.set("iris.generation", generation).set("iris.restoreFrom", object{"backup": url})
}

// refuses previews configurations that must not pass, each with its message, and finds everything as it was.
func (r *restoring) refuses(refusals map[string]config) {
	r.t.Helper()
	before := len(r.state())
	for want, c := range refusals {
		r.configure(c)
		r.login("1")
		if _, err := r.preview(); err == nil || !strings.Contains(err.Error(), want) {
			r.t.Errorf("want %q, got %v", want, err)
		}
	}
	if after := len(r.state()); after != before {
		r.t.Errorf("the state has %d resources, had %d", after, before)
	}
}

func (r *restoring) refusesBefore() {
	other := strings.Replace(r.url, "acme-backups", "other-backups", 1)
	r.refuses(map[string]config{
		"which Longhorn does not find in the backup target":           r.from(2, strings.Replace(r.url, "backup-1", "backup-2", 1)),
		"want one in the stack's own backup target":                   r.from(2, other),
		`iris.size: got "20Gi", want 10Gi`:                            r.from(2, r.url).set("iris.size", "20Gi"),
		"want the status.url of a backup":                             r.from(2, backupBucket),
		"a login among its cifsOptions":                               r.from(2, "cifs://nas/share?cifsOptions=password=x&backup=backup-1&volume="+r.volume),
		"iris.restoreFrom: got a backup and a snapshot":               r.from(2, r.url).set("iris.restoreFrom.snapshot", "before"),
		"iris.restoreFrom: got nothing, want a backup or a snapshot":  r.c.set("iris.generation", 2),
		"the volume of generation 1 is there and has its data":        r.from(1, r.url),
		"iris.generation: got 3, want 2":                              r.from(3, r.url),
		"iris.oldestGeneration: got 3, want 1 to 2":                   r.from(2, r.url).set("iris.oldestGeneration", 3),
		`want a VolumeSnapshot in the namespace iris`:                 r.c.set("iris.generation", 2).set("iris.restoreFrom", object{"snapshot": "before"}),
		"iris.restoreFrom.snapshot takes a VolumeSnapshot":            r.from(2, r.url).installingNothing(),
		"iris.generation: got 0, want 1 for the first volume, or a h": r.c.set("iris.generation", 0),
	})
}

// planned are the steps of a preview that change something.
func (r *restoring) planned() []string {
	r.t.Helper()
	stream := make(chan events.EngineEvent)
	collected := make(chan []string)
	go func() {
		var found []string
		for event := range stream {
			if event.ResourcePreEvent == nil || event.ResourcePreEvent.Metadata.Op == apitype.OpSame {
				continue
			}
			step := event.ResourcePreEvent.Metadata
			found = append(found, fmt.Sprintf("%s %s::%s", step.Op, step.Type, step.URN[strings.LastIndex(step.URN, "::")+2:]))
		}
		collected <- found
	}()
	var log bytes.Buffer
	_, err := r.Preview(r.t.Context(), optpreview.EventStreams(stream), optpreview.ProgressStreams(&log), optpreview.ErrorProgressStreams(&log))
	found := <-collected
	if err != nil {
		r.t.Fatalf("preview: %v\n%s", err, log.String())
	}
	slices.Sort(found)
	return found
}

func (r *restoring) previews() {
	r.configure(r.from(2, r.url))
	r.login("1")
	want := []string{
		"create kubernetes:core/v1:PersistentVolumeClaim::iris-pvc-2",
		"create kubernetes:storage.k8s.io/v1:StorageClass::longhorn-iris-2",
		"update ha-iris:iris:IRIS::iris",
		"update kubernetes:apps/v1:Deployment::iris",
	}
	if got := r.planned(); !slices.Equal(got, want) {
		r.t.Errorf("a restore plans\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func (r *restoring) restores() {
	done := r.apply(r.from(2, r.url))
	if done["delete"]+done["replace"]+done["create-replacement"]+done["delete-replaced"] > 0 || done["create"] != 2 {
		r.t.Errorf("the update did %v", done)
	}
	if log := r.printed["up.log"]; !strings.Contains(log, "waiting for the data of claim iris-pvc-2") {
		r.t.Error("it has not said what it waits for")
	}
	r.runsOn("iris-pvc-2", true)
	if now := r.uid("iris-pvc"); now != r.claim || r.ask("pvc", "iris-pvc", "{.status.phase} {.spec.volumeName}") != "Bound "+r.volume {
		r.t.Errorf("the old claim is %s, was %s", now, r.claim)
	}
	if got := r.on.kubectl(r.t, "-n", "longhorn-system", "get", "volumes.longhorn.io", r.volume, "-o",
		"jsonpath={.spec.offlineRebuilding}"); got != "enabled" {
		r.t.Errorf("nothing uses the old volume, and Longhorn rebuilds it: %q", got)
	}
	if again := r.apply(r.from(2, r.url)); !again.onlySame() {
		r.t.Errorf("a second up did %v", again)
	}
}

// runsOn wants the database on a claim whose volume is filled.
func (r *restoring) runsOn(claim string, restored bool) {
	r.t.Helper()
	podName(r.t, r.on)
	const mounted = "{.spec.template.spec.volumes[*].persistentVolumeClaim.claimName}"
	if got := r.ask("deployment", "iris", mounted); got != claim {
		r.t.Errorf("the Deployment mounts %q", got)
	}
	volume := r.ask("pvc", claim, "{.spec.volumeName}")
	got := r.on.kubectl(r.t, "-n", "longhorn-system", "get", "volumes.longhorn.io", volume, "-o",
		"jsonpath={.spec.fromBackup} {.status.restoreRequired} {.spec.size}")
	if want := r.url + " false 10737418240"; restored && got != want {
		r.t.Errorf("the volume is %q, want %q", got, want)
	}
}

func (r *restoring) forgetsItsSource() {
	second := r.uid("iris-pvc-2")
	r.c = r.c.set("iris.generation", 2)
	r.configure(r.c)
	r.login("1")
	if got := r.planned(); !slices.Equal(got, []string{"update ha-iris:iris:IRIS::iris"}) {
		r.t.Errorf("taking the source out plans %q", got)
	}
	r.apply(r.c)
	if again := r.apply(r.c); !again.onlySame() {
		r.t.Errorf("a second up did %v", again)
	}
	if r.uid("iris-pvc") != r.claim || r.uid("iris-pvc-2") != second {
		r.t.Error("a claim is another one")
	}
	r.runsOn("iris-pvc-2", true)
}

func (r *restoring) refusesAfterwards() {
	r.refuses(map[string]config{
		"iris.generation: got 1, want at least 2, on whose volume":   r.c.set("iris.generation", 1),
		"the volume of generation 2 is there and has its data":       r.from(2, r.url),
		"iris.generation: got 4, want 3":                             r.from(4, r.url),
		"iris.restoreFrom: got nothing, want a backup or a snapshot": r.c.set("iris.generation", 3),
	})
}

func (r *restoring) grows() {
	r.c = r.c.set("iris.size", "12Gi")
	r.apply(r.c)
	eventually(r.t, podWait, func() error {
		if got := r.ask("pvc", "iris-pvc-2", "{.status.capacity.storage}"); got != "12Gi" {
			return fmt.Errorf("the restored volume has %s", got)
		}
		return nil
	})
	if got := r.ask("pvc", "iris-pvc", "{.spec.resources.requests.storage}"); got != "10Gi" {
		r.t.Errorf("the old claim asks for %s", got)
	}
}

func (r *restoring) releases() {
	r.c = r.c.set("iris.oldestGeneration", 2)
	r.configure(r.c)
	r.login("1")
	if _, err := r.preview(); err == nil || !strings.Contains(err.Error(), "protected") {
		r.t.Errorf("a protected claim is given up: %v", err)
	}
	at := slices.IndexFunc(r.state(), func(one apitype.ResourceV3) bool { return strings.HasSuffix(string(one.URN), "::iris-pvc") })
	if at < 0 {
		r.t.Fatal("the state has no old claim")
	}
	if _, err := r.runCLI((*exec.Cmd).CombinedOutput, "state", "unprotect", string(r.state()[at].URN), "--yes"); err != nil {
		r.t.Fatal(err)
	}
	if done := r.apply(r.c); done["delete"] != 1 {
		r.t.Errorf("giving it up did %v", done)
	}
	if got := r.ask("pv", r.volume, "{.status.phase}"); got != "Released" {
		r.t.Errorf("the old volume is %s: its data must stay", got)
	}
	r.runsOn("iris-pvc-2", false)
	r.refuses(map[string]config{"this stack does not have the volume of generation 1": r.c.set("iris.oldestGeneration", 1)})
}

// clones destroys the stack, Longhorn included, and begins with another one that has nothing but the target.
func (r *restoring) clones() {
	r.remove()
	r.stack = newStack(r.t, "clone")
	r.c = r.c.set("iris.generation", 1).set("iris.oldestGeneration", 1).set("iris.size", "10Gi")
	r.apply(r.from(1, r.url))
	r.runsOn("iris-pvc", true)
	claim := r.uid("iris-pvc")
	if again := r.apply(r.from(1, r.url)); !again.onlySame() {
		r.t.Errorf("a second up did %v", again)
	}
	r.apply(r.c)
	if r.uid("iris-pvc") != claim {
		r.t.Error("the claim is another one")
	}
	if got := r.ask("storageclass", "longhorn-iris", "{.parameters.fromBackup}"); got != "" {
		r.t.Errorf("the class still fills volumes from %s", got)
	}
	r.runsOn("iris-pvc", true)
	r.remove()
}

// remove destroys the stack. What is in the bucket stays.
func (r *restoring) remove() {
	r.t.Helper()
	r.destroyEverything(r.c.set("storage.backup", object{})) // It sets no login.
}
