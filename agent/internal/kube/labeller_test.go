package kube

import (
	"errors"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clienttesting "k8s.io/client-go/testing"

	"ha-iris/agent/internal/guard"
)

const nodeLabel = "guard.ha-iris/iris"

// hasLabel gives nodes the label.
func (r *rig) hasLabel(names ...string) {
	r.t.Helper()
	for _, name := range names {
		r.setLabel(name, labelValue)
	}
}

func (r *rig) setLabel(name, value string) {
	r.t.Helper()
	r.changeNode(name, func(node *corev1.Node) { node.Labels = map[string]string{nodeLabel: value, "kept": "1"} })
}

// moved makes the volume's attachments those that are given.
func (r *rig) moved(attachments ...*storagev1.VolumeAttachment) {
	r.t.Helper()
	if err := r.core.Tracker().Delete(storagev1.SchemeGroupVersion.WithResource("volumeattachments"), "", "va-1"); err != nil {
		r.t.Fatal(err)
	}
	for _, one := range attachments {
		r.add(one)
	}
}

// leaving is an attachment that is being deleted, as Kubernetes' attach/detach controller detaches.
func leaving(attachment *storagev1.VolumeAttachment) *storagev1.VolumeAttachment {
	at := metav1.NewTime(now)
	attachment.DeletionTimestamp, attachment.Finalizers = &at, []string{"external-attacher/driver-longhorn-io"}
	return attachment
}

// coming is an attachment that the storage has not made yet.
func coming(attachment *storagev1.VolumeAttachment) *storagev1.VolumeAttachment {
	attachment.Status.Attached = false
	return attachment
}

func (r *rig) labelled() []string {
	r.t.Helper()
	list, err := r.core.CoreV1().Nodes().List(r.t.Context(), metav1.ListOptions{LabelSelector: nodeLabel + "=" + labelValue})
	if err != nil {
		r.t.Fatal(err)
	}
	names := []string{}
	for _, node := range list.Items {
		names = append(names, node.Name)
	}
	return names
}

// The database is on n1 unless a case says otherwise.
func TestLabeller_FollowsTheVolume(t *testing.T) {
	t.Parallel()
	on2, on3 := func() *storagev1.VolumeAttachment { return attachmentObject("va-2", "pv-1", "n2") },
		func() *storagev1.VolumeAttachment { return attachmentObject("va-3", "pv-1", "n3") }
	for name, test := range map[string]struct {
		cluster func(*rig)
		want    []string
		patches int
	}{
		"attached":                      {func(*rig) {}, []string{"n1"}, 1},
		"attached, labelled":            {func(r *rig) { r.hasLabel("n1") }, []string{"n1"}, 0},
		"moved":                         {func(r *rig) { r.hasLabel("n1"); r.moved(on2()) }, []string{"n2"}, 2},
		"labelled twice":                {func(r *rig) { r.hasLabel("n1", "n2", "n3") }, []string{"n1"}, 2},
		"another value":                 {func(r *rig) { r.setLabel("n1", "x") }, []string{"n1"}, 1},
		"another value elsewhere":       {func(r *rig) { r.setLabel("n2", "x") }, []string{"n1"}, 2},
		"on no node":                    {func(r *rig) { r.hasLabel("n1"); r.moved() }, []string{"n1"}, 0},
		"on its way":                    {func(r *rig) { r.hasLabel("n1"); r.moved(coming(on2())) }, []string{"n1"}, 0},
		"leaving":                       {func(r *rig) { r.hasLabel("n1"); r.moved(leaving(on2())) }, []string{"n1"}, 0},
		"leaving one, on the other":     {func(r *rig) { r.hasLabel("n2"); r.moved(leaving(on2()), on3()) }, []string{"n3"}, 2},
		"on one, on its way to another": {func(r *rig) { r.hasLabel("n3"); r.moved(on2(), coming(on3())) }, []string{"n2"}, 2},
		"on two":                        {func(r *rig) { r.hasLabel("n1"); r.moved(on2(), on3()) }, []string{"n1"}, 0},
		"no claim":                      {func(r *rig) { r.hasLabel("n2"); r.drop("persistentvolumeclaims", "iris", "data") }, []string{"n2"}, 0},
		"a claim without a volume":      {func(r *rig) { r.hasLabel("n2"); r.claims("") }, []string{"n2"}, 0},
		"a claim with another volume":   {func(r *rig) { r.hasLabel("n1"); r.claims("pv-9") }, []string{"n1"}, 0},
		"another volume, attached": {func(r *rig) {
			r.hasLabel("n1")
			r.claims("pv-9")
			r.add(attachmentObject("va-9", "pv-9", "n3"))
		}, []string{"n3"}, 2},
		"its node is gone": {func(r *rig) { r.hasLabel("n2"); r.drop("nodes", "", "n1") }, []string{"n2"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			test.cluster(r)
			r.requests()
			done, err := NewLabeller(r.cluster, target).Label(t.Context())
			if err != nil || len(done) != test.patches {
				t.Errorf("changed %+v, %v", done, err)
			}
			patches := slices.DeleteFunc(r.requests(), func(one string) bool { return one != "patch nodes" })
			if got := r.labelled(); !slices.Equal(got, test.want) || len(patches) != test.patches {
				t.Errorf("got the label on %v with %d patches, want %v with %d", got, len(patches), test.want, test.patches)
			}
		})
	}
}

