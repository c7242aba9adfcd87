package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Boot is the first process of a node. It makes the node's file systems, joins the network, keeps the services running, and
// returns only when it is told to end, or cannot go on; the kernel then ends everything else on the node.
func Boot(dir string) error {
	m, err := readMachine(dir)
	if err != nil {
		return err
	}
	if os.Getpid() != 1 {
		return errors.New("only the first process of a node's namespaces may do this: it is started by sandbox up")
	}
	s, err := newSupervisor(m) // opens the logs, which lie outside
	if err != nil {
		return err
	}
	if err := enterRoot(m); err != nil {
		return fmt.Errorf("make the file systems of node %s: %w", m.Name, err)
	}
	if err := unix.Sethostname([]byte(m.Name)); err != nil {
		return fmt.Errorf("name the machine %s: %w", m.Name, err)
	}
	if err := awaitJoin(m); err != nil {
		return err
	}
	if err := tune(); err != nil {
		return err
	}
	return s.run()
}

// awaitJoin waits for the cable that the cluster plugs in right after the start.
func awaitJoin(m Machine) error {
	const patience, pause = 10 * time.Second, 10 * time.Millisecond
	for waited := time.Duration(0); ; waited += pause {
		err := join(m.Plan, m.Number)
		if err == nil {
			return nil
		}
		if !gone(err) || waited > patience {
			return err
		}
		time.Sleep(pause)
	}
}

// tune sets what a node of a cloud has set. Both hold for the node's network only.
func tune() error {
	for path, value := range map[string]string{
		"/proc/sys/net/ipv4/ip_forward":          "1",
		"/proc/sys/net/ipv4/conf/all/rp_filter":  "0",
		"/proc/sys/net/ipv4/conf/eth0/rp_filter": "0",
	} {
		if err := os.WriteFile(path, []byte(value), 0o644); err != nil {
			return fmt.Errorf("tune the node: %w", err)
		}
	}
	return nil
}

// mount is one step on the way to the node's file systems.
type mount struct {
	source, target, kind string
	flags                uintptr
	data                 string
}

// enterRoot gives the node a root of its own: the machine's files below a layer in memory, so that what is written to ordinary
// places is the node's alone and goes with it, and the directories of its disks.
func enterRoot(m Machine) error {
	// Nothing from here on may reach the machine's own mount table.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("leave the machine's mount table: %w", err)
	}
	root, layer := filepath.Join(m.Dir, "root"), filepath.Join(m.Dir, "layer")
	if err := makeDirs(root, layer); err != nil {
		return err
	}
	if err := mountAll(mount{"node", layer, "tmpfs", 0, "mode=0755"}); err != nil {
		return err
	}
	upper, work := filepath.Join(layer, "upper"), filepath.Join(layer, "work")
	if err := makeDirs(upper, work); err != nil {
		return err
	}
	err := mountAll(
		mount{"node", root, "overlay", 0, "lowerdir=/,upperdir=" + upper + ",workdir=" + work},
		mount{"proc", root + "/proc", "proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
		mount{"/sys", root + "/sys", "", unix.MS_BIND | unix.MS_REC, ""},
		mount{"run", root + "/run", "tmpfs", unix.MS_NOSUID, "mode=0755"},
		mount{"tmp", root + "/tmp", "tmpfs", unix.MS_NOSUID, "mode=1777"},
	)
	if err != nil {
		return err
	}
	if err := makeDevices(root + "/dev"); err != nil {
		return err
	}
	if err := ownKernelTunables(root); err != nil {
		return err
	}
	if err := bindAll(m, root); err != nil {
		return err
	}
	return pivot(root)
}

func mountAll(steps ...mount) error {
	for _, step := range steps {
		if err := unix.Mount(step.source, step.target, step.kind, step.flags, step.data); err != nil {
			return fmt.Errorf("mount %s: %w", step.target, err)
		}
	}
	return nil
}

