package standin

import (
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	clocktesting "k8s.io/utils/clock/testing"
)

const (
	longhornNamespace = "longhorn-system"
	handle            = "pvc-1"
)

// harness is a stand-in on a cluster that exists in memory. Nothing runs by itself: a test calls the sync functions, and
// refresh shows the stand-in what they changed.
type harness struct {
	*standIn
	t        *testing.T
	client   *fake.Clientset
	clock    *clocktesting.FakeClock
	recorder *record.FakeRecorder
}

func newHarness(t *testing.T, objects ...runtime.Object) *harness {
	t.Helper()
	var typed, longhorn []runtime.Object
	for _, object := range objects {
		if _, ok := object.(*unstructured.Unstructured); ok {
			longhorn = append(longhorn, object)
		} else {
			typed = append(typed, object)
		}
	}
	kinds := map[schema.GroupVersionResource]string{}
	for _, plural := range append(backupKinds(), settings, longhornNodes, longhornVolumes, replicaKind, engineKind, instanceKind) {
		kinds[schema.GroupVersionResource{Group: "longhorn.io", Version: "v1beta2", Resource: plural}] = kindOf(plural) + "List"
	}
	h := &harness{
		t:        t,
		client:   fake.NewClientset(typed...),
		clock:    clocktesting.NewFakeClock(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)),
		recorder: record.NewFakeRecorder(100),
	}
	resources := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), kinds, longhorn...)
	resources.PrependReactor("delete", "*", keepFinalized(resources))
	resources.PrependReactor("*", "*", throughJSON)
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	var err error
	h.standIn, err = newStandIn(h.client, resources, h.recorder, h.clock, log, "host_")
	if err != nil {
		t.Fatalf("new stand-in: %v", err)
	}
	h.buckets = t.TempDir()
	h.refresh()
	return h
}

// keepFinalized marks an object that has finalizers as deleted, as an API server does; the fake one forgets it at once.
func keepFinalized(resources *dynamicfake.FakeDynamicClient) clienttesting.ReactionFunc {
	return func(action clienttesting.Action) (bool, runtime.Object, error) {
		deletion, ok := action.(clienttesting.DeleteAction)
		if !ok {
			return false, nil, nil
		}
		found, err := resources.Tracker().Get(action.GetResource(), action.GetNamespace(), deletion.GetName())
		if err != nil {
			return true, nil, err
		}
		object, ok := found.(*unstructured.Unstructured)
		if !ok || len(object.GetFinalizers()) == 0 {
			return false, nil, nil
		}
		object = object.DeepCopy()
		now := metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
		object.SetDeletionTimestamp(&now)
		return true, nil, resources.Tracker().Update(action.GetResource(), object, action.GetNamespace())
	}
}

// throughJSON makes what is written what an API server would return: nothing of Go's types is left.
func throughJSON(action clienttesting.Action) (bool, runtime.Object, error) {
	written, ok := action.(interface{ GetObject() runtime.Object })
	if !ok {
		return false, nil, nil
	}
	object, ok := written.GetObject().(*unstructured.Unstructured)
	if !ok {
		return false, nil, nil
	}
	content, err := object.MarshalJSON()
	if err == nil {
		err = object.UnmarshalJSON(content)
	}
	return err != nil, nil, err
}

// refresh fills the caches with what the cluster holds now.
func (h *harness) refresh() {
	h.t.Helper()
	ctx, all := h.t.Context(), metav1.ListOptions{}
	core, apps, storage := h.client.CoreV1(), h.client.AppsV1(), h.client.StorageV1()
	nodes, err1 := core.Nodes().List(ctx, all)
	pods, err2 := core.Pods("").List(ctx, all)
	claims, err3 := core.PersistentVolumeClaims("").List(ctx, all)
	volumes, err4 := core.PersistentVolumes().List(ctx, all)
	configMaps, err5 := core.ConfigMaps("").List(ctx, all)
	secrets, err6 := core.Secrets("").List(ctx, all)
	deployments, err7 := apps.Deployments("").List(ctx, all)
	sets, err8 := apps.DaemonSets("").List(ctx, all)
	attachments, err9 := storage.VolumeAttachments().List(ctx, all)
	csiNodes, err10 := storage.CSINodes().List(ctx, all)
	classes, err11 := storage.StorageClasses().List(ctx, all)
	drivers, err12 := storage.CSIDrivers().List(ctx, all)
	leases, err13 := h.client.CoordinationV1().Leases("").List(ctx, all)
	if err := errors.Join(err1, err2, err3, err4, err5, err6, err7, err8, err9, err10, err11, err12, err13); err != nil {
		h.t.Fatalf("read cluster: %v", err)
	}
	informers := h.informers
	fill(h.t, informers.Core().V1().Nodes().Informer(), nodes.Items)
	fill(h.t, informers.Core().V1().Pods().Informer(), pods.Items)
	fill(h.t, informers.Core().V1().PersistentVolumeClaims().Informer(), claims.Items)
	fill(h.t, informers.Core().V1().PersistentVolumes().Informer(), volumes.Items)
	fill(h.t, informers.Core().V1().ConfigMaps().Informer(), configMaps.Items)
	fill(h.t, informers.Core().V1().Secrets().Informer(), secrets.Items)
	fill(h.t, informers.Apps().V1().Deployments().Informer(), deployments.Items)
	fill(h.t, informers.Apps().V1().DaemonSets().Informer(), sets.Items)
	fill(h.t, informers.Storage().V1().VolumeAttachments().Informer(), attachments.Items)
	fill(h.t, informers.Storage().V1().CSINodes().Informer(), csiNodes.Items)
	fill(h.t, informers.Storage().V1().StorageClasses().Informer(), classes.Items)
	fill(h.t, informers.Storage().V1().CSIDrivers().Informer(), drivers.Items)
	fill(h.t, informers.Coordination().V1().Leases().Informer(), leases.Items)
}

