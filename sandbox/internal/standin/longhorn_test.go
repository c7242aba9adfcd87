package standin

import (
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func settingsMap(version, content string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: longhornNamespace, Name: settingsConfigMap, ResourceVersion: version},
		Data:       map[string]string{settingsKey: content},
	}
}

func (h *harness) value(setting string) string {
	h.t.Helper()
	value, err := h.longhorn.setting(h.t.Context(), longhornNamespace, setting)
	if err != nil {
		h.t.Fatalf("read setting: %v", err)
	}
	return value
}

func (h *harness) applySettings(version, content string) {
	h.t.Helper()
	fill(h.t, h.informers.Core().V1().ConfigMaps().Informer(), []corev1.ConfigMap{*settingsMap(version, content)})
	if err := h.syncSettings(h.t.Context(), longhornNamespace); err != nil {
		h.t.Fatalf("sync settings: %v", err)
	}
}

func TestSetting_AcceptsWhatLonghornAccepts(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, setting, value, want, problem string
	}{
		{name: "truth", setting: "auto-salvage", value: "false", want: "false"},
		{name: "not a truth", setting: "auto-salvage", value: "maybe", problem: "want true or false"},
		{name: "number", setting: "snapshot-max-count", value: "10", want: "10"},
		{name: "not a number", setting: "snapshot-max-count", value: "ten", problem: "want a whole number"},
		{name: "choice", setting: "node-down-pod-deletion-policy", value: "delete-deployment-pod", want: "delete-deployment-pod"},
		{name: "not a choice", setting: "node-down-pod-deletion-policy", value: "delete", problem: "want one of"},
		{name: "plain value is for every engine", setting: "engine-replica-timeout", value: "9", want: `{"v1":"9","v2":"9"}`},
		{name: "one engine", setting: "engine-replica-timeout", value: `{"v1":"9"}`, want: `{"v1":"9"}`},
		{name: "setting of one engine", setting: "disable-revision-counter", value: "false", want: `{"v1":"false"}`},
		{name: "bad value for one engine", setting: "engine-replica-timeout", value: `{"v1":"slow"}`, problem: "want a whole number"},
	}
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			at := slices.IndexFunc(definitions(), func(defined setting) bool { return defined.name == test.setting })
			if at < 0 {
				t.Fatalf("no setting %s", test.setting)
			}
			got, err := definitions()[at].accept(test.value)
			if test.problem == "" && (err != nil || got != test.want) {
				t.Errorf("got %q, %v; want %q", got, err, test.want)
			}
			if test.problem != "" && (err == nil || !strings.Contains(err.Error(), test.problem)) {
				t.Errorf("got %q, %v; want %q", got, err, test.problem)
			}
		})
	}
}

func TestSettings_DefaultsAreThemselvesAcceptable(t *testing.T) {
	t.Parallel()
	for _, defined := range definitions() {
		if _, err := defined.accept(defined.value); err != nil {
			t.Errorf("%s: %v", defined.name, err)
		}
	}
}

