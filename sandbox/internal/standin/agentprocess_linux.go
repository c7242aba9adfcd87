package standin

import (
	"os/exec"
	"syscall"
)

// diesWithParent has the kernel kill the process when this program is killed and cannot do so itself.
func diesWithParent(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
