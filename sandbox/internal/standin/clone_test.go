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
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"

	"ha-iris/sandbox/internal/datapath/engine"
	"ha-iris/sandbox/internal/datapath/imclient"
)

const (
	copied = "pvc-2"
	// notCopied is how the driver refuses to attach a volume that lacks data.
	notCopied = "rpc error: code = Aborted desc = volume pvc-2 is not ready for workloads: volume request cloning data but has not finished copying data"
)

// newCloneRig is a rig whose volume has the snapshot s1.
func newCloneRig(t *testing.T, attachedTo string, values map[string]string) *rig {
	t.Helper()
	r := newRig(t, "a", values)
	r.snapshot("s1")
	r.pass(2 * enginePoll)
	r.attach(attachedTo)
	return r
}

// cloneTo provisions the volume pvc-2 of 20Gi from a data source.
func (r *rig) cloneTo(address string, number int) error {
	r.t.Helper()
	_, _, err := (&provisioner{r.standIn}).Provision(r.t.Context(), controller.ProvisionOptions{
		StorageClass: classOf(map[string]string{"dataSource": address, "numberOfReplicas": fmt.Sprint(number)}), PVName: copied,
		PVC: claimOf(corev1.ReadWriteOnce),
	})
	return err
}

// clone is cloneTo of the snapshot s1 with three replicas.
func (r *rig) clone() {
	r.t.Helper()
	if err := r.cloneTo("snap://pvc-1/s1", 3); err != nil {
		r.t.Fatal(err)
	}
}

// cloned is the clone's state, with how often it was tried.
func (r *rig) cloned() string {
	r.t.Helper()
	object := r.longhornObject(longhornVolumes, copied)
	return fmt.Sprintf("%s %d", cloneState(object), numberAt(object, "status", "cloneStatus", "attemptCount"))
}

func (r *rig) wantClone(when, state string) {
	r.t.Helper()
	if got := r.cloned(); got != state {
		r.t.Errorf("%s: got clone %q, want %q: %v", when, got, state, r.longhornObject(longhornVolumes, copied).Object["status"])
	}
}

func (r *rig) refused() string {
	r.t.Helper()
	refusal, err := r.refusal(r.t.Context(), longhornNamespace, copied, "a")
	if err != nil {
		r.t.Fatal(err)
	}
	return refusal
}

// copies are the replicas of the clone.
func (r *rig) copies() []*unstructured.Unstructured {
	r.t.Helper()
	s, err := r.readState(r.t.Context(), longhornNamespace)
	if err != nil {
		r.t.Fatal(err)
	}
	return s.replicas[copied]
}

// copyStatus is what the clone's engine says of its only replica.
func (r *rig) copyStatus() map[string]any {
	r.t.Helper()
	all := mapAt(r.longhornObject(engineKind, engineName(copied)), "status", "cloneStatus")
	if len(all) != 1 {
		r.t.Fatalf("got %v, want one replica", all)
	}
	for address, status := range all {
		if fields, ok := status.(map[string]any); ok && strings.HasPrefix(address, "tcp://") {
			return fields
		}
	}
	r.t.Fatalf("got %v", all)
	return nil
}

