package preflight

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"ha-iris/ops/drill/internal/fakeapi"
	"ha-iris/ops/drill/internal/kube"
)

// healthy is what Gather reads of a cluster that can survive.
func healthy(t *testing.T) *World {
	t.Helper()
	server := fakeapi.New(t)
	server.NewDatabase()
	cluster, err := kube.New(server.Config())
	if err != nil {
		t.Fatal(err)
	}
	world, err := Gather(t.Context(), cluster, fakeapi.Namespace)
	if err != nil {
		t.Fatal(err)
	}
	return world
}

func TestCheck_AdmitsAHealthyCluster(t *testing.T) {
	t.Parallel()
	world := healthy(t)
	refusals, notes := Check(world)
	if len(refusals) > 0 || len(notes) > 0 {
		t.Errorf("refused with %q, %q", refusals, notes)
	}
	if world.ClaimUID != "claim-1" || world.Driver != longhornDriver || len(world.Volume.Replicas) != 3 || !world.Simulated {
		t.Errorf("the world is %+v", world)
	}
	if plan := strings.Join(world.Plan("delete-pod"), "\n"); !strings.Contains(plan, "node-a, node-b, node-c") || !strings.Contains(plan, "delete-pod") {
		t.Errorf("the plan is %q", plan)
	}
}

func TestCheck_RefusesForEachReason(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		spoil func(w *World)
		want  string
	}{
		"no pod":                            {func(w *World) { w.Database = nil }, "there is no pod"},
		"two pods":                          {func(w *World) { w.Database = append(w.Database, w.Database[0]) }, "2 pods"},
		"not Ready":                         {func(w *World) { w.Database[0].Status.Conditions[0].Status = corev1.ConditionFalse }, "is not Ready"},
		"unbound claim":                     {func(w *World) { w.PersistentVolume = "" }, "not bound"},
		"on the program's node":             {func(w *World) { w.RunnerNode = "node-a" }, "start it elsewhere"},
		"another drill":                     {func(w *World) { w.Hold = &Hold{Holder: "drill-x", Live: true} }, "another drill is at work: drill-x"},
		"an unfinished drill":               {func(w *World) { w.Hold = &Hold{Holder: "drill-x", Unfinished: true} }, "drill cleanup"},
		"degraded":                          {func(w *World) { w.Volume.Robustness = "degraded" }, "degraded"},
		"detached":                          {func(w *World) { w.Volume.State = "detached" }, "detached"},
		"a rebuild":                         {func(w *World) { w.Volume.Rebuilding = []string{"r-9"} }, "being rebuilt: r-9"},
		"one replica elsewhere":             {func(w *World) { w.Volume.Replicas[2].Good = false }, "on 1 other Ready nodes [node-b]"},
		"two on one other node":             {func(w *World) { w.Volume.Replicas[2].Node = "node-b" }, "on 1 other Ready nodes [node-b]"},
		"a replica's node down":             {func(w *World) { w.Nodes[2].Status.Conditions[0].Status = corev1.ConditionUnknown }, "on 1 other Ready nodes [node-b]"},
		"a node down":                       {func(w *World) { w.Nodes[1].Status.Conditions[0].Status = corev1.ConditionFalse }, "node-b: not Ready"},
		"a cordoned node":                   {func(w *World) { w.Nodes[1].Spec.Unschedulable = true }, "node-b: cordoned"},
		"a tainted node":                    {taint, "node-b: tainted dedicated"},
		"a taint that is borne for a while": {taintFor, "node-b: tainted dedicated"},
		"a node of another kind":            {func(w *World) { w.Database[0].Spec.NodeSelector = map[string]string{"kubernetes.io/arch": "arm64"} }, "without the label kubernetes.io/arch=arm64"},
		"a full node":                       {fill, "node-b: 3Gi of memory left, want 4Gi"},
		"too many pods":                     {func(w *World) { w.Nodes[1].Status.Allocatable[corev1.ResourcePods] = resource.MustParse("0") }, "0 of pods left"},
		"no image":                          {func(w *World) { w.Nodes[1].Status.Images = nil }, "node-b: without the image " + fakeapi.Image},
		"two nodes only":                    {func(w *World) { w.Nodes = w.Nodes[:2] }, "1 other nodes can take the database [node-b], want 2"},
	} {
		world := healthy(t)
		test.spoil(world)
		refusals, _ := Check(world)
		if said := strings.Join(refusals, "\n"); !strings.Contains(said, test.want) {
			t.Errorf("%s: refused with %q, want %q", name, said, test.want)
		}
	}
}

func TestCheck_NamesATaintOnce(t *testing.T) {
	t.Parallel()
	world := healthy(t)
	world.Nodes[1].Spec.Taints = []corev1.Taint{{Key: "gone", Effect: corev1.TaintEffectNoSchedule}, {Key: "gone", Effect: corev1.TaintEffectNoExecute}}
	if refusals, _ := Check(world); len(refusals) != 1 || strings.Count(refusals[0], "tainted gone") != 1 {
		t.Errorf("refused with %q", refusals)
	}
}

func taint(w *World) {
	w.Nodes[1].Spec.Taints = []corev1.Taint{{Key: "dedicated", Effect: corev1.TaintEffectNoSchedule}}
}

// taintFor tolerates the taint for a while, after which the pod would be evicted again.
func taintFor(w *World) {
	taint(w)
	seconds := int64(5)
	w.Database[0].Spec.Tolerations = []corev1.Toleration{{Key: "dedicated", Operator: corev1.TolerationOpExists, TolerationSeconds: &seconds}}
}

