package standin

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// rig is a harness with Longhorn on the nodes a, b and c and one volume of three replicas, whose full rebuild takes 10 s.
type rig struct{ *harness }

func newRig(t *testing.T, attachedTo string, values map[string]string) *rig {
	t.Helper()
	if values["replica-replenishment-wait-interval"] == "" {
		values = with(values, "replica-replenishment-wait-interval", "60")
	}
	r := &rig{newHarness(t, world(installed(values), boundClaim(""))...)}
	r.edit(longhornVolumes, handle, func(volume *unstructured.Unstructured) {
		annotate(volume, rebuildAnnotation, "10")
		put(volume, int64(2880), "spec", "staleReplicaTimeout")
	})
	r.endure()
	r.pass(time.Second)
	r.attach(attachedTo)
	return r
}

// newLostRig is a rig whose volume is in use and has lost all of its replicas.
func newLostRig(t *testing.T) *rig {
	t.Helper()
	r := newRig(t, "a", nil)
	r.add(attachmentTo("a", true))
	r.refresh()
	for _, name := range []string{"b", "c"} {
		r.silence(name)
	}
	r.pass(10 * time.Second)
	r.deletePod(instanceName("a"))
	r.look()
	return r
}

func with(values map[string]string, name, value string) map[string]string {
	changed := map[string]string{name: value}
	for name, value := range values {
		changed[name] = value
	}
	return changed
}

// pass lets time pass second by second: pods start, and Longhorn looks at everything.
func (r *rig) pass(d time.Duration) {
	r.t.Helper()
	for range int(d / time.Second) {
		r.clock.Step(time.Second)
		r.look()
		r.startInstances()
	}
}

// idle lets a long time pass in which nothing is expected to happen.
func (r *rig) idle(d time.Duration) {
	r.t.Helper()
	for range 4 {
		r.clock.Step(d / 4)
		r.look()
	}
}

func (r *rig) look() {
	r.t.Helper()
	if _, err := r.syncData(r.t.Context(), ""); err != nil {
		r.t.Fatalf("look at the data: %v", err)
	}
}

// endure gives the leases of living nodes to kwok for as long as a test lasts.
func (r *rig) endure() {
	r.t.Helper()
	leases := r.client.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	list, err := leases.List(r.t.Context(), metav1.ListOptions{})
	if err != nil {
		r.t.Fatalf("list leases: %v", err)
	}
	for i := range list.Items {
		list.Items[i].Spec.LeaseDurationSeconds = ptr(int32(1 << 20))
		if _, err := leases.Update(r.t.Context(), &list.Items[i], metav1.UpdateOptions{}); err != nil {
			r.t.Fatalf("renew lease: %v", err)
		}
	}
	r.refresh()
}

// startInstances starts the pods of instance managers that Longhorn made.
func (r *rig) startInstances() {
	r.t.Helper()
	pods := r.client.CoreV1().Pods(longhornNamespace)
	list, err := pods.List(r.t.Context(), metav1.ListOptions{LabelSelector: "longhorn.io/component=instance-manager"})
	if err != nil {
		r.t.Fatalf("list pods: %v", err)
	}
	for i := range list.Items {
		if list.Items[i].Status.Phase != "" {
			continue
		}
		list.Items[i].Status = runningPod("", "").Status
		if _, err := pods.UpdateStatus(r.t.Context(), &list.Items[i], metav1.UpdateOptions{}); err != nil {
			r.t.Fatalf("start pod: %v", err)
		}
		r.refresh()
	}
}

func (r *rig) edit(plural, name string, change func(*unstructured.Unstructured)) {
	r.t.Helper()
	object := r.longhornObject(plural, name)
	if object == nil {
		r.t.Fatalf("no %s %s", plural, name)
	}
	change(object)
	if err := r.longhorn.update(r.t.Context(), plural, object); err != nil {
		r.t.Fatalf("edit: %v", err)
	}
}

