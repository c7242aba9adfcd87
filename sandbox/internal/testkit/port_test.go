package testkit

import (
	"sync"
	"testing"
)

func TestPort_IsNobodyElses(t *testing.T) {
	var mutex sync.Mutex
	var calls sync.WaitGroup
	seen := map[int]bool{}
	for range 300 {
		calls.Go(func() {
			port := Port(t)
			mutex.Lock()
			defer mutex.Unlock()
			if seen[port] || port < firstPort || port >= firstPort+ports {
				t.Errorf("port %d was given before, or is none for tests", port)
			}
			seen[port] = true
		})
	}
	calls.Wait()
}
