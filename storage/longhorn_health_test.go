package storage

import (
	"net/http"
	"strings"
	"testing"
)

// longhornObjects are the lists that the health is read from.
func longhornObjects(volumes, replicas, engines, nodes []any) map[string]any {
	objects := map[string]any{}
	for kind, items := range map[string][]any{"volumes": volumes, "replicas": replicas, "engines": engines, "nodes": nodes} {
		objects[longhornPath+kind] = map[string]any{"items": items}
	}
	return objects
}

func named(name string, spec, status map[string]any) any {
	return map[string]any{"metadata": map[string]any{"name": name}, "spec": spec, "status": status}
}

func longhornVolume(state, robustness string) any {
	return named("pvc-1", map[string]any{"numberOfReplicas": 3}, map[string]any{
		"state": state, "robustness": robustness, "kubernetesStatus": map[string]any{"namespace": "iris", "pvcName": "iris-pvc"},
	})
}

func longhornReplica(node, healthyAt, failedAt string) any {
	return named("pvc-1-r-"+node, map[string]any{
		"volumeName": "pvc-1", "nodeID": node, "diskID": "disk of " + node, "healthyAt": healthyAt, "failedAt": failedAt,
	}, nil)
}

func longhornNode(name, ready string) any {
	return longhornNodeIn(name, "zone of "+name, ready, "True")
}

func longhornNodeIn(name, zone, ready, disk string) any {
	return named(name, nil, map[string]any{
		"zone": zone, "conditions": []any{map[string]any{"type": "Ready", "status": ready}},
		"diskStatus": map[string]any{"default-disk": map[string]any{
			"diskUUID": "disk of " + name, "conditions": []any{map[string]any{"type": "Ready", "status": disk}},
		}},
	})
}