func TestClone_FillsOneReplicaBeforeAnybodyCanUseIt(t *testing.T) {
	t.Parallel()
	r := newCloneRig(t, "a", nil)
	r.clone()
	r.pass(3 * time.Second)
	object, process := r.longhornObject(longhornVolumes, copied), r.longhornObject(engineKind, engineName(copied))
	if textAt(object, "spec", "cloneMode") != "full-copy" || object.GetLabels()[cloneSourceLabel] != handle ||
		textAt(object, "status", "state") != attached || textAt(object, "status", "robustness") != degraded ||
		textAt(object, "status", "cloneStatus", "sourceVolume") != handle || textAt(object, "status", "cloneStatus", "snapshot") != "s1" ||
		textAt(process, "spec", "requestedDataSource") != "snap://pvc-1/s1" {
		t.Errorf("got %v, %v", object.Object, process.Object["spec"])
	}
	r.wantClone("in the middle", "initiated 1")
	status := r.copyStatus()
	if percent, _ := status["progress"].(int64); percent < 20 || percent > 80 || status["isCloning"] != true || status["state"] != "in_progress" ||
		status["snapshotName"] != "s1" || !strings.HasPrefix(fmt.Sprint(status["fromReplicaAddress"]), "tcp://") {
		t.Errorf("got %v", status)
	}
	if len(r.copies()) != 1 || !good(r.copies()[0]) || r.refused() != notCopied {
		t.Errorf("got replicas %v, refusal %q", r.copies(), r.refused())
	}
	r.pass(backupTime)
	r.wantClone("copied", "copy-completed-awaiting-healthy 1")
	object, process = r.longhornObject(longhornVolumes, copied), r.longhornObject(engineKind, engineName(copied))
	if textAt(object, "status", "state") != detached || textAt(process, "spec", "requestedDataSource") != "" ||
		r.copyStatus()["state"] != "complete" || len(r.copies()[0].GetAnnotations()) > 0 {
		t.Errorf("got %v, %v, %v", object.Object["status"], process.Object, r.copies()[0].GetAnnotations())
	}
	r.idle(time.Hour)
	if r.wantClone("unused", "copy-completed-awaiting-healthy 1"); len(r.copies()) != 1 || r.refused() != "" {
		t.Errorf("got replicas %v, refusal %q", r.copies(), r.refused())
	}
	if err := r.setAttached(t.Context(), longhornNamespace, copied, "a"); err != nil {
		t.Fatal(err)
	}
	if got := r.field(longhornVolumes, copied, "status", "robustness"); got != degraded {
		t.Errorf("got %s with one replica of three", got)
	}
	r.pass(3*rebuildTime + 2*time.Second)
	if r.wantClone("in use", "completed 1"); count(r.copies(), good) != 3 {
		t.Errorf("got %v", r.copies())
	}
}

func TestClone_OfOneReplicaIsCompleteAtOnce(t *testing.T) {
	t.Parallel()
	r := newCloneRig(t, "a", nil)
	if err := r.cloneTo("snap://pvc-1/s1", 1); err != nil {
		t.Fatal(err)
	}
	r.pass(2 * time.Second)
	if got := r.field(longhornVolumes, copied, "status", "robustness"); got != healthy || r.refused() != notCopied {
		t.Errorf("got %s, refusal %q", got, r.refused())
	}
	r.make(snapshotKind, "own", map[string]any{"volume": copied, "createSnapshot": true})
	r.pass(2 * time.Second)
	if got := r.field(snapshotKind, "own", "status", "requestedTime"); got != "" {
		t.Error("there is a snapshot of a volume that lacks data")
	}
	r.pass(backupTime)
	r.wantClone("copied", "completed 1")
	r.pass(2 * enginePoll)
	if !ready(r.longhornObject(snapshotKind, "own")) {
		t.Error("no snapshot is taken once the data are there")
	}
}