// claims makes the claim one with another volume.
func (r *rig) claims(volume string) {
	r.t.Helper()
	r.drop("persistentvolumeclaims", "iris", "data")
	r.add(claimObject("uid-claim", volume))
}

// A node that somebody takes over, or gives back, does not get the label; it is taken from one, because the volume is elsewhere.
func TestLabeller_StaysOutOfTheTakeOversWay(t *testing.T) {
	t.Parallel()
	for name, disturb := range map[string]func(*corev1.Node){
		"not Ready": func(node *corev1.Node) { node.Status.Conditions[0].Status = corev1.ConditionUnknown },
		"a record":  func(node *corev1.Node) { node.Annotations = map[string]string{target.Annotation(): "{}"} },
		"a record of another stack": func(node *corev1.Node) {
			node.Annotations = map[string]string{"guard.ha-iris/another": "{}"}
		},
		"out of service": func(node *corev1.Node) {
			node.Spec.Taints = []corev1.Taint{{Key: outOfServiceKey, Effect: corev1.TaintEffectNoExecute}}
		},
		"being deleted": func(node *corev1.Node) {
			at := metav1.NewTime(now)
			node.DeletionTimestamp, node.Finalizers = &at, []string{"x"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.hasLabel("n3")
			r.changeNode("n1", disturb)
			if done, err := NewLabeller(r.cluster, target).Label(t.Context()); err != nil || len(r.labelled()) != 0 {
				t.Errorf("it has the volume: changed %+v, %v", done, err)
			}
			r = newRig(t)
			r.hasLabel("n1")
			r.changeNode("n1", disturb)
			r.moved(attachmentObject("va-2", "pv-1", "n2"))
			if done, err := NewLabeller(r.cluster, target).Label(t.Context()); err != nil || !slices.Equal(r.labelled(), []string{"n2"}) {
				t.Errorf("it has lost the volume: changed %+v, %v", done, err)
			}
		})
	}
}

// While nothing changes a few small reads are all, beside the loop's own; each change is of the node as it was read, and of one label.
func TestLabeller_AsksLittle(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.changeNode("n1", func(node *corev1.Node) { node.Labels = map[string]string{"kept": "1"} })
	r.requests()
	labeller := NewLabeller(r.cluster, target)
	done, err := labeller.Label(t.Context())
	if err != nil || !slices.Equal(done, []guard.Labelled{{Node: "n1", Has: true}}) {
		t.Fatalf("got %+v, %v", done, err)
	}
	if _, patch := r.last(false); patch["spec"] != nil || len(patch["metadata"].(map[string]any)) != 2 ||
		patch["metadata"].(map[string]any)["resourceVersion"] != "7" {
		t.Errorf("got %v", patch)
	}
	reads := []string{"get persistentvolumeclaims", "list volumeattachments", "list nodes"}
	const longhorns = "list nodes" // The other client's are listed last.
	if got := r.requests(); !slices.Equal(got, append(slices.Clone(reads), "get nodes", "patch nodes", longhorns)) {
		t.Errorf("asked %q", got)
	}
	if done, err := labeller.Label(t.Context()); err != nil || done != nil {
		t.Errorf("again: got %+v, %v", done, err)
	}
	if got := r.requests(); !slices.Equal(got, append(slices.Clone(reads), longhorns)) {
		t.Errorf("asked again %q", got)
	}
	node, err := r.core.CoreV1().Nodes().Get(t.Context(), "n1", metav1.GetOptions{})
	if err != nil || node.Labels["kept"] != "1" {
		t.Errorf("got %v, %v", node.Labels, err)
	}
}

