package irisstandin

import (
	"errors"
	"time"
)

// Exit codes of the freeze's class methods: 5 is success, 3 failure; IsWDSuspendedExt answers 5 suspended, 3 not (facts 6).
const (
	freezeDone   = 5
	freezeFailed = 3
)

var errFrozen = errors.New("the write daemon is suspended already")

// freeze writes what there is, switches the journal and suspends the write daemon. Users work on, the journal goes on;
// after the limit updates and new logins wait (facts 6).
func (s *store) freeze(limit time.Duration, switchJournal bool) error {
	s.mu.Lock()
	already := !s.frozen.IsZero()
	s.mu.Unlock()
	if already {
		return errFrozen
	}
	if err := s.checkpoint(); err != nil {
		return err
	}
	if err := s.flushed(); err != nil {
		return err
	}
	s.writing.Lock() // A cycle that began meanwhile ends first.
	defer s.writing.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	for switchJournal && !s.since.IsZero() {
		s.changed.Wait() // The journal daemon has the file.
	}
	if switchJournal {
		if err := s.journal.switchFile(); err != nil {
			return err
		}
	}
	s.frozen, s.freezeLimit = time.Now(), limit
	return nil
}

// thaw lets the write daemon go on. Of an instance that is not frozen it is a success: the facts do not tell.
func (s *store) thaw() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frozen = time.Time{}
	s.changed.Broadcast()
}

// overdue says whether the freeze has lasted longer than it may. The caller holds the mutex.
func (s *store) overdue() bool {
	return !s.frozen.IsZero() && time.Since(s.frozen) > s.freezeLimit
}

// admit waits while new logins hang (facts 6).
func (s *store) admit() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.overdue() && !s.refusing {
		s.changed.Wait()
	}
}

// hung says what the monitor calls hung: the write daemon stopped for more than 3 s, a freeze included, or the journal
// daemon for more than 5 s (facts 2.9).
func (s *store) hung() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.frozen.IsZero() && time.Since(s.frozen) > 3*time.Second ||
		!s.since.IsZero() && time.Since(s.since) > 5*time.Second ||
		!s.failing.IsZero() && time.Since(s.failing) > 5*time.Second
}

func (s *store) suspended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.frozen.IsZero()
}
