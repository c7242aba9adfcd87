//go:build linux

package instances_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ha-iris/sandbox/internal/datapath/blockdev"
	"ha-iris/sandbox/internal/datapath/engine"
	"ha-iris/sandbox/internal/datapath/imclient"
	"ha-iris/sandbox/internal/datapath/instances"
	"ha-iris/sandbox/internal/datapath/testkit"
	shared "ha-iris/sandbox/internal/testkit"
)

const (
	size = 64 << 20
	disk = "/var/lib/longhorn"
)

// TestMain lets the test's program be a loop helper and an instance manager, too.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "loop-helper" {
		os.Exit(blockdev.RunHelper(os.Args[2:], os.Stdout, os.Stderr))
	}
	if len(os.Args) > 3 && os.Args[1] == "instance-manager" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		if err := instances.Run(ctx, options(os.Args[2]), os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func options(root string) instances.Options {
	return instances.Options{
		Root: root, Address: "127.0.0.1", MountDir: filepath.Join(root, "mounts"), DeviceDir: "/dev/longhorn",
		Helper: []string{os.Args[0], "loop-helper"}, Log: testkit.Log(),
	}
}

// node is a manager in this process, on a directory that plays a node's root.
type node struct {
	root   string
	client *imclient.Client
}

func newNode(t *testing.T) *node {
	t.Helper()
	testkit.NeedDevices(t)
	root := t.TempDir()
	t.Cleanup(func() { nothingLeft(t, root) })
	return startNode(t, root)
}

// startNode is a manager on a directory, until the test ends.
func startNode(t *testing.T, root string) *node {
	t.Helper()
	manager, err := instances.New(options(root))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(manager.Handler())
	t.Cleanup(func() {
		server.Close()
		if err := manager.Close(); err != nil {
			t.Error(err)
		}
	})
	return &node{root, imclient.NewAt(server.Listener.Addr().String())}
}

func nothingLeft(t *testing.T, root string) {
	t.Helper()
	owner, err := instances.ReadOwner(filepath.Join(root, disk))
	if err != nil || owner == "" {
		t.Fatalf("owner %q, %v", owner, err)
	}
	if left := remains(t, owner, root); left != "" {
		t.Errorf("left behind: %s", left)
	}
}

// remains lists what an instance manager has made and not removed.
func remains(t *testing.T, owner, root string) string {
	t.Helper()
	loops, err := blockdev.Loops(owner)
	if err != nil {
		t.Fatal(err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for number, name := range loops {
		left = append(left, fmt.Sprintf("loop%d over %s", number, name))
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, blockdev.Prefix+owner) {
			left = append(left, line)
		}
	}
	nodes, err := os.ReadDir(filepath.Join(root, "dev/longhorn"))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range nodes {
		left = append(left, entry.Name())
	}
	return strings.Join(left, "; ")
}

func (n *node) startReplica(t *testing.T, name string) string {
	t.Helper()
	r, err := n.client.StartReplica(t.Context(), imclient.StartReplica{Name: name, Directory: disk, Size: size})
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(r.Port))
}

func (n *node) startEngine(t *testing.T, volume string, replicas map[string]string) imclient.Engine {
	t.Helper()
	_, err := n.client.StartEngine(t.Context(), imclient.StartEngine{
		Name: volume + "-e-0", Volume: volume, Size: size, Replicas: replicas, ReplicaTimeout: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	return n.engine(t, volume+"-e-0", func(e imclient.Engine) bool { return e.State != imclient.Starting })
}

// engine waits until an engine is as it should be.
func (n *node) engine(t *testing.T, name string, as func(imclient.Engine) bool) imclient.Engine {
	t.Helper()
	var last imclient.Engine
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		all, err := n.client.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		last = imclient.Engine{}
		for _, e := range all.Engines {
			if e.Name == name {
				last = e
			}
		}
		if as(last) {
			return last
		}
	}
	t.Fatalf("engine %s stays as %+v", name, last)
	return last
}

func (n *node) done(t *testing.T, task imclient.Task, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := n.client.Wait(ctx, task); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, name string, arguments ...string) string {
	t.Helper()
	out, err := exec.Command(name, arguments...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, arguments, err, out)
	}
	return strings.TrimSpace(string(out))
}

func mountAt(t *testing.T, device string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount(device, dir, "ext4", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

func unmount(t *testing.T, dir string) {
	t.Helper()
	if err := unix.Unmount(dir, 0); err != nil {
		t.Fatal(err)
	}
}

func writeSynced(path string, content []byte) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	return errors.Join(err, file.Sync(), file.Close())
}

func TestInstances_LifeOfAVolume(t *testing.T) {
	nodes := []*node{newNode(t), newNode(t), newNode(t)}
	replicas := map[string]string{}
	for i, n := range nodes {
		name := fmt.Sprint("pvc-1-r-", i)
		replicas[name] = n.startReplica(t, name)
	}
	home := nodes[0]
	e := home.startEngine(t, "pvc-1", replicas)
	if e.State != imclient.Running || e.Endpoint != "/dev/longhorn/pvc-1" {
		t.Fatalf("%+v", e)
	}
	device := filepath.Join(home.root, e.Endpoint)
	run(t, "mkfs.ext4", "-q", "-F", "-b4096", device)
	dir := mountAt(t, device)
	if err := writeSynced(filepath.Join(dir, "file"), []byte("first")); err != nil {
		t.Fatal(err)
	}
	task, err := home.client.Snapshot(t.Context(), "pvc-1-e-0", "s1")
	home.done(t, task, err)
	listed, err := home.client.List(t.Context())
	if err != nil || len(listed.Replicas) != 1 || len(listed.Replicas[0].Snapshots) != 1 || listed.Replicas[0].Snapshots[0].Allocated < 4096 {
		t.Errorf("listed %+v, %v; want what the snapshot takes", listed.Replicas, err)
	}
	if err := writeSynced(filepath.Join(dir, "file"), []byte("second")); err != nil {
		t.Fatal(err)
	}
	task, err = home.client.Expand(t.Context(), "pvc-1-e-0", 2*size)
	home.done(t, task, err)
	if got := run(t, "blockdev", "--getsize64", device); got != strconv.Itoa(2*size) {
		t.Errorf("the device has %s bytes", got)
	}
	unmount(t, dir)
	nodes[1].backUpAndRestore(t, "pvc-1-r-1")
	if err := home.client.StopEngine(t.Context(), "pvc-1-e-0"); err != nil {
		t.Fatal(err)
	}
	home.engine(t, "pvc-1-e-0", func(e imclient.Engine) bool { return e.Name == "" })
	if err := nodes[2].client.DeleteReplica(t.Context(), disk, "pvc-1-r-2"); err != nil {
		t.Fatal(err)
	}
	found, err := nodes[2].client.Disk(t.Context(), disk)
	if err != nil || len(found.Replicas) != 0 || found.UUID == "" || found.Total == 0 {
		t.Errorf("%+v, %v", found, err)
	}
}

// backUpAndRestore makes a new volume from a backup of the snapshot and looks whether it has what it had then.
func (n *node) backUpAndRestore(t *testing.T, replica string) {
	t.Helper()
	task, err := n.client.Backup(t.Context(), replica, imclient.Backup{Name: "b1", Volume: "pvc-1", Snapshot: "s1", Bucket: "/bucket"})
	n.done(t, task, err)
	address := n.startReplica(t, "pvc-2-r-0")
	task, err = n.client.Restore(t.Context(), "pvc-2-r-0", imclient.Restore{Name: "b1", Volume: "pvc-1", Bucket: "/bucket"})
	n.done(t, task, err)
	e := n.startEngine(t, "pvc-2", map[string]string{"pvc-2-r-0": address})
	dir := mountAt(t, filepath.Join(n.root, e.Endpoint))
	defer unmount(t, dir)
	_, err = n.client.Restore(t.Context(), "pvc-2-r-0", imclient.Restore{Name: "again", Volume: "pvc-1", Bucket: "/bucket"})
	if err == nil {
		t.Error("restored under an engine")
	}
	content, err := os.ReadFile(filepath.Join(dir, "file"))
	if err != nil || string(content) != "first" {
		t.Errorf("restored %q, %v", content, err)
	}
}

func TestInstances_RebuildIsListedWithItsProgress(t *testing.T) {
	here, there := newNode(t), newNode(t)
	here.startEngine(t, "pvc-1", map[string]string{"r-0": here.startReplica(t, "r-0")})
	if err := writeSynced(filepath.Join(here.root, "dev/longhorn/pvc-1"), bytes.Repeat([]byte("x"), 8<<20)); err != nil {
		t.Fatal(err)
	}
	task, err := here.client.AddReplica(t.Context(), "pvc-1-e-0", imclient.AddReplica{
		Name: "r-1", Address: there.startReplica(t, "r-1"), BytesPerSecond: 8 << 20,
	})
	here.done(t, task, err)
	second := func(e imclient.Engine) engine.ReplicaStatus { return e.Replicas[1] }
	here.engine(t, "pvc-1-e-0", func(e imclient.Engine) bool {
		return second(e).Mode == engine.WriteOnly && second(e).Rebuild.Progress > 0 && second(e).Rebuild.Progress < 100
	})
	here.engine(t, "pvc-1-e-0", func(e imclient.Engine) bool {
		return second(e).Mode == engine.ReadWrite && second(e).Rebuild.Progress == 100
	})
	if err := here.client.RemoveReplica(t.Context(), "pvc-1-e-0", "r-1"); err != nil {
		t.Fatal(err)
	}
	here.engine(t, "pvc-1-e-0", func(e imclient.Engine) bool { return len(e.Replicas) == 1 })
}

func TestInstances_StaleEngineIsAdopted(t *testing.T) {
	n := newNode(t)
	first := n.startEngine(t, "pvc-1", map[string]string{"r-0": n.startReplica(t, "r-0")})
	if err := n.client.StopReplica(t.Context(), "r-0"); err != nil {
		t.Fatal(err)
	}
	n.engine(t, "pvc-1-e-0", func(e imclient.Engine) bool { return e.State == imclient.Failed })
	e := n.startEngine(t, "pvc-1", map[string]string{"r-0": n.startReplica(t, "r-0")})
	if e.State != imclient.Failed || e.Replicas[0].Mode != engine.Failed || e.UUID == "" || e.UUID != first.UUID {
		t.Errorf("the stale engine was replaced: %+v", e)
	}
}

func TestInstances_EngineWithoutReplicasFails(t *testing.T) {
	n := newNode(t)
	e := n.startEngine(t, "pvc-1", map[string]string{"r-0": "127.0.0.1:1"})
	if e.State != imclient.Failed || e.Error == "" {
		t.Errorf("%+v", e)
	}
	if _, err := n.client.Expand(t.Context(), "no-such", 1); !errors.Is(err, imclient.ErrNotFound) {
		t.Error(err)
	}
}

// process is an instance manager of its own, which can be killed.
type process struct {
	*node
	command *exec.Cmd
	owner   string
}

func spawn(t *testing.T, root string) *process {
	t.Helper()
	testkit.NeedDevices(t)
	address := fmt.Sprintf("127.0.0.1:%d", shared.Port(t))
	command := exec.Command(os.Args[0], "instance-manager", root, address)
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	p := &process{&node{root, imclient.NewAt(address)}, command, ""}
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if all, err := p.client.List(t.Context()); err == nil {
			p.owner = all.Owner
			return p
		}
	}
	t.Fatal("instance manager does not answer")
	return nil
}

func (p *process) end(t *testing.T, signal os.Signal) {
	t.Helper()
	if err := p.command.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- p.command.Wait() }()
	select {
	case err := <-ended:
		t.Logf("instance manager ended on %v: %v", signal, err)
	case <-time.After(20 * time.Second):
		t.Fatalf("instance manager does not end on %v", signal)
	}
}

