//go:build linux

package standin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"ha-iris/sandbox/internal/datapath/engine"
	"ha-iris/sandbox/internal/datapath/imclient"
	"ha-iris/sandbox/internal/datapath/instances"
	"ha-iris/sandbox/internal/datapath/testkit"
)

// smallVolume is the size of the volume that has data.
const smallVolume = 8 << 20

// plainManager is a node's instance manager whose engines have no device, and so need no rights; they are real otherwise.
type plainManager struct {
	*instances.Manager
	log     *slog.Logger
	mu      sync.Mutex
	engines map[string]*engine.Engine
	volumes map[string]string
	// cloning happens between the controller's decision to clone and the clone.
	cloning func()
}

func (m *plainManager) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.Split(strings.TrimPrefix(r.URL.Path, "/v1/"), "/")
	switch {
	case path[0] == "instances":
		m.answer(w, m.list(), nil)
	case path[0] != "engines":
		if path[len(path)-1] == "clones" && m.cloning != nil {
			m.cloning()
		}
		m.Handler().ServeHTTP(w, r)
	case len(path) == 1:
		var asked imclient.StartEngine
		err := json.NewDecoder(r.Body).Decode(&asked)
		if err == nil {
			err = m.start(r, asked)
		}
		m.answer(w, imclient.Engine{Name: asked.Name, Volume: asked.Volume, State: imclient.Starting}, err)
	case len(path) == 2:
		m.stop(path[1])
		w.WriteHeader(http.StatusNoContent)
	default:
		m.answer(w, imclient.Task{ID: "done", State: imclient.Complete}, m.act(r, path))
	}
}

func (m *plainManager) answer(w http.ResponseWriter, answer any, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	_ = json.NewEncoder(w).Encode(answer) // the recorder does not fail
}

func (m *plainManager) list() imclient.Instances {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := m.List()
	for name, one := range m.engines {
		all.Engines = append(all.Engines, imclient.Engine{
			Name: name, Volume: m.volumes[name], Size: one.Size(), State: imclient.Running, Endpoint: "/dev/longhorn/" + m.volumes[name],
			Replicas: one.Replicas(),
		})
	}
	return all
}

func (m *plainManager) start(r *http.Request, asked imclient.StartEngine) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	started, err := engine.Start(r.Context(), engine.Config{
		Name: asked.Name, Size: asked.Size, Replicas: asked.Replicas, Timeout: asked.ReplicaTimeout, Log: m.log,
	})
	if err == nil {
		m.engines[asked.Name], m.volumes[asked.Name] = started, asked.Volume
	}
	return err
}

func (m *plainManager) stop(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if one := m.engines[name]; one != nil {
		one.Close()
		delete(m.engines, name)
	}
}

func (m *plainManager) act(r *http.Request, path []string) error {
	m.mu.Lock()
	one := m.engines[path[1]]
	m.mu.Unlock()
	switch {
	case one == nil:
		return http.ErrMissingFile
	case path[2] == "snapshots" && r.Method == http.MethodPost:
		return one.Snapshot(path[3])
	case path[2] == "snapshots":
		return one.RemoveSnapshot(path[3])
	case r.Method == http.MethodDelete:
		return one.Remove(path[3])
	}
	var asked imclient.AddReplica
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		return err
	}
	return one.Add(r.Context(), asked.Name, asked.Address, asked.BytesPerSecond)
}

// withEngines puts plain managers on the rig's nodes, each at an address of its own, and returns them with their directories.
func withEngines(t *testing.T, r *realRig) (managers map[string]*plainManager, roots map[string]string) {
	t.Helper()
	roots, managers = map[string]string{}, map[string]*plainManager{}
	servers := map[string]string{}
	for i, name := range []string{"a", "b", "c"} {
		root, address := t.TempDir(), fmt.Sprintf("127.0.0.%d", i+2)
		config := []byte(`{"diskName":"d","diskUUID":"disk-of-` + name + `"}`)
		if err := errors.Join(os.Mkdir(filepath.Join(root, "data"), 0o700), os.WriteFile(filepath.Join(root, "data/longhorn-disk.cfg"), config, 0o600)); err != nil {
			t.Fatal(err)
		}
		manager, err := instances.New(instances.Options{Root: root, MountDir: t.TempDir(), DeviceDir: "/dev/longhorn", Log: r.log, Address: address})
		if err != nil {
			t.Fatal(err)
		}
		plain := &plainManager{Manager: manager, log: r.log, engines: map[string]*engine.Engine{}, volumes: map[string]string{}}
		server := httptest.NewServer(plain)
		t.Cleanup(func() {
			server.Close()
			for name := range plain.volumes {
				plain.stop(name)
			}
			_ = manager.Close() // the test has ended
		})
		roots[name], managers[name], servers[address] = root, plain, server.Listener.Addr().String()
		pod := instancePodOn(name)
		pod.Status.PodIP = address
		if _, err := r.client.CoreV1().Pods(longhornNamespace).UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	r.refresh()
	r.dial = func(podIP string) *imclient.Client { return imclient.NewAt(servers[podIP]) }
	return managers, roots
}

// until lets time pass until something has happened.
func (r *rig) until(what string, happened func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !happened(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("%s: not in time; clone %v", what, r.longhornObject(longhornVolumes, copied))
		}
		r.pass(time.Second)
	}
}

