package kube

import (
	"slices"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
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
)

// now is the API server's time in all tests.
var now = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

var target = Target{Namespace: "iris", Claim: "data", Node: "n2", Pod: "guard-b", LonghornNamespace: "longhorn-system"}

// rig is a cluster of three nodes with the database on n1, played by client-go's fakes.
type rig struct {
	t       *testing.T
	core    *fake.Clientset
	dynamic *dynamicfake.FakeDynamicClient
	cluster *Cluster
	reader  *Reader
	actor   *Actor
	clock   time.Time
}

func newRig(t *testing.T) *rig {
	t.Helper()
	objects := []runtime.Object{
		claimObject("uid-claim", "pv-1"), volumeObject("pv-1", "handle-1"), podObject("iris-a", "n1"), attachmentObject("va-1", "pv-1", "n1"),
		attachmentObject("va-other", "pv-2", "n1"),
	}
	var ours []runtime.Object
	for _, name := range []string{"n1", "n2", "n3"} {
		objects = append(objects, nodeObject(name), leaseObject(name, now.Add(-5*time.Second)))
		ours = append(ours, longhornObject("Node", name, nil, map[string]any{"status": map[string]any{
			"conditions": []any{map[string]any{"type": "Schedulable", "status": "True"}, map[string]any{"type": "Ready", "status": "True"}},
		}}), replicaObject("r-"+name, name))
	}
	r := &rig{t: t, core: fake.NewClientset(objects...), clock: now}
	r.dynamic = dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{
		longhorn("nodes"): "NodeList", longhorn("replicas"): "ReplicaList", longhorn("orphans"): "OrphanList",
	}, ours...)
	r.cluster = &Cluster{
		Core: r.core.CoreV1(), Coordination: r.core.CoordinationV1(), Storage: r.core.StorageV1(), Dynamic: r.dynamic, Dates: &Dates{},
	}
	dated := func(clienttesting.Action) (bool, runtime.Object, error) {
		r.cluster.Dates.Observe(now)
		return false, nil, nil
	}
	r.core.PrependReactor("*", "*", dated)
	r.dynamic.PrependReactor("*", "*", dated)
	r.reader, r.actor = NewReader(r.cluster, target), NewActor(r.cluster, target)
	r.reader.memory.now = func() time.Time { return r.clock }
	return r
}

// requests are what was asked since the last call, as verb and resource, in their order.
func (r *rig) requests() []string {
	var all []string
	for _, action := range slices.Concat(r.core.Actions(), r.dynamic.Actions()) {
		all = append(all, action.GetVerb()+" "+action.GetResource().Resource)
	}
	r.core.ClearActions()
	r.dynamic.ClearActions()
	return all
}

func (r *rig) changeNode(name string, change func(*corev1.Node)) {
	r.t.Helper()
	node, err := r.core.CoreV1().Nodes().Get(r.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		r.t.Fatal(err)
	}
	change(node)
	if _, err := r.core.CoreV1().Nodes().Update(r.t.Context(), node, metav1.UpdateOptions{}); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) add(objects ...runtime.Object) {
	r.t.Helper()
	for _, object := range objects {
		var err error
		if one, dynamic := object.(*unstructured.Unstructured); dynamic {
			err = r.dynamic.Tracker().Add(one)
		} else {
			err = r.core.Tracker().Add(object)
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
}

// lose makes a node one of which nothing has been heard for 41 s.
func (r *rig) lose(name string) {
	r.t.Helper()
	r.changeNode(name, func(node *corev1.Node) {
		node.Status.Conditions[0].Status = corev1.ConditionUnknown
		node.Status.Conditions[0].LastTransitionTime = metav1.NewTime(now.Add(-time.Second))
	})
}

func nodeObject(name string) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, ResourceVersion: "7"},
		Status: corev1.NodeStatus{
			Conditions: []corev1.NodeCondition{{
				Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(now.Add(-time.Hour)),
			}},
			NodeInfo:     corev1.NodeSystemInfo{BootID: "boot-" + name},
			VolumesInUse: []corev1.UniqueVolumeName{"kubernetes.io/csi/driver.longhorn.io^handle-1"},
		},
	}
}

func leaseObject(name string, renewed time.Time) *coordinationv1.Lease {
	at := metav1.NewMicroTime(renewed)
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: leaseNamespace, Name: name}, Spec: coordinationv1.LeaseSpec{RenewTime: &at},
	}
}

func podObject(name, node string) *corev1.Pod {
	claimed := corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: target.Claim}}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: target.Namespace, Name: name, UID: types.UID("uid-" + name)},
		Spec: corev1.PodSpec{
			NodeName: node, Volumes: []corev1.Volume{{Name: "scratch"}, {Name: "data", VolumeSource: claimed}},
			InitContainers: []corev1.Container{checkContainer(corev1.ContainerRestartPolicyAlways)},
		},
		Status: corev1.PodStatus{
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
			InitContainerStatuses: []corev1.ContainerStatus{
				{Name: "check", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}},
			},
		},
	}
}

func checkContainer(policy corev1.ContainerRestartPolicy) corev1.Container {
	return corev1.Container{Name: "check", Args: []string{fenceCommand, "--pod", "p"}, RestartPolicy: &policy}
}

func claimObject(uid types.UID, volume string) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: target.Namespace, Name: target.Claim, UID: uid},
		Spec:       corev1.PersistentVolumeClaimSpec{VolumeName: volume},
	}
}

func volumeObject(name, handle string) *corev1.PersistentVolume {
	source := &corev1.CSIPersistentVolumeSource{Driver: longhornDriver, VolumeHandle: handle}
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.PersistentVolumeSpec{PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: source}},
	}
}

func attachmentObject(name, volume, node string) *storagev1.VolumeAttachment {
	return &storagev1.VolumeAttachment{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name)},
		Spec:       storagev1.VolumeAttachmentSpec{NodeName: node, Source: storagev1.VolumeAttachmentSource{PersistentVolumeName: &volume}},
		Status:     storagev1.VolumeAttachmentStatus{Attached: true},
	}
}

func longhornObject(kind, name string, labels map[string]string, content map[string]any) *unstructured.Unstructured {
	object := &unstructured.Unstructured{Object: content}
	object.SetAPIVersion("longhorn.io/v1beta2")
	object.SetKind(kind)
	object.SetNamespace(target.LonghornNamespace)
	object.SetName(name)
	object.SetUID(types.UID("uid-" + name))
	object.SetResourceVersion("9")
	object.SetLabels(labels)
	return object
}

func replicaObject(name, node string) *unstructured.Unstructured {
	return longhornObject("Replica", name, map[string]string{"longhornvolume": "handle-1"}, map[string]any{"spec": map[string]any{
		"volumeName": "handle-1", "nodeID": node, "healthyAt": "2026-11-27T10:00:00Z", "failedAt": "", "active": true,
	}})
}

func orphanObject(name, node, instance string) *unstructured.Unstructured {
	labels := map[string]string{"longhorn.io/orphan-type": "engine-instance"}
	return longhornObject("Orphan", name, labels, map[string]any{"spec": map[string]any{
		"nodeID": node, "orphanType": "engine-instance", "parameters": map[string]any{"InstanceName": instance},
	}})
}
