//go:build linux

package standin

import (
	"bytes"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ha-iris/sandbox/internal/datapath/bucket"
	"ha-iris/sandbox/internal/datapath/imclient"
	"ha-iris/sandbox/internal/datapath/instances"
	"ha-iris/sandbox/internal/datapath/replica"
)

// withManagers puts real instance managers on the rig's nodes, in directories that see the buckets where this process does. It
// returns the directories. Restoring needs no device, and so no rights.
func withManagers(t *testing.T, r *realRig) map[string]string {
	t.Helper()
	roots, servers := map[string]string{}, map[string]string{}
	for name := range r.managers {
		root := t.TempDir()
		roots[name] = root
		link := filepath.Join(root, r.buckets)
		config := []byte(`{"diskName":"d","diskUUID":"disk-of-` + name + `"}`)
		for _, dir := range []string{filepath.Dir(link), filepath.Join(root, "data")} {
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(root, "data", "longhorn-disk.cfg"), config, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(r.buckets, link); err != nil {
			t.Fatal(err)
		}
		manager, err := instances.New(instances.Options{Root: root, MountDir: t.TempDir(), DeviceDir: "/dev/longhorn", Log: r.log, Address: "127.0.0.1"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = manager.Close() })
		server := httptest.NewServer(manager.Handler())
		t.Cleanup(server.Close)
		servers["ip-of-"+name] = server.Listener.Addr().String()
	}
	r.dial = func(podIP string) *imclient.Client { return imclient.NewAt(servers[podIP]) }
	return roots
}

// keep puts a backup b1 of 8 MiB into the bucket, which says something at its end.
func (r *rig) keep(saying []byte) {
	r.t.Helper()
	const size = 8 << 20
	files, err := replica.Open(r.t.TempDir(), size)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = files.Close() })
	if err := files.WriteAt("", size-int64(len(saying)), saying); err != nil {
		r.t.Fatal(err)
	}
	if err := files.Snapshot("s1", time.Now()); err != nil {
		r.t.Fatal(err)
	}
	described := bucket.Backup{Name: "b1", Volume: "other", Snapshot: "s1", Size: size, Created: time.Now()}
	if _, err := r.store().Save(r.t.Context(), described, files, func(int) {}); err != nil {
		r.t.Fatal(err)
	}
}

func TestReal_EveryReplicaHoldsWhatWasRestored(t *testing.T) {
	t.Parallel()
	real := newRealRig(t)
	r := withBucket(real.rig)
	roots := withManagers(t, real)
	saying := []byte("restored")
	r.keep(saying)
	r.idle(defaultPoll + 4*time.Second)
	if _, err := r.claimFrom(bucketURL + "?backup=b1&volume=other"); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); r.restoring() && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		r.pass(time.Second)
	}
	if r.restoring() {
		t.Fatalf("got %v", r.longhornObject(longhornVolumes, restored).Object["status"])
	}
	for node, root := range roots {
		found, err := filepath.Glob(filepath.Join(root, "data/replicas", restored+"-r-*", "volume.img"))
		if err != nil || len(found) != 1 {
			t.Fatalf("node %s has %v, %v", node, found, err)
		}
		content, err := os.ReadFile(found[0])
		if err != nil || len(content) != 8<<20 || !bytes.HasSuffix(content, saying) {
			t.Errorf("node %s has %d bytes, %v; want the backup's", node, len(content), err)
		}
	}
}