// attach attaches the volume; an empty node detaches it.
func (r *rig) attach(node string) {
	r.t.Helper()
	if err := r.setAttached(r.t.Context(), longhornNamespace, handle, node); err != nil {
		r.t.Fatalf("attach to %q: %v", node, err)
	}
}

// join adds a living node with longhorn-manager on it.
func (r *rig) join(name string) {
	r.t.Helper()
	ctx := r.t.Context()
	for _, object := range append(aliveNode(name), systemPod(managerName, name)) {
		r.add(object)
	}
	r.endure()
	if err := r.syncLonghornNodes(ctx, longhornNamespace); err != nil {
		r.t.Fatalf("join: %v", err)
	}
	r.pass(2 * time.Second)
}

func (r *rig) add(object runtime.Object) {
	r.t.Helper()
	if err := r.client.Tracker().Add(object); err != nil {
		r.t.Fatalf("add: %v", err)
	}
}

// revive undoes silence.
func (r *rig) revive(name string) {
	r.t.Helper()
	r.node(name, func(node *corev1.Node) { node.Status.Conditions[0].Status = corev1.ConditionTrue })
	r.add(aliveNode(name)[1])
	r.endure()
}

func (r *rig) node(name string, change func(*corev1.Node)) {
	r.t.Helper()
	node, err := r.client.CoreV1().Nodes().Get(r.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		r.t.Fatalf("read node: %v", err)
	}
	change(node)
	if _, err := r.client.CoreV1().Nodes().Update(r.t.Context(), node, metav1.UpdateOptions{}); err != nil {
		r.t.Fatalf("change node: %v", err)
	}
	r.refresh()
}

// vanish deletes the node with its pods, as when a machine goes away.
func (r *rig) vanish(name string) {
	r.t.Helper()
	if err := r.client.CoreV1().Nodes().Delete(r.t.Context(), name, metav1.DeleteOptions{}); err != nil {
		r.t.Fatalf("delete node: %v", err)
	}
	for _, pod := range []string{managerName + "-" + name, instanceName(name)} {
		r.deletePod(pod)
	}
}

func (r *rig) deletePod(name string) {
	r.t.Helper()
	if err := r.client.CoreV1().Pods(longhornNamespace).Delete(r.t.Context(), name, metav1.DeleteOptions{}); err != nil {
		r.t.Fatalf("delete pod: %v", err)
	}
	r.refresh()
}

// replicas returns "node state" of each replica, sorted.
func (r *rig) replicas() string {
	r.t.Helper()
	s, err := r.readState(r.t.Context(), longhornNamespace)
	if err != nil {
		r.t.Fatalf("read: %v", err)
	}
	var found []string
	for _, replica := range s.replicas[handle] {
		word := "good"
		switch {
		case failed(replica):
			word = "failed"
		case fresh(replica):
			word = "fresh"
		}
		found = append(found, textAt(replica, "spec", "nodeID")+" "+word)
	}
	slices.Sort(found)
	return strings.Join(found, ", ")
}

func (r *rig) on(node string) *unstructured.Unstructured {
	r.t.Helper()
	s, err := r.readState(r.t.Context(), longhornNamespace)
	if err != nil {
		r.t.Fatalf("read: %v", err)
	}
	for _, replica := range s.replicas[handle] {
		if textAt(replica, "spec", "nodeID") == node {
			return replica
		}
	}
	r.t.Fatalf("no replica on %s", node)
	return nil
}

// want checks the replicas and how the volume is.
func (r *rig) want(when, robustness, replicas string) {
	r.t.Helper()
	if got := r.volumeField("status", "robustness"); got != robustness {
		r.t.Errorf("%s: volume is %s, want %s", when, got, robustness)
	}
	if got := r.replicas(); got != replicas {
		r.t.Errorf("%s: got replicas %q, want %q", when, got, replicas)
	}
}

