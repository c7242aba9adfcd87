// Package testkit has what tests of several packages share.
package testkit

import (
	"fmt"
	"os"
	"time"

	"ha-iris/agent/internal/boottime"
)

// BeatEvery is the time between two lines of Beat.
const BeatEvery = 5 * time.Millisecond

// Beat writes the time since boot into a file every BeatEvery, as a database that acknowledges writes, until it is killed. It returns
// an exit code when it cannot.
func Beat(path string) int {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 1
	}
	for {
		now, err := boottime.Read()
		if err != nil {
			return 1
		}
		if _, err := fmt.Fprintln(file, int64(now)); err != nil {
			return 1
		}
		time.Sleep(BeatEvery)
	}
}
