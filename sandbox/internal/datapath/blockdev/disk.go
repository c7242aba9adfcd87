//go:build linux

// Package blockdev makes a block device of a Go program: a FUSE file with a loop device over it.
//
// A process that serves a FUSE file must never wait for it: killed while it does, it could not end, because its end closes the
// file and waits for an answer that nobody gives any more. So everything that touches the file or the loop device runs in
// helpers, short processes of the same program; both sides use direct I/O, so that no page of the kernel's cache waits either.
package blockdev

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// Backend is what the device reads from and writes to.
type Backend interface {
	ReadAt(data []byte, offset int64) (int, error)
	WriteAt(data []byte, offset int64) (int, error)
	Zero(offset, length int64) error
	Flush() error
	Size() int64
}

// Options say where a device is made.
type Options struct {
	// Owner tells this node's devices from those of others on the same machine: loop devices are global on it.
	Owner  string
	Volume string
	// MountDir takes the FUSE mounts; the process's own.
	MountDir string
	// DeviceDir takes the device's node, named like the volume. Nobody else puts anything there.
	DeviceDir string
	// Helper is the command that RunHelper's arguments are added to.
	Helper []string
	Log    *slog.Logger
}

// Prefix begins the name of every file below a loop device of ours, as /sys/block/loopN/loop/backing_file shows it.
const Prefix = "longhorn-standin."

// fileName is what the file is called inside of its mount. It outlives the mount in the loop device's backing file.
func (o Options) fileName() string { return Prefix + o.Owner + "." + o.Volume }

func (o Options) mountPoint() string { return filepath.Join(o.MountDir, o.Volume) }

// Path is the device's node.
func (o Options) Path() string { return filepath.Join(o.DeviceDir, o.Volume) }

// Disk is a block device that exists.
type Disk struct {
	options Options
	served  chan struct{}
	loop    int
}

// helperPatience is when a helper is given up: attaching takes milliseconds. It is longer than an engine's stall with the
// largest replica timeout, 30 s.
const helperPatience = 40 * time.Second

// Attach makes the device.
func Attach(ctx context.Context, options Options, backend Backend) (*Disk, error) {
	for _, dir := range []string{options.mountPoint(), options.DeviceDir} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, fmt.Errorf("make device of volume %s: %w", options.Volume, err)
		}
	}
	d := &Disk{options: options, served: make(chan struct{}), loop: -1}
	if err := d.serve(backend); err != nil {
		return nil, fmt.Errorf("make device of volume %s: %w", options.Volume, err)
	}
	if err := d.attachLoop(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("make device of volume %s: %w", options.Volume, err), d.Detach(ctx))
	}
	return d, nil
}

// serve mounts the file and answers for it. The mount is made here and not by the library, which would let helpers inherit the
// connection: then the end of this process would not end it.
func (d *Disk) serve(backend Backend) error {
	fd, err := openFuse()
	if err != nil {
		return err
	}
	settings := fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other,max_read=%d", fd, maxRequest)
	err = unix.Mount(d.options.fileName(), d.options.mountPoint(), "fuse."+fuseType, unix.MS_NOSUID|unix.MS_NODEV, settings)
	if err != nil {
		_ = unix.Close(fd) // the mount's error counts
		return fmt.Errorf("mount FUSE file: %w", err)
	}
	server, err := fuse.NewServer(newFile(d.options.fileName(), backend), fmt.Sprintf("/dev/fd/%d", fd), &fuse.MountOptions{
		MaxBackground: maxBackground, MaxWrite: maxRequest, DisableXAttrs: true, Name: fuseType,
	})
	if err != nil {
		return errors.Join(fmt.Errorf("serve FUSE file: %w", err), abort(d.options.mountPoint()))
	}
	go func() {
		defer close(d.served)
		server.Serve()
	}()
	return nil
}

// openFuse opens the FUSE device, which a privileged container has, in a way that no child inherits.
func openFuse() (int, error) {
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		if err := unix.Mknod("/dev/fuse", unix.S_IFCHR|0o600, int(unix.Mkdev(10, 229))); err != nil {
			return 0, fmt.Errorf("make /dev/fuse: %w", err)
		}
		fd, err = unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		return 0, fmt.Errorf("open /dev/fuse: %w", err)
	}
	return fd, nil
}

func (d *Disk) attachLoop(ctx context.Context) error {
	file := filepath.Join(d.options.mountPoint(), d.options.fileName())
	out, err := d.options.help(ctx, "attach", d.options.DeviceDir, file)
	if err != nil {
		return err
	}
	d.loop, err = strconv.Atoi(out)
	if err != nil {
		return fmt.Errorf("loop helper answered %q: %w", out, err)
	}
	return makeNode(d.options.Path(), d.loop)
}

// Loop is the number of the loop device.
func (d *Disk) Loop() int { return d.loop }

// Refresh tells the device that its size has changed.
func (d *Disk) Refresh(ctx context.Context) error {
	file := filepath.Join(d.options.mountPoint(), d.options.fileName())
	_, err := d.options.help(ctx, "refresh", d.options.DeviceDir, file, strconv.Itoa(d.loop))
	return err
}

// Detach removes the device. If it is in use it stays until it is not any more, and gives I/O errors. The end of the context
// does not stop it half-way.
func (d *Disk) Detach(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	var errs []error
	if d.loop >= 0 {
		errs = append(errs, removeNode(d.options.Path(), d.loop))
		_, err := d.options.help(ctx, "detach", d.options.DeviceDir, strconv.Itoa(d.loop), d.options.fileName())
		errs = append(errs, err)
	}
	errs = append(errs, abort(d.options.mountPoint()))
	select {
	case <-d.served:
	case <-time.After(helperPatience):
		errs = append(errs, errors.New("FUSE file did not end"))
	}
	return errors.Join(append(errs, os.Remove(d.options.mountPoint()))...)
}

// abort ends the connection, not only the mount: what still uses the device gets I/O errors instead of waiting.
func abort(mountPoint string) error {
	err := unix.Unmount(mountPoint, unix.MNT_FORCE|unix.MNT_DETACH)
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount %s: %w", mountPoint, err)
	}
	return nil
}

func (o Options) help(ctx context.Context, arguments ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, helperPatience)
	defer cancel()
	all := append(append([]string{}, o.Helper[1:]...), arguments...)
	command := exec.CommandContext(ctx, o.Helper[0], all...)
	// A helper that hangs in the kernel cannot be waited for.
	command.WaitDelay = time.Second
	var problems strings.Builder
	command.Stderr = &problems
	out, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("loop helper, %s: %w: %s", arguments[0], err, strings.TrimSpace(problems.String()))
	}
	return strings.TrimSpace(string(out)), nil
}

// makeNode makes the device's node; one of the same name is a predecessor's.
func makeNode(path string, loop int) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("make device node: %w", err)
	}
	if err := unix.Mknod(path, unix.S_IFBLK|0o660, int(unix.Mkdev(loopMajor, uint32(loop)))); err != nil {
		return fmt.Errorf("make device node %s: %w", path, err)
	}
	return nil
}

// removeNode removes the node if it is still this loop device's.
func removeNode(path string, loop int) error {
	var found unix.Stat_t
	err := unix.Stat(path, &found)
	if errors.Is(err, unix.ENOENT) || err == nil && found.Rdev != unix.Mkdev(loopMajor, uint32(loop)) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at device node: %w", err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove device node: %w", err)
	}
	return nil
}
