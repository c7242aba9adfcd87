package boottime

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Read returns the time since the boot.
func Read() (time.Duration, error) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return 0, fmt.Errorf("read CLOCK_BOOTTIME: %w", err)
	}
	return time.Duration(now.Nano()), nil
}
