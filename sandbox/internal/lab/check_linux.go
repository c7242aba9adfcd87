package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// tool is a program of the machine that nodes use, with the Debian package that has it.
type tool struct{ program, pkg, why string }

func machineTools() []tool {
	return []tool{
		{"runc", "runc", "starts containers"},
		{"iptables", "iptables", "kube-proxy writes the rules of Services with it"},
		{"mkfs.ext4", "e2fsprogs", "makes file systems on volumes"},
		{"mount", "mount", "the kubelet mounts volumes with it"},
		{"busybox", "busybox-static", "is the shell in the images"},
	}
}

// machine is what Check asks of this one.
type machine struct {
	root bool
	// find returns a program's path, empty if it is not there.
	find   func(program string) string
	exists func(path string) bool
	// cgroups is why there are no control groups.
	cgroups error
	// watches are how many inotify instances this user may still have.
	watches int
}

const (
	// watchesPerLab are the inotify instances of a lab: 27 to 35 were counted.
	watchesPerLab = 40
	watchesLimit  = "/proc/sys/fs/inotify/max_user_instances"
)

// Check says what this machine lacks to run real nodes, all of it at once, and nil if nothing.
func Check() error {
	_, _, err := hierarchies()
	return machine{
		root: os.Geteuid() == 0, find: lookUp, cgroups: err, watches: freeWatches(),
		exists: func(path string) bool {
			_, err := os.Stat(path)
			return err == nil
		},
	}.check()
}

func (m machine) check() error {
	var missing []string
	if !m.root {
		missing = append(missing, "root: namespaces, mounts and network links need it; run the same command as root")
	}
	var packages []string
	for _, one := range machineTools() {
		if m.find(one.program) == "" {
			missing = append(missing, fmt.Sprintf("%s: %s (Debian package %s)", one.program, one.why, one.pkg))
			packages = append(packages, one.pkg)
		}
	}
	for _, device := range []struct{ path, why string }{
		{"/dev/fuse", "the data path of volumes is a FUSE file"},
		{"/dev/loop-control", "volumes become block devices through it"},
	} {
		if !m.exists(device.path) {
			missing = append(missing, fmt.Sprintf("%s: %s", device.path, device.why))
		}
	}
	if m.cgroups != nil {
		missing = append(missing, m.cgroups.Error())
	}
	if m.watches < watchesPerLab {
		missing = append(missing, fmt.Sprintf("inotify instances: a kubelet without one is never ready; a lab takes up to %d, and root has %d left: "+
			"stop a lab that is not needed (sandbox status), or sysctl -w fs.inotify.max_user_instances=1024", watchesPerLab, m.watches))
	}
	if len(missing) == 0 {
		return nil
	}
	text := "this machine cannot run real nodes; it lacks:\n  - " + strings.Join(missing, "\n  - ")
	if len(packages) > 0 {
		text += "\non Debian: apt-get install " + strings.Join(packages, " ")
	}
	return errors.New(text + "\nor use simulated nodes, which need nothing: make up")
}

// lookUp finds a program where a node looks for it, whatever this process's PATH.
func lookUp(program string) string {
	for _, dir := range []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"} {
		if found, err := exec.LookPath(dir + "/" + program); err == nil {
			return found
		}
	}
	return ""
}

// RuncPath is that of the machine's runc; empty if there is none.
func RuncPath() string { return lookUp("runc") }

// freeWatches is how many inotify instances this user may still have: the limit without what its processes have open. Where that cannot be
// read, there are enough.
func freeWatches() int {
	content, err := os.ReadFile(watchesLimit)
	if err != nil {
		return watchesPerLab
	}
	limit, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		return watchesPerLab
	}
	return limit - openWatches("/proc/[0-9]*/fd/*")
}

// openWatches is how many inotify instances of this user are among the descriptors.
func openWatches(pattern string) int {
	open := 0
	descriptors, _ := filepath.Glob(pattern) // It is well-formed.
	for _, path := range descriptors {
		owner, err := os.Lstat(path)
		if err != nil {
			continue // It has been closed meanwhile, or is another user's.
		}
		stat, known := owner.Sys().(*syscall.Stat_t)
		if kind, err := os.Readlink(path); err == nil && kind == "anon_inode:inotify" && known && int(stat.Uid) == os.Geteuid() {
			open++
		}
	}
	return open
}