// progress is that of the only rebuild in the engine's status; -1 if there is none.
func (r *rig) rebuilding() int64 {
	r.t.Helper()
	for _, status := range mapAt(r.longhornObject(engineKind, engineName(handle)), "status", "rebuildStatus") {
		fields, _ := status.(map[string]any)
		if number, ok := fields["progress"].(int64); ok {
			return number
		}
	}
	return -1
}

func (r *rig) budgets() string {
	r.t.Helper()
	list, err := r.client.PolicyV1().PodDisruptionBudgets(longhornNamespace).List(r.t.Context(), metav1.ListOptions{})
	if err != nil {
		r.t.Fatalf("list budgets: %v", err)
	}
	var nodes []string
	for _, budget := range list.Items {
		nodes = append(nodes, budget.Spec.Selector.MatchLabels["longhorn.io/node"])
	}
	slices.Sort(nodes)
	return strings.Join(nodes, " ")
}

func TestReplicas_OneOnEachNodeAndOneEngine(t *testing.T) {
	t.Parallel()
	r := newRig(t, "b", nil)
	r.want("attached", healthy, "a good, b good, c good")
	engine := r.longhornObject(engineKind, handle+"-e-0")
	if textAt(engine, "spec", "nodeID") != "b" || textAt(engine, "status", "currentState") != running ||
		fmt.Sprint(len(mapAt(engine, "status", "replicaModeMap"))) != "3" {
		t.Errorf("engine is %v", engine.Object)
	}
	replica := r.on("a")
	if !strings.HasPrefix(replica.GetName(), handle+"-r-") || len(replica.GetName()) != len(handle)+11 ||
		replica.GetLabels()["longhornvolume"] != handle || textAt(replica, "status", "currentState") != running {
		t.Errorf("replica is %v", replica.Object)
	}
	disk := mapAt(r.longhornObject(longhornNodes, "a"), "status", "diskStatus", "default-disk")
	if scheduled, _ := disk["scheduledReplica"].(map[string]any); scheduled[replica.GetName()] == nil ||
		disk["diskUUID"] != textAt(replica, "spec", "diskID") {
		t.Errorf("disk is %v", disk)
	}
	r.attach("")
	r.want("detached", unknown, "a good, b good, c good")
	if got := textAt(r.longhornObject(engineKind, handle+"-e-0"), "spec", "nodeID"); got != "" {
		t.Errorf("engine stays on %s", got)
	}
}

func TestReplicas_PreferAZoneOfTheirOwn(t *testing.T) {
	t.Parallel()
	r := newRig(t, "a", map[string]string{"replica-replenishment-wait-interval": "0"})
	r.join("d")
	r.join("e")
	r.node("d", func(node *corev1.Node) { node.Labels[corev1.LabelTopologyZone] = "zone-b" })
	r.vanish("c")
	r.pass(25 * time.Second)
	r.want("e has a zone of its own", healthy, "a good, b good, c failed, e good")
}

func TestHealth_ASilentReplicaIsDroppedAfterTheEnginesPatience(t *testing.T) {
	t.Parallel()
	r := newRig(t, "a", nil)
	r.silence("c")
	r.pass(8 * time.Second)
	r.want("within 8 s", healthy, "a good, b good, c good")
	r.pass(time.Second)
	r.want("after 8 s", degraded, "a good, b good, c failed")
	r.idle(5 * time.Minute)
	r.want("without another node", degraded, "a good, b good, c failed")
	r.revive("c")
	r.pass(time.Second)
	r.want("back", degraded, "a good, b good, c fresh")
	if got := r.rebuilding(); got <= 0 || got >= 100 {
		t.Errorf("rebuilt to %d %%", got)
	}
	r.pass(2 * time.Second)
	r.want("reused", healthy, "a good, b good, c good")
}

