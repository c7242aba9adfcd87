package kube

import (
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	"ha-iris/agent/internal/guard"
)

func (r *rig) look() guard.World {
	r.t.Helper()
	world, at, err := r.reader.World(r.t.Context())
	if err != nil || !at.Equal(now) {
		r.t.Fatalf("got the time %v and %v, want %v", at, err, now)
	}
	return world
}

// While nothing is the matter only pods and nodes are read, in this order, and leases now and then.
func TestReader_ReadsLittleWhileNothingIsTheMatter(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, want := range [][]string{
		{"list pods", "list nodes", "list leases"},
		{"list pods", "list nodes"},
	} {
		world := r.look()
		if got := r.requests(); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if world.Live || len(world.Nodes) != 3 || len(world.Pods) != 1 || guard.Default().Decide(world, now).Verdict != guard.Idle {
			t.Errorf("got %+v", world)
		}
	}
	r.clock = r.clock.Add(leaseInterval)
	if r.look(); !slices.Contains(r.requests(), "list leases") {
		t.Error("the leases are never read again")
	}
}

func TestReader_ReadsAllOfALostNode(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.lose("n1")
	r.add(orphanObject("o-1", "n1", "handle-1-e-0"), orphanObject("o-2", "n1", "other-e-0"))
	r.add(longhornObject("Replica", "r-other", map[string]string{"longhornvolume": "other"}, map[string]any{}))
	r.requests()
	got := r.look()
	want := guard.World{
		Live: true, GuardNode: "n2", Volume: "kubernetes.io/csi/driver.longhorn.io^handle-1",
		Gone: map[string]guard.Gone{}, OtherVolumes: map[string][]string{"n1": {"pv-2"}},
		Leases:        map[string]guard.Lease{},
		Pods:          []guard.Pod{{Name: "iris-a", UID: "uid-iris-a", Node: "n1"}},
		Attachments:   []guard.Attachment{{Name: "va-1", UID: "uid-va-1", Node: "n1", Attached: true}},
		LonghornReady: map[string]bool{"n1": true, "n2": true, "n3": true},
		Orphans:       []guard.Orphan{{Name: "o-1", UID: "uid-o-1", Node: "n1"}},
	}
	for _, name := range []string{"n1", "n2", "n3"} {
		node := guard.Node{
			Name: name, ResourceVersion: "7", Ready: guard.ReadyTrue, ReadySince: now.Add(-time.Hour), BootID: "boot-" + name,
			VolumesInUse: []string{want.Volume},
		}
		if name == "n1" {
			node.Ready, node.ReadySince = guard.ReadyUnknown, now.Add(-time.Second)
		}
		want.Nodes = append(want.Nodes, node)
		want.Leases[name] = guard.Lease{RenewTime: now.Add(-5 * time.Second)}
		want.Replicas = append(want.Replicas, guard.Replica{Name: "r-" + name, ResourceVersion: "9", Node: name, Healthy: true})
	}
	for i := range got.Nodes {
		got.Nodes[i].ReadySince = got.Nodes[i].ReadySince.UTC()
	}
	for name, lease := range got.Leases {
		lease.RenewTime = lease.RenewTime.UTC()
		got.Leases[name] = lease
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// The next look at something that is the matter does not begin with a glance, and the pods are read before the nodes: a pod on a
// node that is younger than the list of nodes would count as one on a node that is gone.
func TestReader_PodsBeforeNodes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.lose("n1")
	r.look()
	r.requests()
	r.look()
	got := r.requests()
	count := 0
	for _, one := range got {
		if one == "list nodes" {
			count++
		}
	}
	if count != 2 || slices.Index(got, "list nodes") < slices.Index(got, "list pods") ||
		slices.Index(got, "list nodes") < slices.Index(got, "list volumeattachments") {
		t.Errorf("got %q", got) // one list is Kubernetes' and one Longhorn's
	}
}

func TestReader_NoticesEachThingThatMatters(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*rig)
		live   bool
	}{
		"the pod's node is lost":            {func(r *rig) { r.lose("n1") }, true},
		"another node is lost":              {func(r *rig) { r.lose("n3") }, false},
		"a record, of this namespace":       {func(r *rig) { r.annotate("n3", target.Annotation()) }, true},
		"a record, of another namespace":    {func(r *rig) { r.annotate("n3", "guard.ha-iris/another") }, false},
		"the pod's node is gone":            {func(r *rig) { r.drop("nodes", "", "n1") }, true},
		"a pod that waits for its volume":   {func(r *rig) { r.add(waiting("iris-b")) }, true},
		"a pod that has ended":              {func(r *rig) { r.add(ended("iris-b")) }, false},
		"a pod that does not use the claim": {func(r *rig) { r.add(unrelated("web")) }, false},
		"no pod":                            {func(r *rig) { r.drop("pods", "iris", "iris-a") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			test.change(r)
			if got := r.look().Live; got != test.live {
				t.Errorf("got %v, want %v", got, test.live)
			}
		})
	}
}

