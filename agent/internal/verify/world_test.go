package verify_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"ha-iris/agent/internal/kube"
	"ha-iris/agent/internal/verify"
)

const (
	copyName  = "iris-verify-copy"
	className = "ha-iris-verify-iris"
	ownRun    = "uid-run"
	lastURL   = "s3://b@r/?backup=last&volume=pvc-1"
)

var (
	errAway  = errors.New("the API server is away")
	verified = kube.VerifyTarget{
		Database: kube.BackupTarget{
			Namespace: "iris", Deployment: "iris", Claim: "data", Container: "iris", LonghornNamespace: "longhorn-system", Owner: "12ab",
			Stack: "organization/ha-iris/prod",
		},
		Template: copyName, Copy: copyName, Class: className, Results: "iris-verify", Pod: "iris-verify-1-x", PodUID: ownRun,
	}
	marks = map[string]string{"ha-iris/verify": "copy", "ha-iris/namespace": "iris", "ha-iris/owner": "12ab"}
)

// world is a cluster with a database and a backup, played by client-go's fakes; the zero times are never.
type world struct {
	t       *testing.T
	core    *fake.Clientset
	dynamic *dynamicfake.FakeDynamicClient

	// restoreTakes and startTakes are how long Longhorn and IRIS take; less than 0: they never end.
	restoreTakes, startTakes time.Duration
	restored, started        time.Time
	restoreFails, iris       string
	// keepsVolume says that Longhorn does not delete the copy's volume.
	keepsVolume bool
	away        bool

	// rows are the marker rows of the database, and copied those that the copy has.
	rows, copied map[string]string
	// integrity is what the check prints, after checkTakes.
	integrity           string
	checkTakes          time.Duration
	checked             time.Time
	onCheck, onContinue func()
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		t: t, restoreTakes: time.Minute, startTakes: 30 * time.Second, checkTakes: 5 * time.Minute,
		integrity: "\nNode: iris, Instance: IRIS\n\n%SYS>\n%SYS>\nha-iris integrity 1\n\n%SYS>\nNo errors.\n", rows: map[string]string{}, copied: map[string]string{},
	}
	w.core = fake.NewClientset(
		&corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "iris", Name: "iris-a", UID: "uid-iris-a"}, Spec: usingClaim("data"),
			Status: corev1.PodStatus{
				Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
				StartTime: ago(20 * 24 * time.Hour),
			},
		},
		&corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "iris", Name: "data", UID: "uid-data"}},
		&corev1.PodTemplate{
			ObjectMeta: metav1.ObjectMeta{Namespace: "iris", Name: copyName},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": copyName}}, Spec: usingClaim(copyName),
			},
		},
	)
	kinds := map[schema.GroupVersionResource]string{}
	for resource, kind := range map[string]string{"volumes": "VolumeList", "backups": "BackupList"} {
		kinds[schema.GroupVersionResource{Group: "longhorn.io", Version: "v1beta2", Resource: resource}] = kind
	}
	deployment := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"replicas": int64(1)}}}
	deployment.SetAPIVersion("apps/v1")
	deployment.SetKind("Deployment")
	deployment.SetNamespace("iris")
	deployment.SetName("iris")
	w.dynamic = dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), kinds, deployment, volume("pvc-1", "data", nil),
		backupObject("older", 26*time.Hour, "Completed"), backupObject("last", 2*time.Hour, "Completed"), backupObject("running", time.Minute, "InProgress"))
	w.core.PrependReactor("*", "*", w.react)
	w.dynamic.PrependReactor("*", "*", w.react)
	return w
}

func ago(long time.Duration) *metav1.Time {
	at := metav1.NewTime(time.Now().Add(-long))
	return &at
}

// database changes the database's pod.
func (w *world) database(change func(*corev1.Pod)) {
	w.t.Helper()
	pod, err := w.core.CoreV1().Pods("iris").Get(w.t.Context(), "iris-a", metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	change(pod)
	if err := w.core.Tracker().Update(corev1.SchemeGroupVersion.WithResource("pods"), pod, "iris"); err != nil {
		w.t.Fatal(err)
	}
}

func usingClaim(name string) corev1.PodSpec {
	return corev1.PodSpec{
		Containers: []corev1.Container{{Name: "iris", Image: "iris@sha256:1"}},
		Volumes: []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name},
		}}},
	}
}

func longhornObject(kind, name string, labels map[string]string, content map[string]any) *unstructured.Unstructured {
	object := &unstructured.Unstructured{Object: content}
	object.SetAPIVersion("longhorn.io/v1beta2")
	object.SetKind(kind)
	object.SetNamespace("longhorn-system")
	object.SetName(name)
	object.SetLabels(labels)
	return object
}

