package standin

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"ha-iris/internal/kubeconfig"
)

// fakeAPI is an API server with nodes, which are ready at once, and pods, some of which a disruption budget keeps.
type fakeAPI struct {
	t          *testing.T
	kubeconfig []byte

	mu      sync.Mutex
	nodes   map[string]fields
	pods    map[string]string // The node of each.
	kept    map[string]bool   // Whose eviction is refused.
	daemons map[string]bool   // Which a DaemonSet has made.
	refused int
	made    int
}

func newFakeAPI(t *testing.T) *fakeAPI {
	t.Helper()
	api := &fakeAPI{t: t, nodes: map[string]fields{}, pods: map[string]string{}, kept: map[string]bool{}, daemons: map[string]bool{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/nodes", api.createNode)
	mux.HandleFunc("GET /api/v1/nodes/{name}", api.getNode)
	mux.HandleFunc("PATCH /api/v1/nodes/{name}", api.patchNode)
	mux.HandleFunc("PATCH /api/v1/nodes/{name}/status", api.patchNode)
	mux.HandleFunc("DELETE /api/v1/nodes/{name}", api.deleteNode)
	mux.HandleFunc("GET /api/v1/pods", api.listPods)
	mux.HandleFunc("POST /api/v1/namespaces/{namespace}/pods/{name}/eviction", api.evict)
	mux.HandleFunc("DELETE /api/v1/namespaces/{namespace}/pods/{name}", api.deletePod)
	server := httptest.NewUnstartedServer(mux)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // Connections that are cut off at the end.
	server.StartTLS()
	t.Cleanup(server.Close)
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	text, err := kubeconfig.New("fake", kubeconfig.Cluster{Server: server.URL, CertificateAuthorityData: authority},
		kubeconfig.User{Token: "token"}).Render()
	if err != nil {
		t.Fatal(err)
	}
	api.kubeconfig = []byte(text)
	return api
}

// options have machines, for which a minute of the vendors' is a second: enough for a drain that can succeed on a busy machine.
func (a *fakeAPI) options() Options {
	return Options{Kubeconfig: a.kubeconfig, Machines: &Machines{Minute: time.Second, Retry: time.Millisecond}}
}

// impatient have machines, for which a minute is 2 ms: for drains that come to their time limit.
func (a *fakeAPI) impatient() Options {
	options := a.options()
	options.Machines.Minute = 2 * time.Millisecond
	return options
}

func (a *fakeAPI) answer(w http.ResponseWriter, status int, object any) {
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(object); err != nil {
		a.t.Error(err)
	}
}

func (a *fakeAPI) read(r *http.Request) fields {
	var object map[string]any
	if err := json.NewDecoder(r.Body).Decode(&object); err != nil {
		a.t.Error(err)
	}
	return object
}

func message(format string, args ...any) any {
	return map[string]any{"message": fmt.Sprintf(format, args...)}
}

func (a *fakeAPI) createNode(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	node := a.read(r)
	name := node.str("metadata.name")
	if a.nodes[name] != nil {
		a.answer(w, http.StatusConflict, message("nodes %q already exists", name))
		return
	}
	a.made++
	node.set("metadata.uid", fmt.Sprint("uid-", a.made))
	node.set("status.conditions", []any{map[string]any{"type": "Ready", "status": "True"}})
	a.nodes[name] = node
	a.answer(w, http.StatusCreated, node)
}

func (a *fakeAPI) getNode(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if node := a.nodes[r.PathValue("name")]; node != nil {
		a.answer(w, http.StatusOK, node)
		return
	}
	a.answer(w, http.StatusNotFound, message("not found"))
}

func (a *fakeAPI) patchNode(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	node := a.nodes[r.PathValue("name")]
	if node == nil {
		a.answer(w, http.StatusNotFound, message("not found"))
		return
	}
	if got := r.Header.Get("Content-Type"); got != "application/merge-patch+json" {
		a.t.Errorf("got patch of type %s", got)
	}
	mergePatch(node, a.read(r))
	a.answer(w, http.StatusOK, node)
}

func mergePatch(object, patch map[string]any) {
	for key, value := range patch {
		below, isObject := value.(map[string]any)
		there, was := object[key].(map[string]any)
		switch {
		case value == nil:
			delete(object, key)
		case isObject && was:
			mergePatch(there, below)
		default:
			object[key] = value
		}
	}
}

// deleteNode takes the node's pods along, as the pod garbage collector does.
func (a *fakeAPI) deleteNode(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	name := r.PathValue("name")
	if want := a.nodes[name].str("metadata.uid"); a.read(r).str("preconditions.uid") != want {
		a.answer(w, http.StatusConflict, message("another uid"))
		return
	}
	delete(a.nodes, name)
	for pod, node := range a.pods {
		if node == name {
			delete(a.pods, pod)
		}
	}
	a.answer(w, http.StatusOK, message("gone"))
}

func (a *fakeAPI) listPods(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	node, ok := strings.CutPrefix(r.FormValue("fieldSelector"), "spec.nodeName=")
	if !ok {
		a.t.Errorf("got %s", r.URL)
	}
	items := []any{}
	for pod, at := range a.pods {
		if at != node {
			continue
		}
		metadata := map[string]any{"name": pod, "namespace": "default", "uid": "uid-" + pod}
		if a.daemons[pod] {
			metadata["ownerReferences"] = []any{map[string]any{"kind": "DaemonSet", "controller": true}}
		}
		items = append(items, map[string]any{"metadata": metadata, "status": map[string]any{"phase": "Running"}})
	}
	a.answer(w, http.StatusOK, map[string]any{"items": items})
}

func (a *fakeAPI) evict(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	pod := r.PathValue("name")
	if a.kept[pod] {
		a.refused++
		a.answer(w, http.StatusTooManyRequests, message("Cannot evict pod as it would violate the pod's disruption budget."))
		return
	}
	delete(a.pods, pod)
	a.answer(w, http.StatusCreated, message("evicted"))
}

func (a *fakeAPI) deletePod(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.pods, r.PathValue("name"))
	a.answer(w, http.StatusOK, message("deleted"))
}

// run puts a pod on a node.
func (a *fakeAPI) run(pod, node string, kept bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pods[pod], a.kept[pod] = node, kept
}

func (a *fakeAPI) release(pod string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.kept[pod] = false
}

func (a *fakeAPI) runs(pod string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, ok := a.pods[pod]
	return ok
}

// node returns a copy of a node.
func (a *fakeAPI) node(name string) fields {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.nodes[name].with(nil)
}

// names lists the nodes, by zone and name.
func (a *fakeAPI) names() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var names []string
	for name := range a.nodes {
		names = append(names, name)
	}
	sort.Slice(names, func(i, j int) bool {
		one, other := a.nodes[names[i]].label(zoneLabel), a.nodes[names[j]].label(zoneLabel)
		return one < other || one == other && names[i] < names[j]
	})
	return names
}