func TestClone_RefusesWhatCannotBeCopied(t *testing.T) {
	t.Parallel()
	r := newCloneRig(t, "a", nil)
	r.snapshot("early")
	r.make(longhornVolumes, "small", map[string]any{"size": "1073741824", "numberOfReplicas": int64(3)})
	for address, want := range map[string]string{
		"snap://pvc-1/none":  `[404]. Status [404 Not Found]. Body: [code=Not Found, detail=, message=%s: snapshot.longhorn.io "none" not found]`,
		"snap://none/s1":     `[404]. Status [404 Not Found]. Body: [code=Not Found, detail=, message=%s: volume.longhorn.io "none" not found]`,
		"vol://none":         `[404]. Status [404 Not Found]. Body: [code=Not Found, detail=, message=%s: volume.longhorn.io "none" not found]`,
		"snap://pvc-1/early": `[500]. Status [500 Internal Server Error]. Body: [code=Internal Server Error, detail=, message=%s: snapshot early is not ready to use]`,
		"vol://small": `[500]. Status [500 Internal Server Error]. Body: [code=Internal Server Error, detail=, message=%s: ` +
			`size of target volume (21474836480 bytes) is different than size of source volume (1073741824 bytes)]`,
		"snap://pvc-1": `[500]. Status [500 Internal Server Error]. Body: [code=Internal Server Error, detail=, message=%s: invalid value for data source: snap://pvc-1]`,
		"pvc-1":        `[500]. Status [500 Internal Server Error]. Body: [code=Internal Server Error, detail=, message=%s: invalid value for data source: pvc-1]`,
	} {
		want = "rpc error: code = Internal desc = Bad response statusCode " +
			fmt.Sprintf(want, "failed to create volume: unable to create volume pvc-2: failed to verify data source") +
			" from [http://longhorn-backend:9500/v1/volumes]"
		if err := r.cloneTo(address, 3); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", address, err, want)
		}
	}
	if r.longhornObject(longhornVolumes, copied) != nil {
		t.Error("there is a volume")
	}
	r.clone()
	r.delete(snapshotKind, "s1") // The driver does not look again at a volume that it has made.
	if err := r.cloneTo("snap://pvc-1/s1", 3); err != nil {
		t.Error(err)
	}
}

// obstacle asks for the source on a node as the driver does, and returns what is in the way.
func (r *rig) obstacle(node string) string {
	r.t.Helper()
	obstacle, err := r.publish(r.t.Context(), longhornNamespace, &call{starting: r.clock.Now().Add(-time.Hour)}, handle, node)
	if err != nil {
		r.t.Fatal(err)
	}
	return obstacle
}

func TestClone_AttachesItsSourceForTheCopyOnly(t *testing.T) {
	t.Parallel()
	r := newCloneRig(t, "", nil)
	r.clone()
	r.pass(2 * time.Second)
	r.wantClone("in the middle", "initiated 1")
	own := r.volumeField("status", "currentNodeID")
	if r.volumeField("status", "state") != attached || own == "" {
		t.Fatalf("the source is %s on %q", r.volumeField("status", "state"), own)
	}
	other := "a"
	if own == "a" {
		other = "b"
	}
	if got := r.obstacle(other); got != "the volume is currently attached to different node "+own {
		t.Errorf("got %q of a workload on another node", got)
	}
	if err := r.setAttached(t.Context(), longhornNamespace, handle, other); err == nil || r.volumeField("status", "currentNodeID") != own {
		t.Errorf("the source was taken from the clone: %v", err)
	}
	r.pass(backupTime + 2*time.Second)
	r.wantClone("copied", "copy-completed-awaiting-healthy 1")
	if got := r.volumeField("status", "state"); got != detached {
		t.Errorf("the source stays %s", got)
	}
	if got := r.obstacle(other); strings.HasPrefix(got, "the volume is") {
		t.Errorf("got %q after the copy", got)
	}
}

func TestClone_KeepsItsSourceWhenTheWorkloadLeavesAndReturns(t *testing.T) {
	t.Parallel()
	r := newCloneRig(t, "b", nil)
	r.clone()
	r.pass(2 * time.Second)
	r.attach("")
	r.pass(time.Second)
	if r.volumeField("status", "currentNodeID") != "b" || r.volumeField("status", "state") != attached {
		t.Errorf("the source is %s on %q", r.volumeField("status", "state"), r.volumeField("status", "currentNodeID"))
	}
	if got := r.obstacle("b"); strings.HasPrefix(got, "the volume is") {
		t.Errorf("got %q where it is attached", got)
	}
	r.pass(backupTime)
	r.wantClone("copied", "copy-completed-awaiting-healthy 1")
	if got := r.volumeField("status", "currentNodeID"); got != "b" {
		t.Errorf("the workload that has returned has lost the volume: it is on %q", got)
	}
}

