package standin

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func (r *rig) job(name, task string, spec map[string]any) {
	r.t.Helper()
	all := map[string]any{"name": name, "task": task, "cron": "* * * * *", "retain": int64(2), "concurrency": int64(1)}
	for key, value := range spec {
		all[key] = value
	}
	r.make(jobKind, name, all)
	r.look()
}

func (r *rig) labelled(name string) {
	r.t.Helper()
	r.edit(longhornVolumes, handle, func(volume *unstructured.Unstructured) { label(volume, name, enabled) })
}

// names are those of Longhorn's objects of the kind, without what is being deleted.
func (r *rig) names(plural string) []string {
	r.t.Helper()
	objects, err := r.longhorn.list(r.t.Context(), longhornNamespace, plural)
	if err != nil {
		r.t.Fatal(err)
	}
	var names []string
	for i := range objects {
		if objects[i].GetDeletionTimestamp() == nil {
			names = append(names, objects[i].GetName())
		}
	}
	slices.Sort(names)
	return names
}

func TestRecurring_TakesSnapshotsAtItsTimeAndKeepsTheLatest(t *testing.T) {
	t.Parallel()
	r := newRig(t, "a", nil)
	r.pass(time.Second)
	r.labelled("recurring-job.longhorn.io/minutely-one")
	r.job("minutely-one", "snapshot", map[string]any{"labels": map[string]any{"for": "test"}})
	r.job("idle", "snapshot", nil)
	if got := r.names(snapshotKind); len(got) != 0 {
		t.Errorf("got %v before it is time", got)
	}
	r.pass(time.Minute)
	first := r.names(snapshotKind)
	if len(first) != 1 || !strings.HasPrefix(first[0], "minutely-") {
		t.Fatalf("got %v, want one of the job that the volume asks for", first)
	}
	if object := r.longhornObject(snapshotKind, first[0]); textAt(object, "spec", "labels", "for") != "test" || textAt(object, "status", "labels", "RecurringJob") != "minutely-one" {
		t.Errorf("got %v", object.Object)
	}
	r.snapshot("mine")
	r.pass(3 * time.Minute)
	got := r.names(snapshotKind)
	if len(got) != 3 || !slices.Contains(got, "mine") || slices.Contains(got, first[0]) {
		t.Errorf("got %v, want the user's and the job's two latest", got)
	}
	if count := numberAt(r.longhornObject(jobKind, "minutely-one"), "status", "executionCount"); count != 4 {
		t.Errorf("got %d executions", count)
	}
}

func TestRecurring_BacksUpAndKeepsTheLatest(t *testing.T) {
	t.Parallel()
	r := withBucket(newRig(t, "a", nil))
	r.job("b", "backup", map[string]any{"groups": []any{"iris"}, "parameters": map[string]any{"full-backup-interval": "2"}})
	r.labelled("recurring-job-group.longhorn.io/iris")
	r.pass(time.Minute + 20*time.Second)
	first := r.names(backupKind)
	if len(first) != 1 || r.field(backupKind, first[0], "status", "labels", "RecurringJob") != "b" || r.field(backupKind, first[0], "spec", "backupMode") != "incremental" {
		t.Fatalf("got %v: %v", first, r.longhornObject(backupKind, first[0]))
	}
	r.pass(3 * time.Minute)
	got := r.names(backupKind)
	listed, err := r.store().List(handle)
	if err != nil || len(got) != 2 || len(listed) != 2 || slices.Contains(got, first[0]) {
		t.Errorf("got %v and %d in the bucket, %v; want the two latest", got, len(listed), err)
	}
	if mode := r.field(backupKind, r.volumeField("status", "lastBackup"), "spec", "backupMode"); mode != "full" {
		t.Errorf("the fourth backup is %s, want every second one full", mode)
	}
	if snapshots := r.names(snapshotKind); len(snapshots) != 1 {
		t.Errorf("got snapshots %v, want only the last backup's", snapshots)
	}
}

func TestRecurring_LeavesADetachedVolumeAloneUnlessItMay(t *testing.T) {
	t.Parallel()
	for allowed, want := range map[string]int{"false": 0, "true": 1} {
		r := withBucket(newRig(t, "", map[string]string{"allow-recurring-job-while-volume-detached": allowed}))
		r.labelled("recurring-job.longhorn.io/b")
		r.job("b", "backup", nil)
		r.attach("a") // a volume that was never used has no data
		r.pass(2 * time.Second)
		r.attach("")
		r.pass(time.Minute + 20*time.Second)
		if got := r.names(backupKind); len(got) != want {
			t.Errorf("%s: got %v", allowed, got)
		}
	}
}

func TestRecurring_NeverRunsTwiceAtOnceNorAtAnImpossibleTime(t *testing.T) {
	t.Parallel()
	r := withBucket(newRig(t, "a", nil))
	r.edit(longhornVolumes, handle, func(volume *unstructured.Unstructured) { annotate(volume, backupAnnotation, "150") })
	r.labelled("recurring-job.longhorn.io/b")
	r.labelled("recurring-job.longhorn.io/wrong")
	r.job("b", "backup", nil)
	r.job("wrong", "snapshot", map[string]any{"cron": "at noon"})
	r.pass(2*time.Minute + 30*time.Second)
	if got := r.names(backupKind); len(got) != 1 {
		t.Errorf("got %v, want one that is still under way", got)
	}
	if got := r.names(snapshotKind); len(got) != 1 {
		t.Errorf("got snapshots %v", got)
	}
	r.delete(jobKind, "b")
	r.look()
	if r.longhornObject(jobKind, "b") != nil {
		t.Error("a deleted job stays")
	}
}

func TestRecurring_LabelsComeFromTheClaimAndTheClass(t *testing.T) {
	t.Parallel()
	r := newRig(t, "a", nil)
	r.look()
	if labels := r.longhornObject(longhornVolumes, handle).GetLabels(); labels["recurring-job-group.longhorn.io/default"] != "enabled" {
		t.Errorf("got %v, want the default group", labels)
	}
	claim, err := r.client.CoreV1().PersistentVolumeClaims("iris").Get(t.Context(), "data", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	claim.Labels = map[string]string{"recurring-job.longhorn.io/source": "enabled", "recurring-job-group.longhorn.io/iris": "enabled", "app": "iris"}
	if _, err := r.client.CoreV1().PersistentVolumeClaims("iris").Update(t.Context(), claim, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	r.refresh()
	r.look()
	if got := fmt.Sprint(r.longhornObject(longhornVolumes, handle).GetLabels()); got != "map[recurring-job-group.longhorn.io/iris:enabled]" {
		t.Errorf("got %s, want the claim's instead", got)
	}
	h := newHarness(t, installed(nil)...)
	if _, err := h.provision(corev1.ReadWriteOnce, map[string]string{"recurringJobSelector": `[{"name":"nightly"},{"name":"g","isGroup":true}]`}); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(h.longhornObject(longhornVolumes, handle).GetLabels()); got != "map[recurring-job-group.longhorn.io/g:enabled recurring-job.longhorn.io/nightly:enabled]" {
		t.Errorf("got %s", got)
	}
	if _, err := h.provision(corev1.ReadWriteOnce, map[string]string{"recurringJobSelector": "[map[name:x]]"}); err == nil {
		t.Error("a list that Helm has printed was taken for JSON")
	}
}