func TestSettings_ComeFromTheConfigMapAndOtherwiseFromDefaults(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.applySettings("1", "replica-auto-balance: least-effort\nfailed-backup-ttl: 2000000\ndefault-replica-count: {v1: \"2\"}\n")
	for name, want := range map[string]string{
		"replica-auto-balance":          "least-effort",
		"failed-backup-ttl":             "2000000",
		"default-replica-count":         `{"v1":"2"}`,
		"node-down-pod-deletion-policy": "do-nothing",
	} {
		if got := h.value(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
		if h.longhornObject(settings, name) == nil {
			t.Errorf("%s is not an object that users can read", name)
		}
	}
}

func TestSettings_UnknownNamesAndBadValuesAreSkippedWithoutFailing(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.applySettings("1", "rebuild-concurrent-sync-limit: \"3\"\nauto-salvage: maybe\nreplica-auto-balance: best-effort\n")
	if h.longhornObject(settings, "rebuild-concurrent-sync-limit") != nil {
		t.Error("an unknown setting was created")
	}
	if got := h.value("auto-salvage"); got != "true" {
		t.Errorf("auto-salvage is %q, want its default", got)
	}
	if got := h.value("replica-auto-balance"); got != "best-effort" {
		t.Errorf("a good value beside bad ones is %q", got)
	}
}

func TestSettings_AValueThatLeavesTheConfigMapIsNotReset(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.applySettings("1", "replica-auto-balance: least-effort\n")
	h.applySettings("2", "")
	if got := h.value("replica-auto-balance"); got != "least-effort" {
		t.Errorf("got %q", got)
	}
}

func TestSettings_AManualEditLastsUntilTheConfigMapChanges(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	const name = "deleting-confirmation-flag"
	h.applySettings("1", name+": \"false\"\n")
	edited := h.longhornObject(settings, name)
	edited.Object["value"] = "true"
	if err := h.longhorn.update(t.Context(), settings, edited); err != nil {
		t.Fatalf("edit: %v", err)
	}
	h.settingsApplied = "" // as after a restart of the manager
	h.applySettings("1", name+": \"false\"\n")
	if got := h.value(name); got != "true" {
		t.Errorf("same ConfigMap: got %q", got)
	}
	h.applySettings("2", name+": \"false\"\nauto-salvage: \"true\"\n")
	if got := h.value(name); got != "false" {
		t.Errorf("changed ConfigMap: got %q", got)
	}
}

func TestDriver_IsDeployedOnceItsDeployerIsAvailable(t *testing.T) {
	t.Parallel()
	for _, ready := range []int32{0, 1} {
		deployer := deployment(driverDeployerName, ready)
		deployer.Spec.Template.Spec.Containers = []corev1.Container{{Env: []corev1.EnvVar{
			{Name: "CSI_ATTACHER_REPLICA_COUNT", Value: "1"}, {Name: "CSI_ATTACHER_IMAGE", Value: "attacher:1"},
		}}}
		h := newHarness(t, deployer, &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{
			Namespace: longhornNamespace, Name: managerName, Labels: map[string]string{"app": managerName},
		}})
		h.call(h.syncLonghorn, "longhorn")
		driver, err := h.client.StorageV1().CSIDrivers().Get(t.Context(), driverName, metav1.GetOptions{})
		if ready == 0 {
			if !apierrors.IsNotFound(err) {
				t.Errorf("before the deployer: got %v, %v", driver, err)
			}
			continue
		}
		if err != nil || !*driver.Spec.AttachRequired || !*driver.Spec.PodInfoOnMount ||
			*driver.Spec.FSGroupPolicy != storagev1.ReadWriteOnceWithFSTypeFSGroupPolicy {
			t.Errorf("got driver %+v, %v", driver, err)
		}
		attacher, err := h.cache.deployments.Deployments(longhornNamespace).Get(attacherName)
		if err != nil || *attacher.Spec.Replicas != 1 || attacher.Spec.Template.Spec.Containers[0].Image != "attacher:1" {
			t.Errorf("got attacher %+v, %v", attacher, err)
		}
		resizer, err := h.cache.deployments.Deployments(longhornNamespace).Get(resizerName)
		if err != nil || *resizer.Spec.Replicas != 3 {
			t.Errorf("got resizer %+v, %v", resizer, err)
		}
		plugin, err := h.cache.daemonSets.DaemonSets(longhornNamespace).Get(pluginName)
		if err != nil || !*plugin.Spec.Template.Spec.Containers[0].SecurityContext.Privileged {
			t.Errorf("got plugin %+v, %v", plugin, err)
		}
	}
}

func TestStorageClass_IsReplacedWhenTheConfigMapDiffers(t *testing.T) {
	t.Parallel()
	class := func(replicas string) *corev1.ConfigMap {
		return &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: longhornNamespace, Name: storageClassConfigMap},
			Data: map[string]string{storageClassKey: "apiVersion: storage.k8s.io/v1\nkind: StorageClass\n" +
				"metadata: {name: longhorn}\nprovisioner: driver.longhorn.io\nparameters: {numberOfReplicas: \"" + replicas + "\"}\n"},
		}
	}
	h := newHarness(t, class("3"))
	for _, want := range []string{"3", "3", "2"} {
		fill(t, h.informers.Core().V1().ConfigMaps().Informer(), []corev1.ConfigMap{*class(want)})
		if err := h.syncStorageClasses(t.Context(), longhornNamespace); err != nil {
			t.Fatalf("sync: %v", err)
		}
		got, err := h.client.StorageV1().StorageClasses().Get(t.Context(), "longhorn", metav1.GetOptions{})
		if err != nil || got.Parameters["numberOfReplicas"] != want {
			t.Errorf("got %+v, %v; want %s replicas", got, err, want)
		}
		fill(t, h.informers.Storage().V1().StorageClasses().Informer(), []storagev1.StorageClass{*got})
	}
	if _, err := h.client.StorageV1().StorageClasses().Get(t.Context(), "longhorn-static", metav1.GetOptions{}); err != nil {
		t.Errorf("class for existing volumes: %v", err)
	}
}