// The source waits even on a node that has died, until Longhorn knows that its engine has ended.
func TestClone_HoldsItsSourceOnADeadNode(t *testing.T) {
	t.Parallel()
	r := newCloneRig(t, "b", nil)
	for _, node := range []string{"b", "c"} { // the clone's replica is where neither the source's engine is nor the one that is read
		r.edit(longhornNodes, node, func(object *unstructured.Unstructured) { put(object, false, "spec", "allowScheduling") })
	}
	r.clone()
	r.edit(longhornVolumes, copied, func(volume *unstructured.Unstructured) { annotate(volume, backupAnnotation, "600") })
	r.pass(2 * time.Second)
	r.readFrom("c")
	r.silence("b")
	r.idle(time.Minute)
	r.attach("")
	r.pass(time.Second)
	if got := r.obstacle("a"); got != "the volume is currently attached to different node b" {
		t.Errorf("got %q", got)
	}
	r.wantClone("the replica that is read lives", "initiated 1")
	r.deletePod(instanceName("b"))
	r.pass(3 * time.Second)
	r.wantClone("the source's engine has ended", "failed 1")
	if got := r.obstacle("a"); strings.HasPrefix(got, "the volume is") {
		t.Errorf("got %q", got)
	}
}

// readFrom makes the clone read the source's replica on that node.
func (r *rig) readFrom(node string) {
	r.t.Helper()
	r.edit(replicaKind, r.copies()[0].GetName(), func(replica *unstructured.Unstructured) {
		annotate(replica, sourceAnnotation, r.volumeField("status", "currentNodeID")+"/"+r.on(node).GetName())
	})
}

func TestClone_FailsWithoutItsSnapshot(t *testing.T) {
	t.Parallel()
	r := newCloneRig(t, "a", nil)
	r.snapshot("s2") // the last one is only marked
	r.pass(2 * enginePoll)
	r.clone()
	r.pass(2 * time.Second)
	r.delete(snapshotKind, "s1")
	r.pass(2 * time.Second)
	r.wantClone("snapshot deleted", "failed 1")
	if status := r.copyStatus(); status["state"] != "error" || status["isCloning"] != false ||
		!strings.HasPrefix(fmt.Sprint(status["error"]), "cannot find snapshot s1 in the source replica tcp://") {
		t.Errorf("got %v", status)
	}
	if r.field(longhornVolumes, copied, "status", "state") != detached || r.refused() != notCopied {
		t.Errorf("got %s, refusal %q", r.field(longhornVolumes, copied, "status", "state"), r.refused())
	}
	waits := []time.Duration{}
	for attempt := 2; attempt <= maxClones; attempt++ {
		began := r.clock.Now()
		for r.cloned() != fmt.Sprint("failed ", attempt) && r.clock.Now().Sub(began) < 5*time.Hour {
			r.clock.Step(5 * time.Second)
			r.look()
		}
		waits = append(waits, r.clock.Now().Sub(began).Round(time.Minute/2))
	}
	want := []time.Duration{30, 60, 120, 240, 480, 960, 1920, 3840, 7680}
	for i := range want {
		want[i] *= time.Second
	}
	if !slices.Equal(waits, want) {
		t.Errorf("tried again after %v, want %v", waits, want)
	}
	r.idle(100 * time.Hour)
	if r.wantClone("after ten attempts", "failed 10"); r.refused() != notCopied {
		t.Errorf("got refusal %q", r.refused())
	}
}

// Longhorn attaches the source for the first attempt only (volume_clone_controller.go asks for one that has not failed).
func TestClone_IsTriedAgainOnceSomebodyUsesItsSource(t *testing.T) {
	t.Parallel()
	r := newCloneRig(t, "", nil)
	r.clone()
	r.pass(2 * time.Second)
	_, name, _ := strings.Cut(r.copies()[0].GetAnnotations()[sourceAnnotation], "/")
	r.edit(replicaKind, name, func(replica *unstructured.Unstructured) { r.fail(replica) })
	r.pass(2 * time.Second)
	r.wantClone("its source's replica is lost", "failed 1")
	r.idle(time.Hour)
	if r.wantClone("nobody uses the source", "failed 1"); r.volumeField("status", "state") != detached {
		t.Errorf("the source is %s", r.volumeField("status", "state"))
	}
	r.attach("c")
	r.pass(2 * time.Second)
	if r.wantClone("somebody uses the source", "initiated 2"); r.copyStatus()["state"] != "in_progress" {
		t.Errorf("got %v", r.copyStatus())
	}
	r.pass(backupTime)
	r.wantClone("copied", "copy-completed-awaiting-healthy 2")
}

