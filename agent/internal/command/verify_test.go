package command

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
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

	"ha-iris/agent/internal/kube"
	"ha-iris/agent/internal/verify"
)

var verifyTarget = kube.VerifyTarget{
	Database: backupTarget, Template: "iris-verify-copy", Copy: "iris-verify-copy", Class: "c", Results: "iris-verify", Pod: "p", PodUID: "u",
}

func TestVerifyFlags(t *testing.T) {
	t.Parallel()
	options, flags := verifyDefaults(), pflag.NewFlagSet("verify", pflag.ContinueOnError)
	options.bind(flags)
	err := flags.Parse([]string{
		"--namespace", "iris", "--claim", "data", "--owner", "12ab", "--stack", "s", "--class", "c", "--pod", "p", "--pod-uid", "u", "--check-timeout", "1h",
	})
	want := verify.Default()
	want.CheckTimeout = time.Hour
	if err != nil || options.validate() != nil || options.target != verifyTarget || options.config != want {
		t.Errorf("got %+v, %v, %v", options, err, options.validate())
	}
	wrong := verifyDefaults()
	wrong.target, wrong.config.StartTimeout = kube.VerifyTarget{}, -1
	err = wrong.validate()
	for _, want := range []string{
		"--namespace", "--claim", "--owner", "--deployment", "--container", "--longhorn-namespace", "--template", "--copy", "--class", "--results", "--pod:",
		"--pod-uid", "--start-timeout",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is missing in:\n%v", want, err)
		}
	}
	wrong = options
	wrong.target.Copy = "data"
	if err := wrong.validate(); err == nil || !strings.Contains(err.Error(), "--copy: got the name of --claim") {
		t.Errorf("got %v", err)
	}
}

// intactShell finds every copy whole.
type intactShell struct{ seen *requests }

func (s intactShell) Exec(_ context.Context, _ string, command []string) (output string, code int, err error) {
	s.seen.mutex.Lock()
	defer s.seen.mutex.Unlock()
	s.seen.seen[request("create", "", "pods/exec", "iris")] = true // What kube.Remote asks: its own test.
	if len(command) > 4 {
		return "ha-iris integrity 1\n", 5, nil
	}
	return strings.Repeat("ha-iris marker 0 \n", 8), 0, nil
}

// verifyCluster is one whose Longhorn and kubelets have done what they are asked for by the time that it answers.
func verifyCluster(t *testing.T) (*kube.Cluster, *requests) {
	t.Helper()
	others, core := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{
		{Group: "longhorn.io", Version: "v1beta2", Resource: "volumes"}: "VolumeList",
		{Group: "longhorn.io", Version: "v1beta2", Resource: "backups"}: "BackupList",
	}, verifyDeployment(), copiedVolume("v", "data"), ofLonghorn("Backup", "b", map[string]string{"backup-volume": "v"}, map[string]any{"status": map[string]any{
		"state": "Completed", "url": "s3://b@r/?backup=b&volume=v", "volumeSize": "1024", "snapshotCreatedAt": "2026-11-02T03:04:05Z",
	}})), fake.NewClientset(
		runningPod("iris-a", "data"), &corev1.PodTemplate{ObjectMeta: metav1.ObjectMeta{Namespace: "iris", Name: "iris-verify-copy"}},
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "iris", Name: "iris-verify", Labels: map[string]string{
			"ha-iris/verify": "results", "ha-iris/namespace": "iris", "ha-iris/owner": "12ab",
		}}},
	)
	seen := &requests{seen: map[string]bool{}}
	volumes := schema.GroupVersionResource{Group: "longhorn.io", Version: "v1beta2", Resource: "volumes"}
	core.PrependReactor("*", "*", func(action clienttesting.Action) (bool, runtime.Object, error) {
		if create, ok := action.(clienttesting.CreateAction); ok && action.GetVerb() == "create" {
			switch object := create.GetObject().(type) {
			case *corev1.PersistentVolumeClaim:
				object.UID, object.Status.Phase = "u1", corev1.ClaimBound
				return false, nil, others.Tracker().Add(copiedVolume("copy", object.Name))
			case *corev1.Pod:
				object.UID, object.Status = "u2", runningPod("", "").Status
			case metav1.Object:
				object.SetUID("u3")
			}
		}
		if action.Matches("delete", "persistentvolumeclaims") {
			return false, nil, others.Tracker().Delete(volumes, "longhorn-system", "copy")
		}
		return false, nil, nil
	})
	core.PrependReactor("*", "*", seen.note)
	others.PrependReactor("*", "*", seen.note)
	return &kube.Cluster{Core: core.CoreV1(), Storage: core.StorageV1(), Dynamic: others}, seen
}

func verifyDeployment() *unstructured.Unstructured {
	object := ofLonghorn("Deployment", "iris", nil, map[string]any{})
	object.SetAPIVersion("apps/v1")
	object.SetNamespace("iris")
	return object
}

func copiedVolume(name, claim string) *unstructured.Unstructured {
	return ofLonghorn("Volume", name, nil, map[string]any{"status": map[string]any{
		"restoreInitiated": true, "restoreRequired": false, "kubernetesStatus": map[string]any{"namespace": "iris", "pvcName": claim},
	}})
}

func runningPod(name, claim string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "iris", Name: name},
		Spec: corev1.PodSpec{Volumes: []corev1.Volume{{VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim},
		}}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
	}
}

// What the program mirrors as RBAC is what runs ask: nothing is missing, and nothing is there that is not needed.
func TestVerifyRights_AreWhatIsAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cluster, seen := verifyCluster(t)
		log := slog.New(slog.NewTextHandler(io.Discard, nil))
		view := kube.NewVerifies(cluster, verifyTarget)
		if err := verify.New(verify.Default(), view, intactShell{seen}, log, "u", "t").Do(t.Context()); err != nil {
			t.Fatal(err)
		}
		first := kube.VerifyTarget{Database: backupTarget, Results: "of-the-first-run"}
		if err := kube.NewVerifies(cluster, first).Record(t.Context(), "b", verify.Result{}); err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, one := range kube.VerifyRights(verifyTarget) {
			want = append(want, request(one.Verb, one.Group, one.Resource, one.Namespace))
			if one.Why == "" {
				t.Errorf("%+v does not say why", one)
			}
		}
		slices.Sort(want)
		if got := seen.all(); !slices.Equal(got, want) {
			t.Errorf("asked:\n%s\nrights:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}
