package standin

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

func claimOf(mode corev1.PersistentVolumeAccessMode) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: "iris", Name: "data"},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{mode},
			Resources: corev1.VolumeResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("20Gi")},
			},
		},
	}
}

func classOf(parameters map[string]string) *storagev1.StorageClass {
	return &storagev1.StorageClass{
		ReclaimPolicy: ptr(corev1.PersistentVolumeReclaimRetain), MountOptions: []string{"noatime"}, Parameters: parameters,
	}
}

func (h *harness) provision(mode corev1.PersistentVolumeAccessMode, parameters map[string]string) (*corev1.PersistentVolume, error) {
	p := &provisioner{h.standIn}
	volume, _, err := p.Provision(h.t.Context(), controller.ProvisionOptions{
		StorageClass: classOf(parameters), PVName: handle, PVC: claimOf(mode),
	})
	return volume, err
}

func TestProvision_DescribesTheVolumeAsTheSidecarDoes(t *testing.T) {
	t.Parallel()
	h := newHarness(t, installed(nil)...)
	got, err := h.provision(corev1.ReadWriteOnce, map[string]string{
		"numberOfReplicas": "2", "dataLocality": "best-effort", "csi.storage.k8s.io/fstype": "xfs",
	})
	if err != nil {
		t.Fatalf("provision: %v", err)
	}
	source := got.Spec.CSI
	if source.Driver != driverName || source.VolumeHandle != handle || source.FSType != "xfs" {
		t.Errorf("got source %+v", source)
	}
	wanted := map[string]string{
		"numberOfReplicas": "2", "dataLocality": "best-effort", identityAttribute: driverName,
	}
	if !maps.Equal(source.VolumeAttributes, wanted) {
		t.Errorf("got attributes %v, want %v", source.VolumeAttributes, wanted)
	}
	size := got.Spec.Capacity[corev1.ResourceStorage]
	if size.String() != "20Gi" || got.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimRetain ||
		!slices.Equal(got.Spec.MountOptions, []string{"noatime"}) {
		t.Errorf("got %+v", got.Spec)
	}
	if got := h.volumeField("spec", "size"); got != "21474836480" {
		t.Errorf("Longhorn's volume has size %q", got)
	}
}

func TestProvision_FollowsTheAccessMode(t *testing.T) {
	t.Parallel()
	cases := map[corev1.PersistentVolumeAccessMode]struct{ attribute, longhorn, problem string }{
		corev1.ReadWriteOnce:    {longhorn: "rwo"},
		corev1.ReadWriteOncePod: {attribute: "exclusive", longhorn: "rwop"},
		corev1.ReadWriteMany:    {attribute: "share", longhorn: "rwx"},
		corev1.ReadOnlyMany:     {problem: "ReadOnlyMany is not supported"},
	}
	for mode, want := range cases {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, installed(nil)...)
			got, err := h.provision(mode, nil)
			if want.problem != "" {
				if err == nil || !strings.Contains(err.Error(), want.problem) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatalf("provision: %v", err)
			}
			if want.attribute != "" && got.Spec.CSI.VolumeAttributes[want.attribute] != "true" {
				t.Errorf("got attributes %v", got.Spec.CSI.VolumeAttributes)
			}
			if got := h.volumeField("spec", "accessMode"); got != want.longhorn {
				t.Errorf("Longhorn's volume is %q, want %q", got, want.longhorn)
			}
		})
	}
}

func TestProvision_RefusesAnImpossibleNumberOfReplicas(t *testing.T) {
	t.Parallel()
	for _, number := range []string{"0", "21", "three"} {
		h := newHarness(t, installed(nil)...)
		if _, err := h.provision(corev1.ReadWriteOnce, map[string]string{"numberOfReplicas": number}); err == nil {
			t.Errorf("%s replicas were accepted", number)
		}
	}
}

func TestProvision_NeedsAManagerThatRuns(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	if _, err := h.provision(corev1.ReadWriteOnce, nil); err == nil {
		t.Error("provisioned without Longhorn")
	}
}

