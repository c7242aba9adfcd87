package irisstandin

import (
	"fmt"
	"time"
)

// journalDaemon writes the buffers every two seconds, and when asked (facts 5.1).
func (s *store) journalDaemon() {
	defer s.stopped.Done()
	ticker := time.NewTicker(s.opts.cycle)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-s.kick:
		}
		if done := s.flush(); done {
			return
		}
	}
}

// flush writes what is in the buffers and reports whether the store is closed and nothing is left.
func (s *store) flush() (done bool) {
	s.mu.Lock()
	s.pending = append(s.pending, s.buffer...)
	s.buffer = nil
	content, seq, off := s.pending, s.seq, s.off
	s.since = time.Now()
	s.mu.Unlock()
	var err error
	if len(content) > 0 && !off {
		err = s.journal.write(content)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since = time.Time{}
	s.account(seq, err)
	s.changed.Broadcast()
	return s.closing && len(s.buffer) == 0
}

// account notes how a flush ended. After about 150 s of errors journaling is switched off, and the work goes on without
// it, unless FreezeOnError holds all updates (facts 3.2).
func (s *store) account(seq uint64, err error) {
	if err == nil {
		if !s.failing.IsZero() && !s.off {
			s.log.add(1, "Journaling resumed")
		}
		s.pending, s.durable, s.failing = nil, seq, time.Time{}
		return
	}
	if s.failing.IsZero() {
		s.failing = time.Now()
		s.log.add(2, "Journal write error: %v", err)
	}
	if !s.opts.freezeOnError && !s.off && time.Since(s.failing) >= s.opts.patience {
		s.off, s.pending, s.buffer = true, nil, nil
		s.log.add(3, "JOURNALING DISABLED after journal I/O errors: updates are no longer protected")
	}
}

// flushed waits until everything up to now is in the journal on disk.
func (s *store) flushed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for seq := s.seq; s.durable < seq && !s.off; {
		if s.closing && !s.failing.IsZero() {
			return fmt.Errorf("the journal cannot be written: %w", errClosing)
		}
		s.requestFlush()
		s.changed.Wait()
	}
	return nil
}

// checkpoint is a cycle of the write daemon: the journal first, then the WIJ, then the databases (facts 5.2).
func (s *store) checkpoint() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	if !s.frozen.IsZero() {
		s.mu.Unlock()
		return nil // Suspended: only writes of the databases stop (facts 6).
	}
	images := map[string][]byte{}
	seq := s.seq
	for _, db := range s.dbs {
		if !db.dirty || !db.writable {
			continue
		}
		image, err := db.image(seq)
		if err != nil {
			s.mu.Unlock()
			return fmt.Errorf("write the databases: %w", err)
		}
		images[db.path()] = image
		db.dirty = false
	}
	s.mu.Unlock()
	if len(images) == 0 {
		return nil
	}
	err := s.flushed()
	if err == nil {
		err = writeWIJ(s.opts.wijPath, images)
	}
	for path, image := range images {
		if err == nil {
			err = writeSynced(path, image)
		}
	}
	if err == nil {
		err = writeSynced(s.opts.wijPath, nil)
	}
	if err != nil {
		s.markDirty(images)
		return fmt.Errorf("write the databases: %w", err)
	}
	return nil
}

func (s *store) markDirty(images map[string][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, db := range s.dbs {
		if _, tried := images[db.path()]; tried {
			db.dirty = true
		}
	}
}

// close rolls open transactions back, writes everything and ends the journal daemon.
func (s *store) close() error {
	s.thaw()
	s.mu.Lock()
	s.refusing = true // What came after the last cycle would be in no database, and no start would look for it.
	s.changed.Broadcast()
	var open []uint64
	for tx := range s.open {
		open = append(open, tx)
	}
	s.mu.Unlock()
	for _, tx := range open {
		if err := s.rollback(tx); err != nil {
			return err
		}
	}
	if err := s.checkpoint(); err != nil {
		return err
	}
	s.mu.Lock()
	s.closing = true
	s.changed.Broadcast()
	s.mu.Unlock()
	s.requestFlush()
	s.stopped.Wait()
	return s.journal.file.Close()
}
