package command

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"ha-iris/agent/internal/backup"
	"ha-iris/agent/internal/kube"
)

var backupTarget = kube.BackupTarget{
	Namespace: "iris", Deployment: "iris", Claim: "data", Container: "iris", LonghornNamespace: "longhorn-system", Owner: "12ab", Stack: "s",
}

func TestBackupFlags(t *testing.T) {
	t.Parallel()
	options, flags := backupDefaults(), pflag.NewFlagSet("backup", pflag.ContinueOnError)
	options.bind(flags)
	if err := flags.Parse([]string{"--namespace", "iris", "--claim", "data", "--owner", "12ab", "--stack", "s", "--retain", "7"}); err != nil {
		t.Fatal(err)
	}
	want := backup.Default()
	want.Retain = 7
	if err := options.validate(); err != nil || options.target != backupTarget || options.config != want {
		t.Errorf("got %+v, %v", options, err)
	}
	wrong := backupDefaults()
	wrong.target, wrong.config.FreezeLimit = kube.BackupTarget{}, time.Second
	err := wrong.validate()
	for _, want := range []string{"--namespace", "--claim", "--owner", "--deployment", "--container", "--longhorn-namespace", "--freeze-limit"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is missing in:\n%v", want, err)
		}
	}
}

func TestByHand(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 28, 2, 35, 0, 0, time.UTC)
	due := fmt.Sprintf("nightly-%d", now.Add(-5*time.Minute).Unix()/60)
	for job, want := range map[string]bool{
		"": false, due: false, fmt.Sprintf("nightly-%d", now.Add(-8*time.Hour).Unix()/60): false,
		"backup-by-hand": true, "nightly-1": true, "nightly-20261128": true, "nightly-20261128-023500": true, "nightly": true, "other-" + due: true,
		due + "-again": true,
	} {
		if got := byHand(job, "nightly", now); got != want {
			t.Errorf("%q: got %v", job, got)
		}
	}
}

func TestDrawName(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 2, 3, 4, 5, 0, time.FixedZone("x", 3600))
	first, err := drawName("iris-consistent", now)
	second, _ := drawName("iris-consistent", now)
	if err != nil || first == second || !regexp.MustCompile(`^iris-consistent-20261102-020405-[0-9a-f]{8}$`).MatchString(first) {
		t.Errorf("got %s and %s, %v", first, second, err)
	}
}

// frozenShell freezes and thaws whenever it is asked to.
type frozenShell struct{ seen *requests }

func (s frozenShell) Exec(context.Context, string, []string) (output string, code int, err error) {
	s.seen.mutex.Lock()
	defer s.seen.mutex.Unlock()
	s.seen.seen[request("create", "", "pods/exec", "iris")] = true // What kube.Remote asks: its own test.
	return "", 5, nil
}

func ofLonghorn(kind, name string, labels map[string]string, content map[string]any) *unstructured.Unstructured {
	object := &unstructured.Unstructured{Object: content}
	object.SetAPIVersion("longhorn.io/v1beta2")
	object.SetKind(kind)
	object.SetNamespace("longhorn-system")
	object.SetName(name)
	object.SetUID("u")
	object.SetLabels(labels)
	return object
}

// backupCluster is one whose Longhorn has done what it is asked for by the time that it answers, with an old backup and its snapshot.
func backupCluster(t *testing.T) (*kube.Cluster, *requests) {
	t.Helper()
	marks := map[string]string{"ha-iris/backup": "consistent", "ha-iris/namespace": "iris", "ha-iris/owner": "12ab", "backup-volume": "v"}
	deployment := &unstructured.Unstructured{Object: map[string]any{}}
	deployment.SetAPIVersion("apps/v1")
	deployment.SetKind("Deployment")
	deployment.SetNamespace("iris")
	deployment.SetName("iris")
	others := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{
		{Group: "longhorn.io", Version: "v1beta2", Resource: "volumes"}:   "VolumeList",
		{Group: "longhorn.io", Version: "v1beta2", Resource: "snapshots"}: "SnapshotList",
		{Group: "longhorn.io", Version: "v1beta2", Resource: "backups"}:   "BackupList",
	}, deployment,
		ofLonghorn("Volume", "v", nil, map[string]any{"status": map[string]any{
			"state": "attached", "robustness": "healthy", "kubernetesStatus": map[string]any{"namespace": "iris", "pvcName": "data"},
		}}),
		ofLonghorn("BackupTarget", "default", nil, map[string]any{
			"spec": map[string]any{"backupTargetURL": "s3://b@r/"}, "status": map[string]any{"available": true},
		}),
		ofLonghorn("Backup", "old", marks, map[string]any{
			"spec": map[string]any{"snapshotName": "old"}, "status": map[string]any{"state": "Completed"},
		}),
		ofLonghorn("Snapshot", "old", marks, map[string]any{"spec": map[string]any{"volume": "v"}, "status": map[string]any{"creationTime": "then"}}),
	)
	core := fake.NewClientset(&corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "iris", Name: "iris-a"},
		Spec: corev1.PodSpec{Volumes: []corev1.Volume{{VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"},
		}}}},
		Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
	})
	seen := &requests{seen: map[string]bool{}}
	others.PrependReactor("create", "*", func(action clienttesting.Action) (bool, runtime.Object, error) {
		if create, ok := action.(clienttesting.CreateAction); ok {
			if object, ok := create.GetObject().(*unstructured.Unstructured); ok {
				object.Object["status"] = map[string]any{"creationTime": "now", "state": "Completed"}
			}
		}
		return false, nil, nil
	})
	core.PrependReactor("*", "*", seen.note)
	others.PrependReactor("*", "*", seen.note)
	return &kube.Cluster{Core: core.CoreV1(), Dynamic: others}, seen
}

// What the program mirrors as RBAC is what a run asks: nothing is missing, and nothing is there that is not needed.
func TestBackupRights_AreWhatIsAsked(t *testing.T) {
	t.Parallel()
	cluster, seen := backupCluster(t)
	config := backup.Default()
	config.Retain = 1
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	if err := backup.New(config, kube.NewBackups(cluster, backupTarget), frozenShell{seen}, log, "new").Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, one := range kube.BackupRights(backupTarget) {
		want = append(want, request(one.Verb, one.Group, one.Resource, one.Namespace))
		if one.Why == "" {
			t.Errorf("%+v does not say why", one)
		}
	}
	slices.Sort(want)
	if got := seen.all(); !slices.Equal(got, want) {
		t.Errorf("asked:\n%s\nrights:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