func TestSchedule_WantsANodePerReplicaUnlessToldOtherwise(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		replicas string
		settings map[string]string
		prepare  func(h *harness)
		want     string
	}{
		"three on three":             {replicas: "3", want: "True"},
		"four on three":              {replicas: "4", want: "True"}, // degraded volumes are allowed by default
		"four on three, strict":      {replicas: "4", settings: strict(nil), want: "False"},
		"four on three, soft":        {replicas: "4", settings: strict(map[string]string{"replica-soft-anti-affinity": "true"}), want: "True"},
		"three with one dead":        {replicas: "3", settings: strict(nil), prepare: func(h *harness) { h.silence("c") }, want: "False"},
		"two with one dead":          {replicas: "2", settings: strict(nil), prepare: func(h *harness) { h.silence("c") }, want: "True"},
		"three with one cordoned":    {replicas: "3", settings: strict(nil), prepare: func(h *harness) { h.cordon("c") }, want: "False"},
		"cordoned counts if told so": {replicas: "3", settings: strict(map[string]string{"disable-scheduling-on-cordoned-node": "false"}), prepare: func(h *harness) { h.cordon("c") }, want: "True"},
		"no node at all": {replicas: "1", prepare: func(h *harness) {
			for _, name := range []string{"a", "b", "c"} {
				h.silence(name)
			}
		}, want: "False"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, installed(test.settings)...)
			if test.prepare != nil {
				test.prepare(h)
			}
			// Longhorn creates the volume in any case; only attaching it fails.
			if _, err := h.provision(corev1.ReadWriteOnce, map[string]string{"numberOfReplicas": test.replicas}); err != nil {
				t.Fatalf("provision: %v", err)
			}
			state, err := h.volumeStateOf(t.Context(), longhornNamespace, handle)
			if err != nil || state.scheduled != (test.want == "True") {
				t.Errorf("got %+v, %v; want scheduled %s", state, err, test.want)
			}
		})
	}
}

func strict(more map[string]string) map[string]string {
	values := map[string]string{"allow-volume-creation-with-degraded-availability": "false"}
	maps.Copy(values, more)
	return values
}

func (h *harness) cordon(name string) {
	h.t.Helper()
	node, err := h.client.CoreV1().Nodes().Get(h.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		h.t.Fatalf("read node: %v", err)
	}
	node.Spec.Unschedulable = true
	if _, err := h.client.CoreV1().Nodes().Update(h.t.Context(), node, metav1.UpdateOptions{}); err != nil {
		h.t.Fatalf("cordon: %v", err)
	}
	h.refresh()
}

func TestDelete_RemovesTheVolumeOnceItIsDetached(t *testing.T) {
	t.Parallel()
	h := newHarness(t, world(installed(nil), boundClaim("a"), attachmentTo("a", true))...)
	p := &provisioner{h.standIn}
	volume, err := h.cache.volumes.Get(handle)
	if err != nil {
		t.Fatalf("look up: %v", err)
	}
	err = p.Delete(t.Context(), volume)
	if ignored := new(controller.IgnoredError); err == nil || errors.As(err, &ignored) || h.longhornObject(longhornVolumes, handle) == nil {
		t.Errorf("attached: got %v", err)
	}
	if err := h.client.StorageV1().VolumeAttachments().Delete(t.Context(), "to-a", metav1.DeleteOptions{}); err != nil {
		t.Fatalf("delete attachment: %v", err)
	}
	h.refresh()
	if err := p.Delete(t.Context(), volume); err != nil || h.longhornObject(longhornVolumes, handle) != nil {
		t.Errorf("detached: got %v", err)
	}
}

// follow calls the attacher whenever it asks for it, until the time is over. It returns how long the attachment took; the
// whole time if it is not attached.
func (h *harness) follow(name string, d time.Duration) time.Duration {
	h.t.Helper()
	began := h.clock.Now()
	for {
		again := h.call(h.syncAttachment, name)
		passed := h.clock.Now().Sub(began)
		if h.attachment(name).Status.Attached || again == 0 || passed+again > d {
			return passed
		}
		h.clock.Step(again)
	}
}

