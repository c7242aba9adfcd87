//go:build linux

package csinode

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	"k8s.io/mount-utils"
)

const defaultFSType = "ext4"

// formatOptions are Longhorn's (longhorn-manager csi/node_server.go, supportedFs), then the class's.
func formatOptions(fsType, parameters string) []string {
	var options []string
	switch fsType {
	case "ext4":
		options = []string{"-b4096"}
	case "xfs":
		options = []string{"-ssize=4096", "-bsize=4096"}
	}
	return append(options, strings.Fields(parameters)...)
}

// errAtNextMount: the filesystem cannot grow while it is mounted.
var errAtNextMount = errors.New("this machine withholds CAP_SYS_RESOURCE, without which ext4 grows only unmounted: " +
	"the filesystem grows when the volume is mounted the next time")

// grow makes a mounted filesystem as large as its device.
func (n *Node) grow(device, path string) error {
	resizer := mount.NewResizeFs(n.tools)
	needed, err := resizer.NeedResize(device, path)
	if err != nil {
		return fmt.Errorf("compare filesystem with device %s: %w", device, err)
	}
	if !needed {
		return nil
	}
	if _, err := resizer.Resize(device, path); err != nil {
		if !n.options.MayGrowOnline {
			return fmt.Errorf("%w (%w)", errAtNextMount, err)
		}
		return fmt.Errorf("grow filesystem of %s: %w", device, err)
	}
	return nil
}

// growUnmounted is grow before the mount, where the kernel refuses it afterwards.
func (n *Node) growUnmounted(device string) error {
	format := mount.SafeFormatAndMount{Interface: n.mounter, Exec: n.tools}
	found, err := format.GetDiskFormat(device)
	if err != nil || found != "ext4" {
		return err
	}
	if out, err := n.tools.Command("e2fsck", "-f", "-p", device).CombinedOutput(); err != nil && !corrected(err) {
		return fmt.Errorf("check filesystem of %s: %w: %s", device, err, out)
	}
	if out, err := n.tools.Command("resize2fs", device).CombinedOutput(); err != nil {
		return fmt.Errorf("grow filesystem of %s: %w: %s", device, err, out)
	}
	return nil
}

// corrected is e2fsck's exit code for mistakes that it has corrected.
func corrected(err error) bool {
	var exit interface{ ExitStatus() int }
	return errors.As(err, &exit) && exit.ExitStatus() == 1
}

// MayGrowOnline says whether the kernel lets this process grow a mounted ext4.
func MayGrowOnline() (bool, error) {
	content, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return false, fmt.Errorf("read capabilities: %w", err)
	}
	_, rest, _ := strings.Cut(string(content), "CapEff:")
	line, _, _ := strings.Cut(rest, "\n")
	set, err := strconv.ParseUint(strings.TrimSpace(line), 16, 64)
	if err != nil {
		return false, fmt.Errorf("read capabilities: %w", err)
	}
	return set&(1<<unix.CAP_SYS_RESOURCE) != 0, nil
}