func (r *rig) annotate(node, key string) {
	r.t.Helper()
	r.changeNode(node, func(object *corev1.Node) { object.Annotations = map[string]string{key: `{"bootID":"b"}`} })
}

func (r *rig) drop(resource, namespace, name string) {
	r.t.Helper()
	if err := r.core.Tracker().Delete(corev1.SchemeGroupVersion.WithResource(resource), namespace, name); err != nil {
		r.t.Fatal(err)
	}
}

func waiting(name string) *corev1.Pod {
	pod := podObject(name, "n2")
	pod.Status.Conditions[0].Status = corev1.ConditionFalse
	return pod
}

func ended(name string) *corev1.Pod {
	pod := waiting(name)
	pod.Status.Phase = corev1.PodFailed
	return pod
}

func unrelated(name string) *corev1.Pod {
	pod := waiting(name)
	pod.Spec.Volumes = nil
	return pod
}

// After the pod of a node that is gone has been freed, its attachment still keeps the next pod waiting.
func TestReader_AttachmentOfANodeThatIsGone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.drop("nodes", "", "n1")
	r.drop("pods", "iris", "iris-a")
	r.add(waiting("iris-b"))
	got := guard.Default().Decide(r.look(), now)
	if got.Step.Kind != guard.DeleteAttachment || got.Step.ObjectUID != "uid-va-1" {
		t.Errorf("got %+v", got)
	}
}

func TestReader_ClaimThatWasReplaced(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.lose("n1")
	r.look()
	r.requests()
	if r.look(); slices.Contains(r.requests(), "get persistentvolumes") {
		t.Error("the volume is read again although the claim is the same")
	}
	r.drop("persistentvolumeclaims", "iris", "data")
	if world := r.look(); world.Volume != "" || len(world.Attachments)+len(world.Replicas) > 0 {
		t.Errorf("without a claim: got %+v", world)
	}
	r.add(claimObject("uid-new", "pv-2"), volumeObject("pv-2", "handle-2"))
	world := r.look()
	if world.Volume != "kubernetes.io/csi/driver.longhorn.io^handle-2" || len(world.Replicas) != 0 ||
		len(world.Attachments) != 1 || world.Attachments[0].Name != "va-other" {
		t.Errorf("got %+v", world)
	}
}

// A claim that was made again may have a volume of the same name, with another one behind it.
func TestReader_ClaimThatWasReplacedUnderTheSameNames(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.lose("n1")
	r.look()
	r.drop("persistentvolumeclaims", "iris", "data")
	r.drop("persistentvolumes", "", "pv-1")
	r.add(claimObject("uid-new", "pv-1"), volumeObject("pv-1", "handle-2"))
	if world := r.look(); world.Volume != "kubernetes.io/csi/driver.longhorn.io^handle-2" || len(world.Replicas) > 0 {
		t.Errorf("got %+v", world)
	}
}

func TestReader_OtherStorageAsksNothingOfLonghorn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.reader.target.LonghornNamespace = ""
	r.lose("n1")
	if world := r.look(); !world.Live || len(world.Attachments) != 1 || len(r.dynamic.Actions()) > 0 {
		t.Errorf("got %+v and %v", world, r.dynamic.Actions())
	}
}

func TestReader_Node(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.changeNode("n1", func(node *corev1.Node) {
		node.Status.Conditions = nil
		node.Spec.Taints = []corev1.Taint{{Key: outOfServiceKey, Value: "other"}, {Key: cloudShutdownKey}}
		node.Annotations = map[string]string{target.Annotation(): `{"bootID":"b","time":"2026-11-27T11:00:00Z","podUID":"u","tainted":true}`}
	})
	r.changeNode("n3", func(node *corev1.Node) { node.Annotations = map[string]string{target.Annotation(): "by hand"} })
	r.look()
	r.clock = r.clock.Add(12 * time.Second)
	world := r.look()
	want := guard.Record{BootID: "b", Time: now.Add(-time.Hour), PodUID: "u", Tainted: true}
	// A node that never had a condition Ready is not one that was lost: Unknown would count as isolated since the year 1.
	if n1 := world.Nodes[0]; n1.Ready != guard.ReadyFalse || !n1.OutOfService || !n1.Shutdown || n1.ShutdownFor != 12*time.Second ||
		n1.Record == nil || *n1.Record != want {
		t.Errorf("n1: got %+v", n1)
	}
	if n3 := world.Nodes[2]; n3.Record == nil || *n3.Record != (guard.Record{}) {
		t.Errorf("n3: got %+v", n3)
	}
}