func volume(name, claim string, more map[string]any) *unstructured.Unstructured {
	status := map[string]any{
		"state": "attached", "robustness": "healthy", "kubernetesStatus": map[string]any{"namespace": "iris", "pvcName": claim},
	}
	for key, value := range more {
		status[key] = value
	}
	return longhornObject("Volume", name, nil, map[string]any{"status": status})
}

func backupObject(name string, age time.Duration, state string) *unstructured.Unstructured {
	at := time.Now().Add(-age).UTC().Format(time.RFC3339)
	return longhornObject("Backup", name, map[string]string{"backup-volume": "pvc-1"}, map[string]any{"status": map[string]any{
		"state": state, "snapshotCreatedAt": at, "backupCreatedAt": at, "volumeSize": "21474836480", "volumeName": "pvc-1",
		"url": "s3://b@r/?backup=" + name + "&volume=pvc-1",
	}})
}

// react does what the cluster does with a request, before the fakes answer it.
func (w *world) react(action clienttesting.Action) (bool, runtime.Object, error) {
	if w.away {
		return true, nil, errAway
	}
	if creation, ok := action.(clienttesting.CreateAction); ok && action.GetVerb() == "create" {
		w.create(creation.GetObject())
	}
	if deletion, ok := action.(clienttesting.DeleteActionImpl); ok {
		if given := deletion.DeleteOptions.Preconditions; given == nil || given.UID == nil || *given.UID == "" {
			w.t.Errorf("%s of %s %s without a UID", action.GetVerb(), action.GetResource().Resource, deletion.Name)
		}
		if deletion.Name == copyName && action.GetResource().Resource == "persistentvolumeclaims" && !w.keepsVolume {
			_ = w.dynamic.Tracker().Delete(longhornResource("volumes"), "longhorn-system", "pvc-copy")
		}
	}
	w.progress()
	return false, nil, nil
}

func longhornResource(name string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "longhorn.io", Version: "v1beta2", Resource: name}
}

// create gives what is made a UID, and does what follows from it.
func (w *world) create(object runtime.Object) {
	about, ok := object.(metav1.Object)
	if !ok {
		return
	}
	about.SetUID(types.UID("uid-" + about.GetName() + "-" + fmt.Sprint(time.Now().UnixNano())))
	switch made := object.(type) {
	case *corev1.PersistentVolumeClaim:
		if _, err := w.core.Tracker().Get(corev1.SchemeGroupVersion.WithResource("persistentvolumeclaims"), "iris", made.Name); err == nil {
			return // It will be refused.
		}
		made.Status.Phase = corev1.ClaimBound
		w.restored = time.Now()
		w.add(volume("pvc-copy", made.Name, map[string]any{"restoreInitiated": true, "restoreRequired": true}))
	case *corev1.Pod:
		made.Status.Phase = corev1.PodRunning
		made.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "iris", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
		w.started = time.Now()
	}
}

// progress is Longhorn's and the kubelet's work.
func (w *world) progress() {
	since := func(at time.Time, long time.Duration) bool {
		return long >= 0 && !at.IsZero() && time.Since(at) >= long
	}
	if since(w.restored, w.restoreTakes) {
		status := map[string]any{"restoreInitiated": true, "restoreRequired": false}
		if w.restoreFails != "" {
			status = map[string]any{"restoreInitiated": true, "restoreRequired": true, "conditions": []any{
				map[string]any{"type": "Restore", "status": "False", "reason": "RestoreFailure", "message": w.restoreFails},
			}}
		}
		w.restored = time.Time{}
		_ = w.dynamic.Tracker().Update(longhornResource("volumes"), volume("pvc-copy", copyName, status), "longhorn-system") // It may be gone.
	}
	if !since(w.started, w.startTakes) {
		return
	}
	w.started = time.Time{}
	pods := schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	object, err := w.core.Tracker().Get(pods, "iris", copyName)
	pod, ok := object.(*corev1.Pod)
	if err != nil || !ok {
		return
	}
	pod = pod.DeepCopy()
	if w.iris != "" {
		pod.Status.Phase = corev1.PodFailed
		pod.Status.ContainerStatuses[0].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Message: w.iris}}
	} else {
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	}
	if err := w.core.Tracker().Update(pods, pod, "iris"); err != nil {
		w.t.Error(err)
	}
}

func (w *world) add(objects ...runtime.Object) {
	w.t.Helper()
	for _, object := range objects {
		var err error
		if one, ours := object.(*unstructured.Unstructured); ours {
			err = w.dynamic.Tracker().Add(one)
		} else {
			err = w.core.Tracker().Add(object)
		}
		if err != nil {
			w.t.Error(err)
		}
	}
}

var set = regexp.MustCompile(`set \^ZHAIRIS\("verify",(\d+)\)="([^"]+)"`)