func (h *harness) attachError(name string) string {
	h.t.Helper()
	if failure := h.attachment(name).Status.AttachError; failure != nil {
		return failure.Message
	}
	return ""
}

func TestAttach_TakesInstancesAMonitorAndATickAndMarksBothObjectsFirst(t *testing.T) {
	t.Parallel()
	h := newHarness(t, world(installed(nil), boundClaim(""), attachmentTo("a", false))...)
	if again := h.call(h.syncAttachment, "to-a"); again != attachTick {
		t.Errorf("looks again after %s, want %s", again, attachTick)
	}
	got := h.attachment("to-a")
	if got.Status.Attached || !slices.Contains(got.Finalizers, attachFinalizerOf(driverName)) || got.Annotations[nodeIDAnnotation] != "a" {
		t.Errorf("at once: got %+v", got)
	}
	if volume, err := h.cache.volumes.Get(handle); err != nil || !slices.Contains(volume.Finalizers, attachFinalizerOf(driverName)) {
		t.Errorf("persistent volume is not marked: %+v, %v", volume, err)
	}
	h.clock.Step(attachTick)
	h.call(h.syncAttachment, "to-a")
	if got := h.volumeField("status", "currentNodeID"); got != "" {
		t.Errorf("before its instances have started: attached to %q", got)
	}
	h.clock.Step(instanceTime - attachTick)
	h.call(h.syncAttachment, "to-a")
	if got := h.volumeField("status", "currentNodeID"); got != "a" || h.attachment("to-a").Status.Attached {
		t.Errorf("once they have: attached to %q, in Kubernetes %t", got, h.attachment("to-a").Status.Attached)
	}
	if took := instanceTime + h.follow("to-a", time.Minute); took != 8*time.Second {
		t.Errorf("took %s", took)
	}
	if got := textAt(h.longhornObject(engineKind, engineName(handle)), "status", "endpoint"); got != "/dev/longhorn/"+handle {
		t.Errorf("engine's device is %q", got)
	}
}

func TestAttach_ADeviceThatNobodyClearedCountsAtOnce(t *testing.T) {
	t.Parallel()
	h := newHarness(t, world(installed(nil), boundClaim(""), attachmentTo("b", false))...)
	h.call(h.syncData, "")
	engine := h.longhornObject(engineKind, engineName(handle))
	put(engine, "/dev/longhorn/"+handle, "status", "endpoint")
	if err := h.longhorn.updateStatus(t.Context(), engineKind, engine); err != nil {
		t.Fatalf("leave a device: %v", err)
	}
	if took := h.follow("to-b", time.Minute); took != 4*time.Second {
		t.Errorf("took %s", took)
	}
}

func TestDevice_OfADeadNodesEngineStaysUnlessAnotherManagerMonitors(t *testing.T) {
	t.Parallel()
	lose := func(r *rig, moment time.Duration) (monitored bool) {
		t.Helper()
		r.silence("a")
		r.node("a", func(node *corev1.Node) {
			node.Status.Conditions[0].LastTransitionTime = metav1.NewTime(r.clock.Now().Add(moment))
		})
		monitored, err := r.monitored("a")
		if err != nil {
			t.Fatalf("lose node: %v", err)
		}
		return monitored
	}
	device := func(r *rig) string {
		return textAt(r.longhornObject(engineKind, engineName(handle)), "status", "endpoint")
	}
	moments, probe := map[bool]time.Duration{}, newRig(t, "a", nil)
	lose(probe, 0)
	for moment := range podResync / time.Second {
		probe.node("a", func(node *corev1.Node) {
			node.Status.Conditions[0].LastTransitionTime = metav1.NewTime(probe.clock.Now().Add(moment * time.Second))
		})
		monitored, err := probe.monitored("a")
		if err != nil {
			t.Fatalf("look: %v", err)
		}
		moments[monitored] = moment * time.Second
	}
	if len(moments) != 2 {
		t.Fatalf("the moment of the loss does not matter: %v", moments)
	}
	for monitored, moment := range moments {
		r := newRig(t, "a", nil)
		r.pass(6 * time.Second)
		if lose(r, moment-6*time.Second) != monitored || device(r) == "" {
			t.Fatalf("lost after %s: not as before, or no device: %q", moment, device(r))
		}
		r.attach("")
		if got := device(r); monitored != (got == "") {
			t.Errorf("monitored %t: device %q", monitored, got)
		}
	}
	r := newRig(t, "a", nil)
	r.pass(6 * time.Second)
	r.attach("")
	if got := device(r); got != "" {
		t.Errorf("after a detachment from a living node the device is %q", got)
	}
}