func TestClone_FailsWithoutItsSource(t *testing.T) {
	t.Parallel()
	r := newCloneRig(t, "", nil)
	r.clone()
	r.pass(2 * time.Second)
	r.wantClone("in the middle", "initiated 1")
	if err := (&provisioner{r.standIn}).Delete(t.Context(), r.persistentVolume()); err != nil {
		t.Fatal(err)
	}
	r.pass(2 * time.Second)
	r.wantClone("the source is gone", "failed 1")
	r.idle(time.Hour)
	if r.wantClone("later", "failed 1"); r.refused() != notCopied || r.copyStatus()["error"] != "cannot find the source volume pvc-1" {
		t.Errorf("got refusal %q, %v", r.refused(), r.copyStatus())
	}
	r.make(longhornVolumes, "by-hand", map[string]any{"dataSource": "vol://none", "numberOfReplicas": int64(3), "size": "1073741824"})
	r.pass(time.Second)
	object := r.longhornObject(longhornVolumes, "by-hand")
	if cloneState(object) != cloneFailed || numberAt(object, "status", "cloneStatus", "attemptCount") != 0 {
		t.Errorf("got %v of a source that never was", object.Object["status"])
	}
}

func (r *rig) persistentVolume() *corev1.PersistentVolume {
	r.t.Helper()
	volume, err := r.cache.volumes.Get(handle)
	if err != nil {
		r.t.Fatal(err)
	}
	return volume
}

func TestClone_LetsItsSourceGoWhenItIsDeletedItself(t *testing.T) {
	t.Parallel()
	r := newCloneRig(t, "", nil)
	r.clone()
	r.pass(2 * time.Second)
	if err := r.longhorn.remove(t.Context(), longhornVolumes, r.longhornObject(longhornVolumes, copied)); err != nil {
		t.Fatal(err)
	}
	r.pass(2 * time.Second)
	if got := r.volumeField("status", "state"); got != detached || len(r.copies()) != 0 {
		t.Errorf("the source is %s, and there are %d replicas", got, len(r.copies()))
	}
}

func TestClone_OfAVolumeTakesOneSnapshot(t *testing.T) {
	t.Parallel()
	r := newRig(t, "a", nil)
	r.attach("")
	if err := r.cloneTo("vol://pvc-1", 3); err != nil {
		t.Fatal(err)
	}
	r.pass(2*enginePoll + backupTime)
	r.wantClone("copied", "copy-completed-awaiting-healthy 1")
	s, err := r.readState(t.Context(), longhornNamespace)
	if err != nil {
		t.Fatal(err)
	}
	taken := s.snapshotsOf(handle)
	if len(taken) != 1 || textAt(taken[0], "spec", "labels", cloneSnapshotLabel) != copied || !ready(taken[0]) ||
		taken[0].GetName() != r.field(longhornVolumes, copied, "status", "cloneStatus", "snapshot") {
		t.Errorf("got %v", taken)
	}
}