func TestLonghornUnhealthy_CountsReplicasOnLivingNodes(t *testing.T) {
	t.Parallel()
	const then = "2026-11-01T00:00:00Z"
	good := func(nodes ...string) (replicas []any) {
		for _, node := range nodes {
			replicas = append(replicas, longhornReplica(node, then, ""))
		}
		return replicas
	}
	living := []any{longhornNode("a", "True"), longhornNode("b", "True"), longhornNode("c", "True")}
	retired := named("pvc-1", map[string]any{"numberOfReplicas": 3, "offlineRebuilding": "enabled"}, map[string]any{"state": "detached"})
	rebuilding := named("pvc-1-e-0", map[string]any{"volumeName": "pvc-1"}, map[string]any{
		"rebuildStatus": map[string]any{"tcp://10.0.0.3:10000": map[string]any{"isRebuilding": true, "progress": 45}},
	})
	broken := named("pvc-1-e-0", map[string]any{"volumeName": "pvc-1"}, map[string]any{
		"rebuildStatus": map[string]any{"tcp://10.0.0.3:10000": map[string]any{"error": "no space left"}},
	})
	copied := named("pvc-1", map[string]any{"numberOfReplicas": 1}, map[string]any{
		"state": "detached", "robustness": "faulted", "kubernetesStatus": map[string]any{"namespace": "iris", "pvcName": verifyCopy},
	})
	for name, test := range map[string]struct {
		volume            any
		replicas, engines []any
		nodes             []any
		want              string
	}{
		"healthy":           {longhornVolume("attached", "healthy"), good("a", "b", "c"), nil, living, ""},
		"detached":          {longhornVolume("detached", "unknown"), good("a", "b", "c"), nil, living, ""},
		"degraded":          {longhornVolume("attached", "degraded"), good("a", "b", "c"), nil, living, "iris/iris-pvc (pvc-1) has 3 of 3 healthy replicas"},
		"a node has gone":   {longhornVolume("attached", "healthy"), good("a", "b", "c"), nil, living[:2], "has 2 of 3 healthy replicas"},
		"a node is away":    {longhornVolume("attached", "healthy"), good("a", "b", "c"), nil, append(living[:2:2], longhornNode("c", "False")), "has 2 of 3"},
		"two on one node":   {longhornVolume("attached", "healthy"), good("a", "b", "b"), nil, living, "has 2 of 3"},
		"a disk is another": {longhornVolume("detached", "unknown"), good("a", "b", "c"), nil, append(living[:2:2], longhornNodeIn("c", "zone of c", "True", "False")), "has 2 of 3"},
		"two in one zone": {
			longhornVolume("attached", "healthy"), good("a", "b", "c"), nil,
			append(living[:2:2], longhornNodeIn("c", "zone of b", "True", "True"), longhornNode("d", "True")), "has 3 of 3 healthy replicas in 2 of 3 zones",
		},
		"two zones only":   {longhornVolume("attached", "healthy"), good("a", "b", "c"), nil, append(living[:2:2], longhornNodeIn("c", "zone of b", "True", "True")), ""},
		"failed, detached": {longhornVolume("detached", "unknown"), append(good("a", "b"), longhornReplica("c", then, then)), nil, living, `and is "detached": Longhorn rebuilds only while`},
		"told to rebuild":  {retired, append(good("a", "b"), longhornReplica("c", then, then)), nil, living, `and is "detached": Longhorn attaches it to rebuild it`},
		"how to tell":      {longhornVolume("detached", "unknown"), good("a", "b"), nil, living, "or told to: kubectl -n longhorn-system patch volumes.longhorn.io pvc-1 --type merge"},
		"rebuilding":       {longhornVolume("attached", "degraded"), append(good("a", "b"), longhornReplica("c", "", "")), []any{rebuilding}, living, "has 2 of 3 healthy replicas, a rebuild is at 45 %"},
		"a copy":           {copied, []any{longhornReplica("a", then, then)}, nil, living, "with its job: kubectl -n iris delete jobs -l app.kubernetes.io/component=verify"},
		"rebuild failed":   {longhornVolume("attached", "degraded"), good("a", "b"), []any{broken}, living, "a rebuild failed: no space left"},
	} {
		api := &apiServer{t: t, objects: longhornObjects([]any{test.volume}, test.replicas, test.engines, test.nodes)}
		lines, err := longhornUnhealthy(t.Context(), api.start(t))
		if got := strings.Join(lines, "\n"); err != nil || !strings.Contains(got, test.want) || (test.want == "") != (got == "") {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, test.want)
		}
	}
}

func TestLonghornUnhealthy_IsNotKnownWhereTheClusterDoesNotAnswer(t *testing.T) {
	t.Parallel()
	api := &apiServer{t: t, status: http.StatusForbidden}
	if lines, err := longhornUnhealthy(t.Context(), api.start(t)); err == nil {
		t.Errorf("got %q and no error: not known is not healthy", lines)
	}
	none := &apiServer{t: t, objects: map[string]any{}}
	if lines, err := longhornUnhealthy(t.Context(), none.start(t)); err != nil || len(lines) > 0 {
		t.Errorf("before Longhorn is installed: got %q, %v", lines, err)
	}
}

func TestLonghornLeave_EvictsAndNamesWhatIsLeft(t *testing.T) {
	t.Parallel()
	api := &apiServer{t: t, objects: longhornObjects(nil, []any{longhornReplica("old", "x", ""), longhornReplica("old", "x", "failed"), longhornReplica("new", "x", "")}, nil, nil)}
	api.objects[longhornPath+"nodes/old"] = map[string]any{}
	lines, err := longhornLeave(t.Context(), api.start(t), []string{"old"})
	if err != nil || len(lines) != 1 || !strings.Contains(lines[0], "a replica of volume pvc-1 leaves node old") {
		t.Errorf("got %q, %v", lines, err)
	}
	if want := `{"spec":{"allowScheduling":false,"evictionRequested":true}}`; api.patched[longhornPath+"nodes/old"] != want {
		t.Errorf("patched %v, want %s", api.patched, want)
	}
}
