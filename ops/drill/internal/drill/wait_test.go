package drill

import (
	"os"
	"testing"
	"time"
)

// waitFor waits until a file exists, or the test is over.
func waitFor(t *testing.T, path string) {
	t.Helper()
	for t.Context().Err() == nil {
		if _, err := os.Stat(path); err == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}
