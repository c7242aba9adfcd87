//go:build linux

package csinode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/mount-utils"
	utilexec "k8s.io/utils/exec"
)

// mounter mounts by system calls: the container has no tools.
type mounter struct{ mount.Interface }

// flag is what the mount system call takes as a bit; other options go to the filesystem.
func flag(option string) (uintptr, bool) {
	switch option {
	case "defaults", "rw":
		return 0, true
	case "ro":
		return unix.MS_RDONLY, true
	case "bind":
		return unix.MS_BIND, true
	case "noatime":
		return unix.MS_NOATIME, true
	case "nodiratime":
		return unix.MS_NODIRATIME, true
	case "relatime":
		return unix.MS_RELATIME, true
	case "nosuid":
		return unix.MS_NOSUID, true
	case "nodev":
		return unix.MS_NODEV, true
	case "noexec":
		return unix.MS_NOEXEC, true
	case "sync":
		return unix.MS_SYNCHRONOUS, true
	default:
		return 0, false
	}
}

func (m mounter) MountSensitive(source, target, fsType string, options, sensitive []string) error {
	var flags uintptr
	var data []string
	for _, option := range append(slices.Clone(options), sensitive...) {
		if bit, known := flag(option); known {
			flags |= bit
		} else {
			data = append(data, option)
		}
	}
	if err := unix.Mount(source, target, fsType, flags, strings.Join(data, ",")); err != nil {
		return fmt.Errorf("mount %s at %s: %w", source, target, err)
	}
	if flags&unix.MS_BIND != 0 && flags&unix.MS_RDONLY != 0 { // the kernel takes both only one after the other
		if err := unix.Mount("", target, "", flags|unix.MS_REMOUNT, ""); err != nil {
			return fmt.Errorf("mount %s read-only: %w", target, err)
		}
	}
	return nil
}

func (m mounter) Mount(source, target, fsType string, options []string) error {
	return m.MountSensitive(source, target, fsType, options, nil)
}

// unmountPatience is how long an unmount may take before the mount point is let go lazily, as the original does.
const unmountPatience = 30 * time.Second

// unmount lets go of a mount point; one that is none is fine. A device with I/O errors does not keep it.
func unmount(path string) error {
	done := make(chan error, 1)
	go func() { done <- unix.Unmount(path, unix.UMOUNT_NOFOLLOW) }()
	var err error
	select {
	case err = <-done:
	case <-time.After(unmountPatience):
		err = unix.ETIMEDOUT
	}
	if err == nil || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
		return nil
	}
	if lazy := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); lazy != nil {
		return fmt.Errorf("unmount %s: %w", path, errors.Join(err, lazy))
	}
	return nil
}

// ensureMountPoint says whether the path is a mount point that works. One that does not is unmounted; a missing directory is made.
func ensureMountPoint(path string, m mount.Interface) (bool, error) {
	mounted, err := m.IsMountPoint(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, os.MkdirAll(path, 0o750)
	}
	corrupt := mount.IsCorruptedMnt(err)
	if !corrupt && mounted {
		corrupt = syncDirectory(path) != nil
	}
	if corrupt {
		return false, unmount(path)
	}
	return mounted, err
}

// syncDirectory shows whether the device behind a directory still takes writes.
func syncDirectory(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }() // only read
	if _, err := dir.ReadDir(1); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return unix.Syncfs(int(dir.Fd()))
}

// rootExec runs commands in the node's root directory, where the tools are.
type rootExec struct {
	utilexec.Interface
	helper []string
	root   string
}

func (e rootExec) Command(name string, arguments ...string) utilexec.Cmd {
	return e.Interface.Command(e.helper[0], e.with(name, arguments)...)
}

func (e rootExec) CommandContext(ctx context.Context, name string, arguments ...string) utilexec.Cmd {
	return e.Interface.CommandContext(ctx, e.helper[0], e.with(name, arguments)...)
}

func (e rootExec) with(name string, arguments []string) []string {
	return append(append(slices.Clone(e.helper[1:]), e.root, name), arguments...)
}

// notFound is the exit code of a shell for a command that is not there.
const notFound = 127

// RunInRoot is the main function of rootExec's helper: it becomes the command, in that root directory. It returns an exit code if
// it cannot.
func RunInRoot(arguments []string) (int, error) {
	if len(arguments) < 2 {
		return 2, errors.New("a root directory and a command are needed")
	}
	root, name := arguments[0], arguments[1]
	if root != "" && root != "/" {
		if err := errors.Join(unix.Chroot(root), unix.Chdir("/")); err != nil {
			return notFound, fmt.Errorf("enter %s: %w", root, err)
		}
	}
	for _, dir := range []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"} {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err != nil {
			continue
		}
		err := unix.Exec(path, arguments[1:], []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"})
		return notFound, fmt.Errorf("run %s: %w", path, err)
	}
	return notFound, fmt.Errorf("%s is not on the node", name)
}
