package irisstandin

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// newTestStore has one database and a journal that is only written when asked.
func newTestStore(t *testing.T, change func(*storeOptions)) (*store, string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, databaseFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	opts := storeOptions{
		wijPath: filepath.Join(dir, "IRIS.WIJ"), journalDir: filepath.Join(dir, "journal"),
		cycle: 10 * time.Millisecond, patience: time.Hour, buffers: 1 << 20,
	}
	change(&opts)
	s := newStore(opts, &messages{path: filepath.Join(dir, "messages.log")})
	if err := s.mount(dir, true); err != nil {
		t.Fatal(err)
	}
	if err := s.run(); err != nil {
		t.Fatal(err)
	}
	return s, dir
}

func setNode(s *store, dir, value string) error {
	return s.update(dir, 0, func(*database) []edit { return []edit{{nodeKey("^a", nil), &value}} })
}

// breakJournal plays a disk that fails: the file is closed behind the daemon's back.
func breakJournal(t *testing.T, s *store) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.since.IsZero() {
		s.changed.Wait()
	}
	if err := s.journal.file.Close(); err != nil {
		t.Fatal(err)
	}
}

func mendJournal(t *testing.T, s *store) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.since.IsZero() {
		s.changed.Wait()
	}
	s.journal.file = nil
	if err := s.journal.switchFile(); err != nil {
		t.Fatal(err)
	}
}

func waitFor(t *testing.T, s *store, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		s.mu.Lock()
		done := is()
		s.mu.Unlock()
		if done {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

func TestJournal_FreezeOnErrorHoldsUpdatesUntilItIsMended(t *testing.T) {
	s, dir := newTestStore(t, func(o *storeOptions) { o.freezeOnError = true })
	breakJournal(t, s)
	if err := setNode(s, dir, "1"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, s, "the error", func() bool { return !s.failing.IsZero() })
	done := make(chan error, 1)
	go func() { done <- setNode(s, dir, "2") }()
	select {
	case err := <-done:
		t.Fatalf("an update went through without a journal: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	mendJournal(t, s)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	if records, err := readJournal(s.opts.journalDir); err != nil || len(records) != 2 {
		t.Errorf("%d records, %v", len(records), err)
	}
}

func TestJournal_WithoutFreezeOnErrorItIsSwitchedOff(t *testing.T) {
	s, dir := newTestStore(t, func(o *storeOptions) { o.patience = 50 * time.Millisecond })
	breakJournal(t, s)
	if err := setNode(s, dir, "1"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, s, "journaling is off", func() bool { return s.off })
	if err := setNode(s, dir, "2"); err != nil {
		t.Error(err)
	}
	tx := s.begin()
	if err := s.commit(tx, true); err != nil {
		t.Errorf("a commit waits for a journal that is off: %v", err)
	}
}

func TestJournal_FullBuffersHoldUpdates(t *testing.T) {
	s, dir := newTestStore(t, func(o *storeOptions) { o.cycle, o.buffers = time.Hour, 200 })
	done := make(chan error, 1)
	go func() {
		for range 100 {
			if err := setNode(s, dir, "12345678901234567890"); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	waitFor(t, s, "the buffers are full", func() bool { return len(s.buffer) >= 200 })
	select {
	case err := <-done:
		t.Fatalf("more than the buffers hold is not on disk: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	for len(done) == 0 {
		s.requestFlush()
		time.Sleep(time.Millisecond)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestStore_DataLimit(t *testing.T) {
	s, dir := newTestStore(t, func(o *storeOptions) { o.limit = 10 })
	var object *objectError
	if err := setNode(s, dir, "123456789"); !errors.As(err, &object) || object.code != "FILEFULL" {
		t.Errorf("got %v", err)
	}
}

func TestStore_NothingIsAcknowledgedAfterTheLastCycle(t *testing.T) {
	s, dir := newTestStore(t, func(*storeOptions) {})
	tx := s.begin()
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	if err := setNode(s, dir, "1"); !errors.Is(err, errClosing) {
		t.Errorf("update: %v", err)
	}
	if err := s.commit(tx, false); !errors.Is(err, errClosing) {
		t.Errorf("commit: %v", err)
	}
}

func TestCommit_OnlyASynchronousOneWaitsForTheDisk(t *testing.T) {
	s, _ := newTestStore(t, func(*storeOptions) {})
	breakJournal(t, s)
	if err := s.commit(s.begin(), false); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.commit(s.begin(), true) }()
	select {
	case err := <-done:
		t.Fatalf("acknowledged without a disk: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	mendJournal(t, s)
	if err := <-done; err != nil {
		t.Error(err)
	}
}
