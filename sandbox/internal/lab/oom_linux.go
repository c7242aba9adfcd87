package lab

import "golang.org/x/sys/unix"

// mayProtect says whether this process may make the kernel spare processes when memory is out (CAP_SYS_RESOURCE). Some virtual
// machines do not have it, and there runc ends with "can't get final child's PID from pipe: EOF" (facts/lab.md) unless containerd
// is told not to ask for it.
func mayProtect() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return false
	}
	return data[0].Effective&(1<<unix.CAP_SYS_RESOURCE) != 0
}
