//go:build linux

package blockdev

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

const (
	loopMajor = 7
	// loopTries is how often another program may be faster in taking the loop device that was free.
	loopTries = 50
)

// RunHelper is the helper's main function: it does one thing with a loop device and ends. It returns the exit code.
func RunHelper(arguments []string, out, problems io.Writer) int {
	if err := runHelper(arguments, out); err != nil {
		_, _ = fmt.Fprintln(problems, err) // nobody is left to tell
		return 1
	}
	return 0
}

func runHelper(arguments []string, out io.Writer) error {
	switch {
	case len(arguments) == 3 && arguments[0] == "attach":
		number, err := attachFile(arguments[1], arguments[2])
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(out, number)
		return err
	case len(arguments) == 4 && arguments[0] == "refresh":
		number, err := strconv.Atoi(arguments[3])
		if err != nil {
			return err
		}
		return refresh(arguments[1], arguments[2], number)
	case len(arguments) == 4 && arguments[0] == "detach":
		number, err := strconv.Atoi(arguments[2])
		if err != nil {
			return err
		}
		return detach(arguments[1], number, arguments[3])
	default:
		return fmt.Errorf("unknown arguments %q", arguments)
	}
}

func attachFile(dir, path string) (int, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("open %s: %w", path, err)
	}
	defer func() { _ = unix.Close(fd) }() // the loop device holds it
	control, err := openNode(dir, unix.S_IFCHR, 10, 237)
	if err != nil {
		return 0, fmt.Errorf("open loop control: %w", err)
	}
	defer func() { _ = unix.Close(control) }() // nothing was written
	for range loopTries {
		number, err := unix.IoctlRetInt(control, unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return 0, fmt.Errorf("find a free loop device: %w", err)
		}
		err = configure(dir, number, fd, filepath.Base(path))
		if errors.Is(err, unix.EBUSY) {
			continue
		}
		return number, err
	}
	return 0, errors.New("find a free loop device: others take them all")
}

func configure(dir string, number, file int, name string) error {
	loop, err := openNode(dir, unix.S_IFBLK, loopMajor, uint32(number))
	if err != nil {
		return fmt.Errorf("open loop device %d: %w", number, err)
	}
	defer func() { _ = unix.Close(loop) }() // configured or not
	config := &unix.LoopConfig{Fd: uint32(file)}
	config.Info.Flags = unix.LO_FLAGS_DIRECT_IO
	copy(config.Info.File_name[:len(config.Info.File_name)-1], name)
	if err := unix.IoctlLoopConfigure(loop, config); err != nil {
		return fmt.Errorf("configure loop device %d: %w", number, err)
	}
	info, err := unix.IoctlLoopGetStatus64(loop)
	if err != nil {
		return fmt.Errorf("look at loop device %d: %w", number, err)
	}
	if info.Flags&unix.LO_FLAGS_DIRECT_IO == 0 {
		return errors.Join(fmt.Errorf("loop device %d has no direct I/O on FUSE", number), unix.IoctlSetInt(loop, unix.LOOP_CLR_FD, 0))
	}
	return nil
}

// refresh looks at the file first: older kernels take the size that FUSE remembers.
func refresh(dir, path string, number int) error {
	var seen unix.Stat_t
	if err := unix.Stat(path, &seen); err != nil {
		return fmt.Errorf("look at %s: %w", path, err)
	}
	loop, err := openNode(dir, unix.S_IFBLK, loopMajor, uint32(number))
	if err != nil {
		return fmt.Errorf("open loop device %d: %w", number, err)
	}
	defer func() { _ = unix.Close(loop) }() // nothing was written
	if err := unix.IoctlSetInt(loop, unix.LOOP_SET_CAPACITY, 0); err != nil {
		return fmt.Errorf("resize loop device %d: %w", number, err)
	}
	return nil
}

// detach frees the loop device, at its last close if it is in use.
func detach(dir string, number int, name string) error {
	if found, err := backingFile(number); err != nil || filepath.Base(found) != name {
		return nil // free already, or somebody else's by now
	}
	loop, err := openNode(dir, unix.S_IFBLK, loopMajor, uint32(number))
	if err != nil {
		return fmt.Errorf("open loop device %d: %w", number, err)
	}
	defer func() { _ = unix.Close(loop) }() // what it would say was said to those who wrote
	if err := unix.IoctlSetInt(loop, unix.LOOP_CLR_FD, 0); err != nil && !errors.Is(err, unix.ENXIO) {
		return fmt.Errorf("detach loop device %d: %w", number, err)
	}
	return nil
}

// openNode opens a device by its number: a node's own /dev need not have it.
func openNode(dir string, kind uint32, major, minor uint32) (int, error) {
	path := filepath.Join(dir, fmt.Sprintf(".%d-%d-%d", major, minor, os.Getpid()))
	if err := unix.Mknod(path, kind|0o600, int(unix.Mkdev(major, minor))); err != nil {
		return 0, fmt.Errorf("make device node: %w", err)
	}
	defer func() { _ = os.Remove(path) }() // the open one stays
	return unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
}