// inUse makes a volume and mounts it, with a file that is being written.
func (p *process) inUse(t *testing.T) string {
	t.Helper()
	e := p.startEngine(t, "pvc-1", map[string]string{"r-0": p.startReplica(t, "r-0")})
	device := filepath.Join(p.root, e.Endpoint)
	run(t, "mkfs.ext4", "-q", "-F", "-b4096", device)
	dir := mountAt(t, device)
	if err := writeSynced(filepath.Join(dir, "file"), []byte("kept")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestInstances_AfterAKillTheNextStartCleansUp(t *testing.T) {
	root := t.TempDir()
	first := spawn(t, root)
	dir := first.inUse(t)
	first.end(t, syscall.SIGKILL)
	if err := writeSynced(filepath.Join(dir, "file"), []byte("lost")); err == nil {
		t.Error("a write without the instance manager was acknowledged")
	}
	_ = unix.Unmount(dir, unix.MNT_DETACH)
	if remains(t, first.owner, root) == "" {
		t.Error("nothing was left, so that this test shows nothing")
	}
	second := spawn(t, root)
	if left := remains(t, first.owner, root); left != "" {
		t.Errorf("left behind: %s", left)
	}
	if second.owner != first.owner {
		t.Errorf("owner %s became %s", first.owner, second.owner)
	}
	e := second.startEngine(t, "pvc-1", map[string]string{"r-0": second.startReplica(t, "r-0")})
	again := mountAt(t, filepath.Join(root, e.Endpoint))
	content, err := os.ReadFile(filepath.Join(again, "file"))
	if err != nil || string(content) != "kept" {
		t.Errorf("read %q, %v", content, err)
	}
	unmount(t, again)
	second.end(t, syscall.SIGTERM)
	nothingLeft(t, root)
}

func TestInstances_KilledWhileManyWriteEndsEveryWriter(t *testing.T) {
	root := t.TempDir()
	first := spawn(t, root)
	dir := first.inUse(t)
	writers := make(chan error, 8)
	for i := range cap(writers) {
		go func() {
			for {
				if err := writeSynced(filepath.Join(dir, fmt.Sprint(i)), bytes.Repeat([]byte("x"), 1<<18)); err != nil {
					writers <- err
					return
				}
			}
		}()
	}
	time.Sleep(300 * time.Millisecond)
	first.end(t, syscall.SIGKILL)
	for range cap(writers) {
		select {
		case err := <-writers:
			t.Log(err)
		case <-time.After(20 * time.Second):
			t.Fatal("a writer hangs")
		}
	}
	_ = unix.Unmount(dir, unix.MNT_DETACH)
	spawn(t, root).end(t, syscall.SIGTERM)
	nothingLeft(t, root)
}

func TestInstances_TerminationGivesErrorsToTheVolume(t *testing.T) {
	root := t.TempDir()
	p := spawn(t, root)
	dir := p.inUse(t)
	p.end(t, syscall.SIGTERM)
	if err := writeSynced(filepath.Join(dir, "file"), []byte("lost")); err == nil {
		t.Error("a write without the instance manager was acknowledged")
	}
	if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); remains(t, p.owner, root) != "" && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond) // The last user's end frees the device.
	}
	nothingLeft(t, root)
}

func TestClient_DoesNotWaitForASilentNode(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // The kernel takes the connection, nobody answers.
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	began := time.Now()
	if _, err := imclient.NewAt(silent.Addr().String()).List(t.Context()); err == nil {
		t.Error("a silent node answered")
	}
	if took := time.Since(began); took > 2500*time.Millisecond {
		t.Errorf("waited %v", took)
	}
}
