package storage

import (
	"context"
	"strings"
	"testing"
	"time"

	"ha-iris/internal/guard"
	"ha-iris/internal/pods"
)

const podsPath = "/api/v1/namespaces/" + namespaceName + "/pods"

// driverWorld is a cluster of three nodes with Longhorn's manager on each; the driver is on the given ones.
func driverWorld(registered ...string) map[string]any {
	nodes, csiNodes, pods := items{}, items{}, items{}
	has := func(name string) bool { return strings.Contains(strings.Join(registered, " "), name) }
	for _, name := range []string{"a", "b", "c"} {
		nodes.Items = append(nodes.Items, node(name, "True", false))
		drivers := []any{map[string]any{"name": "other.csi"}}
		if has(name) {
			drivers = append(drivers, map[string]any{"name": provisioner})
		}
		csiNodes.Items = append(csiNodes.Items, map[string]any{
			"metadata": map[string]any{"name": name}, "spec": map[string]any{"drivers": drivers},
		})
		pods.Items = append(pods.Items, podOn(managerApp, name, true, nil))
	}
	pods.Items = append(pods.Items, podOn(deployerApp, "a", true, nil))
	objects := map[string]any{
		"/api/v1/nodes": nodes, "/apis/storage.k8s.io/v1/csinodes": csiNodes, podsPath: pods,
	}
	if len(registered) > 0 {
		objects["/apis/storage.k8s.io/v1/csidrivers/"+provisioner] = map[string]any{}
	}
	return objects
}

func node(name, ready string, cordoned bool) map[string]any {
	return map[string]any{
		"metadata": map[string]any{"name": name}, "spec": map[string]any{"unschedulable": cordoned},
		"status": map[string]any{"conditions": []any{map[string]any{"type": "Ready", "status": ready}}},
	}
}

func podOn(app, on string, ready bool, containers []any) map[string]any {
	status := map[bool]string{true: "True", false: "False"}[ready]
	return map[string]any{
		"metadata": map[string]any{"name": app + "-" + on, "labels": map[string]any{"app": app}}, "spec": map[string]any{"nodeName": on},
		"status": map[string]any{
			"phase": "Running", "conditions": []any{map[string]any{"type": "Ready", "status": status}}, "containerStatuses": containers,
		},
	}
}

func TestDriver_OnEveryNodeThatCountsIsReady(t *testing.T) {
	t.Parallel()
	down, cordoned, without := driverWorld("a", "b"), driverWorld("a", "b"), driverWorld("a", "b")
	down["/api/v1/nodes"].(items).Items[2] = node("c", "Unknown", false)
	cordoned["/api/v1/nodes"].(items).Items[2] = node("c", "True", true)
	pods := without[podsPath].(items)
	without[podsPath] = items{append(pods.Items[:2:2], pods.Items[3:]...)}
	for name, objects := range map[string]map[string]any{
		"all three": driverWorld("a", "b", "c"), "c is down": down, "c is cordoned": cordoned, "Longhorn is kept off c": without,
	} {
		k, _, said := newKeeper(t, objects)
		if err := k.beforeClass(t.Context(), inputs(map[string]any{"kind": "StorageClass"})); err != nil || said.String() != "" {
			t.Errorf("%s: %v\n%s", name, err, said)
		}
		if k.now() != testNow() {
			t.Errorf("%s: waited", name)
		}
	}
}

func TestDriver_IsWaitedForWithProgress(t *testing.T) {
	t.Parallel()
	k, api, said := newKeeper(t, driverWorld())
	sleep := k.sleep
	k.sleep = func(ctx context.Context, length time.Duration) error {
		if k.now().Sub(testNow()) >= 40*time.Second {
			api.mu.Lock()
			api.objects = driverWorld("a", "b", "c")
			api.mu.Unlock()
		}
		return sleep(ctx, length)
	}
	if err := k.beforeClass(t.Context(), inputs(map[string]any{"kind": "StorageClass"})); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(said.String(), "Waiting for Longhorn"); got != 2 {
		t.Errorf("%d lines in 40 s:\n%s", got, said)
	}
}

func TestDriver_ThatDoesNotComeIsExplainedByLonghornsPods(t *testing.T) {
	t.Parallel()
	crash := func(restarts int) []any {
		return []any{map[string]any{
			"name": "deployer", "ready": false, "restartCount": restarts,
			"state":     map[string]any{"waiting": map[string]any{"reason": "CrashLoopBackOff", "message": "back-off 40s"}},
			"lastState": map[string]any{"terminated": map[string]any{"reason": "Error", "exitCode": 1}},
		}}
	}
	world := func(restarts int) map[string]any {
		objects := driverWorld()
		pods := objects[podsPath].(items)
		pods.Items[3] = podOn(deployerApp, "a", false, crash(restarts))
		objects[podsPath+"/"+deployerApp+"-a/log"] = "first\nno kubelet on this\nnode"
		objects["/api/v1/namespaces/longhorn-system/events"] = items{[]any{
			map[string]any{"involvedObject": map[string]any{"name": "csi-attacher"}, "reason": "Other", "message": "not this"},
			map[string]any{"involvedObject": map[string]any{"name": deployerApp + "-a"}, "reason": "BackOff", "message": "again"},
		}}
		return objects
	}
	words := []string{
		"there is no CSIDriver driver.longhorn.io", "longhorn-driver-deployer-a, container deployer", "CrashLoopBackOff", "back-off 40s",
		"exit code 1", "no kubelet on this node", "event BackOff: again", "there is no pod of longhorn-csi-plugin",
		"storage.values.csi.kubeletRootDir",
	}
	for _, restarts := range []int{1, pods.HopelessRestarts} {
		k, _, _ := newKeeper(t, world(restarts))
		err := k.beforeClass(t.Context(), inputs(map[string]any{"kind": "StorageClass"}))
		checkRefusal(t, err, words)
		if strings.Contains(err.Error(), "not this") {
			t.Errorf("an event of another pod:\n%v", err)
		}
		want := driverBudget
		if restarts >= pods.HopelessRestarts {
			want = 0
		}
		if waited := k.now().Sub(testNow()); waited != want {
			t.Errorf("%d restarts: waited %s, want %s", restarts, waited, want)
		}
	}
	k, _, _ := newKeeper(t, world(pods.HopelessRestarts))
	k.kubeletRoot = "/var/lib/kubelet"
	if err := k.beforeClass(t.Context(), inputs(map[string]any{"kind": "StorageClass"})); strings.Contains(err.Error(), "kubeletRootDir") {
		t.Errorf("advice that was followed already:\n%v", err)
	}
}

func TestDriver_OnOneNodeMissingNamesIt(t *testing.T) {
	t.Parallel()
	k, _, _ := newKeeper(t, driverWorld("a", "c"))
	checkRefusal(t, k.beforeClass(t.Context(), inputs(map[string]any{"kind": "StorageClass"})), []string{"missing on b (2 of 3 nodes"})
}

func TestDriver_IsNotWaitedForInAPreview(t *testing.T) {
	t.Parallel()
	k, api, _ := newKeeper(t, driverWorld())
	k.preview = true
	if err := k.beforeClass(t.Context(), inputs(map[string]any{"kind": "StorageClass"})); err != nil || api.asked > 0 {
		t.Errorf("%d questions, %v", api.asked, err)
	}
	if err := k.beforeClass(t.Context(), guard.Inputs{}); err != nil || api.asked != 1 {
		t.Errorf("first preview: %d questions, %v", api.asked, err)
	}
}
