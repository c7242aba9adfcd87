// Package boottime reads the clock that counts from the node's boot, never jumps, and counts the time in which the machine slept.
// Go's own monotonic clock stands still in a suspended machine.
package boottime

import (
	"fmt"
	"os"
	"strings"
)

// bootIDFile has another random value after every boot.
const bootIDFile = "/proc/sys/kernel/random/boot_id"

// BootID returns the boot that the clock counts from.
func BootID() (string, error) {
	content, err := os.ReadFile(bootIDFile)
	if err != nil {
		return "", fmt.Errorf("read the boot's identity: %w", err)
	}
	return strings.TrimSpace(string(content)), nil
}