func TestCSINode_ListsTheDriverWhileItsPodIsReady(t *testing.T) {
	t.Parallel()
	h := newHarness(t, world(aliveNode("a"), systemPod(pluginName, "a"))...)
	listed := func() bool {
		h.t.Helper()
		h.call(h.syncCSINode, "a")
		known, err := h.registeredOn("a", driverName)
		if err != nil {
			t.Fatalf("look up: %v", err)
		}
		return known
	}
	if !listed() {
		t.Error("with a ready pod: not listed")
	}
	if err := h.client.CoreV1().Pods(longhornNamespace).Delete(t.Context(), pluginName+"-a", metav1.DeleteOptions{}); err != nil {
		t.Fatalf("delete pod: %v", err)
	}
	h.refresh()
	if listed() {
		t.Error("without a pod: still listed")
	}
}

func TestCSINode_OfADeadNodeStaysAsItWas(t *testing.T) {
	t.Parallel()
	h := newHarness(t, installed(nil)...)
	h.silence("a")
	if err := h.client.CoreV1().Pods(longhornNamespace).Delete(t.Context(), pluginName+"-a", metav1.DeleteOptions{}); err != nil {
		t.Fatalf("delete pod: %v", err)
	}
	h.refresh()
	h.call(h.syncCSINode, "a")
	if known, err := h.registeredOn("a", driverName); err != nil || !known {
		t.Errorf("got %t, %v", known, err)
	}
}

func TestLives_MeansThatKwokHoldsAndRenewsTheLease(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		change func(h *harness, node *corev1.Node)
		want   bool
	}{
		"held": {func(*harness, *corev1.Node) {}, true},
		"real node": {func(_ *harness, node *corev1.Node) {
			node.Annotations = nil
		}, false},
		"kwok ended": {func(h *harness, _ *corev1.Node) { h.clock.Step(time.Minute) }, false},
		"lease gone": {func(h *harness, node *corev1.Node) { h.silence(node.Name) }, false},
		"lease taken": {func(h *harness, node *corev1.Node) {
			lease, err := h.client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(h.t.Context(), node.Name, metav1.GetOptions{})
			if err != nil {
				h.t.Fatalf("read lease: %v", err)
			}
			lease.Spec.HolderIdentity, lease.Spec.LeaseDurationSeconds = ptr("killed"), ptr(int32(86400))
			if _, err := h.client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Update(h.t.Context(), lease, metav1.UpdateOptions{}); err != nil {
				h.t.Fatalf("take lease: %v", err)
			}
			h.refresh()
		}, false},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, aliveNode("a")...)
			node, err := h.cache.nodes.Get("a")
			if err != nil {
				t.Fatalf("look up: %v", err)
			}
			node = node.DeepCopy()
			test.change(h, node)
			if got, err := h.lives(node); err != nil || got != test.want {
				t.Errorf("got %t, %v; want %t", got, err, test.want)
			}
		})
	}
}

func TestDown_FollowsLonghornsViewOfANode(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		status corev1.ConditionStatus
		since  time.Duration
		want   bool
	}{
		"ready":                     {corev1.ConditionTrue, time.Hour, false},
		"silent":                    {corev1.ConditionUnknown, 0, true},
		"not ready for a moment":    {corev1.ConditionFalse, 10 * time.Second, false},
		"not ready beyond patience": {corev1.ConditionFalse, 16 * time.Second, true},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			node := corev1.Node{
				ObjectMeta: metav1.ObjectMeta{Name: "a"},
				Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{
					Type: corev1.NodeReady, Status: test.status, LastTransitionTime: metav1.NewTime(h.clock.Now().Add(-test.since)),
				}}},
			}
			fill(t, h.informers.Core().V1().Nodes().Informer(), []corev1.Node{node})
			if got, err := h.down("a"); err != nil || got != test.want {
				t.Errorf("got %t, %v; want %t", got, err, test.want)
			}
		})
	}
	h := newHarness(t)
	if got, err := h.down("missing"); err != nil || !got {
		t.Errorf("missing node: got %t, %v", got, err)
	}
}

