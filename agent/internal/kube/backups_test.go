package kube

import (
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"ha-iris/agent/internal/backup"
)

var backed = BackupTarget{
	Namespace: "iris", Deployment: "iris", Claim: "data", Container: "iris", LonghornNamespace: "longhorn-system", Owner: "12ab",
	Stack: "organization/ha-iris/prod",
}

// backupRig is a cluster with a database on a volume of Longhorn's, played by client-go's fakes.
type backupRig struct {
	t       *testing.T
	core    *fake.Clientset
	dynamic *dynamicfake.FakeDynamicClient
	backups *Backups
}

func newBackupRig(t *testing.T, objects ...runtime.Object) *backupRig {
	t.Helper()
	ours := append([]runtime.Object{deploymentObject(1), longhornVolume("handle-1", "data", "")}, objects...)
	kinds := map[schema.GroupVersionResource]string{{Group: "apps", Version: "v1", Resource: "deployments"}: "DeploymentList"}
	for resource, kind := range map[string]string{
		"volumes": "VolumeList", "backuptargets": "BackupTargetList", "snapshots": "SnapshotList", "backups": "BackupList",
	} {
		kinds[longhorn(resource)] = kind
	}
	r := &backupRig{
		t: t, core: fake.NewClientset(databasePod("iris-a", "c1"), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "iris", Name: "iris-guard-1"}}),
		dynamic: dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), kinds, ours...),
	}
	r.backups = NewBackups(&Cluster{Core: r.core.CoreV1(), Dynamic: r.dynamic}, backed)
	return r
}

func databasePod(name, container string) *corev1.Pod {
	pod := podObject(name, "n1")
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "iris", ContainerID: container}}
	return pod
}

func deploymentObject(replicas int64) *unstructured.Unstructured {
	object := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"replicas": replicas}}}
	object.SetAPIVersion("apps/v1")
	object.SetKind("Deployment")
	object.SetNamespace("iris")
	object.SetName("iris")
	object.SetUID("uid-deployment")
	return object
}

func longhornVolume(name, claim, lost string) *unstructured.Unstructured {
	return longhornObject("Volume", name, nil, map[string]any{
		"spec": map[string]any{"backupTargetName": "default"},
		"status": map[string]any{
			"state": "attached", "robustness": "degraded",
			"kubernetesStatus": map[string]any{"namespace": "iris", "pvcName": claim, "lastPVCRefAt": lost},
		},
	})
}

func TestBackups_FindTheDatabaseAndItsVolume(t *testing.T) {
	t.Parallel()
	r := newBackupRig(t, longhornVolume("handle-0", "data", "2026-11-01T00:00:00Z"), longhornVolume("handle-2", "other", ""))
	database, err := r.backups.Database(t.Context())
	want := backup.Pod{Name: "iris-a", UID: "uid-iris-a", Container: "c1", Ready: true}
	if err != nil || database.Wanted != 1 || len(database.Pods) != 1 || database.Pods[0] != want || database.Namespace != "iris" ||
		database.Container != "iris" {
		t.Errorf("got %+v, %v", database, err)
	}
	volume, err := r.backups.Volume(t.Context())
	if err != nil || volume != (backup.Volume{Name: "handle-1", State: "attached", Robustness: "degraded", Target: "default"}) {
		t.Errorf("got %+v, %v", volume, err)
	}
	r.add(longhornVolume("handle-3", "data", ""))
	if _, err := r.backups.Volume(t.Context()); err == nil || !strings.Contains(err.Error(), "has 2 volumes") {
		t.Errorf("got %v", err)
	}
}

func (r *backupRig) add(object *unstructured.Unstructured) {
	r.t.Helper()
	if err := r.dynamic.Tracker().Add(object); err != nil {
		r.t.Fatal(err)
	}
}