func fill(w *World) {
	other := w.Database[0].DeepCopy()
	other.Name, other.Spec.NodeName = "other", "node-b"
	other.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("5Gi")}
	w.Pods = append(w.Pods, *other)
}

func TestCheck_NamesAllReasonsAtOnce(t *testing.T) {
	t.Parallel()
	world := healthy(t)
	world.Volume.Robustness = "degraded"
	world.Hold = &Hold{Holder: "drill-x", Live: true, Renewed: time.Unix(0, 0)}
	taint(world)
	if refusals, _ := Check(world); len(refusals) != 3 {
		t.Errorf("refused with %q, want three reasons", refusals)
	}
}

func TestCheck_AdmitsWhatOnlyLooksLikeAnObstacle(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(w *World){
		"a tolerated taint": func(w *World) {
			taint(w)
			w.Database[0].Spec.Tolerations = []corev1.Toleration{{Key: "dedicated", Operator: corev1.TolerationOpExists}}
		},
		"a preference": func(w *World) {
			w.Nodes[1].Spec.Taints = []corev1.Taint{{Key: "x", Effect: corev1.TaintEffectPreferNoSchedule}}
		},
		"a finished drill": func(w *World) { w.Hold = &Hold{Holder: "drill-x"} },
		"an ended pod there": func(w *World) {
			fill(w)
			w.Pods[len(w.Pods)-1].Status.Phase = corev1.PodSucceeded
		},
		"an image that a pod there runs with": func(w *World) {
			w.Nodes[1].Status.Images = nil
			sleeper := w.Database[0].DeepCopy()
			sleeper.Name, sleeper.Spec.NodeName = "pre-pull", "node-b"
			sleeper.Spec.Containers[0].Resources = corev1.ResourceRequirements{}
			w.Pods = append(w.Pods, *sleeper)
		},
	} {
		world := healthy(t)
		spoil(world)
		if refusals, _ := Check(world); len(refusals) > 0 {
			t.Errorf("%s: refused with %q", name, refusals)
		}
	}
}

func TestCheck_SaysWhatItCannotSeeOfOtherStorage(t *testing.T) {
	t.Parallel()
	world := healthy(t)
	world.Volume, world.Driver = nil, "ebs.csi.aws.com"
	refusals, notes := Check(world)
	if len(refusals) > 0 || len(notes) != 1 || !strings.Contains(notes[0], "ebs.csi.aws.com") {
		t.Errorf("got %q, %q", refusals, notes)
	}
}

func TestNormalized_ComparesImagesAsDockerDoes(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"busybox":                     "docker.io/library/busybox:latest",
		"intersystems/iris:1":         "docker.io/intersystems/iris:1",
		"r.example:5000/a/b":          "r.example:5000/a/b:latest",
		"r.example/a/b:1@sha256:abcd": "r.example/a/b@sha256:abcd",
		"docker.io/library/busybox:1": "docker.io/library/busybox:1",
		"localhost/a@sha256:abcd":     "localhost/a@sha256:abcd",
		"containers.intersystems.com/intersystems/iris:2026.1": "containers.intersystems.com/intersystems/iris:2026.1",
	} {
		if got := normalized(name); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

func TestRunner_IsTheNodeWithThisMachinesAddress(t *testing.T) {
	t.Parallel()
	world := healthy(t)
	if got := runner(world, map[string]bool{"10.9.9.9": true}); got != "" {
		t.Errorf("a stranger's address: got %q", got)
	}
	world.Nodes[1].Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.9.9.9"}}
	if got := runner(world, map[string]bool{"10.9.9.9": true}); got != "node-b" {
		t.Errorf("a node's address: got %q, want node-b", got)
	}
	world.Nodes[1].Status.Addresses = nil
	world.Pods[0].Status.PodIP = "10.9.9.9"
	if got := runner(world, map[string]bool{"10.9.9.9": true}); got != "node-a" {
		t.Errorf("a pod's address: got %q, want node-a", got)
	}
}

// After a restore the database runs on another claim than at first, and the first one is still there.
func TestGather_TakesTheClaimThatThePodHas(t *testing.T) {
	t.Parallel()
	server := fakeapi.New(t)
	server.NewDatabase()
	server.Put("persistentvolumeclaims", fakeapi.Object{
		"apiVersion": "v1", "kind": "PersistentVolumeClaim",
		"metadata": fakeapi.Object{"name": "iris-pvc-2", "namespace": fakeapi.Namespace, "uid": "claim-2"},
		"spec":     fakeapi.Object{"volumeName": "pvc-1"},
	})
	server.Edit("pods", fakeapi.Namespace, "iris-1", func(pod fakeapi.Object) {
		spec, _ := pod["spec"].(fakeapi.Object)
		spec["volumes"] = []any{fakeapi.Object{"name": dataVolume, "persistentVolumeClaim": fakeapi.Object{"claimName": "iris-pvc-2"}}}
	})
	cluster, err := kube.New(server.Config())
	if err != nil {
		t.Fatal(err)
	}
	world, err := Gather(t.Context(), cluster, fakeapi.Namespace)
	if err != nil || world.Claim != "iris-pvc-2" || world.ClaimUID != "claim-2" {
		t.Errorf("the claim is %s (%s), %v", world.Claim, world.ClaimUID, err)
	}
}
