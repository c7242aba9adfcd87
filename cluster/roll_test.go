package cluster

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"ha-iris/internal/kubeconfig"
	"ha-iris/internal/live"
)

// fakeVolumes answers with the next entry of a script, and with its last one for ever.
type fakeVolumes struct {
	unhealthy, left [][]string
	err             error
	asked           int
	evicted         []string
}

func (f *fakeVolumes) Unhealthy(context.Context, *live.Cluster) ([]string, error) {
	f.asked++
	return next(&f.unhealthy), f.err
}

func (f *fakeVolumes) Leave(_ context.Context, _ *live.Cluster, nodes []string) ([]string, error) {
	f.evicted = nodes
	return next(&f.left), f.err
}

func next(script *[][]string) []string {
	if len(*script) == 0 {
		return nil
	}
	first := (*script)[0]
	if len(*script) > 1 {
		*script = (*script)[1:]
	}
	return first
}

// testRoller is one on a clock that only its own pauses move.
func testRoller(cluster *live.Cluster, volumes Volumes) (*roller, *[]string) {
	var lines []string
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	r := &roller{
		live: cluster, volumes: volumes, budget: 10 * time.Minute,
		log: func(text string) { lines = append(lines, text) },
		now: func() time.Time { return now },
		pause: func(_ context.Context, length time.Duration) error {
			now = now.Add(length)
			return nil
		},
	}
	return r, &lines
}

func known() *live.Cluster {
	cluster := &live.Cluster{}
	cluster.Connect("known")
	return cluster
}

func TestRoller_WaitsUntilTheVolumesStayHealthy(t *testing.T) {
	t.Parallel()
	volumes := &fakeVolumes{unhealthy: [][]string{{"rebuild at 10 %"}, {"rebuild at 90 %"}, nil, {"a replica failed"}, nil}}
	r, lines := testRoller(known(), volumes)
	start := r.now()
	if err := r.replace(t.Context(), zonePool(2), []string{"disk"}, waiting(r)); err != nil {
		t.Fatal(err)
	}
	// Four looks until the second time that all are healthy, then settleTime without a break.
	if waited := r.now().Sub(start); waited != 4*rollTick+settleTime || !r.rolled.Load() {
		t.Errorf("waited %s, rolled %t", waited, r.rolled.Load())
	}
	said := strings.Join(*lines, "\n")
	for _, want := range []string{"zone b (2 of 3) waits, 10m0s left: rebuild at 10 %", "rebuild at 90 %", "the cloud changes its nodes now (disk)"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not in\n%s", want, said)
		}
	}
}

func TestRoller_GivesUpAndTouchesNothing(t *testing.T) {
	t.Parallel()
	for name, volumes := range map[string]*fakeVolumes{
		"2 of 3 healthy": {unhealthy: [][]string{{"volume iris has 2 of 3 healthy replicas"}}},
		"refused":        {err: errors.New("connection refused")},
	} {
		r, _ := testRoller(known(), volumes)
		err := r.replace(t.Context(), zonePool(1), []string{"disk"}, waiting(r))
		if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "cluster.rollTimeout") || !strings.Contains(err.Error(), runbookNodes) {
			t.Errorf("%s: got %v", name, err)
		}
		if r.rolled.Load() {
			t.Errorf("%s: went on all the same", name)
		}
	}
}

func TestRoller_InAPreviewOnlySays(t *testing.T) {
	t.Parallel()
	volumes := &fakeVolumes{}
	r, lines := testRoller(&live.Cluster{}, volumes)
	r.preview = true
	if err := r.replace(t.Context(), zonePool(1), []string{"disk"}, waiting(r)); err != nil || volumes.asked > 0 {
		t.Errorf("got %v after %d looks", err, volumes.asked)
	}
	if said := strings.Join(*lines, "\n"); !strings.Contains(said, "zone a (1 of 3): its nodes are replaced or removed (disk), zone by zone") {
		t.Errorf("said %q", said)
	}
}

func TestRoller_RefusesWhereTheClusterIsNotKnown(t *testing.T) {
	t.Parallel()
	r, _ := testRoller(&live.Cluster{}, &fakeVolumes{})
	if err := r.replace(t.Context(), zonePool(1), []string{"disk"}, waiting(r)); err == nil || !strings.Contains(err.Error(), "kubeconfig") {
		t.Errorf("got %v", err)
	}
}

func TestRoller_RefusesProtectedNodesWhoseVolumesItDoesNotKnow(t *testing.T) {
	t.Parallel()
	r, _ := testRoller(known(), nil)
	r.protect = true
	if err := r.replace(t.Context(), zonePool(1), []string{"disk"}, waiting(r)); err == nil || !strings.Contains(err.Error(), "storage.install is false") {
		t.Errorf("protected: got %v", err)
	}
	r.protect = false
	if err := r.replace(t.Context(), zonePool(1), []string{"disk"}, waiting(r)); err != nil {
		t.Errorf("not protected: got %v", err)
	}
}

