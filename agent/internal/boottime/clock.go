package boottime

import "time"

// Clock returns the time since the boot.
type Clock func() time.Duration

// New returns the clock of this machine, or why it has none. The kernel refuses the clock always or never, so one try tells.
func New() (Clock, error) {
	if _, err := Read(); err != nil {
		return nil, err
	}
	return func() time.Duration {
		now, _ := Read()
		return now
	}, nil
}
