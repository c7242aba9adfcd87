//go:build linux

package blockdev_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ha-iris/sandbox/internal/datapath/blockdev"
	"ha-iris/sandbox/internal/datapath/engine"
	"ha-iris/sandbox/internal/datapath/testkit"
)

const size = 64 << 20

// TestMain lets the test's program be the helper too.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "loop-helper" {
		os.Exit(blockdev.RunHelper(os.Args[2:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

func options(t *testing.T) blockdev.Options {
	t.Helper()
	testkit.NeedDevices(t)
	dir := t.TempDir()
	owner := "test" + strconv.Itoa(os.Getpid()) + strings.ToLower(t.Name()[strings.LastIndex(t.Name(), "_")+1:])[:4]
	o := blockdev.Options{
		Owner: owner, Volume: "pvc-1", MountDir: filepath.Join(dir, "mounts"), DeviceDir: filepath.Join(dir, "dev"),
		Helper: []string{os.Args[0], "loop-helper"}, Log: testkit.Log(),
	}
	t.Cleanup(func() {
		left, err := blockdev.Loops(owner)
		if err != nil || len(left) > 0 {
			t.Errorf("loop devices are left: %v, %v", left, err)
		}
	})
	return o
}

type lab struct {
	replicas []*testkit.Replica
	engine   *engine.Engine
	disk     *blockdev.Disk
	path     string
}

// attached is an engine with three replicas and a device.
func attached(t *testing.T) (*lab, blockdev.Options) {
	t.Helper()
	o := options(t)
	l := &lab{path: o.Path()}
	for i := range 3 {
		l.replicas = append(l.replicas, testkit.StartReplica(t, filepath.Join(t.TempDir(), "r"+strconv.Itoa(i)), size))
	}
	var err error
	l.engine, err = engine.Start(t.Context(), engine.Config{
		Name: "e", Size: size, Replicas: testkit.Addresses(l.replicas...), Timeout: time.Second, Log: testkit.Log(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.engine.Close)
	l.disk, err = blockdev.Attach(t.Context(), o, l.engine)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.disk.Detach(t.Context()) }) // A test may have done so.
	return l, o
}

func run(t *testing.T, name string, arguments ...string) string {
	t.Helper()
	out, err := exec.Command(name, arguments...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, arguments, err, out)
	}
	return string(out)
}

// mounted makes a filesystem and mounts it, until the test ends.
func mounted(t *testing.T, device string) string {
	t.Helper()
	run(t, "mkfs.ext4", "-q", "-F", "-b4096", device)
	dir := t.TempDir()
	if err := unix.Mount(device, dir, "ext4", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

func writeSynced(path string, content []byte) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	return errors.Join(err, file.Sync(), file.Close())
}

func TestDisk_SyncedDataIsInEveryReplica(t *testing.T) {
	l, _ := attached(t)
	dir := mounted(t, l.path)
	marker := bytes.Repeat([]byte("marker of this test "), 500)
	if err := writeSynced(filepath.Join(dir, "file"), marker); err != nil {
		t.Fatal(err)
	}
	sums := map[[32]byte]bool{}
	for _, r := range l.replicas {
		content, err := os.ReadFile(r.Image())
		if err != nil || !bytes.Contains(content, marker[:4000]) {
			t.Errorf("%s lacks what was synced: %v", r.Name, err)
		}
		sums[sha256.Sum256(content)] = true
	}
	if len(sums) != 1 {
		t.Error("the replicas differ")
	}
}

// counting counts what the device makes durable.
type counting struct {
	*engine.Engine
	flushes atomic.Int64
}

func (c *counting) Flush() error {
	c.flushes.Add(1)
	return c.Engine.Flush()
}

func TestDisk_SyncFlushesTheReplicas(t *testing.T) {
	o := options(t)
	r := testkit.StartReplica(t, filepath.Join(t.TempDir(), "r0"), size)
	e, err := engine.Start(t.Context(), engine.Config{
		Name: "e", Size: size, Replicas: testkit.Addresses(r), Timeout: time.Second, Log: testkit.Log(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	backend := &counting{Engine: e}
	disk, err := blockdev.Attach(t.Context(), o, backend)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := disk.Detach(t.Context()); err != nil {
			t.Error(err)
		}
	})
	device, err := os.OpenFile(o.Path(), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = device.Close() }()
	for range 3 {
		before := backend.flushes.Load()
		if _, err := device.WriteAt([]byte("x"), 0); err != nil {
			t.Fatal(err)
		}
		if err := device.Sync(); err != nil {
			t.Fatal(err)
		}
		if backend.flushes.Load() == before {
			t.Error("a sync flushed nothing")
		}
	}
}

func TestDisk_GrowthIsVisibleOnTheDevice(t *testing.T) {
	l, _ := attached(t)
	if err := l.engine.Grow(2 * size); err != nil {
		t.Fatal(err)
	}
	if err := l.disk.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(run(t, "blockdev", "--getsize64", l.path)); got != strconv.Itoa(2*size) {
		t.Errorf("the device has %s bytes", got)
	}
	device, err := os.OpenFile(l.path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = device.Close() }()
	if _, err := device.WriteAt([]byte("x"), 2*size); err == nil {
		t.Error("a write beyond the end succeeded")
	}
}

func TestDisk_GrowthIsVisibleOnline(t *testing.T) {
	l, _ := attached(t)
	dir := mounted(t, l.path)
	testkit.NeedOnlineResize(t)
	before := capacity(t, dir)
	if err := l.engine.Grow(2 * size); err != nil {
		t.Fatal(err)
	}
	if err := l.disk.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	run(t, "resize2fs", l.path)
	if after := capacity(t, dir); after < before+size/2 {
		t.Errorf("%d bytes before, %d after", before, after)
	}
}

func capacity(t *testing.T, dir string) uint64 {
	t.Helper()
	var seen unix.Statfs_t
	if err := unix.Statfs(dir, &seen); err != nil {
		t.Fatal(err)
	}
	return seen.Blocks * uint64(seen.Bsize)
}

func TestDisk_WithoutReplicasGivesErrors(t *testing.T) {
	l, _ := attached(t)
	dir := mounted(t, l.path)
	for _, r := range l.replicas {
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- writeSynced(filepath.Join(dir, "file"), []byte("lost")) }()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("a write without replicas was acknowledged")
		}
	case <-time.After(20 * time.Second):
		t.Fatal("a write without replicas hangs")
	}
	content, err := os.ReadFile("/proc/self/mounts")
	if err != nil || !strings.Contains(string(content), dir) {
		t.Errorf("mount: %v", err)
	}
}

// In use, the device stays with I/O errors until its last user lets go.
func TestDisk_DetachInUseGivesErrors(t *testing.T) {
	l, _ := attached(t)
	dir := mounted(t, l.path)
	if err := l.disk.Detach(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := writeSynced(filepath.Join(dir, "file"), []byte("lost")); err == nil {
		t.Error("a write to a detached device was acknowledged")
	}
	if _, err := os.Stat(l.path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("device node: %v", err)
	}
	if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
}

func TestDisk_DiscardedBlocksLeaveTheReplicas(t *testing.T) {
	l, _ := attached(t)
	dir := mounted(t, l.path)
	path := filepath.Join(dir, "file")
	if err := writeSynced(path, bytes.Repeat([]byte("filled"), 4<<20)); err != nil {
		t.Fatal(err)
	}
	full := allocated(t, l.replicas[0].Image())
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	run(t, "sync", "-f", dir)
	run(t, "fstrim", dir)
	if left := allocated(t, l.replicas[0].Image()); left > full-(20<<20) {
		t.Errorf("%d bytes before, %d after", full, left)
	}
}

func allocated(t *testing.T, path string) int64 {
	t.Helper()
	var seen unix.Stat_t
	if err := unix.Stat(path, &seen); err != nil {
		t.Fatal(err)
	}
	return seen.Blocks * 512
}

func TestCleanUp_LeavesDevicesOfOthers(t *testing.T) {
	l, o := attached(t)
	if err := blockdev.CleanUp(o.Owner+"x", t.TempDir()); err != nil {
		t.Fatal(err)
	}
	device, err := os.Open(l.path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = device.Close() }()
	if _, err := io.ReadFull(device, make([]byte, 4096)); err != nil {
		t.Errorf("a clean-up of others took the device: %v", err)
	}
}