func TestBackups_ReadTheTargetsReason(t *testing.T) {
	t.Parallel()
	r := newBackupRig(t, longhornObject("BackupTarget", "default", nil, map[string]any{
		"spec": map[string]any{"backupTargetURL": "s3://b@r/"},
		"status": map[string]any{"available": false, "conditions": []any{
			map[string]any{"type": "Unavailable", "status": "True", "message": "AccessDenied"},
		}},
	}))
	got, err := r.backups.Target(t.Context(), "default")
	if err != nil || got != (backup.Target{Name: "default", URL: "s3://b@r/", Reason: "AccessDenied"}) {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := r.backups.Target(t.Context(), "other"); !errors.Is(err, backup.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

// Objects carry the stack's marks, in the backup as well, and asking twice is asking once.
func TestBackups_MarkWhatTheyMake(t *testing.T) {
	t.Parallel()
	r := newBackupRig(t)
	for range 2 {
		if err := errors.Join(r.backups.CreateSnapshot(t.Context(), "s", "handle-1"),
			r.backups.CreateBackup(t.Context(), "b", "s", "handle-1", "default")); err != nil {
			t.Fatal(err)
		}
	}
	for resource, name := range map[string]string{"snapshots": "s", "backups": "b"} {
		object, err := r.dynamic.Resource(longhorn(resource)).Namespace("longhorn-system").Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		inside, _, _ := unstructured.NestedStringMap(object.Object, "spec", "labels")
		for _, labels := range []map[string]string{object.GetLabels(), inside} {
			if labels["ha-iris/backup"] != "consistent" || labels["ha-iris/namespace"] != "iris" || labels["ha-iris/owner"] != "12ab" {
				t.Errorf("%s has %v", name, labels)
			}
		}
		if object.GetAnnotations()["ha-iris/stack"] != backed.Stack {
			t.Errorf("%s has %v", name, object.GetAnnotations())
		}
	}
	object, err := r.dynamic.Resource(longhorn("backups")).Namespace("longhorn-system").Get(t.Context(), "b", metav1.GetOptions{})
	if err != nil || object.GetLabels()["backup-volume"] != "handle-1" || object.GetLabels()["backup-target"] != "default" {
		t.Errorf("got %v, %v", object.GetLabels(), err)
	}
}

// A backup by hand is the stack's own, and remains one by hand when Longhorn has read it from the target.
func TestBackups_MarkThoseByHand(t *testing.T) {
	t.Parallel()
	target := backed
	target.ByHand = true
	stored := map[string]any{"ha-iris/by-hand": "true"}
	for name, value := range backed.marks() {
		stored[name] = value
	}
	r := newBackupRig(t, made("Backup", "read-from-the-target", "handle-1", nil, map[string]any{"labels": stored}))
	if err := NewBackups(&Cluster{Dynamic: r.dynamic}, target).CreateBackup(t.Context(), "by-hand", "s", "handle-1", "default"); err != nil {
		t.Fatal(err)
	}
	if err := r.backups.CreateBackup(t.Context(), "scheduled", "s", "handle-1", "default"); err != nil {
		t.Fatal(err)
	}
	object, err := r.dynamic.Resource(longhorn("backups")).Namespace("longhorn-system").Get(t.Context(), "by-hand", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if inside, _, _ := unstructured.NestedStringMap(object.Object, "spec", "labels"); inside["ha-iris/by-hand"] != "true" {
		t.Errorf("in the backup there is %v", inside)
	}
	all, err := r.backups.Backups(t.Context(), "handle-1")
	if err != nil || len(all) != 3 {
		t.Fatalf("got %+v, %v", all, err)
	}
	for _, one := range all {
		if one.ByHand != (one.Name != "scheduled") {
			t.Errorf("%s: by hand: %v", one.Name, one.ByHand)
		}
	}
}

func made(kind, name, volume string, labels map[string]string, status map[string]any) *unstructured.Unstructured {
	all := map[string]string{"backup-volume": volume}
	for key, value := range labels {
		all[key] = value
	}
	return longhornObject(kind, name, all, map[string]any{"spec": map[string]any{"snapshotName": "s", "volume": volume}, "status": status})
}

// Only what has all marks of this stack, and is of this volume, is ever listed, and so deleted.
func TestBackups_ListOnlyTheirOwn(t *testing.T) {
	t.Parallel()
	own := backed.marks()
	others := map[string]map[string]string{
		"crash-consistent": {"RecurringJob": "iris-backup"}, "by-hand": nil,
		"another-stack": {"ha-iris/backup": "consistent", "ha-iris/namespace": "iris", "ha-iris/owner": "34cd"},
		"another-space": {"ha-iris/backup": "consistent", "ha-iris/namespace": "iris2", "ha-iris/owner": "12ab"},
		"another-kind":  {"ha-iris/backup": "other", "ha-iris/namespace": "iris", "ha-iris/owner": "12ab"},
	}
	var objects []runtime.Object
	for name, labels := range others {
		objects = append(objects, made("Backup", name, "handle-1", labels, map[string]any{}), made("Snapshot", name, "handle-1", labels, map[string]any{}))
	}
	stored := map[string]any{}
	for key, value := range own {
		stored[key] = value
	}
	objects = append(objects,
		made("Backup", "own", "handle-1", own, map[string]any{
			"state": "Completed", "progress": int64(100), "backupCreatedAt": "2026-11-02T03:04:05Z", "messages": map[string]any{"info": "said"},
		}),
		made("Backup", "read-from-the-target", "handle-1", nil, map[string]any{"state": "Error", "error": "broken", "labels": stored}),
		made("Backup", "another-volume", "handle-2", own, map[string]any{}),
		made("Snapshot", "own", "handle-1", own, map[string]any{"creationTime": "2026-11-02T03:04:05Z"}),
		made("Snapshot", "another-volume", "handle-2", own, map[string]any{}),
	)
	r := newBackupRig(t, objects...)
	backups, err := r.backups.Backups(t.Context(), "handle-1")
	if err != nil || len(backups) != 2 || backups[0].Name != "own" || backups[1].Message != "broken" {
		t.Fatalf("got %+v, %v", backups, err)
	}
	at := time.Date(2026, 11, 2, 3, 4, 5, 0, time.UTC)
	if one := backups[0]; one.UID != "uid-own" || one.State != backup.StateCompleted || one.Progress != 100 || !one.Created.Equal(at) ||
		one.Message != "said" || one.Snapshot != "s" {
		t.Errorf("got %+v", one)
	}
	snapshots, err := r.backups.Snapshots(t.Context(), "handle-1")
	if err != nil || len(snapshots) != 1 || snapshots[0].Name != "own" || !snapshots[0].Cut {
		t.Errorf("got %+v, %v", snapshots, err)
	}
}

func TestBackups_DeleteTheUIDThatWasDecidedOn(t *testing.T) {
	t.Parallel()
	r := newBackupRig(t)
	if err := r.backups.DeleteBackup(t.Context(), backup.Backup{Name: "b"}); !errors.Is(err, errNoPrecondition) {
		t.Errorf("got %v", err)
	}
	if err := r.backups.DeleteSnapshot(t.Context(), backup.Snapshot{Name: "gone", UID: "u"}); err != nil {
		t.Errorf("got %v", err)
	}
	actions := r.dynamic.Actions()
	last, ok := actions[len(actions)-1].(clienttesting.DeleteActionImpl)
	if !ok || last.DeleteOptions.Preconditions == nil || *last.DeleteOptions.Preconditions.UID != "u" {
		t.Errorf("got %+v", actions)
	}
	r.dynamic.PrependReactor("delete", "backups", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{}, "b", errors.New("policy"))
	})
	if err := r.backups.DeleteBackup(t.Context(), backup.Backup{Name: "b", UID: "u"}); err == nil || !strings.Contains(err.Error(), "policy") {
		t.Errorf("got %v", err)
	}
}

func TestBackups_ReportOnTheDeployment(t *testing.T) {
	t.Parallel()
	r := newBackupRig(t)
	if _, err := r.backups.Database(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.backups.Report(t.Context(), backup.Event{Warning: true, Reason: "BackupFailed", Message: strings.Repeat("ä", 2000)}); err != nil {
		t.Fatal(err)
	}
	list, err := r.core.CoreV1().Events("iris").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 1 {
		t.Fatalf("got %v, %v", list, err)
	}
	event := list.Items[0]
	if event.InvolvedObject.UID != "uid-deployment" || event.InvolvedObject.Kind != "Deployment" || event.Type != "Warning" ||
		event.Reason != "BackupFailed" || len(event.Message) > 1024 || strings.ToValidUTF8(event.Message, "?") != event.Message {
		t.Errorf("got %+v", event)
	}
}