func TestAttach_RefusesAtOnceWhatLonghornRefuses(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		objects []runtime.Object
		prepare func(h *harness)
		want    string
	}{
		"node dead": {
			objects: boundClaim(""), prepare: func(h *harness) { h.silence("a") },
			want: "statusCode [500]. Status [500 Internal Server Error]. Body: [code=Internal Server Error, detail=, " +
				"message=unable to attach volume pvc-1 to a: node a is not ready, couldn't attach volume pvc-1 to it]",
		},
		"driver not on node":   {objects: boundClaim(""), prepare: func(h *harness) { h.unregister("a") }, want: "CSINode a does not contain driver"},
		"no such volume":       {objects: boundClaim("")[:2], want: "volume pvc-1 not found"},
		"no persistent volume": {want: "look up persistent volume"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, world(installed(nil), test.objects, attachmentTo("a", false))...)
			if test.prepare != nil {
				test.prepare(h)
			}
			h.call(h.syncAttachment, "to-a")
			if got := h.attachError("to-a"); !strings.Contains(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestAttach_WaitsForTheOldNodeAndGivesUpAfterThePatience(t *testing.T) {
	t.Parallel()
	h := newHarness(t, world(installed(nil), boundClaim("b"), attachmentTo("a", false))...)
	h.follow("to-a", attachPatience-time.Second)
	if got := h.attachError("to-a"); got != "" {
		t.Errorf("within the patience: %q", got)
	}
	h.clock.Step(2 * time.Second)
	h.call(h.syncAttachment, "to-a")
	if got := h.attachError("to-a"); !strings.Contains(got, "currently attached to different node b") {
		t.Errorf("after it: %q", got)
	}
	if h.attachment("to-a").Status.Attached {
		t.Error("attached nevertheless")
	}
}

func TestAttacher_PausesGrowWithEachRefusalAndEndWithANewAttachment(t *testing.T) {
	t.Parallel()
	h := newHarness(t, world(installed(nil), boundClaim(""), attachmentTo("a", false))...)
	h.silence("a")
	for _, want := range []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300} {
		if got := h.call(h.syncAttachment, "to-a"); got != want*time.Second {
			t.Fatalf("pause is %s, want %d s", got, want)
		}
		failure := h.attachment("to-a").Status.AttachError.Time
		h.clock.Step(time.Second / 2)
		if again := h.call(h.syncAttachment, "to-a"); again != want*time.Second-time.Second/2 {
			t.Fatalf("a change of the attachment makes the pause %s", again)
		}
		if now := h.attachment("to-a").Status.AttachError.Time; !now.Equal(&failure) {
			t.Fatal("called again within the pause")
		}
		h.clock.Step(want*time.Second - time.Second/2)
	}
	h.call(h.syncAttachment, "to-a")
	anew := attachmentTo("a", false)
	anew.UID = "anew"
	attachments := h.client.StorageV1().VolumeAttachments()
	err1 := attachments.Delete(t.Context(), "to-a", metav1.DeleteOptions{})
	_, err2 := attachments.Create(t.Context(), anew, metav1.CreateOptions{})
	if err := errors.Join(err1, err2); err != nil {
		t.Fatalf("make the attachment anew: %v", err)
	}
	h.refresh()
	h.call(h.syncAttachment, "to-a")
	if h.attachError("to-a") == "" {
		t.Error("a new attachment has to sit out the old one's pause")
	}
}

func (h *harness) unregister(node string) {
	h.t.Helper()
	if err := h.client.StorageV1().CSINodes().Delete(h.t.Context(), node, metav1.DeleteOptions{}); err != nil {
		h.t.Fatalf("delete CSINode: %v", err)
	}
	h.refresh()
}

func TestAttach_RefusesAVolumeWhoseReplicasFoundNoNodeUntilTheyDo(t *testing.T) {
	t.Parallel()
	h := newHarness(t, world(installed(strict(nil)), attachmentTo("a", false))...)
	h.cordon("c")
	volume, err := h.provision(corev1.ReadWriteOnce, nil)
	if err != nil {
		t.Fatalf("provision: %v", err)
	}
	if _, err := h.client.CoreV1().PersistentVolumes().Create(t.Context(), volume, metav1.CreateOptions{}); err != nil {
		t.Fatalf("create: %v", err)
	}
	h.refresh()
	h.call(h.syncAttachment, "to-a")
	if failure := h.attachment("to-a").Status.AttachError; failure == nil || !strings.Contains(failure.Message, "is not ready for workloads") {
		t.Errorf("got %+v", failure)
	}
	node, err := h.client.CoreV1().Nodes().Get(t.Context(), "c", metav1.GetOptions{})
	if err != nil {
		t.Fatalf("read node: %v", err)
	}
	node.Spec.Unschedulable = false
	if _, err := h.client.CoreV1().Nodes().Update(t.Context(), node, metav1.UpdateOptions{}); err != nil {
		t.Fatalf("uncordon: %v", err)
	}
	h.refresh()
	h.follow("to-a", 20*time.Second)
	if !h.attachment("to-a").Status.Attached {
		t.Errorf("got %+v", h.attachment("to-a").Status)
	}
}

func TestDetach_TakesATickAndFreesTheVolume(t *testing.T) {
	t.Parallel()
	attachment := attachmentTo("a", true)
	attachment.Finalizers = []string{attachFinalizerOf(driverName)}
	attachment.DeletionTimestamp = ptr(metav1.Now())
	h := newHarness(t, world(installed(nil), boundClaim("a"), attachment)...)
	h.call(h.syncAttachment, "to-a")
	if len(h.attachment("to-a").Finalizers) == 0 {
		t.Error("let go at once")
	}
	h.clock.Step(attachTick)
	h.call(h.syncAttachment, "to-a")
	if got := h.attachment("to-a").Finalizers; len(got) > 0 || h.volumeField("status", "currentNodeID") != "" {
		t.Errorf("got finalizers %v, Longhorn says %q", got, h.volumeField("status", "currentNodeID"))
	}
}

func TestDetach_DoesNotTakeAVolumeFromTheNodeThatHasItNow(t *testing.T) {
	t.Parallel()
	attachment := attachmentTo("a", true)
	attachment.Finalizers = []string{attachFinalizerOf(driverName)}
	attachment.DeletionTimestamp = ptr(metav1.Now())
	h := newHarness(t, world(installed(nil), boundClaim("b"), attachment)...)
	h.call(h.syncAttachment, "to-a")
	h.clock.Step(attachTick)
	h.call(h.syncAttachment, "to-a")
	if got := h.volumeField("status", "currentNodeID"); got != "b" {
		t.Errorf("Longhorn's volume is at %q", got)
	}
}

func TestAttacher_DoesNothingWithoutItsSidecar(t *testing.T) {
	t.Parallel()
	leaving := attachmentTo("b", true)
	leaving.Finalizers = []string{attachFinalizerOf(driverName)}
	leaving.DeletionTimestamp = ptr(metav1.Now())
	h := newHarness(t, world(installed(nil), boundClaim(""), attachmentTo("a", false), leaving)...)
	if err := h.client.AppsV1().Deployments(longhornNamespace).Delete(t.Context(), attacherName, metav1.DeleteOptions{}); err != nil {
		t.Fatalf("delete: %v", err)
	}
	h.refresh()
	for _, name := range []string{"to-a", "to-b"} {
		h.call(h.syncAttachment, name)
		h.clock.Step(attachTick)
		h.call(h.syncAttachment, name)
	}
	if h.attachment("to-a").Status.Attached || len(h.attachment("to-b").Finalizers) == 0 {
		t.Error("attached or detached without an attacher")
	}
}

func TestPersistentVolume_IsLetGoOnceNothingIsAttached(t *testing.T) {
	t.Parallel()
	for _, attached := range []bool{true, false} {
		objects := world(installed(nil), boundClaim(""))
		if attached {
			objects = append(objects, attachmentTo("a", true))
		}
		for _, object := range objects {
			if volume, ok := object.(*corev1.PersistentVolume); ok {
				volume.Finalizers = []string{attachFinalizerOf(driverName)}
				volume.DeletionTimestamp = ptr(metav1.Now())
			}
		}
		h := newHarness(t, objects...)
		h.call(h.syncPersistentVolume, handle)
		volume, err := h.cache.volumes.Get(handle)
		if err != nil || slices.Contains(volume.Finalizers, attachFinalizerOf(driverName)) != attached {
			t.Errorf("attached %t: got %+v, %v", attached, volume, err)
		}
	}
}

func (h *harness) request(size string) {
	h.t.Helper()
	claim, err := h.client.CoreV1().PersistentVolumeClaims("iris").Get(h.t.Context(), "data", metav1.GetOptions{})
	if err != nil {
		h.t.Fatalf("read claim: %v", err)
	}
	claim.Spec.Resources.Requests[corev1.ResourceStorage] = resource.MustParse(size)
	if _, err := h.client.CoreV1().PersistentVolumeClaims("iris").Update(h.t.Context(), claim, metav1.UpdateOptions{}); err != nil {
		h.t.Fatalf("request: %v", err)
	}
	h.refresh()
}

// sizes returns the sizes of the claim and of its volume, and the claim's condition.
func (h *harness) sizes() (claimed, provided, condition string) {
	h.t.Helper()
	claim, err1 := h.cache.claims.PersistentVolumeClaims("iris").Get("data")
	volume, err2 := h.cache.volumes.Get(handle)
	if err := errors.Join(err1, err2); err != nil {
		h.t.Fatalf("look up: %v", err)
	}
	for _, holds := range claim.Status.Conditions {
		condition += string(holds.Type)
	}
	have, size := claim.Status.Capacity[corev1.ResourceStorage], volume.Spec.Capacity[corev1.ResourceStorage]
	return have.String(), size.String(), condition
}

func TestResize_GrowsTheVolumeAndThenTheFileSystemWhereItIsMounted(t *testing.T) {
	t.Parallel()
	h := newHarness(t, world(installed(nil), boundClaim("a"), withClaim(runningPod("iris", "a")))...)
	h.request("30Gi")
	h.call(h.syncResize, "iris/data")
	if have, size, condition := h.sizes(); have != "20Gi" || size != "30Gi" || condition != "FileSystemResizePending" {
		t.Errorf("first half: got claim %s, volume %s, %s", have, size, condition)
	}
	h.call(h.syncResize, "iris/data")
	if have, size, condition := h.sizes(); have != "30Gi" || size != "30Gi" || condition != "" {
		t.Errorf("second half: got claim %s, volume %s, %s", have, size, condition)
	}
	if got := h.volumeField("spec", "size"); got != "32212254720" {
		t.Errorf("Longhorn's volume has %s", got)
	}
}

func TestResize_TheFileSystemWaitsForAPodOnALivingNode(t *testing.T) {
	t.Parallel()
	h := newHarness(t, world(installed(nil), boundClaim("a"), withClaim(runningPod("iris", "a")))...)
	h.silence("a")
	h.request("30Gi")
	h.call(h.syncResize, "iris/data")
	h.call(h.syncResize, "iris/data")
	if have, _, condition := h.sizes(); have != "20Gi" || condition != "FileSystemResizePending" {
		t.Errorf("got claim %s, %s", have, condition)
	}
}

func TestResize_LeavesAClaimAloneThatAsksForNoMore(t *testing.T) {
	t.Parallel()
	h := newHarness(t, world(installed(nil), boundClaim("a"))...)
	h.call(h.syncResize, "iris/data")
	if have, size, condition := h.sizes(); have != "20Gi" || size != "20Gi" || condition != "" {
		t.Errorf("got claim %s, volume %s, %s", have, size, condition)
	}
}