func TestLonghornNode_GetsADiskUnlessOnlyLabelledNodesDo(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		labelledOnly, label string
		want                int
	}{
		"every node":      {labelledOnly: "false", want: 1},
		"unlabelled node": {labelledOnly: "true", want: 0},
		"labelled node":   {labelledOnly: "true", label: "true", want: 1},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, world(aliveNode("a"), systemPod(managerName, "a"),
				newSetting(longhornNamespace, "create-default-disk-labeled-nodes", test.labelledOnly, "1"))...)
			node, err := h.cache.nodes.Get("a")
			if err != nil {
				t.Fatalf("look up: %v", err)
			}
			node.Labels = map[string]string{diskLabel: test.label}
			if err := h.syncLonghornNodes(t.Context(), longhornNamespace); err != nil {
				t.Fatalf("sync: %v", err)
			}
			disks, _, err := unstructured.NestedMap(h.longhornObject(longhornNodes, "a").Object, "spec", "disks")
			if err != nil || len(disks) != test.want {
				t.Errorf("got %v, %v; want %d disks", disks, err, test.want)
			}
		})
	}
}

func uninstaller(phase corev1.PodPhase) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: longhornNamespace, Name: "uninstall-1", Labels: map[string]string{batchv1.JobNameLabel: uninstallJobName},
		},
		Spec:   corev1.PodSpec{Containers: []corev1.Container{{Name: uninstallJobName}}},
		Status: corev1.PodStatus{Phase: phase},
	}
}

func (h *harness) uninstallerPhase() corev1.PodPhase {
	h.t.Helper()
	pod, err := h.client.CoreV1().Pods(longhornNamespace).Get(h.t.Context(), "uninstall-1", metav1.GetOptions{})
	if err != nil {
		h.t.Fatalf("read pod: %v", err)
	}
	return pod.Status.Phase
}

func TestUninstall_IsRefusedWithoutConfirmationAndTouchesNothing(t *testing.T) {
	t.Parallel()
	h := newHarness(t, world(installed(nil), boundClaim("a"), uninstaller(corev1.PodRunning))...)
	h.call(h.syncUninstall, longhornNamespace+"/uninstall-1")
	if got := h.uninstallerPhase(); got != corev1.PodFailed {
		t.Errorf("pod is %s", got)
	}
	if h.longhornObject(longhornVolumes, handle) == nil {
		t.Error("the volume is gone")
	}
}

func TestUninstall_RemovesEverythingThatLonghornMade(t *testing.T) {
	t.Parallel()
	driver := &storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: driverName}}
	h := newHarness(t, world(installed(map[string]string{"deleting-confirmation-flag": "true"}),
		boundClaim("a"), uninstaller(corev1.PodRunning), driver,
		&storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "longhorn-static"}})...)
	h.call(h.syncData, "")
	if h.longhornObject(engineKind, engineName(handle)) == nil || h.longhornObject(instanceKind, instanceName("a")) == nil {
		t.Error("there is nothing to remove")
	}
	h.call(h.syncUninstall, longhornNamespace+"/uninstall-1")
	if got := h.uninstallerPhase(); got != corev1.PodSucceeded {
		t.Errorf("pod is %s", got)
	}
	for plural, name := range map[string]string{
		longhornVolumes: handle, longhornNodes: "a", engineKind: engineName(handle), instanceKind: instanceName("a"),
	} {
		if h.longhornObject(plural, name) != nil {
			t.Errorf("%s %s is still there", plural, name)
		}
	}
	if left, err := h.longhorn.list(t.Context(), longhornNamespace, replicaKind); err != nil || len(left) > 0 {
		t.Errorf("replicas are still there: %v, %v", left, err)
	}
	if _, err := h.cache.podLister.Pods(longhornNamespace).Get(instanceName("a")); !apierrors.IsNotFound(err) {
		t.Errorf("the instance manager's pod is still there: %v", err)
	}
	if _, err := h.cache.volumes.Get(handle); !apierrors.IsNotFound(err) {
		t.Errorf("the PersistentVolume is still there: %v", err)
	}
	if _, err := h.cache.claims.PersistentVolumeClaims("iris").Get("data"); !apierrors.IsNotFound(err) {
		t.Errorf("the claim is still there: %v", err)
	}
	if h.longhornObject(settings, "deleting-confirmation-flag") == nil {
		t.Error("the settings are gone, which the original leaves: a second run would be refused")
	}
	if _, err := h.cache.classes.Get("longhorn-static"); err != nil {
		t.Errorf("the class that the original leaves: %v", err)
	}
	for _, name := range append(sidecars(), driverDeployerName) {
		if _, err := h.cache.deployments.Deployments(longhornNamespace).Get(name); !apierrors.IsNotFound(err) {
			t.Errorf("%s is still there: %v", name, err)
		}
	}
	if _, err := h.cache.drivers.Get(driverName); !apierrors.IsNotFound(err) {
		t.Errorf("CSIDriver is still there: %v", err)
	}
}

