package standin

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"ha-iris/sandbox/internal/datapath/engine"
	"ha-iris/sandbox/internal/datapath/imclient"
)

// fakeManager answers for a node's instance manager (datapath/instances), without files and devices.
type fakeManager struct {
	mu       sync.Mutex
	node     string
	silent   bool
	replicas map[string]imclient.Replica
	engines  map[string]*imclient.Engine
	// snapshots are those of every replica, and tasks what was asked for and takes its time.
	snapshots []imclient.Snapshot
	tasks     map[string]imclient.Task
	// directories are those of replicas on the disk, beside the ones of processes.
	directories []string
	// clones are those that were asked for.
	clones []imclient.Clone
	// done is what was asked for, in order.
	done []string
}

func (m *fakeManager) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.silent {
		panic(http.ErrAbortHandler) //nolint:forbidigo // the connection breaks, as when nobody is there
	}
	path := strings.Split(strings.TrimPrefix(r.URL.Path, "/v1/"), "/")
	answer, status := m.act(r, path)
	if status != http.StatusOK {
		w.WriteHeader(status)
		return
	}
	_ = json.NewEncoder(w).Encode(answer) // the recorder does not fail
}

func (m *fakeManager) act(r *http.Request, path []string) (answer any, status int) {
	if r.Method != http.MethodGet && path[0] != "disks" {
		m.done = append(m.done, r.Method+" "+strings.Join(path, "/"))
	}
	switch path[0] {
	case "instances":
		all := imclient.Instances{}
		for _, replica := range m.replicas {
			replica.Snapshots = m.snapshots
			all.Replicas = append(all.Replicas, replica)
		}
		for _, process := range m.engines {
			all.Engines = append(all.Engines, *process)
		}
		return all, http.StatusOK
	case "disks":
		return imclient.Disk{
			UUID: "disk-of-" + m.node, Total: 100 << 30, Available: 90 << 30,
			Replicas: slices.Concat(m.directories, slices.Collect(maps.Keys(m.replicas))),
		}, http.StatusOK
	case "tasks":
		if task, there := m.tasks[r.URL.Query().Get("id")]; there {
			return task, http.StatusOK
		}
		return nil, http.StatusNotFound
	case "replicas":
		return m.actOnReplica(r, path)
	}
	return m.actOnEngine(r, path)
}

func (m *fakeManager) actOnReplica(r *http.Request, path []string) (any, int) {
	if r.Method == http.MethodDelete {
		m.directories = slices.DeleteFunc(m.directories, func(name string) bool { return name == path[1] })
		if _, there := m.replicas[path[1]]; !there && len(path) == 2 {
			return nil, http.StatusNotFound
		}
		delete(m.replicas, path[1])
		return nil, http.StatusNoContent
	}
	if len(path) == 3 {
		var asked imclient.Clone
		if path[2] == "clones" && json.NewDecoder(r.Body).Decode(&asked) == nil {
			m.clones = append(m.clones, asked)
		}
		return m.task(path[2] + " of " + path[1]), http.StatusOK
	}
	var asked imclient.StartReplica
	if json.NewDecoder(r.Body).Decode(&asked) != nil {
		return nil, http.StatusBadRequest
	}
	m.replicas[asked.Name] = imclient.Replica{Name: asked.Name, Size: asked.Size, Port: 10000 + len(m.done)}
	return m.replicas[asked.Name], http.StatusOK
}

func (m *fakeManager) actOnEngine(r *http.Request, path []string) (any, int) {
	if len(path) == 1 {
		var asked imclient.StartEngine
		if json.NewDecoder(r.Body).Decode(&asked) != nil {
			return nil, http.StatusBadRequest
		}
		if m.engines[asked.Name] == nil {
			started := &imclient.Engine{Name: asked.Name, Volume: asked.Volume, Size: asked.Size, State: imclient.Starting}
			for name, address := range asked.Replicas {
				started.Replicas = append(started.Replicas, engine.ReplicaStatus{Name: name, Address: address, Mode: engine.ReadWrite})
			}
			m.engines[asked.Name] = started
		}
		return m.engines[asked.Name], http.StatusOK
	}
	process := m.engines[path[1]]
	switch {
	case process == nil:
		return nil, http.StatusNotFound
	case len(path) == 2:
		delete(m.engines, path[1])
		return nil, http.StatusNoContent
	case path[2] == "snapshots":
		return m.task(r.Method + " " + path[3]), http.StatusOK
	case path[2] == "size":
		_, _ = fmt.Sscan(path[3], &process.Size) // a number, or the test fails on it
		return imclient.Task{State: imclient.Complete}, http.StatusOK
	case r.Method == http.MethodDelete:
		process.Replicas = slices.DeleteFunc(process.Replicas, func(one engine.ReplicaStatus) bool { return one.Name == path[3] })
		return nil, http.StatusNoContent
	}
	var asked imclient.AddReplica
	if json.NewDecoder(r.Body).Decode(&asked) != nil {
		return nil, http.StatusBadRequest
	}
	process.Replicas = append(process.Replicas, engine.ReplicaStatus{
		Name: asked.Name, Address: asked.Address, Mode: engine.WriteOnly, Rebuild: &engine.Rebuild{Progress: 40},
	})
	return imclient.Task{State: imclient.Running}, http.StatusOK
}

