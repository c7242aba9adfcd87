package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

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

// A pod that was evicted, or has no node, says nothing about a backup; a container that has ended does.
func TestVerifies_TellHowThePodIs(t *testing.T) {
	t.Parallel()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "iris", Name: "iris-verify-copy"}}
	for name, test := range map[string]struct {
		status            corev1.PodStatus
		started           bool
		ended, state, err string
	}{
		"no node": {status: corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{
			{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "Insufficient memory"},
		}}, state: "Insufficient memory"},
		"evicted": {status: corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted"}, err: "Evicted"},
		"merge": {status: corev1.PodStatus{Phase: corev1.PodFailed, InitContainerStatuses: []corev1.ContainerStatus{
			{Name: "cpf-merge", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1}}},
		}}, ended: "container cpf-merge"},
		"merged": {status: corev1.PodStatus{InitContainerStatuses: []corev1.ContainerStatus{
			{Name: "cpf-merge", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}},
		}}},
		"ended": {status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
			{Name: "iris", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Message: "no licence"}}},
		}}, started: true, ended: "no licence"},
		"pulls": {status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
			{Name: "iris", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull"}}},
		}}, state: "ErrImagePull"},
	} {
		one := pod.DeepCopy()
		one.Status = test.status
		got, err := NewVerifies(&Cluster{Core: fake.NewClientset(one).CoreV1()}, verifiedTarget).Pod(t.Context())
		if (err != nil) != (test.err != "") || err != nil && !strings.Contains(err.Error(), test.err) || got.Started != test.started || got.Ready ||
			(got.Ended != "") != (test.ended != "") || !strings.Contains(got.Ended, test.ended) || !strings.Contains(got.State, test.state) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}