func TestHealth_ANewNodeTakesTheReplicaOfALostOneAfterTheWait(t *testing.T) {
	t.Parallel()
	r := newRig(t, "a", nil)
	r.vanish("c")
	r.join("d")
	r.pass(10 * time.Second)
	r.want("waits", degraded, "a good, b good, c failed")
	r.pass(54 * time.Second)
	var seen []int64
	for r.volumeField("status", "robustness") != healthy && len(seen) < 30 {
		r.pass(time.Second)
		if progress := r.rebuilding(); progress >= 0 {
			seen = append(seen, progress)
		}
	}
	r.want("rebuilt", healthy, "a good, b good, c failed, d good")
	if len(seen) < 8 || len(seen) > 11 || !slices.IsSorted(seen) || seen[0] <= 0 || seen[len(seen)-1] >= 100 {
		t.Errorf("progress was %v, want it to rise for 10 s", seen)
	}
}

func TestHealth_NothingIsKnownOfAVolumeOnADeadNode(t *testing.T) {
	t.Parallel()
	r := newRig(t, "a", nil)
	r.silence("a")
	r.idle(time.Minute)
	r.want("dead", unknown, "a good, b good, c good")
	r.attach("")
	r.want("detached", unknown, "a good, b good, c good")
	r.attach("b")
	r.want("attached elsewhere", degraded, "a failed, b good, c good")
}

func TestHealth_ADetachedVolumeLearnsAtItsNextAttach(t *testing.T) {
	t.Parallel()
	r := newRig(t, "a", nil)
	r.attach("")
	r.silence("c")
	r.idle(20 * time.Minute)
	r.want("detached", unknown, "a good, b good, c good")
	r.attach("a")
	r.want("attached", degraded, "a good, b good, c failed")
	r.attach("")
	r.want("detached again", unknown, "a good, b good, c failed")
}

func TestHealth_ADetachmentInterruptsARebuild(t *testing.T) {
	t.Parallel()
	r := newRig(t, "a", map[string]string{"replica-replenishment-wait-interval": "0"})
	r.vanish("c")
	r.join("d")
	for !strings.Contains(r.replicas(), "d fresh") {
		r.pass(time.Second)
	}
	r.attach("")
	r.want("detached", unknown, "a good, b good, c failed, d failed")
	r.idle(time.Minute)
	r.want("nothing is rebuilt", unknown, "a good, b good, c failed, d failed")
	r.attach("b")
	r.pass(12 * time.Second)
	r.want("attached", healthy, "a good, b good, c failed, d good")
}

func TestHealth_AVolumeWithoutReplicasIsFaultedUntilOneIsBack(t *testing.T) {
	t.Parallel()
	r := newLostRig(t)
	r.want("all lost", faulted, "a failed, b failed, c failed")
	if got := r.volumeField("status", "state"); got != detached {
		t.Errorf("volume is %s", got)
	}
	r.startInstances()
	r.pass(time.Second)
	r.want("one back", degraded, "a good, b failed, c failed")
	if got := r.volumeField("status", "currentNodeID"); got != "a" {
		t.Errorf("attached to %q", got)
	}
}

func TestHealth_AFailedReplicaGoesOnlyWhenItIsStale(t *testing.T) {
	t.Parallel()
	r := newRig(t, "a", nil)
	r.edit(longhornVolumes, handle, func(volume *unstructured.Unstructured) { put(volume, int64(5), "spec", "staleReplicaTimeout") })
	r.vanish("c")
	r.pass(10 * time.Second)
	r.idle(4 * time.Minute)
	r.want("after 4 min", degraded, "a good, b good, c failed")
	r.idle(2 * time.Minute)
	r.want("stale", degraded, "a good, b good")
}