const zoneLabel = "topology.kubernetes.io/zone"

func (f fields) label(key string) string {
	labels, _ := f.get("metadata.labels").(map[string]any)
	text, _ := labels[key].(string)
	return text
}

func (f fields) disk() string {
	annotations, _ := f.get("metadata.annotations").(map[string]any)
	text, _ := annotations[diskAnnotation].(string)
	return text
}

// zones lists the zones of the nodes, sorted.
func (a *fakeAPI) zones() string {
	var zones []string
	for _, name := range a.names() {
		zones = append(zones, a.node(name).label(zoneLabel))
	}
	return strings.Join(zones, " ")
}

func (a *fakeAPI) disks() []string {
	var disks []string
	for _, name := range a.names() {
		disks = append(disks, a.node(name).disk())
	}
	return disks
}

// steps lists what happened to machines, in the order in which it was done.
func (j Journal) steps() []string {
	done := j.filter(func(e Entry) bool { return e.Node != "" && !e.Ended.IsZero() })
	slices.SortStableFunc(done, func(a, b Entry) int { return a.Ended.Compare(b.Ended) })
	var steps []string
	for _, entry := range done {
		steps = append(steps, strings.TrimPrefix(string(entry.Op), "node "))
	}
	return steps
}

// counted shortens a list of steps: what comes several times in a row is counted.
func counted(steps []string) string {
	var short []string
	for i := 0; i < len(steps); {
		n := 1
		for i+n < len(steps) && steps[i+n] == steps[i] {
			n++
		}
		short = append(short, fmt.Sprint(n, " ", steps[i]))
		i += n
	}
	return strings.Join(short, ", ")
}
