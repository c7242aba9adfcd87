//go:build linux

package csinode_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"

	"ha-iris/sandbox/internal/datapath/blockdev"
	"ha-iris/sandbox/internal/datapath/csinode"
	"ha-iris/sandbox/internal/datapath/engine"
	"ha-iris/sandbox/internal/datapath/testkit"
)

const (
	size   = 64 << 20
	volume = "pvc-1"
)

// TestMain lets the test's program be the helpers, too.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "loop-helper" {
		os.Exit(blockdev.RunHelper(os.Args[2:], os.Stdout, os.Stderr))
	}
	if len(os.Args) > 1 && os.Args[1] == "in-root" {
		code, err := csinode.RunInRoot(os.Args[2:])
		fmt.Fprintln(os.Stderr, err)
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// machine is a driver that listens on its sockets, with the volume's replica and engine.
type machine struct {
	kubelet, devices string
	client           csi.NodeClient
	identity         csi.IdentityClient
	registry         registration.RegistrationClient
	replica          *testkit.Replica
	engine           *engine.Engine
	disk             *blockdev.Disk
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	return newMachineThatWaits(t, 300*time.Millisecond)
}

func newMachineThatWaits(t *testing.T, wait time.Duration) *machine {
	t.Helper()
	testkit.NeedDevices(t)
	dir, err := os.MkdirTemp("", "csi") // A socket's path must be short.
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{kubelet: filepath.Join(dir, "kubelet"), devices: filepath.Join(dir, "dev")}
	online, err := csinode.MayGrowOnline()
	if err != nil {
		t.Fatal(err)
	}
	node := csinode.New(csinode.Options{
		NodeID: "node-a", Version: "v1.12.1", DeviceDir: m.devices, Helper: []string{os.Args[0], "in-root"},
		MayGrowOnline: online, DeviceWait: wait,
	})
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- csinode.Serve(ctx, node, m.kubelet, testkit.Log()) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
		_ = os.RemoveAll(dir)
	})
	endpoint, registrar := csinode.Sockets(m.kubelet)
	driver := dial(t, endpoint)
	m.client, m.identity = csi.NewNodeClient(driver), csi.NewIdentityClient(driver)
	m.registry = registration.NewRegistrationClient(dial(t, registrar))
	return m
}

