package irisstandin

import (
	"sync"
	"time"
)

// restHold is how long an anonymous REST request can hold a unit (facts 4).
const restHold = 10 * time.Second

// licenses counts the units in use. A limit of 0 is a licence without one.
type licenses struct {
	mu    sync.Mutex
	limit int
	used  int
}

// take takes a unit, if one is left.
func (l *licenses) take() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.limit > 0 && l.used >= l.limit {
		return false
	}
	l.used++
	return true
}

func (l *licenses) give() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.used--
}

// hold takes a unit for a request.
func (l *licenses) hold() bool {
	if !l.take() {
		return false
	}
	time.AfterFunc(restHold, l.give)
	return true
}

func (l *licenses) inUse() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.used
}