func fill[T any](t *testing.T, informer cache.SharedIndexInformer, items []T) {
	t.Helper()
	objects := make([]any, 0, len(items))
	for i := range items {
		objects = append(objects, &items[i])
	}
	if err := informer.GetIndexer().Replace(objects, ""); err != nil {
		t.Fatalf("fill cache: %v", err)
	}
}

// call runs a sync function and refreshes. It returns when the function wants to be called again.
func (h *harness) call(sync syncFunc, key string) time.Duration {
	h.t.Helper()
	again, err := sync(h.t.Context(), key)
	if err != nil {
		h.t.Fatalf("sync %s: %v", key, err)
	}
	h.refresh()
	return again
}

// events returns what was reported since the last call.
func (h *harness) events() string {
	var lines []string
	for {
		select {
		case line := <-h.recorder.Events:
			lines = append(lines, line)
		default:
			return strings.Join(lines, "\n")
		}
	}
}

// longhornObject reads one of Longhorn's resources; nil if it is not there.
func (h *harness) longhornObject(plural, name string) *unstructured.Unstructured {
	h.t.Helper()
	object, err := h.longhorn.get(h.t.Context(), longhornNamespace, plural, name)
	if err != nil {
		h.t.Fatalf("read: %v", err)
	}
	return object
}

func (h *harness) volumeField(path ...string) string {
	h.t.Helper()
	object := h.longhornObject(longhornVolumes, handle)
	if object == nil {
		return "(no volume)"
	}
	value, _, err := unstructured.NestedString(object.Object, path...)
	if err != nil {
		h.t.Fatalf("read volume: %v", err)
	}
	return value
}

func (h *harness) attachment(name string) *storagev1.VolumeAttachment {
	h.t.Helper()
	attachment, err := h.client.StorageV1().VolumeAttachments().Get(h.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		h.t.Fatalf("read attachment: %v", err)
	}
	return attachment
}

func (h *harness) pod(name string) *corev1.Pod {
	h.t.Helper()
	pod, err := h.client.CoreV1().Pods("iris").Get(h.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		h.t.Fatalf("read pod: %v", err)
	}
	return pod
}

// installed is a Longhorn whose workloads all run on the three nodes a, b and c, with the given settings.
func installed(values map[string]string) []runtime.Object {
	objects := []runtime.Object{
		&appsv1.DaemonSet{
			ObjectMeta: metav1.ObjectMeta{Namespace: longhornNamespace, Name: managerName, UID: "manager", Labels: map[string]string{"app": managerName}},
			Status:     appsv1.DaemonSetStatus{NumberReady: 3},
		},
		deployment(driverDeployerName, 1),
	}
	for _, name := range sidecars() {
		objects = append(objects, deployment(name, 3))
	}
	for _, name := range []string{"a", "b", "c"} {
		objects = append(objects, aliveNode(name)...)
		objects = append(objects,
			&storagev1.CSINode{
				ObjectMeta: metav1.ObjectMeta{Name: name},
				Spec:       storagev1.CSINodeSpec{Drivers: []storagev1.CSINodeDriver{csiNodeDriver(driverName, name)}},
			},
			systemPod(managerName, name), systemPod(pluginName, name), longhornNode(name), instancePodOn(name),
		)
	}
	for name, value := range values {
		objects = append(objects, newSetting(longhornNamespace, name, value, "1"))
	}
	return objects
}

func deployment(name string, ready int32) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: longhornNamespace, Name: name},
		Status:     appsv1.DeploymentStatus{AvailableReplicas: ready},
	}
}

func longhornNode(name string) *unstructured.Unstructured {
	object := newObject(longhornNamespace, longhornNodes, name)
	object.SetFinalizers([]string{longhornFinalizer})
	object.Object["spec"] = map[string]any{"allowScheduling": true, "disks": map[string]any{"default-disk": map[string]any{"path": "/data", "allowScheduling": true}}}
	return object
}