func TestAwaitZones_WantsTheOtherZonesNodesAsTheyShouldBe(t *testing.T) {
	t.Parallel()
	one := func(zone, version, ready string, cordoned bool) map[string]any {
		return map[string]any{
			"metadata": map[string]any{"name": "node-" + zone + version, "labels": map[string]any{
				zoneLabel: zone, "eks.amazonaws.com/sourceLaunchTemplateVersion": version,
			}},
			"spec":   map[string]any{"unschedulable": cordoned},
			"status": map[string]any{"conditions": []any{map[string]any{"type": "Ready", "status": ready}}},
		}
	}
	after := inputs(resource.PropertyMap{"launchTemplate": object(resource.PropertyMap{"version": resource.NewStringProperty("2")})})
	for name, test := range map[string]struct {
		nodes []map[string]any
		want  string
	}{
		"as they should be": {[]map[string]any{one("1", "2", "True", false), one("2", "1", "False", true), one("3", "1", "True", false)}, ""},
		"one too many":      {[]map[string]any{one("1", "2", "True", false), one("1", "2", "True", false), one("3", "1", "True", false)}, "zone 1 has 2 nodes"},
		"none":              {[]map[string]any{one("1", "2", "True", false)}, "zone 3 has 0 nodes"},
		"not ready":         {[]map[string]any{one("1", "2", "True", false), one("3", "1", "Unknown", false)}, "node node-31 of zone 3 is not ready"},
		"cordoned":          {[]map[string]any{one("1", "2", "True", true), one("3", "1", "True", false)}, "node node-12 of zone 1 is cordoned"},
		"not updated":       {[]map[string]any{one("1", "1", "True", false), one("3", "1", "True", false)}, "is of version 1 of the launch template and not 2"},
	} {
		api := &nodesServer{nodes: test.nodes}
		r, _ := testRoller(serve(t, api), &fakeVolumes{})
		s := scope{ctx: nil, component: &Cluster{roller: r}, cfg: Config{Nodes: 3}}
		p := (&eks{scope: s}).pool(1)
		err := s.awaitZones(t.Context(), p, after)
		if (test.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
}

func zonePool(number int) pool { return pool{number: number, zone: string(rune('a' + number - 1))} }

// waiting waits for the volumes only.
func waiting(r *roller) func(context.Context) error {
	return func(ctx context.Context) error { return r.await(ctx, "zone b (2 of 3)", nil) }
}

// nodesServer is an API server with pods, which an eviction takes away at the second attempt.
type nodesServer struct {
	mu       sync.Mutex
	cordoned []string
	attempts map[string]int
	pods     []map[string]any
	nodes    []map[string]any
}

func (s *nodesServer) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path := strings.Split(strings.Trim(request.URL.Path, "/"), "/")
	switch request.Method {
	case http.MethodPatch:
		s.cordoned = append(s.cordoned, path[len(path)-1])
	case http.MethodPost:
		name := path[len(path)-2]
		if s.attempts[name]++; s.attempts[name] == 1 {
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = w.Write([]byte(`{"message":"Cannot evict pod as it would violate the pod's disruption budget."}`))
			return
		}
		s.pods = slices.DeleteFunc(s.pods, func(p map[string]any) bool { return p["metadata"].(map[string]any)["name"] == name })
	default:
		items := s.pods
		if path[len(path)-1] == "nodes" {
			items = s.nodes
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"items": items})
		return
	}
	_, _ = w.Write([]byte("{}"))
}

// serve serves an API server until the test ends.
func serve(t *testing.T, api http.Handler) *live.Cluster {
	t.Helper()
	server := httptest.NewTLSServer(api)
	t.Cleanup(server.Close)
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	text, err := kubeconfig.New("here", kubeconfig.Cluster{Server: server.URL, CertificateAuthorityData: authority}, kubeconfig.User{Token: "t"}).Render()
	if err != nil {
		t.Fatal(err)
	}
	cluster := &live.Cluster{}
	cluster.Connect(text)
	return cluster
}

func nodePod(name, node, owner string, claim bool) map[string]any {
	volumes := []any{map[string]any{"name": "tmp", "emptyDir": map[string]any{}}}
	if claim {
		volumes = append(volumes, map[string]any{"name": "data", "persistentVolumeClaim": map[string]any{"claimName": "data"}})
	}
	return map[string]any{
		"metadata": map[string]any{"name": name, "namespace": "iris", "ownerReferences": []any{map[string]any{"kind": owner}}},
		"spec":     map[string]any{"nodeName": node, "volumes": volumes}, "status": map[string]any{"phase": "Running"},
	}
}

func TestRoller_MovesReplicasThenPodsOffOldNodes(t *testing.T) {
	t.Parallel()
	api := &nodesServer{attempts: map[string]int{}, pods: []map[string]any{
		nodePod("iris", "old", "ReplicaSet", true), nodePod("other", "new", "ReplicaSet", true),
		nodePod("stateless", "old", "ReplicaSet", false), nodePod("agent", "old", "DaemonSet", true),
	}}
	volumes := &fakeVolumes{left: [][]string{{"a replica leaves"}, nil}}
	r, lines := testRoller(serve(t, api), volumes)
	asked := 0
	err := r.vacate(t.Context(), "zone a", func() (nodes, missing []string, err error) {
		if asked++; asked == 1 {
			return []string{"old"}, []string{"0 of 1 nodes of the new pool are ready"}, nil
		}
		return []string{"old"}, nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if said := strings.Join(*lines, "\n"); !strings.Contains(said, "0 of 1 nodes of the new pool are ready") {
		t.Errorf("did not wait for the successors: %q", said)
	}
	if !slices.Contains(api.cordoned, "old") || !slices.Equal(volumes.evicted, []string{"old"}) {
		t.Errorf("cordoned %v, evicted %v", api.cordoned, volumes.evicted)
	}
	if api.attempts["iris"] != 2 || len(api.attempts) != 1 {
		t.Errorf("evictions: %v, want two of iris, the first refused by its budget, and of no other", api.attempts)
	}
}
