//go:build linux

// Package testkit is what the tests of the data path share.
package testkit

import (
	"bytes"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"ha-iris/sandbox/internal/datapath/replica"
)

// Log says nothing.
func Log() *slog.Logger { return slog.New(slog.DiscardHandler) }

// Replica is a replica's process in a directory of the test.
type Replica struct {
	*replica.Server
	Name, Dir string
}

// Image is the replica's data file.
func (r *Replica) Image() string { return filepath.Join(r.Dir, "volume.img") }

// Address is where it listens.
func (r *Replica) Address() string { return address(r.Port()) }

func address(port int) string {
	return (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}).String()
}

// StartReplica starts a replica's process, which ends with the test.
func StartReplica(t *testing.T, dir string, size int64) *Replica {
	t.Helper()
	files, err := replica.Open(dir, size)
	if err != nil {
		t.Fatal(err)
	}
	server, err := replica.Serve(files, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return &Replica{server, filepath.Base(dir), dir}
}

// Restart restarts the replica's process, as before another engine opens it.
func Restart(t *testing.T, r *Replica) *Replica {
	t.Helper()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return StartReplica(t, r.Dir, 0)
}

// Addresses are the replicas as an engine takes them.
func Addresses(replicas ...*Replica) map[string]string {
	addresses := map[string]string{}
	for _, r := range replicas {
		addresses[r.Name] = r.Address()
	}
	return addresses
}

// Cable is a connection that can be cut: then it swallows what comes, and neither side learns of it.
type Cable struct {
	listener net.Listener
	target   string
	cut      atomic.Bool

	mu    sync.Mutex
	conns []net.Conn
}

// NewCable leads to the target's address.
func NewCable(t *testing.T, target string) *Cable {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &Cable{listener: listener, target: target}
	t.Cleanup(c.remove)
	go c.accept()
	return c
}

// Address is its near end.
func (c *Cable) Address() string { return c.listener.Addr().String() }

// Cut cuts it, for what is under way and for new connections.
func (c *Cable) Cut() { c.cut.Store(true) }

func (c *Cable) remove() {
	_ = c.listener.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		_ = conn.Close()
	}
}

func (c *Cable) accept() {
	for {
		near, err := c.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", c.target)
		if err != nil {
			_ = near.Close()
			continue
		}
		c.mu.Lock()
		c.conns = append(c.conns, near, far)
		c.mu.Unlock()
		go c.carry(near, far)
		go c.carry(far, near)
	}
}

func (c *Cable) carry(from, to net.Conn) {
	_, _ = io.Copy(swallower{c, to}, from)
	if !c.cut.Load() {
		_ = to.Close()
	}
}

type swallower struct {
	cable *Cable
	to    io.Writer
}

func (s swallower) Write(content []byte) (int, error) {
	if s.cable.cut.Load() {
		return len(content), nil
	}
	return s.to.Write(content)
}

// NeedDevices skips a test where no FUSE file and no loop device can be made.
func NeedDevices(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: needs root for FUSE, loop devices and mounts")
	}
	for _, path := range []string{"/dev/fuse", "/dev/loop-control"} {
		file, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Skipf("SKIPPED: needs %s: %v", path, err)
		}
		_ = file.Close()
	}
	for _, tool := range []string{"mkfs.ext4", "resize2fs", "blkid"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("SKIPPED: needs e2fsprogs and util-linux: %v", err)
		}
	}
}

// NeedOnlineResize skips a test where the kernel does not let ext4 grow while it is mounted: its ioctl asks for a capability
// that some virtual machines withhold.
func NeedOnlineResize(t *testing.T) {
	t.Helper()
	content, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(content), "CapEff:")
	line, _, _ := strings.Cut(rest, "\n")
	set, err := strconv.ParseUint(strings.TrimSpace(line), 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	if set&(1<<unix.CAP_SYS_RESOURCE) == 0 {
		t.Skip("SKIPPED: needs CAP_SYS_RESOURCE: ext4 does not grow online without it")
	}
}

// Scribble writes blocks all over a volume of that size until it is told to stop; the function that it returns does so. A write that fails
// fails the test.
func Scribble(t *testing.T, volume io.WriterAt, size int64) (stop func()) {
	t.Helper()
	const block = 4096
	var ended atomic.Bool
	result := make(chan error, 1)
	go func() {
		random := rand.New(rand.NewPCG(1, 2))
		for !ended.Load() {
			if _, err := volume.WriteAt(bytes.Repeat([]byte{byte(random.Uint32())}, block), random.Int64N(size/block)*block); err != nil {
				result <- err
				return
			}
		}
		result <- nil
	}()
	return func() {
		ended.Store(true)
		if err := <-result; err != nil {
			t.Errorf("the volume that is written to was disturbed: %v", err)
		}
	}
}