// A node on which Longhorn does not work keeps no database that could start elsewhere.
func TestLabeller_LeavesANodeThatLonghornCallsBroken(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		namespace string
		lost      []string
		want      []string
	}{
		"it":                   {target.LonghornNamespace, []string{"n1"}, nil},
		"another one":          {target.LonghornNamespace, []string{"n2"}, []string{"n1"}},
		"it, on other storage": {"", []string{"n1"}, []string{"n1"}},
	} {
		r := newRig(t)
		r.hasLabel("n1")
		for _, one := range test.lost {
			r.breakLonghorn(one)
		}
		where := target
		where.LonghornNamespace = test.namespace
		if done, err := NewLabeller(r.cluster, where).Label(t.Context()); err != nil || !slices.Equal(r.labelled(), test.want) {
			t.Errorf("%s: changed %+v, %v; the label is on %v", name, done, err, r.labelled())
		}
	}
	r := newRig(t)
	r.hasLabel("n3")
	r.dynamic.PrependReactor("list", "nodes", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, errors.New("away") })
	if done, err := NewLabeller(r.cluster, target).Label(t.Context()); err == nil || done != nil {
		t.Errorf("got %+v, %v", done, err)
	}
}

func (r *rig) breakLonghorn(name string) {
	r.t.Helper()
	nodes := r.dynamic.Resource(longhorn("nodes")).Namespace(target.LonghornNamespace)
	broken := longhornObject("Node", name, nil, map[string]any{"status": map[string]any{
		"conditions": []any{map[string]any{"type": "Ready", "status": "False"}},
	}})
	if _, err := nodes.Update(r.t.Context(), broken, metav1.UpdateOptions{}); err != nil {
		r.t.Fatal(err)
	}
}

// What cannot be read changes nothing, and a node that cannot be written keeps no other from being tried.
func TestLabeller_Errors(t *testing.T) {
	t.Parallel()
	for _, request := range [][2]string{{"get", "persistentvolumeclaims"}, {"list", "volumeattachments"}, {"list", "nodes"}, {"get", "nodes"}} {
		r := newRig(t)
		r.hasLabel("n3")
		r.requests()
		fails := true
		r.core.PrependReactor(request[0], request[1], func(clienttesting.Action) (bool, runtime.Object, error) {
			return fails, nil, errors.New("away")
		})
		if done, err := NewLabeller(r.cluster, target).Label(t.Context()); err == nil || done != nil {
			t.Errorf("%v: got %+v, %v", request, done, err)
		}
		fails = false
		if got := r.labelled(); !slices.Equal(got, []string{"n3"}) {
			t.Errorf("%v: got the label on %v", request, got)
		}
	}
	r := newRig(t)
	r.hasLabel("n2", "n3")
	r.core.PrependReactor("patch", "nodes", func(action clienttesting.Action) (bool, runtime.Object, error) {
		name := action.(clienttesting.PatchAction).GetName()
		return name != "n3", nil, apierrors.NewConflict(schema.GroupResource{Resource: "nodes"}, name, errors.New("modified"))
	})
	done, err := NewLabeller(r.cluster, target).Label(t.Context())
	if err == nil || !slices.Equal(done, []guard.Labelled{{Node: "n3"}}) {
		t.Errorf("got %+v, %v", done, err)
	}
}

// The record of a take-over and the label's end are one request.
func TestActor_TheRecordTakesTheLabelAway(t *testing.T) {
	t.Parallel()
	r := newActorRig(t)
	r.hasLabel("n1")
	if err := r.actor.Do(t.Context(), steps()[guard.WriteRecord]); err != nil {
		t.Fatal(err)
	}
	node, err := r.core.CoreV1().Nodes().Get(t.Context(), "n1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, has := node.Labels[nodeLabel]; has || node.Labels["kept"] != "1" || node.Annotations[target.Annotation()] == "" {
		t.Errorf("got the labels %v and annotations %v", node.Labels, node.Annotations)
	}
}

// An older program's admission policy refuses any change of a label.
func TestActor_TheRecordIsWrittenWhereTheLabelMayNotGo(t *testing.T) {
	t.Parallel()
	for _, refusal := range []error{
		apierrors.NewForbidden(schema.GroupResource{Resource: "nodes"}, "n1", errors.New("changes no label")),
		apierrors.NewInvalid(schema.GroupKind{Kind: "Node"}, "n1", nil),
	} {
		r := newActorRig(t)
		r.hasLabel("n1")
		r.core.PrependReactor("patch", "nodes", func(action clienttesting.Action) (bool, runtime.Object, error) {
			return strings.Contains(string(action.(clienttesting.PatchAction).GetPatch()), `"labels"`), nil, refusal
		})
		if err := r.actor.Do(t.Context(), steps()[guard.WriteRecord]); err != nil {
			t.Errorf("%v: got %v", refusal, err)
		}
		node, err := r.core.CoreV1().Nodes().Get(t.Context(), "n1", metav1.GetOptions{})
		if err != nil || node.Annotations[target.Annotation()] == "" {
			t.Errorf("%v: the node has %v, %v", refusal, node.Annotations, err)
		}
	}
}