func TestUninstall_TheManagerDoesNotComeBackFromAStaleCache(t *testing.T) {
	t.Parallel()
	h := newHarness(t, world(installed(map[string]string{"deleting-confirmation-flag": "true"}), uninstaller(corev1.PodRunning))...)
	if _, err := h.syncUninstall(t.Context(), longhornNamespace+"/uninstall-1"); err != nil {
		t.Fatalf("uninstall: %v", err)
	}
	// Not refreshed: the caches still show a manager that runs.
	if _, err := h.syncLonghorn(t.Context(), "longhorn"); err != nil {
		t.Fatalf("sync: %v", err)
	}
	for plural, name := range map[string]string{longhornNodes: "a", settings: "auto-salvage"} {
		if h.longhornObject(plural, name) != nil {
			t.Errorf("%s %s came back", plural, name)
		}
	}
}

func TestUninstall_WaitsUntilItsPodRuns(t *testing.T) {
	t.Parallel()
	h := newHarness(t, world(installed(map[string]string{"deleting-confirmation-flag": "true"}), uninstaller(corev1.PodPending))...)
	h.call(h.syncUninstall, longhornNamespace+"/uninstall-1")
	if h.longhornObject(longhornNodes, "a") == nil {
		t.Error("uninstalled before the pod ran")
	}
}

func TestUninstall_TakesTheTimeThatItsPodAsksFor(t *testing.T) {
	t.Parallel()
	pod := uninstaller(corev1.PodRunning)
	pod.Annotations = map[string]string{workAnnotation: "20"}
	h := newHarness(t, world(installed(map[string]string{"deleting-confirmation-flag": "true"}), pod)...)
	if again := h.call(h.syncUninstall, longhornNamespace+"/uninstall-1"); again != 20*time.Second {
		t.Errorf("looks again after %s", again)
	}
	h.clock.Step(20 * time.Second)
	h.call(h.syncUninstall, longhornNamespace+"/uninstall-1")
	if got := h.uninstallerPhase(); got != corev1.PodSucceeded {
		t.Errorf("pod is %s", got)
	}
}

func TestDriver_IsNotDeployedByADeployerThatCrashes(t *testing.T) {
	t.Parallel()
	crashing := deployment(driverDeployerName, 1)
	crashing.Spec.Template.Annotations = map[string]string{crashAnnotation: "no kubelet"}
	h := newHarness(t, world(&appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: longhornNamespace, Name: managerName, Labels: map[string]string{"app": managerName}},
		Status:     appsv1.DaemonSetStatus{NumberReady: 3},
	}, crashing)...)
	h.call(h.syncLonghorn, "longhorn")
	if _, err := h.cache.drivers.Get(driverName); !apierrors.IsNotFound(err) {
		t.Errorf("CSIDriver: %v", err)
	}
}

func TestUninstall_LetsTheAttacherFinishBeforeItGoes(t *testing.T) {
	t.Parallel()
	objects := world(installed(map[string]string{"deleting-confirmation-flag": "true"}), boundClaim(""), uninstaller(corev1.PodRunning))
	for _, object := range objects {
		if volume, ok := object.(*corev1.PersistentVolume); ok {
			volume.Finalizers = []string{attachFinalizerOf(driverName)}
			volume.DeletionTimestamp = ptr(metav1.Now()) // The in-memory API server would not wait for finalizers.
		}
	}
	h := newHarness(t, objects...)
	if again := h.longhornUninstall(); again != retryTick || h.longhornObject(longhornVolumes, handle) == nil {
		t.Errorf("goes on while the attacher holds a volume: looks again after %s", again)
	}
}

// longhornUninstall runs the uninstaller once.
func (h *harness) longhornUninstall() time.Duration {
	h.t.Helper()
	return h.call(h.syncUninstall, longhornNamespace+"/uninstall-1")
}