func makeDirs(paths ...string) error {
	for _, path := range paths {
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// bindAll mounts the disks and what the node shares with the cluster's own processes.
func bindAll(m Machine, root string) error {
	binds := map[string]string{m.Keep: m.Keep}
	for path, source := range m.disks() {
		binds[path] = source
	}
	for path, source := range binds {
		if err := makeDirs(source, root+path); err != nil {
			return err
		}
		if err := mountAll(mount{source, root + path, "", unix.MS_BIND | unix.MS_REC, ""}); err != nil {
			return err
		}
	}
	return nil
}

// pivot makes the directory the root, and its mounts such that pods' mounts are seen where they are asked to be.
func pivot(root string) error {
	if err := unix.Chdir(root); err != nil {
		return fmt.Errorf("enter %s: %w", root, err)
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("change the root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leave the old root: %w", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return fmt.Errorf("enter the new root: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("share mounts with pods: %w", err)
	}
	return nil
}

// loopDevices is how many a node sees. They are the machine's, which makes 8 at its start; the driver makes others as it needs them.
const loopDevices = 32

// makeDevices makes /dev with what containers and disks need. The machine's own has every disk of it.
func makeDevices(dev string) error {
	err := mountAll(mount{"dev", dev, "tmpfs", unix.MS_NOSUID, "mode=0755"})
	if err != nil {
		return err
	}
	type device struct {
		kind         uint32
		major, minor uint32
	}
	// The numbers are the kernel's (Documentation/admin-guide/devices.txt).
	devices := map[string]device{
		"null": {unix.S_IFCHR, 1, 3}, "zero": {unix.S_IFCHR, 1, 5}, "full": {unix.S_IFCHR, 1, 7}, "random": {unix.S_IFCHR, 1, 8},
		"urandom": {unix.S_IFCHR, 1, 9}, "kmsg": {unix.S_IFCHR, 1, 11}, "tty": {unix.S_IFCHR, 5, 0},
		"fuse": {unix.S_IFCHR, 10, 229}, "loop-control": {unix.S_IFCHR, 10, 237},
	}
	for number := range uint32(loopDevices) {
		devices["loop"+strconv.Itoa(int(number))] = device{unix.S_IFBLK, 7, number}
	}
	for name, one := range devices {
		path := filepath.Join(dev, name)
		if err := unix.Mknod(path, one.kind|0o666, int(unix.Mkdev(one.major, one.minor))); err != nil {
			return fmt.Errorf("make device %s: %w", name, err)
		}
		if err := os.Chmod(path, 0o666); err != nil {
			return err
		}
	}
	for name, target := range map[string]string{
		"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2", "ptmx": "pts/ptmx",
	} {
		if err := os.Symlink(target, filepath.Join(dev, name)); err != nil {
			return err
		}
	}
	if err := makeDirs(dev+"/pts", dev+"/shm", dev+"/mqueue", dev+"/longhorn"); err != nil {
		return err
	}
	return mountAll(
		mount{"devpts", dev + "/pts", "devpts", unix.MS_NOSUID | unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620"},
		mount{"shm", dev + "/shm", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
		mount{"mqueue", dev + "/mqueue", "mqueue", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
	)
}

// ownKernelTunables hides the kernel's settings that a kubelet changes behind files of the node's own. They hold for the whole
// machine, and the kubelet leaves alone what has the value it wants (kubernetes, pkg/util/sysctl).
func ownKernelTunables(root string) error {
	dir := root + "/run/tunables"
	if err := makeDirs(dir); err != nil {
		return err
	}
	for path, value := range map[string]string{
		"vm/overcommit_memory": "1", "vm/panic_on_oom": "0", "kernel/panic": "10", "kernel/panic_on_oops": "1",
		"kernel/keys/root_maxkeys": "1000000", "kernel/keys/root_maxbytes": "25000000",
	} {
		target := root + "/proc/sys/" + path
		if _, err := os.Stat(target); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		source := filepath.Join(dir, filepath.Base(path))
		if err := os.WriteFile(source, []byte(value+"\n"), 0o644); err != nil {
			return err
		}
		if err := mountAll(mount{source, target, "", unix.MS_BIND, ""}); err != nil {
			return err
		}
	}
	return nil
}