func TestReader_Replicas(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.lose("n1")
	change := func(name string, value any, field string) {
		object := replicaObject(name, "n4")
		if err := unstructured.SetNestedField(object.Object, value, "spec", field); err != nil {
			t.Fatal(err)
		}
		r.add(object)
	}
	change("r-failed", "2026-11-27T11:00:00Z", "failedAt")
	change("r-rebuilding", "", "healthyAt")
	change("r-inactive", false, "active")
	change("r-volume", "another", "volumeName")
	leaving := replicaObject("r-leaving", "n4")
	leaving.SetDeletionTimestamp(&metav1.Time{Time: now})
	leaving.SetFinalizers([]string{"longhorn.io"})
	r.add(leaving)
	var got []guard.Replica
	for _, one := range r.look().Replicas {
		if one.Node == "n4" {
			got = append(got, one)
		}
	}
	want := []guard.Replica{
		{Name: "r-failed", ResourceVersion: "9", Node: "n4", Failed: true},
		{Name: "r-inactive", ResourceVersion: "9", Node: "n4"},
		{Name: "r-rebuilding", ResourceVersion: "9", Node: "n4"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestReader_DeletionOfAPodBegan(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	grace := int64(45)
	pod := podObject("iris-b", "n1")
	pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds = &metav1.Time{Time: now.Add(35 * time.Second)}, &grace
	pod.Finalizers = []string{"kept"}
	r.add(pod)
	if got := r.look().Pods[1].DeletedAt; !got.Equal(now.Add(-10 * time.Second)) {
		t.Errorf("got %v", got)
	}
}

// What cannot be read is no empty list.
func TestReader_EachErrorIsOne(t *testing.T) {
	t.Parallel()
	for _, resource := range []string{
		"pods", "nodes", "leases", "volumeattachments", "persistentvolumeclaims", "persistentvolumes", "replicas", "orphans",
	} {
		t.Run(resource, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.lose("n1")
			fails := func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, errors.New("away") }
			r.core.PrependReactor("*", resource, fails)
			r.dynamic.PrependReactor("*", resource, fails)
			if world, _, err := r.reader.World(t.Context()); err == nil {
				t.Errorf("got %+v", world)
			}
		})
	}
}

func TestMemory_UnchangedIsByTheGuardsOwnClock(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.lose("n1")
	r.look()
	r.clock = r.clock.Add(41 * time.Second)
	leases := r.core.CoordinationV1().Leases(leaseNamespace)
	if _, err := leases.Update(t.Context(), leaseObject("n2", now), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	got := r.look().Leases
	if got["n1"].Unchanged != 41*time.Second || got["n2"].Unchanged != 0 || got["n3"].Unchanged != 41*time.Second {
		t.Errorf("got %+v", got)
	}
}

func TestEngineOf(t *testing.T) {
	t.Parallel()
	for engine, want := range map[string]bool{
		"v-e-0": true, "v-e-12": true, "v-e-1a2b3c4d": true, "v-e-": false, "v": false, "v-e-0-e-0": false, "vv-e-0": false, "": false,
	} {
		if got := engineOf(engine, "v"); got != want {
			t.Errorf("%q: got %v", engine, got)
		}
	}
}

// A Node object that is gone is timed from when it was missed, and what the control plane said of it before is kept.
func TestReader_NodesThatAreGone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.look()
	r.lose("n1")
	r.look()
	if err := r.reader.cluster.Core.Nodes().Delete(t.Context(), "n1", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := r.look().Gone["n1"]; got.For != 0 || !got.UnknownSince.Equal(now.Add(-time.Second)) {
		t.Errorf("just missed: got %+v", got)
	}
	r.clock = r.clock.Add(29 * time.Second)
	if got := r.look().Gone; len(got) != 1 || got["n1"].For != 29*time.Second {
		t.Errorf("later: got %+v", got)
	}
	r.add(nodeObject("n1"))
	if got := r.look().Gone; len(got) != 0 {
		t.Errorf("it is there again: got %+v", got)
	}
}

// One that this guard has never seen, because it was gone before: its time begins when a pod on it is seen.
func TestReader_NodeThatWasGoneBefore(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if err := r.reader.cluster.Core.Nodes().Delete(t.Context(), "n1", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	r.look()
	r.clock = r.clock.Add(time.Minute)
	if got := r.look().Gone["n1"]; got.For != time.Minute || !got.UnknownSince.IsZero() {
		t.Errorf("got %+v", got)
	}
}

func TestReader_VolumesOfOthers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.lose("n1")
	r.add(attachmentObject("va-2", "pv-of-others", "n1"), attachmentObject("va-3", "pv-elsewhere", "n2"))
	got := r.look().OtherVolumes
	if !slices.Equal(got["n1"], []string{"pv-of-others", "pv-2"}) || !slices.Equal(got["n2"], []string{"pv-elsewhere"}) {
		t.Errorf("got %v", got)
	}
}

func TestReader_TheGuardsOwnPod(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if got := r.look().GuardSince; !got.IsZero() {
		t.Errorf("without its pod: got %v", got)
	}
	own := podObject("guard-b", "n2")
	own.Spec.Volumes, own.CreationTimestamp = nil, metav1.NewTime(now.Add(-time.Hour))
	r.add(own)
	if got := r.look(); !got.GuardSince.Equal(now.Add(-time.Hour)) || len(got.Pods) != 1 {
		t.Errorf("got %v and pods %+v", got.GuardSince, got.Pods)
	}
}
