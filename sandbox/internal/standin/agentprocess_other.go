//go:build !linux

package standin

import "os/exec"

func diesWithParent(*exec.Cmd) {} // Only Linux can: a killed controller leaves agents behind there, which end when their tokens do.