func TestDisk_OfAReimagedMachineIsRefusedUntilItIsRepaired(t *testing.T) {
	t.Parallel()
	for name, repair := range map[string]func(r *rig){
		"disk removed and added": func(r *rig) {
			r.edit(longhornNodes, "c", func(node *unstructured.Unstructured) { put(node, map[string]any{}, "spec", "disks") })
			r.pass(time.Second)
		},
		"node removed": func(r *rig) {
			if err := r.longhorn.remove(r.t.Context(), longhornNodes, r.longhornObject(longhornNodes, "c")); err != nil {
				r.t.Fatalf("remove: %v", err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, "a", nil)
			r.node("c", func(node *corev1.Node) { node.Annotations[diskAnnotation] = "another" })
			r.pass(2 * time.Second)
			r.want("reimaged", degraded, "a good, b good, c failed")
			r.idle(10 * time.Minute)
			r.want("refused", degraded, "a good, b good, c failed")
			disk := mapAt(r.longhornObject(longhornNodes, "c"), "status", "diskStatus", "default-disk")
			ready, schedulable := conditionOf(conditionList(disk), "Ready"), conditionOf(conditionList(disk), "Schedulable")
			wanted := "Disk default-disk(/data) on node c is not ready: record diskUUID doesn't match the one on the disk "
			if ready["status"] != "False" || ready["reason"] != "DiskFilesystemChanged" || ready["message"] != wanted ||
				schedulable["status"] != "False" || schedulable["reason"] != "DiskNotReady" {
				t.Errorf("disk is %v", disk)
			}
			repair(r)
			if err := r.syncLonghornNodes(t.Context(), longhornNamespace); err != nil {
				t.Fatalf("new disk: %v", err)
			}
			r.pass(15 * time.Second)
			r.want("repaired", healthy, "a good, b good, c failed, c good")
		})
	}
}

func TestDisk_TheSameTextIsTheSameDisk(t *testing.T) {
	t.Parallel()
	r := newRig(t, "a", nil)
	r.node("c", func(node *corev1.Node) { node.Annotations[diskAnnotation] = "mine" })
	r.edit(longhornNodes, "c", func(node *unstructured.Unstructured) { put(node, map[string]any{}, "spec", "disks") })
	r.pass(time.Second)
	if err := r.syncLonghornNodes(t.Context(), longhornNamespace); err != nil {
		t.Fatalf("new disk: %v", err)
	}
	r.pass(80 * time.Second)
	r.want("on the new disk", healthy, "a good, b good, c failed, c good")
	r.vanish("c")
	r.pass(time.Second)
	r.add(aliveNode("c")[0])
	r.add(systemPod(managerName, "c"))
	r.node("c", func(node *corev1.Node) {
		node.UID, node.Annotations[diskAnnotation] = "another machine", "mine"
	})
	r.pass(5 * time.Second)
	r.want("the disk is back", healthy, "a good, b good, c failed, c good")
}

func TestNode_StaysUntilItsReplicasAreGoneAndSchedulingIsDisabled(t *testing.T) {
	t.Parallel()
	r := newRig(t, "a", nil)
	r.vanish("c")
	r.pass(10 * time.Second)
	ready := conditionOf(conditionsOf(r.longhornObject(longhornNodes, "c")), "Ready")
	if ready["status"] != "False" || ready["reason"] != "KubernetesNodeGone" {
		t.Errorf("got condition %v", ready)
	}
	if got := r.longhornObject(longhornNodes, "c").GetAnnotations()[instancesAnnotation]; got != "1" {
		t.Errorf("the node counts %s instances", got)
	}
	if r.longhornObject(instanceKind, instanceName("c")) != nil || r.budgets() != "a b" {
		t.Errorf("instance manager or budgets stay: %s", r.budgets())
	}
	r.edit(longhornNodes, "c", func(node *unstructured.Unstructured) { put(node, false, "spec", "allowScheduling") })
	r.pass(time.Second)
	if r.longhornObject(longhornNodes, "c") == nil {
		t.Error("removed with a replica on it")
	}
	if err := r.longhorn.remove(t.Context(), replicaKind, r.on("c")); err != nil {
		t.Fatalf("remove: %v", err)
	}
	r.pass(time.Second)
	if r.longhornObject(longhornNodes, "c") != nil {
		t.Error("stays although nothing is left on it")
	}
}