// Exec plays IRIS in the database's pod and in the copy's.
func (w *world) Exec(ctx context.Context, pod string, command []string) (string, int, error) {
	if err := ctx.Err(); err != nil {
		return "", 0, err
	}
	if w.away {
		return "", 0, errAway
	}
	if len(command) > 4 {
		if pod != copyName {
			w.t.Errorf("%s in pod %s", command[4], pod)
		}
		return w.check(command[4])
	}
	rows := w.rows
	if pod == copyName {
		rows = w.copied
	}
	if found := set.FindStringSubmatch(command[2]); found != nil {
		if pod != "iris-a" {
			w.t.Errorf("a row was written in pod %s", pod)
		}
		rows[found[1]] = found[2]
		return "", 0, nil
	}
	var said strings.Builder
	for slot := range 8 {
		fmt.Fprintf(&said, "\nha-iris marker %d %s\n", slot, rows[fmt.Sprint(slot)])
	}
	return said.String(), 0, nil
}

func (w *world) check(what string) (string, int, error) {
	if what == "start" {
		w.checked = time.Now()
		if w.onCheck != nil {
			w.onCheck()
		}
		return "", 5, nil
	}
	if w.onContinue != nil {
		w.onContinue()
	}
	if time.Since(w.checked) < w.checkTakes {
		return "", 6, nil
	}
	return w.integrity, 5, nil
}

func (w *world) run(ctx context.Context) error {
	w.t.Helper()
	config := verify.Default()
	if err := config.Validate(); err != nil {
		w.t.Fatal(err)
	}
	cluster := &kube.Cluster{Core: w.core.CoreV1(), Storage: w.core.StorageV1(), Dynamic: w.dynamic}
	return verify.New(config, kube.NewVerifies(cluster, verified), w, slog.New(slog.NewTextHandler(io.Discard, nil)), ownRun, "token").Do(ctx)
}

// left are the copy's objects that are there, and Longhorn's volume.
func (w *world) left() []string {
	w.t.Helper()
	ctx, found := context.WithoutCancel(w.t.Context()), []string{}
	if _, err := w.core.CoreV1().Pods("iris").Get(ctx, copyName, metav1.GetOptions{}); err == nil {
		found = append(found, "pod")
	}
	if _, err := w.core.CoreV1().PersistentVolumeClaims("iris").Get(ctx, copyName, metav1.GetOptions{}); err == nil {
		found = append(found, "claim")
	}
	if _, err := w.core.StorageV1().StorageClasses().Get(ctx, className, metav1.GetOptions{}); err == nil {
		found = append(found, "class")
	}
	if _, err := w.dynamic.Tracker().Get(longhornResource("volumes"), "longhorn-system", "pvc-copy"); err == nil {
		found = append(found, "volume")
	}
	return found
}

// untouched wants the database's own objects as they were.
func (w *world) untouched() {
	w.t.Helper()
	for _, action := range slices.Concat(w.core.Actions(), w.dynamic.Actions()) {
		named, ok := action.(interface{ GetName() string })
		if ok && slices.Contains([]string{"delete", "update", "patch"}, action.GetVerb()) && slices.Contains([]string{"data", "iris-a", "pvc-1"}, named.GetName()) {
			w.t.Errorf("%s of %s", action.GetVerb(), named.GetName())
		}
	}
}

// noted returns what is noted of a backup, and wants an event of the reason with the text.
func (w *world) noted(backup, reason, text string) string {
	w.t.Helper()
	ctx := context.WithoutCancel(w.t.Context())
	events, err := w.core.CoreV1().Events("iris").List(ctx, metav1.ListOptions{})
	if err != nil || !slices.ContainsFunc(events.Items, func(one corev1.Event) bool {
		return one.Reason == reason && strings.Contains(one.Message, text) && (one.Type == "Normal") == (reason == verify.ReasonVerified)
	}) {
		w.t.Errorf("no event %s with %q: %v, %v", reason, text, events, err)
	}
	results, err := w.core.CoreV1().ConfigMaps("iris").Get(ctx, "iris-verify", metav1.GetOptions{})
	if err != nil {
		return ""
	}
	return results.Data[backup]
}

// inBubble runs a test on a clock of its own.
func inBubble(t *testing.T, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(30 * 24 * time.Hour) // So that there is something older.
		test(newWorld(t))
	})
}

func leftClass(labels map[string]string, run string) *storagev1.StorageClass {
	return &storagev1.StorageClass{ObjectMeta: about(className, "", labels, run)}
}

func about(name, namespace string, labels map[string]string, run string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name: name, Namespace: namespace, UID: types.UID("uid-left-" + name), Labels: labels, Annotations: map[string]string{"ha-iris/verify-run": run},
	}
}

// addsOnce puts somebody else's claim there when a class is made.
func (w *world) addsOnce(added *bool) clienttesting.ReactionFunc {
	return func(clienttesting.Action) (bool, runtime.Object, error) {
		if !*added {
			*added = true
			w.add(&corev1.PersistentVolumeClaim{ObjectMeta: about(copyName, "iris", nil, "")})
		}
		return false, nil, nil
	}
}
