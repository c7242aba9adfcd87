package standin

import (
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// ticks measures how long something has been going on. It is kept in memory only: a restart of this program restarts
// an attachment in progress, as a restart of Longhorn's driver does.
type ticks struct {
	clock clock.PassiveClock
	mutex sync.Mutex
	since map[string]time.Time
}

func newTicks(clk clock.PassiveClock) *ticks {
	return &ticks{clock: clk, since: map[string]time.Time{}}
}

// elapsed returns the time since it was first asked for the key.
func (t *ticks) elapsed(key string) time.Duration {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	began, known := t.since[key]
	if !known {
		began = t.clock.Now()
		t.since[key] = began
	}
	return t.clock.Now().Sub(began)
}

func (t *ticks) forget(key string) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	delete(t.since, key)
}