func TestEviction_CopiesFirstAndDoesNothingWithoutAPlace(t *testing.T) {
	t.Parallel()
	for name, request := range map[string]func(node *unstructured.Unstructured){
		"node": func(node *unstructured.Unstructured) {
			put(node, false, "spec", "allowScheduling")
			put(node, true, "spec", "evictionRequested")
		},
		"disk": func(node *unstructured.Unstructured) {
			put(node, false, "spec", "disks", "default-disk", "allowScheduling")
			put(node, true, "spec", "disks", "default-disk", "evictionRequested")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, "a", nil)
			r.edit(longhornNodes, "c", request)
			r.idle(time.Minute)
			r.want("no place", healthy, "a good, b good, c good")
			if !evicting(r.on("c")) || evicting(r.on("a")) {
				t.Error("eviction is not noted on the replica")
			}
			r.join("d")
			r.pass(5 * time.Second)
			r.want("copying", healthy, "a good, b good, c good, d fresh")
			r.pass(10 * time.Second)
			r.want("moved", healthy, "a good, b good, d good")
			disk := mapAt(r.longhornObject(longhornNodes, "c"), "status", "diskStatus", "default-disk", "scheduledReplica")
			if len(disk) != 0 {
				t.Errorf("disk still has %v", disk)
			}
		})
	}
}

func TestEviction_OfADetachedVolumeAttachesItUntilSomebodyWantsIt(t *testing.T) {
	t.Parallel()
	r := newRig(t, "a", map[string]string{"node-drain-policy": blockForEviction})
	r.attach("")
	r.cordon("c")
	r.pass(2 * time.Second)
	r.want("no place", healthy, "a good, b good, c good")
	if got := r.volumeField("status", "currentNodeID"); got == "" || got == "c" {
		t.Errorf("attached to %q, want a node that nothing leaves", got)
	}
	r.join("d")
	r.attach("a")
	r.pass(20 * time.Second)
	r.want("moved", healthy, "a good, b good, d good")
	r.pass(time.Second)
	if got := r.volumeField("status", "currentNodeID"); got != "a" {
		t.Errorf("the user's attachment became %q", got)
	}
	r.attach("")
	r.node("c", func(node *corev1.Node) { node.Spec.Unschedulable = false })
	r.cordon("d")
	r.pass(15 * time.Second)
	r.want("moved back, detached", unknown, "a good, b good, c good")
	if got := r.volumeField("status", "state"); got != detached {
		t.Errorf("volume is %s", got)
	}
}

func TestBudget_GivesWayToADrainAsThePolicySays(t *testing.T) {
	t.Parallel()
	policies := []string{alwaysAllow, allowStopped, "block-if-contains-last-replica", blockForLast, blockForEviction}
	cases := map[string]struct {
		attached string
		prepare  func(r *rig)
		// gone are the policies under which the budget of c goes.
		gone []string
	}{
		"copy of a healthy volume": {attached: "a", gone: policies[:4]},
		"volume in use there":      {attached: "c"},
		"detached volume":          {gone: policies[:4], prepare: func(r *rig) { r.attach("a"); r.attach("") }},
		"volume never used":        {gone: policies[:4]},
		"other copies lost, detached": {gone: policies[:2], prepare: func(r *rig) {
			r.attach("c")
			r.silence("a")
			r.silence("b")
			r.pass(10 * time.Second)
			r.attach("")
		}},
		"others cordoned, in use": {attached: "a", gone: policies[:1], prepare: func(r *rig) {
			r.node("a", func(node *corev1.Node) { node.Spec.Unschedulable = true })
			r.node("b", func(node *corev1.Node) { node.Spec.Unschedulable = true })
			r.pass(time.Second)
		}},
	}
	for name, test := range cases {
		for _, policy := range policies {
			t.Run(name+"/"+policy, func(t *testing.T) {
				t.Parallel()
				r := newRig(t, test.attached, map[string]string{"node-drain-policy": policy})
				if test.prepare != nil {
					test.prepare(r)
				}
				r.cordon("c")
				r.pass(3 * time.Second)
				if gone := !strings.Contains(r.budgets(), "c"); gone != slices.Contains(test.gone, policy) {
					t.Errorf("budget gone: %t (budgets of %q)", gone, r.budgets())
				}
				r.node("c", func(node *corev1.Node) { node.Spec.Unschedulable = false })
				r.pass(time.Second)
				if !strings.Contains(r.budgets(), "c") || evicting(r.on("c")) {
					t.Errorf("after uncordon: budgets of %q", r.budgets())
				}
			})
		}
	}
}