func dial(t *testing.T, path string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("unix://"+path, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// attach makes the volume's device, as its engine on this node does.
func (m *machine) attach(t *testing.T) {
	t.Helper()
	m.replica = testkit.StartReplica(t, filepath.Join(t.TempDir(), "r0"), size)
	var err error
	m.engine, err = engine.Start(t.Context(), engine.Config{
		Name: "e", Size: size, Replicas: testkit.Addresses(m.replica), Timeout: time.Second, Log: testkit.Log(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.engine.Close)
	m.disk, err = blockdev.Attach(t.Context(), blockdev.Options{
		Owner: "csitest" + strconv.Itoa(os.Getpid()), Volume: volume, MountDir: t.TempDir(), DeviceDir: m.devices,
		Helper: []string{os.Args[0], "loop-helper"}, Log: testkit.Log(),
	}, m.engine)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, path := range []string{m.target(), m.staging()} {
			_ = unix.Unmount(path, unix.MNT_DETACH)
		}
		if err := m.disk.Detach(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func (m *machine) staging() string { return filepath.Join(m.kubelet, "plugins/globalmount") }
func (m *machine) target() string  { return filepath.Join(m.kubelet, "pods/uid/mount") }

func capability() *csi.VolumeCapability {
	return &csi.VolumeCapability{
		AccessType: &csi.VolumeCapability_Mount{Mount: &csi.VolumeCapability_MountVolume{FsType: "ext4", MountFlags: []string{"noatime"}}},
		AccessMode: &csi.VolumeCapability_AccessMode{Mode: csi.VolumeCapability_AccessMode_SINGLE_NODE_SINGLE_WRITER},
	}
}

func (m *machine) stage(t *testing.T) error {
	t.Helper()
	_, err := m.client.NodeStageVolume(t.Context(), &csi.NodeStageVolumeRequest{
		VolumeId: volume, StagingTargetPath: m.staging(), VolumeCapability: capability(),
	})
	return err
}

func (m *machine) publish(t *testing.T, readOnly bool) error {
	t.Helper()
	_, err := m.client.NodePublishVolume(t.Context(), &csi.NodePublishVolumeRequest{
		VolumeId: volume, StagingTargetPath: m.staging(), TargetPath: m.target(), VolumeCapability: capability(), Readonly: readOnly,
	})
	return err
}

func (m *machine) unpublish(t *testing.T) error {
	t.Helper()
	_, err := m.client.NodeUnpublishVolume(t.Context(), &csi.NodeUnpublishVolumeRequest{VolumeId: volume, TargetPath: m.target()})
	return err
}

func (m *machine) unstage(t *testing.T) error {
	t.Helper()
	_, err := m.client.NodeUnstageVolume(t.Context(), &csi.NodeUnstageVolumeRequest{VolumeId: volume, StagingTargetPath: m.staging()})
	return err
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func writeSynced(path string, content []byte) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	return errors.Join(err, file.Sync(), file.Close())
}

// mountsOf are the lines of the mount table about a path.
func mountsOf(t *testing.T, path string) []string {
	t.Helper()
	content, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for line := range strings.Lines(string(content)) {
		if strings.Fields(line)[1] == path {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

func TestNode_LifeOfAMount(t *testing.T) {
	m := newMachine(t)
	m.attach(t)
	must(t, m.stage(t), m.stage(t), m.publish(t, false), m.publish(t, false))
	if got := mountsOf(t, m.staging()); len(got) != 1 || !strings.Contains(got[0], " ext4 rw,noatime") {
		t.Errorf("staged %q", got)
	}
	if got := mountsOf(t, m.target()); len(got) != 1 {
		t.Errorf("published %q", got)
	}
	if out, err := exec.Command("dumpe2fs", "-h", filepath.Join(m.devices, volume)).Output(); err != nil ||
		!strings.Contains(string(out), "Reserved block count:     0\n") || !strings.Contains(string(out), "Block size:               4096\n") {
		t.Errorf("filesystem not made as Longhorn makes it: %v\n%s", err, out)
	}
	must(t, writeSynced(filepath.Join(m.target(), "file"), []byte("kept")))
	stats, err := m.client.NodeGetVolumeStats(t.Context(), &csi.NodeGetVolumeStatsRequest{VolumeId: volume, VolumePath: m.target()})
	if err != nil || len(stats.GetUsage()) != 2 || stats.GetUsage()[0].GetTotal() < size/2 || stats.GetUsage()[1].GetUnit() != csi.VolumeUsage_INODES {
		t.Errorf("statistics %v, %v", stats, err)
	}
	must(t, m.unpublish(t), m.unpublish(t), m.unstage(t), m.unstage(t))
	if len(mountsOf(t, m.staging()))+len(mountsOf(t, m.target())) != 0 {
		t.Error("something is still mounted")
	}
	if _, err := os.Stat(m.target()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("target: %v", err)
	}
	must(t, m.stage(t), m.publish(t, true)) // Not formatted again.
	content, err := os.ReadFile(filepath.Join(m.target(), "file"))
	if err != nil || string(content) != "kept" {
		t.Errorf("read %q, %v", content, err)
	}
	if err := writeSynced(filepath.Join(m.target(), "other"), nil); !errors.Is(err, unix.EROFS) {
		t.Errorf("read-only: %v", err)
	}
}

// A node that the volume is not attached to has no device: that is its refusal.
func TestNode_RefusesAVolumeThatIsNotAttachedHere(t *testing.T) {
	m := newMachine(t)
	for name, call := range map[string]func(*testing.T) error{
		"stage": m.stage, "publish": func(t *testing.T) error { t.Helper(); return m.publish(t, false) },
	} {
		if err := call(t); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "volume pvc-1 hasn't been attached yet") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNode_RefusesWhatItDoesNotPlay(t *testing.T) {
	m := newMachine(t)
	shared, block := capability(), capability()
	shared.AccessMode.Mode = csi.VolumeCapability_AccessMode_MULTI_NODE_MULTI_WRITER
	block.AccessType = &csi.VolumeCapability_Block{Block: &csi.VolumeCapability_BlockVolume{}}
	for _, r := range []*csi.NodeStageVolumeRequest{
		{},
		{VolumeId: volume, StagingTargetPath: m.staging()},
		{VolumeId: volume, StagingTargetPath: m.staging(), VolumeCapability: shared},
		{VolumeId: volume, StagingTargetPath: m.staging(), VolumeCapability: block},
	} {
		if _, err := m.client.NodeStageVolume(t.Context(), r); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%v: %v", r, err)
		}
	}
}

func TestNode_WaitsForTheDevice(t *testing.T) {
	m := newMachineThatWaits(t, time.Minute)
	staged := make(chan error, 1)
	go func() { staged <- m.stage(t) }()
	time.Sleep(50 * time.Millisecond)
	m.attach(t)
	must(t, <-staged)
}

// What the kubelet needs to get rid of a volume whose engine is gone.
func TestNode_UnstagesADeviceWithErrors(t *testing.T) {
	m := newMachine(t)
	m.attach(t)
	must(t, m.stage(t), m.publish(t, false))
	file, err := os.Create(filepath.Join(m.target(), "open"))
	must(t, err)
	defer func() { _ = file.Close() }()
	must(t, m.replica.Close())
	if err := writeSynced(filepath.Join(m.target(), "file"), []byte("lost")); err == nil {
		t.Error("acknowledged without a replica")
	}
	must(t, m.unpublish(t), m.unstage(t), m.unstage(t))
	if len(mountsOf(t, m.staging()))+len(mountsOf(t, m.target())) != 0 {
		t.Error("something is still mounted")
	}
}

func TestNode_StagesAgainWhatHasErrors(t *testing.T) {
	m := newMachine(t)
	m.attach(t)
	must(t, m.stage(t))
	must(t, m.replica.Close(), m.disk.Detach(t.Context()))
	again := testkit.StartReplica(t, m.replica.Dir, 0)
	second, err := engine.Start(t.Context(), engine.Config{
		Name: "e2", Size: size, Replicas: testkit.Addresses(again), Timeout: time.Second, Log: testkit.Log(),
	})
	must(t, err)
	t.Cleanup(second.Close)
	m.disk, err = blockdev.Attach(t.Context(), blockdev.Options{
		Owner: "csitest" + strconv.Itoa(os.Getpid()), Volume: volume, MountDir: t.TempDir(), DeviceDir: m.devices,
		Helper: []string{os.Args[0], "loop-helper"}, Log: testkit.Log(),
	}, second)
	must(t, err)
	must(t, m.publish(t, false), writeSynced(filepath.Join(m.target(), "file"), []byte("works")))
}

func (m *machine) expand(t *testing.T) error {
	t.Helper()
	must(t, m.engine.Grow(2*size), m.disk.Refresh(t.Context()))
	_, err := m.client.NodeExpandVolume(t.Context(), &csi.NodeExpandVolumeRequest{
		VolumeId: volume, VolumePath: m.target(), StagingTargetPath: m.staging(), VolumeCapability: capability(),
		CapacityRange: &csi.CapacityRange{RequiredBytes: 2 * size},
	})
	return err
}

func capacity(t *testing.T, path string) uint64 {
	t.Helper()
	var seen unix.Statfs_t
	must(t, unix.Statfs(path, &seen))
	return seen.Blocks * uint64(seen.Bsize)
}

func TestNode_GrowsOnline(t *testing.T) {
	testkit.NeedOnlineResize(t)
	m := newMachine(t)
	m.attach(t)
	must(t, m.stage(t), m.publish(t, false), m.expand(t))
	if got := capacity(t, m.target()); got < size+size/2 {
		t.Errorf("%d bytes", got)
	}
}

func TestNode_GrowsAtTheNextMountWhereTheKernelForbidsMore(t *testing.T) {
	if online, err := csinode.MayGrowOnline(); err != nil || online {
		t.Skipf("SKIPPED: needs a machine without CAP_SYS_RESOURCE: %v", err)
	}
	m := newMachine(t)
	m.attach(t)
	must(t, m.stage(t), m.publish(t, false))
	if err := m.expand(t); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("expand: %v", err)
	}
	must(t, m.unpublish(t), m.unstage(t), m.stage(t))
	if got := capacity(t, m.staging()); got < size+size/2 {
		t.Errorf("%d bytes", got)
	}
	must(t, m.expand(t))
}

func TestNode_RegistersWithTheKubelet(t *testing.T) {
	m := newMachine(t)
	found, err := m.registry.GetInfo(t.Context(), &registration.InfoRequest{})
	must(t, err)
	endpoint, path := csinode.Sockets(m.kubelet)
	if found.GetType() != "CSIPlugin" || found.GetName() != "driver.longhorn.io" || found.GetEndpoint() != endpoint {
		t.Errorf("%v", found)
	}
	if filepath.Dir(path) != filepath.Join(m.kubelet, "plugins_registry") {
		t.Error(path)
	}
	plugin, err := m.identity.GetPluginInfo(t.Context(), &csi.GetPluginInfoRequest{})
	if err != nil || plugin.GetName() != "driver.longhorn.io" {
		t.Errorf("%v, %v", plugin, err)
	}
	_, err = m.identity.Probe(t.Context(), &csi.ProbeRequest{})
	must(t, err)
	info, err := m.client.NodeGetInfo(t.Context(), &csi.NodeGetInfoRequest{})
	if err != nil || info.GetNodeId() != "node-a" {
		t.Errorf("%v, %v", info, err)
	}
	capabilities, err := m.client.NodeGetCapabilities(t.Context(), &csi.NodeGetCapabilitiesRequest{})
	if err != nil || strings.Contains(capabilities.String(), "VOLUME_MOUNT_GROUP") { // fsGroup is the kubelet's.
		t.Errorf("%v, %v", capabilities, err)
	}
}
