package command

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/record"

	"ha-iris/agent/internal/guard"
	"ha-iris/agent/internal/kube"
	"ha-iris/agent/internal/watchman"
)

// requests notes what is asked of a fake API server, as verb, resource, its group and its namespace.
type requests struct {
	mutex sync.Mutex
	seen  map[string]bool
}

func request(verb, group, resource, namespace string) string {
	return strings.Join([]string{verb, resource + "." + group, "in " + namespace}, " ")
}

func (r *requests) note(action clienttesting.Action) (bool, runtime.Object, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	resource := action.GetResource()
	name := resource.Resource
	if sub := action.GetSubresource(); sub != "" {
		name += "/" + sub
	}
	r.seen[request(action.GetVerb(), resource.Group, name, action.GetNamespace())] = true
	return false, nil, nil
}

func (r *requests) all() []string {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return slices.Sorted(maps.Keys(r.seen))
}

// seenCluster is a cluster with a lost node, of which every request is noted.
func seenCluster() (*kube.Cluster, *requests) {
	volume := corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: "driver.longhorn.io", VolumeHandle: "v"}}
	core := fake.NewClientset(
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", ResourceVersion: "7"}},
		&corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "pv"}, Spec: corev1.PersistentVolumeSpec{PersistentVolumeSource: volume}},
		&corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Namespace: "iris", Name: "data"}, Spec: corev1.PersistentVolumeClaimSpec{VolumeName: "pv"},
		},
		&corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "iris", Name: "iris-a"},
			Spec: corev1.PodSpec{NodeName: "n1", Volumes: []corev1.Volume{{VolumeSource: corev1.VolumeSource{
				PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"},
			}}}},
		},
	)
	kinds := map[schema.GroupVersionResource]string{}
	for resource, kind := range map[string]string{"nodes": "NodeList", "replicas": "ReplicaList", "orphans": "OrphanList"} {
		kinds[schema.GroupVersionResource{Group: "longhorn.io", Version: "v1beta2", Resource: resource}] = kind
	}
	others := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), kinds)
	seen := &requests{seen: map[string]bool{}}
	core.PrependReactor("*", "*", seen.note)
	others.PrependReactor("*", "*", seen.note)
	dates := &kube.Dates{}
	core.PrependReactor("*", "*", func(clienttesting.Action) (bool, runtime.Object, error) {
		dates.Observe(time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC))
		return false, nil, nil
	})
	return &kube.Cluster{
		Core: core.CoreV1(), Coordination: core.CoordinationV1(), Storage: core.StorageV1(), Dynamic: others, Dates: dates,
	}, seen
}

// everyStep takes a step of each kind; that there is nothing to take it on is no matter.
func everyStep(ctx context.Context, actor *kube.Actor) {
	for _, kind := range []guard.Kind{
		guard.WriteRecord, guard.SetTaint, guard.Untaint, guard.GiveBack, guard.DeletePod, guard.ForceDeletePod, guard.DeleteAttachment,
		guard.FailReplica, guard.ClearEngine,
	} {
		_ = actor.Do(ctx, guard.Step{
			Kind: kind, Node: "n1", ResourceVersion: "7", Record: guard.Record{Tainted: true}, Pod: "none", PodUID: "u", Object: "none", ObjectUID: "u",
		})
	}
}

// What the program mirrors as RBAC is what is asked: nothing is missing, and nothing is there that is not needed.
func TestRights_AreWhatIsAsked(t *testing.T) {
	t.Parallel()
	cluster, seen := seenCluster()
	options := parsed(t, required...)
	config, err := options.config()
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	assembly := assembled{options, config, cluster, log, watchman.NewMetrics(), func() time.Duration { return time.Hour }}
	voucher := watchman.NewVoucher(assembly.clock, watchman.DefaultTerms(), "a")
	ctx, stop := context.WithCancel(t.Context())
	campaign := watchman.NewCampaign(assembly.lock(), watchman.Terms{
		Lease: 600 * time.Millisecond, Renew: 400 * time.Millisecond, Retry: 50 * time.Millisecond,
	}, func(ctx context.Context) {
		assembly.term(record.NewFakeRecorder(100), voucher)(ctx)
	}, log, assembly.metrics)
	ended := make(chan error, 1)
	go func() { ended <- campaign.Run(ctx) }()
	recorder, shutdown := assembly.recorder(ctx)
	for range 2 { // the second time it is the same event again, a patch
		for _, one := range []*corev1.ObjectReference{{Kind: "Node", Name: "n1"}, {Kind: "Pod", Namespace: "iris", Name: "iris-a"}} {
			recorder.Event(one, corev1.EventTypeNormal, "Tried", "for its rights")
		}
	}
	target := kube.Target{Namespace: "iris", Claim: "data", Node: "n1", LonghornNamespace: "longhorn-system"}
	everyStep(ctx, kube.NewActor(cluster, target))
	var want []string
	for _, one := range kube.Rights(target, options.lease) {
		want = append(want, request(one.Verb, one.Group, one.Resource, one.Namespace))
		if one.Why == "" {
			t.Errorf("%+v does not say why", one)
		}
	}
	slices.Sort(want)
	for deadline := time.Now().Add(10 * time.Second); len(seen.all()) < len(want) && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	shutdown()
	if got := seen.all(); !slices.Equal(got, want) {
		t.Errorf("asked:\n%s\nrights:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