// What a dead node has of a copy is nothing: it begins anew when the node is back, as the same attempt.
func TestClone_BeginsAnewWhenItsReplicaIsBack(t *testing.T) {
	t.Parallel()
	r := newCloneRig(t, "b", nil)
	for _, node := range []string{"b", "c"} {
		r.edit(longhornNodes, node, func(object *unstructured.Unstructured) { put(object, false, "spec", "allowScheduling") })
	}
	r.clone()
	r.pass(3 * time.Second)
	r.readFrom("c")
	r.silence("a")
	r.pass(backupTime + 10*time.Second)
	if got := r.field(longhornVolumes, copied, "status", "robustness"); got != unknown {
		t.Errorf("got %s while nobody hears of the copy", got)
	}
	r.deletePod(instanceName("a"))
	r.pass(3 * time.Second)
	if r.wantClone("dead", "initiated 1"); r.refused() != strings.Split(notCopied, ": volume request")[0]+": volume is faulted" {
		t.Errorf("got refusal %q", r.refused())
	}
	if r.volumeField("status", "currentNodeID") != "b" || !failed(r.copies()[0]) {
		t.Errorf("the source is on %q, the replica is %v", r.volumeField("status", "currentNodeID"), r.copies()[0].Object["spec"])
	}
	r.revive("a")
	r.startInstances()
	r.pass(4 * time.Second)
	if percent, _ := r.copyStatus()["progress"].(int64); percent < 1 || percent > 80 || r.refused() != notCopied {
		t.Errorf("got %v, refusal %q; want the copy to begin anew", r.copyStatus(), r.refused())
	}
	r.pass(backupTime)
	r.wantClone("copied", "copy-completed-awaiting-healthy 1")
}

func TestClone_BeginsAnewAfterTheEndOfItsInstanceManager(t *testing.T) {
	t.Parallel()
	r := newCloneRig(t, "a", nil)
	for _, node := range []string{"a", "b"} {
		r.edit(longhornNodes, node, func(object *unstructured.Unstructured) { put(object, false, "spec", "allowScheduling") })
	}
	r.clone()
	r.pass(2 * time.Second)
	r.readFrom("b")
	r.pass(2 * time.Second)
	percent := func() int64 {
		number, _ := r.copyStatus()["progress"].(int64)
		return number
	}
	if percent() < 60 {
		t.Errorf("got %d %%", percent())
	}
	r.deletePod(instanceName("c"))
	r.look()
	if got := r.field(longhornVolumes, copied, "status", "robustness"); got != faulted || !failed(r.copies()[0]) {
		t.Errorf("got %s, %v", got, r.copies()[0].Object["spec"])
	}
	r.startInstances()
	r.pass(3 * time.Second)
	if r.wantClone("again", "initiated 1"); percent() >= 60 {
		t.Errorf("got %d %%: what was copied has gone with its process", percent())
	}
	r.pass(backupTime)
	r.wantClone("copied", "copy-completed-awaiting-healthy 1")
}

// Where all replicas are asked for, a clone is ready with one, and has no condition before it has all.
func TestClone_IsReadyWithOneReplicaWhereAllAreAskedFor(t *testing.T) {
	t.Parallel()
	r := newCloneRig(t, "a", strict(nil))
	r.clone()
	scheduled := func() any {
		return conditionOf(conditionsOf(r.longhornObject(longhornVolumes, copied)), "Scheduled")["status"]
	}
	r.pass(backupTime + 4*time.Second)
	if r.wantClone("copied", "copy-completed-awaiting-healthy 1"); r.refused() != "" || scheduled() != nil {
		t.Errorf("got refusal %q, scheduled %v", r.refused(), scheduled())
	}
	if err := r.setAttached(t.Context(), longhornNamespace, copied, "a"); err != nil {
		t.Fatal(err)
	}
	r.pass(3*rebuildTime + 2*time.Second)
	if r.wantClone("in use", "completed 1"); scheduled() != "True" {
		t.Errorf("scheduled: %v", scheduled())
	}
}

