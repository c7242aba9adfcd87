package kube

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"ha-iris/agent/internal/verify"
)

var verifiedTarget = VerifyTarget{Database: backed, Copy: "iris-verify-copy", Class: "c", Results: "iris-verify", Pod: "p", PodUID: "u"}

func resultsOf(t *testing.T, core *fake.Clientset) map[string]string {
	t.Helper()
	found, err := core.CoreV1().ConfigMaps("iris").Get(context.WithoutCancel(t.Context()), "iris-verify", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return found.Data
}

// The newest results are kept, and no message makes them large.
func TestVerifies_KeepTheNewestResults(t *testing.T) {
	t.Parallel()
	core := fake.NewClientset()
	view := NewVerifies(&Cluster{Core: core.CoreV1()}, verifiedTarget)
	for week := range maxResults + 3 {
		err := view.Record(t.Context(), fmt.Sprintf("backup-%d", week), verify.Result{
			Verdict: verify.Good, At: now.Add(time.Duration(week) * time.Hour), Message: strings.Repeat("ä", 5000),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	kept := resultsOf(t, core)
	if len(kept) != maxResults || kept["backup-2"] != "" || kept["backup-3"] == "" || kept["backup-22"] == "" {
		t.Errorf("%d are kept", len(kept))
	}
	var last verify.Result
	if err := json.Unmarshal([]byte(kept["backup-22"]), &last); err != nil || last.Verdict != verify.Good || len(last.Message) > 1024 {
		t.Errorf("got %+v, %v", last, err)
	}
	// The same backup again is one entry.
	if err := view.Record(t.Context(), "backup-22", verify.Result{Verdict: verify.Bad, At: now.Add(100 * time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if kept = resultsOf(t, core); len(kept) != maxResults || !strings.Contains(kept["backup-22"], "bad") {
		t.Errorf("got %v", kept)
	}
}

// Another run may write at the same moment: both results are kept.
func TestVerifies_RecordAgainAfterAConflict(t *testing.T) {
	t.Parallel()
	core := fake.NewClientset()
	view := NewVerifies(&Cluster{Core: core.CoreV1()}, verifiedTarget)
	if err := view.Record(t.Context(), "first", verify.Result{At: now}); err != nil {
		t.Fatal(err)
	}
	conflicts := 0
	core.PrependReactor("update", "configmaps", func(clienttesting.Action) (bool, runtime.Object, error) {
		conflicts++
		return conflicts == 1, nil, apierrors.NewConflict(corev1.Resource("configmaps"), "iris-verify", errors.New("it was changed"))
	})
	if err := view.Record(t.Context(), "second", verify.Result{At: now}); err != nil || conflicts != 2 || len(resultsOf(t, core)) != 2 {
		t.Errorf("got %v after %d attempts: %v", err, conflicts, resultsOf(t, core))
	}
}

func TestVerifies_LeaveSomebodyElsesConfigMap(t *testing.T) {
	t.Parallel()
	core := fake.NewClientset(&corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "iris", Name: "iris-verify"}, Data: map[string]string{"theirs": "x"},
	})
	err := NewVerifies(&Cluster{Core: core.CoreV1()}, verifiedTarget).Record(t.Context(), "b", verify.Result{})
	if !errors.Is(err, verify.ErrTaken) || len(resultsOf(t, core)) != 1 {
		t.Errorf("got %v, %v", err, resultsOf(t, core))
	}
}

// Deletion has two locks: the marks and the UID.
func TestVerifies_DeleteOnlyTheirOwn(t *testing.T) {
	t.Parallel()
	view := NewVerifies(&Cluster{Core: fake.NewClientset().CoreV1()}, verifiedTarget)
	for want, one := range map[error]verify.Object{
		verify.ErrTaken:   {Kind: kindClaim, Name: "iris-verify-copy", UID: "u"},
		errNoPrecondition: {Kind: kindClaim, Name: "iris-verify-copy", Ours: true},
	} {
		if err := view.Delete(t.Context(), one); !errors.Is(err, want) {
			t.Errorf("%+v: got %v", one, err)
		}
	}
	if err := view.Delete(t.Context(), verify.Object{Kind: "Secret", Name: "s", UID: "u", Ours: true}); err == nil {
		t.Error("a Secret was deleted")
	}
}

// Those of the volume, whoever has made them, and no others.
func TestVerifies_ListTheVolumesBackups(t *testing.T) {
	t.Parallel()
	cut := map[string]any{
		"state": "Completed", "snapshotCreatedAt": "2026-11-02T03:04:05Z", "volumeSize": "1024", "url": "s3://b@r/?backup=b&volume=handle-1",
		"labels": map[string]any{"ha-iris/backup": "consistent"},
	}
	r := newBackupRig(t, made("Backup", "b", "handle-1", nil, cut), made("Backup", "other", "handle-2", nil, cut),
		made("Backup", "new", "handle-1", map[string]string{"RecurringJob": "j"}, map[string]any{"state": "InProgress"}),
		made("Backup", "mislabelled", "handle-1", nil, map[string]any{"state": "Completed", "volumeName": "handle-2"}))
	found, err := NewVerifies(r.backups.cluster, verifiedTarget).Backups(t.Context(), "handle-1")
	if err != nil || len(found) != 2 {
		t.Fatalf("got %+v, %v", found, err)
	}
	for _, one := range found {
		if one.Name == "b" && (one.Bytes != 1024 || !one.Complete || one.Cut.Hour() != 3 || one.URL == "" || !one.Consistent) ||
			one.Name == "new" && (one.Complete || one.Consistent) {
			t.Errorf("got %+v", one)
		}
	}
}

// podState is how the copy's pod is, and what is to be said of it.
type podState struct {
	status             corev1.PodStatus
	deleted            *metav1.Time
	robustness         string
	started            bool
	ended, state, lost string
}

func podStates() map[string]podState {
	ended := func(name, reason string, code int32) []corev1.ContainerStatus {
		return []corev1.ContainerStatus{{Name: name, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: code, Reason: reason, Message: "no licence",
		}}}}
	}
	killed := ended("iris", "Error", 137)
	now, failed := metav1.Now(), corev1.PodFailed
	return map[string]podState{
		"no node": {status: corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{
			{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "Insufficient memory"},
		}}, state: "Insufficient memory"},
		"evicted before it ran": {status: corev1.PodStatus{Phase: failed, Reason: "Evicted"}, lost: "Evicted"},
		"evicted": {
			status: corev1.PodStatus{Phase: failed, Reason: "Evicted", ContainerStatuses: killed}, started: true, ended: "exit code 137", lost: "Evicted",
		},
		"node is shut down": {
			status:  corev1.PodStatus{Phase: failed, Reason: "Terminated", Message: "node shutdown", ContainerStatuses: killed},
			started: true, ended: "exit code 137", lost: "node shutdown",
		},
		"preempted": {status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: killed, Conditions: []corev1.PodCondition{
			{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "PreemptionByScheduler"},
		}}, started: true, ended: "exit code 137", lost: "PreemptionByScheduler"},
		"out of memory": {
			status: corev1.PodStatus{Phase: failed, ContainerStatuses: ended("iris", "OOMKilled", 137)}, started: true, ended: "OOMKilled", lost: "OOMKilled",
		},
		"told to go": {status: corev1.PodStatus{ContainerStatuses: killed}, deleted: &now, started: true, ended: "exit code 137", lost: "told to go"},
		"volume lost": {
			status: corev1.PodStatus{Phase: failed, ContainerStatuses: ended("iris", "Error", 1)}, robustness: "faulted", started: true, ended: "exit code 1",
			lost: "handle-copy is faulted",
		},
		"merge":  {status: corev1.PodStatus{Phase: failed, InitContainerStatuses: ended("cpf-merge", "Error", 1)}, lost: "container cpf-merge"},
		"merged": {status: corev1.PodStatus{InitContainerStatuses: ended("cpf-merge", "Completed", 0)}},
		"ended":  {status: corev1.PodStatus{Phase: failed, ContainerStatuses: ended("iris", "Error", 1)}, started: true, ended: "no licence"},
		"failed": {status: corev1.PodStatus{Phase: failed}, lost: "none of its containers has"},
		"pulls": {status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
			{Name: "iris", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull"}}},
		}}, state: "ErrImagePull"},
	}
}

// What the kubelet or a node has ended says nothing about a backup, whatever its containers' exit codes; IRIS that ends by itself does.
func TestVerifies_TellHowThePodIs(t *testing.T) {
	t.Parallel()
	for name, test := range podStates() {
		copied := longhornVolume("handle-copy", "iris-verify-copy", "")
		_ = unstructured.SetNestedField(copied.Object, cmp.Or(test.robustness, "healthy"), "status", "robustness")
		r := newBackupRig(t, copied)
		one := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "iris", Name: "iris-verify-copy", DeletionTimestamp: test.deleted}, Status: test.status}
		if test.deleted != nil {
			one.Finalizers = []string{"kubernetes"} // Without one there is no such object.
		}
		if err := r.core.Tracker().Add(one); err != nil {
			t.Fatal(err)
		}
		got, err := NewVerifies(r.backups.cluster, verifiedTarget).Pod(t.Context())
		if err != nil || got.Started != test.started || got.Ready || (got.Lost != "") != (test.lost != "") || !strings.Contains(got.Lost, test.lost) ||
			(got.Ended != "") != (test.ended != "") || !strings.Contains(got.Ended, test.ended) || !strings.Contains(got.State, test.state) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}
