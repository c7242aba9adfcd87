//go:build !linux

package boottime

import (
	"errors"
	"time"
)

// Read fails: only Linux has the clock.
func Read() (time.Duration, error) {
	return 0, errors.New("read CLOCK_BOOTTIME: this system is not Linux")
}
