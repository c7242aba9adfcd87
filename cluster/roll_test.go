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
	if err := r.replace(t.Context(), pool{number: 2, zone: "b"}, []string{"disk"}); err != nil {
		t.Fatal(err)
	}
	// Four looks until the second time that all are healthy, then settleTime without a break.
	if waited := r.now().Sub(start); waited != 4*rollTick+settleTime || !r.rolled.Load() {
		t.Errorf("waited %s, rolled %t", waited, r.rolled.Load())
	}
	said := strings.Join(*lines, "\n")
	for _, want := range []string{"zone b (2 of 3) waits, 10m0s left: rebuild at 10 %", "rebuild at 90 %", "the cloud replaces its nodes now"} {
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
		err := r.replace(t.Context(), pool{number: 1, zone: "a"}, []string{"disk"})
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
	if err := r.replace(t.Context(), pool{number: 1, zone: "a"}, []string{"disk"}); err != nil || volumes.asked > 0 {
		t.Errorf("got %v after %d looks", err, volumes.asked)
	}
	if said := strings.Join(*lines, "\n"); !strings.Contains(said, "zone a (1 of 3): its nodes are replaced or removed (disk), zone by zone") {
		t.Errorf("said %q", said)
	}
}

func TestRoller_RefusesWhereTheClusterIsNotKnown(t *testing.T) {
	t.Parallel()
	r, _ := testRoller(&live.Cluster{}, &fakeVolumes{})
	if err := r.replace(t.Context(), pool{number: 1, zone: "a"}, []string{"disk"}); err == nil || !strings.Contains(err.Error(), "kubeconfig") {
		t.Errorf("got %v", err)
	}
}

func TestRoller_SaysWhenItKnowsNoVolumes(t *testing.T) {
	t.Parallel()
	r, lines := testRoller(&live.Cluster{}, nil)
	if err := r.await(t.Context(), "zone a"); err != nil || !strings.Contains(strings.Join(*lines, ""), "nothing waits") {
		t.Errorf("got %v, said %q", err, *lines)
	}
}

// nodesServer is an API server with pods, which an eviction takes away at the second attempt.
type nodesServer struct {
	mu       sync.Mutex
	cordoned []string
	attempts map[string]int
	pods     []map[string]any
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
		_ = json.NewEncoder(w).Encode(map[string]any{"items": s.pods})
		return
	}
	_, _ = w.Write([]byte("{}"))
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
	server := httptest.NewTLSServer(api)
	defer server.Close()
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	text, err := kubeconfig.New("here", kubeconfig.Cluster{Server: server.URL, CertificateAuthorityData: authority}, kubeconfig.User{Token: "t"}).Render()
	if err != nil {
		t.Fatal(err)
	}
	cluster := &live.Cluster{}
	cluster.Connect(text)
	volumes := &fakeVolumes{left: [][]string{{"a replica leaves"}, nil}}
	r, _ := testRoller(cluster, volumes)
	if err := r.vacate(t.Context(), "zone a", []string{"old"}); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(api.cordoned, "old") || !slices.Equal(volumes.evicted, []string{"old"}) {
		t.Errorf("cordoned %v, evicted %v", api.cordoned, volumes.evicted)
	}
	if api.attempts["iris"] != 2 || len(api.attempts) != 1 {
		t.Errorf("evictions: %v, want two of iris, the first refused by its budget, and of no other", api.attempts)
	}
}