func TestReal_ACloneFillsItsOnlyReplicaFromOneOfItsSource(t *testing.T) {
	t.Parallel()
	r, source := newAttachedRig(t)
	for _, manager := range r.managers {
		manager.snapshots = []imclient.Snapshot{{Name: "s1", Created: r.clock.Now(), Allocated: 4096}}
	}
	r.pass(2 * enginePoll)
	r.clone()
	r.pass(2 * time.Second)
	replica := r.copies()[0]
	manager := r.managers[textAt(replica, "spec", "nodeID")]
	id := "clones of " + replica.GetName()
	asked := slices.DeleteFunc(slices.Clone(manager.done), func(line string) bool { return !strings.HasSuffix(line, "/clones") })
	if len(asked) != 1 || len(manager.clones) != 1 || manager.clones[0].Snapshot != "s1" || manager.engines[engineName(copied)] != nil ||
		!slices.ContainsFunc(source.Replicas, func(one engine.ReplicaStatus) bool { return one.Address == manager.clones[0].Address }) {
		t.Fatalf("got %v, %v, engines %v", asked, manager.clones, manager.engines)
	}
	manager.tasks[id] = imclient.Task{ID: id, State: imclient.Running, Progress: 40}
	r.pass(time.Second)
	if got := r.copyStatus(); got["progress"] != int64(40) || got["fromReplicaAddress"] != "tcp://"+manager.clones[0].Address {
		t.Errorf("got %v", got)
	}
	manager.tasks[id] = imclient.Task{ID: id, State: imclient.Failed, Error: "no space"}
	r.pass(time.Second)
	r.wantClone("the copy has failed", "failed 1")
	if r.copyStatus()["error"] != "no space" || len(manager.replicas) != 1 {
		t.Errorf("got %v, replicas %v; want the clone's process ended", r.copyStatus(), manager.replicas)
	}
	r.pass(40 * time.Second)
	if r.wantClone("again", "initiated 2"); len(manager.clones) != 2 || manager.tasks[id].State != imclient.Running {
		t.Fatalf("got %v, %v", manager.clones, manager.tasks)
	}
	for _, one := range r.managers { // which does not matter any more once all is copied
		one.snapshots = nil
	}
	r.pass(time.Second)
	manager.tasks[id] = imclient.Task{ID: id, State: imclient.Complete, Progress: 100}
	r.pass(time.Second)
	r.wantClone("copied", "copy-completed-awaiting-healthy 2")
	if err := r.setAttached(t.Context(), longhornNamespace, copied, "a"); err != nil {
		t.Fatal(err)
	}
	if process := r.managers["a"].engines[engineName(copied)]; process == nil || len(process.Replicas) != 1 || process.Replicas[0].Name != replica.GetName() {
		t.Errorf("got engine %+v, want the replica that was filled", process)
	}
}

// A process that has ended has taken its part of a copy with it, and says nothing of the next one.
func TestReal_ACloneBeginsAnewWhenItsNodeIsBack(t *testing.T) {
	t.Parallel()
	r, _ := newAttachedRig(t)
	for _, manager := range r.managers {
		manager.snapshots = []imclient.Snapshot{{Name: "s1", Created: r.clock.Now(), Allocated: 4096}}
	}
	r.pass(2 * enginePoll)
	for _, node := range []string{"a", "b"} {
		r.edit(longhornNodes, node, func(object *unstructured.Unstructured) { put(object, false, "spec", "allowScheduling") })
	}
	r.clone()
	r.pass(2 * time.Second)
	manager := r.managers["c"]
	r.readFrom("b")
	manager.silent = true
	r.node("c", func(node *corev1.Node) { node.Status.Conditions[0].Status = corev1.ConditionUnknown })
	r.pass(5 * time.Second)
	if got := r.field(longhornVolumes, copied, "status", "robustness"); got != unknown || len(manager.clones) != 1 {
		t.Errorf("got %s, %d clones", got, len(manager.clones))
	}
	r.wantClone("silent", "initiated 1")
	pod, err := r.client.CoreV1().Pods(longhornNamespace).Get(t.Context(), instanceName("c"), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r.deletePod(pod.Name)
	r.pass(2 * time.Second)
	if got := r.field(longhornVolumes, copied, "status", "robustness"); got != faulted {
		t.Errorf("got %s without an instance manager", got)
	}
	manager.silent, manager.tasks, manager.replicas = false, map[string]imclient.Task{}, map[string]imclient.Replica{}
	r.node("c", func(node *corev1.Node) { node.Status.Conditions[0].Status = corev1.ConditionTrue })
	pod.ResourceVersion = ""
	r.add(pod)
	r.refresh()
	r.pass(3 * time.Second)
	if r.wantClone("back", "initiated 1"); len(manager.clones) != 2 || r.copyStatus()["error"] != "" {
		t.Errorf("got %d clones, %v", len(manager.clones), r.copyStatus())
	}
}