// aliveNode is a simulated node that kwok keeps alive.
func aliveNode(name string) []runtime.Object {
	now := time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)
	return []runtime.Object{
		&corev1.Node{
			ObjectMeta: metav1.ObjectMeta{
				Name: name, UID: types.UID("uid-of-" + name), Annotations: map[string]string{fakeNodeAnnotation: fakeNodeValue},
				Labels: map[string]string{corev1.LabelTopologyZone: "zone-" + name},
			},
			Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{
				{Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(now)},
			}},
		},
		&coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Namespace: corev1.NamespaceNodeLease, Name: name},
			Spec: coordinationv1.LeaseSpec{
				HolderIdentity:       ptr("host_uuid"),
				LeaseDurationSeconds: ptr(int32(40)),
				RenewTime:            ptr(metav1.NewMicroTime(now)),
			},
		},
	}
}

// silence is what the node lifecycle controller makes of a node that nobody hears of any more.
func (h *harness) silence(name string) {
	h.t.Helper()
	ctx := h.t.Context()
	node, err := h.client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		h.t.Fatalf("read node: %v", err)
	}
	node.Status.Conditions[0].Status = corev1.ConditionUnknown
	_, err1 := h.client.CoreV1().Nodes().Update(ctx, node, metav1.UpdateOptions{})
	err2 := h.client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Delete(ctx, name, metav1.DeleteOptions{})
	if err := errors.Join(err1, err2); err != nil {
		h.t.Fatalf("silence node: %v", err)
	}
	h.refresh()
}

func systemPod(app, node string) *corev1.Pod {
	pod := runningPod(app+"-"+node, node)
	pod.Namespace = longhornNamespace
	pod.UID = types.UID("uid-of-" + pod.Name)
	pod.Labels = map[string]string{"app": app}
	return pod
}

func instancePodOn(node string) *corev1.Pod {
	pod := systemPod("", node)
	pod.Name, pod.Labels = instanceName(node), instanceLabels(node)
	return pod
}

func runningPod(name, node string) *corev1.Pod {
	pod := pendingPod(name, node)
	pod.Status.Phase = corev1.PodRunning
	pod.Status.Conditions = []corev1.PodCondition{
		{Type: corev1.PodReadyToStartContainers, Status: corev1.ConditionTrue},
		{Type: corev1.PodReady, Status: corev1.ConditionTrue},
	}
	return pod
}

func pendingPod(name, node string, volumes ...corev1.VolumeSource) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "iris", Name: name, UID: "uid-of-pod"},
		Spec:       corev1.PodSpec{NodeName: node},
		Status:     corev1.PodStatus{Phase: corev1.PodPending},
	}
	for i, source := range volumes {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: string(rune('a' + i)), VolumeSource: source})
	}
	return pod
}

func claimSource(name string) corev1.VolumeSource {
	return corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name}}
}

// withClaim gives the pod the claim "data".
func withClaim(pod *corev1.Pod) *corev1.Pod {
	pod.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: claimSource("data")}}
	return pod
}

// boundClaim is the claim "data" of 20Gi with its volume, and Longhorn's, which is attached to the node or, with an empty
// one, detached.
func boundClaim(attachedTo string) []runtime.Object {
	size := corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("20Gi")}
	volume := newObject(longhornNamespace, longhornVolumes, handle)
	volume.SetFinalizers([]string{longhornFinalizer})
	volume.Object["spec"] = map[string]any{"size": "21474836480", "numberOfReplicas": int64(3)}
	volume.Object["status"] = map[string]any{
		"currentNodeID": attachedTo,
		"conditions":    []any{map[string]any{"type": "Scheduled", "status": "True"}},
	}
	return []runtime.Object{
		&corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Namespace: "iris", Name: "data"},
			Spec: corev1.PersistentVolumeClaimSpec{
				VolumeName: handle, Resources: corev1.VolumeResourceRequirements{Requests: size.DeepCopy()},
			},
			Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound, Capacity: size.DeepCopy()},
		},
		&corev1.PersistentVolume{
			ObjectMeta: metav1.ObjectMeta{Name: handle},
			Spec: corev1.PersistentVolumeSpec{
				Capacity: size.DeepCopy(),
				ClaimRef: &corev1.ObjectReference{Namespace: "iris", Name: "data"},
				PersistentVolumeSource: corev1.PersistentVolumeSource{
					CSI: &corev1.CSIPersistentVolumeSource{Driver: driverName, VolumeHandle: handle},
				},
			},
		},
		volume,
	}
}

func attachmentTo(node string, attached bool) *storagev1.VolumeAttachment {
	return &storagev1.VolumeAttachment{
		ObjectMeta: metav1.ObjectMeta{Name: "to-" + node},
		Spec: storagev1.VolumeAttachmentSpec{
			Attacher: driverName, NodeName: node,
			Source: storagev1.VolumeAttachmentSource{PersistentVolumeName: ptr(handle)},
		},
		Status: storagev1.VolumeAttachmentStatus{Attached: attached},
	}
}

// world puts groups of objects and single ones together.
func world(parts ...any) []runtime.Object {
	var objects []runtime.Object
	for _, part := range parts {
		switch typed := part.(type) {
		case []runtime.Object:
			objects = append(objects, typed...)
		case runtime.Object:
			objects = append(objects, typed)
		}
	}
	return objects
}