// task begins something that goes on until the test ends it.
func (m *fakeManager) task(id string) imclient.Task {
	if m.tasks == nil {
		m.tasks = map[string]imclient.Task{}
	}
	m.tasks[id] = imclient.Task{ID: id, State: imclient.Running}
	return m.tasks[id]
}

// realRig is a rig whose nodes are real, as far as the controller can see.
type realRig struct {
	*rig
	managers map[string]*fakeManager
}

func newRealRig(t *testing.T) *realRig {
	t.Helper()
	values := map[string]string{"replica-replenishment-wait-interval": "60"}
	r := &realRig{&rig{newHarness(t, world(installed(values), boundClaim(""))...)}, map[string]*fakeManager{}}
	servers := map[string]string{}
	for _, name := range []string{"a", "b", "c"} {
		r.managers[name] = &fakeManager{node: name, replicas: map[string]imclient.Replica{}, engines: map[string]*imclient.Engine{}}
		server := httptest.NewServer(r.managers[name])
		t.Cleanup(server.Close)
		servers["ip-of-"+name] = server.Listener.Addr().String()
		r.node(name, func(node *corev1.Node) { node.Annotations = nil })
		pod, err := r.client.CoreV1().Pods(longhornNamespace).Get(t.Context(), instanceName(name), metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		pod.Status.PodIP = "ip-of-" + name
		if _, err := r.client.CoreV1().Pods(longhornNamespace).UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	r.refresh()
	r.dial = func(podIP string) *imclient.Client { return imclient.NewAt(servers[podIP]) }
	r.edit(longhornVolumes, handle, func(volume *unstructured.Unstructured) { put(volume, int64(2880), "spec", "staleReplicaTimeout") })
	r.pass(2 * time.Second)
	return r
}

// running lets the engine on the node serve its device.
func (r *realRig) running(node string) *imclient.Engine {
	r.t.Helper()
	process := r.managers[node].engines[engineName(handle)]
	if process == nil {
		r.t.Fatalf("no engine runs on node %s", node)
	}
	process.State, process.Endpoint = imclient.Running, "/dev/longhorn/"+handle
	r.pass(time.Second)
	return process
}

// newAttachedRig is one whose volume is attached to node a, with its engine.
func newAttachedRig(t *testing.T) (*realRig, *imclient.Engine) {
	t.Helper()
	r := newRealRig(t)
	r.attach("a")
	return r, r.running("a")
}

// cut takes node a off the network, and join puts it back.
func (r *realRig) cut() {
	r.managers["a"].silent = true
	r.node("a", func(node *corev1.Node) { node.Status.Conditions[0].Status = corev1.ConditionUnknown })
}

func (r *realRig) join() {
	r.managers["a"].silent = false
	r.node("a", func(node *corev1.Node) { node.Status.Conditions[0].Status = corev1.ConditionTrue })
}

func (r *realRig) robustness() string { return r.volumeField("status", "robustness") }

// lose has the engine lose its replica on the node, and returns the replica's name.
func (r *realRig) lose(process *imclient.Engine, node string) string {
	r.t.Helper()
	for i := range process.Replicas {
		if _, there := r.managers[node].replicas[process.Replicas[i].Name]; there {
			process.Replicas[i].Mode = engine.Failed
			return process.Replicas[i].Name
		}
	}
	r.t.Fatalf("no replica on node %s", node)
	return ""
}

func TestReal_AttachingStartsProcesses(t *testing.T) {
	t.Parallel()
	r := newRealRig(t)
	if err := r.setAttached(t.Context(), longhornNamespace, handle, "a"); err != nil {
		t.Fatal(err)
	}
	for name, manager := range r.managers {
		if len(manager.replicas) != 1 {
			t.Errorf("got %d replicas on node %s, want one", len(manager.replicas), name)
		}
	}
	r.pass(10 * time.Second)
	if got := r.longhornObject(engineKind, engineName(handle)); textAt(got, "status", "endpoint") != "" {
		t.Error("a volume whose engine does not serve yet counts as attached")
	}
	process := r.running("a")
	if got := r.robustness(); got != healthy || len(process.Replicas) != 3 {
		t.Errorf("got %s with %d replicas, want %s with three", got, len(process.Replicas), healthy)
	}
}

func TestReal_ALostReplicaIsRebuiltByTheEngine(t *testing.T) {
	t.Parallel()
	r, process := newAttachedRig(t)
	name := r.lose(process, "b")
	r.pass(time.Second)
	if r.robustness() != degraded || textAt(r.longhornObject(replicaKind, name), "spec", "lastFailedAt") == "" {
		t.Fatalf("got %s, want %s with the replica failed", r.robustness(), degraded)
	}
	r.pass(3 * time.Second) // its node is there, so it is taken up again
	at := slices.IndexFunc(process.Replicas, func(one engine.ReplicaStatus) bool { return one.Name == name && one.Mode == engine.WriteOnly })
	if at < 0 || r.robustness() != degraded {
		t.Fatalf("got replicas %v and %s, want a rebuild", process.Replicas, r.robustness())
	}
	status := mapAt(r.longhornObject(engineKind, engineName(handle)), "status", "rebuildStatus")
	if len(status) != 1 {
		t.Errorf("got rebuild status %v, want one rebuild", status)
	}
	process.Replicas[at].Mode, process.Replicas[at].Rebuild = engine.ReadWrite, nil
	r.pass(time.Second)
	if r.robustness() != healthy {
		t.Errorf("got %s after the rebuild", r.robustness())
	}
}

// Of a node that does not answer nothing is known: while Kubernetes believes in it nothing changes, and then "stopped is assumed".
func TestReal_ACutOffEngineIsAssumedToHaveStopped(t *testing.T) {
	t.Parallel()
	r, _ := newAttachedRig(t)
	r.managers["a"].silent = true
	r.pass(5 * time.Second)
	if r.robustness() != healthy || r.volumeField("status", "state") != attached {
		t.Errorf("got %s, %s; want nothing changed", r.robustness(), r.volumeField("status", "state"))
	}
	if err := r.setAttached(t.Context(), longhornNamespace, handle, ""); err == nil {
		t.Error("an engine that may run was called stopped")
	}
	r.node("a", func(node *corev1.Node) { node.Status.Conditions[0].Status = corev1.ConditionUnknown })
	r.attach("")
	if r.volumeField("status", "state") != detached {
		t.Errorf("got %s, want %s", r.volumeField("status", "state"), detached)
	}
	if r.managers["a"].engines[engineName(handle)] == nil {
		t.Error("the test's engine is gone: a stale one has to stay")
	}
}

// Where only the kubelet has ended, the node is down for Kubernetes and its instance manager answers (longhorn-real.md, run 5).
func TestReal_AnEngineOfADownNodeIsStoppedIfItCanBeReached(t *testing.T) {
	t.Parallel()
	r, _ := newAttachedRig(t)
	r.node("a", func(node *corev1.Node) { node.Status.Conditions[0].Status = corev1.ConditionUnknown })
	r.markUnready(instanceName("a"))
	r.attach("")
	if r.volumeField("status", "state") != detached || r.managers["a"].engines[engineName(handle)] != nil {
		t.Errorf("got %s; the engine runs: %t", r.volumeField("status", "state"), r.managers["a"].engines[engineName(handle)] != nil)
	}
}

// The node is back before the next attachment: its replica is taken as healthy although it differs (longhorn-real.md, run 3).
func TestReal_AReplicaThatIsBackEarlyCountsAsHealthy(t *testing.T) {
	t.Parallel()
	r, _ := newAttachedRig(t)
	r.cut()
	r.attach("")
	r.join()
	r.attach("b")
	if process := r.running("b"); len(process.Replicas) != 3 || r.robustness() != healthy {
		t.Errorf("got %d replicas, %s; want all three taken, asked nothing", len(process.Replicas), r.robustness())
	}
}

func TestReal_DetachingStopsProcessesAndGrowthReachesTheEngine(t *testing.T) {
	t.Parallel()
	r, process := newAttachedRig(t)
	r.edit(longhornVolumes, handle, func(volume *unstructured.Unstructured) { put(volume, fmt.Sprint(int64(40)<<30), "spec", "size") })
	r.pass(time.Second)
	if process.Size != 40<<30 {
		t.Errorf("got an engine of %d bytes, want 40 GiB", process.Size)
	}
	r.attach("")
	for name, manager := range r.managers {
		if len(manager.engines) > 0 || len(manager.replicas) > 0 {
			t.Errorf("node %s still runs %v, %v", name, manager.engines, manager.replicas)
		}
	}
}

// An engine that has ended takes the volume with it; it is attached anew where it is in use, and the pod is asked to mount again.
func TestReal_AnEngineThatHasEndedIsStartedAnew(t *testing.T) {
	t.Parallel()
	r, process := newAttachedRig(t)
	process.State, process.Endpoint = imclient.Failed, ""
	r.pass(time.Second)
	if r.volumeField("status", "state") != detached {
		t.Errorf("got %s, want %s", r.volumeField("status", "state"), detached)
	}
	if r.managers["a"].engines[engineName(handle)] != nil {
		t.Error("the engine that failed stays, and would be taken for the next one")
	}
	r.pass(time.Second)
	if r.volumeField("status", "remountRequestedAt") == "" {
		t.Error("nobody is asked to mount the volume again")
	}
}