// image is the content of a replica's file.
func image(t *testing.T, root, volume, file string) []byte {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(root, "data/replicas", volume+"-r-*", file))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s has %v, %v", root, found, err)
	}
	content, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestReal_ACloneHoldsItsSourcesSnapshotOnEveryReplica(t *testing.T) {
	t.Parallel()
	r := newRealRig(t)
	managers, roots := withEngines(t, r)
	r.make(longhornVolumes, "source", map[string]any{"size": fmt.Sprint(smallVolume), "numberOfReplicas": int64(3)})
	r.pass(time.Second)
	if err := r.setAttached(t.Context(), longhornNamespace, "source", "a"); err != nil {
		t.Fatal(err)
	}
	source := managers["a"].engines[engineName("source")]
	if _, err := source.WriteAt([]byte("at the snapshot"), smallVolume/2); err != nil {
		t.Fatal(err)
	}
	r.make(snapshotKind, "s1", map[string]any{"volume": "source", "createSnapshot": true})
	r.until("snapshot", func() bool { return ready(r.longhornObject(snapshotKind, "s1")) })
	stop := testkit.Scribble(t, source, smallVolume)
	r.make(longhornVolumes, copied, map[string]any{"dataSource": "snap://source/s1", "size": fmt.Sprint(smallVolume), "numberOfReplicas": int64(3)})
	r.until("copy", func() bool { return cloneState(r.longhornObject(longhornVolumes, copied)) == cloneCopied })
	stop()
	want := image(t, roots["a"], "source", "snapshot-s1.img")
	if first := textAt(r.copies()[0], "spec", "nodeID"); !bytes.Equal(image(t, roots[first], copied, "volume.img"), want) ||
		bytes.Equal(image(t, roots["a"], "source", "volume.img"), want) || !bytes.Contains(want, []byte("at the snapshot")) {
		t.Error("the clone does not have the snapshot's content, or the source was not written to")
	}
	if err := r.setAttached(t.Context(), longhornNamespace, copied, "b"); err != nil {
		t.Fatal(err)
	}
	if _, err := managers["b"].engines[engineName(copied)].WriteAt([]byte("its own"), 0); err != nil {
		t.Fatal(err)
	}
	r.until("rebuild", func() bool { return cloneState(r.longhornObject(longhornVolumes, copied)) == cloneCompleted })
	for node, root := range roots {
		if content := image(t, root, copied, "volume.img"); !bytes.HasPrefix(content, []byte("its own")) || !bytes.Equal(content[7:], want[7:]) {
			t.Errorf("node %s does not have the snapshot's content and what was written since", node)
		}
	}
	if content := image(t, roots["b"], "source", "volume.img"); bytes.HasPrefix(content, []byte("its own")) {
		t.Error("the source has what was written to the clone")
	}
}

// A clone whose snapshot goes while it is read is no clone, whatever it has read so far.
func TestReal_ACloneWithoutItsSnapshotIsNeverUsed(t *testing.T) {
	t.Parallel()
	r := newRealRig(t)
	managers, roots := withEngines(t, r)
	r.make(longhornVolumes, "source", map[string]any{"size": fmt.Sprint(smallVolume), "numberOfReplicas": int64(3)})
	r.pass(time.Second)
	if err := r.setAttached(t.Context(), longhornNamespace, "source", "a"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"s1", "s2"} { // the last one would only be marked
		r.make(snapshotKind, name, map[string]any{"volume": "source", "createSnapshot": true})
		r.until("snapshot", func() bool { return ready(r.longhornObject(snapshotKind, name)) })
	}
	for _, manager := range managers {
		manager.cloning = func() {
			if err := managers["a"].engines[engineName("source")].RemoveSnapshot("s1"); err != nil {
				t.Error(err)
			}
		}
	}
	r.make(longhornVolumes, copied, map[string]any{"dataSource": "snap://source/s1", "size": fmt.Sprint(smallVolume), "numberOfReplicas": int64(3)})
	r.until("failure", func() bool { return cloneState(r.longhornObject(longhornVolumes, copied)) == cloneFailed })
	node := textAt(r.copies()[0], "spec", "nodeID")
	if meta := image(t, roots[node], copied, "volume.meta"); !bytes.Contains(meta, []byte(`"rebuilding":true`)) || r.refused() != notCopied {
		t.Errorf("the replica says %s, refusal %q", meta, r.refused())
	}
}