func TestBudget_BlockForEvictionMovesTheReplicasToAFourthNode(t *testing.T) {
	t.Parallel()
	r := newRig(t, "a", map[string]string{"node-drain-policy": blockForEviction})
	r.cordon("c")
	r.idle(time.Minute)
	r.want("no place", healthy, "a good, b good, c good")
	if got := r.budgets(); got != "a b c" {
		t.Errorf("budgets of %q", got)
	}
	if !truthAt(r.longhornObject(longhornNodes, "c"), "status", "autoEvicting") {
		t.Error("the node does not say that it evicts")
	}
	r.join("d")
	r.pass(15 * time.Second)
	r.want("moved", healthy, "a good, b good, d good")
	if got := r.budgets(); got != "a b d" {
		t.Errorf("moved: budgets of %q", got)
	}
}

func TestInstance_ComesBackOnALivingNodeAndItsReplicaWithIt(t *testing.T) {
	t.Parallel()
	r := newRig(t, "a", nil)
	pod, err := r.cache.podLister.Pods(longhornNamespace).Get(instanceName("c"))
	if err != nil || pod.Spec.NodeName != "c" || pod.Labels["longhorn.io/component"] != "instance-manager" {
		t.Fatalf("got pod %v, %v", pod, err)
	}
	r.deletePod(instanceName("c"))
	r.look()
	r.want("evicted", degraded, "a good, b good, c failed")
	r.startInstances()
	r.pass(4 * time.Second)
	r.want("back", healthy, "a good, b good, c good")
	if pod, err = r.cache.podLister.Pods(longhornNamespace).Get(instanceName("c")); err != nil {
		t.Fatalf("look up: %v", err)
	}
	owner := metav1.GetControllerOf(pod)
	if owner == nil || owner.Kind != "InstanceManager" {
		t.Errorf("owner is %v; a drain would ask to be forced", owner)
	}
}

func TestLocality_ACopyFollowsTheVolume(t *testing.T) {
	t.Parallel()
	r := newRig(t, "a", nil)
	r.edit(longhornVolumes, handle, func(volume *unstructured.Unstructured) { put(volume, "best-effort", "spec", "dataLocality") })
	r.join("d")
	r.node("d", func(node *corev1.Node) { node.Labels[corev1.LabelTopologyZone] = "zone-b" })
	r.attach("")
	r.attach("d")
	r.pass(15 * time.Second)
	r.want("at home", healthy, "a good, c good, d good")
}

func TestDelete_RemovesTheVolumesReplicasAndEngine(t *testing.T) {
	t.Parallel()
	r := newRig(t, "", nil)
	volume, err := r.cache.volumes.Get(handle)
	if err != nil {
		t.Fatalf("look up: %v", err)
	}
	if err := (&provisioner{r.standIn}).Delete(t.Context(), volume); err != nil {
		t.Fatalf("delete: %v", err)
	}
	if got := r.replicas(); got != "" || r.longhornObject(engineKind, engineName(handle)) != nil {
		t.Errorf("left: %s", got)
	}
}
